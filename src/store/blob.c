// SPDX-License-Identifier: Apache-2.0
// Blobs. A blob is written to a file without a name (O_TMPFILE), hashed and counted on the way, and
// linked under its digest once it is complete and synced; a writer that dies leaves nothing behind.
// File systems without O_TMPFILE get a temporary folder of ours (store/tmp.h) and a rename.
//
// A file that is there already is believed only if its bytes are right (small blobs) or its size is
// (large ones); a wrong one is replaced, so a damaged blob heals when it is stored again.
#include "store/blob.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "store/tmp.h"

#define BLOB_FOLDER "blobs/sha256"

struct store_blob_writer {
    struct engine *en;
    struct store_tmp tmp;  // only without O_TMPFILE: the blob is tmp/blob
    struct codec_sha256 hash;
    uint64_t size;
    int folder;
    int fd;
};

static int open_folder(struct engine *en, struct err *e)
{
    int fd = fs_open_dir(en->store_fd, BLOB_FOLDER, e);
    return fd < 0 ? err_wrap(e, "opening the store's blobs") : fd;
}

int store_blob_create(struct engine *en, struct store_blob_writer **out, struct err *e)
{
    struct store_blob_writer *w = mem_alloc(sizeof *w);
    w->en = en;
    w->tmp = STORE_TMP_NONE;
    w->fd = -1;
    codec_sha256_init(&w->hash);
    w->folder = open_folder(en, e);
    if (w->folder >= 0) w->fd = openat(w->folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0444);
    if (w->folder >= 0 && w->fd < 0) {
        if (store_tmp_open(en, &w->tmp, e) == 0) {
            w->fd = fs_openat(w->tmp.fd, "blob", O_RDWR | O_CREAT | O_EXCL, 0444, e);
        }
    }
    if (w->fd < 0) {
        store_blob_abandon(w);
        return -1;
    }
    *out = w;
    return 0;
}

int store_blob_write(struct store_blob_writer *w, const void *p, size_t n, struct err *e)
{
    if (fs_write_all(w->fd, p, n, e) < 0) return err_wrap(e, "writing a blob to the store");
    codec_sha256_add(&w->hash, p, n);
    w->size += n;
    return 0;
}

