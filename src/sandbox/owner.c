// SPDX-License-Identifier: Apache-2.0
// Owners for the builder: COPY --chown and the folder that WORKDIR makes.
#include <string.h>

#include "base/own.h"
#include "sandbox/sandbox.h"
#include "sandbox/user.h"

int sandbox_owner_find(const struct root *root, const char *text, uint32_t *out_uid,
                       uint32_t *out_gid, struct err *e)
{
    own(sandbox_user) struct sandbox_user ids = {0};
    uint32_t number;
    int rc = strchr(text, ':') ? 0 : sandbox_user_number(sv_of(text), &number, e);
    if (rc < 0) return -1;
    if (rc == 1) {
        *out_uid = *out_gid = number;
        return 0;
    }
    if (sandbox_user_find(root, text, NULL, &ids, e) < 0) return -1;
    *out_uid = ids.uid;
    *out_gid = ids.gid;
    return 0;
}
