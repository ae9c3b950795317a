// SPDX-License-Identifier: Apache-2.0
// Volumes that are something else than a folder of the store: `volume create -o type= -o device= -o o=`,
// as Docker's local driver has them. A bind (o=bind) is the folder itself. Anything else is a file
// system that is mounted on the volume's _data while a container uses it, so that all of them have the
// same one. The volume's lock is held for mounting and unmounting; who uses it has set its mark before
// (volume.h), and its record is locked as long as it is being made or runs. What stays mounted when a
// monitor is killed goes with the next use, with `volume rm` and with `system prune`.
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/event.h"
#include "base/own.h"
#include "record/record.h"
#include "record/state.h"
#include "record/uses.h"
#include "sandbox/parse.h"
#include "volume/internal.h"

static bool has_word(const char *list, const char *word)
{
    for (struct sv rest = sv_of(list ? list : ""); rest.p;)
        if (sv_eqz(sv_cut(&rest, ','), word)) return true;
    return false;
}

static bool is_bind(const struct map *options)
{
    const char *o = map_get(options, "o");
    return has_word(o, "bind") || has_word(o, "rbind");
}

// --- what was asked for ------------------------------------------------------------------------

static int check_keys(const struct map *options, struct err *e)
{
    static const char *const known[] = {"type", "o", "device"};
    vec_each (item, options) {
        bool ok = false;
        for (size_t i = 0; i < 3; i++) ok |= strcmp(item->key, known[i]) == 0;
        if (ok) continue;
        err_set(e, ERR_INPUT, "invalid option: \"%s\"", item->key);
        return err_hint(e, "the local driver has type=, device= and o=");
    }
    if (options->n == 0) return 0;
    for (size_t i = 0; i < 3; i += 2)
        if (!map_has(options, known[i]))
            return err_set(e, ERR_INPUT, "missing required option: \"%s\"", known[i]);
    return 0;
}

// A bind's own words; the kernel knows those of the others.
static int check_bind(const struct map *options, struct err *e)
{
    static const char *const known[] = {"bind", "rbind", "ro", "rw"};
    const char *device = map_get(options, "device");
    for (struct sv rest = sv_of(map_get(options, "o")); rest.p;) {
        struct sv word = sv_cut(&rest, ',');
        bool ok = false;
        for (size_t i = 0; i < 4; i++) ok |= sv_eqz(word, known[i]);
        if (!ok)
            return err_set(e, ERR_INPUT, "invalid option '%.*s' of a bind in o=", (int)word.n, word.p);
    }
    if (device[0] == '/') return 0;
    return err_set(e, ERR_INPUT, "the device '%s' of a bind is not an absolute path", device);
}

int volume_driver_check(struct engine *en, const struct map *options, struct err *e)
{
    if (check_keys(options, e) < 0) return -1;
    if (options->n == 0) return 0;
    if (is_bind(options)) return check_bind(options, e);
    const char *type = map_get(options, "type");
    if (en->ids.mode == IDMAP_ROOT) return 0;
    err_set(e, ERR_UNSUPPORTED, "only root can mount a volume of type '%s'", type);
    return err_hint(e, "an ordinary user's volume can be a folder (-o type=none -o o=bind -o "
                       "device=/FOLDER); memory is --tmpfs or --mount type=tmpfs");
}

// --- mounting ----------------------------------------------------------------------------------

static int refused(int fs, const char *type, const char *what, struct err *e)
{
    char text[512];
    int code = errno;
    ssize_t n = read(fs, text, sizeof text - 1);
    while (n > 0 && text[n - 1] == '\n') n--;
    if (n > 2) return err_set(e, ERR_INPUT, "mount of type %s: %.*s", type, (int)n - 2, text + 2);
    return err_sys_code(e, code, "mount of type %s: %s", type, what);
}

static const struct {
    const char *word;
    uint64_t set;
} attributes[] = {{"rw", 0},
                  {"ro", MOUNT_ATTR_RDONLY},
                  {"nosuid", MOUNT_ATTR_NOSUID},
                  {"nodev", MOUNT_ATTR_NODEV},
                  {"noexec", MOUNT_ATTR_NOEXEC},
                  {"noatime", MOUNT_ATTR_NOATIME},
                  {"nodiratime", MOUNT_ATTR_NODIRATIME},
                  {"suid", 0},
                  {"dev", 0},
                  {"exec", 0},
                  {"relatime", 0},
                  {"defaults", 0}};

