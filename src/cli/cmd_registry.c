// SPDX-License-Identifier: Apache-2.0
// Commands that talk to a registry about images: pull, push.
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "cli/commands.h"
#include "image/registry.h"

// --- pull ---------------------------------------------------------------------------------------

struct pull {
    const char *platform;
    bool all_tags, quiet, disable_trust, tls_verify;
    int progress;
};
#define AT(member) .offset = OPT_AT(struct pull, member)
static const struct opt pull_options[] = {
    {"all-tags", 'a', OPT_BOOL, AT(all_tags), .help = "Every tag of the repository"},
    {"disable-content-trust", 0, OPT_BOOL, AT(disable_trust), .hidden = true,
     .help = "Accepted: digests are always checked, signatures are not looked at"},
    {"platform", 0, OPT_TEXT, AT(platform), .arg = "OS/ARCH", .help = "Of an image with several"},
    {"quiet", 'q', OPT_BOOL, AT(quiet), .help = "Print only the name"},
    {.name = "progress", CLI_OPT_PROGRESS(struct pull, progress)},
    {.name = "tls-verify", CLI_OPT_TLS(struct pull, tls_verify)},
};
#undef AT

static void show_pull(void *arg, struct engine *en)
{
    struct cli *c = arg;
    struct err ignored = {0};
    (void)cli_render_begin(c, CLI_PROGRESS_AUTO, "Pulling", &ignored);
    en->sink = c->sink;
}

static void hide_pull(void *arg, struct engine *en, bool ok)
{
    struct cli *c = arg;
    cli_render_end(c, ok);
    en->sink = c->sink;
}

static void show_mapping(void *arg, struct engine *en)
{
    struct cli *c = arg;
    struct err ignored = {0};
    (void)cli_render_begin(c, CLI_PROGRESS_AUTO, "Mapping ids", &ignored);
    en->sink = c->sink;
}

struct image_progress cli_mapping_progress(struct cli *c)
{
    return (struct image_progress){.begin = show_mapping, .end = hide_pull, .arg = c};
}

// Inside a user namespace of ours the program would take itself for root.
static void change_program(void *arg, struct engine *en)
{
    if (!en->ids.inside || en->ids.mode == IDMAP_ROOT) cli_as_layers(arg);
}

struct image_progress cli_pull_progress(struct cli *c, bool quiet)
{
    if (quiet) return (struct image_progress){.before = change_program, .arg = c};
    return (struct image_progress){
        .before = change_program, .begin = show_pull, .end = hide_pull, .arg = c};
}

static void print_pulled(struct cli *c, const struct image_pulled *p, const struct oci_ref *ref)
{
    own(str) struct str full = {0};
    own(str) struct str name = {0};
    oci_ref_print(ref, &name);
    oci_ref_print_full(ref, &full);
    str_addf(&c->out, "Digest: sha256:%s\n", p->digest.hex);
    str_addf(&c->out, "Status: %s %s\n%s\n",
             p->changed ? "Downloaded newer image for" : "Image is up to date for", str_z(&name),
             str_z(&full));
}

static int pull_one(struct cli *c, struct engine *en, const struct pull *o,
                    const struct oci_ref *ref, struct err *e)
{
    struct image_pulled pulled = {0};
    own(str) struct str name = {0};
    oci_ref_print_full(ref, &name);
    const struct image_pull_options opt = {
        .name = str_z(&name), .platform = o->platform, .insecure = !o->tls_verify};
    bool digest = oci_digest_is_set(&ref->digest);
    if (!o->quiet) {
        own(free) char *which = str_dup(digest ? str_z(&name) : ref->tag);
        str_addf(&c->out, "%s: Pulling from %s\n", which, ref->name);
    }
    if (image_pull(en, &opt, &pulled, e) < 0) return -1;
    if (!o->quiet) {
        print_pulled(c, &pulled, ref);
    } else {
        str_addf(&c->out, "%s\n", str_z(&name));
    }
    return 0;
}

