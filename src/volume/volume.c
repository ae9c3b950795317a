// SPDX-License-Identifier: Apache-2.0
// Volumes on disk: made, claimed, filled on their first use, opened, removed. volume.h tells the
// form and the order of marks and locks.
#include "volume/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/own.h"
#include "record/record.h"
#include "record/state.h"
#include "record/uses.h"
#include "sandbox/parse.h"
#include "sandbox/sandbox.h"
#include "store/event.h"
#include "store/tmp.h"
#include "volume/claim.h"
#include "volume/internal.h"

#define TRIES 100
#define WAIT_STEP 10000000 // ns
#define WAIT_TRIES 100     // a second in all
#define FRESH "fresh"
#define DATA VOLUME_DATA

// --- names -------------------------------------------------------------------------------------

int volume_name_check(const char *name, struct err *e)
{
    size_t n = strlen(name);
    if (sandbox_parse_name_ok(name)) return 0;
    if (n == 1 && ((name[0] | 32) >= 'a' && (name[0] | 32) <= 'z'))
        err_set(e, ERR_INPUT,
                "volume name '%s' is too short, names should be at least two "
                "alphanumeric characters",
                name);
    else
        err_set(e, ERR_INPUT, "'%.*s' includes invalid characters for a local volume name",
                (int)strnlen(name, 100), name);
    return err_hint(e, "a name begins with a letter or digit and goes on with letters, digits, "
                       "'_', '.' and '-'; 2 to 128 characters; a folder needs its path: ./data");
}

int volume_missing(const char *name, struct err *e)
{
    return err_set(e, ERR_NOT_FOUND, "get %.*s: no such volume", (int)strnlen(name, 200), name);
}

// --- making ------------------------------------------------------------------------------------

static int lost(struct err *e)
{
    return e->kind == ERR_SYSTEM && (e->sys == EEXIST || e->sys == ENOTEMPTY) ? 0 : -1;
}

// Complete in a temporary folder, then renamed. 1: made, 0: somebody else was faster.
static int publish(struct engine *en, int all, const char *name, const struct volume_meta *meta,
                   struct store_tmp *t, struct err *e)
{
    if (mkdirat(t->fd, "v", 0700) != 0 || mkdirat(t->fd, "v/" DATA, 0755) != 0)
        return err_sys(e, "make the volume '%s'", name);
    own(fd) int dir = fs_open_dir(t->fd, "v", e);
    own(str) struct str text = {0};
    if (dir < 0) return -1;
    if (fchmodat(dir, DATA, 0755, 0) != 0 || mknodat(dir, FRESH, S_IFREG | 0600, 0) != 0)
        return err_sys(e, "make the volume '%s'", name);
    volume_meta_print(meta, &text);
    if (fs_atomic_write(dir, "meta", str_sv(&text), 0600, e) < 0) return -1;
    if (renameat2(t->fd, "v", all, name, RENAME_NOREPLACE) != 0) {
        err_sys(e, "make the volume '%s'", name);
        return lost(e);
    }
    if (fs_sync_dir(all, e) < 0) return -1;
    store_event(en, "volume", "create", name, (const char *const[]){"driver", "local", NULL});
    return 1;
}

int volume_make(struct engine *en, const char *name, const struct volume_meta *meta, struct err *e)
{
    struct store_tmp t = STORE_TMP_NONE;
    own(fd) int all = fs_open_dir(en->store_fd, "volumes", e);
    if (all < 0 || store_tmp_open(en, &t, e) < 0) return -1;
    int rc = publish(en, all, name, meta, &t, e);
    store_tmp_close(en, &t);
    return rc;
}

// Waits for as long as a copy takes, and says so when that is long.
static int take_lock(struct engine *en, int dir, const char *name, struct err *e)
{
    for (int i = 0; i < WAIT_TRIES; i++) {
        int rc = fs_lock(dir, LOCK_EX | LOCK_NB, e);
        if (rc <= 0) return rc;
        nanosleep(&(struct timespec){.tv_nsec = WAIT_STEP}, NULL);
    }
    event_info(&en->sink, "waiting for another command that fills the volume '%s'", name);
    return fs_lock(dir, LOCK_EX, e);
}

