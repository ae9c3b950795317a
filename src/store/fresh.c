// SPDX-License-Identifier: Apache-2.0
// Marks of layers that were not synced yet. See store/fresh.h.
//
// Two who meet the same mark of another boot, and a third who makes the layer again, take turns
// through a flock on fresh/: the mark is read again under it before the layer is thrown away.
#include "store/fresh.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/own.h"
#include "store/tmp.h"

#define FOLDER "fresh"
#define NAME_MAX_LEN 160
#define MARK_MAX 128

static int lock_marks(struct engine *en, struct err *e)
{
    if (mkdirat(en->store_fd, FOLDER, 0700) != 0 && errno != EEXIST)
        return err_sys(e, "make '%s' in the store", FOLDER);
    own(fd) int fd = fs_open_dir(en->store_fd, FOLDER, e);
    if (fd < 0 || fs_lock(fd, LOCK_EX, e) < 0) return -1;
    return take_fd(fd);
}

// "<boot id> <host>": a store on a network file system may be in use on other machines, whose boots
// say nothing.
static int mark_text(char out[MARK_MAX], struct err *e)
{
    struct utsname u;
    char boot[37];
    if (uname(&u) != 0) return err_sys(e, "uname");
    if (clock_boot_id(boot, e) < 0) return -1;
    snprintf(out, MARK_MAX, "%s %s", boot, u.nodename);
    return 0;
}

enum mark { MARK_NONE, MARK_OURS, MARK_STALE, MARK_FOREIGN };

static int read_mark(struct engine *en, const char *name, struct err *e)
{
    char path[NAME_MAX_LEN + sizeof FOLDER], text[MARK_MAX] = "", ours[MARK_MAX];
    snprintf(path, sizeof path, FOLDER "/%s", name);
    ssize_t n = readlinkat(en->store_fd, path, text, sizeof text - 1);
    if (n < 0 && errno == ENOENT) return MARK_NONE;
    if (n < 0) return err_sys(e, "read '%s' in the store", path);
    if (mark_text(ours, e) < 0) return -1;
    if (strcmp(text, ours) == 0) return MARK_OURS;
    return n > 36 && strcmp(text + 36, ours + 36) == 0 ? MARK_STALE : MARK_FOREIGN;
}

int store_fresh_mark(struct engine *en, const char *id, struct err *e)
{
    char name[NAME_MAX_LEN], text[MARK_MAX];
    own(free) char *place = str_fmt("layers/%s/%s", en->form, id);
    snprintf(name, sizeof name, "%s.%s", en->form, id);
    if (store_fresh_believe(en, id, e) < 0) return -1;
    own(fd) int marks = lock_marks(en, e);
    if (marks < 0 || mark_text(text, e) < 0) return -1;
    // One that is there is believed and stays; marked, it would be lost with the next power cut.
    if (fs_exists(en->store_fd, place)) return take_fd(marks);
    if (symlinkat(text, marks, name) != 0 && errno != EEXIST)
        return err_sys(e, "mark layer '%s' as not synced", id);
    return take_fd(marks);
}

static int throw_away(struct engine *en, int marks, const char *name, struct err *e)
{
    const char *dot = strrchr(name, '.');
    if (dot) {
        own(free) char *form = str_fmt("layers/%.*s", (int)(dot - name), name);
        own(fd) int dir = openat(en->store_fd, form, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (dir < 0 && errno != ENOENT) return err_sys(e, "open '%s' in the store", form);
        if (dir >= 0 && store_trash(en, dir, dot + 1, e) < 0) return -1;
    }
    if (unlinkat(marks, name, 0) == 0 || errno == ENOENT) return 0;
    return err_sys(e, "remove the mark '%s'", name);
}

// 1: thrown away, 0: it was not stale.
static int drop_stale(struct engine *en, const char *name, struct err *e)
{
    int mark = read_mark(en, name, e);
    if (mark != MARK_STALE) return mark < 0 ? -1 : 0;
    own(fd) int marks = lock_marks(en, e);
    if (marks < 0) return -1;
    mark = read_mark(en, name, e);
    if (mark != MARK_STALE) return mark < 0 ? -1 : 0;
    return throw_away(en, marks, name, e) < 0 ? -1 : 1;
}

int store_fresh_believe(struct engine *en, const char *id, struct err *e)
{
    char name[NAME_MAX_LEN];
    snprintf(name, sizeof name, "%s.%s", en->form, id);
    int rc = drop_stale(en, name, e);
    return rc < 0 ? -1 : !rc;
}

int store_fresh_list(struct engine *en, struct strv *out, struct err *e)
{
    struct err bad = {0};
    if (fs_list(en->store_fd, FOLDER, out, &bad) == 0 || bad.sys == ENOENT) return 0;
    *e = bad;
    return -1;
}

int store_fresh_clear(struct engine *en, const struct strv *marks, struct err *e)
{
    if (marks->n == 0) return 0;
    own(fd) int dir = lock_marks(en, e);
    if (dir < 0) return -1;
    for (size_t i = 0; i < marks->n; i++) {
        int mark = read_mark(en, marks->p[i], e);
        if (mark < 0) return -1;
        // What another boot left was not made whole by syncing it now.
        if (mark == MARK_OURS && unlinkat(dir, marks->p[i], 0) != 0 && errno != ENOENT)
            return err_sys(e, "remove the mark '%s'", marks->p[i]);
    }
    // A mark that came back after a power cut would take a layer that names lead to.
    return fs_sync_dir(dir, e);
}

int store_fresh_sweep(struct engine *en, struct err *e)
{
    own(strv) struct strv names = {0};
    if (store_fresh_list(en, &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        if (drop_stale(en, names.p[i], e) < 0) return -1;
    }
    return 0;
}
