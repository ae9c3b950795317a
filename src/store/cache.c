// SPDX-License-Identifier: Apache-2.0
// Build records: cache/<kind>/<key>, a checksum line and the value. They are hints, so they are
// never synced: a record that a power cut tore fails its checksum and is a miss, as is one that
// cannot be read. A record is linked from a file without a name, so a killed writer leaves nothing.
#include "store/cache.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "codec/hash.h"

#define CACHE_MAGIC "dewar-record 1 "
#define CACHE_VALUE_MAX ((size_t)16 << 20)
// magic, 64 digits, newline
#define CACHE_HEAD (sizeof CACHE_MAGIC - 1 + 64 + 1)

static bool valid_word(const char *z, const char *allowed, size_t max)
{
    size_t n = strlen(z);
    return n > 0 && n <= max && strspn(z, allowed) == n;
}

static int check_key(const char *kind, const char *key_hex, struct err *e)
{
    if (valid_word(kind, "abcdefghijklmnopqrstuvwxyz-", 32) &&
        valid_word(key_hex, "0123456789abcdef", 64)) {
        return 0;
    }
    return err_set(e, ERR_INTERNAL, "'%.64s/%.80s' cannot be a build record's key", kind, key_hex);
}

static int open_kind(struct engine *en, const char *kind, bool make, struct err *e)
{
    own(free) char *path = str_fmt("cache/%s", kind);
    if (make && mkdirat(en->store_fd, path, 0700) != 0 && errno != EEXIST) {
        return err_sys(e, "make folder '%s' in the store", path);
    }
    int fd = openat(en->store_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 || (!make && errno == ENOENT) ? fd : err_sys(e, "open '%s' in the store", path);
}

static int link_over(int folder, int fd, const char *key, struct err *e)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    for (int i = 0; i < 8; i++) {
        if (linkat(AT_FDCWD, path, folder, key, AT_SYMLINK_FOLLOW) == 0) return 0;
        if (errno != EEXIST) break;
        // For a moment the record is gone: that is a miss, no more.
        if (unlinkat(folder, key, 0) != 0 && errno != ENOENT) break;
    }
    return err_sys(e, "write a build record");
}

int store_cache_put(struct engine *en, const char *kind, const char *key_hex, struct sv value,
                    struct err *e)
{
    char sum[CODEC_SHA256_HEX];
    if (check_key(kind, key_hex, e) < 0) return -1;
    if (value.n > CACHE_VALUE_MAX) {
        return err_set(e, ERR_LIMIT, "a build record of %zu bytes is too large", value.n);
    }
    own(fd) int folder = open_kind(en, kind, true, e);
    if (folder < 0) return -1;
    codec_sha256_of(value, sum);
    own(str) struct str text = {0};
    str_addf(&text, CACHE_MAGIC "%s\n", sum);
    str_add(&text, value);
    own(fd) int fd = openat(folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) return fs_atomic_write(folder, key_hex, str_sv(&text), 0600, e);
    if (fs_write_all(fd, text.p, text.n, e) < 0) return err_wrap(e, "writing a build record");
    return link_over(folder, fd, key_hex, e);
}

bool store_cache_record_valid(struct sv file, struct sv *out_value)
{
    char sum[CODEC_SHA256_HEX];
    if (file.n < CACHE_HEAD || !sv_starts(file, CACHE_MAGIC)) return false;
    struct sv value = sv_from(file, CACHE_HEAD);
    codec_sha256_of(value, sum);
    if (!sv_eqz(sv_part(file, sizeof CACHE_MAGIC - 1, 64), sum)) return false;
    if (file.p[CACHE_HEAD - 1] != '\n') return false;
    *out_value = value;
    return true;
}

int store_cache_find(struct engine *en, const char *kind, const char *key_hex, struct str *out,
                     struct err *e)
{
    if (check_key(kind, key_hex, e) < 0) return -1;
    own(fd) int folder = open_kind(en, kind, false, e);
    if (folder < 0) return errno == ENOENT ? 0 : -1;
    own(fd) int fd = openat(folder, key_hex, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return 0;
    own(str) struct str text = {0};
    struct err lost = {0};
    struct sv value = {0};
    if (fs_read_fd(fd, CACHE_VALUE_MAX + CACHE_HEAD, &text, &lost) < 0) return 0;
    if (!store_cache_record_valid(str_sv(&text), &value)) return 0;
    futimens(fd, (const struct timespec[2]){{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}});
    str_add(out, value);
    return str_check(out, e) < 0 ? -1 : 1;
}
