// SPDX-License-Identifier: Apache-2.0
// Folders to tar and back, for `cp` and `export`: one process on either side of a pipe, one of them
// inside a container (view.h), the other one with the caller's ids outside.
//
// Both sides stand somebody who changes the tree at the same time, on purpose too. Sending: every name
// is opened once with O_PATH and never followed, looked at, and only a regular file or a folder is
// opened again, through that descriptor; a file that shrinks is filled up with zeros. Taking: nothing
// below the destination is followed (in an archive of a person's own the container's links are, inside
// its root), a file has no name until it is complete, and nothing that is there is opened for writing.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/event.h"
#include "base/fs.h"
#include "codec/unzip.h"

// Opens what `path` names inside the root (O_PATH). A link at its end is opened itself unless `follow`
// or the path says that it is a folder ("link/", "link/."). *out_name is what a copy is called: "." for
// the contents of a folder alone. The error of fs_in_open.
int tree_source(const struct root *root, const char *path, bool follow, struct str *out_name,
                struct err *e);

struct tree_send {
    struct codec_sink dst;
    int self_fds;     // our /proc/self/fd
    const char *name; // of the top; "": only what is in it, without an entry for itself
    const struct event_sink *sink;
};
int tree_send(int top, const struct tree_send *o, struct err *e);

struct tree_take {
    struct codec_source src;
    int self_fds;
    struct root root;
    const char *path; // the destination, by Docker's rules for `cp`
    bool archive;     // a person's own tar: the destination is a folder, names stay as they are
    bool keep_owner;  // else everything inside is root's, and everything outside the caller's
    // Outside of containers: no device nodes, and without keep_owner no setuid and no attributes.
    bool outside;
    // The container's id 0 is the caller, and no other id can be given.
    bool own_ids;
    const char *container; // its name for messages; NULL outside
    const struct event_sink *sink;
};
int tree_take(const struct tree_take *o, struct err *e);
