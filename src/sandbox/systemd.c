// SPDX-License-Identifier: Apache-2.0
// One connection a call: connect, say who we are (the kernel vouches for it), Hello, the call, its
// answer. That a job was done is seen by where the process is, not by listening for a signal.
#include "sandbox/systemd.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/own.h"
#include "codec/dbus.h"

#define SECONDS 10 // that the manager has for an answer and for its job
#define MANAGER "org.freedesktop.systemd1"

// --- the way there -----------------------------------------------------------------------------

// "unix:path=/run/user/1000/bus,guid=..." to a socket address; false: another kind of way.
static bool read_address(struct sv text, struct sockaddr_un *out, socklen_t *out_n)
{
    struct sv one = sv_cut(&text, ';');
    if (!sv_starts(one, "unix:")) return false;
    for (struct sv rest = sv_from(one, 5); rest.p;) {
        struct sv value = sv_cut(&rest, ','), key = sv_cut(&value, '=');
        bool hidden = sv_eqz(key, "abstract");
        if (!value.p || (!hidden && !sv_eqz(key, "path"))) continue;
        if (value.n + 1 >= sizeof out->sun_path || sv_find(value, '%') >= 0) return false;
        *out = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(out->sun_path + hidden, value.p, value.n);
        *out_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + hidden + value.n + !hidden);
        return true;
    }
    return false;
}

static bool find_bus(const struct idmap *ids, struct sockaddr_un *out, socklen_t *out_n)
{
    bool system = ids->mode == IDMAP_ROOT;
    const char *address =
        getenv(system ? "DBUS_SYSTEM_BUS_ADDRESS" : "DBUS_SESSION_BUS_ADDRESS");
    const char *session = getenv("XDG_RUNTIME_DIR");
    own(str) struct str text = {0};
    if (address && address[0])
        str_addz(&text, address);
    else if (system)
        str_addz(&text, "unix:path=/run/dbus/system_bus_socket");
    else if (session && session[0])
        str_addf(&text, "unix:path=%s/bus", session);
    else
        str_addf(&text, "unix:path=/run/user/%u/bus", ids->uid.range[0].outside);
    if (!read_address(str_sv(&text), out, out_n)) return false;
    struct stat st;
    return out->sun_path[0] == '\0' ||
           (fstatat(AT_FDCWD, out->sun_path, &st, 0) == 0 && S_ISSOCK(st.st_mode));
}

bool sandbox_systemd_here(const struct idmap *ids)
{
    struct sockaddr_un a;
    socklen_t n;
    return find_bus(ids, &a, &n);
}

static int no_bus(const struct idmap *ids, struct err *e)
{
    bool system = ids->mode == IDMAP_ROOT;
    err_set(e, ERR_UNSUPPORTED, "systemd cannot be asked for a control group: no %s bus",
            system ? "system" : "user");
    return err_hint(e, system ? "the service dbus must run"
                              : "log in through the system (package dbus-user-session), or "
                                "'loginctl enable-linger'");
}

