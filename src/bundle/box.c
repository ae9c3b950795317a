// SPDX-License-Identifier: Apache-2.0
// The folder of a container under --root: names, lock, state.json, what the state is.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "bundle/bundle.h"
#include "bundle/internal.h"

#define STATE_MAX ((size_t)16 << 20)

const char *const bundle_status_names[BUNDLE_STATUS_COUNT] = {"creating", "created", "running",
                                                              "paused", "stopped"};

void bundle_box_fini(struct bundle_box *b)
{
    own_fd(&b->root_fd);
    own_fd(&b->dir_fd);
    own_fd(&b->lock_fd);
    char *texts[] = {b->version, b->bundle, b->rootfs, b->created, b->boot, b->scope};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free(texts[i]);
    strv_fini(&b->groups);
    codec_json_free(b->json);
    *b = BUNDLE_BOX_NONE;
}

// The one place where an id becomes a name on disk.
int bundle_box_check_id(const char *id, struct err *e)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t n = strlen(id);
    bool ok = n > 0 && n <= 128 && strchr(first, id[0]);
    for (size_t i = 0; i < n && ok; i++) ok = strchr(first, id[i]) || strchr("-.+", id[i]);
    if (ok) return 0;
    err_set(e, ERR_USAGE, "invalid container id '%.200s'", id);
    return err_hint(e, "letters, digits, '_', '-', '.' and '+', at most 128, no sign in front");
}

static void default_root(struct str *out)
{
    const char *run = getenv("XDG_RUNTIME_DIR");
    if (geteuid() == 0 && (!run || !run[0] || getuid() == 0))
        str_addz(out, "/run/dewar-oci");
    else if (run && run[0] == '/')
        str_addf(out, "%s/dewar-oci", run);
    else
        str_addf(out, "/tmp/dewar-oci-%u", (unsigned)geteuid());
}

int bundle_box_root(const struct bundle_context *c, bool make, struct err *e)
{
    own(str) struct str path = {0};
    if (c->root)
        str_addz(&path, c->root);
    else
        default_root(&path);
    if (make && fs_mkdirs(AT_FDCWD, path.p, 0700, e) < 0) return -1;
    own(fd) int fd = fs_open_dir(AT_FDCWD, path.p, e);
    struct stat st;
    if (fd < 0) return -1;
    if (fstat(fd, &st) != 0) return err_sys(e, "stat '%s'", path.p);
    // Under /tmp anybody could have made it before us.
    if (st.st_uid != geteuid() || (!c->root && st.st_mode & 022))
        return err_set(e, ERR_INPUT, "the state folder '%s' belongs to somebody else", path.p);
    return take_fd(fd);
}

static int lock_box(struct bundle_box *b, struct err *e)
{
    b->lock_fd = fs_openat(b->dir_fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600, e);
    if (b->lock_fd < 0) return -1;
    return fs_lock(b->lock_fd, LOCK_EX, e) < 0 ? -1 : 0;
}

static char *boot_id(void)
{
    char text[37] = "";
    struct err ignored;
    if (clock_boot_id(text, &ignored) < 0) text[0] = '\0';
    return str_dup(text);
}

int bundle_box_make(const struct bundle_context *c, const char *id, struct bundle_box *out,
                    struct err *e)
{
    own(bundle_box) struct bundle_box b = BUNDLE_BOX_NONE;
    if (bundle_box_check_id(id, e) < 0) return -1;
    snprintf(b.id, sizeof b.id, "%s", id);
    b.root_fd = bundle_box_root(c, true, e);
    if (b.root_fd < 0) return -1;
    if (mkdirat(b.root_fd, id, 0700) != 0) {
        if (errno != EEXIST) return err_sys(e, "make the folder of container '%s'", id);
        return err_set(e, ERR_CONFLICT, "container with id exists: %s", id);
    }
    b.dir_fd = fs_open_dir(b.root_fd, id, e);
    if (b.dir_fd < 0 || lock_box(&b, e) < 0) return -1;
    b.boot = boot_id();
    b.owner = geteuid();
    *out = b;
    b = BUNDLE_BOX_NONE;
    return 0;
}

