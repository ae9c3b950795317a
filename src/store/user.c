// SPDX-License-Identifier: Apache-2.0
// Reads the containers' records, as text only: a damaged or unknown record still protects what it
// names.
#include "store/user.h"

#include <errno.h>
#include <sys/file.h>

#include "base/fs.h"
#include "base/own.h"
#include "base/vec.h"

#define RECORD_MAX ((size_t)16 << 20)

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

void store_user_scan(struct sv text, struct map *out)
{
    for (size_t i = 0; i < text.n;) {
        size_t start = i;
        while (i < text.n && is_hex(text.p[i])) i++;
        if (i - start == 64) {
            char hex[65];
            memcpy(hex, text.p + start, 64);
            hex[64] = '\0';
            map_set(out, hex, NULL);
        }
        if (i == start) i++;
    }
}

bool store_user_has(const struct store_user *u, const struct oci_digest *d)
{
    return map_has(&u->hexes, d->hex);
}

void store_users_fini(struct store_users *v)
{
    vec_each(u, v) {
        free(u->id);
        map_fini(&u->hexes);
    }
    vec_fini(v);
}

static int read_one(struct engine *en, const char *id, struct store_users *out, struct err *e)
{
    own(free) char *path = str_fmt("containers/%s", id);
    own(fd) int dir = openat(en->store_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(e, "open '%s'", path);
    own(str) struct str text = {0};
    own(fd) int fd = openat(dir, "config.json", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return errno == ENOENT ? 0 : err_sys(e, "open '%s/config.json'", path);
    if (fs_read_fd(fd, RECORD_MAX, &text, e) < 0) return err_wrap(e, "reading '%s'", path);
    struct store_user *u = vec_add(out);
    u->id = str_dup(id);
    store_user_scan(str_sv(&text), &u->hexes);
    int rc = fs_lock(dir, LOCK_SH | LOCK_NB, e);
    if (rc < 0) return -1;
    u->running = rc == 1;
    return 0;
}

int store_user_list(struct engine *en, struct store_users *out, struct err *e)
{
    own(strv) struct strv names = {0};
    if (!fs_exists(en->store_fd, "containers")) return 0;
    if (fs_list(en->store_fd, "containers", &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        if (strcmp(names.p[i], "names") == 0) continue;
        if (read_one(en, names.p[i], out, e) < 0) return -1;
    }
    return 0;
}
