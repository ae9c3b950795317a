// SPDX-License-Identifier: Apache-2.0
// What one does with an OCI container that is there: state, kill, delete, pause, update, list.
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "base/signals.h"
#include "bundle/bundle.h"
#include "bundle/internal.h"

static void set_owner(struct codec_json *j, const struct bundle_box *box)
{
    own(free) char *owner = str_fmt("%lld", (long long)box->owner);
    codec_json_set_text(j, "owner", box->owner == 0 ? "root" : owner);
}

int bundle_state(struct bundle_context *c, const char *id, struct str *out, struct err *e)
{
    own(bundle_box) struct bundle_box box = BUNDLE_BOX_NONE;
    if (bundle_box_open(c, id, false, &box, e) < 0) return -1;
    own(codec_json) struct codec_json *j = bundle_box_state(&box, bundle_box_status(&box));
    codec_json_set_text(j, "rootfs", box.rootfs);
    codec_json_set_text(j, "created", box.created);
    set_owner(j, &box);
    codec_json_print_pretty(j, 2, out);
    str_addc(out, '\n');
    return 0;
}

// --- kill --------------------------------------------------------------------------------------

int bundle_kill(struct bundle_context *c, const char *id, const char *signal, bool all,
                struct err *e)
{
    own(bundle_box) struct bundle_box box = BUNDLE_BOX_NONE;
    bool none = signal && strcmp(signal, "0") == 0; // asks only whether it is there
    int sig = none ? 0 : signals_number(sv_of(signal ? signal : "SIGTERM"));
    if (sig < 0) return err_set(e, ERR_USAGE, "unknown signal '%s'", signal);
    if (bundle_box_open(c, id, false, &box, e) < 0) return -1;
    enum bundle_status status = bundle_box_status(&box);
    // With --all the container's init may be gone and others of its group still be there.
    if (all && box.groups.n) return bundle_cgroup_signal(&box.groups, sig, e);
    if (status == BUNDLE_STOPPED || status == BUNDLE_CREATING)
        return err_set(e, ERR_CONFLICT, "container not running");
    own(fd) int fd = bundle_box_pidfd(&box, e);
    if (fd < 0) return -1;
    if (syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) != 0)
        return err_sys(e, "signal container '%s'", id);
    // A frozen process dies when it thaws.
    struct err ignored;
    if (sig == SIGKILL && status == BUNDLE_PAUSED)
        bundle_cgroup_freeze(&box.groups, false, &ignored);
    return 0;
}

// --- delete ------------------------------------------------------------------------------------

int bundle_box_delete(struct bundle_box *b, const struct oci_runtime *config,
                      const struct event_sink *sink, struct err *e)
{
    bundle_cgroup_remove(&b->groups);
    if (config->hooks[OCI_HOOK_POSTSTOP].n) {
        own(codec_json) struct codec_json *state = bundle_box_state(b, BUNDLE_STOPPED);
        bundle_hooks_run(config, OCI_HOOK_POSTSTOP, state, sink, e);
    }
    return bundle_box_remove(b, e);
}

static int end_it(struct bundle_box *b, struct err *e)
{
    struct err ignored;
    own(fd) int fd = bundle_box_pidfd(b, &ignored);
    if (fd >= 0 && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) != 0 && errno != ESRCH)
        return err_sys(e, "kill container '%s'", b->id);
    if (bundle_cgroup_frozen(&b->groups)) bundle_cgroup_freeze(&b->groups, false, &ignored);
    struct pollfd gone = {.fd = fd, .events = POLLIN};
    if (fd >= 0 && poll(&gone, 1, 10000) == 0)
        return err_set(e, ERR_SYSTEM, "container '%s' did not end within 10 s after SIGKILL",
                       b->id);
    // Without a process namespace of its own the rest of the group outlives its first process.
    if (b->groups.n) bundle_cgroup_signal(&b->groups, SIGKILL, &ignored);
    return 0;
}

int bundle_delete(struct bundle_context *c, const char *id, bool force, struct err *e)
{
    own(bundle_box) struct bundle_box box = BUNDLE_BOX_NONE;
    own(oci_runtime) struct oci_runtime config = {0};
    if (bundle_box_open(c, id, true, &box, e) < 0)
        return force && e->kind == ERR_NOT_FOUND ? 0 : -1;
    enum bundle_status status = bundle_box_status(&box);
    if (status == BUNDLE_CREATING) {
        if (!force) return err_set(e, ERR_CONFLICT, "container '%s' is being created", id);
        // Its creator died, or we would not have the lock. Of the groups only what is new and empty
        // was its.
        for (size_t i = 0; i < box.groups.n; i++) unlinkat(AT_FDCWD, box.groups.p[i], AT_REMOVEDIR);
        return bundle_box_remove(&box, e);
    }
    if (status != BUNDLE_STOPPED && !force) {
        err_set(e, ERR_CONFLICT, "cannot delete container %s that is not stopped: %s", id,
                bundle_status_names[status]);
        return err_hint(e, "kill it first, or use --force");
    }
    if (status != BUNDLE_STOPPED && end_it(&box, e) < 0) return -1;
    struct err ignored;
    if (box.has_hooks && bundle_box_config(&box, &config, &ignored) < 0)
        event_warn(&c->sink, "container '%s': poststop hooks are lost: %s", id,
                   err_cause(&ignored));
    return bundle_box_delete(&box, &config, &c->sink, e);
}

