// SPDX-License-Identifier: Apache-2.0
// Looking up and keeping credentials. The files are asked in one order; within a file a helper that
// was named for the host comes first, then the general one, then what is written in the file
// itself. The first that has something wins, and what is saved goes where it will be found again.
#include "registry/credentials.h"

#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "base/vec.h"
#include "codec/json.h"
#include "registry/authfile.h"
#include "registry/helper.h"
#include "registry/host.h"

#define ERASE_MAX 8 // names of one host in a helper

void registry_credential_fini(struct registry_credential *c)
{
    secret_fini(&c->password);
    secret_fini(&c->identity);
    secret_fini(&c->bearer);
    explicit_bzero(c, sizeof *c);
}

// What helpers call a host. Docker's own writes Hub as a URL, Podman as "docker.io".
struct servers {
    const char *name[2];
    size_t n;
};

static struct servers servers_of(const char *host)
{
    if (registry_host_is_hub(sv_of(host)))
        return (struct servers){{REGISTRY_HUB_KEY, REGISTRY_HUB}, 2};
    return (struct servers){{host}, 1};
}

// What the helper calls this host when it is neither of the usual names: other programs store
// "https://host" or "host/namespace". NULL when its list has nothing that fits, or cannot be had.
static char *listed_server(struct task_loop *tasks, struct sv name, const char *host,
                           const char *repository)
{
    own(codec_json) struct codec_json *list = NULL;
    struct err ignored = {0};
    struct codec_json *value;
    const char *key, *best = NULL;
    void *it = NULL;
    size_t score = 0;
    if (registry_helper_list(tasks, name, &list, &ignored) < 0) return NULL;
    if (codec_json_type(list) != CODEC_JSON_OBJECT) return NULL;
    while (codec_json_next(list, &it, &key, &value)) {
        size_t s = registry_authfile_score(key, host, repository);
        if (s <= score) continue;
        score = s;
        best = key;
    }
    return best && strpbrk(best, "\r\n") ? NULL : str_dup(best);
}

// *out_server (may be NULL): the name that it answered to, on the heap.
static int ask_helper(struct task_loop *tasks, struct sv name, const char *host,
                      const char *repository, struct registry_credential *out, char **out_server,
                      struct err *e)
{
    struct servers s = servers_of(host);
    own(free) char *other = NULL;
    for (size_t i = 0; i <= s.n; i++) {
        if (i == s.n) other = listed_server(tasks, name, host, repository);
        const char *server = i < s.n ? s.name[i] : other;
        int rc = server ? registry_helper_get(tasks, name, server, out, e) : 0;
        if (rc < 0) return -1;
        if (rc == 0) continue;
        snprintf(out->source, sizeof out->source, "'docker-credential-%.*s'", (int)name.n, name.p);
        if (out_server) *out_server = str_dup(server);
        return 1;
    }
    return 0;
}

static int ask_file(struct task_loop *tasks, const char *path, const char *host,
                    const char *repository, struct registry_credential *out, struct err *e)
{
    own(registry_authfile) struct registry_authfile f = {0};
    int rc = registry_authfile_load(path, &f, e);
    if (rc <= 0) return rc;
    struct sv helper = registry_authfile_helper(&f, host);
    if (helper.n) {
        rc = ask_helper(tasks, helper, host, repository, out, NULL, e);
        if (rc < 0) return err_wrap(e, "asking the credential helper that '%s' names", path);
        if (rc == 1) return 1;
    }
    rc = registry_authfile_find(&f, host, repository, out, e);
    if (rc == 1) snprintf(out->source, sizeof out->source, "'%.500s'", path);
    return rc;
}

int registry_credential_find(struct task_loop *tasks, const char *host, const char *repository,
                             struct registry_credential *out, struct err *e)
{
    own(strv) struct strv files = {0};
    own(registry_credential) struct registry_credential c = {0};
    if (registry_host_check(host, e) < 0 || registry_authfile_list(&files, e) < 0) return -1;
    for (size_t i = 0; i < files.n; i++) {
        int rc = ask_file(tasks, files.p[i], host, repository, &c, e);
        if (rc < 0) return -1;
        if (rc == 0) continue;
        *out = c;
        c = (struct registry_credential){0}; // moved
        return 1;
    }
    return 0;
}

