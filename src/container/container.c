// SPDX-License-Identifier: Apache-2.0
// The verbs `run`, `create` and `start`: what they share is that a monitor is forked, which goes on
// when we are gone, while we are its client for as long as somebody wants to watch.
#include "container/container.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/event.h"
#include "base/num.h"
#include "base/own.h"
#include "container/client.h"
#include "container/create.h"
#include "container/life.h"
#include "container/monitor.h"
#include "container/others.h"
#include "container/start.h"
#include "image/registry.h"
#include "record/events.h"
#include "record/message.h"
#include "record/record.h"
#include "record/state.h"
#include "sandbox/parse.h"
#include "sandbox/sandbox.h"
#include "store/ref.h"

void container_run_options_fini(struct container_run_options *o)
{
    struct strv *lists[] = {&o->args,     &o->env,      &o->env_files, &o->volumes, &o->mounts,
                            &o->tmpfs,    &o->devices,  &o->ulimits,   &o->labels,  &o->label_files,
                            &o->security, &o->log_opts, &o->ports,     &o->volumes_from,
                            &o->expose,   &o->attach,   &o->annotations};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) strv_fini(lists[i]);
    for (size_t i = 0; i < SANDBOX_DISK_COUNT; i++) strv_fini(&o->disks[i]);
    if (o->spec.rootfs_fd == 0) o->spec.rootfs_fd = -1;
    sandbox_spec_fini(&o->spec);
}

struct prepared {
    struct record_config config;
    struct sandbox_spec spec;
    struct record record;
};
#define PREPARED_NONE ((struct prepared){.spec = {.rootfs_fd = -1}, .record = RECORD_NONE})
static void own_prepared(struct prepared *p)
{
    record_close(&p->record);
    sandbox_spec_fini(&p->spec);
    record_config_fini(&p->config);
}

// Forks the monitor. Ours are closed: while we hold copies the container's root cannot go away.
static int fork_monitor(struct engine *en, struct prepared *p, int attach, bool direct,
                        int *out_sock, struct err *e)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return err_sys(e, "make a socket pair");
    own(fd) int mine = ends[0];
    own(fd) int theirs = ends[1];
    int pidfd = -1;
    pid_t pid = proc_fork(0, &pidfd);
    if (pid < 0) return err_sys(e, "start the container's monitor");
    if (pid == 0) {
        close(mine);
        struct monitor_options m = {.en = en,
                                    .config = &p->config,
                                    .spec = &p->spec,
                                    .record = &p->record,
                                    .sock = theirs,
                                    .attach = attach,
                                    .direct = direct};
        monitor_run(&m);
    }
    close(pidfd);
    record_close(&p->record);
    sandbox_spec_fini(&p->spec);
    *out_sock = take_fd(mine);
    return 0;
}

static int await_start(int sock, struct err *e)
{
    struct record_message m;
    if (record_message_receive(sock, &m, NULL) != 1)
        return err_set(e, ERR_INTERNAL, "the container's monitor died before the program started");
    if (m.kind != MESSAGE_FAILED) return 0;
    *e = m.err;
    return -1;
}

// A word of the command that is a file here but not in the container: most often a script that
// nobody copied into the image. Said only when the program failed.
static const char *script_left_out(const struct sandbox_spec *s)
{
    struct root root = {s->rootfs_fd, "the image"};
    for (size_t i = 0; i < s->mounts.n; i++)
        if (!s->mounts.p[i].made_by_default) return NULL; // it may come with a mount
    for (size_t i = 1; i < s->args.n; i++) {
        const char *word = s->args.p[i];
        if (word[0] == '-' || word[0] == '/' || !strchr(word, '.')) continue;
        struct stat st;
        own(free) char *inside = str_fmt("%s/%s", s->workdir ? s->workdir : "", word);
        own(fd) int there = fs_in_try(&root, inside, O_PATH, 0);
        if (there < 0 && errno == ENOENT && fs_exists(AT_FDCWD, word) &&
            fstatat(AT_FDCWD, word, &st, 0) == 0 && S_ISREG(st.st_mode))
            return word;
    }
    return NULL;
}

static void hint_at_script(struct engine *en, const char *script, int exit_code)
{
    if (script && exit_code != 0)
        event_info(&en->sink,
                   "hint: '%s' is in the current folder but not in the image: COPY it, or "
                   "mount it with -v \"$PWD:/work\" -w /work",
                   script);
}

static void hint_at_memory(struct engine *en, const struct record_config *c, int exit_code)
{
    own(str) struct str limit = {0};
    if (exit_code == 0 || c->memory <= 0) return;
    num_print_binary((uint64_t)c->memory, &limit);
    event_info(&en->sink,
               "hint: the container reached its memory limit of %s, and the kernel killed a program "
               "in it: give it more with -m",
               str_z(&limit));
}

// Who is told that a pull comes may want to change something that a user namespace does not allow.
static void announce_pull(struct engine *en, const struct container_run_options *o)
{
    struct store_ref ref;
    struct err ignored;
    enum image_pull_policy policy = IMAGE_PULL_MISSING;
    if (en->ids.inside || !o->progress || !o->progress->before) return;
    if (create_pull_option(o, &policy, &ignored) < 0 || policy == IMAGE_PULL_NEVER) return;
    if (policy == IMAGE_PULL_MISSING && store_ref_resolve(en, o->image, &ref, &ignored) == 0) return;
    o->progress->before(o->progress->arg, en);
}

