// SPDX-License-Identifier: Apache-2.0
// The one error channel. A function that can fail returns 0 or more on success and -1 on failure,
// and on failure *e is always filled. `struct err` is flat, never allocates and may be sent whole
// over a pipe. Frames are short: the first one set is the cause, each wrap adds what its caller
// alone knew (file and line, step, digest).
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct str;

enum err_kind {
    ERR_NONE,
    ERR_INTERNAL,     // a promise between our own functions, or a child that died oddly
    ERR_USAGE,        // the command line
    ERR_INPUT,        // a file, archive, config or reference that somebody gave us
    ERR_SYSTEM,       // the kernel said no; `sys` holds errno
    ERR_NOT_FOUND,    // a named thing of ours (image, container, stage) is not there
    ERR_CONFLICT,     // a name is taken, a thing is in use
    ERR_LIMIT,        // an input passed a named cap
    ERR_UNSUPPORTED,  // this machine or this version cannot do it
    ERR_CORRUPT,      // bytes in the store are not what they should be
    ERR_STEP,         // a build step's own program failed; `status` holds its exit code
    ERR_NO_PROGRAM,   // the container's program is not there (127)
    ERR_NOT_EXEC,     // ... is there but cannot be executed (126)
    ERR_INTERRUPTED,  // the user pressed ctrl-c
    ERR_KIND_COUNT,
};

struct err {
    enum err_kind kind;
    int sys;     // errno of the cause, 0 if none
    int status;  // exit status of a failed program, 0 if none
    unsigned frames;
    size_t used;      // bytes of text in use
    char hint[256];   // one sentence on what to do, may be empty
    char text[1024];  // frames, each ending in NUL, the cause first
};

// All return -1, so that `return err_set(...)` reads well.
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int err_sys(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));  // uses errno
int err_sys_code(struct err *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void err_clear(struct err *e);
const char *err_cause(const struct err *e);                  // deepest frame, "" if none
const char *err_frame(const struct err *e, unsigned index);  // 0 is the outermost
// The block a person reads: "dewar: error: ..." with frames, cause and hint, escaped for a terminal.
void err_print(const struct err *e, struct str *out);
const char *err_kind_name(enum err_kind kind);
const char *err_errno_name(int code);  // "ENOENT"; "E?" if unknown