static int send_all(int sock, struct sv bytes, struct err *e)
{
    while (bytes.n) {
        ssize_t n = send(sock, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return err_sys(e, "write to the bus");
        bytes = sv_from(bytes, (size_t)n);
    }
    return 0;
}

static int receive(int sock, struct str *in, struct err *e)
{
    char chunk[4096];
    ssize_t n;
    do n = recv(sock, chunk, sizeof chunk, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0) return err_sys(e, "read from the bus");
    if (n == 0) return err_set(e, ERR_SYSTEM, "the bus closed the connection");
    str_add(in, (struct sv){chunk, (size_t)n});
    return in->n <= CODEC_DBUS_MAX ? 0 : err_set(e, ERR_LIMIT, "an answer of the bus is too long");
}

// Our ids are what the kernel says they are; the number that the bus sees need not be ours to know.
static int authenticate(int sock, struct str *in, struct err *e)
{
    static const char hello[] = "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";
    if (send_all(sock, (struct sv){hello, sizeof hello - 1}, e) < 0) return -1;
    for (;;) {
        long end = sv_find(str_sv(in), '\n');
        if (end < 0) {
            if (receive(sock, in, e) < 0) return -1;
            continue;
        }
        struct sv line = sv_trim(sv_part(str_sv(in), 0, (size_t)end));
        bool ok = sv_starts(line, "OK "), more = sv_eqz(line, "DATA");
        memmove(in->p, in->p + end + 1, in->n - (size_t)end - 1);
        str_cut(in, in->n - (size_t)end - 1);
        if (ok) return 0;
        if (!more) return err_set(e, ERR_SYSTEM, "the bus does not accept who we are");
    }
}

// One call and its answer; what else comes is not for us.
static int call(int sock, struct str *in, const struct codec_dbus_call *c, struct sv body,
                struct err *e)
{
    own(str) struct str out = {0};
    codec_dbus_print_call(c, body, &out);
    if (send_all(sock, str_sv(&out), e) < 0) return -1;
    for (;;) {
        struct codec_dbus_message m;
        ssize_t n = codec_dbus_parse(str_sv(in), &m);
        if (n < 0) return err_set(e, ERR_SYSTEM, "the bus sent what is no message");
        if (n == 0) {
            if (receive(sock, in, e) < 0) return -1;
            continue;
        }
        bool ours = m.reply_to == c->serial && (m.kind == CODEC_DBUS_RETURN || m.kind == CODEC_DBUS_ERROR);
        if (ours && m.kind == CODEC_DBUS_ERROR) {
            own(str) struct str said = {0};
            str_add_escaped(&said, m.text.n ? m.text : m.error);
            return err_set(e, ERR_SYSTEM, "%s", str_z(&said));
        }
        memmove(in->p, in->p + n, in->n - (size_t)n);
        str_cut(in, in->n - (size_t)n);
        if (ours) return 0;
    }
}

static int ask(const struct idmap *ids, const char *method, const char *signature, struct sv body,
               struct err *e)
{
    struct sockaddr_un a;
    socklen_t n;
    struct timeval patience = {.tv_sec = SECONDS};
    own(str) struct str in = {0};
    if (!find_bus(ids, &a, &n)) return no_bus(ids, e);
    own(fd) int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0) return err_sys(e, "make a socket");
    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(sock, (struct sockaddr *)&a, n) != 0) return no_bus(ids, e);
    const struct codec_dbus_call hello = {.destination = "org.freedesktop.DBus",
                                          .path = "/org/freedesktop/DBus",
                                          .interface = "org.freedesktop.DBus",
                                          .member = "Hello",
                                          .serial = 1};
    const struct codec_dbus_call wanted = {.destination = MANAGER,
                                           .path = "/org/freedesktop/systemd1",
                                           .interface = MANAGER ".Manager",
                                           .member = method,
                                           .signature = signature,
                                           .serial = 2};
    if (authenticate(sock, &in, e) < 0 || call(sock, &in, &hello, SV(""), e) < 0 ||
        call(sock, &in, &wanted, body, e) < 0)
        return err_wrap(e, "asking systemd: %s", method);
    return 0;
}

// --- scopes ------------------------------------------------------------------------------------

static void add_property(struct str *body, const char *name, const char *type)
{
    codec_dbus_add_struct(body);
    codec_dbus_add_text(body, name);
    codec_dbus_add_signature(body, type);
}

static void add_properties(struct str *body, const struct sandbox_systemd_scope *s)
{
    struct codec_dbus_array all = codec_dbus_array_begin(body, 8);
    add_property(body, "Description", "s");
    codec_dbus_add_text(body, s->text);
    if (s->slice) {
        add_property(body, "Slice", "s");
        codec_dbus_add_text(body, s->slice);
    }
    add_property(body, "Delegate", "b");
    codec_dbus_add_bool(body, true);
    // The manager would put its own default on the scope, around what was asked for.
    add_property(body, "TasksMax", "t");
    codec_dbus_add_u64(body, UINT64_MAX);
    add_property(body, "CollectMode", "s"); // one that failed is not kept either
    codec_dbus_add_text(body, "inactive-or-failed");
    add_property(body, "PIDs", "au");
    struct codec_dbus_array pids = codec_dbus_array_begin(body, 4);
    codec_dbus_add_u32(body, (uint32_t)s->pid);
    codec_dbus_array_end(body, pids);
    codec_dbus_array_end(body, all);
}

