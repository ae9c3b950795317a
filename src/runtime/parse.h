// SPDX-License-Identifier: Apache-2.0
// What people write behind -v, --mount, --tmpfs, --device, --ulimit and --env-file.
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "base/vec.h"
#include "runtime/sandbox.h"

struct parse_volume {
    char *source;  // NULL: anonymous
    char *target;
    bool readonly;
    bool nocopy;
    char *propagation;
};
void parse_volume_fini(struct parse_volume *v);
static inline void own_parse_volume(struct parse_volume *v)
{
    parse_volume_fini(v);
}
int parse_volume(const char *text, struct parse_volume *out, struct err *e);
enum parse_mount_type {
    PARSE_MOUNT_BIND,
    PARSE_MOUNT_TMPFS,
    PARSE_MOUNT_VOLUME,
    PARSE_MOUNT_IMAGE,
    PARSE_MOUNT_COUNT,
};
const char *parse_mount_name(enum parse_mount_type type);  // "bind", ...
// --mount: the rows of `out` are filled in; a volume without a source is anonymous.
int parse_mount(const char *text, enum parse_mount_type *out_type, struct runtime_mount *out,
                struct err *e);
int parse_tmpfs(const char *text, struct runtime_mount *out, struct err *e);
int parse_device(const char *text, struct runtime_device *out, struct err *e);
int parse_ulimit(const char *text, struct runtime_rlimit *out, struct err *e);
// Docker's --env-file: adds "K=V" texts; a key alone copies the caller's variable or is dropped.
int parse_env_file(const char *path, struct strv *out, struct err *e);
int parse_env_text(struct sv text, const char *label, struct strv *out, struct err *e);
bool parse_name_ok(const char *name);  // [a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}
