// SPDX-License-Identifier: Apache-2.0
// Namespaces of other containers (--pid, --ipc and --uts container:NAME).
//
// Root enters them from where it is. An ordinary user's containers are each in a user namespace that
// the command made which started them, and the kernel lets nobody into another one's: so who joins a
// container makes no user namespace but enters that container's, before anything else. It has the
// same mapping, which the record tells. A container whose own ids lie in a namespace below that one
// (--userns auto, keep-id) is met in the one above.
//
// With the IPC namespace come /dev/shm and /dev/mqueue. A mount can be copied only by somebody in its
// mount namespace: a child goes there, copies the two, looks at what they are, and hands them over.
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/own.h"
#include "container/container.h"
#include "container/others.h"
#include "record/message.h"
#include "record/state.h"
#include "sandbox/enter.h"
#include "sandbox/join.h"
#include "sandbox/sandbox.h"

#define MQUEUE_MAGIC 0x19800202

struct other {
    const char *id;  // NULL: none
    const char *option;
    enum sandbox_join_ns which;
    bool *host;  // of the spec
};
#define OTHERS 3

static const char *other_id(const char *mode)
{
    return mode && strncmp(mode, "container:", 10) == 0 ? mode + 10 : NULL;
}

bool container_joins_processes(const char *pid_mode)
{
    return other_id(pid_mode) != NULL;
}

static void list_others(const struct record_config *c, struct sandbox_spec *s,
                        struct other out[OTHERS])
{
    out[0] = (struct other){other_id(c->pid_mode), "--pid", JOIN_PID, &s->host_pid};
    out[1] = (struct other){other_id(c->ipc_mode), "--ipc", JOIN_IPC, &s->host_ipc};
    out[2] = (struct other){other_id(c->uts_mode), "--uts", JOIN_UTS, &s->host_uts};
}

// --- which user namespace ----------------------------------------------------------------------

