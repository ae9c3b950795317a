// SPDX-License-Identifier: Apache-2.0
// Which containers use which volumes. The marks stand in the containers' folders (volume/volume.h),
// so that a container's end takes them along.
#include "record/uses.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fs.h"
#include "base/own.h"
#include "record/record.h"

void record_uses_fini(struct record_uses *v)
{
    vec_each(u, v) free(u->name);
    vec_fini(v);
}

int record_uses_load(struct engine *en, struct record_uses *out, struct err *e)
{
    own(strv) struct strv ids = {0};
    if (!fs_exists(en->store_fd, "containers")) return 0;
    if (fs_list(en->store_fd, "containers", &ids, e) < 0) return -1;
    for (size_t i = 0; i < ids.n; i++) {
        own(strv) struct strv names = {0};
        own(free) char *path = str_fmt("containers/%s", ids.p[i]);
        struct err gone;
        if (!record_is_id(ids.p[i]) || fs_list(en->store_fd, path, &names, &gone) < 0) continue;
        for (size_t k = 0; k < names.n; k++) {
            const char *mark = names.p[k];
            if (strncmp(mark, "n-", 2) != 0 && strncmp(mark, "v-", 2) != 0) continue;
            struct record_use *u = vec_add(out);
            u->name = str_dup(mark + 2);
            snprintf(u->id, sizeof u->id, "%s", ids.p[i]);
        }
    }
    return 0;
}

int record_uses_shared(struct engine *en, const char *name, const char *id, struct err *e)
{
    own(record_uses) struct record_uses uses = {0};
    if (record_uses_load(en, &uses, e) < 0) return -1;
    vec_each(u, &uses) if (strcmp(u->name, name) == 0 && strcmp(u->id, id) != 0) return 1;
    return 0;
}
