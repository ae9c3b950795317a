// SPDX-License-Identifier: Apache-2.0
// What a new volume holds at first: a copy of what the image has on its path, made under another
// name, so that whoever renames it has a volume that is empty or complete.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/sandbox.h"
#include "sandbox/userns.h"
#include "store/copytree.h"
#include "volume/internal.h"

int volume_fill_into(int to, const struct root *image, const char *path, bool copy,
                     const struct sandbox_ids *ids, struct err *e)
{
    own(fd) int from = fs_in_try(image, path, O_RDONLY | O_DIRECTORY, 0);
    struct stat st;
    if (from < 0 || fstat(from, &st) != 0) {
        if (ids->own && fchown(to, sandbox_userns_uid(ids, 0), sandbox_userns_gid(ids, 0)) != 0)
            return err_sys(e, "chown");
        return fchmod(to, 0755) == 0 ? 0 : err_sys(e, "chmod");
    }
    const struct store_copytree opt = {0};
    return copy ? store_copytree(from, to, &opt, e) : store_copytree_owner(to, &st, &opt, e);
}

int volume_fill(int dir, const struct root *image, const char *path, bool copy,
                const struct sandbox_ids *ids, struct err *e)
{
    struct err ignored;
    fs_remove_tree(dir, VOLUME_NEW, &ignored); // of one who was killed here
    if (mkdirat(dir, VOLUME_NEW, 0700) != 0) return err_sys(e, "make a volume for '%s'", path);
    own(fd) int data = fs_open_dir(dir, VOLUME_NEW, e);
    if (data >= 0 && volume_fill_into(data, image, path, copy, ids, e) == 0) return take_fd(data);
    fs_remove_tree(dir, VOLUME_NEW, &ignored); // on a full disk others want the space
    return err_wrap(e, "filling the volume for '%s'", path);
}
