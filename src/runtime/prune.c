// SPDX-License-Identifier: Apache-2.0
// The verbs `container prune` and `update`.
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "runtime/events.h"
#include "runtime/life.h"
#include "runtime/logs.h"
#include "runtime/restart.h"
#include "runtime/state.h"
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
        if (runtime_time_parse(value.p, &out->until, e) < 0) return -1;
    }
    return 0;
}

// "label=K", "label=K=V", and "label!=..." for those without.
static bool labels_match(const struct strv *list, const struct runtime_config *c)
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

static bool wanted(struct engine *en, const struct runtime_row *row, const struct filters *f)
{
    struct err ignored;
    own(runtime_config) struct runtime_config c = {0};
    if (runtime_status_alive(row->state.status)) return false;
    if (f->until && row->brief.created >= f->until) return false;
    if (!f->all || f->all->n == 0) return true;
    return runtime_config_load(en, row->brief.id, &c, &ignored) == 0 && labels_match(f->all, &c);
}

int runtime_prune(struct engine *en, const struct strv *filters, struct strv *out_ids,
                  uint64_t *out_freed, struct err *e)
{
    own(runtime_rows) struct runtime_rows rows = {0};
    own(store_df) struct store_df df = {0};
    struct filters f;
    *out_freed = 0;
    if (read_filters(filters, &f, e) < 0 || runtime_sweep(en, e) < 0 ||
        runtime_container_list(en, true, &rows, e) < 0 || store_df(en, &df, e) < 0)
        return -1;
    const struct runtime_remove_options o = {0};
    vec_each(row, &rows)
    {
        struct err gone = {0};
        if (!wanted(en, row, &f)) continue;
        if (runtime_remove(en, row->brief.id, &o, &gone) < 0) {
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

static int change(struct runtime_config *c, void *arg, struct err *e)
{
    const struct runtime_update_options *o = arg;
    if (o->restart) {
        if (runtime_restart_parse(o->restart, &c->restart, &c->restart_max, e) < 0) return -1;
        if (c->restart && c->brief.rm)
            return err_set(e, ERR_CONFLICT,
                           "a container that is removed when it ends is not started again");
    }
    if (o->memory) c->memory = (int64_t)o->memory;
    if (o->memory_swap) c->memory_swap = o->memory_swap;
    if (c->memory && c->memory_swap > 0 && c->memory_swap < c->memory)
        return err_set(e, ERR_USAGE,
                       "Memory limit should be smaller than already set memoryswap limit, update "
                       "the memoryswap at the same time");
    if (o->cpu_shares) c->cpu_shares = (int64_t)o->cpu_shares;
    if (o->nano_cpus) c->nano_cpus = o->nano_cpus;
    if (o->has_pids_limit) c->pids_limit = o->pids_limit > 0 ? o->pids_limit : 0;
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

int runtime_update(struct engine *en, const char *id, const struct runtime_update_options *o,
                   struct err *e)
{
    struct runtime_update_options copy = *o;
    own(runtime_config) struct runtime_config c = {0};
    if (runtime_sweep(en, e) < 0 || runtime_config_change(en, id, change, &copy, e) < 0 ||
        runtime_config_load(en, id, &c, e) < 0)
        return -1;
    runtime_event_container(en, &c, "update", NULL);
    return 0;
}