// 1: what is there is whole as far as a look can tell; 0: it is not there, or wrong.
static int already_there(struct store_blob_writer *w, const char *hex)
{
    struct stat st;
    return fstatat(w->folder, hex, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
           (uint64_t)st.st_size == w->size;
}

static int link_in(struct store_blob_writer *w, const char *hex, struct err *e)
{
    if (w->tmp.fd >= 0) {
        if (renameat(w->tmp.fd, "blob", w->folder, hex) == 0) return 0;
        return err_sys(e, "rename a blob to its digest");
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", w->fd);
    for (int i = 0; i < 8; i++) {
        if (linkat(AT_FDCWD, path, w->folder, hex, AT_SYMLINK_FOLLOW) == 0) return 0;
        if (errno != EEXIST) break;
        if (already_there(w, hex)) return 0;
        if (unlinkat(w->folder, hex, 0) != 0 && errno != ENOENT) break;
    }
    return err_sys(e, "link a blob under its digest");
}

static int check(struct store_blob_writer *w, const struct oci_digest *got,
                 const struct oci_digest *want, uint64_t want_size, struct err *e)
{
    if (want_size != UINT64_MAX && w->size != want_size) {
        return err_set(e, ERR_INPUT, "blob has %ju bytes instead of %ju", (uintmax_t)w->size,
                       (uintmax_t)want_size);
    }
    if (want && !oci_digest_eq(got, want)) {
        return err_set(e, ERR_INPUT, "digest is sha256:%s instead of sha256:%s", got->hex,
                       want->hex);
    }
    return 0;
}

static int commit(struct store_blob_writer *w, const struct oci_digest *want, uint64_t want_size,
                  bool durable, struct oci_digest *out, uint64_t *out_size, struct err *e)
{
    struct oci_digest got = {0};
    codec_sha256_end(&w->hash, got.hex);
    if (check(w, &got, want, want_size, e) < 0) return -1;
    if (!already_there(w, got.hex)) {
        if (fchmod(w->fd, 0444) != 0) return err_sys(e, "chmod of a blob");
        if (durable && fdatasync(w->fd) != 0) return err_sys(e, "fdatasync of a blob");
        if (link_in(w, got.hex, e) < 0) return -1;
        if (durable && fs_sync_dir(w->folder, e) < 0) return -1;
    }
    if (out) *out = got;
    if (out_size) *out_size = w->size;
    return 0;
}

int store_blob_commit(struct store_blob_writer *w, const struct oci_digest *want,
                      uint64_t want_size, struct oci_digest *out, uint64_t *out_size, struct err *e)
{
    int rc = commit(w, want, want_size, true, out, out_size, e);
    store_blob_abandon(w);
    return rc;
}

void store_blob_abandon(struct store_blob_writer *w)
{
    if (!w) return;
    if (w->fd >= 0) close(w->fd);
    if (w->folder >= 0) close(w->folder);
    if (w->tmp.fd >= 0) store_tmp_close(w->en, &w->tmp);
    free(w);
}

// Whether a small blob is there with exactly these bytes.
static bool same_bytes(struct engine *en, const struct oci_digest *d, struct sv data)
{
    struct err e = {0};
    own(str) struct str have = {0};
    uint64_t size = 0;
    if (!store_blob_exists(en, d, &size) || size != data.n) return false;
    return store_blob_read(en, d, data.n, &have, &e) == 0;
}

static int put(struct engine *en, struct sv data, bool durable, struct oci_digest *out,
               struct err *e)
{
    struct oci_digest d = oci_digest_of(data);
    uint64_t size = 0;
    if (same_bytes(en, &d, data)) {
        if (out) *out = d;
        return 0;
    }
    // Damage that kept the size: take it away, or the link below would believe it.
    if (store_blob_exists(en, &d, &size) && store_blob_remove(en, &d, e) < 0) return -1;
    struct store_blob_writer *w = NULL;
    if (store_blob_create(en, &w, e) < 0) return -1;
    int rc = store_blob_write(w, data.p, data.n, e);
    if (rc == 0) rc = commit(w, &d, data.n, durable, out, NULL, e);
    store_blob_abandon(w);
    return rc;
}

int store_blob_put(struct engine *en, struct sv data, struct oci_digest *out, struct err *e)
{
    return put(en, data, true, out, e);
}

int store_blob_put_batch(struct engine *en, struct sv data, struct oci_digest *out, struct err *e)
{
    return put(en, data, false, out, e);
}

static void blob_path(const struct oci_digest *d, char out[96])
{
    snprintf(out, 96, BLOB_FOLDER "/%s", d->hex);
}

bool store_blob_exists(struct engine *en, const struct oci_digest *d, uint64_t *out_size)
{
    char path[96];
    struct stat st;
    if (!oci_digest_is_set(d)) return false;
    blob_path(d, path);
    if (fstatat(en->store_fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) {
        return false;
    }
    if (out_size) *out_size = (uint64_t)st.st_size;
    return true;
}

int store_blob_open(struct engine *en, const struct oci_digest *d, struct err *e)
{
    char path[96];
    blob_path(d, path);
    int fd = openat(en->store_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0) return fd;
    if (errno == ENOENT) {
        err_set(e, ERR_CORRUPT, "blob sha256:%s is not in the store", d->hex);
        return err_hint(e, "'dewar system check' lists what is damaged");
    }
    return err_sys(e, "open blob sha256:%s", d->hex);
}

int store_blob_read(struct engine *en, const struct oci_digest *d, size_t max, struct str *out,
                    struct err *e)
{
    own(fd) int fd = store_blob_open(en, d, e);
    if (fd < 0) return -1;
    own(str) struct str data = {.max = max > STR_MAX_DEFAULT ? max : 0};
    if (fs_read_fd(fd, max, &data, e) < 0) return err_wrap(e, "reading blob sha256:%s", d->hex);
    struct oci_digest got = oci_digest_of(str_sv(&data));
    if (!oci_digest_eq(&got, d)) {
        err_set(e, ERR_CORRUPT, "blob sha256:%s is damaged: its content has another digest", d->hex);
        return err_hint(e, "'dewar system check --repair' moves it aside");
    }
    str_add(out, str_sv(&data));
    return str_check(out, e);
}

int store_blob_remove(struct engine *en, const struct oci_digest *d, struct err *e)
{
    char path[96];
    blob_path(d, path);
    if (unlinkat(en->store_fd, path, 0) == 0 || errno == ENOENT) return 0;
    return err_sys(e, "remove blob sha256:%s", d->hex);
}
