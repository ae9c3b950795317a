// SPDX-License-Identifier: Apache-2.0
// commit: the container's own layer, copied as an archive into a temporary folder while the program
// stands still, becomes a layer as the one of a build step does (store_layer_commit); config and names
// come last. Whatever ends us, a paused program goes on: a process beside us sees to that.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/own.h"
#include "container/life.h"
#include "container/start.h"
#include "files/files.h"
#include "files/internal.h"
#include "image/image.h"
#include "image/import.h"
#include "record/events.h"
#include "record/record.h"
#include "record/state.h"
#include "sandbox/sandbox.h"

#define UP "up" // in our temporary folder

struct commit {
    struct engine *en;
    const char *id;
    const struct files_commit_options *o;
    const struct record_config *config;
    struct image_view *im;
    struct store_tmp tmp;
    struct strv stubs;
    struct sandbox_ids ids;
    bool live;     // it runs on while it is copied
    int64_t epoch; // INT64_MAX: SOURCE_DATE_EPOCH is not set
};

// --- standing still ----------------------------------------------------------------------------

struct guard {
    int fd; // the guardian's sign that we live; -1: nothing is paused
    struct proc proc;
};

static _Noreturn void watch(struct engine *en, const char *id, int fd)
{
    char c;
    struct err ignored = {0};
    setsid(); // what the terminal's keys end is not us
    while (read(fd, &c, 1) < 0 && errno == EINTR) continue;
    _exit(container_pause(en, id, true, &ignored) < 0);
}

static int start_guard(struct engine *en, const char *id, struct guard *g, struct err *e)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    g->proc = PROC_NONE;
    g->proc.pid = proc_fork(0, &g->proc.fd);
    if (g->proc.pid == 0) {
        close(ends[1]);
        watch(en, id, ends[0]);
    }
    close(ends[0]);
    g->fd = ends[1];
    return g->proc.pid < 0 ? err_sys(e, "start a process") : 0;
}

static void end_guard(struct guard *g)
{
    int status;
    struct err ignored;
    if (g->fd < 0) return;
    close(take_fd(g->fd));
    if (g->proc.pid > 0) proc_wait(&g->proc, &status, &ignored);
}

// The guardian comes first, so that there is no moment without it.
static int stand_still(struct commit *c, struct guard *g, struct err *e)
{
    struct record_state s;
    struct err why = {0};
    if (record_state_load(c->en, c->id, &s, e) < 0) return -1;
    c->live = c->o->no_pause;
    if (s.status != RECORD_RUNNING || c->live) return 0;
    if (start_guard(c->en, c->id, g, e) < 0) return -1;
    if (container_pause(c->en, c->id, false, &why) == 0) return 0;
    proc_kill(&g->proc, SIGKILL);
    end_guard(g);
    if (record_state_load(c->en, c->id, &s, e) < 0) return -1;
    if (s.status != RECORD_RUNNING) return 0; // it has just ended
    if (c->o->must_pause) {
        *e = why;
        return err_wrap(e, "pausing the container");
    }
    c->live = true;
    event_warn(&c->en->sink, "the container runs on while it is copied: %s", err_cause(&why));
    return 0;
}

// --- the layer ---------------------------------------------------------------------------------

struct unpacking {
    struct commit *c;
    int rd, wr;
};

static int unpack(void *arg, struct err *e)
{
    struct unpacking *u = arg;
    close(u->wr);
    const struct store_layer_put put = {.src = codec_source_fd(&u->rd)};
    return store_layer_unpack(u->c->en, &u->c->tmp, UP, &put, e);
}

static int pipe_write(void *arg, const void *p, size_t n, struct err *e)
{
    return fs_write_all(*(int *)arg, p, n, e);
}

