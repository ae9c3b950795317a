// SPDX-License-Identifier: Apache-2.0
// Ids of a container's own (--userns auto, nomap, keep-id).
//
// A slot is a piece of the ids that no other container has at that time. Root's is 65536 user and
// group ids that nothing else on this machine has: from the ranges that /etc/subuid and /etc/subgid
// give to 'dewar' (or 'containers'), and without those from a block that Linux distributions leave
// free, less what the two files give to anybody. A flock on a file in the run folder says that it is
// in use. An ordinary user's is a piece of the user's own range; pieces of different sizes overlap, so
// the lock is one on that part of a file. The lock's descriptor lives in the monitor, so that the
// kernel frees the slot when the monitor ends, whatever ends it. Root's containers begin to look in
// different places, since engines with different run folders do not see each other's locks; a user's
// begin at the first, since for each slot the image's layers are copied once.
//
//   mode      root: inside -> host                  user: inside -> the engine's (0 is the caller)
//   auto      a slot                                a slot
//   nomap     a slot                                0.. -> 1..: all but the caller
//   keep-id   a slot, and K -> 0 (the caller)       the same ids, but K -> 0 and 0 -> K
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
#include "image/view.h"
#include "sandbox/sandbox.h"
#include "sandbox/user.h"
#include "sandbox/userns.h"

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
            if (!sv_eqz(name, names[i]) || i > from || s.start == 0 || s.count < SANDBOX_IDS)
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
    vec_each(r, &s->ours) n += r->count / SANDBOX_IDS;
    return n;
}

// The first id of a slot; 0: a part of it is somebody else's.
static uint32_t slot_start(const struct side *s, uint32_t slot)
{
    uint32_t start = 0;
    vec_each (r, &s->ours) {
        uint32_t here = r->count / SANDBOX_IDS;
        if (slot < here) {
            start = r->start + slot * SANDBOX_IDS;
            break;
        }
        slot -= here;
    }
    vec_each(t,
             &s->taken) if (t->start < start + SANDBOX_IDS && start < t->start + t->count) return 0;
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

static int take_host_slot(struct engine *en, const char *id, struct sandbox_ids *out, struct err *e)
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
        out->slot_uid = u;
        out->slot_gid = g;
        out->slot_n = SANDBOX_IDS;
        return 0;
    }
    err_set(e, ERR_LIMIT, "all %u ranges of ids for containers are in use", n);
    return err_hint(e, "give 'dewar' more in /etc/subuid and /etc/subgid, 65536 for each container");
}

// A part of the file userns/ids, as long as the slot. 1 ours now, 0 in use.
static int lock_part(struct engine *en, uint32_t start, uint32_t n, int *out_fd, struct err *e)
{
    own(fd) int fd =
        fs_openat(en->run_fd, "userns/ids", O_RDWR | O_CREAT | O_NOFOLLOW, 0600, e);
    if (fd < 0) return -1;
    struct flock part = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = n};
    if (fcntl(fd, F_OFD_SETLK, &part) != 0)
        return errno == EAGAIN || errno == EACCES ? 0 : err_sys(e, "lock ids for a container");
    *out_fd = take_fd(fd);
    return 1;
}

static uint32_t count_ids(const struct idmap_side *s)
{
    const struct idmap_range *last = &s->range[s->n - 1];
    return last->inside + last->count;
}

static int range_too_small(uint32_t have, uint32_t want, struct err *e)
{
    err_set(e, ERR_UNSUPPORTED,
            "this user has %u ids in /etc/subuid and /etc/subgid, too few for a container with %u",
            have, want);
    return err_hint(e, "--userns auto:size=%u takes fewer (an image with higher ids cannot be used "
                       "then); more are given by 'usermod --add-subuids FROM-TO --add-subgids "
                       "FROM-TO USER'", have < 4096 ? have : 4096);
}

// Of the user's ids behind the caller's own, which is 0.
static int take_part(struct engine *en, uint32_t size, struct sandbox_ids *out, struct err *e)
{
    uint32_t have = count_ids(&en->ids.uid), gids = count_ids(&en->ids.gid);
    if (gids < have) have = gids;
    uint32_t n = --have / size;
    if (n == 0) return range_too_small(have, size, e);
    if (fs_mkdirs(en->run_fd, "userns", 0700, e) < 0) return -1;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t start = 1 + i * size;
        int rc = lock_part(en, start, size, &out->lock_fd, e);
        if (rc < 0) return -1;
        if (rc == 0) continue;
        out->slot_uid = out->slot_gid = start;
        out->slot_n = size;
        return 0;
    }
    err_set(e, ERR_LIMIT, "all %u of this user's ids are in use by containers with --userns auto, "
            "%u each", have, size);
    return err_hint(e, "--userns auto:size=N takes fewer; 'usermod --add-subuids FROM-TO "
                       "--add-subgids FROM-TO USER' gives more");
}