static int check_credential(const struct registry_credential *c, struct err *e)
{
    if (c->user[0] == '\0' && c->identity.n == 0)
        return err_set(e, ERR_INPUT, "the user name is empty");
    for (const char *p = c->user; *p; p++)
        if (*p == ':' || (unsigned char)*p < 0x20 || *p == 0x7f)
            return err_set(e, ERR_INPUT, "the user name holds a colon or a control character");
    if (c->password.n > REGISTRY_CREDENTIAL_MAX || c->identity.n > REGISTRY_CREDENTIAL_MAX)
        return err_set(e, ERR_LIMIT, "the password is longer than %zu bytes",
                       REGISTRY_CREDENTIAL_MAX);
    // Files and helpers carry text: a byte that JSON cannot hold would come back as another one.
    if (!sv_is_utf8((struct sv){c->password.p, c->password.n}) ||
        !sv_is_utf8((struct sv){c->identity.p, c->identity.n}) || !sv_is_utf8(sv_of(c->user)))
        return err_set(e, ERR_INPUT, "the user name or password is not UTF-8 text");
    return 0;
}

// The first file that knows the host already, so that an older entry cannot win over the new one;
// else Docker's, which every engine reads.
static const char *file_for(const struct strv *files, const char *host, struct sv *helper,
                            struct registry_authfile *out, struct err *e)
{
    const char *chosen = registry_authfile_default(files);
    for (size_t i = 0; i < files->n; i++) {
        own(registry_authfile) struct registry_authfile f = {0};
        int rc = registry_authfile_load(files->p[i], &f, e);
        if (rc < 0) return NULL;
        bool known = rc == 1 && registry_authfile_has(&f, host);
        if (!known && files->p[i] != chosen) continue;
        *out = f;
        f = (struct registry_authfile){0}; // moved
        *helper = out->root ? registry_authfile_helper(out, host) : SV("");
        return files->p[i];
    }
    err_set(e, ERR_INPUT, "no place for credentials: HOME is not set");
    err_hint(e, "set HOME, DOCKER_CONFIG or REGISTRY_AUTH_FILE");
    return NULL;
}

int registry_credential_save(struct task_loop *tasks, const char *host,
                             const struct registry_credential *c, char out_where[512],
                             bool *out_plain, struct err *e)
{
    own(strv) struct strv files = {0};
    own(registry_authfile) struct registry_authfile f = {0};
    struct sv helper = SV("");
    if (registry_host_check(host, e) < 0 || check_credential(c, e) < 0) return -1;
    if (registry_authfile_list(&files, e) < 0) return -1;
    const char *path = file_for(&files, host, &helper, &f, e);
    if (!path) return -1;
    if (helper.n && registry_helper_store(tasks, helper, servers_of(host).name[0], c, e) < 0)
        return err_wrap(e, "keeping the credential for '%s'", host);
    if (registry_authfile_edit(path, host, c, helper.n > 0, e) < 0)
        return err_wrap(e, "keeping the credential for '%s'", host);
    if (helper.n)
        snprintf(out_where, 512, "the credential helper 'docker-credential-%.*s'", (int)helper.n,
                 helper.p);
    else
        snprintf(out_where, 512, "'%.500s'", path);
    *out_plain = helper.n == 0;
    return 0;
}

// Every name under which it would answer for the whole host.
static int erase_with_helper(struct task_loop *tasks, const struct registry_authfile *f,
                             const char *host, struct err *e)
{
    struct sv helper = registry_authfile_helper(f, host);
    for (int erased = 0; helper.n; erased++) {
        own(registry_credential) struct registry_credential c = {0};
        own(free) char *server = NULL;
        int rc = ask_helper(tasks, helper, host, "", &c, &server, e);
        if (rc == 0) return erased > 0;
        if (rc == 1 && erased == ERASE_MAX)
            rc = err_set(e, ERR_CONFLICT, "'docker-credential-%.*s' keeps what it is told to erase",
                         (int)helper.n, helper.p);
        if (rc < 0 || registry_helper_erase(tasks, helper, server, e) < 0)
            return err_wrap(e, "removing the credential for '%s'", host);
    }
    return 0;
}

// From every file that would be asked: otherwise the next one would answer in its place.
int registry_credential_erase(struct task_loop *tasks, const char *host, struct err *e)
{
    own(strv) struct strv files = {0};
    int found = 0;
    if (registry_host_check(host, e) < 0 || registry_authfile_list(&files, e) < 0) return -1;
    for (size_t i = 0; i < files.n; i++) {
        own(registry_authfile) struct registry_authfile f = {0};
        int rc = registry_authfile_load(files.p[i], &f, e);
        if (rc < 0) return -1;
        if (rc == 0) continue;
        int kept = erase_with_helper(tasks, &f, host, e);
        if (kept < 0) return -1;
        int written = registry_authfile_has(&f, host)
                          ? registry_authfile_edit(files.p[i], host, NULL, false, e)
                          : 0;
        if (written < 0) return err_wrap(e, "removing the credential for '%s'", host);
        found |= kept | written;
    }
    return found;
}