static int run_pull(struct cli *c, const void *options, struct err *e)
{
    const struct pull *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(strv) struct strv tags = {0};
    struct oci_ref ref;
    if (oci_ref_parse(sv_of(c->argv[0]), &ref, e) < 0) {
        e->kind = ERR_INPUT;
        return -1;
    }
    if (o->all_tags && (ref.tag[0] || oci_digest_is_set(&ref.digest)))
        return err_set(e, ERR_USAGE, "--all-tags needs a name without a tag or digest");
    bool bare = !ref.tag[0] && !oci_digest_is_set(&ref.digest) && !o->all_tags;
    if (bare && !o->quiet) str_addz(&c->out, "Using default tag: latest\n");
    oci_ref_default_tag(&ref);
    enum cli_progress kind = o->quiet ? CLI_PROGRESS_QUIET : (enum cli_progress)o->progress;
    if (cli_render_begin(c, kind, "Pulling", e) < 0 || cli_engine(c, &en, e) < 0) return -1;
    if (!o->all_tags) return pull_one(c, &en, o, &ref, e);
    const struct image_tags_options tags_of = {.name = c->argv[0], .insecure = !o->tls_verify};
    if (image_tags(&en, &tags_of, &tags, e) < 0) return -1;
    for (size_t i = 0; i < tags.n; i++) {
        snprintf(ref.tag, sizeof ref.tag, "%s", tags.p[i]);
        if (pull_one(c, &en, o, &ref, e) < 0) return -1;
    }
    return 0;
}

const struct cli_cmd cli_cmd_pull = {
    .path = "image pull",
    .alias = (const char *const[]){"pull", NULL},
    .usage = "NAME[:TAG|@DIGEST]",
    .help = "Fetch an image from a registry",
    .more = "Layers come side by side and are unpacked while they arrive. What had come when a "
            "pull was\n"
            "broken off is kept for a week, and the next one goes on from there.",
    .examples = "dewar pull debian:bookworm\n"
                "dewar pull registry.example.org/me/digits@sha256:...\n"
                "dewar pull --platform linux/arm64 alpine",
    CLI_OPTIONS(pull_options, struct pull),
    .min_words = 1,
    .max_words = 1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_IMAGE,
    .layers = true, .run = run_pull,
};

// --- push ---------------------------------------------------------------------------------------

struct push {
    const char *compression;
    bool all_tags, quiet, disable_trust, tls_verify;
    int64_t level;
    int progress;
};
static const char *const compressions[] = {"gzip", "zstd", NULL};
#define AT(member) .offset = OPT_AT(struct push, member)
static const struct opt push_options[] = {
    {"all-tags", 'a', OPT_BOOL, AT(all_tags), .help = "Every tag of the repository"},
    {"compression-format", 0, OPT_TEXT, AT(compression), .arg = "KIND", .choices = compressions,
     .help = "Of layers that have no archive yet: gzip or zstd"},
    {"compression-level", 0, OPT_INT, AT(level), .arg = "N", .help = "How hard to compress"},
    {"disable-content-trust", 0, OPT_BOOL, AT(disable_trust), .hidden = true,
     .help = "Accepted: nothing is signed"},
    {.name = "progress", CLI_OPT_PROGRESS(struct push, progress)},
    {"quiet", 'q', OPT_BOOL, AT(quiet), .help = "Print only the name"},
    {.name = "tls-verify", CLI_OPT_TLS(struct push, tls_verify)},
};
#undef AT

static void print_pushed(struct cli *c, const struct image_pushed *p)
{
    static const char *const ends[IMAGE_PUSH_END_COUNT] = {
        [IMAGE_PUSH_SENT] = "Pushed",
        [IMAGE_PUSH_THERE] = "Layer already exists",
        [IMAGE_PUSH_MOUNTED] = "Mounted from ",
        [IMAGE_PUSH_FOREIGN] = "Skipped foreign layer",
    };
    for (size_t i = p->n; i-- > 0;)
        str_addf(&c->out, "%.12s: %s%s\n", p->layers[i].layer.hex, ends[p->layers[i].end],
                 p->layers[i].from);
    str_addf(&c->out, "%s: digest: sha256:%s size: %llu\n", p->ref.tag, p->digest.hex,
             (unsigned long long)p->size);
}

