// SPDX-License-Identifier: Apache-2.0
// `image copy`, and the commands for indexes of one's own: manifest create, annotate, inspect,
// push, rm.
#include <string.h>

#include "base/own.h"
#include "cli/commands.h"
#include "image/registry.h"

// --- image copy ---------------------------------------------------------------------------------

struct copy {
    const char *platform;
    bool all, preserve, quiet, from_verify, to_verify, tls_verify;
    int progress;
};
#define AT(member) .offset = OPT_AT(struct copy, member)
static const struct opt copy_options[] = {
    {"all", 'a', OPT_BOOL, AT(all), .help = "Every platform of an index, and the index"},
    {"dest-tls-verify", 0, OPT_BOOL, AT(to_verify), .initial = "true",
     .help = "Ask DST for https and a certificate that is known"},
    {"platform", 0, OPT_TEXT, AT(platform), .arg = "OS/ARCH", .help = "Of an image with several"},
    {"preserve-digests", 0, OPT_BOOL, AT(preserve),
     .help = "Send layers that were made here as they are, not compressed"},
    {.name = "progress", CLI_OPT_PROGRESS(struct copy, progress)},
    {"quiet", 'q', OPT_BOOL, AT(quiet), .help = "Print only the digest"},
    {"src-tls-verify", 0, OPT_BOOL, AT(from_verify), .initial = "true",
     .help = "Ask SRC for https and a certificate that is known"},
    {.name = "tls-verify", CLI_OPT_TLS(struct copy, tls_verify)},
};
#undef AT

static int run_copy(struct cli *c, const void *options, struct err *e)
{
    const struct copy *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    struct oci_digest digest = {0};
    const struct image_copy_options opt = {.from = c->argv[0],
                                           .to = c->argv[1],
                                           .platform = o->platform,
                                           .all = o->all,
                                           .preserve_digests = o->preserve,
                                           .from_insecure = !o->from_verify || !o->tls_verify,
                                           .to_insecure = !o->to_verify || !o->tls_verify};
    enum cli_progress kind = o->quiet ? CLI_PROGRESS_QUIET : (enum cli_progress)o->progress;
    if (cli_render_begin(c, kind, "Copying", e) < 0 || cli_engine(c, &en, e) < 0 ||
        image_copy(&en, &opt, &digest, e) < 0)
        return -1;
    str_addf(&c->out, "sha256:%s\n", digest.hex);
    return 0;
}

const struct cli_cmd cli_cmd_image_copy = {
    .path = "image copy",
    .usage = "SRC DST",
    .help = "Copy an image from any place to any other",
    .more =
        "A place is docker://NAME, oci:DIR[:NAME], oci-archive:FILE[:NAME],\n"
        "docker-archive:FILE[:NAME:TAG], dir:PATH, or a name in the store (store:NAME). Bytes are\n"
        "kept, so the digest that is printed is the same in both places; only layers that were\n"
        "made here are compressed on the way to a registry.",
    .examples = "dewar image copy docker://debian:bookworm oci:layout:bookworm\n"
                "dewar image copy --all docker://alpine docker://registry.example.org/alpine\n"
                "dewar image copy digits dir:folder",
    CLI_OPTIONS(copy_options, struct copy),
    .min_words = 2,
    .max_words = 2,
    .family = CLI_OWN,
    .layers = true, .run = run_copy,
};

// --- manifest -----------------------------------------------------------------------------------

struct manifest {
    const char *os, *arch, *variant;
    bool amend, purge, verbose, insecure, tls_verify;
};
#define AT(member) .offset = OPT_AT(struct manifest, member)
// Docker's word and the one of all other commands.
#define INSECURE                                                                                   \
    {"insecure", 0, OPT_BOOL, AT(insecure),                                                        \
     .help = "Take http and certificates that are not known"}
#define TLS_VERIFY {.name = "tls-verify", CLI_OPT_TLS(struct manifest, tls_verify)}
static const struct opt create_options[] = {
    {"amend", 'a', OPT_BOOL, AT(amend), .help = "Add to an index that is there already"},
    INSECURE,
    TLS_VERIFY,
};
static const struct opt annotate_options[] = {
    {"arch", 0, OPT_TEXT, AT(arch), .arg = "ARCH", .help = "Set the architecture"},
    INSECURE,
    {"os", 0, OPT_TEXT, AT(os), .arg = "OS", .help = "Set the operating system"},
    TLS_VERIFY,
    {"variant", 0, OPT_TEXT, AT(variant), .arg = "VARIANT", .help = "Set the variant (v7, v8)"},
};
static const struct opt inspect_options[] = {
    INSECURE,
    TLS_VERIFY,
    {"verbose", 'v', OPT_BOOL, AT(verbose), .help = "Each image's platform, size and manifest"},
};
static const struct opt push_options[] = {
    INSECURE,
    {"purge", 'p', OPT_BOOL, AT(purge), .help = "Remove it here afterwards"},
    TLS_VERIFY,
};
#undef AT