static bool same_file(int a, int b)
{
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

// -1 when it cannot be seen.
static int open_userns(pid_t pid)
{
    char path[64];
    struct err ignored;
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    return fs_open(path, O_RDONLY, 0, &ignored);
}

// From outside of all of them: ours is the parent of the one that is looked for.
static int engine_userns(pid_t pid, struct err *e)
{
    own(fd) int own = open_userns(getpid());
    own(fd) int theirs = open_userns(pid);
    own(fd) int above = theirs < 0 ? -1 : ioctl(theirs, NS_GET_PARENT);
    if (own < 0 || above < 0) return err_sys(e, "open the user namespace of a container");
    return same_file(own, above) ? take_fd(theirs) : take_fd(above);
}

// From inside: it is ours, or the one below ours.
static bool is_in_ours(pid_t pid)
{
    own(fd) int own = open_userns(getpid());
    own(fd) int theirs = open_userns(pid);
    if (own < 0 || theirs < 0) return false;
    if (same_file(own, theirs)) return true;
    own(fd) int above = ioctl(theirs, NS_GET_PARENT);
    return above >= 0 && same_file(own, above);
}

static int not_ours(const struct other *o, struct err *e)
{
    err_set(e, ERR_UNSUPPORTED, "%s: container %.12s is in another user namespace than this one",
            o->option, o->id);
    return err_hint(e, "an ordinary user's container shares namespaces with one that runs (and with "
                       "those that joined it): stop this one and start it again");
}

static int open_other(struct engine *en, const struct other *o, struct record_state *state,
                      struct err *e)
{
    int fd = record_init_open(en, o->id, state, e);
    return fd < 0 ? err_wrap(e, "joining another container (%s)", o->option) : fd;
}

static int find_userns(struct engine *en, const struct other *o, int *userns, struct err *e)
{
    struct record_state state;
    own(record_config) struct record_config c = {0};
    own(fd) int init = open_other(en, o, &state, e);
    if (init < 0 || record_config_load(en, o->id, &c, e) < 0) return -1;
    if (!c.form || strcmp(c.form, en->form) != 0)
        return err_set(e, ERR_UNSUPPORTED,
                       "container %.12s was started with other ids than this user has now", o->id);
    own(fd) int fd = engine_userns(state.pid, e);
    if (fd < 0) return -1;
    struct pollfd p = {.fd = init, .events = POLLIN};
    if (poll(&p, 1, 0) != 0)
        return err_set(e, ERR_CONFLICT, "container %.12s has just ended", o->id);
    if (*userns >= 0) return same_file(fd, *userns) ? 0 : not_ours(o, e);
    *userns = take_fd(fd);
    return 0;
}

int others_enter(struct engine *en, const struct record_config *c, struct err *e)
{
    struct other list[OTHERS];
    struct sandbox_spec ignored = {0};
    own(fd) int userns = -1;
    list_others(c, &ignored, list);
    for (int i = 0; i < OTHERS && !en->ids.inside; i++)
        if (list[i].id && find_userns(en, &list[i], &userns, e) < 0) return -1;
    return userns < 0 ? engine_enter(en, e) : engine_enter_in(en, userns, e);
}

// --- /dev/shm and /dev/mqueue ------------------------------------------------------------------

struct fetch {
    const struct sandbox_join *join;
    int sock;
};

static int copy_mount(int root, const char *path, unsigned long magic)
{
    struct statfs fs;
    int at = sandbox_enter_open_in(root, path, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    if (at < 0) return -1;
    bool right = fstatfs(at, &fs) == 0 && (unsigned long)fs.f_type == magic;
    int tree = right ? sandbox_enter_clone_of(at, "") : -1;
    close(at);
    struct mount_attr a = {
        .attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, .propagation = MS_PRIVATE};
    if (tree < 0 || mount_setattr(tree, "", AT_EMPTY_PATH, &a, sizeof a) == 0) return tree;
    close(tree);
    return -1;
}

// In the other container's mount namespace. What is there is that container's to change, so only the
// kinds of file system that belong there are taken, and links are not followed.
static int fetch_mounts(void *arg, struct err *e)
{
    struct fetch *f = arg;
    uint32_t which;
    if (sandbox_join_enter(f->join, &which) != 0) return err_sys(e, "enter the other container");
    own(fd) int root = fs_open("/", O_PATH | O_DIRECTORY, 0, e);
    if (root < 0) return -1;
    own(fd) int shm = copy_mount(root, "dev/shm", TMPFS_MAGIC);
    own(fd) int queue = copy_mount(root, "dev/mqueue", MQUEUE_MAGIC);
    if (shm < 0) return err_set(e, ERR_UNSUPPORTED, "its '/dev/shm' is not a tmpfs of its own");
    const struct record_message m = {.kind = MESSAGE_OK};
    const int fds[] = {shm, queue, -1};
    return record_message_send(f->sock, &m, fds) < 0 ? err_sys(e, "hand over mounts") : 0;
}

static int take_ipc_mounts(int init, pid_t pid, struct sandbox_spec *s, struct err *e)
{
    int ends[2], fds[MESSAGE_FDS] = {-1, -1, -1};
    own(sandbox_join) struct sandbox_join join = JOIN_NONE;
    if (sandbox_join_open_process(&join, init, pid, e) < 0) return -1;
    join.flags &= CLONE_NEWUSER | CLONE_NEWNS;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return err_sys(e, "make a socket pair");
    own(fd) int mine = ends[0];
    own(fd) int theirs = ends[1];
    struct fetch f = {&join, theirs};
    struct proc_worker w;
    struct record_message m;
    if (proc_worker_start(fetch_mounts, &f, &w, e) < 0 || proc_worker_wait(&w, e) < 0)
        return err_wrap(e, "sharing '/dev/shm' of another container (--ipc)");
    if (record_message_receive(mine, &m, fds) != 1 || fds[0] < 0)
        return err_set(e, ERR_INTERNAL, "no '/dev/shm' came from the other container");
    s->shm_fd = fds[0];
    s->mqueue_fd = fds[1] < 0 ? 0 : fds[1];
    return 0;
}

// --- joining -----------------------------------------------------------------------------------

// What the other one's own mode means for who joins it. 1: that is all.
static int look_at_mode(struct engine *en, const struct other *o, struct err *e)
{
    own(record_config) struct record_config c = {0};
    if (record_config_load(en, o->id, &c, e) < 0) return -1;
    const char *mode = o->which == JOIN_PID ? c.pid_mode
                       : o->which == JOIN_IPC ? c.ipc_mode
                                              : c.uts_mode;
    *o->host = mode && strcmp(mode, "host") == 0;
    if (*o->host) return 1;
    if (o->which != JOIN_IPC || (mode && strcmp(mode, "shareable") == 0) || other_id(mode)) return 0;
    err_set(e, ERR_CONFLICT, "cannot join IPC of container %.12s: non-shareable IPC", o->id);
    return err_hint(e, "start that container with --ipc shareable");
}

static int join_one(struct engine *en, const struct other *o, struct sandbox_spec *s, struct err *e)
{
    struct record_state state;
    own(fd) int init = open_other(en, o, &state, e);
    int all = init < 0 ? -1 : look_at_mode(en, o, e);
    if (all != 0) return all < 0 ? -1 : 0;
    if (o->which == JOIN_PID && s->userns != SANDBOX_USERNS_HOST) {
        err_set(e, ERR_USAGE, "--pid container:NAME and --userns contradict each other");
        return err_hint(e, "the kernel shows processes of another user namespace in no /proc");
    }
    if (en->ids.mode != IDMAP_ROOT && !is_in_ours(state.pid)) return not_ours(o, e);
    own(free) char *path = str_fmt("/proc/%d/ns/%s", (int)state.pid, sandbox_join_name(o->which));
    if (sandbox_join_open(s->join, o->which, path, e) < 0 ||
        (o->which == JOIN_PID && record_tracers_note(en, o->id, e) < 0))
        return -1;
    if (o->which == JOIN_IPC && take_ipc_mounts(init, state.pid, s, e) < 0) return -1;
    // It was its namespace, and not that of one who got its number since.
    struct pollfd p = {.fd = init, .events = POLLIN};
    if (poll(&p, 1, 0) == 0) return 0;
    return err_set(e, ERR_CONFLICT, "container %.12s has just ended", o->id);
}

int others_join(struct engine *en, const struct record_config *c, struct sandbox_spec *s,
                struct err *e)
{
    struct other list[OTHERS];
    list_others(c, s, list);
    for (int i = 0; i < OTHERS; i++) {
        if (!list[i].id) continue;
        if (!s->join) {
            s->join = mem_alloc(sizeof *s->join);
            *s->join = JOIN_NONE;
        }
        if (join_one(en, &list[i], s, e) < 0) return -1;
    }
    return 0;
}

// --- what people write -------------------------------------------------------------------------

static const struct {
    const char *option, *own_modes;  // besides host and container:NAME
} modes[] = {{"pid", " private "}, {"ipc", " private shareable none "}, {"uts", " private "}};

int others_mode(struct engine *en, const char *text, const char *option, char **out, struct err *e)
{
    size_t i = 0;
    if (!text || !text[0]) return 0;
    while (i + 1 < sizeof modes / sizeof *modes && strcmp(modes[i].option, option) != 0) i++;
    own(free) char *word = str_fmt(" %s ", text);
    if (strcmp(text, "host") == 0 || (!strchr(text, ' ') && strstr(modes[i].own_modes, word))) {
        *out = str_dup(text);
        return 0;
    }
    const char *other = other_id(text);
    if (!other || !other[0]) {
        err_set(e, ERR_USAGE, "invalid value '%s' for --%s", text, option);
        return err_hint(e, "it is%s, host or container:NAME",
                        strcmp(option, "ipc") == 0 ? " private, shareable, none" : " private");
    }
    char id[RECORD_ID];
    if (record_find(en, other, id, e) < 0) return err_wrap(e, "reading --%s", option);
    *out = str_fmt("container:%s", id);
    return 0;
}
