// SPDX-License-Identifier: Apache-2.0
// What a container sees on /sys/fs/cgroup where the machine has control groups version 1: the groups
// that were made for it, each under its controller's name, with nothing of what is above or beside
// them. A hierarchy in which it shares a group with others is not shown: it would tell of those, and
// its top holds the file by which the kernel can be made to start programs (release_agent).
//
// The groups are bound, not mounted anew: that costs no super block, and an ordinary user, who may
// not mount version 1, may still bind a group that was given to them.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/cgroup_internal.h"
#include "sandbox/mounts.h"
#include "sandbox/plan.h"

// "cpu,cpuacct" where it is that of several.
static void v1_tree(const char *controller, struct str *out)
{
    char text[256];
    own(free) char *path = str_fmt(CGROUP_TOP "/%s", controller);
    ssize_t n = readlinkat(AT_FDCWD, path, text, sizeof text);
    struct sv name = n > 0 ? (struct sv){text, (size_t)n} : sv_of(controller);
    str_add(out, sv_from(name, (size_t)(sv_rfind(name, '/') + 1)));
}

// Who looks for its limit from inside may want to find more than that: a JVM believes none of these
// where one is missing. So they come together; the others are a convenience that may fail.
unsigned cgroup_v1_beside(unsigned need)
{
    const unsigned limits = 1u << CGROUP_MEMORY | 1u << CGROUP_CPU | 1u << CGROUP_CPUSET;
    own(str) struct str cpu = {0}, time = {0};
    if (!(need & limits)) return 0;
    v1_tree("cpu", &cpu);
    v1_tree("cpuacct", &time);
    bool apart = strcmp(cpu.p, time.p) != 0;
    return (limits | (apart ? 1u << CGROUP_CPUACCT : 0)) & ~need;
}

// A tree of several controllers is found under the name of each.
static int put_links(int dir, const char *tree, struct err *e)
{
    struct sv rest = sv_of(tree);
    if (sv_find(rest, ',') < 0) return 0;
    while (rest.p) {
        own(free) char *name = sv_dup(sv_cut(&rest, ','));
        if (symlinkat(tree, dir, name) != 0) return err_sys(e, "make the link '%s'", name);
    }
    return 0;
}

static int put_group(struct sandbox_plan *p, int dir, enum cgroup_controller c, struct err *e)
{
    const uint64_t safe = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    own(str) struct str path = {0}, tree = {0};
    v1_tree(cgroup_names[c], &tree);
    cgroup_v1_path(cgroup_names[c], p->cgroup.name, &path, NULL);
    if (mkdirat(dir, tree.p, 0755) != 0)  // of a tree of several that is what it was shown as
        return errno == EEXIST ? 0 : err_sys(e, "make the folder '%s'", tree.p);
    own(fd) int group = fs_open(path.p, O_PATH | O_DIRECTORY, 0, e);
    if (group < 0) return -1;
    own(fd) int fd = sandbox_mounts_clone(group, false, !p->spec->privileged, safe, NULL, e);
    if (fd < 0 || put_links(dir, tree.p, e) < 0) return -1;
    vec_push(&p->groups, (struct sandbox_plan_group){take_fd(fd), str_take(&tree)});
    return 0;
}

int sandbox_plan_groups(struct sandbox_plan *p, struct err *e)
{
    // The host's own /sys has the host's groups below it: those are covered in any case.
    p->shows_groups = !p->cgroup2 && (p->cgroup.shown || p->sys_fd >= 0);
    if (!p->shows_groups) return 0;
    mode_t old = umask(0);
    int rc = mkdirat(p->scratch_fd, "cgroup", 0755) == 0 ? 0 : err_sys(e, "make the folder 'cgroup'");
    own(fd) int dir = rc == 0 ? fs_open_dir(p->scratch_fd, "cgroup", e) : -1;
    if (dir < 0) rc = -1;
    for (unsigned c = 0; c < CGROUP_CONTROLLERS && rc == 0; c++)
        if (p->cgroup.shown >> c & 1) rc = put_group(p, dir, (enum cgroup_controller)c, e);
    umask(old);
    return rc < 0 ? err_wrap(e, "showing the container its control groups") : 0;
}