// Until there is a state: for who cleans up when whoever makes them is killed.
int bundle_box_note_groups(const struct bundle_box *b, struct err *e)
{
    own(str) struct str text = {0};
    for (size_t i = 0; i < b->groups.n; i++) str_addf(&text, "%s\n", b->groups.p[i]);
    return text.n ? fs_replace(b->dir_fd, "groups", str_sv(&text), 0600, e) : 0;
}

static int load_groups(struct bundle_box *b, struct err *e)
{
    own(str) struct str text = {0};
    if (!fs_exists(b->dir_fd, "groups")) return 0;
    if (fs_read_at(b->dir_fd, "groups", STATE_MAX, &text, e) < 0) return -1;
    for (struct sv rest = str_sv(&text); rest.n;) strv_take(&b->groups, sv_dup(sv_cut(&rest, '\n')));
    return 0;
}

static int load(struct bundle_box *b, struct err *e)
{
    static const struct codec_field rows[] = {
        {"ociVersion", CODEC_FIELD_TEXT, offsetof(struct bundle_box, version), true},
        {"bundle", CODEC_FIELD_TEXT, offsetof(struct bundle_box, bundle), true},
        {"rootfs", CODEC_FIELD_TEXT, offsetof(struct bundle_box, rootfs), false},
        {"created", CODEC_FIELD_TEXT, offsetof(struct bundle_box, created), false},
        {"boot", CODEC_FIELD_TEXT, offsetof(struct bundle_box, boot), false},
        {"scope", CODEC_FIELD_TEXT, offsetof(struct bundle_box, scope), false},
        {"pid", CODEC_FIELD_INT, offsetof(struct bundle_box, pid), true},
        {"startTime", CODEC_FIELD_INT, offsetof(struct bundle_box, start_time), true},
        {"owner", CODEC_FIELD_INT, offsetof(struct bundle_box, owner), false},
        {"hooks", CODEC_FIELD_BOOL, offsetof(struct bundle_box, has_hooks), false},
        {"groups", CODEC_FIELD_STRV, offsetof(struct bundle_box, groups), false}};
    own(str) struct str text = {0};
    if (!fs_exists(b->dir_fd, "state.json")) return load_groups(b, e);  // creating
    if (fs_read_at(b->dir_fd, "state.json", STATE_MAX, &text, e) < 0 ||
        codec_json_parse(str_sv(&text), "state.json", &b->json, e) < 0)
        return -1;
    return codec_json_decode(b->json, "state.json", rows, sizeof rows / sizeof *rows, b, e);
}

int bundle_box_open(const struct bundle_context *c, const char *id, bool lock,
                    struct bundle_box *out, struct err *e)
{
    own(bundle_box) struct bundle_box b = BUNDLE_BOX_NONE;
    if (bundle_box_check_id(id, e) < 0) return -1;
    snprintf(b.id, sizeof b.id, "%s", id);
    struct err ignored;
    b.root_fd = bundle_box_root(c, false, &ignored);
    if (b.root_fd >= 0)
        b.dir_fd = fs_openat(b.root_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, e);
    if (b.dir_fd < 0) return err_set(e, ERR_NOT_FOUND, "container does not exist: %s", id);
    if (lock && lock_box(&b, e) < 0) return -1;
    if (load(&b, e) < 0) return err_wrap(e, "container '%s'", id);
    *out = b;
    b = BUNDLE_BOX_NONE;
    return 0;
}

int bundle_box_save(struct bundle_box *b, const struct codec_json *annotations, struct err *e)
{
    struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "ociVersion", b->version);
    codec_json_set_text(j, "id", b->id);
    codec_json_set(j, "pid", codec_json_new_int(b->pid));
    codec_json_set(j, "startTime", codec_json_new_int(b->start_time));
    codec_json_set_text(j, "boot", b->boot);
    codec_json_set_text(j, "bundle", b->bundle);
    codec_json_set_text(j, "rootfs", b->rootfs);
    codec_json_set_text(j, "created", b->created);
    codec_json_set(j, "owner", codec_json_new_int(b->owner));
    codec_json_set(j, "hooks", codec_json_new_bool(b->has_hooks));
    codec_json_set(j, "groups", codec_json_new_strv(&b->groups));
    codec_json_set_text(j, "scope", b->scope);
    if (annotations) codec_json_set(j, "annotations", codec_json_copy(annotations));
    codec_json_free(b->json);
    b->json = j;
    own(str) struct str text = {0};
    codec_json_print(j, &text);
    return fs_replace(b->dir_fd, "state.json", str_sv(&text), 0600, e);
}

