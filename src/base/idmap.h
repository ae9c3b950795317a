// SPDX-License-Identifier: Apache-2.0
// Which ids we may use. Root uses real ids. An ordinary user with /etc/subuid ranges gets a user
// namespace made with newuidmap and newgidmap: id 0 inside is the caller, 1.. are the ranges in
// file order. A later single-id mode is one more `enum idmap_mode`.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

enum idmap_mode {
    IDMAP_ROOT,   // uid 0 with CAP_SYS_ADMIN: ids as they are
    IDMAP_RANGE,  // user namespace with ranges
    IDMAP_SINGLE, // user namespace with the caller's id alone (no ranges configured)
    IDMAP_MODE_COUNT,
};

struct idmap_range {
    uint32_t inside;
    uint32_t outside;
    uint32_t count;
};
#define IDMAP_RANGES 16
#define IDMAP_SPLITS 3 // a mapping of these for a namespace below has so many more at most
struct idmap_side {
    struct idmap_range range[IDMAP_RANGES + IDMAP_SPLITS];
    unsigned n;
};
struct idmap {
    enum idmap_mode mode;
    bool inside;  // idmap_enter was done (or never needed)
    struct idmap_side uid, gid;
};

// Decides from getuid, /etc/subuid and /etc/subgid. Never fails for lack of ranges: mode tells.
int idmap_plan(struct idmap *out, struct err *e);
// Puts this process into the planned user namespace (plus a mount namespace of its own) as id 0.
// No-op for IDMAP_ROOT and when already inside.
int idmap_enter(struct idmap *m, struct err *e);
// The same, but into a user namespace that is there and has the planned mapping.
int idmap_enter_in(struct idmap *m, int userns_fd, struct err *e);
bool idmap_has(const struct idmap_side *s, uint32_t inside);
// The id outside for one inside; false: it is not mapped.
bool idmap_find(const struct idmap_side *s, uint32_t inside, uint32_t *out);
// Adds a range; one of no ids is left out.
void idmap_add(struct idmap_side *s, uint32_t inside, uint32_t outside, uint32_t count);
// The same for a namespace below one that has `above`: the kernel takes no range whose ids outside
// lie in two of those above, so there are as many as needed. What is not in `above` is left out.
void idmap_add_below(struct idmap_side *s, const struct idmap_side *above, uint32_t inside,
                     uint32_t outside, uint32_t count);
// "root", "map-<16 hex of FNV over the ranges>", "single": names the on-disk form.
void idmap_form(const struct idmap *m, char out[32]);
const char *idmap_mode_name(enum idmap_mode mode);
// The login name of a uid from /etc/passwd; no name service is asked: it would load libraries.
bool idmap_login_name(uid_t uid, char *out, size_t size);
// Writes the maps of a child in a new user namespace; for a caller with the rights over all ids.
int idmap_write(pid_t child, const struct idmap_side *uid, const struct idmap_side *gid,
                struct err *e);
// Opens a user namespace with the given maps (for --userns auto); fd to it in *out_fd.
int idmap_userns_open(const struct idmap_side *uid, const struct idmap_side *gid, int *out_fd,
                      struct err *e);
