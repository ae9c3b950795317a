// SPDX-License-Identifier: Apache-2.0
// Who the program runs as. /etc/passwd and /etc/group are the image's, so they are opened inside
// the root, must be regular files and have a cap. Digits are always a number and never a name: an
// image with a user called "1" and uid 0 must not turn `-u 1` into root.
#include <stdlib.h>
#include <string.h>

#include "base/engine.h"
#include "base/num.h"
#include "base/own.h"
#include "sandbox/user.h"

void sandbox_user_fini(struct sandbox_user *u)
{
    free(u->groups);
    free(u->home);
    free(u->name);
    memset(u, 0, sizeof *u);
}

int sandbox_user_number(struct sv text, uint32_t *out, struct err *e)
{
    if (text.n == 0) return 0;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < '0' || text.p[i] > '9') return 0;
    uint64_t v;
    if (!num_u64_max(text, UINT32_MAX - 1, &v))
        return err_set(e, ERR_INPUT, "the id '%.*s' is not between 0 and 4294967294",
                       (int)(text.n < 64 ? text.n : 64), text.p);
    *out = (uint32_t)v;
    return 1;
}

// An absent file is an empty one.
static int read_file(const struct root *root, const char *path, struct str *out, struct err *e)
{
    out->max = LIMIT_PASSWD;
    if (fs_in_read(root, path, LIMIT_PASSWD, out, e) == 0) return 0;
    if (e->kind == ERR_SYSTEM) {  // missing, a dangling link: as if there were none
        str_clear(out);
        return 0;
    }
    return err_hint(e, "the image's '/%s' is looked at to find the user", path);
}

// Cuts a line into at most n fields; returns how many there are.
static size_t fields(struct sv line, struct sv *out, size_t n)
{
    size_t i = 0;
    while (line.p && i < n) out[i++] = sv_cut(&line, ':');
    return i;
}

struct passwd_entry {
    struct sv name, home;
    uint32_t uid, gid;
};

static bool next_passwd(struct sv *rest, struct passwd_entry *out)
{
    while (rest->p) {
        struct sv f[7], line = sv_cut(rest, '\n');
        uint64_t uid, gid;
        if (fields(line, f, 7) < 6 || !num_u64_max(f[2], UINT32_MAX - 1, &uid) ||
            !num_u64_max(f[3], UINT32_MAX - 1, &gid))
            continue;
        *out = (struct passwd_entry){f[0], f[5], (uint32_t)uid, (uint32_t)gid};
        return true;
    }
    return false;
}

struct group_entry {
    struct sv name, members;
    uint32_t gid;
};

static bool next_group(struct sv *rest, struct group_entry *out)
{
    while (rest->p) {
        struct sv f[4] = {0}, line = sv_cut(rest, '\n');
        uint64_t gid;
        if (fields(line, f, 4) < 3 || !num_u64_max(f[2], UINT32_MAX - 1, &gid)) continue;
        *out = (struct group_entry){f[0], f[3], (uint32_t)gid};
        return true;
    }
    return false;
}

// The kernel takes no more than this in one set, and the image says how many there are.
#define GROUPS_MAX 65536

static int add_group(struct sandbox_user *u, uint32_t gid, struct err *e)
{
    for (size_t i = 0; i < u->n; i++)
        if (u->groups[i] == gid) return 0;
    if (u->n == GROUPS_MAX)
        return err_set(e, ERR_LIMIT, "the user is in more than %d groups", GROUPS_MAX);
    u->groups = mem_grow(u->groups, (u->n + 1) * sizeof *u->groups);
    u->groups[u->n++] = gid;
    return 0;
}

static bool is_member(struct sv members, const char *name)
{
    while (members.p)
        if (sv_eqz(sv_cut(&members, ','), name)) return true;
    return false;
}

static int find_user(const struct root *root, struct sv who, struct sandbox_user *u, struct err *e)
{
    int numeric = sandbox_user_number(who, &u->uid, e);
    if (numeric < 0) return -1;
    own(str) struct str text = {0};
    if (read_file(root, "etc/passwd", &text, e) < 0) return -1;
    struct sv rest = str_sv(&text);
    struct passwd_entry p;
    while (next_passwd(&rest, &p)) {
        if (numeric ? p.uid != u->uid : !sv_eq(p.name, who)) continue;
        u->uid = p.uid;
        u->gid = p.gid;
        u->home = sv_dup(p.home);
        u->name = sv_dup(p.name);
        return 0;
    }
    if (numeric) return 0;
    err_set(e, ERR_INPUT, "user '%.*s': no such entry in the image's /etc/passwd", (int)who.n,
            who.p);
    return err_hint(e, "create it with RUN useradd, or give a numeric id such as 1000:1000");
}

static int find_group(struct sv groups, struct sv who, uint32_t *out, struct err *e)
{
    int numeric = sandbox_user_number(who, out, e);
    if (numeric) return numeric < 0 ? -1 : 0;
    struct group_entry g;
    while (next_group(&groups, &g))
        if (sv_eq(g.name, who)) {
            *out = g.gid;
            return 0;
        }
    return err_set(e, ERR_INPUT, "group '%.*s': no such entry in the image's /etc/group",
                   (int)who.n, who.p);
}

int sandbox_user_find(const struct root *root, const char *text, const struct strv *extra,
                      struct sandbox_user *out, struct err *e)
{
    own(sandbox_user) struct sandbox_user u = {0};
    struct sv group = sv_of(text ? text : ""), user = sv_cut(&group, ':');
    if (find_user(root, user.n ? user : SV("0"), &u, e) < 0) return -1;
    bool named = group.p && group.n;
    own(str) struct str file = {0};
    if ((named || u.name || (extra && extra->n)) && read_file(root, "etc/group", &file, e) < 0)
        return -1;
    if (named && find_group(str_sv(&file), group, &u.gid, e) < 0) return -1;
    if (!named && u.name) {
        struct sv rest = str_sv(&file);
        struct group_entry g;
        while (next_group(&rest, &g))
            if (is_member(g.members, u.name) && add_group(&u, g.gid, e) < 0) return -1;
    }
    // The primary group is among the others too: else a setgid program would shed it, and with it
    // what is denied to the group (mode 0707).
    if (add_group(&u, u.gid, e) < 0) return -1;
    for (size_t i = 0; extra && i < extra->n; i++) {
        uint32_t gid;
        if (find_group(str_sv(&file), sv_of(extra->p[i]), &gid, e) < 0 ||
            add_group(&u, gid, e) < 0)
            return -1;
    }
    *out = u;
    memset(&u, 0, sizeof u);
    return 0;
}

int sandbox_user_passwd_with(const struct root *root, const struct sandbox_user *u,
                             const char *home, struct str *out, struct err *e)
{
    if (u->name) return 0;
    if (read_file(root, "etc/passwd", out, e) < 0) return -1;
    if (out->n && out->p[out->n - 1] != '\n') str_addc(out, '\n');
    // The home is a path of the command line or the image: a colon or line break in it would
    // add fields or users.
    if (strpbrk(home, ":\n")) home = "/";
    str_addf(out, "%u:x:%u:%u::%s:/bin/sh\n", u->uid, u->uid, u->gid, home);
    return str_check(out, e);
}