static int copy_upper(struct commit *c, int upper, struct err *e)
{
    int ends[2];
    struct proc_worker w;
    struct err theirs = {0};
    if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int rd = ends[0];
    own(fd) int wr = ends[1];
    fcntl(wr, F_SETPIPE_SZ, 1 << 20);
    struct unpacking u = {c, rd, wr};
    if (proc_worker_start(unpack, &u, &w, e) < 0) return -1;
    close(take_fd(rd));
    struct sigaction old;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, &old);
    const struct store_tar_options opt = {.whiteouts = true,
                                          .user_xattrs = c->en->ids.mode != IDMAP_ROOT,
                                          .newest = INT64_MAX,
                                          .uid = c->ids.own ? &c->ids.uid : NULL,
                                          .gid = c->ids.own ? &c->ids.gid : NULL,
                                          .live = c->live};
    int rc = store_tar_tree(upper, &opt, (struct codec_sink){pipe_write, &wr}, e);
    sigaction(SIGPIPE, &old, NULL);
    bool broken = rc < 0 && e->sys == EPIPE;
    if (rc < 0 && !broken) proc_kill(&w.proc, SIGKILL); // half an archive is none
    close(take_fd(wr));
    int done = proc_worker_wait(&w, &theirs);
    if (rc < 0 && !broken) return -1;
    if (done < 0) *e = theirs;
    return done;
}

static int copy_still(struct commit *c, struct err *e)
{
    struct guard g = {.fd = -1};
    own(fd) int dir = record_dir(c->en, c->id, e);
    if (dir < 0) return -1;
    record_stubs(dir, &c->stubs);
    own(fd) int upper = files_upper(dir, e);
    if (upper < 0 || stand_still(c, &g, e) < 0) return -1;
    int rc = copy_upper(c, upper, e);
    end_guard(&g);
    return rc < 0 ? err_wrap(e, "copying what container %.12s has changed", c->id) : 0;
}

static int make_layer(struct commit *c, struct store_layer *out, struct err *e)
{
    if (copy_still(c, e) < 0) return -1;
    const struct store_commit opt = {.newest = c->epoch,
                                     .below = c->im->layers,
                                     .below_n = c->im->n,
                                     .stubs = &c->stubs};
    return store_layer_commit(c->en, c->tmp.fd, UP, &opt, out, e);
}

// --- the config --------------------------------------------------------------------------------

static void replace(char **text, const char *with)
{
    free(*text);
    *text = str_dup(with && with[0] ? with : NULL);
}

static void replace_list(struct strv *list, const struct strv *with)
{
    strv_fini(list);
    strv_add_all(list, with);
}

static void copy_health(struct oci_health *to, const struct oci_health *from)
{
    strv_fini(&to->test);
    *to = *from;
    to->test = (struct strv){0};
    strv_add_all(&to->test, &from->test);
}

// The container's config in the place of its image's. What ONBUILD would do was for that one.
static void take_config(const struct record_config *c, struct oci_image *im)
{
    replace(&im->user, c->user);
    replace(&im->workdir, c->workdir);
    replace(&im->stop_signal, c->stop_signal);
    replace_list(&im->entrypoint, &c->entrypoint);
    replace_list(&im->cmd, &c->cmd);
    im->has_entrypoint = c->entrypoint.n > 0;
    im->has_cmd = c->cmd.n > 0;
    im->stop_timeout = c->stop_timeout;
    strv_fini(&im->env);
    for (size_t i = 0; i < c->env.n; i++) // a name alone only takes one of the engine's away
        if (strchr(c->env.p[i], '=')) strv_add(&im->env, c->env.p[i]);
    map_fini(&im->labels);
    im->labels = (struct map){.free_value = free};
    for (size_t i = 0; i < c->labels.n; i++)
        map_set(&im->labels, c->labels.p[i].key, str_dup(c->labels.p[i].value));
    for (size_t i = 0; i < c->exposed.n; i++) map_set(&im->exposed_ports, c->exposed.p[i], NULL);
    vec_each(v, &c->volumes) if (v->anonymous) map_set(&im->volumes, v->target, NULL);
    copy_health(&im->health, &c->health);
    strv_fini(&im->onbuild);
}

static char *join_words(const struct strv *words)
{
    own(str) struct str text = {0};
    for (size_t i = 0; i < words->n; i++) str_addf(&text, "%s%s", i ? " " : "", words->p[i]);
    return str_take(&text);
}

