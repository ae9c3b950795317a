// SPDX-License-Identifier: Apache-2.0
// From what a person asked for and what the image says to a container's config. The image's config
// is data for the program only: nothing of it names a host path or changes what the engine does.
// What depends on the caller (relative paths, variables, files) is resolved here, so that a later
// start needs nothing but the config.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/num.h"
#include "base/own.h"
#include "container/container.h"
#include "container/create.h"
#include "container/start.h"
#include "image/registry.h"
#include "image/view.h"
#include "record/record.h"
#include "record/state.h"
#include "sandbox/parse.h"
#include "sandbox/sandbox.h"
#include "store/lock.h"
#include "volume/claim.h"

#define COMMAND_MAX 4096 // of the brief

// --- merging with the image --------------------------------------------------------------------

static int merge_args(const struct container_run_options *o, const struct oci_image *im,
                      struct record_config *c, struct err *e)
{
    c->has_entrypoint = o->has_entrypoint || im->entrypoint.n;
    if (o->has_entrypoint) {
        if (o->entrypoint && o->entrypoint[0]) strv_add(&c->entrypoint, o->entrypoint);
    } else {
        strv_add_all(&c->entrypoint, &im->entrypoint);
    }
    if (o->args.n)
        strv_add_all(&c->cmd, &o->args);
    else if (!o->has_entrypoint)
        strv_add_all(&c->cmd, &im->cmd);
    strv_add_all(&c->args, &c->entrypoint);
    strv_add_all(&c->args, &c->cmd);
    if (c->args.n) return 0;
    err_set(e, ERR_USAGE, "no command specified");
    return err_hint(e, "the image has no CMD or ENTRYPOINT: put the command behind its name");
}

static bool is_engine_variable(const char *key)
{
    return strcmp(key, "PATH") == 0 || strcmp(key, "HOSTNAME") == 0 || strcmp(key, "TERM") == 0;
}

// The image's variables, then the person's; each replaces what is there. A key alone takes away one
// that the engine would set.
static void merge_env(const struct strv *asked, const struct oci_image *im, struct record_config *c)
{
    const struct strv *lists[] = {&im->env, asked};
    for (size_t l = 0; l < 2; l++)
        for (size_t i = 0; i < lists[l]->n; i++) {
            struct sv value = sv_of(lists[l]->p[i]), key = sv_cut(&value, '=');
            own(free) char *k = sv_dup(key);
            if (key.n == 0) continue;
            const char *mine = value.p ? value.p : l == 1 ? getenv(k) : NULL;
            if (mine) {
                oci_env_set(&c->env, k, mine);
            } else if (l == 1) {
                oci_env_del(&c->env, k);
                if (is_engine_variable(k)) strv_add(&c->env, k);
            }
        }
}

static int check_platform(const struct container_run_options *o, const struct oci_image *im,
                          struct err *e)
{
    if (!o->platform) return 0;
    struct oci_platform want;
    if (oci_platform_parse(sv_of(o->platform), &want, e) < 0)
        return err_wrap(e, "reading --platform");
    if (oci_platform_match(&want, &im->platform)) return 0;
    own(str) struct str have = {0};
    oci_platform_print(&im->platform, &have);
    return err_set(e, ERR_NOT_FOUND, "image '%s' is for %s, not for %s", o->image, str_z(&have),
                   o->platform);
}

// With another container's UTS namespace, the name is that one's.
static void merge_hostname(struct engine *en, struct record_config *c)
{
    struct err ignored;
    own(record_config) struct record_config other = {0};
    if (c->hostname) return;
    if (c->uts_mode && strncmp(c->uts_mode, "container:", 10) == 0 &&
        record_config_load(en, c->uts_mode + 10, &other, &ignored) == 0) {
        c->hostname = str_dup(other.hostname);
        return;
    }
    char name[65] = "";
    bool host = c->uts_mode && strcmp(c->uts_mode, "host") == 0;
    if (host || strcmp(c->network, "host") == 0) gethostname(name, sizeof name - 1);
    c->hostname = name[0] ? str_dup(name) : str_fmt("%.12s", c->brief.id);
}

