// SPDX-License-Identifier: Apache-2.0
// Who the program runs as, looked up inside the root.
#pragma once

#include <stdint.h>

#include "base/fs.h"
#include "base/vec.h"

struct sandbox_user {
    uint32_t uid, gid;
    uint32_t *groups;  // supplementary, heap
    size_t n;
    char *home;   // of the passwd entry; NULL when there is none
    char *name;   // NULL when there is no entry
};
void sandbox_user_fini(struct sandbox_user *u);
static inline void own_sandbox_user(struct sandbox_user *u)
{
    sandbox_user_fini(u);
}
// text: "name|uid[:group|gid]", NULL or "" is 0:0. `extra` (or NULL) are names or
// numbers of more groups.
int sandbox_user_find(const struct root *root, const char *text, const struct strv *extra,
                      struct sandbox_user *out, struct err *e);
// Numbers: all digits, 0..2^32-2. 1 a number, 0 not a number (a name), -1 out of range.
int sandbox_user_number(struct sv text, uint32_t *out, struct err *e);
// The image's /etc/passwd with a line for an unknown user added. Nothing in *out when the user has
// an entry.
int sandbox_user_passwd_with(const struct root *root, const struct sandbox_user *u,
                             const char *home, struct str *out, struct err *e);
