// SPDX-License-Identifier: Apache-2.0
// Ids of a container's own (--userns auto, nomap). A slot is 65536 user and group ids that nothing
// else on this machine has: from the ranges that /etc/subuid and /etc/subgid give to 'dewar' (or
// 'containers'), and without those from a block that Linux distributions leave free, less what the
// two files give to anybody. A flock on a file in the run folder says that a slot is in use; its
// descriptor lives in the monitor, so that the kernel frees the slot when the monitor ends,
// whatever ends it. Containers begin to look in different places, since engines with different run
// folders do not see each other's locks.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/idmap.h"
#include "base/num.h"
#include "base/own.h"
#include "runtime/record.h"

#define SUBID_FILE_MAX ((size_t)4 << 20)
#define LAST_ID UINT32_MAX  // is no id; a range ends before it
// 0x70000000 to 0x7ffdffff: behind what systemd hands to its containers, before its foreign images.
#define BLOCK_START 0x70000000U
#define BLOCK_COUNT 0x0ffe0000U

struct span {
    uint32_t start, count;
};
struct side {
    VEC(struct span) ours;   // slots come from these
    VEC(struct span) taken;  // somebody's: slots keep off them
};
static void own_side(struct side *s)
{
    vec_fini(&s->ours);
    vec_fini(&s->taken);
}

static bool read_line(struct sv line, struct sv *out_name, struct span *out)
{
    *out_name = sv_cut(&line, ':');
    if (!line.p) return false;
    struct sv first = sv_cut(&line, ':');
    uint64_t start, count;
    if (!line.p || !num_u64_max(first, LAST_ID, &start) ||
        !num_u64_max(sv_trim(line), LAST_ID, &count) || start + count > LAST_ID)
        return false;
    *out = (struct span){(uint32_t)start, (uint32_t)count};
    return true;
}

// A file that is not there gives nothing to anybody.
static void read_file(const char *path, struct side *out)
{
    static const char *const names[] = {"dewar", "containers"};
    own(str) struct str text = {0};
    struct err ignored;
    if (fs_read_at(AT_FDCWD, path, SUBID_FILE_MAX, &text, &ignored) < 0) str_clear(&text);
    size_t from = 2;
    for (struct sv rest = str_sv(&text); rest.p;) {
        struct sv name;
        struct span s;
        if (!read_line(sv_cut(&rest, '\n'), &name, &s)) continue;
        vec_push(&out->taken, s);
        for (size_t i = 0; i < 2; i++) {
            if (!sv_eqz(name, names[i]) || i > from || s.start == 0 || s.count < RUNTIME_IDS)
                continue;
            if (i < from) out->ours.n = 0;
            from = i;
            vec_push(&out->ours, s);
        }
    }
    if (out->ours.n)
        out->taken.n = 0;
    else
        vec_push(&out->ours, (struct span){BLOCK_START, BLOCK_COUNT});
}

static uint32_t slots(const struct side *s)
{
    uint32_t n = 0;
    vec_each (r, &s->ours) n += r->count / RUNTIME_IDS;
    return n;
}

// The first id of a slot; 0: a part of it is somebody else's.
static uint32_t slot_start(const struct side *s, uint32_t slot)
{
    uint32_t start = 0;
    vec_each (r, &s->ours) {
        uint32_t here = r->count / RUNTIME_IDS;
        if (slot < here) {
            start = r->start + slot * RUNTIME_IDS;
            break;
        }
        slot -= here;
    }
    vec_each (t, &s->taken)
        if (t->start < start + RUNTIME_IDS && start < t->start + t->count) return 0;
    return start;
}

// 1 ours now, 0 in use.
static int lock_slot(struct engine *en, uint32_t start, int *out_fd, struct err *e)
{
    own(free) char *path = str_fmt("userns/%u", start);
    own(fd) int fd = fs_openat(en->run_fd, path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, e);
    if (fd < 0) return -1;
    int rc = fs_lock(fd, LOCK_EX | LOCK_NB, e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    *out_fd = take_fd(fd);
    return 1;
}

static int take_slot(struct engine *en, const char *id, struct runtime_ids *out, struct err *e)
{
    own(side) struct side uid = {0}, gid = {0};
    read_file("/etc/subuid", &uid);
    read_file("/etc/subgid", &gid);
    uint32_t n = slots(&uid), ngid = slots(&gid);
    if (ngid < n) n = ngid;
    char head[9] = "";
    memcpy(head, id, 8);
    uint32_t first = (uint32_t)strtoul(head, NULL, 16) % n;
    if (fs_mkdirs(en->run_fd, "userns", 0700, e) < 0) return -1;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t slot = (first + i) % n;
        uint32_t u = slot_start(&uid, slot), g = slot_start(&gid, slot);
        if (u == 0 || g == 0) continue;
        int rc = lock_slot(en, u, &out->lock_fd, e);
        if (rc < 0) return -1;
        if (rc == 0) continue;
        out->uid = u;
        out->gid = g;
        return 0;
    }
    err_set(e, ERR_LIMIT, "all %u ranges of ids for containers are in use", n);
    return err_hint(e, "give 'dewar' more in /etc/subuid and /etc/subgid, 65536 for each container");
}

// The ids that a container's files have had from its first start on.
static int retake_slot(struct engine *en, struct runtime_ids *ids, struct err *e)
{
    if (fs_mkdirs(en->run_fd, "userns", 0700, e) < 0) return -1;
    int rc = lock_slot(en, ids->uid, &ids->lock_fd, e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    err_set(e, ERR_CONFLICT, "the ids %u and up of this container are in use by another", ids->uid);
    return err_hint(e, "stop that one first");
}

void userns_sides(const struct runtime_ids *ids, struct idmap_side *uid, struct idmap_side *gid)
{
    *uid = (struct idmap_side){.range = {{0, ids->uid, RUNTIME_IDS}}, .n = 1};
    *gid = (struct idmap_side){.range = {{0, ids->gid, RUNTIME_IDS}}, .n = 1};
}

int userns_check(struct engine *en, const struct runtime_spec *s, struct err *e)
{
    if (s->userns == RUNTIME_USERNS_HOST) return 0;
    if (en->ids.mode != IDMAP_ROOT) {
        err_set(e, ERR_UNSUPPORTED, "'--userns auto' and 'nomap' are for root, so far");
        return err_hint(e, "leave it out: every container of an ordinary user is in a user "
                           "namespace already; another mapping needs its layers in another form");
    }
    if (!s->privileged) return 0;
    err_set(e, ERR_USAGE, "--privileged and a user namespace of its own contradict each other");
    return err_hint(e, "leave out --userns, or ask for single rights with --cap-add and --device");
}

int userns_take(struct engine *en, const char *id, struct runtime_spec *s, struct err *e)
{
    if (s->userns == RUNTIME_USERNS_HOST) return 0;
    if (s->ids.uid ? retake_slot(en, &s->ids, e) < 0 : take_slot(en, id, &s->ids, e) < 0) return -1;
    struct idmap_side uid, gid;
    userns_sides(&s->ids, &uid, &gid);
    return idmap_userns_open(&uid, &gid, &s->ids.userns_fd, e);
}
