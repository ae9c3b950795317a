// SPDX-License-Identifier: Apache-2.0
// A build cache in a folder: an OCI layout with one manifest. index.json is written last, by rename,
// then what it does not name is removed; so a reader sees the old cache or the new one, and a killed
// writer leaves nothing but unnamed files that the next one removes.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/engine.h"
#include "base/fs.h"
#include "base/own.h"
#include "build/cacheplace.h"
#include "codec/hash.h"

#define BLOBS "blobs/sha256"
#define INDEX_MAX ((size_t)1 << 20)
#define PART FS_PART "cache"

struct folder {
    struct build_cacheplace base;
    char *path;
    int fd, blobs;  // blobs -1: there are none
};

static struct folder *of(struct build_cacheplace *p)
{
    return (struct folder *)(void *)p;
}

static void folder_close(struct build_cacheplace *p)
{
    struct folder *f = of(p);
    if (f->blobs >= 0) unlinkat(f->blobs, PART, 0);
    if (f->blobs >= 0) close(f->blobs);
    if (f->fd >= 0) close(f->fd);
    free(f->path);
    free(f);
}

static int open_file(struct folder *f, const struct oci_digest *d)
{
    if (f->blobs < 0) {
        errno = ENOENT;
        return -1;
    }
    struct root root = {f->blobs, "the cache folder"};
    return fs_in_try(&root, d->hex, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
}

static int folder_open(struct build_cacheplace *p, const struct oci_descriptor *d, struct err *e)
{
    struct stat st;
    own(fd) int fd = open_file(of(p), &d->digest);
    if (fd < 0 || fstat(fd, &st) != 0)
        return err_set(e, ERR_INPUT, BLOBS "/%s: %s", d->digest.hex, err_errno_name(errno));
    if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != d->size)
        return err_set(e, ERR_INPUT, BLOBS "/%s has not the size that it should have", d->digest.hex);
    return take_fd(fd);
}

static int folder_has(struct build_cacheplace *p, const struct oci_descriptor *d, bool sure,
                      struct err *e)
{
    char hex[CODEC_SHA256_HEX];
    struct err missing;
    own(fd) int fd = folder_open(p, d, &missing);
    if (fd < 0) return 0;
    if (!sure) return 1;
    if (codec_sha256_fd(fd, NULL, hex, e) < 0) return -1;
    return strcmp(hex, d->digest.hex) == 0;
}

static int folder_read(struct build_cacheplace *p, const struct oci_descriptor *d, size_t max,
                       struct str *out, struct err *e)
{
    if (d->size > max)
        return err_set(e, ERR_LIMIT, "'%.12s' is larger than %zu bytes", d->digest.hex, max);
    own(fd) int fd = folder_open(p, d, e);
    if (fd < 0 || fs_read_fd(fd, max, out, e) < 0) return -1;
    struct oci_digest is = oci_digest_of(str_sv(out));
    if (oci_digest_eq(&is, &d->digest)) return 0;
    return err_set(e, ERR_INPUT, BLOBS "/%s is damaged: its digest is sha256:%s", d->digest.hex,
                   is.hex);
}

static int folder_find(struct build_cacheplace *p, struct str *out, struct err *e)
{
    struct folder *f = of(p);
    own(str) struct str text = {0};
    own(oci_manifest) struct oci_manifest index = {0};
    struct root root = {f->fd, "the cache folder"};
    own(fd) int there = fs_in_try(&root, "index.json", O_PATH, 0);
    if (there < 0 && errno == ENOENT) return 0;
    if (fs_in_read(&root, "index.json", INDEX_MAX, &text, e) < 0 ||
        oci_manifest_parse(str_sv(&text), "index.json", &index, e) < 0)
        return -1;
    if (!index.is_index || index.n != 1)
        return err_set(e, ERR_INPUT, "index.json does not name one build cache");
    return folder_read(p, &index.items[0], LIMIT_MANIFEST, out, e) < 0 ? -1 : 1;
}

// --- writing --------------------------------------------------------------------------------------

static int folder_create(struct build_cacheplace *p, struct err *e)
{
    unlinkat(of(p)->blobs, PART, 0);
    return fs_openat(of(p)->blobs, PART, O_RDWR | O_CREAT | O_EXCL, 0644, e);
}

static int folder_keep(struct build_cacheplace *p, int fd, const struct oci_descriptor *d,
                       struct err *e)
{
    (void)fd;
    if (renameat(of(p)->blobs, PART, of(p)->blobs, d->digest.hex) == 0) return 0;
    return err_sys(e, "put '%s' into place", d->digest.hex);
}

static int write_text(struct folder *f, struct sv text, struct oci_descriptor *out, struct err *e)
{
    out->digest = oci_digest_of(text);
    out->size = text.n;
    return fs_replace(f->blobs, out->digest.hex, text, 0644, e);
}

