// SPDX-License-Identifier: Apache-2.0
// What people write behind --device, --ulimit, --add-host and in env files: the grammars that Docker has
// taught them, with errors that say what is wrong. The API speaks the same texts.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>

#include "base/num.h"
#include "base/own.h"
#include "sandbox/parse.h"
#include "sandbox/sandbox.h"

bool sandbox_parse_name_ok(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (i == 0 || (c != '_' && c != '.' && c != '-'))) return false;
    }
    return n >= 2 && n <= 128;
}

// --- --device, --ulimit ------------------------------------------------------------------------

int sandbox_parse_device(const char *text, struct sandbox_device *out, struct err *e)
{
    struct sv rest = sv_of(text), host = sv_cut(&rest, ':');
    struct sv second = rest.p ? sv_cut(&rest, ':') : (struct sv){0};
    struct sv access = rest;
    if (host.n == 0 || host.p[0] != '/') {
        err_set(e, ERR_USAGE, "the device '%s' is not an absolute path", text);
        return err_hint(e, strchr(text, '=') ? "devices by CDI name are not supported yet"
                                             : "the form is /dev/x[:/dev/y][:rwm]");
    }
    if (second.p && second.n && second.p[0] != '/') {
        access = second;
        second = (struct sv){0};
    }
    for (size_t i = 0; i < access.n; i++)
        if (!strchr("rwm", access.p[i]) || access.n > 3)
            return err_set(e, ERR_USAGE, "invalid access '%.*s' of the device '%s'", (int)access.n,
                           access.p, text);
    out->host = sv_dup(host);
    out->target = second.n ? sv_dup(second) : sv_dup(host);
    snprintf(out->access, sizeof out->access, "%.*s", access.n ? (int)access.n : 3,
             access.n ? access.p : "rwm");
    return 0;
}

static const struct {
    const char *name;
    int resource;
} limits[] = {
    {"core", RLIMIT_CORE},       {"cpu", RLIMIT_CPU},           {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE},     {"locks", RLIMIT_LOCKS},       {"memlock", RLIMIT_MEMLOCK},
    {"msgqueue", RLIMIT_MSGQUEUE}, {"nice", RLIMIT_NICE},       {"nofile", RLIMIT_NOFILE},
    {"nproc", RLIMIT_NPROC},     {"rss", RLIMIT_RSS},           {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME},   {"sigpending", RLIMIT_SIGPENDING}, {"stack", RLIMIT_STACK},
    {"as", RLIMIT_AS},
};

static bool limit_value(struct sv v, uint64_t *out)
{
    if (sv_eqz(v, "-1") || sv_eqz(v, "unlimited")) {
        *out = RLIM_INFINITY;
        return true;
    }
    return num_u64(v, out);
}

int sandbox_parse_ulimit(const char *text, struct sandbox_rlimit *out, struct err *e)
{
    struct sv rest = sv_of(text), name = sv_cut(&rest, '=');
    struct sv soft = rest.p ? sv_cut(&rest, ':') : (struct sv){0};
    struct sandbox_rlimit l = {.resource = -1};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (sv_eqz(name, limits[i].name)) l.resource = limits[i].resource;
    if (l.resource < 0) {
        err_set(e, ERR_USAGE, "unknown limit '%.*s' in '%s'", (int)name.n, name.p, text);
        return err_hint(e, "the form is nofile=SOFT[:HARD]");
    }
    if (!limit_value(soft, &l.soft) || (rest.p && !limit_value(rest, &l.hard)))
        return err_set(e, ERR_USAGE, "invalid value in the limit '%s'", text);
    if (!rest.p) l.hard = l.soft;
    if (l.soft > l.hard)
        return err_set(e, ERR_USAGE, "in the limit '%s' the soft value is above the hard one",
                       text);
    *out = l;
    return 0;
}

// --- host names ----------------------------------------------------------------------------------

void sandbox_parse_host_fini(struct sandbox_parse_host *v)
{
    free(v->name);
    free(v->address);
    *v = (struct sandbox_parse_host){0};
}

int sandbox_parse_host(const char *text, struct sandbox_parse_host *out, struct err *e)
{
    unsigned char raw[16];
    struct sv rest = sv_of(text);
    struct sv name = sv_cut(&rest, sv_find(rest, '=') >= 0 ? '=' : ':');
    if (!rest.p || name.n == 0 || rest.n == 0 || sv_find(name, '\n') >= 0)
        return err_set(e, ERR_USAGE, "'%s' is not of the form name:address", text);
    if (sv_eqz(rest, "host-gateway")) {
        *out = (struct sandbox_parse_host){.name = sv_dup(name), .gateway = true};
        return 0;
    }
    if (rest.p[0] == '[' && rest.p[rest.n - 1] == ']') rest = sv_part(rest, 1, rest.n - 2);
    own(free) char *address = sv_dup(rest);
    if (inet_pton(AF_INET, address, raw) != 1 && inet_pton(AF_INET6, address, raw) != 1) {
        err_set(e, ERR_USAGE, "'%s' in '%s' is not an address", address, text);
        return err_hint(e, "it is a number like 192.0.2.7 or 2001:db8::7, or host-gateway");
    }
    *out = (struct sandbox_parse_host){.name = sv_dup(name), .address = take_ptr(address)};
    return 0;
}

// --- env files ---------------------------------------------------------------------------------

static int env_line(struct sv line, const char *label, size_t number, struct strv *out,
                    struct err *e)
{
    if (line.n && line.p[line.n - 1] == '\r') line.n--;
    while (line.n && (line.p[0] == ' ' || line.p[0] == '\t')) line = sv_from(line, 1);
    if (line.n == 0 || line.p[0] == '#') return 0;
    if (!sv_is_utf8(line))
        return err_set(e, ERR_INPUT, "%s:%zu: not valid UTF-8", label, number);
    if (memchr(line.p, '\0', line.n))
        return err_set(e, ERR_INPUT, "%s:%zu: a NUL byte", label, number);
    struct sv value = line, key = sv_cut(&value, '=');
    if (key.n == 0)
        return err_set(e, ERR_INPUT, "%s:%zu: no variable name before '='", label, number);
    for (size_t i = 0; i < key.n; i++)
        if (key.p[i] == ' ' || key.p[i] == '\t') {
            err_set(e, ERR_INPUT, "%s:%zu: the variable name '%.*s' contains blanks", label, number,
                    (int)key.n, key.p);
            return err_hint(
                e, "env files hold plain KEY=VALUE lines: no 'export', no blanks around '='");
        }
    if (value.p) {
        strv_take(out, sv_dup(line));
        return 0;
    }
    own(free) char *name = sv_dup(key);
    const char *mine = getenv(name);
    if (mine) strv_take(out, str_fmt("%s=%s", name, mine));
    return 0;
}

int sandbox_parse_env_text(struct sv text, const char *label, struct strv *out, struct err *e)
{
    if (sv_starts(text, "\xef\xbb\xbf")) text = sv_from(text, 3);
    size_t number = 1;
    while (text.p) {
        if (env_line(sv_cut(&text, '\n'), label, number++, out, e) < 0) return -1;
    }
    return 0;
}

int sandbox_parse_env_file(const char *path, struct strv *out, struct err *e)
{
    own(str) struct str text = {0};
    str_init(&text, LIMIT_ENVFILE);
    if (fs_read_at(AT_FDCWD, path, LIMIT_ENVFILE, &text, e) < 0) {
        if (e->kind == ERR_SYSTEM) e->kind = ERR_INPUT;
        return err_wrap(e, "reading the env file '%s'", path);
    }
    return sandbox_parse_env_text(str_sv(&text), path, out, e);
}
