// SPDX-License-Identifier: Apache-2.0
// The sending side of `push` and `copy`. One poll loop over the registry client and the workers
// that compress. The life of a blob:
//
//   PACK (compress, in a worker) -> LOOK (has the registry got it?) -> PUT (mount or upload) -> END
//            only without archive           yes: END
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/own.h"
#include "image/fetch.h"
#include "image/internal.h"
#include "image/push.h"
#include "store/blob.h"

#define UPLOADS_MAX 6
#define PACKS_MAX 8

enum send_state { SEND_PACK, SEND_LOOK, SEND_PUT, SEND_END };
struct item {
    struct image_send *what;
    enum send_state state;
    uint32_t request; // 0: none under way
    bool working;
    struct image_pack pack;
    struct proc_worker worker;
    int fd; // of the blob while it is sent
};
struct image_sender {
    struct engine *en;
    struct image_remote *remote;
    struct oci_ref ref;
    uint32_t flags;
    int blobs; // -1: the store's
    struct store_tmp tmp;
    struct map origins; // hex of a blob -> name of another repository on this host
    struct item *items;
    size_t n;
    unsigned packing, asking;
    bool answered; // once: scheme and credentials are known to the client
};

// --- where blobs are known to be ----------------------------------------------------------------

static void note_origins(struct image_sender *s, const struct store_ref *r)
{
    struct err bad = {0};
    own(oci_manifest) struct oci_manifest m = {0};
    if (strcmp(r->ref.host, s->ref.host) != 0 || strcmp(r->ref.name, s->ref.name) == 0 ||
        !oci_digest_is_set(&r->remote) ||
        image_read_manifest(s->en, &r->manifest, &m, NULL, &bad) < 0 || m.is_index)
        return;
    map_set(&s->origins, m.config.digest.hex, str_dup(r->ref.name));
    for (size_t i = 0; i < m.n; i++)
        map_set(&s->origins, m.items[i].digest.hex, str_dup(r->ref.name));
}

int image_send_open(struct engine *en, struct image_remote *r, const struct oci_ref *ref,
                    uint32_t flags, int blobs, struct image_sender **out, struct err *e)
{
    own(store_refs) struct store_refs refs = {0};
    own(image_sender) struct image_sender *s = mem_alloc(sizeof *s);
    *s = (struct image_sender){.en = en,
                               .remote = r,
                               .ref = *ref,
                               .flags = flags,
                               .blobs = blobs,
                               .tmp = STORE_TMP_NONE,
                               .origins = {.free_value = free}};
    if (store_ref_list(en, &refs, e) < 0) return -1;
    for (size_t i = 0; i < refs.n; i++) note_origins(s, &refs.p[i]);
    *out = take_ptr(s);
    return 0;
}

static void items_drop(struct image_sender *s)
{
    struct err ignored = {0};
    for (size_t i = 0; i < s->n; i++) {
        struct item *it = &s->items[i];
        if (it->fd >= 0) close(it->fd);
        if (!it->working) continue;
        proc_kill(&it->worker.proc, SIGKILL);
        (void)proc_worker_wait(&it->worker, &ignored);
    }
    free(take_ptr(s->items));
    s->n = 0;
    s->packing = s->asking = 0;
}

void image_send_close(struct image_sender *s)
{
    if (!s) return;
    items_drop(s);
    map_fini(&s->origins);
    store_tmp_close(s->en, &s->tmp);
    free(s);
}

// --- one blob -----------------------------------------------------------------------------------

static void emit(struct image_sender *s, const struct item *it, enum event_kind kind,
                 const char *text, uint64_t done)
{
    const char *kind_name = strstr(it->what->d.media_type, "config") ? "config" : "layer";
    own(free) char *name = str_fmt("%s %.12s", kind_name, it->what->shown.hex);
    event_emit(&s->en->sink, (struct event){.kind = kind,
                                            .id = image_fetch_event_id(&it->what->shown),
                                            .name = kind == EVENT_START ? name : NULL,
                                            .text = sv_of(text),
                                            .done = done,
                                            .total = it->what->d.size});
}

static int pack(struct image_sender *s, struct item *it, const struct image_send_how *how,
                unsigned packs, struct err *e)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (s->tmp.fd < 0 && store_tmp_open(s->en, &s->tmp, e) < 0) return -1;
    unsigned share = cpus > 0 && packs < (unsigned)cpus ? (unsigned)cpus / packs : 1;
    it->pack = (struct image_pack){.en = s->en,
                                   .tmp = &s->tmp,
                                   .layer = it->what->layer,
                                   .zip = how->zip,
                                   .level = how->level,
                                   .workers = share};
    if (image_pack_start(&it->pack, &it->worker, e) < 0) return -1;
    emit(s, it, EVENT_PROGRESS, "compressing", 0);
    it->working = true;
    s->packing++;
    return 0;
}

