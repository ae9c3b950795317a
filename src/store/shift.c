// SPDX-License-Identifier: Apache-2.0
#include "store/shift.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/vec.h"
#include "store/copytree.h"
#include "store/fresh.h"

#define STEP_BYTES ((uint64_t)4 << 20)  // between two signs of progress
#define WORK 0x5349  // this unit of work among the events of a command

struct copying {
    const struct event_sink *sink;
    uint64_t done, total, told;
};

static void step(void *arg, uint64_t bytes)
{
    struct copying *c = arg;
    c->done += bytes;
    if (c->done - c->told < STEP_BYTES) return;
    c->told = c->done;
    event_emit(c->sink, (struct event){.kind = EVENT_PROGRESS, .id = WORK, .done = c->done,
                                       .total = c->total});
}

bool store_shift_is_form(const struct engine *en, const char *form)
{
    size_t n = strlen(en->form);
    return strncmp(form, en->form, n) == 0 && form[n] == '+';
}

// The files beside fs/ that a copy has: who it is. No recipe, for its archive is the original's.
static int copy_meta(int from, int to, struct err *e)
{
    own(str) struct str text = {0};
    if (fs_read_at(from, "meta", (size_t)256 << 20, &text, e) < 0) return -1;
    return fs_replace(to, "meta", str_sv(&text), 0600, e);
}

static int copy_layer(struct engine *en, const struct store_shift *s, const struct store_layer *l,
                      struct copying *c, int to, struct err *e)
{
    const struct store_copytree opt = {s->uid, s->gid, true, step, c};
    own(free) char *path = str_fmt("layers/%s/%s", en->form, l->id);
    own(fd) int from = fs_open_dir(en->store_fd, path, e);
    if (from < 0 || copy_meta(from, to, e) < 0) return -1;
    if (mkdirat(to, "fs", 0700) != 0) return err_sys(e, "make the layer's folder");
    own(fd) int a = fs_open_dir(from, "fs", e);
    own(fd) int b = a < 0 ? -1 : fs_open_dir(to, "fs", e);
    return b < 0 ? -1 : store_copytree(a, b, &opt, e);
}

static int publish(struct engine *shifted, struct store_tmp *tmp, const struct store_layer *l,
                   int place, struct err *e)
{
    own(fd) int mark = store_fresh_mark(shifted, l->id, e);
    if (mark < 0) return -1;
    if (renameat2(tmp->fd, l->id, place, l->id, RENAME_NOREPLACE) == 0) return 0;
    return err_sys(e, "put layer '%s' into place", l->id);
}

static int make_one(struct engine *en, struct engine *shifted, const struct store_shift *s,
                    const struct store_layer *l, int place, struct copying *c, struct err *e)
{
    struct store_tmp tmp = STORE_TMP_NONE;
    if (store_tmp_open(en, &tmp, e) < 0) return -1;
    int rc = mkdirat(tmp.fd, l->id, 0700) == 0 ? 0 : err_sys(e, "make the layer's folder");
    own(fd) int dir = rc == 0 ? fs_open_dir(tmp.fd, l->id, e) : -1;
    rc = dir < 0 ? -1 : copy_layer(en, s, l, c, dir, e);
    if (rc == 0) rc = publish(shifted, &tmp, l, place, e);
    store_tmp_close(en, &tmp);
    return rc;
}

// Those that are not there; sets their bits in `missing` and adds up what they hold.
static int look(struct engine *shifted, const struct store_layer *layers, size_t n, bool *missing,
                struct copying *c, size_t *out_n, struct err *e)
{
    *out_n = 0;
    c->total = 0;
    for (size_t i = 0; i < n; i++) {
        own(free) char *path = str_fmt("layers/%s/%s", shifted->form, layers[i].id);
        int there = store_fresh_believe(shifted, layers[i].id, e);
        if (there < 0) return -1;
        missing[i] = !there || !fs_exists(shifted->store_fd, path);
        for (size_t k = 0; k < i; k++)  // one layer may stand in an image twice
            if (missing[i] && strcmp(layers[k].id, layers[i].id) == 0) missing[i] = false;
        if (!missing[i]) continue;
        ++*out_n;
        c->total += layers[i].bytes;
    }
    return 0;
}

static int make_missing(struct engine *en, struct engine *shifted, const struct store_shift *s,
                        const struct store_layer *layers, size_t n, const bool *missing, int place,
                        struct copying *c, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (!missing[i] || make_one(en, shifted, s, &layers[i], place, c, e) == 0) continue;
        return err_wrap(e, "copying layer %zu of %zu for other ids", i + 1, n);
    }
    return store_sync(shifted, e);
}

static int make_all(struct engine *en, struct engine *shifted, const struct store_shift *s,
                    const struct store_layer *layers, size_t n, bool *missing, struct err *e)
{
    struct copying c = {.sink = &en->sink};
    size_t count;
    own(free) char *path = str_fmt("layers/%s", shifted->form);
    if (fs_mkdirs(en->store_fd, path, 0700, e) < 0) return -1;
    own(fd) int place = fs_open_dir(en->store_fd, path, e);
    // Another one who makes them may have been first.
    if (place < 0 || fs_lock(place, LOCK_EX, e) < 0 ||
        look(shifted, layers, n, missing, &c, &count, e) < 0)
        return -1;
    if (count == 0) return 0;
    own(free) char *name = str_fmt("copying %zu layer%s for other ids (%s); kept for later runs", count,
                                   count == 1 ? "" : "s", s->name);
    if (s->begin)
        s->begin(s->arg, en);
    else
        event_info(&en->sink, "%s", name);
    event_emit(c.sink, (struct event){.kind = EVENT_START, .id = WORK, .name = name});
    int rc = make_missing(en, shifted, s, layers, n, missing, place, &c, e);
    event_emit(c.sink, (struct event){.kind = rc < 0 ? EVENT_FAILED : EVENT_DONE, .id = WORK,
                                      .text = SV("")});
    if (s->end) s->end(s->arg, en, rc == 0);
    return rc;
}

int store_shift(struct engine *en, const struct store_shift *s, const struct store_layer *layers,
                size_t n, struct engine *out, struct err *e)
{
    struct copying c = {0};
    size_t count;
    *out = *en;
    int len = snprintf(out->form, sizeof out->form, "%s+%s", en->form, s->name);
    if (len < 0 || (size_t)len >= sizeof out->form)
        return err_set(e, ERR_LIMIT, "the name '%s' of a mapping of ids is too long", s->name);
    bool *missing = mem_alloc((n + 1) * sizeof *missing);
    int rc = look(out, layers, n, missing, &c, &count, e);
    if (rc == 0 && count > 0) rc = make_all(en, out, s, layers, n, missing, e);
    free(missing);
    return rc;
}
