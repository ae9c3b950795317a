// SPDX-License-Identifier: Apache-2.0
// Commands that bring images in and out as files: save, load, image import, image bootstrap.
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "cli/commands.h"
#include "image/archive.h"
#include "image/import.h"

// --- save ---------------------------------------------------------------------------------------

struct save {
    const char *output;
    int format, compress;
    uint64_t level;
};
static const char *const save_formats[] = {"docker-archive", "oci-archive", "oci-dir", NULL};
static const char *const compressions[] = {"none", "gzip", "zstd", NULL};
#define AT(member) .offset = OPT_AT(struct save, member)
static const struct opt save_options[] = {
    {"output", 'o', OPT_TEXT, AT(output), .arg = "FILE", .help = "Write here instead of to stdout"},
    {"format", 0, OPT_ENUM, AT(format), .choices = save_formats,
     .help = "Kind of archive; docker-archive is an OCI layout too"},
    {"compress", 0, OPT_ENUM, AT(compress), .choices = compressions,
     .help = "Compress layers again; none keeps them as they are"},
    {"level", 0, OPT_UINT, AT(level), .arg = "N", .help = "How hard to compress"},
};
#undef AT

static int run_save(struct cli *c, const void *options, struct err *e)
{
    static const enum image_save_format formats[] = {IMAGE_SAVE_DOCKER, IMAGE_SAVE_OCI_ARCHIVE,
                                                     IMAGE_SAVE_OCI_DIR};
    static const enum codec_zip zips[] = {CODEC_ZIP_NONE, CODEC_ZIP_GZIP, CODEC_ZIP_ZSTD};
    const struct save *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(strv) struct strv names = {0};
    for (int i = 0; i < c->argc; i++) strv_add(&names, c->argv[i]);
    const struct image_save_options opt = {.names = &names, .format = formats[o->format],
                                           .path = o->output, .fd = STDOUT_FILENO,
                                           .compress = zips[o->compress], .level = (int)o->level};
    if (!o->output && c->out_tty) {
        err_set(e, ERR_USAGE, "an archive cannot be written to a terminal");
        return err_hint(e, "use -o FILE, or a pipe");
    }
    if (o->level > 22) return err_set(e, ERR_USAGE, "--level goes from 1 to 22");
    if (cli_engine(c, &en, e) < 0) return -1;
    return image_save(&en, &opt, e);
}

const struct cli_cmd cli_cmd_save = {
    .path = "image save",
    .alias = (const char *const[]){"save", NULL},
    .usage = "IMAGE [IMAGE...]",
    .help = "Write images to an archive",
    .more = "The archive is a docker-archive and an OCI layout at once. The same images give the same\n"
            "bytes. With -o the file appears complete or not at all.",
    .examples = "dewar save -o digits.tar digits\n"
                "dewar save digits | ssh host dewar load\n"
                "dewar save --format oci-dir -o layout/ digits",
    CLI_OPTIONS(save_options, struct save),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_IMAGES,
    .layers = true, .run = run_save,
};

// --- load ---------------------------------------------------------------------------------------

struct load {
    const char *input, *platform;
    bool quiet;
    int progress;
};
#define AT(member) .offset = OPT_AT(struct load, member)
static const struct opt load_options[] = {
    {"input", 'i', OPT_TEXT, AT(input), .arg = "FILE",
     .help = "Read this archive or OCI layout folder instead of stdin"},
    {"platform", 0, OPT_TEXT, AT(platform), .arg = "OS/ARCH", .help = "Of an archive with several"},
    {"quiet", 'q', OPT_BOOL, AT(quiet), .help = "Print only the image ID"},
    {.name = "progress", CLI_OPT_PROGRESS(struct load, progress)},
};
#undef AT