static int push_one(struct cli *c, struct engine *en, const struct push *o,
                    const struct oci_ref *ref, struct err *e)
{
    own(str) struct str name = {0};
    oci_ref_print_full(ref, &name);
    const struct image_push_options opt = {.name = str_z(&name),
                                           .insecure = !o->tls_verify,
                                           .compression = o->compression,
                                           .level = (int)o->level};
    own(image_pushed) struct image_pushed pushed = {0};
    if (image_push(en, &opt, &pushed, e) < 0) return -1;
    if (o->quiet)
        str_addf(&c->out, "%s\n", str_z(&name));
    else
        print_pushed(c, &pushed);
    return 0;
}

static int tags_here(struct engine *en, const struct oci_ref *ref, struct strv *out, struct err *e)
{
    own(store_refs) struct store_refs all = {0};
    own(str) struct str name = {0};
    if (store_ref_list(en, &all, e) < 0) return -1;
    for (size_t i = 0; i < all.n; i++) {
        const struct oci_ref *r = &all.p[i].ref;
        if (r->tag[0] && strcmp(r->host, ref->host) == 0 && strcmp(r->name, ref->name) == 0)
            strv_add(out, r->tag);
    }
    if (out->n) return 0;
    oci_ref_print_repository(ref, &name);
    return err_set(e, ERR_NOT_FOUND, "no image '%s' in the store", str_z(&name));
}

static int run_push(struct cli *c, const void *options, struct err *e)
{
    const struct push *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(strv) struct strv tags = {0};
    own(str) struct str full = {0};
    struct oci_ref ref;
    if (oci_ref_parse(sv_of(c->argv[0]), &ref, e) < 0) return -1;
    if (o->all_tags && (ref.tag[0] || oci_digest_is_set(&ref.digest)))
        return err_set(e, ERR_USAGE, "--all-tags needs a name without a tag or digest");
    if (o->level < 0 || o->level > 22)
        return err_set(e, ERR_USAGE, "--compression-level goes from 1 to 22");
    struct oci_ref bare = {0};
    memcpy(bare.host, ref.host, sizeof bare.host);
    memcpy(bare.name, ref.name, sizeof bare.name);
    oci_ref_print_full(&bare, &full);
    if (!o->quiet) str_addf(&c->out, "The push refers to repository [%s]\n", str_z(&full));
    bool untold = !ref.tag[0] && !o->all_tags && !oci_digest_is_set(&ref.digest);
    if (untold && !o->quiet) str_addz(&c->out, "Using default tag: latest\n");
    oci_ref_default_tag(&ref);
    enum cli_progress kind = o->quiet ? CLI_PROGRESS_QUIET : (enum cli_progress)o->progress;
    if (cli_render_begin(c, kind, "Pushing", e) < 0 || cli_engine(c, &en, e) < 0) return -1;
    if (!o->all_tags) return push_one(c, &en, o, &ref, e);
    if (tags_here(&en, &ref, &tags, e) < 0) return -1;
    for (size_t i = 0; i < tags.n; i++) {
        snprintf(ref.tag, sizeof ref.tag, "%s", tags.p[i]);
        if (push_one(c, &en, o, &ref, e) < 0) return -1;
    }
    return 0;
}

const struct cli_cmd cli_cmd_push = {
    .path = "image push",
    .alias = (const char *const[]){"push", NULL},
    .usage = "NAME[:TAG]",
    .help = "Send an image to a registry",
    .more = "What the registry has is not sent, and what came from a registry goes as it came. A "
            "layer\n"
            "that was made here is compressed once; its archive is kept.",
    .examples = "dewar push registry.example.org/me/digits:0.1\n"
                "dewar push -a registry.example.org/me/digits\n"
                "dewar push --compression-format zstd registry.example.org/me/digits",
    CLI_OPTIONS(push_options, struct push),
    .min_words = 1,
    .max_words = 1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_IMAGE,
    .layers = true, .run = run_push,
};
