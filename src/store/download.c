// SPDX-License-Identifier: Apache-2.0
#include "store/download.h"

#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/own.h"
#include "base/vec.h"

#define FOLDER "cache/downloads"
#define TRIES 100

static int open_folder(struct engine *en, struct err *e)
{
    int fd = openat(en->store_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) return fd;
    if (errno != ENOENT) return err_sys(e, "open '" FOLDER "' of the store");
    return fs_mkdirs(en->store_fd, FOLDER, 0700, e) < 0 ? -1 : fs_open_dir(en->store_fd, FOLDER, e);
}

static bool still_linked(int folder, const char *hex, int fd)
{
    struct stat a, b;
    return fstatat(folder, hex, &a, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &b) == 0 &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

// 1 locked, 0 another has it (*out_fd is open), 2 it was renamed or swept meanwhile.
static int try_open(int folder, const char *hex, int *out_fd, struct err *e)
{
    own(fd) int fd = openat(folder, hex, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return err_sys(e, "open the download '%s'", hex);
    int busy = fs_lock(fd, LOCK_EX | LOCK_NB, e);
    if (busy < 0) return -1;
    if (!busy && !still_linked(folder, hex, fd)) return 2;
    *out_fd = take_fd(fd);
    return !busy;
}

int store_download_open(struct engine *en, const struct oci_digest *digest, uint64_t size,
                        struct store_download *out, struct err *e)
{
    struct stat st;
    own(fd) int fd = -1;
    own(fd) int folder = open_folder(en, e);
    int rc = folder < 0 ? -1 : 2;
    for (int i = 0; rc == 2 && i < TRIES; i++) rc = try_open(folder, digest->hex, &fd, e);
    if (rc == 2) return err_set(e, ERR_INTERNAL, "the download '%s' comes and goes", digest->hex);
    if (rc < 0 || fstat(fd, &st) != 0)
        return rc < 0 ? -1 : err_sys(e, "stat the download '%s'", digest->hex);
    // More than there should be is of no use: it would only be found out at the end.
    if (rc == 1 && (uint64_t)st.st_size > size) {
        if (ftruncate(fd, 0) != 0) return err_sys(e, "empty the download '%s'", digest->hex);
        st.st_size = 0;
    }
    *out = (struct store_download){.digest = *digest, .have = (uint64_t)st.st_size};
    out->fd = take_fd(fd);
    return rc;
}

int store_download_wait(struct store_download *d, struct err *e)
{
    return fs_lock(d->fd, LOCK_EX, e) < 0 ? -1 : 0;
}

int store_download_release(struct store_download *d, struct err *e)
{
    return fs_lock(d->fd, LOCK_UN, e) < 0 ? -1 : 0;
}

int store_download_restart(struct engine *en, struct store_download *d, struct err *e)
{
    struct oci_digest digest = d->digest;
    store_download_discard(en, d);
    int rc = store_download_open(en, &digest, UINT64_MAX, d, e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    store_download_close(d);
    return err_set(e, ERR_CONFLICT, "another command has begun to fetch sha256:%s", digest.hex);
}

int store_download_adopt(struct engine *en, struct store_download *d, struct err *e)
{
    own(fd) int folder = open_folder(en, e);
    own(fd) int blobs = fs_open_dir(en->store_fd, "blobs/sha256", e);
    if (folder < 0 || blobs < 0) return -1;
    if (!still_linked(folder, d->digest.hex, d->fd)) return 0;
    if (fchmod(d->fd, 0444) != 0) return err_sys(e, "chmod of a blob");
    if (renameat(folder, d->digest.hex, blobs, d->digest.hex) == 0 || errno == ENOENT) return 0;
    return err_sys(e, "rename a download to its digest");
}

void store_download_discard(struct engine *en, struct store_download *d)
{
    struct err ignored = {0};
    if (d->fd < 0) return;
    own(fd) int folder = open_folder(en, &ignored);
    if (folder >= 0 && still_linked(folder, d->digest.hex, d->fd))
        unlinkat(folder, d->digest.hex, 0);
    store_download_close(d);
}

void store_download_close(struct store_download *d)
{
    if (d->fd >= 0) close(d->fd);
    *d = STORE_DOWNLOAD_NONE;
}

void store_download_sweep(struct engine *en)
{
    struct err ignored = {0};
    own(strv) struct strv names = {0};
    own(fd) int folder = openat(en->store_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0 || fs_list(folder, ".", &names, &ignored) < 0) return;
    int64_t oldest = clock_real_ns() / 1000000000 - (int64_t)STORE_DOWNLOAD_DAYS * 24 * 3600;
    for (size_t i = 0; i < names.n; i++) {
        struct stat st;
        own(fd) int fd = openat(folder, names.p[i], O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 || fstat(fd, &st) != 0 || st.st_mtim.tv_sec > oldest) continue;
        if (fs_lock(fd, LOCK_EX | LOCK_NB, &ignored) == 0 && still_linked(folder, names.p[i], fd))
            unlinkat(folder, names.p[i], 0);
    }
}