static void print_loaded(struct cli *c, const struct image_loaded *l, bool quiet)
{
    if (quiet) {
        str_addf(&c->out, "sha256:%s\n", l->id.hex);
    } else if (!l->ref.name[0]) {
        str_addf(&c->out, "Loaded image ID: sha256:%s\n", l->id.hex);
    } else {
        str_addz(&c->out, "Loaded image: ");
        oci_ref_print(&l->ref, &c->out);
        str_addc(&c->out, '\n');
    }
}

static int run_load(struct cli *c, const void *options, struct err *e)
{
    const struct load *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(image_loads) struct image_loads loads = {0};
    const struct image_load_options opt = {.path = o->input, .fd = STDIN_FILENO,
                                           .platform = o->platform};
    if (!o->input && isatty(STDIN_FILENO)) {
        err_set(e, ERR_USAGE, "no archive: stdin is the terminal");
        return err_hint(e, "use -i FILE, or a pipe");
    }
    enum cli_progress kind = o->quiet ? CLI_PROGRESS_QUIET : (enum cli_progress)o->progress;
    if (cli_render_begin(c, kind, "Loading", e) < 0 || cli_engine(c, &en, e) < 0) return -1;
    if (image_load(&en, &opt, &loads, e) < 0) return -1;
    for (size_t i = 0; i < loads.n; i++) {
        // Names of one image would print its ID again and again.
        bool again = i > 0 && oci_digest_eq(&loads.p[i].id, &loads.p[i - 1].id);
        if (!o->quiet || !again) print_loaded(c, &loads.p[i], o->quiet);
    }
    return 0;
}

const struct cli_cmd cli_cmd_load = {
    .path = "image load",
    .alias = (const char *const[]){"load", NULL},
    .usage = "",
    .help = "Read images from an archive",
    .more = "Takes what 'docker save', 'podman save' and skopeo write (docker-archive, OCI layout as a\n"
            "tar or a folder), plain or compressed with gzip, zstd, xz or bzip2.",
    .examples = "dewar load -i digits.tar\n"
                "docker save digits | dewar load",
    CLI_OPTIONS(load_options, struct load),
    .family = CLI_DOCKER,
    .words = CLI_WORDS_FILES,
    .layers = true, .run = run_load,
};

// --- image import -------------------------------------------------------------------------------

struct import {
    struct strv changes;
    const char *message, *platform;
};
#define AT(member) .offset = OPT_AT(struct import, member)
static const struct opt import_options[] = {
    {"change", 'c', OPT_LIST, AT(changes), .arg = "INSTRUCTION",
     .help = "Apply a Dockerfile instruction: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, "
             "STOPSIGNAL, USER, VOLUME or WORKDIR"},
    {"message", 'm', OPT_TEXT, AT(message), .arg = "TEXT", .help = "Comment of the image"},
    {"platform", 0, OPT_TEXT, AT(platform), .arg = "OS/ARCH", .help = "Of the image"},
};
#undef AT

static int run_import(struct cli *c, const void *options, struct err *e)
{
    const struct import *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    struct store_ref ref = {0};
    const struct image_import_options opt = {.path = c->argv[0], .fd = STDIN_FILENO,
                                             .name = c->argc > 1 ? c->argv[1] : NULL,
                                             .changes = &o->changes, .message = o->message,
                                             .platform = o->platform};
    if (strcmp(c->argv[0], "-") == 0 && isatty(STDIN_FILENO)) {
        err_set(e, ERR_USAGE, "no archive: stdin is the terminal");
        return err_hint(e, "name a file, or use a pipe");
    }
    if (cli_engine(c, &en, e) < 0 || image_import(&en, &opt, &ref, e) < 0) return -1;
    str_addf(&c->out, "sha256:%s\n", ref.image.hex);
    return 0;
}