static int merge_labels(const struct container_run_options *o, const struct oci_image *im,
                        struct record_config *c, struct err *e)
{
    c->labels.free_value = free;
    for (size_t i = 0; i < im->labels.n; i++)
        map_set(&c->labels, im->labels.p[i].key, str_dup(im->labels.p[i].value));
    own(strv) struct strv all = {0};
    for (size_t i = 0; i < o->label_files.n; i++)
        if (sandbox_parse_env_file(o->label_files.p[i], &all, e) < 0) return -1;
    strv_add_all(&all, &o->labels);
    for (size_t i = 0; i < all.n; i++) {
        struct sv value = sv_of(all.p[i]), key = sv_cut(&value, '=');
        own(free) char *k = sv_dup(key);
        if (key.n == 0) return err_set(e, ERR_USAGE, "the label '%s' has no name", all.p[i]);
        map_set(&c->labels, k, sv_dup(value.p ? value : SV("")));
    }
    return 0;
}

// A user's mount on the target wins over the image's volume.
static void merge_volumes(const struct oci_image *im, struct record_config *c)
{
    for (size_t i = 0; i < im->volumes.n; i++) {
        own(str) struct str clean = {0};
        bool taken = false;
        fs_clean(sv_of(im->volumes.p[i].key), &clean);
        vec_each(v, &c->volumes) taken |= strcmp(v->target, str_z(&clean)) == 0;
        if (taken) continue;
        struct record_mount *row = vec_add(&c->volumes);
        row->type = str_dup("volume");
        row->anonymous = true;
        row->target = str_take(&clean);
    }
}

// As listings show it: arguments with blanks stand in quotes, and nothing is done about quotes in
// them, as in Docker.
static void set_command(struct record_config *c)
{
    own(str) struct str text = {0};
    for (size_t i = 0; i < c->args.n && text.n < COMMAND_MAX; i++) {
        const char *quote = i && strchr(c->args.p[i], ' ') ? "'" : "";
        str_addf(&text, "%s%s%s%s", i ? " " : "", quote, c->args.p[i], quote);
    }
    if (text.n > COMMAND_MAX) str_cut(&text, COMMAND_MAX);
    c->brief.command = str_take(&text);
}

static void add_exposed(struct record_config *c, const char *port)
{
    for (size_t i = 0; i < c->exposed.n; i++)
        if (strcmp(c->exposed.p[i], port) == 0) return;
    strv_add(&c->exposed, port);
}

static int merge(struct engine *en, const struct container_run_options *o,
                 const struct image_view *im, const struct strv *env, struct record_config *c,
                 struct err *e)
{
    const struct oci_image *config = &im->config;
    char digest[OCI_DIGEST_TEXT];
    if (check_platform(o, config, e) < 0 || merge_args(o, config, c, e) < 0 ||
        merge_labels(o, config, c, e) < 0)
        return -1;
    if (!c->user) c->user = str_dup(config->user);
    if (!c->workdir) c->workdir = str_dup(config->workdir);
    if (!c->stop_signal) c->stop_signal = str_dup(config->stop_signal);
    if (c->stop_timeout < 0) c->stop_timeout = config->stop_timeout;
    create_merge_health(&c->health, &config->health);
    merge_volumes(config, c);
    merge_hostname(en, c);
    merge_env(env, config, c);
    for (size_t i = 0; i < config->exposed_ports.n; i++)
        add_exposed(c, config->exposed_ports.p[i].key);
    c->brief.image_id = str_dup(oci_digest_print(&im->ref.image, digest));
    c->brief.created = clock_real_ns();
    c->form = str_dup(en->form);
    set_command(c);
    return 0;
}

// --- on disk -----------------------------------------------------------------------------------

static int write_cidfile(const struct container_run_options *o, const struct record *r,
                         struct err *e)
{
    if (!o->cidfile) return 0;
    own(fd) int fd = fs_open(o->cidfile, O_WRONLY | O_CREAT | O_EXCL, 0644, e);
    if (fd < 0 || fs_write_all(fd, r->id, strlen(r->id), e) < 0)
        return err_wrap(e, "writing the container ID file");
    return 0;
}

