// SPDX-License-Identifier: Apache-2.0
// `dewar lock` and `dewar verify`: what a build takes from outside, written down and looked at again.
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "build/locking.h"
#include "build/verify.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "codec/json.h"

// The options of both that say which build is meant, as in `dewar build`.
struct opts {
    struct strv build_args, contexts, secrets, ssh, update;
    const char *file, *target, *platform, *lock_file, *format;
    bool build, rebuild, tls_verify;
    int progress;
};
#define O(member) OPT_AT(struct opts, member)
// clang-format off
#define COMMON_A                                                                                       \
    {.name = "build-arg", .type = OPT_LIST, .offset = O(build_args), .arg = "NAME[=VALUE]",            \
     .help = "Set an ARG, as for the build"},                                                          \
    {.name = "build-context", .type = OPT_LIST, .offset = O(contexts), .arg = "NAME=SOURCE",           \
     .help = "One more context, as for the build"},                                                    \
    {.name = "file", .letter = 'f', .type = OPT_TEXT, .offset = O(file), .arg = "FILE",                \
     .help = "Dockerfile (default: CONTEXT/Dockerfile)"},                                              \
    {.name = "format", .type = OPT_TEXT, .offset = O(format), .arg = "FORMAT",                         \
     .help = "table, json or a template"},                                                             \
    {.name = "lock-file", .type = OPT_TEXT, .offset = O(lock_file), .arg = "FILE",                     \
     .help = "The lock (default: dewar.lock beside the Dockerfile)"},                                  \
    {.name = "platform", .type = OPT_TEXT, .offset = O(platform), .arg = "OS/ARCH",                    \
     .help = "Platform to build for; a lock may be for several: linux/amd64,linux/arm64"},             \
    {.name = "progress", CLI_OPT_PROGRESS(struct opts, progress)}
#define COMMON_B                                                                                       \
    {.name = "secret", .type = OPT_LIST, .offset = O(secrets), .arg = "id=ID[,src=FILE|env=VAR]",      \
     .help = "A token for git: GIT_AUTH_TOKEN"},                                                       \
    {.name = "ssh", .type = OPT_LIST, .offset = O(ssh), .arg = "default|ID[=SOCKET]",                  \
     .help = "Lets git use an ssh agent"},                                                             \
    {.name = "target", .type = OPT_TEXT, .offset = O(target), .arg = "STAGE",                          \
     .help = "Only what this stage needs (default: the last)"},                                        \
    {.name = "tls-verify", CLI_OPT_TLS(struct opts, tls_verify)}
// clang-format on

static const struct opt lock_rows[] = {
    {.name = "build", .type = OPT_BOOL, .offset = O(build),
     .help = "Build with the new lock, and note the image ID in it"},
    COMMON_A,
    COMMON_B,
    {.name = "update", .letter = 'u', .type = OPT_LIST, .offset = O(update), .arg = "NAME|all",
     .help = "Ask again for this image, URL or repository"},
};
static const struct opt verify_rows[] = {
    COMMON_A,
    {.name = "rebuild", .type = OPT_BOOL, .offset = O(rebuild),
     .help = "Also build again from nothing, and compare the image ID"},
    COMMON_B,
};

static struct build_options to_verb(const struct cli *c, const struct opts *o)
{
    return (struct build_options){
        .context = c->argc ? c->argv[0] : ".",
        .file = o->file,
        .target = o->target,
        .platform = o->platform,
        .lock_file = o->lock_file,
        .build_args = &o->build_args,
        .contexts = &o->contexts,
        .secrets = &o->secrets,
        .ssh = &o->ssh,
        .insecure = !o->tls_verify,
    };
}

static int begin(struct cli *c, const struct opts *o, const char *title, struct engine *en,
                 struct err *e)
{
    if (cli_render_begin(c, (enum cli_progress)o->progress, title, e) < 0) return -1;
    return cli_engine(c, en, e);
}

static void end(struct cli *c, bool ok, const struct build_result *result)
{
    cli_render_end(c, ok);
    if (!ok && result->excerpt[0]) fputs(result->excerpt, stderr);
}

// --- lock ---------------------------------------------------------------------------------------
static const struct cli_column lock_columns[] = {
    {"CHANGE", "Change", false}, {"KIND", "Kind", false}, {"NAME", "Name", false},
    {"LOCKED", "Locked", false}, {"BEFORE", "Before", true}, {NULL, NULL, false}};

static int print_lock(struct cli *c, const struct opts *o, const struct build_locking *l,
                      struct err *e)
{
    own(codec_json) struct codec_json *rows = codec_json_new_array();
    vec_each(r, &l->rows)
    {
        struct codec_json *j = codec_json_new_object();
        codec_json_set_text(j, "Change", build_locking_change_name(r->change));
        codec_json_set_text(j, "Kind", r->kind);
        codec_json_set_text(j, "Name", r->name);
        codec_json_set_text(j, "Locked", r->is ? r->is : "");
        codec_json_set_text(j, "Before", r->was ? r->was : "");
        codec_json_add(rows, j);
    }
    return cli_print_rows(c, rows, lock_columns, o->format, e);
}

