// SPDX-License-Identifier: Apache-2.0
// The asking side of the registry client (see oci/transfer.h). The helper is started at the first
// request, with our end of a socket pair as its standard input; it ends when that is closed. It
// gets the caller's environment: proxies, DOCKER_CONFIG and the folders of configuration stand
// there.
#include "image/remote.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "base/proc.h"
#include "base/vec.h"
#include "image/registry.h"

#define HELPER "dewar-registry"

struct image_remote {
    struct engine *en;
    struct proc proc;
    int sock;
    uint32_t last_id;
    struct {
        struct transfer_reply *p;
        size_t n, cap;
    } kept; // answers to others that came while one was waited for
};

int image_remote_open(struct engine *en, struct image_remote **out, struct err *e)
{
    (void)e;
    struct image_remote *r = mem_alloc(sizeof *r);
    *r = (struct image_remote){.en = en, .proc = PROC_NONE, .sock = -1};
    *out = r;
    return 0;
}

void image_remote_close(struct image_remote *r)
{
    struct err ignored = {0};
    int status = 0;
    if (!r) return;
    if (r->sock >= 0) close(r->sock);
    if (r->proc.fd >= 0) {
        // What it still does nobody waits for: part files stay, uploads are only offers.
        proc_kill(&r->proc, SIGKILL);
        proc_wait(&r->proc, &status, &ignored);
    }
    vec_fini(&r->kept);
    free(r);
}

static int start(struct image_remote *r, struct err *e)
{
    char path[4096];
    int ends[2];
    if (engine_helper(HELPER, path, sizeof path, e) < 0) return -1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return err_sys(e, "make a socket pair");
    own(fd) int mine = ends[0];
    own(fd) int theirs = ends[1];
    const char *const argv[] = {path, NULL};
    // Inside our user namespace we are id 0, and a program that asks would look for root's files.
    const struct proc_ids caller = {r->en->ids.uid.range[0].outside,
                                    r->en->ids.gid.range[0].outside};
    bool entered = r->en->ids.mode != IDMAP_ROOT && r->en->ids.inside;
    const struct proc_spec spec = {.argv = argv,
                                   .as = entered ? &caller : NULL,
                                   .env = (const char *const *)(uintptr_t)environ,
                                   .stdin_fd = theirs,
                                   .stdout_fd = PROC_NULL};
    if (proc_start(&spec, &r->proc, e) < 0) return -1;
    r->sock = take_fd(mine);
    return 0;
}

int image_remote_send(struct image_remote *r, struct transfer_request *q, int fd, struct err *e)
{
    if (r->sock < 0 && start(r, e) < 0) return -1;
    q->version = TRANSFER_VERSION;
    q->id = ++r->last_id;
    return transfer_send_request(r->sock, q, fd, e);
}

int image_remote_fd(const struct image_remote *r)
{
    return r->sock;
}

// The helper closed its end in the middle of our work.
static int gone(struct image_remote *r, struct err *e)
{
    struct err ignored = {0};
    int status = 0;
    close(take_fd(r->sock));
    if (r->proc.fd < 0 || proc_wait(&r->proc, &status, &ignored) < 0) status = 0;
    return err_set(e, ERR_INTERNAL, "the registry client ended early (status %d)",
                   proc_exit_code(status));
}

static int receive(struct image_remote *r, struct transfer_reply *out, struct err *e)
{
    for (;;) {
        int rc = transfer_receive_reply(r->sock, out, e);
        if (rc < 0) return -1;
        if (rc == 0) return gone(r, e);
        if ((unsigned)out->answer >= TRANSFER_ANSWER_COUNT)
            return err_set(e, ERR_INTERNAL, "the registry client gave an unknown answer");
        if (out->answer != TRANSFER_NOTICE) return 0;
        out->url[sizeof out->url - 1] = '\0';
        event_info(&r->en->sink, "%s", out->url);
    }
}

int image_remote_next(struct image_remote *r, struct transfer_reply *out, struct err *e)
{
    if (r->kept.n == 0) return receive(r, out, e);
    *out = r->kept.p[0];
    r->kept.n--;
    memmove(r->kept.p, r->kept.p + 1, r->kept.n * sizeof *r->kept.p);
    return 0;
}

int image_remote_ask(struct image_remote *r, struct transfer_request *q, int fd,
                     void (*on_progress)(void *arg, const struct transfer_reply *p), void *arg,
                     struct transfer_reply *out, struct err *e)
{
    if (image_remote_send(r, q, fd, e) < 0) return -1;
    for (;;) {
        if (receive(r, out, e) < 0) return -1;
        if (out->id != q->id) {
            vec_push(&r->kept, *out);
        } else if (out->answer == TRANSFER_DONE) {
            return 0;
        } else if (out->answer == TRANSFER_FAILED) {
            *e = out->err;
            return -1;
        } else if (on_progress) {
            on_progress(arg, out);
        }
    }
}

// --- words --------------------------------------------------------------------------------------

static const char *const policies[IMAGE_PULL_POLICY_COUNT] = {
    [IMAGE_PULL_MISSING] = "missing",
    [IMAGE_PULL_ALWAYS] = "always",
    [IMAGE_PULL_NEWER] = "newer",
    [IMAGE_PULL_NEVER] = "never",
};

const char *image_pull_policy_name(enum image_pull_policy p)
{
    return (unsigned)p < IMAGE_PULL_POLICY_COUNT ? policies[p] : "?";
}

int image_pull_policy_parse(const char *text, enum image_pull_policy *out, struct err *e)
{
    for (int i = 0; i < IMAGE_PULL_POLICY_COUNT; i++) {
        if (strcmp(text, policies[i]) != 0) continue;
        *out = (enum image_pull_policy)i;
        return 0;
    }
    err_set(e, ERR_USAGE, "invalid value '%s' for --pull", text);
    return err_hint(e, "it is always, missing, newer or never");
}