static int make(struct engine *en, const struct container_run_options *o, struct prepared *p,
                struct err *e)
{
    own(strv) struct strv env = {0};
    if (create_read(en, o, &p->config, &env, e) < 0) return -1;
    announce_pull(en, o);
    if (others_enter(en, &p->config, e) < 0 || record_sweep(en, e) < 0) return -1;
    if (create_make(en, o, &env, &p->config, &p->record, &p->spec, e) == 0) return 0;
    if (p->spec.rootfs_fd >= 0) close(take_fd(p->spec.rootfs_fd));
    record_end(en, &p->record, true);
    record_purge(en, &p->record);
    return -1;
}

int container_create(struct engine *en, const struct container_run_options *o,
                     char out_id[RECORD_ID], struct err *e)
{
    own(prepared) struct prepared p = PREPARED_NONE;
    if (make(en, o, &p, e) < 0) return -1;
    record_event(en, &p.config, "create", NULL);
    memcpy(out_id, p.record.id, RECORD_ID);
    bool rm = p.record.rm; // it is for the time after its first run
    p.record.rm = false;
    record_end(en, &p.record, false);
    p.record.rm = rm;
    record_sync(&p.record);
    return 0;
}

static int run_attached(struct engine *en, const struct container_run_options *o,
                        struct prepared *p, int sock, int *out_code, struct err *e)
{
    bool detached = false, oom = false;
    struct client_options c = {.no_sig_proxy = o->no_sig_proxy,
                               .read_stdin = o->interactive,
                               .keys = o->detach_keys,
                               .tty = p->config.tty,
                               .id = p->config.brief.id,
                               .detached = &detached,
                               .oom = &oom};
    int rc = client_run(sock, true, &c, out_code, e);
    if (detached) record_event(en, &p->config, "detach", NULL);
    if (oom) hint_at_memory(en, &p->config, *out_code);
    if (rc == 0) return 0;
    struct err ignored;
    if (e->kind == ERR_INTERNAL) record_await_dead(en, p->record.id);
    record_sweep(en, &ignored); // a monitor that was killed may have left its program
    return -1;
}

int container_run(struct engine *en, const struct container_run_options *o, char out_id[RECORD_ID],
                  int *out_exit_code, struct err *e)
{
    own(prepared) struct prepared p = PREPARED_NONE;
    own(fd) int sock = -1;
    if (make(en, o, &p, e) < 0) return -1;
    memcpy(out_id, p.record.id, RECORD_ID);
    record_event(en, &p.config, "create", NULL);
    int attach = (int)p.config.attach;
    if (!o->interactive) attach &= ~MESSAGE_IN;
    // What is gone when it ends needs no log: then nothing stands between program and terminal.
    bool direct = (attach & MESSAGE_OUT) && (attach & MESSAGE_ERR) && o->rm && !o->spec.tty &&
                  (!o->log_driver || strcmp(o->log_driver, "none") == 0);
    if (attach) record_event(en, &p.config, "attach", NULL);
    // A copy: the spec goes to the monitor.
    own(free) char *script = attach ? str_dup(script_left_out(&p.spec)) : NULL;
    if (fork_monitor(en, &p, attach, direct, &sock, e) < 0) {
        record_end(en, &p.record, true);
        record_purge(en, &p.record);
        return -1;
    }
    if (!attach) return await_start(sock, e);
    if (run_attached(en, o, &p, sock, out_exit_code, e) < 0) return -1;
    hint_at_script(en, script, *out_exit_code);
    return 0;
}

static int start_attached(struct engine *en, struct prepared *p,
                          const struct container_attach_options *a, int sock, int *out_code,
                          struct err *e)
{
    bool detached = false, oom = false;
    struct client_options c = {.no_sig_proxy = a->no_sig_proxy,
                               .read_stdin = p->config.interactive && !a->no_stdin,
                               .keys = a->keys,
                               .tty = p->config.tty,
                               .id = p->config.brief.id,
                               .detached = &detached,
                               .oom = &oom};
    int rc = client_run(sock, true, &c, out_code, e);
    if (detached) record_event(en, &p->config, "detach", NULL);
    if (oom) hint_at_memory(en, &p->config, *out_code);
    return rc;
}

int container_start(struct engine *en, const char *id,
                    const struct container_attach_options *attach, int *out_code, struct err *e)
{
    own(prepared) struct prepared p = PREPARED_NONE;
    own(fd) int sock = -1;
    if (record_sweep(en, e) < 0 || record_config_load(en, id, &p.config, e) < 0 ||
        others_enter(en, &p.config, e) < 0 || record_adopt(en, id, &p.record, e) < 0)
        return -1;
    record_config_fini(&p.config);
    int rc = record_config_load(en, id, &p.config, e); // as it is now that it is ours
    if (rc == 0) {
        p.record.rm = p.config.brief.rm;
        snprintf(p.record.name, sizeof p.record.name, "%s", p.config.brief.name);
        p.record.named = sandbox_parse_name_ok(p.config.brief.name);
        rc = container_start_prepare(en, &p.config, &p.record, &p.spec, e);
    }
    int want = !attach ? 0
                       : MESSAGE_OUT | MESSAGE_ERR |
                             (p.config.interactive && !attach->no_stdin ? MESSAGE_IN : 0);
    if (rc == 0 && want) record_event(en, &p.config, "attach", NULL);
    if (rc == 0) rc = fork_monitor(en, &p, want, false, &sock, e);
    if (rc < 0) {
        p.record.rm = false;
        record_end(en, &p.record, false);
        return -1;
    }
    return want ? start_attached(en, &p, attach, sock, out_code, e) : await_start(sock, e);
}