// --- pause, update, list -----------------------------------------------------------------------

int bundle_freeze(struct bundle_context *c, const char *id, bool frozen, struct err *e)
{
    own(bundle_box) struct bundle_box box = BUNDLE_BOX_NONE;
    if (bundle_box_open(c, id, true, &box, e) < 0) return -1;
    enum bundle_status status = bundle_box_status(&box);
    bool fine =
        frozen ? status == BUNDLE_RUNNING || status == BUNDLE_CREATED : status == BUNDLE_PAUSED;
    if (!fine)
        return err_set(e, ERR_CONFLICT, "cannot %s a container that is %s",
                       frozen ? "pause" : "resume", bundle_status_names[status]);
    return bundle_cgroup_freeze(&box.groups, frozen, e);
}

// On v2 swap is counted apart: a new sum of both needs the one that is not changed.
static void complete_memory(const struct strv *groups, struct codec_json *resources)
{
    uint64_t limit;
    own(str) struct str text = {0};
    struct codec_json *memory = codec_json_get(resources, "memory");
    if (!bundle_cgroup_v2() || !groups->n || codec_json_int(codec_json_get(memory, "swap")) <= 0 ||
        codec_json_int(codec_json_get(memory, "limit")) ||
        bundle_cgroup_get(groups->p[0], "memory.max", &text) < 0 ||
        !num_u64_max(sv_trim(str_sv(&text)), INT64_MAX, &limit))
        return;
    codec_json_set(memory, "limit", codec_json_new_int((int64_t)limit));
}

int bundle_update(struct bundle_context *c, const char *id, struct sv resources, struct err *e)
{
    own(bundle_box) struct bundle_box box = BUNDLE_BOX_NONE;
    own(str) struct str folded = {0};
    own(codec_json) struct codec_json *j = NULL;
    oci_runtime_fold_numbers(resources, &folded);
    if (codec_json_parse(str_sv(&folded), "resources", &j, e) < 0 ||
        bundle_box_open(c, id, true, &box, e) < 0)
        return -1;
    if (bundle_box_status(&box) == BUNDLE_STOPPED)
        return err_set(e, ERR_CONFLICT, "cannot update a container that is stopped");
    complete_memory(&box.groups, j);
    if (bundle_cgroup_apply(&box.groups, j, e) < 0) return -1;
    bool root = geteuid() == 0 && !bundle_in_userns();
    struct idmap ids = {.mode = root ? IDMAP_ROOT : IDMAP_RANGE};
    ids.uid.range[0].outside = geteuid();
    if (box.scope) bundle_unit_tell(c, &ids, box.scope, j);
    return 0;
}

static void add_box(const struct bundle_context *c, const char *id, struct codec_json *list)
{
    struct err ignored;
    own(bundle_box) struct bundle_box box = BUNDLE_BOX_NONE;
    if (bundle_box_open(c, id, false, &box, &ignored) < 0) return; // removed meanwhile, or not ours
    struct codec_json *j = bundle_box_state(&box, bundle_box_status(&box));
    codec_json_set_text(j, "rootfs", box.rootfs);
    codec_json_set_text(j, "created", box.created);
    set_owner(j, &box);
    codec_json_add(list, j);
}

int bundle_list(struct bundle_context *c, struct codec_json **out, struct err *e)
{
    struct err ignored;
    own(strv) struct strv names = {0};
    struct codec_json *list = codec_json_new_array();
    own(fd) int root = bundle_box_root(c, false, &ignored);
    if (root >= 0 && fs_list(root, ".", &names, e) < 0) {
        codec_json_free(list);
        return -1;
    }
    for (size_t i = 0; i < names.n; i++)
        if (names.p[i][0] != '.') add_box(c, names.p[i], list);
    *out = list;
    return 0;
}

int bundle_pids(struct bundle_context *c, const char *id, struct codec_json **out, struct err *e)
{
    own(bundle_box) struct bundle_box box = BUNDLE_BOX_NONE;
    if (bundle_box_open(c, id, false, &box, e) < 0) return -1;
    struct codec_json *list = codec_json_new_array();
    if (bundle_cgroup_pids(&box.groups, list, e) < 0) {
        codec_json_free(list);
        return -1;
    }
    *out = list;
    return 0;
}

int bundle_stats(struct bundle_context *c, const char *id, struct codec_json **out, struct err *e)
{
    own(bundle_box) struct bundle_box box = BUNDLE_BOX_NONE;
    if (bundle_box_open(c, id, false, &box, e) < 0) return -1;
    if (bundle_box_status(&box) == BUNDLE_STOPPED)
        return err_set(e, ERR_CONFLICT, "container '%s' is not running", id);
    struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "type", "stats");
    codec_json_set_text(j, "id", id);
    codec_json_set(j, "data", bundle_cgroup_stats(&box.groups));
    *out = j;
    return 0;
}
