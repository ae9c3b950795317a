// SPDX-License-Identifier: Apache-2.0
// The verbs about a container's files: cp, export, diff, commit. Each takes an id
// (record_find) of a container that runs or not, is one function plus its options, and
// never prints. None needs engine_enter before. cp and export look into a container that may be
// hostile: call sandbox_sealed first (sealed.h).
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/vec.h"
#include "oci/digest.h"

struct files_copy_options {
    const char *name;  // of the container, as it was typed, for messages
    const char *path;  // in the container; without a leading slash it is below "/" all the same
    const char *local; // outside; NULL: `fd` is a tar, read or written
    int fd;
    bool out;          // from the container
    bool archive;      // keep owners
    bool follow;       // a link that is named as the source
};
// *out_bytes is the size of the tar between the two sides.
int files_copy(struct engine *en, const char *id, const struct files_copy_options *o,
               uint64_t *out_bytes, struct err *e);

// A canonical tar of the merged file system, without what is mounted in it. `path` NULL: to `fd`.
int files_export(struct engine *en, const char *id, const char *path, int fd, struct err *e);

struct files_change {
    char kind; // 'A' added, 'C' changed, 'D' deleted
    char *path;
};
struct files_changes {
    struct files_change *p;
    size_t n;
    size_t cap;
};
void files_changes_fini(struct files_changes *v);
static inline void own_files_changes(struct files_changes *v)
{
    files_changes_fini(v);
}
// What differs from the image, a folder before what is in it, else in the order of the bytes.
int files_diff(struct engine *en, const char *id, struct files_changes *out, struct err *e);

struct files_commit_options {
    const char *name;      // REPOSITORY[:TAG]; NULL: the image stays untagged
    const char *author, *message;
    struct strv changes;   // "CMD [...]": as `docker commit --change`
    bool no_pause;         // do not stop what runs meanwhile
    bool must_pause;       // an error where that cannot be done; else a warning
};
int files_commit(struct engine *en, const char *id, const struct files_commit_options *o,
                 struct oci_digest *out_image, struct err *e);