// Names for the anonymous volumes, and all that are used are noted before they are made.
static int claim_volumes(struct engine *en, struct record_config *c, struct record *r,
                         struct err *e)
{
    vec_each(v, &c->volumes)
    {
        char id[RECORD_ID];
        if (strcmp(v->type, "volume") != 0) continue;
        if (!v->name) {
            if (record_new_id(id, e) < 0 || record_volume(r, id, e) < 0) return -1;
            v->name = str_dup(id);
        }
        // An anonymous one without more is made by its start.
        bool plain = v->anonymous && !v->options.n && !v->labels.n;
        if (!plain && volume_claim(en, r, v, e) < 0) return -1;
    }
    return 0;
}

// Which images are to be mounted: their IDs stand in the record, which keeps them alive.
static int claim_images(struct engine *en, const struct container_run_options *o,
                        struct record_config *c, struct err *e)
{
    vec_each(v, &c->volumes)
    {
        struct store_ref ref;
        char digest[OCI_DIGEST_TEXT];
        struct image_ensure want = {.text = v->source, .progress = o->progress};
        if (strcmp(v->type, "image") != 0 || v->image) continue;
        if (create_pull_option(o, &want.policy, e) < 0 ||
            image_ensure(en, &want, &ref, NULL, e) < 0)
            return err_wrap(e, "mounting the image '%s' on '%s'", v->source, v->target);
        v->image = str_dup(oci_digest_print(&ref.image, digest));
    }
    return 0;
}

// The text of a person's seccomp profile, as it is now.
static int keep_profile(struct record_config *c, const struct record *r, struct err *e)
{
    for (size_t i = 0; i < c->security.n; i++) {
        char **text = &c->security.p[i];
        const char *file = *text + 8;
        if (strncmp(*text, "seccomp=/", 9) != 0 || c->brief.rm) continue;
        own(str) struct str profile = {0};
        if (fs_read_at(AT_FDCWD, file, LIMIT_CONFIG, &profile, e) < 0)
            return err_wrap(e, "reading the seccomp profile");
        if (fs_replace(r->fd, "seccomp.json", str_sv(&profile), 0600, e) < 0) return -1;
    }
    return 0;
}

static void note_ids(const struct sandbox_spec *s, struct record_config *c)
{
    c->ids_uid = s->ids.slot_uid;
    c->ids_gid = s->ids.slot_gid;
    c->ids_n = s->ids.slot_n;
    c->keep = s->ids.keep;
    c->keep_uid = s->ids.keep_uid;
    c->keep_gid = s->ids.keep_gid;
    if (!s->ids.keep) return;
    free(c->user);
    c->user = str_dup(s->user);
}

int create_make(struct engine *en, const struct container_run_options *o, const struct strv *env,
                struct record_config *c, struct record *r, struct sandbox_spec *spec, struct err *e)
{
    own(fd) int lock = store_lock_shared(en, e);
    if (lock < 0) return -1;
    struct image_view view;
    struct store_ref ref;
    struct image_ensure want = {.text = o->image, .platform = o->platform, .insecure = o->insecure,
                                .progress = o->progress};
    if (create_pull_option(o, &want.policy, e) < 0 || image_ensure(en, &want, &ref, NULL, e) < 0 ||
        image_view_open(en, o->image, &view, e) < 0)
        return -1;
    own(image_view) struct image_view im = view;
    r->rm = o->rm;
    if (record_make(en, r, e) < 0) return -1;
    snprintf(c->brief.id, sizeof c->brief.id, "%s", r->id);
    if (merge(en, o, &im, env, c, e) < 0 || record_name(en, r, record_plain_name(o->name), e) < 0 ||
        claim_volumes(en, c, r, e) < 0 || claim_images(en, o, c, e) < 0 || keep_profile(c, r, e) < 0)
        return -1;
    snprintf(c->brief.name, sizeof c->brief.name, "%s", r->name);
    if (container_start_open(en, c, r, &im, o->mapping, spec, e) < 0) return -1;
    note_ids(spec, c);
    own(str) struct str text = {0};
    record_config_print(c, &text);
    if (record_save(r, str_sv(&text), e) < 0) return -1;
    return write_cidfile(o, r, e);
}
