// SPDX-License-Identifier: Apache-2.0
// Files. Two families:
//   fs_in_*   paths that came from an image, context or archive: they mean nothing without a
//             `struct root` and are resolved with openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS),
//             so "..", absolute paths and absolute symlinks stay inside.
//   the rest  paths of our own (store) or of the user at the command line.
// Every descriptor is close-on-exec from birth.
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/str.h"

struct err;

struct root {
    int fd;             // directory (O_PATH is enough)
    const char *label;  // for messages: "the build context"
};

// --- inside a root ---------------------------------------------------------------------------
int fs_in_open(const struct root *r, const char *path, int flags, mode_t mode, struct err *e);
// Like fs_in_open without an error text: returns -1 and errno.
int fs_in_try(const struct root *r, const char *path, int flags, mode_t mode);
// As fs_in_try, and the last component is not followed (O_PATH | O_NOFOLLOW): for lstat.
int fs_in_try_link(const struct root *r, const char *path);
// As fs_in_try, and a path that leads out (by "..", an absolute path or an absolute symlink) is
// EXDEV instead of being kept inside: for names that have no business to point anywhere else.
int fs_in_beneath(const struct root *r, const char *path, int flags);
// As fs_in_beneath, and no symlink on the way is followed: for what somebody hostile may change
// meanwhile.
int fs_in_plain(const struct root *r, const char *path, int flags);
// Opens the directory that holds `path`'s last component and copies that component (never "",
// ".", ".." or with a slash) to out_name. ERR_INPUT when the path has no last component.
int fs_in_parent(const struct root *r, const char *path, int *out_fd, char out_name[256],
                 struct err *e);
struct fs_owner {
    uid_t uid;
    gid_t gid;
};
// Makes every missing directory of `path` (0755 and `owner` unless NULL) and opens the last one.
// Symlinks on the way are followed inside the root.
int fs_in_mkdirs(const struct root *r, const char *path, mode_t mode, const struct fs_owner *owner,
                 int *out_fd, struct err *e);
// A regular file, at most max bytes; ERR_INPUT for other kinds (a fifo never blocks us).
int fs_in_read(const struct root *r, const char *path, size_t max, struct str *out, struct err *e);

// --- our own and the user's -------------------------------------------------------------------
int fs_open(const char *path, int flags, mode_t mode, struct err *e);
int fs_openat(int dirfd, const char *path, int flags, mode_t mode, struct err *e);
int fs_read_fd(int fd, size_t max, struct str *out, struct err *e);  // to end of file
int fs_read_at(int dirfd, const char *path, size_t max, struct str *out, struct err *e);
int fs_write_all(int fd, const void *p, size_t n, struct err *e);
// Temporary in the same folder, fdatasync, rename over `name`, fsync of the folder.
#define FS_PART ".tmp-"  // its name begins so
int fs_atomic_write(int dirfd, const char *name, struct sv data, mode_t mode, struct err *e);
// The same without the syncs: readers see the old or the new one, a power cut may lose it. For
// what can be made again.
int fs_replace(int dirfd, const char *name, struct sv data, mode_t mode, struct err *e);
int fs_rename(const char *from, const char *to, struct err *e);
int fs_mkdirs(int dirfd, const char *path, mode_t mode, struct err *e);  // existing is fine
int fs_open_dir(int dirfd, const char *path, struct err *e);             // O_PATH-less, readable
// Removes a tree of any depth; directories without permission bits are made accessible first.
// What is absent is fine. Never follows a symlink and never leaves the file system it began on.
int fs_remove_tree(int dirfd, const char *name, struct err *e);
// Names in a directory, sorted by bytes, without "." and "..".
struct strv;
int fs_list(int dirfd, const char *path, struct strv *out, struct err *e);
int fs_copy_bytes(int in, int out, uint64_t n, struct err *e);  // copy_file_range where it can
bool fs_exists(int dirfd, const char *path);
int fs_sync_dir(int dirfd, struct err *e);
int fs_lock(int fd, int op, struct err *e);  // flock(op), retried on EINTR; EWOULDBLOCK -> 1
int fs_fd_path(int fd, struct str *out);     // readlink of /proc/self/fd/N, for messages only
// Lexical clean-up as Go's path.Clean: "" -> ".", "a//b/../c" -> "a/c". Decides nothing.
void fs_clean(struct sv path, struct str *out);
const char *fs_type_name(mode_t mode);  // "regular file", "directory", ...
