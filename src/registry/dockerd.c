// SPDX-License-Identifier: Apache-2.0
// daemon.json belongs to another program: only two keys are read, and a file that we may not read
// is passed over.
#include "registry/dockerd.h"

#include <errno.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/own.h"
#include "codec/json.h"
#include "registry/host.h"

void registry_dockerd_fini(struct registry_dockerd *d)
{
    strv_fini(&d->mirrors);
    strv_fini(&d->insecure);
}

struct wanted {
    struct strv mirrors, insecure;
};

static void wanted_fini(struct wanted *w)
{
    strv_fini(&w->mirrors);
    strv_fini(&w->insecure);
}
static inline void own_wanted(struct wanted *w)
{
    wanted_fini(w);
}

static int check_mirror(const char *path, const char *url, struct err *e)
{
    struct sv host = sv_of(url);
    if (sv_starts(host, "https://") || sv_starts(host, "http://"))
        host = sv_from(host, sv_starts(host, "https://") ? 8 : 7);
    else
        host = SV("");
    if (host.n && host.p[host.n - 1] == '/') host.n--;
    if (registry_host_valid(host)) return 0;
    err_set(e, ERR_INPUT, "%s: '%s' in 'registry-mirrors' is not the address of a mirror", path,
            url);
    return err_hint(e, "write https://host or https://host:port");
}

static int load_one(const char *path, struct registry_dockerd *out, struct err *e)
{
    static const struct codec_field fields[] = {
        {"registry-mirrors", CODEC_FIELD_STRV, offsetof(struct wanted, mirrors), false},
        {"insecure-registries", CODEC_FIELD_STRV, offsetof(struct wanted, insecure), false},
    };
    own(str) struct str text = {0};
    own(codec_json) struct codec_json *j = NULL;
    own(wanted) struct wanted w = {0};
    struct err mine = {0};
    own(fd) int fd = fs_open(path, O_RDONLY | O_NONBLOCK, 0, &mine);
    if (fd < 0) {
        if (mine.sys == ENOENT || mine.sys == ENOTDIR || mine.sys == EACCES) return 0;
        *e = mine;
        return -1;
    }
    if (fs_read_fd(fd, REGISTRY_CONF_MAX, &text, e) < 0) return err_wrap(e, "reading '%s'", path);
    if (sv_trim(str_sv(&text)).n == 0) return 0;
    if (codec_json_parse(str_sv(&text), path, &j, e) < 0) return -1;
    if (codec_json_decode(j, path, fields, sizeof fields / sizeof *fields, &w, e) < 0) return -1;
    for (size_t i = 0; i < w.mirrors.n; i++)
        if (check_mirror(path, w.mirrors.p[i], e) < 0) return -1;
    strv_add_all(&out->mirrors, &w.mirrors);
    strv_add_all(&out->insecure, &w.insecure);
    return 0;
}

int registry_dockerd_load(struct registry_dockerd *out, struct err *e)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    own(free) char *mine = NULL;
    own(registry_dockerd) struct registry_dockerd d = {0};
    if (config && config[0])
        mine = str_fmt("%s/docker/daemon.json", config);
    else if (home && home[0])
        mine = str_fmt("%s/.config/docker/daemon.json", home);
    if (mine && load_one(mine, &d, e) < 0) return -1;
    if (load_one("/etc/docker/daemon.json", &d, e) < 0) return -1;
    *out = d;
    d = (struct registry_dockerd){0};
    return 0;
}

bool registry_dockerd_insecure(const struct registry_dockerd *d, struct sv host)
{
    for (size_t i = 0; i < d->insecure.n; i++) {
        struct sv item = sv_of(d->insecure.p[i]);
        if (sv_eq_nocase(item, host) || registry_host_in_range(host, item)) return true;
    }
    return false;
}