// The volume's folder, locked. What was locked must still be there: the volume may have been
// removed while we waited.
int volume_lock(struct engine *en, const char *name, struct err *e)
{
    own(fd) int all = fs_open_dir(en->store_fd, "volumes", e);
    if (all < 0) return -1;
    for (int i = 0; i < TRIES; i++) {
        struct stat mine, there;
        own(fd) int dir = openat(all, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (dir < 0)
            return errno == ENOENT ? volume_missing(name, e) : err_sys(e, "open '%s'", name);
        if (take_lock(en, dir, name, e) < 0) return -1;
        if (fstat(dir, &mine) == 0 && fstatat(all, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
            mine.st_ino == there.st_ino)
            return take_fd(dir);
    }
    return err_set(e, ERR_CONFLICT, "the volume '%s' is made and removed all the time", name);
}

// `v`: what it shall be where it is not there.
static int lock_or_make(struct engine *en, const struct record_mount *v, struct err *e)
{
    const char *name = v->name;
    own(volume_meta) struct volume_meta meta = {.created = clock_real_ns(),
                                                .anonymous = v->anonymous};
    if (volume_meta_add(&meta.options, &v->options, "option", e) < 0 ||
        volume_meta_add(&meta.labels, &v->labels, "label", e) < 0 ||
        volume_driver_check(en, &meta.options, e) < 0)
        return -1;
    for (int i = 0; i < TRIES; i++) {
        struct err missing = {0};
        int dir = volume_lock(en, name, &missing);
        if (dir >= 0) return dir;
        if (missing.kind != ERR_NOT_FOUND) {
            *e = missing;
            return -1;
        }
        if (volume_make(en, name, &meta, e) < 0) return -1;
        err_clear(e);
    }
    return err_set(e, ERR_CONFLICT, "the volume '%s' is made and removed all the time", name);
}

static bool is_empty(int dir)
{
    own(strv) struct strv names = {0};
    struct err ignored;
    return fs_list(dir, DATA, &names, &ignored) == 0 && names.n == 0;
}

// --- for containers ----------------------------------------------------------------------------

int volume_claim(struct engine *en, struct record *r, const struct record_mount *v, struct err *e)
{
    const char *name = v->name;
    own(free) char *mark = str_fmt("%s-%s", v->anonymous ? "v" : "n", name);
    if (volume_name_check(name, e) < 0) return -1;
    if (mknodat(r->fd, mark, S_IFREG | 0600, 0) != 0 && errno != EEXIST)
        return err_sys(e, "note the volume '%s'", name);
    own(fd) int dir = lock_or_make(en, v, e);
    if (dir < 0) return -1;
    int shared = fs_exists(dir, FRESH) || !is_empty(dir) ? 1 : record_uses_shared(en, name, r->id, e);
    if (shared != 0) return shared < 0 ? -1 : 0;
    if (mknodat(dir, FRESH, S_IFREG | 0600, 0) != 0 && errno != EEXIST)
        return err_sys(e, "note that the volume '%s' is empty", name);
    return 0;
}

static int replace(int dir, const char *path, struct err *e)
{
    // Over an empty folder only: the kernel refuses any other.
    if (renameat(dir, VOLUME_NEW, dir, DATA) == 0) return 0;
    return err_sys(e, "make a volume for '%s'", path);
}

// The first use. Files that somebody has put there by hand are theirs and stay alone.
static int first_use(int dir, const struct root *image, const char *path, bool copy,
                     const struct sandbox_ids *ids, struct err *e)
{
    if (is_empty(dir)) {
        own(fd) int data = volume_fill(dir, image, path, copy, ids, e);
        if (data < 0) return -1;
        if (copy && syncfs(data) != 0) return err_sys(e, "write the volume for '%s' to disk", path);
        if (replace(dir, path, e) < 0) return -1;
    }
    if (unlinkat(dir, FRESH, 0) != 0) return err_sys(e, "note that the volume is used");
    return 0;
}

static int open_part(int data, const struct record_mount *v, struct err *e)
{
    struct root root = {data, "the volume"};
    int fd = fs_in_open(&root, v->subpath, O_PATH, 0, e);
    if (fd >= 0) return fd;
    err_wrap(e, "opening '%s' in the volume '%s'", v->subpath, v->name);
    return err_hint(e, "a subpath must be there before it is mounted");
}

// What a driver mounted is not ours to rename, and may hold something already.
static int fill_mounted(int dir, int data, const struct root *image, const char *path, bool copy,
                        const struct sandbox_ids *ids, struct err *e)
{
    own(strv) struct strv names = {0};
    if (fs_list(data, ".", &names, e) < 0) return -1;
    own(fd) int from = fs_in_try(image, path, O_RDONLY | O_DIRECTORY, 0);
    if (copy && from >= 0 && names.n == 0 && volume_fill_into(data, image, path, true, ids, e) < 0) return -1;
    if (unlinkat(dir, FRESH, 0) != 0) return err_sys(e, "note that the volume is used");
    return 0;
}

static int open_mounted(struct engine *en, int dir, const struct record_mount *v, const char *id,
                        const struct volume_meta *meta, const struct root *image, const char *path,
                        const struct sandbox_ids *ids, bool *out_readonly, struct err *e)
{
    own(fd) int data = volume_driver_open(en, dir, v->name, id, &meta->options, out_readonly, e);
    if (data < 0) return -1;
    if (!v->subpath && fs_exists(dir, FRESH) &&
        fill_mounted(dir, data, image, path, !v->nocopy && !*out_readonly, ids, e) < 0)
        return err_wrap(e, "filling the volume '%s'", v->name);
    return v->subpath ? open_part(data, v, e) : take_fd(data);
}

static int open_named(struct engine *en, const struct record_mount *v, const char *id,
                      const struct root *image, const char *path, const struct sandbox_ids *ids,
                      bool *out_readonly, struct err *e)
{
    own(volume_meta) struct volume_meta meta = {0};
    if (volume_name_check(v->name, e) < 0) return -1;
    own(fd) int dir = lock_or_make(en, v, e);
    if (dir < 0 || volume_meta_load(dir, &meta, e) < 0) return -1;
    if (meta.options.n)
        return open_mounted(en, dir, v, id, &meta, image, path, ids, out_readonly, e);
    if (!v->subpath && fs_exists(dir, FRESH) && first_use(dir, image, path, !v->nocopy, ids, e) < 0)
        return err_wrap(e, "filling the volume '%s'", v->name);
    own(fd) int data = fs_open_dir(dir, DATA, e);
    if (data < 0) return -1;
    return v->subpath ? open_part(data, v, e) : take_fd(data);
}

int volume_open(struct engine *en, const struct record_mount *v, const char *id,
                const struct root *image, const char *path, const struct sandbox_ids *ids,
                bool *out_readonly, struct err *e)
{
    own(free) char *meta = str_fmt("volumes/%s/meta", v->name);
    if (!v->anonymous || fs_exists(en->store_fd, meta))
        return open_named(en, v, id, image, path, ids, out_readonly, e);
    own(free) char *folder = str_fmt("volumes/%s", v->name);
    if (mkdirat(en->store_fd, folder, 0700) != 0 && errno != EEXIST)
        return err_sys(e, "make '%s'", folder);
    own(fd) int dir = fs_open_dir(en->store_fd, folder, e);
    if (dir < 0) return -1;
    if (fs_exists(dir, DATA)) return fs_open_dir(dir, DATA, e);
    own(fd) int data = volume_fill(dir, image, path, !v->nocopy, ids, e);
    if (data < 0 || replace(dir, path, e) < 0) return -1;
    return take_fd(data);
}

void volume_release(struct engine *en, const struct record_config *c)
{
    vec_each(v, &c->volumes) if (strcmp(v->type, "volume") == 0 && v->name)
        volume_driver_release(en, v->name, c->brief.id);
}

void volume_events(struct engine *en, const struct record_config *c, const char *action)
{
    bool mount = strcmp(action, "mount") == 0;
    vec_each(v, &c->volumes)
    {
        if (strcmp(v->type, "volume") != 0 || !v->name) continue;
        const char *const more[] = {"container",
                                    c->brief.id,
                                    "driver",
                                    "local",
                                    mount ? "destination" : NULL,
                                    v->target,
                                    "propagation",
                                    v->propagation ? v->propagation : "",
                                    "read/write",
                                    v->readonly ? "false" : "true",
                                    NULL};
        store_event(en, "volume", action, v->name, more);
    }
}

// --- removing ----------------------------------------------------------------------------------

static int in_use(const char *name, const struct record_uses *uses, struct err *e)
{
    own(str) struct str ids = {0};
    const char *first = NULL;
    vec_each(u, uses)
    {
        if (strcmp(u->name, name) != 0) continue;
        if (ids.n < 300) str_addf(&ids, "%s%.12s", ids.n ? ", " : "", u->id);
        if (!first) first = u->id;
    }
    if (!first) return 0;
    err_set(e, ERR_CONFLICT, "remove %s: volume is in use - [%s]", name, str_z(&ids));
    return err_hint(e, "remove the containers first, for example with 'dewar rm -f %.12s'", first);
}

int volume_remove(struct engine *en, const char *name, bool force, struct err *e)
{
    struct err gone = {0};
    if (record_sweep(en, e) < 0) return -1;
    own(fd) int dir =
        sandbox_parse_name_ok(name) ? volume_lock(en, name, &gone) : volume_missing(name, &gone);
    if (dir < 0 && force && gone.kind == ERR_NOT_FOUND) return 0;
    if (dir < 0) {
        *e = gone;
        return -1;
    }
    own(record_uses) struct record_uses uses = {0};
    own(fd) int all = fs_open_dir(en->store_fd, "volumes", e);
    if (all < 0 || record_uses_load(en, &uses, e) < 0 || in_use(name, &uses, e) < 0 ||
        volume_driver_drop(en, dir, name, e) < 0 || store_trash(en, all, name, e) < 0)
        return -1;
    store_event(en, "volume", "destroy", name, (const char *const[]){"driver", "local", NULL});
    return 0;
}

int volume_sweep(struct engine *en, struct err *e)
{
    own(strv) struct strv names = {0};
    own(fd) int all = fs_open_dir(en->store_fd, "volumes", e);
    if (all < 0 || fs_list(all, ".", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        struct err ignored;
        own(fd) int dir =
            openat(all, names.p[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        volume_driver_release(en, names.p[i], "");
        if (dir < 0 || !fs_exists(dir, VOLUME_NEW)) continue;
        // One of a container that is being made is not locked, but its container is alive.
        if (fs_exists(dir, "meta") && fs_lock(dir, LOCK_EX | LOCK_NB, &ignored) == 0)
            fs_remove_tree(dir, VOLUME_NEW, &ignored);
    }
    return 0;
}