static int take_slot(struct engine *en, const char *id, uint32_t size, struct sandbox_ids *out,
                     struct err *e)
{
    if (en->ids.mode == IDMAP_ROOT) return take_host_slot(en, id, out, e);
    return take_part(en, size ? size : SANDBOX_IDS, out, e);
}

// The ids that a container's files have had from its first start on.
static int retake_slot(struct engine *en, struct sandbox_ids *ids, struct err *e)
{
    if (fs_mkdirs(en->run_fd, "userns", 0700, e) < 0) return -1;
    int rc = en->ids.mode == IDMAP_ROOT ? lock_slot(en, ids->slot_uid, &ids->lock_fd, e)
                                        : lock_part(en, ids->slot_uid, ids->slot_n, &ids->lock_fd, e);
    if (rc != 0) return rc < 0 ? -1 : 0;
    err_set(e, ERR_CONFLICT, "the ids %u and up of this container are in use by another",
            ids->slot_uid);
    return err_hint(e, "stop that one first");
}

// --- what was asked for ------------------------------------------------------------------------

static int bad_option(const char *text, struct err *e)
{
    err_set(e, ERR_USAGE, "unknown user namespace '%s'", text);
    return err_hint(e, "it is host, auto[:size=N], nomap or keep-id[:uid=N,gid=N]");
}

static bool number(struct sv value, uint32_t max, uint32_t *out)
{
    uint64_t n;
    if (!value.p || !num_u64_max(value, max, &n)) return false;
    *out = (uint32_t)n;
    return true;
}

static bool option_word(struct sv word, struct sandbox_spec *s)
{
    uint32_t n;
    struct sv value = word, key = sv_cut(&value, '=');
    bool keep = s->userns == SANDBOX_USERNS_KEEP;
    if (s->userns == SANDBOX_USERNS_AUTO && sv_eqz(key, "size"))
        return number(value, SANDBOX_IDS, &s->userns_size) && s->userns_size > 0;
    if (!keep || !number(value, LAST_ID - 1, &n)) return false;
    if (sv_eqz(key, "uid"))
        s->userns_uid = n;
    else if (sv_eqz(key, "gid"))
        s->userns_gid = n;
    else
        return false;
    return true;
}

int sandbox_userns_option(const char *text, struct sandbox_spec *s, struct err *e)
{
    static const char *const names[SANDBOX_USERNS_COUNT] = {"host", "auto", "nomap", "keep-id"};
    s->userns_uid = s->userns_gid = -1;
    if (!text || !text[0]) return 0;
    struct sv rest = sv_of(text), name = sv_cut(&rest, ':');
    int which = -1;
    for (int i = 0; i < SANDBOX_USERNS_COUNT; i++)
        if (sv_eqz(name, names[i])) which = i;
    if (which < 0) return bad_option(text, e);
    s->userns = (enum sandbox_userns)which;
    while (rest.p)
        if (!option_word(sv_cut(&rest, ','), s)) return bad_option(text, e);
    return 0;
}

int sandbox_userns_check(struct engine *en, const struct sandbox_spec *s, struct err *e)
{
    if (s->userns == SANDBOX_USERNS_HOST || en->ids.mode != IDMAP_ROOT) return 0;
    if (s->userns_size) {
        err_set(e, ERR_USAGE, "--userns auto:size is for ordinary users");
        return err_hint(e, "as root each container has %u ids", SANDBOX_IDS);
    }
    if (!s->privileged) return 0;
    err_set(e, ERR_USAGE, "--privileged and a user namespace of its own contradict each other");
    return err_hint(e, "leave out --userns, or ask for single rights with --cap-add and --device");
}

// --- keep-id -----------------------------------------------------------------------------------

// The program's user, where somebody names one that is not root. 1 found.
static int program_user(struct engine *en, const struct image_view *im,
                        const struct sandbox_spec *s, struct sandbox_user *out, struct err *e)
{
    struct root root = {-1, "the image"};
    if (!s->user || !s->user[0] || strcmp(s->user, "0") == 0) return 0;
    if (image_view_root(en, im, &root, e) < 0) return -1;
    own(fd) int fd = root.fd;
    (void)fd;
    if (sandbox_user_find(&root, s->user, NULL, out, e) < 0) return -1;
    return out->uid != 0;
}

// Who in the container is the caller: who is named; else the program's user; else the number that the
// caller has outside, and then the program runs as that.
static int find_keeper(struct engine *en, const struct image_view *im, struct sandbox_spec *s,
                       struct err *e)
{
    own(sandbox_user) struct sandbox_user user = {0};
    bool root = en->ids.mode == IDMAP_ROOT;
    int named = program_user(en, im, s, &user, e);
    if (named < 0) return -1;
    uint32_t uid = root ? 0 : en->ids.uid.range[0].outside;
    uint32_t gid = root ? 0 : en->ids.gid.range[0].outside;
    if (named) uid = user.uid;
    if (s->userns_uid >= 0) uid = (uint32_t)s->userns_uid;
    if (named && user.uid == uid) gid = user.gid;
    if (s->userns_gid >= 0) gid = (uint32_t)s->userns_gid;
    s->ids.keep = true;
    s->ids.keep_uid = uid;
    s->ids.keep_gid = gid;
    if (!s->user || !s->user[0]) {
        free(s->user);
        s->user = str_fmt("%u:%u", uid, gid);
    }
    return 0;
}