// Field 3 of /proc/PID/stat: a process that ended and was not waited for is no process.
static bool alive(const struct bundle_box *b)
{
    uint64_t start;
    char path[64];
    struct err ignored;
    own(str) struct str text = {0};
    own(free) char *boot = boot_id();
    if (!b->json || b->pid <= 0 || (b->boot && strcmp(b->boot, boot) != 0) ||
        proc_start_time((pid_t)b->pid, &start) < 0 || (int64_t)start != b->start_time)
        return false;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)b->pid);
    if (fs_read_at(AT_FDCWD, path, 4096, &text, &ignored) < 0) return false;
    const char *end = strrchr(str_z(&text), ')');
    return end && end[1] == ' ' && end[2] != 'Z' && end[2] != 'X';
}

enum bundle_status bundle_box_status(const struct bundle_box *b)
{
    if (!b->json) return BUNDLE_CREATING;
    if (!alive(b)) return BUNDLE_STOPPED;
    if (fs_exists(b->dir_fd, "gate")) return BUNDLE_CREATED;
    return bundle_cgroup_frozen(&b->groups) ? BUNDLE_PAUSED : BUNDLE_RUNNING;
}

struct codec_json *bundle_box_state(const struct bundle_box *b, enum bundle_status status)
{
    struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "ociVersion", b->version ? b->version : OCI_RUNTIME_VERSION);
    codec_json_set_text(j, "id", b->id);
    codec_json_set_text(j, "status", bundle_status_names[status]);
    codec_json_set(j, "pid", codec_json_new_int(status == BUNDLE_STOPPED ? 0 : b->pid));
    codec_json_set_text(j, "bundle", b->bundle ? b->bundle : "");
    const struct codec_json *a = b->json ? codec_json_get(b->json, "annotations") : NULL;
    if (a) codec_json_set(j, "annotations", codec_json_copy(a));
    return j;
}

int bundle_box_pidfd(const struct bundle_box *b, struct err *e)
{
    own(fd) int fd = (int)syscall(SYS_pidfd_open, (pid_t)b->pid, 0);
    // Opened first, compared after: what the descriptor means can no longer change.
    if (b->pid > 0 && fd >= 0 && alive(b)) return take_fd(fd);
    return err_set(e, ERR_CONFLICT, "container '%s' is not running", b->id);
}

int bundle_box_config(const struct bundle_box *b, struct oci_runtime *out, struct err *e)
{
    own(str) struct str text = {0};
    if (fs_read_at(b->dir_fd, "config.json", OCI_RUNTIME_CONFIG_MAX, &text, e) < 0) return -1;
    return oci_runtime_parse(str_sv(&text), "config.json", out, e);
}

int bundle_box_remove(struct bundle_box *b, struct err *e)
{
    // Out of sight in one step; what is half removed is nobody's container.
    own(free) char *gone = str_fmt(".gone-%s-%d", b->id, (int)getpid());
    if (renameat(b->root_fd, b->id, b->root_fd, gone) != 0 && errno != ENOENT)
        return err_sys(e, "remove container '%s'", b->id);
    return fs_remove_tree(b->root_fd, gone, e);
}

// --- sockets: a path may be longer than an address holds -----------------------------------------

static int address(const struct bundle_box *b, const char *name, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(out->sun_path, sizeof out->sun_path, "/proc/self/fd/%d/%s", b->dir_fd, name);
    return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
}

int bundle_box_listen(const struct bundle_box *b, const char *name, struct err *e)
{
    struct sockaddr_un a;
    own(fd) int fd = address(b, name, &a);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0)
        return take_fd(fd);
    return err_sys(e, "make the container's gate");
}

int bundle_box_connect(const struct bundle_box *b, const char *name, struct err *e)
{
    struct sockaddr_un a;
    own(fd) int fd = address(b, name, &a);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return take_fd(fd);
    return err_sys(e, "reach the container");
}