static int make_config(const struct commit *c, const struct store_layer *layer,
                       struct oci_image *im, struct err *e)
{
    oci_image_copy(im, &c->im->config);
    take_config(c->config, im);
    for (size_t i = 0; i < c->o->changes.n; i++)
        if (image_change_apply(im, c->o->changes.p[i], e) < 0) return -1;
    im->created = c->epoch == INT64_MAX ? clock_now() : c->epoch;
    replace(&im->author, c->o->author);
    struct oci_history h = {.created = im->created,
                            .created_by = join_words(&c->config->cmd),
                            .empty_layer = layer->entries == 0};
    replace(&h.author, c->o->author);
    replace(&h.comment, c->o->message);
    if (!h.empty_layer) oci_image_add_layer(im, &layer->diff_id);
    oci_image_add_history(im, h);
    return 0;
}

// A manifest of the image below: its layers' archives keep their digests. Without one they get new
// ones when they are packed.
static bool find_base(struct engine *en, const struct oci_digest *image, struct oci_digest *out)
{
    struct err ignored;
    own(store_refs) struct store_refs all = {0};
    if (store_ref_list(en, &all, &ignored) < 0) return false;
    vec_each(r, &all)
    {
        if (!oci_digest_eq(&r->image, image)) continue;
        *out = r->manifest;
        return true;
    }
    return false;
}

// --- all of it ---------------------------------------------------------------------------------

static int put(struct commit *c, const struct oci_ref *ref, struct store_ref *out, struct err *e)
{
    own(oci_image) struct oci_image im = {0};
    struct oci_image check = {0};
    struct store_layer layer = {0};
    struct oci_digest base;
    oci_image_init(&im);
    // A --change that is wrong is told before anything stands still.
    oci_image_copy(&check, &c->im->config);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->o->changes.n; i++)
        rc = image_change_apply(&check, c->o->changes.p[i], e);
    oci_image_fini(&check);
    if (rc < 0 || make_layer(c, &layer, e) < 0 || make_config(c, &layer, &im, e) < 0) return -1;
    struct store_layer *layers = mem_alloc((c->im->n + 1) * sizeof *layers);
    if (c->im->n) memcpy(layers, c->im->layers, c->im->n * sizeof *layers);
    layers[c->im->n] = layer;
    const struct image_put p = {.image = &im,
                                .layers = layers,
                                .refs = ref,
                                .refs_n = ref ? 1 : 0,
                                .base = find_base(c->en, &c->im->ref.image, &base) ? &base : NULL};
    rc = image_put(c->en, &p, out, e);
    free(layers);
    return rc;
}

static int parse_name(const char *name, struct oci_ref *out, struct err *e)
{
    if (!name) return 0;
    if (oci_ref_parse(sv_of(name), out, e) < 0) return -1;
    if (oci_digest_is_set(&out->digest))
        return err_set(e, ERR_USAGE, "the new name '%s' must not have a digest", name);
    oci_ref_default_tag(out);
    return 0;
}

static void tell(struct commit *c, const struct store_ref *ref)
{
    char digest[OCI_DIGEST_TEXT];
    const char *const more[] = {"comment", c->o->message ? c->o->message : "",
                                "imageID", oci_digest_print(&ref->image, digest),
                                "imageRef", c->o->name ? c->o->name : "", NULL};
    record_event(c->en, c->config, "commit", more);
}

int files_commit(struct engine *en, const char *id, const struct files_commit_options *o,
                 struct oci_digest *out_image, struct err *e)
{
    own(record_config) struct record_config config = {0};
    struct commit c = {.en = en, .id = id, .o = o, .config = &config, .tmp = STORE_TMP_NONE};
    struct oci_ref name = {0};
    struct store_ref ref = {0};
    struct image_view view;
    own(fd) int lock = -1;
    if (!clock_epoch(&c.epoch)) c.epoch = INT64_MAX;
    if (parse_name(o->name, &name, e) < 0 || record_sweep(en, e) < 0 ||
        record_config_load(en, id, &config, e) < 0 || engine_enter(en, e) < 0)
        return -1;
    store_sweep_later(en); // what killed commands left
    if (container_start_ids(en, &config, &c.ids, e) < 0 ||
        container_start_image(en, &config, &lock, &view, e) < 0)
        return -1;
    own(image_view) struct image_view im = view;
    c.im = &im;
    if (store_tmp_open(en, &c.tmp, e) < 0) return -1;
    int rc = put(&c, o->name ? &name : NULL, &ref, e);
    store_tmp_close(en, &c.tmp);
    strv_fini(&c.stubs);
    if (rc < 0) return -1;
    tell(&c, &ref);
    *out_image = ref.image;
    return 0;
}
