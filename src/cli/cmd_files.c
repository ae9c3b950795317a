// SPDX-License-Identifier: Apache-2.0
// Commands about a container's files: cp, export, diff, commit.
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "cli/commands.h"
#include "files/files.h"
#include "record/state.h"
#include "sandbox/sealed.h"

// --- cp -----------------------------------------------------------------------------------------

struct cp {
    bool archive, follow, quiet;
};
#define AT(member) .offset = OPT_AT(struct cp, member)
static const struct opt cp_options[] = {
    {"archive", 'a', OPT_BOOL, AT(archive), .help = "Keep owners (numbers of users and groups)"},
    {"follow-link", 'L', OPT_BOOL, AT(follow), .help = "Follow a link that is named as the source"},
    {"quiet", 'q', OPT_BOOL, AT(quiet), .help = "Do not say how much was copied"},
};
#undef AT

// "CONTAINER:PATH"; a word that begins with "/" or "." is a path here, whatever is in it.
static const char *inner_path(const char *word, char **out_container)
{
    const char *colon = strchr(word, ':');
    if (!colon || colon == word || word[0] == '/' || word[0] == '.') return NULL;
    *out_container = sv_dup((struct sv){word, (size_t)(colon - word)});
    return colon + 1;
}

static int read_words(struct cli *c, struct files_copy_options *o, char **out_container,
                      struct err *e)
{
    const char *words[2] = {c->argv[0], c->argv[1]}, *inner[2];
    own(free) char *from = NULL;
    own(free) char *to = NULL;
    for (int i = 0; i < 2; i++)
        if (!words[i][0])
            return err_set(e, ERR_USAGE, "%s can not be empty", i ? "destination" : "source");
    inner[0] = inner_path(words[0], &from);
    inner[1] = inner_path(words[1], &to);
    if (inner[0] && inner[1])
        return err_set(e, ERR_INPUT, "copying between containers is not supported");
    if (!inner[0] && !inner[1]) {
        err_set(e, ERR_INPUT, "must specify at least one container source");
        return err_hint(e, "a path in a container is written CONTAINER:PATH");
    }
    o->out = inner[0] != NULL;
    o->path = inner[o->out ? 0 : 1];
    o->local = words[o->out ? 1 : 0];
    *out_container = o->out ? take_ptr(from) : take_ptr(to);
    if (!o->path[0]) o->path = "/";
    if (strcmp(o->local, "-") == 0) {
        o->local = NULL;
        o->fd = o->out ? STDOUT_FILENO : STDIN_FILENO;
    }
    return 0;
}

static int check_terminal(const struct cli *c, const struct files_copy_options *o, struct err *e)
{
    if (o->local || (o->out ? !c->out_tty : !isatty(STDIN_FILENO))) return 0;
    if (o->out) {
        err_set(e, ERR_USAGE, "an archive is not written to a terminal");
        return err_hint(e, "name a file or folder, or redirect standard output");
    }
    err_set(e, ERR_USAGE, "no archive: stdin is the terminal");
    return err_hint(e, "name a file or folder, or use a pipe");
}

static void say_copied(const struct cli *c, const struct cp *o, const char *container,
                       const struct files_copy_options *copy, uint64_t bytes)
{
    own(str) struct str text = {0};
    if (o->quiet || !c->out_tty || !copy->local) return;
    str_addz(&text, "Successfully copied ");
    num_print_size(bytes, &text);
    if (copy->out)
        str_addf(&text, " to %s", c->argv[1]);
    else
        str_addf(&text, " to %s:%s", container, copy->path);
    event_info(&c->sink, "%s", str_z(&text));
}

static int run_cp(struct cli *c, const void *options, struct err *e)
{
    const struct cp *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(free) char *container = NULL;
    struct files_copy_options copy = {.archive = o->archive, .follow = o->follow};
    char id[RECORD_ID];
    uint64_t bytes = 0;
    // Whoever is in the container may look at our program file while we are inside.
    if (sandbox_sealed(c->own_argv, e) < 0) return -1;
    if (read_words(c, &copy, &container, e) < 0 || check_terminal(c, &copy, e) < 0 ||
        cli_engine(c, &en, e) < 0 || record_find(&en, container, id, e) < 0)
        return -1;
    copy.name = container;
    if (files_copy(&en, id, &copy, &bytes, e) < 0) return -1;
    say_copied(c, o, container, &copy, bytes);
    return 0;
}

const struct cli_cmd cli_cmd_cp = {
    .path = "cp",
    .alias = (const char *const[]){"container cp", NULL},
    .usage = "CONTAINER:SRC DEST|- | SRC|- CONTAINER:DEST",
    .help = "Copy files and folders between a container and this machine",
    .more = "The container may run or not; its volumes and binds are seen as it sees them. A folder is\n"
            "copied into a destination that is a folder, with its contents alone when SRC ends in\n"
            "'/.', and becomes a destination that is not there. '-' is a tar on stdin or stdout. In\n"
            "the container everything belongs to root, outside to you, unless -a is given.",
    .examples = "dewar cp web:/var/log/nginx ./logs\n"
                "dewar cp settings.toml web:/etc/app/\n"
                "dewar cp results/. job:/data\n"
                "    what is in results/, not the folder itself\n"
                "dewar cp job:/data - | tar t",
    CLI_OPTIONS(cp_options, struct cp),
    .min_words = 2,
    .max_words = 2,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .layers = true, .run = run_cp,
};

