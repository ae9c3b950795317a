// SPDX-License-Identifier: Apache-2.0
// One request: the table of what can be asked, and what is told meanwhile.
#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/own.h"
#include "registry/internal.h"

#define PROGRESS_NS 50000000

void job_progress(struct job *j, uint64_t done, uint64_t total)
{
    int64_t now = clock_mono_ns();
    if (j->told_ns && now - j->told_ns < PROGRESS_NS) return;
    j->told_ns = now;
    struct transfer_reply r = {.id = j->q.id, .answer = TRANSFER_PROGRESS};
    r.size = done;
    r.total = total;
    j->c->reply(j->c->arg, &r);
}

void job_notice(struct job *j, const char *fmt, ...)
{
    struct transfer_reply r = {.id = j->q.id, .answer = TRANSFER_NOTICE};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(r.url, sizeof r.url, fmt, ap);
    va_end(ap);
    j->c->reply(j->c->arg, &r);
}

static const struct {
    int (*run)(struct job *j, struct err *e);
    bool needs_fd;
    const char *of; // between the verb and the reference, in errors
} ops[TRANSFER_OP_COUNT] = {
    [TRANSFER_MANIFEST_GET] = {fetch_manifest_get, true, " of "},
    [TRANSFER_MANIFEST_HEAD] = {fetch_manifest_head, false, " of "},
    [TRANSFER_BLOB_GET] = {fetch_blob_get, true, " from "},
    [TRANSFER_BLOB_HEAD] = {fetch_blob_head, false, " in "},
};

static int wrap(const struct job *j, struct err *e)
{
    char digest[OCI_DIGEST_TEXT];
    own(str) struct str ref = {0};
    oci_ref_print_full(&j->q.ref, &ref);
    bool blob = oci_digest_is_set(&j->q.digest);
    return err_wrap(e, "cannot %s%s%s%s'%s'", transfer_op_text(j->q.op), blob ? " " : "",
                    blob ? oci_digest_print(&j->q.digest, digest) : "", ops[j->q.op].of,
                    str_z(&ref));
}

int job_run(struct job *j, struct err *e)
{
    j->r = (struct transfer_reply){.id = j->q.id, .time = INT64_MIN};
    if ((unsigned)j->q.op >= TRANSFER_OP_COUNT || !ops[j->q.op].run)
        return err_set(e, ERR_UNSUPPORTED, "the registry client cannot do request %u",
                       (unsigned)j->q.op);
    if (ops[j->q.op].needs_fd && j->fd < 0)
        return err_set(e, ERR_INTERNAL, "the request '%s' came without a file",
                       transfer_op_text(j->q.op));
    return ops[j->q.op].run(j, e) < 0 ? wrap(j, e) : 0;
}
