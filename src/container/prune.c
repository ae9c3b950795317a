// SPDX-License-Identifier: Apache-2.0
// The verbs `container prune` and `update`.
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "container/create.h"
#include "container/life.h"
#include "container/restart.h"
#include "record/events.h"
#include "record/logs.h"
#include "record/state.h"
#include "store/event.h"
#include "store/gc.h"

// --- prune -------------------------------------------------------------------------------------

struct filters {
    int64_t until; // ns; 0: none
    const struct strv *all;
};

static int read_filters(const struct strv *list, struct filters *out, struct err *e)
{
    *out = (struct filters){.all = list};
    for (size_t i = 0; list && i < list->n; i++) {
        struct sv value = sv_of(list->p[i]), key = sv_cut(&value, '=');
        if (sv_starts(key, "label") && value.p && value.n) continue;
        if (!sv_eqz(key, "until") || !value.p)
            return err_set(e, ERR_USAGE, "invalid filter '%s'", list->p[i]);
        if (record_time_parse(value.p, &out->until, e) < 0) return -1;
    }
    return 0;
}

// "label=K", "label=K=V", and "label!=..." for those without.
static bool labels_match(const struct strv *list, const struct record_config *c)
{
    for (size_t i = 0; list && i < list->n; i++) {
        struct sv rest = sv_of(list->p[i]), key = sv_cut(&rest, '=');
        bool unwanted = sv_eqz(key, "label!");
        if (!unwanted && !sv_eqz(key, "label")) continue;
        own(free) char *name = sv_dup(sv_cut(&rest, '='));
        const char *have = map_get(&c->labels, name);
        bool match = have && (!rest.p || sv_eqz(rest, have));
        if (match == unwanted) return false;
    }
    return true;
}

static bool wanted(struct engine *en, const struct record_row *row, const struct filters *f)
{
    struct err ignored;
    own(record_config) struct record_config c = {0};
    if (record_status_alive(row->state.status)) return false;
    if (f->until && row->brief.created >= f->until) return false;
    if (!f->all || f->all->n == 0) return true;
    return record_config_load(en, row->brief.id, &c, &ignored) == 0 && labels_match(f->all, &c);
}

int container_prune(struct engine *en, const struct strv *filters, struct strv *out_ids,
                    uint64_t *out_freed, struct err *e)
{
    own(record_rows) struct record_rows rows = {0};
    own(store_df) struct store_df df = {0};
    struct filters f;
    *out_freed = 0;
    if (read_filters(filters, &f, e) < 0 || record_sweep(en, e) < 0 ||
        record_list(en, true, &rows, e) < 0 || store_df(en, &df, e) < 0)
        return -1;
    const struct container_remove_options o = {0};
    vec_each(row, &rows)
    {
        struct err gone = {0};
        if (!wanted(en, row, &f)) continue;
        if (container_remove(en, row->brief.id, &o, &gone) < 0) {
            if (gone.kind == ERR_NOT_FOUND || gone.kind == ERR_CONFLICT) continue; // it lives now
            *e = gone;
            return -1;
        }
        strv_add(out_ids, row->brief.id);
        vec_each(item, &df.containers) if (strcmp(item->id, row->brief.id) == 0) *out_freed +=
            item->size;
    }
    store_event_pruned(en, "container", *out_freed);
    return 0;
}

// --- update ------------------------------------------------------------------------------------

static int change(struct record_config *c, void *arg, struct err *e)
{
    const struct container_update_options *o = arg;
    if (o->restart) {
        if (restart_parse(o->restart, &c->restart, &c->restart_max, e) < 0) return -1;
        if (c->restart && c->brief.rm)
            return err_set(e, ERR_CONFLICT,
                           "a container that is removed when it ends is not started again");
    }
    if (o->memory) c->memory = (int64_t)o->memory;
    if (o->memory_swap) c->memory_swap = o->memory_swap;
    const struct {
        int64_t *to, value;
    } numbers[] = {{&c->memory_reservation, o->memory_reservation},
                   {&c->cpu_quota, o->cpu_quota},
                   {&c->cpu_period, o->cpu_period},
                   {&c->cpu_rt_period, o->cpu_rt_period},
                   {&c->cpu_rt_runtime, o->cpu_rt_runtime},
                   {&c->blkio_weight, o->blkio_weight}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].value) *numbers[i].to = numbers[i].value;
    if (o->cpu_shares) c->cpu_shares = (int64_t)o->cpu_shares;
    if (o->nano_cpus) c->nano_cpus = o->nano_cpus;
    if (o->has_pids_limit) c->pids_limit = o->pids_limit > 0 ? o->pids_limit : 0;
    if (create_check_limits(c, e) < 0) return -1;
    const struct {
        char **to;
        const char *from;
    } texts[] = {{&c->cpuset_cpus, o->cpuset_cpus}, {&c->cpuset_mems, o->cpuset_mems}};
    for (size_t i = 0; i < 2; i++) {
        if (!texts[i].from) continue;
        free(*texts[i].to);
        *texts[i].to = str_dup(texts[i].from);
    }
    return 0;
}

int container_update(struct engine *en, const char *id, const struct container_update_options *o,
                     struct err *e)
{
    struct container_update_options copy = *o;
    own(record_config) struct record_config c = {0};
    if (record_sweep(en, e) < 0 || record_config_change(en, id, change, &copy, e) < 0 ||
        record_config_load(en, id, &c, e) < 0)
        return -1;
    record_event(en, &c, "update", NULL);
    return 0;
}
