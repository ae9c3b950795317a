// SPDX-License-Identifier: Apache-2.0
// What people write behind -v, --mount, --tmpfs, --device, --ulimit and --env-file.
#pragma once

#include <stdbool.h>

#include "base/str.h"
#include "base/vec.h"
#include "sandbox/sandbox.h"

struct sandbox_parse_volume {
    char *source;  // NULL: anonymous
    char *target;
    bool readonly;
    bool nocopy;
    char *propagation;
};
void sandbox_parse_volume_fini(struct sandbox_parse_volume *v);
static inline void own_sandbox_parse_volume(struct sandbox_parse_volume *v)
{
    sandbox_parse_volume_fini(v);
}
int sandbox_parse_volume(const char *text, struct sandbox_parse_volume *out, struct err *e);
enum sandbox_parse_mount_type {
    PARSE_MOUNT_BIND,
    PARSE_MOUNT_TMPFS,
    PARSE_MOUNT_VOLUME,
    PARSE_MOUNT_IMAGE,
    PARSE_MOUNT_COUNT,
};
const char *sandbox_parse_mount_name(enum sandbox_parse_mount_type type); // "bind", ...
// --mount: the rows of `out` are filled in; a volume without a source is anonymous.
int sandbox_parse_mount(const char *text, enum sandbox_parse_mount_type *out_type,
                        struct sandbox_mount *out, struct err *e);
int sandbox_parse_tmpfs(const char *text, struct sandbox_mount *out, struct err *e);
int sandbox_parse_device(const char *text, struct sandbox_device *out, struct err *e);
// "nofile=SOFT[:HARD]", as behind --ulimit.
int sandbox_parse_ulimit(const char *text, struct sandbox_rlimit *out, struct err *e);
// --add-host: "NAME:ADDRESS", "NAME=ADDRESS" or "NAME:host-gateway", which is the host as it is seen
// from inside.
struct sandbox_parse_host {
    char *name;
    char *address;  // NULL with gateway
    bool gateway;
};
void sandbox_parse_host_fini(struct sandbox_parse_host *v);
static inline void own_sandbox_parse_host(struct sandbox_parse_host *v)
{
    sandbox_parse_host_fini(v);
}
int sandbox_parse_host(const char *text, struct sandbox_parse_host *out, struct err *e);
// Docker's --env-file: adds "K=V" texts; a key alone copies the caller's variable or is dropped.
int sandbox_parse_env_file(const char *path, struct strv *out, struct err *e);
int sandbox_parse_env_text(struct sv text, const char *label, struct strv *out, struct err *e);
bool sandbox_parse_name_ok(const char *name); // [a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}