// --- mappings ----------------------------------------------------------------------------------

// A slot, in which `keep` (where it is wanted) is the host's 0.
static void map_slot(struct idmap_side *to, uint32_t start, uint32_t n, bool keep, uint32_t who)
{
    if (!keep || who >= n) {
        idmap_add(to, 0, start, n);
        if (keep) idmap_add(to, who, 0, 1);
        return;
    }
    idmap_add(to, 0, start, who);
    idmap_add(to, who, 0, 1);
    idmap_add(to, who + 1, start + who + 1, n - who - 1);
}

// The user's ids as they are, but that `who` is 0, and what had been 0 takes its place. `n` are the
// ids behind 0. A `who` that is not among them takes the place of the last two: the very last one is
// not used, since unshare(1), with which people remove such files, maps one less.
static void map_keep(struct idmap_side *to, const struct idmap_side *engine, uint32_t n,
                     uint32_t who)
{
    uint32_t hole = who < n ? who : n - 1;
    if (who == 0) {
        idmap_add_below(to, engine, 0, 0, n + 1);
        return;
    }
    idmap_add_below(to, engine, 0, hole, 1);
    idmap_add_below(to, engine, 1, 1, hole - 1);
    idmap_add_below(to, engine, who, 0, 1);
    if (who < n) idmap_add_below(to, engine, who + 1, who + 1, n - who);
}

static void map_user(const struct engine *en, const struct sandbox_spec *s, struct sandbox_ids *ids)
{
    const struct idmap_side *u = &en->ids.uid, *g = &en->ids.gid;
    uint32_t nu = count_ids(u) - 1, ng = count_ids(g) - 1;
    if (s->userns == SANDBOX_USERNS_KEEP) {
        map_keep(&ids->uid, u, nu, ids->keep_uid);
        map_keep(&ids->gid, g, ng, ids->keep_gid);
        snprintf(ids->name, sizeof ids->name, "keep-%u-%u", ids->keep_uid, ids->keep_gid);
    } else if (s->userns == SANDBOX_USERNS_NOMAP) {
        idmap_add_below(&ids->uid, u, 0, 1, nu);
        idmap_add_below(&ids->gid, g, 0, 1, ng);
        snprintf(ids->name, sizeof ids->name, "nomap");
    } else {
        idmap_add_below(&ids->uid, u, 0, ids->slot_uid, ids->slot_n);
        idmap_add_below(&ids->gid, g, 0, ids->slot_gid, ids->slot_n);
        snprintf(ids->name, sizeof ids->name, "auto-%u-%u", ids->slot_uid, ids->slot_n);
    }
}

static int need_slot(struct engine *en, const char *id, const struct sandbox_spec *s,
                     struct sandbox_ids *ids, struct err *e)
{
    if (en->ids.mode != IDMAP_ROOT && s->userns != SANDBOX_USERNS_AUTO) return 0;
    return ids->slot_uid ? retake_slot(en, ids, e) : take_slot(en, id, s->userns_size, ids, e);
}

// Where the caller is root inside there is nothing to do.
static bool is_caller_root(const struct sandbox_ids *ids)
{
    return ids->keep && !ids->keep_uid && !ids->keep_gid;
}

void sandbox_userns_map(const struct engine *en, const struct sandbox_spec *s,
                        struct sandbox_ids *ids)
{
    if (s->userns == SANDBOX_USERNS_HOST || is_caller_root(ids)) return;
    ids->own = true;
    if (en->ids.mode != IDMAP_ROOT) {
        map_user(en, s, ids);
        return;
    }
    map_slot(&ids->uid, ids->slot_uid, ids->slot_n, ids->keep, ids->keep_uid);
    map_slot(&ids->gid, ids->slot_gid, ids->slot_n, ids->keep, ids->keep_gid);
}

int sandbox_userns_take(struct engine *en, const char *id, const struct image_view *im,
                        struct sandbox_spec *s, struct err *e)
{
    struct sandbox_ids *ids = &s->ids;
    if (s->userns == SANDBOX_USERNS_HOST) return 0;
    if (s->userns == SANDBOX_USERNS_KEEP && !ids->keep && find_keeper(en, im, s, e) < 0) return -1;
    if (is_caller_root(ids)) return 0;
    if (need_slot(en, id, s, ids, e) < 0) return -1;
    sandbox_userns_map(en, s, ids);
    if (en->ids.mode != IDMAP_ROOT) return 0;
    return idmap_userns_open(&ids->uid, &ids->gid, &ids->userns_fd, e);
}