static void drop_unnamed(struct folder *f, const struct oci_digest *manifest, struct sv text)
{
    struct err ignored;
    own(strv) struct strv names = {0};
    own(oci_manifest) struct oci_manifest m = {0};
    own(map) struct map keep = {0};
    if (oci_manifest_parse(text, "the cache", &m, &ignored) < 0) return;
    map_set(&keep, manifest->hex, f);
    map_set(&keep, m.config.digest.hex, f);
    for (size_t i = 0; i < m.n; i++) map_set(&keep, m.items[i].digest.hex, f);
    if (fs_list(f->blobs, ".", &names, &ignored) < 0) return;
    for (size_t i = 0; i < names.n; i++) {
        struct oci_digest d;
        bool ours = oci_digest_parse_hex(sv_of(names.p[i]), &d) || sv_starts(sv_of(names.p[i]), FS_PART);
        if (ours && !map_has(&keep, names.p[i])) unlinkat(f->blobs, names.p[i], 0);
    }
}

static int folder_publish(struct build_cacheplace *p, struct sv manifest,
                          const struct build_cachedoc *d, struct err *e)
{
    struct folder *f = of(p);
    struct oci_descriptor item = {.media_type = OCI_TYPE_MANIFEST};
    struct oci_manifest index = {.is_index = true, .media_type = OCI_TYPE_INDEX, .items = &item, .n = 1};
    own(str) struct str text = {0};
    (void)d;
    if (write_text(f, manifest, &item, e) < 0) return -1;
    oci_manifest_print(&index, &text);
    if (fs_replace(f->fd, "oci-layout", SV("{\"imageLayoutVersion\":\"1.0.0\"}"), 0644, e) < 0 ||
        fs_replace(f->fd, "index.json", str_sv(&text), 0644, e) < 0)
        return -1;
    drop_unnamed(f, &item.digest, manifest);
    return 0;
}

// Files are removed from it later: it must be empty, or hold what an earlier export wrote.
static int check_ours(struct folder *f, struct err *e)
{
    own(strv) struct strv names = {0};
    own(str) struct str text = {0};
    own(oci_manifest) struct oci_manifest m = {0};
    struct err why = {0};
    if (fs_list(f->fd, ".", &names, e) < 0) return -1;
    bool blank = true;
    for (size_t i = 0; i < names.n; i++)
        blank = blank && (strcmp(names.p[i], "blobs") == 0 || strcmp(names.p[i], "oci-layout") == 0 ||
                          sv_starts(sv_of(names.p[i]), FS_PART));
    if (blank) return 0;  // also what a killed first export leaves
    int rc = folder_find(&f->base, &text, &why);
    if (rc == 1 && oci_manifest_parse(str_sv(&text), "the cache", &m, &why) == 0 && !m.is_index &&
        strcmp(m.config.media_type, BUILD_CACHEDOC_TYPE) == 0)
        return 0;
    err_set(e, ERR_CONFLICT, "the folder '%s' holds something other than a build cache of dewar", f->path);
    return err_hint(e, "name a new folder, or empty this one");
}

static int prepare(struct folder *f, struct err *e)
{
    if (fs_mkdirs(AT_FDCWD, f->path, 0755, e) < 0) return -1;
    f->fd = fs_open_dir(AT_FDCWD, f->path, e);
    if (f->fd < 0 || fs_lock(f->fd, LOCK_EX, e) < 0) return -1;
    struct root root = {f->fd, "the cache folder"};
    own(fd) int there = fs_in_try_link(&root, BLOBS);
    f->blobs = there < 0 ? -1 : fs_in_open(&root, BLOBS, O_RDONLY | O_DIRECTORY, 0, e);
    if (there >= 0 && f->blobs < 0) return -1;
    if (check_ours(f, e) < 0) return -1;
    if (f->blobs >= 0) return 0;
    return fs_in_mkdirs(&root, BLOBS, 0755, NULL, &f->blobs, e);
}

static int look(struct folder *f, struct err *e)
{
    f->fd = fs_open_dir(AT_FDCWD, f->path, e);
    if (f->fd < 0) return -1;
    struct root root = {f->fd, "the cache folder"};
    f->blobs = fs_in_try(&root, BLOBS, O_RDONLY | O_DIRECTORY, 0);
    return 0;
}

int build_cachefolder_open(const char *path, bool writing, struct build_cacheplace **out,
                           struct err *e)
{
    static const struct build_cacheplace_ops ops = {
        .find = folder_find, .read = folder_read, .open = folder_open,
        .has = folder_has, .create = folder_create, .keep = folder_keep,
        .publish = folder_publish, .close = folder_close,
    };
    struct folder *f = mem_alloc(sizeof *f);
    *f = (struct folder){.base = {&ops}, .path = str_dup(path), .fd = -1, .blobs = -1};
    *out = NULL;
    if ((writing ? prepare(f, e) : look(f, e)) == 0) {
        *out = &f->base;
        return 0;
    }
    bool absent = !writing && e->sys == ENOENT;
    folder_close(&f->base);
    return absent ? 0 : -1;
}
