// SPDX-License-Identifier: Apache-2.0
// One request: the table of what can be asked, and what is told meanwhile.
#include <errno.h>
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

int job_write(struct job *j, const void *p, size_t n, uint64_t at, struct err *e)
{
    const char *from = p;
    while (n > 0) {
        ssize_t w = pwrite(j->fd, from, n, (off_t)at);
        if (w < 0 && errno == EINTR) continue;
        if (w < 0) return err_sys(e, "write what was downloaded");
        from += w;
        at += (uint64_t)w;
        n -= (size_t)w;
    }
    return 0;
}

// --- the table -------------------------------------------------------------------------------

static const struct {
    int (*run)(struct job *j, struct err *e);
    bool needs_fd;
    const char *of; // between the verb and what is named, in errors
    enum { OF_REF, OF_BLOB, OF_REPOSITORY, OF_HOST, OF_URL } name;
} ops[TRANSFER_OP_COUNT] = {
    [TRANSFER_MANIFEST_GET] = {fetch_manifest_get, true, " of ", OF_REF},
    [TRANSFER_MANIFEST_HEAD] = {fetch_manifest_head, false, " of ", OF_REF},
    [TRANSFER_MANIFEST_PUT] = {push_manifest_put, true, " to ", OF_REF},
    [TRANSFER_MANIFEST_DELETE] = {push_manifest_delete, false, " of ", OF_REF},
    [TRANSFER_BLOB_GET] = {fetch_blob_get, true, " from ", OF_BLOB},
    [TRANSFER_BLOB_HEAD] = {fetch_blob_head, false, " in ", OF_BLOB},
    [TRANSFER_BLOB_PUT] = {push_blob_put, true, " to ", OF_BLOB},
    [TRANSFER_TAGS] = {list_tags, true, " of ", OF_REPOSITORY},
    [TRANSFER_SEARCH] = {list_search, true, " at ", OF_HOST},
    [TRANSFER_LOGIN] = {login_do, true, " to ", OF_HOST},
    [TRANSFER_LOGOUT] = {login_undo, false, " of ", OF_HOST},
    [TRANSFER_URL_GET] = {web_get, true, " ", OF_URL},
};

static int wrap(const struct job *j, struct err *e)
{
    const struct transfer_request *q = &j->q;
    own(str) struct str what = {0};
    switch (ops[q->op].name) {
    case OF_REF:
        oci_ref_print_full(&q->ref, &what);
        break;
    case OF_BLOB:
    case OF_REPOSITORY:
        str_addf(&what, "%s/%s", q->ref.host, q->ref.name);
        break;
    case OF_HOST:
        str_addz(&what, q->ref.host);
        break;
    case OF_URL: {
        struct url u;
        struct err ignored;
        if (url_parse(q->url, &u, &ignored) == 0)
            url_print_short(&u, &what);
        else
            str_addz(&what, "that address"); // what is malformed may hold a password anywhere
        break;
    }
    }
    char digest[OCI_DIGEST_TEXT] = "";
    bool blob = ops[q->op].name == OF_BLOB;
    if (blob) oci_digest_print(&q->digest, digest);
    return err_wrap(e, "cannot %s%s%s%s'%.400s'", transfer_op_text(q->op), blob ? " " : "", digest,
                    ops[q->op].of, str_z(&what));
}

int job_run(struct job *j, struct err *e)
{
    j->r = (struct transfer_reply){.id = j->q.id, .time = INT64_MIN};
    if ((unsigned)j->q.op >= TRANSFER_OP_COUNT)
        return err_set(e, ERR_UNSUPPORTED, "the registry client cannot do request %u",
                       (unsigned)j->q.op);
    if (ops[j->q.op].needs_fd && j->fd < 0)
        return err_set(e, ERR_INTERNAL, "the request '%s' came without a file",
                       transfer_op_text(j->q.op));
    return ops[j->q.op].run(j, e) < 0 ? wrap(j, e) : 0;
}