static bool is_below(pid_t pid, const char *unit)
{
    char path[64];
    struct err ignored;
    own(str) struct str text = {0};
    own(free) char *part = str_fmt("/%s", unit);
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    if (fs_read_at(AT_FDCWD, path, 65536, &text, &ignored) < 0) return false;
    const char *at = text.n ? strstr(text.p, part) : NULL;
    return at && strchr("/\n", at[strlen(part)]);
}

static int await(pid_t pid, const char *unit, struct err *e)
{
    int64_t end = clock_mono_ns() + (int64_t)SECONDS * 1000000000;
    while (!is_below(pid, unit)) {
        if (clock_mono_ns() > end)
            return err_set(e, ERR_SYSTEM, "systemd did not put the process into '%s' in %d seconds",
                           unit, SECONDS);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return 0;
}

int sandbox_systemd_scope(const struct idmap *ids, const struct sandbox_systemd_scope *s,
                          struct err *e)
{
    own(str) struct str body = {0};
    codec_dbus_add_text(&body, s->unit);
    codec_dbus_add_text(&body, "fail");
    add_properties(&body, s);
    codec_dbus_array_end(&body, codec_dbus_array_begin(&body, 8)); // no further units
    if (ask(ids, "StartTransientUnit", "ssa(sv)a(sa(sv))", str_sv(&body), e) < 0 ||
        await(s->pid, s->unit, e) < 0)
        return err_wrap(e, "making the scope '%s'", s->unit);
    return 0;
}

int sandbox_systemd_attach(const struct idmap *ids, const char *unit, const char *below, pid_t pid,
                           struct err *e)
{
    own(str) struct str body = {0};
    codec_dbus_add_text(&body, unit);
    codec_dbus_add_text(&body, below);
    struct codec_dbus_array pids = codec_dbus_array_begin(&body, 4);
    codec_dbus_add_u32(&body, (uint32_t)pid);
    codec_dbus_array_end(&body, pids);
    return ask(ids, "AttachProcessesToUnit", "ssau", str_sv(&body), e);
}

int sandbox_systemd_set(const struct idmap *ids, const char *unit,
                        const struct sandbox_systemd_property *list, size_t n, struct err *e)
{
    own(str) struct str body = {0};
    codec_dbus_add_text(&body, unit);
    codec_dbus_add_bool(&body, true); // for this run of the system
    struct codec_dbus_array all = codec_dbus_array_begin(&body, 8);
    for (size_t i = 0; i < n; i++) {
        add_property(&body, list[i].name, list[i].bits.p ? "ay" : "t");
        if (!list[i].bits.p) {
            codec_dbus_add_u64(&body, list[i].number);
            continue;
        }
        struct codec_dbus_array bytes = codec_dbus_array_begin(&body, 1);
        str_add(&body, list[i].bits);
        codec_dbus_array_end(&body, bytes);
    }
    codec_dbus_array_end(&body, all);
    return ask(ids, "SetUnitProperties", "sba(sv)", str_sv(&body), e);
}

bool sandbox_systemd_split(const char *group, char unit[256], const char **out_below)
{
    bool found = false;
    for (struct sv rest = sv_of(group); rest.p;) {
        struct sv part = sv_cut(&rest, '/');
        if (!sv_ends(part, ".scope") || part.n >= 256) continue;
        snprintf(unit, 256, "%.*s", (int)part.n, part.p);
        *out_below = rest.p && rest.n ? rest.p - 1 : "/";
        found = true;
    }
    return found;
}