// A kernel has no resolver: "addr=" of a network's file system may be a name all the same. Looked up
// at each mount, IPv4 first. NULL: nobody knows the name.
static char *address_of(const char *host, struct err *e)
{
    unsigned char raw[16];
    char text[INET6_ADDRSTRLEN];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    if (inet_pton(AF_INET, host, raw) == 1 || inet_pton(AF_INET6, host, raw) == 1)
        return str_dup(host);
    int rc = getaddrinfo(host, NULL, &hints, &list);
    if (rc != 0 || !list) {
        err_set(e, ERR_INPUT, "find the address of '%s': %s", host, gai_strerror(rc));
        return NULL;
    }
    const struct addrinfo *best = list;
    for (const struct addrinfo *a = list; a; a = a->ai_next)
        if (a->ai_family == AF_INET && best->ai_family != AF_INET) best = a;
    rc = getnameinfo(best->ai_addr, best->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    freeaddrinfo(list);
    if (rc == 0) return str_dup(text);
    err_set(e, ERR_INPUT, "find the address of '%s': %s", host, gai_strerror(rc));
    return NULL;
}

static int set_word(int fs, const char *type, struct sv word, uint64_t *attr, struct err *e)
{
    struct sv value = word, key = sv_cut(&value, '=');
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        if (sv_eqz(word, attributes[i].word)) {
            *attr |= attributes[i].set;
            return 0;
        }
    own(free) char *k = sv_dup(key);
    own(free) char *v = value.p ? sv_dup(value) : NULL;
    if (v && strcmp(k, "addr") == 0) {
        own(free) char *name = v;
        v = address_of(name, e);
        if (!v) return -1;
    }
    if (key.n == 0 || fsconfig(fs, v ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, k, v, 0) == 0)
        return 0;
    return refused(fs, type, k, e);
}

static int make_mount(const struct map *options, struct err *e)
{
    const char *type = map_get(options, "type"), *o = map_get(options, "o");
    uint64_t attr = 0;
    own(fd) int fs = fsopen(type, FSOPEN_CLOEXEC);
    if (fs < 0) {
        err_sys(e, "open the file system '%s'", type);
        return err_hint(e, "'cat /proc/filesystems' lists what this kernel has");
    }
    if (fsconfig(fs, FSCONFIG_SET_STRING, "source", map_get(options, "device"), 0) != 0)
        return refused(fs, type, "device", e);
    for (struct sv rest = sv_of(o ? o : ""); rest.p && rest.n;)
        if (set_word(fs, type, sv_cut(&rest, ','), &attr, e) < 0) return -1;
    if ((attr & MOUNT_ATTR_RDONLY) && fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) != 0)
        return refused(fs, type, "ro", e);
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        return refused(fs, type, "mount", e);
    int fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attr);
    return fd < 0 ? refused(fs, type, "mount", e) : fd;
}

static bool is_mounted(int dir)
{
    struct statx st = {0};
    return statx(dir, VOLUME_DATA, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) == 0 &&
           (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int unmount(struct engine *en, const char *name, struct err *e)
{
    own(free) char *path = str_fmt("%s/volumes/%s/" VOLUME_DATA, en->store_path, name);
    if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return 0;
    return err_sys(e, "unmount the volume '%s'", name);
}

int volume_driver_drop(struct engine *en, int dir, const char *name, struct err *e)
{
    return is_mounted(dir) ? unmount(en, name, e) : 0;
}

// Somebody else is being made or runs.
static bool used_by_others(struct engine *en, const char *name, const char *id)
{
    struct err bad = {0};
    own(record_uses) struct record_uses uses = {0};
    if (record_uses_load(en, &uses, &bad) < 0) return true;
    vec_each (u, &uses) {
        if (strcmp(u->name, name) != 0 || strcmp(u->id, id) == 0) continue;
        own(fd) int dir = record_dir(en, u->id, &bad);
        if (dir >= 0 && record_is_locked(dir)) return true;
    }
    return false;
}

int volume_driver_open(struct engine *en, int dir, const char *name, const char *id,
                       const struct map *options, bool *out_readonly, struct err *e)
{
    if (is_bind(options)) {
        *out_readonly |= has_word(map_get(options, "o"), "ro");
        int fd = fs_open_dir(AT_FDCWD, map_get(options, "device"), e);
        if (fd < 0 && e->sys == ENOENT) e->kind = ERR_INPUT;
        return fd < 0 ? err_wrap(e, "opening the folder of the volume '%s'", name) : fd;
    }
    if (volume_driver_check(en, options, e) < 0) return -1;
    if (is_mounted(dir) && !used_by_others(en, name, id) && unmount(en, name, e) < 0) return -1;
    if (!is_mounted(dir)) {
        own(fd) int tree = make_mount(options, e);
        if (tree < 0) return err_wrap(e, "mounting the volume '%s'", name);
        if (move_mount(tree, "", dir, VOLUME_DATA, MOVE_MOUNT_F_EMPTY_PATH) != 0)
            return err_sys(e, "mount the volume '%s'", name);
    }
    return fs_open_dir(dir, VOLUME_DATA, e);
}

void volume_driver_release(struct engine *en, const char *name, const char *id)
{
    struct err bad = {0};
    own(free) char *path = str_fmt("volumes/%s", name);
    if (en->ids.mode != IDMAP_ROOT || !sandbox_parse_name_ok(name)) return;
    own(fd) int look = openat(en->store_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (look < 0 || !is_mounted(look)) return;
    own(fd) int dir = volume_lock(en, name, &bad);
    if (dir < 0 || !is_mounted(dir) || used_by_others(en, name, id)) return;
    if (unmount(en, name, &bad) < 0) event_warn(&en->sink, "%s", err_cause(&bad));
}