static int open_index(struct cli *c, const struct manifest *o, struct engine *en,
                      struct strv *images, struct image_index_options *out, struct err *e)
{
    for (int i = 1; i < c->argc; i++) strv_add(images, c->argv[i]);
    *out = (struct image_index_options){.list = c->argv[0],
                                        .images = images,
                                        .os = o->os,
                                        .arch = o->arch,
                                        .variant = o->variant,
                                        .amend = o->amend,
                                        .purge = o->purge,
                                        .verbose = o->verbose,
                                        .insecure = o->insecure || !o->tls_verify};
    return cli_engine(c, en, e);
}

static int run_create(struct cli *c, const void *options, struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(strv) struct strv images = {0};
    own(str) struct str full = {0};
    struct image_index_options opt;
    struct oci_ref ref;
    if (open_index(c, options, &en, &images, &opt, e) < 0 || image_index_create(&en, &opt, e) < 0 ||
        oci_ref_parse(sv_of(opt.list), &ref, e) < 0)
        return -1;
    oci_ref_default_tag(&ref);
    oci_ref_print_full(&ref, &full);
    str_addf(&c->out, "Created manifest list %s\n", str_z(&full));
    return 0;
}

const struct cli_cmd cli_cmd_manifest_create = {
    .path = "manifest create",
    .usage = "LIST IMAGE [IMAGE...]",
    .help = "Put images of several platforms together under one name",
    .more = "The images must be in a registry. The index stays here until it is pushed.",
    .examples = "dewar manifest create r.example.org/me/app r.example.org/me/app:amd64 "
                "r.example.org/me/app:arm64\n"
                "dewar manifest push --purge r.example.org/me/app",
    CLI_OPTIONS(create_options, struct manifest),
    .min_words = 2,
    .max_words = -1,
    .family = CLI_DOCKER,
    .run = run_create,
};

static int run_annotate(struct cli *c, const void *options, struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(strv) struct strv images = {0};
    struct image_index_options opt;
    if (open_index(c, options, &en, &images, &opt, e) < 0) return -1;
    return image_index_annotate(&en, &opt, e);
}

const struct cli_cmd cli_cmd_manifest_annotate = {
    .path = "manifest annotate",
    .usage = "LIST IMAGE",
    .help = "Say which platform an image of an index is for",
    .examples = "dewar manifest annotate --arch arm --variant v7 r.example.org/me/app "
                "r.example.org/me/app:arm",
    CLI_OPTIONS(annotate_options, struct manifest),
    .min_words = 2,
    .max_words = 2,
    .family = CLI_DOCKER,
    .run = run_annotate,
};

static int run_manifest_inspect(struct cli *c, const void *options, struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(strv) struct strv images = {0};
    struct image_index_options opt;
    if (open_index(c, options, &en, &images, &opt, e) < 0) return -1;
    return image_index_inspect(&en, &opt, &c->out, e);
}

const struct cli_cmd cli_cmd_manifest_inspect = {
    .path = "manifest inspect",
    .usage = "NAME",
    .help = "Show an index made here, or what a registry has",
    .examples = "dewar manifest inspect debian:bookworm\n"
                "dewar manifest inspect -v debian:bookworm | jq -r '.[].Descriptor.digest'",
    CLI_OPTIONS(inspect_options, struct manifest),
    .min_words = 1,
    .max_words = 1,
    .family = CLI_DOCKER,
    .run = run_manifest_inspect,
};

static int run_manifest_push(struct cli *c, const void *options, struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(strv) struct strv images = {0};
    struct image_index_options opt;
    struct oci_digest digest;
    if (open_index(c, options, &en, &images, &opt, e) < 0 ||
        image_index_push(&en, &opt, &digest, e) < 0)
        return -1;
    str_addf(&c->out, "sha256:%s\n", digest.hex);
    return 0;
}

const struct cli_cmd cli_cmd_manifest_push = {
    .path = "manifest push",
    .usage = "LIST",
    .help = "Send an index, and the images that its repository lacks",
    .examples = "dewar manifest push --purge r.example.org/me/app",
    CLI_OPTIONS(push_options, struct manifest),
    .min_words = 1,
    .max_words = 1,
    .family = CLI_DOCKER,
    .layers = true, .run = run_manifest_push,
};

static int run_manifest_rm(struct cli *c, const void *options, struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    (void)options;
    if (cli_engine(c, &en, e) < 0) return -1;
    for (int i = 0; i < c->argc; i++) {
        const struct image_index_options opt = {.list = c->argv[i]};
        if (image_index_remove(&en, &opt, e) < 0) return -1;
    }
    return 0;
}

const struct cli_cmd cli_cmd_manifest_rm = {
    .path = "manifest rm",
    .usage = "LIST [LIST...]",
    .help = "Remove indexes that were made here",
    .examples = "dewar manifest rm r.example.org/me/app",
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .run = run_manifest_rm,
};