const struct cli_cmd cli_cmd_import = {
    .path = "image import",
    .alias = (const char *const[]){"import", NULL},
    .usage = "FILE|- [REPOSITORY[:TAG]]",
    .help = "Make an image of a root file system in a tar",
    .more = "The image is dated by the newest file in the tar, so the same tar gives the same image ID.",
    .examples = "dewar image import rootfs.tar base:1\n"
                "mmdebstrap bookworm | dewar image import - debian:bookworm\n"
                "dewar image import -c 'CMD [\"/bin/sh\"]' rootfs.tar.gz base:1",
    CLI_OPTIONS(import_options, struct import),
    .min_words = 1,
    .max_words = 2,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_FILES,
    .layers = true, .run = run_import,
};

// --- image bootstrap ----------------------------------------------------------------------------

struct bootstrap {
    struct strv include;
    const char *mirror, *snapshot, *variant, *tag;
    bool quiet;
    int progress;
};
static const char *const variants[] = {"minbase", "essential", "apt", "required", "important",
                                       "standard", NULL};
#define AT(member) .offset = OPT_AT(struct bootstrap, member)
static const struct opt bootstrap_options[] = {
    {"include", 0, OPT_LIST, AT(include), .arg = "PKG[,PKG]", .help = "Packages to add"},
    {"mirror", 0, OPT_TEXT, AT(mirror), .arg = "URL", .help = "Package mirror"},
    {"snapshot", 0, OPT_TEXT, AT(snapshot), .arg = "TIME",
     .help = "Use snapshot.debian.org as it was then (20240101T000000Z)"},
    {"variant", 0, OPT_TEXT, AT(variant), .arg = "NAME", .choices = variants,
     .help = "Which packages every image has (default minbase)"},
    {"tag", 't', OPT_TEXT, AT(tag), .arg = "NAME[:TAG]", .help = "Another name for the image"},
    {"quiet", 'q', OPT_BOOL, AT(quiet), .help = "Print only the image ID"},
    {.name = "progress", CLI_OPT_PROGRESS(struct bootstrap, progress)},
};
#undef AT

static void split_packages(const struct strv *given, struct strv *out)
{
    for (size_t i = 0; i < given->n; i++) {
        struct sv rest = sv_of(given->p[i]);
        while (rest.p) {
            struct sv one = sv_trim(sv_cut(&rest, ','));
            if (one.n) strv_take(out, sv_dup(one));
        }
    }
}

static int run_bootstrap(struct cli *c, const void *options, struct err *e)
{
    const struct bootstrap *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(strv) struct strv include = {0};
    own(str) struct str title = {0};
    struct store_ref ref = {0};
    split_packages(&o->include, &include);
    const struct image_bootstrap_options opt = {.name = c->argv[0], .as = o->tag,
                                                .include = &include, .mirror = o->mirror,
                                                .snapshot = o->snapshot, .variant = o->variant};
    enum cli_progress kind = o->quiet ? CLI_PROGRESS_QUIET : (enum cli_progress)o->progress;
    str_addz(&title, "Bootstrapping ");
    str_add_escaped(&title, sv_of(c->argv[0]));
    if (cli_render_begin(c, kind, str_z(&title), e) < 0 || cli_engine(c, &en, e) < 0) return -1;
    if (image_bootstrap(&en, &opt, &ref, e) < 0) return -1;
    str_addf(&c->out, "sha256:%s\n", ref.image.hex);
    return 0;
}

const struct cli_cmd cli_cmd_bootstrap = {
    .path = "image bootstrap",
    .usage = "NAME:SUITE",
    .help = "Make a Debian or Ubuntu base image from a package mirror",
    .more = "Uses mmdebstrap, with no root needed. The image is dated by the mirror's Release file, so\n"
            "the same Release gives the same image ID.",
    .examples = "dewar image bootstrap debian:bookworm\n"
                "dewar image bootstrap --include python3,python3-numpy -t base:py debian:bookworm\n"
                "dewar image bootstrap --snapshot 20240101T000000Z debian:bookworm",
    CLI_OPTIONS(bootstrap_options, struct bootstrap),
    .min_words = 1,
    .max_words = 1,
    .family = CLI_OWN,
    .layers = true, .run = run_bootstrap,
};
