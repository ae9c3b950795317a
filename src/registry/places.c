// SPDX-License-Identifier: Apache-2.0
// Turns a reference into the list of places to ask, in order: configured mirrors, then the registry
// itself. What a place may do (plain HTTP, any certificate) is decided here and only from what the
// person or the machine's configuration said; nothing that a registry answers can widen it.
#include "registry/places.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/own.h"
#include "registry/conf.h"
#include "registry/dockerd.h"
#include "registry/host.h"

// --- certificate folders ----------------------------------------------------------------------

static bool is_folder(const char *path)
{
    struct err ignored = {0};
    own(fd) int fd = fs_open(path, O_PATH | O_DIRECTORY, 0, &ignored);
    return fd >= 0;
}

static const char *env_get(const char *key)
{
    const char *z = getenv(key);
    return z && z[0] ? z : NULL;
}

// The first folder that is there: the person's before the machine's, containers' before Docker's.
static void find_certificates(const char *host, struct registry_place *p)
{
    const char *home = env_get("HOME"), *config = env_get("XDG_CONFIG_HOME");
    const struct {
        const char *top, *below;
    } rows[] = {
        {config, "/containers/certs.d"}, {config ? NULL : home, "/.config/containers/certs.d"},
        {config, "/docker/certs.d"},     {config ? NULL : home, "/.config/docker/certs.d"},
        {home, "/.docker/certs.d"},      {"", "/etc/containers/certs.d"},
        {"", "/etc/docker/certs.d"},
    };
    const char *const names[] = {host, REGISTRY_HUB};
    bool is_hub = registry_host_is_hub(sv_of(host));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (size_t k = 0; rows[i].top && k < (is_hub ? 2 : 1); k++) {
            int n = snprintf(p->ca_dir, sizeof p->ca_dir, "%s%s/%s", rows[i].top, rows[i].below,
                             names[k]);
            if (n > 0 && (size_t)n < sizeof p->ca_dir && is_folder(p->ca_dir)) return;
        }
    }
    p->ca_dir[0] = '\0';
}

// --- places -----------------------------------------------------------------------------------

static bool valid_name(struct sv name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i], before = i ? name.p[i - 1] : '/';
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool joint = c == '.' || c == '_' || c == '-' || c == '/';
        if (!plain && (!joint || before == '/' || (c == '.' && before == '.'))) return false;
    }
    return name.n > 0 && name.p[name.n - 1] != '/';
}

// "host/name", as it stands in a configuration or a reference.
static int add_place(struct registry_places *out, struct sv full, const struct registry_place *like,
                     const struct registry_dockerd *d, struct err *e)
{
    struct sv name = full;
    struct sv host = sv_cut(&name, '/');
    if (!registry_host_valid(host) || !name.p || !valid_name(name) ||
        name.n >= sizeof out->p[0].name)
        return err_set(e, ERR_INPUT, "'%.*s' is not a repository of a registry",
                       (int)(full.n < 600 ? full.n : 600), full.p);
    if (out->n == REGISTRY_PLACES_MAX)
        return err_set(e, ERR_LIMIT, "more than %d places for one repository", REGISTRY_PLACES_MAX);
    if (registry_host_is_hub(host)) host = SV(REGISTRY_HUB_API);
    struct registry_place *p = &out->p[out->n];
    *p = *like;
    own(free) char *bare = sv_dup(host);
    snprintf(p->host, sizeof p->host, "%s", bare);
    snprintf(p->name, sizeof p->name, "%.*s", (int)name.n, name.p);
    if (registry_dockerd_insecure(d, host)) p->plain = p->unverified = true;
    if (registry_host_is_loopback(host)) p->plain = true;
    find_certificates(bare, p);
    out->n++;
    return 0;
}

// Mirrors of daemon.json serve Docker Hub alone.
static int add_docker_mirrors(const struct oci_ref *ref, const struct registry_dockerd *d,
                              struct registry_places *out, struct err *e)
{
    if (!registry_host_is_hub(sv_of(ref->host))) return 0;
    for (size_t i = 0; i < d->mirrors.n; i++) {
        struct sv url = sv_of(d->mirrors.p[i]);
        bool plain = sv_starts(url, "http://");
        struct sv host = sv_from(url, plain ? 7 : 8);
        if (host.n && host.p[host.n - 1] == '/') host.n--;
        own(free) char *full = str_fmt("%.*s/%s", (int)host.n, host.p, ref->name);
        const struct registry_place like = {.mirror = true, .plain = plain};
        if (add_place(out, sv_of(full), &like, d, e) < 0) return -1;
    }
    return 0;
}

// The reference as a rule's location or a mirror's serves it: the matched part is exchanged.
static int add_rewritten(struct registry_places *out, struct sv full, size_t matched,
                         const char *location, const struct registry_place *like,
                         const struct registry_dockerd *d, const char *where, struct err *e)
{
    struct sv rest = sv_from(full, location[0] ? matched : 0);
    own(free) char *moved = str_fmt("%s%.*s", location, (int)rest.n, rest.p);
    if (add_place(out, sv_of(moved), like, d, e) < 0)
        return err_wrap(e, "moving '%.*s' as %s says", (int)full.n, full.p, where);
    return 0;
}

static int add_ruled(struct registry_places *out, struct sv full, size_t matched,
                     const struct registry_conf_rule *r, const struct registry_dockerd *d,
                     struct err *e)
{
    if (r->blocked) {
        err_set(e, ERR_INPUT, "'%.*s' is blocked by %s", (int)full.n, full.p, r->where);
        return err_hint(e, "the entry for '%s' there says blocked = true", r->prefix);
    }
    for (size_t i = 0; i < r->mirrors.n; i++) {
        const struct registry_conf_mirror *m = &r->mirrors.p[i];
        const struct registry_place like = {.mirror = true,
                                            .plain = m->insecure,
                                            .unverified = m->insecure,
                                            .digest_only = m->digest_only,
                                            .tag_only = m->tag_only};
        if (add_rewritten(out, full, matched, m->location, &like, d, r->where, e) < 0) return -1;
    }
    return 0;
}

int registry_places_find(const struct oci_ref *ref, bool insecure, struct registry_places *out,
                         struct err *e)
{
    own(registry_dockerd) struct registry_dockerd d = {0};
    own(registry_conf) struct registry_conf conf = {0};
    struct registry_places found = {0};
    size_t matched = 0;
    if (registry_host_check(ref->host, e) < 0 || registry_conf_load(&conf, e) < 0 ||
        registry_dockerd_load(&d, e) < 0)
        return -1;
    own(free) char *full = str_fmt("%s/%s", ref->host, ref->name);
    const struct registry_conf_rule *r = registry_conf_find(&conf, sv_of(full), &matched);
    bool loose = insecure || (r && r->insecure);
    const struct registry_place itself = {.plain = loose, .unverified = loose};
    if (r && add_ruled(&found, sv_of(full), matched, r, &d, e) < 0) return -1;
    if (add_docker_mirrors(ref, &d, &found, e) < 0) return -1;
    if (add_rewritten(&found, sv_of(full), matched, r ? r->location : "", &itself, &d,
                      r ? r->where : "", e) < 0)
        return -1;
    // A push goes where the name says: neither mirrors nor a moved location are for writing.
    struct registry_places push = {0};
    if (add_place(&push, sv_of(full), &itself, &d, e) < 0) return -1;
    found.push = push.p[0];
    *out = found;
    return 0;
}