static int run_lock(struct cli *c, const void *options, struct err *e)
{
    const struct opts *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(strv) struct strv proxies = {0};
    struct build_options build = to_verb(c, o);
    cli_proxies(c, &proxies);
    build.proxies = &proxies;
    struct build_locking_options opt = {&build, &o->update, o->build};
    struct build_result result = {0};
    struct build_locking l;
    char id[OCI_DIGEST_TEXT];
    if (begin(c, o, "Locking", &en, e) < 0) return -1;
    int rc = build_locking_run(&en, &opt, &result, &l, e);
    end(c, rc == 0, &result);
    if (rc < 0) return -1;
    rc = print_lock(c, o, &l, e);
    fprintf(stderr, "wrote %s\n", l.path);
    if (oci_digest_is_set(&l.image)) fprintf(stderr, "image %s\n", oci_digest_print(&l.image, id));
    build_locking_fini(&l);
    return rc;
}

const struct cli_cmd cli_cmd_lock = {
    .path = "lock",
    .usage = "[CONTEXT]",
    .help = "Write down what a build takes from outside",
    .more = "Finds out what every image, URL and git repository that the Dockerfile names is now, and "
            "writes digests and commits to dewar.lock beside the Dockerfile. 'dewar build --locked' then "
            "takes exactly these and asks for no name. What is in the lock already stays; --update asks "
            "again. Keep the lock in version control.",
    .examples = "dewar lock\n"
                "    lock the Dockerfile of this folder\n"
                "dewar lock --update debian:bookworm --build\n"
                "    take today's image of that name, build, and note the result\n",
    CLI_OPTIONS(lock_rows, struct opts),
    .max_words = 1,
    .family = CLI_OWN,
    .layers = true, .run = run_lock,
};

// --- verify -------------------------------------------------------------------------------------
static const struct cli_column verify_columns[] = {
    {"STATUS", "Status", false}, {"KIND", "Kind", false},     {"NAME", "Name", false},
    {"LOCKED", "Locked", false}, {"NOW", "Now", false},       {"DETAIL", "Detail", false},
    {NULL, NULL, false}};

// Whole digests are for --format; a table is read by people.
static char *short_id(const char *id, bool table)
{
    if (!id) return str_dup(table ? "-" : "");
    struct sv v = sv_of(id);
    if (!table) return str_dup(id);
    return sv_dup(sv_part(v, 0, sv_starts(v, "sha256:") ? 7 + CLI_SHORT_ID : CLI_SHORT_ID));
}

static int print_verify(struct cli *c, const struct opts *o, const struct build_verify *v,
                        struct err *e)
{
    own(codec_json) struct codec_json *rows = codec_json_new_array();
    bool table = !o->format || !o->format[0] || strcmp(o->format, "table") == 0;
    vec_each(r, &v->rows)
    {
        struct codec_json *j = codec_json_new_object();
        own(free) char *locked = short_id(r->locked, table);
        own(free) char *now = short_id(r->now, table);
        codec_json_set_text(j, "Status", build_verify_status_name(r->status));
        codec_json_set_text(j, "Kind", r->kind);
        codec_json_set_text(j, "Name", r->name);
        codec_json_set_text(j, "Locked", locked);
        codec_json_set_text(j, "Now", now);
        codec_json_set_text(j, "Detail", r->detail ? r->detail : "");
        codec_json_add(rows, j);
    }
    return cli_print_rows(c, rows, verify_columns, o->format, e);
}

static int run_verify(struct cli *c, const void *options, struct err *e)
{
    const struct opts *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(strv) struct strv proxies = {0};
    struct build_options build = to_verb(c, o);
    cli_proxies(c, &proxies);
    build.proxies = &proxies;
    struct build_verify_options opt = {&build, o->rebuild};
    struct build_result result = {0};
    struct build_verify v;
    if (begin(c, o, "Verifying", &en, e) < 0) return -1;
    int rc = build_verify_run(&en, &opt, &result, &v, e);
    end(c, rc >= 0, &result);
    if (rc < 0) return -1;
    if (v.report.n) fputs(str_z(&v.report), stderr);
    if (print_verify(c, o, &v, e) < 0) rc = -1;
    build_verify_fini(&v);
    return rc;
}

const struct cli_cmd cli_cmd_verify = {
    .path = "verify",
    .usage = "[CONTEXT]",
    .help = "Ask whether what a lock names is still there and the same",
    .more = "A name that stands for something else now has moved; what is not there any more is gone. "
            "Exits with 0 when all is the same, with 1 when something is not (also when it could not be "
            "asked, or the Dockerfile names what the lock lacks), with 2 for wrong usage.",
    .examples = "dewar verify\n"
                "    ask registries, servers and repositories\n"
                "dewar verify --rebuild --format json\n"
                "    also build again, and print the rows as JSON\n",
    CLI_OPTIONS(verify_rows, struct opts),
    .max_words = 1,
    .family = CLI_OWN,
    .layers = true, .run = run_verify,
};
