// SPDX-License-Identifier: Apache-2.0
// Cache mounts. See build/cachemount.h.
#include "build/cachemount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"
#include "build/cacheimport.h"

#define SEEN_MAX ((size_t)64 << 20)
#define PRIVATE_MAX 256

static int open_folder(struct build_work *w, const char *hex, unsigned copy, struct err *e)
{
    own(str) struct str path = {0};
    str_addf(&path, "cache/mounts/%s/%s", w->job->en->form, hex);
    if (copy) str_addf(&path, "-%u", copy);
    if (fs_mkdirs(w->job->en->store_fd, str_z(&path), 0700, e) < 0) return -1;
    return fs_open_dir(w->job->en->store_fd, str_z(&path), e);
}

static int lock_folder(struct build_work *w, const struct build_mount *m, const char *hex,
                       int *out, struct err *e)
{
    for (unsigned copy = 0; copy < PRIVATE_MAX; copy++) {
        own(fd) int fd = open_folder(w, hex, copy, e);
        if (fd < 0) return -1;
        int op = m->sharing == BUILD_SHARING_SHARED   ? LOCK_SH
                 : m->sharing == BUILD_SHARING_LOCKED ? LOCK_EX
                                                      : LOCK_EX | LOCK_NB;
        int rc = fs_lock(fd, op, e);
        if (rc < 0) return -1;
        struct stat st;
        // A prune may have taken the folder away while we waited.
        if (fstat(fd, &st) != 0 || st.st_nlink == 0) {
            copy--;
            continue;
        }
        if (rc == 0) {
            *out = take_fd(fd);
            return 0;
        }
    }
    return err_set(e, ERR_LIMIT, "more than %d steps use the cache mount '%s' at once", PRIVATE_MAX,
                   m->id);
}

int build_cachemount_open(struct build_work *w, const struct build_mount *m, int held,
                          int *out_lock, int *out_data, bool *out_fresh, struct err *e)
{
    char hex[CODEC_SHA256_HEX];
    own(fd) int lock = -1;
    codec_sha256_of(sv_of(m->id), hex);
    if (held >= 0 && (lock = fcntl(held, F_DUPFD_CLOEXEC, 3)) < 0)
        return err_sys(e, "use the cache mount '%s' twice", m->id);
    if (held < 0 && lock_folder(w, m, hex, &lock, e) < 0) return -1;
    *out_fresh = mkdirat(lock, "data", 0700) == 0;
    if (!*out_fresh && errno != EEXIST) return err_sys(e, "make the cache mount '%s'", m->id);
    if (*out_fresh && build_cacheimport_mount(w->job, m->id, lock) == 1) *out_fresh = false;
    own(fd) int data = fs_openat(lock, "data", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    if (data < 0) return err_wrap(e, "the cache mount '%s'", m->id);
    if (*out_fresh && (fchown(data, m->uid, m->gid) != 0 || fchmod(data, m->mode) != 0))
        return err_sys(e, "prepare the cache mount '%s'", m->id);
    *out_lock = take_fd(lock);
    *out_data = take_fd(data);
    return 0;
}

int build_cachemount_peek(struct engine *en, const char *id, int *out, struct err *e)
{
    char hex[CODEC_SHA256_HEX];
    codec_sha256_of(sv_of(id), hex);
    own(free) char *path = str_fmt("cache/mounts/%s/%s", en->form, hex);
    if (!fs_exists(en->store_fd, path)) return 0;
    own(fd) int fd = fs_open_dir(en->store_fd, path, e);
    if (fd < 0) return -1;
    int rc = fs_lock(fd, LOCK_EX | LOCK_NB, e);
    if (rc < 0) return -1;
    if (rc == 1 || !fs_exists(fd, "data")) return 0;
    *out = take_fd(fd);
    return 1;
}

static void to_map(struct sv text, char sep, struct map *out)
{
    while (text.p) {
        struct sv line = sv_cut(&text, sep), path = sv_cut(&line, '\t');
        if (!line.p) continue;
        own(free) char *key = sv_dup(path);
        map_set(out, key, sv_dup(line));
    }
}

static void copied_now(const struct build_work *w, struct map *out)
{
    for (size_t i = 0; i < w->state->copied.n; i++)
        to_map(sv_of(w->state->copied.p[i]), '\0', out);
}

// Many programs compare whole seconds. What the last step made is at most as new as `seen`, so the
// new times must lie in a later second than that.
static int next_second(int lock, struct err *e)
{
    struct stat st;
    if (fstatat(lock, "seen", &st, AT_SYMLINK_NOFOLLOW) != 0) return 0;
    int64_t now = clock_real_ns(), next = ((int64_t)st.st_mtim.tv_sec + 1) * 1000000000;
    if (now >= next || next - now > 1000000000) return 0;
    // The coarse clock of files runs behind: a tick more.
    int64_t wait = next - now + 11000000;
    struct timespec t = {wait / 1000000000, wait % 1000000000};
    while (nanosleep(&t, &t) != 0)
        if (errno != EINTR) return err_sys(e, "wait for the next second");
    return 0;
}

int build_cachemount_touch(struct build_work *w, int lock, const struct root *root,
                           struct strv *out_touched, struct err *e)
{
    own(str) struct str text = {.max = SEEN_MAX};
    own(map) struct map seen = {.free_value = free};
    own(map) struct map now = {.free_value = free};
    struct err ignored;
    if (fs_exists(lock, "seen") && fs_read_at(lock, "seen", SEEN_MAX, &text, &ignored) == 0)
        to_map(str_sv(&text), '\n', &seen);
    copied_now(w, &now);
    bool first = true;
    for (size_t i = 0; i < now.n; i++) {
        const char *before = map_get(&seen, now.p[i].key);
        if (before && strcmp(before, now.p[i].value) == 0) continue;
        if (first && next_second(lock, e) < 0) return -1;
        first = false;
        own(fd) int fd = fs_in_try(root, now.p[i].key, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (fd < 0) continue;
        if (futimens(fd, NULL) != 0) return err_sys(e, "touch '%s'", now.p[i].key);
        strv_add(out_touched, now.p[i].key + strspn(now.p[i].key, "/"));
    }
    return first ? 0 : fs_replace(lock, "seen", SV(""), 0600, e);
}

int build_cachemount_remember(struct build_work *w, int lock, bool ok, struct err *e)
{
    own(map) struct map now = {.free_value = free};
    own(str) struct str text = {.max = SEEN_MAX};
    copied_now(w, &now);
    for (size_t i = 0; ok && i < now.n; i++)
        str_addf(&text, "%s\t%s\n", now.p[i].key, (const char *)now.p[i].value);
    if (text.overflow) str_clear(&text);  // then everything is touched next time
    return fs_replace(lock, "seen", str_sv(&text), 0600, e);
}
