// SPDX-License-Identifier: Apache-2.0
// Instructions with their meaning. Each parse function takes the instruction as read from the file
// and the environment it sees (build/expand.h), expands what its row in the table says is expanded,
// and fills one struct. Errors are ERR_INPUT without file and line (build_instr_wrap adds them);
// what this engine cannot do is ERR_UNSUPPORTED. Outputs must be zeroed, and hold nothing to free
// after a failure.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "build/dockerfile.h"
#include "build/expand.h"
#include "build/ignore.h"
#include "oci/image.h"

// Adds the frame "at Dockerfile:12: COPY data /data". Returns -1.
int build_instr_wrap(struct err *e, const struct build_file *f, const struct build_instr *in);

// FROM. Expanded with the global ARGs only.
struct build_from {
    char *image;     // reference or stage name or "scratch"; never empty
    char *platform;  // NULL if not given
    char *name;      // stage name in lower case, NULL if none
};
int build_instr_from(const struct build_instr *in, const struct build_expand *x,
                     struct build_from *out, struct err *e);
void build_from_fini(struct build_from *v);
// The stage name alone, without expanding: for the graph and --target.
int build_instr_from_name(const struct build_instr *in, char **out_name, struct err *e);
bool build_instr_stage_name_ok(struct sv name);  // ^[a-z][a-z0-9-_.]*$

// RUN
enum build_mount_type {
    BUILD_MOUNT_BIND,
    BUILD_MOUNT_CACHE,
    BUILD_MOUNT_SECRET,
    BUILD_MOUNT_SSH,
    BUILD_MOUNT_TMPFS,
};
enum build_sharing {
    BUILD_SHARING_SHARED,
    BUILD_SHARING_PRIVATE,
    BUILD_SHARING_LOCKED,
};
struct build_mount {
    enum build_mount_type type;
    char *from;    // bind, cache: stage, image or context name; NULL: the build context (bind)
                   // or an empty folder (cache)
    char *source;  // cleaned path inside `from`, "/" for all; never has ".."
    char *target;  // as written, cleaned: relative ones are under WORKDIR. NULL where not given:
                   // secret with env only, ssh default
    char *id;      // cache: defaults to the cleaned target; secret: to the target's last name; ssh:
                   // "default". A name of the user's, never a path: hash it
    char *env;     // secret: variable to set, NULL if none
    bool read_only;
    bool required;  // secret, ssh
    enum build_sharing sharing;
    bool has_mode, has_uid, has_gid;
    uint32_t mode, uid, gid;  // defaults filled in: cache 0755, secret 0400, ssh 0600
    uint64_t size;            // tmpfs, bytes; 0: no limit
};
enum build_network {
    BUILD_NETWORK_DEFAULT,
    BUILD_NETWORK_NONE,
    BUILD_NETWORK_HOST,  // needs the caller's --allow network.host
};
struct build_run {
    VEC(struct build_mount) mounts;
    enum build_network network;
    bool insecure;  // --security=insecure: needs the caller's --allow security.insecure
    // What to run. exec form: argv as is. Otherwise `shell` is one text for the SHELL.
    bool exec_form;
    struct strv argv;
    char *shell;
    // Set when the body of the only heredoc begins with #!: write it as a file of mode 0755 and
    // execute it; `shell` is then NULL.
    char *script;
    size_t script_n;
    char *script_name;
    // What history and progress show: the command without mount flags and bodies.
    char *shown;
};
int build_instr_run(const struct build_instr *in, const struct build_expand *x,
                    struct build_run *out, struct err *e);
void build_run_fini(struct build_run *v);
const char *build_mount_type_name(enum build_mount_type t);
const char *build_sharing_name(enum build_sharing s);
const char *build_network_name(enum build_network n);

// COPY and ADD
struct build_inline {  // a heredoc as a source
    char *name;
    char *data;
    size_t n;
};
struct build_copy {
    bool is_add;
    struct strv sources;  // expanded, as written (globs and trailing slashes kept)
    VEC(struct build_inline) inlines;
    char *dest;   // expanded; a trailing '/' (or "." or "..") means a folder
    char *from;   // NULL: the context. Stage (lower-cased when it is one), index, image, context
    char *chown;  // NULL if not given; "user[:group]" looked up in the target's passwd
    char *chmod;  // NULL if not given; checked: octal up to 7777, or symbolic
    bool link;
    bool literal;  // sources are names, not patterns (RUN --mount)
    bool parents;
    struct build_ignore excludes;
    bool has_excludes;
    char *checksum;     // ADD: "sha256:<64 hex>", NULL if none
    bool has_unpack, unpack;
    bool keep_git_dir;
};
int build_instr_copy(const struct build_instr *in, const struct build_expand *x,
                     struct build_copy *out, struct err *e);
void build_copy_fini(struct build_copy *v);
// --from of COPY, from= of RUN --mount: a name as it stands. An error when it holds a variable.
int build_instr_check_from(const char *from, struct err *e);
// --chmod: the new mode bits (07777) of a file that had `mode` (with S_IFDIR for folders, which X
// looks at). Symbolic clauses: [ugoa]*[-+=][rwxXstugo]*, separated by commas.
int build_chmod_apply(const char *chmod, uint32_t mode, uint32_t *out, struct err *e);

// ENV, LABEL, ARG (without --build-arg)
struct build_pair {
    char *key;
    char *value;  // NULL: ARG without a default
};
struct build_pairs {
    VEC(struct build_pair) v;
};
// All words see the environment before the instruction.
int build_instr_pairs(const struct build_instr *in, const struct build_expand *x,
                      struct build_pairs *out, struct err *e);
// One word of an ARG; the name is not expanded, and the default only when `given` (--build-arg:
// name -> text, may be NULL) has no value, so that ${X:?} fails only without one. The value is NULL
// without either. An ARG before the first FROM is read word by word, each seeing those before it;
// in a stage all see the environment before the instruction.
int build_instr_arg(const struct build_instr *in, size_t word, const struct build_expand *x,
                    const struct map *given, struct build_pair *out, struct err *e);
void build_pair_fini(struct build_pair *v);
void build_pairs_fini(struct build_pairs *v);

// EXPOSE: ranges opened, protocol lower-cased, sorted, without doubles: {"80/tcp", "53/udp"}.
int build_instr_expose(const struct build_instr *in, const struct build_expand *x,
                       struct strv *out, struct err *e);
// USER, WORKDIR, STOPSIGNAL, MAINTAINER: one expanded text. STOPSIGNAL is checked: a name that
// Linux has (with or without SIG, any case) or a number 1..64 (0 is refused).
int build_instr_text(const struct build_instr *in, const struct build_expand *x, char **out,
                     struct err *e);
// VOLUME: expanded paths, none empty.
int build_instr_volume(const struct build_instr *in, const struct build_expand *x,
                       struct strv *out, struct err *e);
// HEALTHCHECK; zero durations and retries mean the default. test is {"NONE"}, {"CMD", ...} or
// {"CMD-SHELL", text}.
int build_instr_health(const struct build_instr *in, struct oci_health *out, struct err *e);
// CMD, ENTRYPOINT (and SHELL, JSON form only). `json` false: words has one text for the SHELL.
// `ENTRYPOINT []` gives json and no words.
struct build_command {
    bool json;
    struct strv words;
};
int build_instr_command(const struct build_instr *in, struct build_command *out, struct err *e);
void build_command_fini(struct build_command *v);
// ONBUILD: the trigger as stored in the image, heredoc bodies included, after the restrictions.
int build_instr_onbuild(const struct build_instr *in, char **out, struct err *e);