static int ask(struct image_sender *s, struct item *it, struct err *e)
{
    struct transfer_request q = {.op = it->state == SEND_LOOK ? TRANSFER_BLOB_HEAD
                                                              : TRANSFER_BLOB_PUT,
                                 .ref = s->ref,
                                 .digest = it->what->d.digest,
                                 .size = it->what->d.size,
                                 .flags = s->flags};
    if (it->state == SEND_PUT) {
        const char *from = map_get(&s->origins, it->what->d.digest.hex);
        if (from) snprintf(q.from, sizeof q.from, "%s", from);
        it->fd = s->blobs >= 0 ? fs_openat(s->blobs, it->what->d.digest.hex, O_RDONLY, 0, e)
                               : store_blob_open(s->en, &it->what->d.digest, e);
        if (it->fd < 0) return -1;
    }
    if (image_remote_send(s->remote, &q, it->fd, e) < 0) return -1;
    it->request = q.id;
    s->asking++;
    return 0;
}

static void finish(struct image_sender *s, struct item *it, enum image_push_end end)
{
    static const char *const texts[IMAGE_PUSH_END_COUNT] = {[IMAGE_PUSH_THERE] = "already there",
                                                            [IMAGE_PUSH_MOUNTED] = "mounted",
                                                            [IMAGE_PUSH_FOREIGN] = "skipped"};
    it->state = SEND_END;
    it->what->end = end;
    if (it->fd >= 0) close(take_fd(it->fd));
    emit(s, it, texts[end] ? EVENT_CACHED : EVENT_DONE, texts[end] ? texts[end] : "", 0);
}

static int answered(struct image_sender *s, struct err *e)
{
    struct transfer_reply r;
    struct item *it = NULL;
    if (image_remote_next(s->remote, &r, e) < 0) return -1;
    for (size_t i = 0; i < s->n && !it; i++)
        if (s->items[i].request == r.id) it = &s->items[i];
    if (!it) return 0;
    if (r.answer == TRANSFER_PROGRESS) {
        if (it->state == SEND_PUT) emit(s, it, EVENT_PROGRESS, "", r.size);
        return 0;
    }
    it->request = 0;
    s->asking--;
    s->answered = true;
    if (r.answer == TRANSFER_FAILED) {
        *e = r.err;
        emit(s, it, EVENT_FAILED, err_cause(e), 0);
        return err_wrap(e, "blob sha256:%.12s", it->what->d.digest.hex);
    }
    if (it->state == SEND_LOOK && !r.found) {
        it->state = SEND_PUT;
        return 0;
    }
    const char *from = map_get(&s->origins, it->what->d.digest.hex);
    bool mounted = it->state == SEND_PUT && r.found && from;
    if (mounted) snprintf(it->what->from, sizeof it->what->from, "%s", from);
    finish(s, it, mounted ? IMAGE_PUSH_MOUNTED : r.found ? IMAGE_PUSH_THERE : IMAGE_PUSH_SENT);
    return 0;
}

static int packed(struct image_sender *s, struct item *it, struct err *e)
{
    it->working = false;
    s->packing--;
    if (image_pack_end(&it->pack, &it->worker, &it->what->d, e) < 0) {
        emit(s, it, EVENT_FAILED, err_cause(e), 0);
        return -1;
    }
    it->state = SEND_LOOK;
    emit(s, it, EVENT_PROGRESS, "compressed", 0);
    return 0;
}

// --- all ----------------------------------------------------------------------------------------

static int begin_some(struct image_sender *s, const struct image_send_how *how, struct err *e)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned packs = 0;
    unsigned most = cpus > 1 && cpus < PACKS_MAX ? (unsigned)cpus : cpus > 1 ? PACKS_MAX : 2;
    for (size_t i = 0; i < s->n; i++) packs += s->items[i].state == SEND_PACK;
    for (size_t i = 0; i < s->n; i++) {
        struct item *it = &s->items[i];
        if (it->request || it->working || it->state == SEND_END) continue;
        if (it->state == SEND_PACK && s->packing < most && pack(s, it, how, packs, e) < 0)
            return -1;
        // Looking costs nothing; sending has its limit.
        if (!s->answered && s->asking) continue; // the first one finds the way for all
        bool go = it->state == SEND_LOOK || (it->state == SEND_PUT && s->asking < UPLOADS_MAX);
        if (go && ask(s, it, e) < 0) return -1;
    }
    return 0;
}