// --- export -------------------------------------------------------------------------------------

struct export {
    const char *output;
};
static const struct opt export_options[] = {
    {"output", 'o', OPT_TEXT, .offset = OPT_AT(struct export, output), .arg = "FILE",
     .help = "Write here instead of to stdout"},
};

static int run_export(struct cli *c, const void *options, struct err *e)
{
    const struct export *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    char id[RECORD_ID];
    if (sandbox_sealed(c->own_argv, e) < 0) return -1;
    if (cli_engine(c, &en, e) < 0 || record_find(&en, c->argv[0], id, e) < 0) return -1;
    return files_export(&en, id, o->output, STDOUT_FILENO, e);
}

const struct cli_cmd cli_cmd_export = {
    .path = "export",
    .alias = (const char *const[]){"container export", NULL},
    .usage = "CONTAINER",
    .help = "Write a container's file system to a tar",
    .more = "Image and changes merged, without what lies in volumes and binds. The same files give the\n"
            "same bytes. With -o the file appears complete or not at all.",
    .examples = "dewar export -o rootfs.tar web\n"
                "dewar export web | dewar image import - web:flat",
    CLI_OPTIONS(export_options, struct export),
    .min_words = 1,
    .max_words = 1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .layers = true, .run = run_export,
};

// --- diff ---------------------------------------------------------------------------------------

static int run_diff(struct cli *c, const void *options, struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(files_changes) struct files_changes changes = {0};
    char id[RECORD_ID];
    (void)options;
    if (cli_engine(c, &en, e) < 0 || record_find(&en, c->argv[0], id, e) < 0 ||
        files_diff(&en, id, &changes, e) < 0)
        return -1;
    vec_each(x, &changes)
    {
        str_addf(&c->out, "%c ", x->kind);
        if (c->out_tty)
            str_add_escaped(&c->out, sv_of(x->path));
        else
            str_addz(&c->out, x->path);
        str_addc(&c->out, '\n');
    }
    return 0;
}

const struct cli_cmd cli_cmd_diff = {
    .path = "diff",
    .alias = (const char *const[]){"container diff", NULL},
    .usage = "CONTAINER",
    .help = "List what a container has added (A), changed (C) and deleted (D)",
    .more = "Compared with its image. What lies in volumes and binds is not listed, nor are mount\n"
            "points that were made for them.",
    .examples = "dewar diff web\n",
    .min_words = 1,
    .max_words = 1,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .layers = true, .run = run_diff,
};

// --- commit -------------------------------------------------------------------------------------

struct commit {
    struct strv changes;
    const char *author, *message;
    bool pause, has_pause, no_pause;
};
#define AT(member) .offset = OPT_AT(struct commit, member)
static const struct opt commit_options[] = {
    {"author", 'a', OPT_TEXT, AT(author), .arg = "TEXT", .help = "Author of the image"},
    {"change", 'c', OPT_LIST, AT(changes), .arg = "INSTRUCTION",
     .help = "Apply a Dockerfile instruction: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, "
             "ONBUILD, STOPSIGNAL, USER, VOLUME or WORKDIR"},
    {"message", 'm', OPT_TEXT, AT(message), .arg = "TEXT", .help = "Comment in the history"},
    {"no-pause", 0, OPT_BOOL, AT(no_pause), .help = "Let the container run on while it is copied"},
    {"pause", 'p', OPT_BOOL, AT(pause), .given = OPT_AT(struct commit, has_pause),
     .help = "Let the container stand still while it is copied (default: where that can be done)"},
};
#undef AT

static int run_commit(struct cli *c, const void *options, struct err *e)
{
    const struct commit *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    struct oci_digest image;
    char id[RECORD_ID];
    const struct files_commit_options commit = {
        .name = c->argc > 1 ? c->argv[1] : NULL,
        .author = o->author,
        .message = o->message,
        .changes = o->changes,
        .no_pause = o->no_pause || (o->has_pause && !o->pause),
        .must_pause = o->has_pause && o->pause,
    };
    if (cli_engine(c, &en, e) < 0 || record_find(&en, c->argv[0], id, e) < 0 ||
        files_commit(&en, id, &commit, &image, e) < 0)
        return -1;
    str_addf(&c->out, "sha256:%s\n", image.hex);
    return 0;
}

const struct cli_cmd cli_cmd_commit = {
    .path = "commit",
    .alias = (const char *const[]){"container commit", NULL},
    .usage = "CONTAINER [REPOSITORY[:TAG]]",
    .help = "Make an image of what a container has changed",
    .more = "The image is the container's, with one more layer and with the container's command,\n"
            "environment, labels and so on. What lies in volumes and binds is not in it. With\n"
            "SOURCE_DATE_EPOCH set, the same changes give the same image ID. A Dockerfile says better\n"
            "how an image came about.",
    .examples = "dewar commit -m 'packages by hand' work analysis:try\n"
                "dewar commit -c 'CMD [\"jupyter\", \"lab\"]' -c 'ENV LANG=C.UTF-8' work analysis:try",
    CLI_OPTIONS(commit_options, struct commit),
    .min_words = 1,
    .max_words = 2,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .layers = true, .run = run_commit,
};