static int wait_some(struct image_sender *s, struct err *e)
{
    struct pollfd fds[PACKS_MAX + 1];
    struct item *whose[PACKS_MAX + 1];
    nfds_t n = 0;
    if (s->asking) {
        whose[n] = NULL;
        fds[n++] = (struct pollfd){.fd = image_remote_fd(s->remote), .events = POLLIN};
    }
    for (size_t i = 0; i < s->n; i++) {
        if (!s->items[i].working) continue;
        whose[n] = &s->items[i];
        fds[n++] = (struct pollfd){.fd = s->items[i].worker.proc.fd, .events = POLLIN};
    }
    if (n == 0) return err_set(e, ERR_INTERNAL, "nothing to wait for");
    int rc = poll(fds, n, -1);
    if (rc < 0) return errno == EINTR ? 0 : err_sys(e, "wait for uploads");
    for (nfds_t i = 0; i < n; i++) {
        if (!fds[i].revents) continue;
        if ((whose[i] ? packed(s, whose[i], e) : answered(s, e)) < 0) return -1;
    }
    return 0;
}

static bool all_ended(const struct image_sender *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->items[i].state != SEND_END) return false;
    return true;
}

// The same blob twice in an image goes once; the second one takes over how it ended.
static void copy_twins(struct image_send *list, size_t n, const size_t *twin)
{
    for (size_t i = 0; i < n; i++) {
        if (twin[i] == i) continue;
        list[i].d = list[twin[i]].d;
        list[i].end = list[twin[i]].end == IMAGE_PUSH_SENT ? IMAGE_PUSH_THERE : list[twin[i]].end;
    }
}

static bool same(const struct image_send *a, const struct image_send *b)
{
    if (a->layer && b->layer) return oci_digest_eq(&a->layer->diff_id, &b->layer->diff_id);
    return !a->layer && !b->layer && oci_digest_eq(&a->d.digest, &b->d.digest);
}

int image_send_blobs(struct image_sender *s, struct image_send *list, size_t n,
                     const struct image_send_how *how, struct err *e)
{
    own(free) size_t *twin = mem_alloc((n + 1) * sizeof *twin);
    s->items = mem_alloc((n + 1) * sizeof *s->items);
    for (size_t i = 0; i < n; i++) {
        for (twin[i] = 0; !same(&list[twin[i]], &list[i]); twin[i]++) continue;
        if (twin[i] != i) continue;
        struct item *it = &s->items[s->n++];
        *it = (struct item){
            .what = &list[i], .fd = -1, .state = list[i].layer ? SEND_PACK : SEND_LOOK};
        emit(s, it, EVENT_START, "", 0);
        if (list[i].end == IMAGE_PUSH_FOREIGN) finish(s, it, IMAGE_PUSH_FOREIGN);
    }
    int rc = 0;
    while (rc == 0 && !all_ended(s)) {
        rc = begin_some(s, how, e);
        if (rc == 0 && !all_ended(s)) rc = wait_some(s, e);
    }
    items_drop(s);
    copy_twins(list, n, twin);
    return rc;
}

int image_send_doc(struct image_sender *s, const struct oci_ref *ref, const char *type,
                   struct sv raw, struct oci_digest *out, struct err *e)
{
    struct transfer_request q = {.op = TRANSFER_MANIFEST_PUT,
                                 .ref = *ref,
                                 .flags = s->flags,
                                 .digest = oci_digest_of(raw),
                                 .size = raw.n};
    struct transfer_reply reply;
    snprintf(q.type, sizeof q.type, "%s", type);
    if (ref->tag[0])
        q.ref.digest.hex[0] = '\0';
    else
        q.ref.digest = q.digest;
    own(fd) int fd = memfd_create("dewar-manifest", MFD_CLOEXEC);
    if (fd < 0) return err_sys(e, "make a file in memory");
    if (fs_write_all(fd, raw.p, raw.n, e) < 0) return -1;
    if (lseek(fd, 0, SEEK_SET) != 0) return err_sys(e, "rewind a file in memory");
    if (image_remote_ask(s->remote, &q, fd, NULL, NULL, &reply, e) < 0)
        return err_wrap(e, "pushing the manifest");
    if (oci_digest_is_set(&reply.digest) && !oci_digest_eq(&reply.digest, &q.digest))
        return err_set(e, ERR_INPUT,
                       "the registry says that the manifest is sha256:%s, but it is "
                       "sha256:%s",
                       reply.digest.hex, q.digest.hex);
    *out = q.digest;
    return 0;
}
