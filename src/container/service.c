// SPDX-License-Identifier: Apache-2.0
// The unit is a oneshot that remains: what it starts stays in its control group, so that containers
// end with it and not with a login, and its stop ends them in good order.
#include "container/service.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "base/proc.h"

#define UNIT "dewar.service"
#define UNIT_MAX ((size_t)1 << 20)

// --- texts -------------------------------------------------------------------------------------

// A word of a unit file. `$` is a variable behind ExecStart= alone, `%` a specifier everywhere.
static void add_word(const char *word, bool command, struct str *out)
{
    str_addc(out, '"');
    for (const char *p = word; *p; p++) {
        if (*p == '"' || *p == '\\') str_addc(out, '\\');
        if (*p == '%' || (*p == '$' && command)) str_addc(out, *p);
        if ((unsigned char)*p < 0x20)
            str_addf(out, "\\x%02x", (unsigned)(unsigned char)*p);
        else
            str_addc(out, *p);
    }
    str_addc(out, '"');
}

static void add_call(const struct container_service_text *t, const char *verb, struct str *out)
{
    const char *const words[] = {"--store", t->store, "--run-root", t->run, "system", "service",
                                 verb};
    add_word(t->program, false, out);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        str_addc(out, ' ');
        if (words[i] == t->store || words[i] == t->run)
            add_word(words[i], true, out);
        else
            str_addz(out, words[i]);
    }
    str_addc(out, '\n');
}

// One container that cannot be started, or is killed for its memory, must not end the others.
void container_service_unit(const struct container_service_text *t, struct str *out)
{
    str_addz(out, "# Written by 'dewar system service enable'; 'disable' removes it.\n"
                  "[Unit]\n"
                  "Description=Containers of dewar that run after a boot\n"
                  "Documentation=man:dewar-system-service(1)\n");
    if (!t->user)
        str_addz(out, "Wants=network-online.target\nAfter=network-online.target local-fs.target\n");
    str_addz(out, "RequiresMountsFor=");
    add_word(t->store, false, out);
    str_addz(out, "\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=-");
    add_call(t, "start", out);
    str_addz(out, "ExecStop=");
    add_call(t, "stop", out);
    str_addz(out, "TimeoutStartSec=infinity\n"
                  "TimeoutStopSec=5min\n"
                  "Delegate=yes\n"
                  "TasksMax=infinity\n"
                  "OOMPolicy=continue\n"
                  "\n[Install]\nWantedBy=");
    str_addz(out, t->user ? "default.target\n" : "multi-user.target\n");
}

// For sh, and cron takes a '%' for the end of the line.
static void add_shell_word(const char *word, struct str *out)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+";
    bool quote = word[strspn(word, plain)] != '\0';
    if (quote) str_addc(out, '\'');
    for (const char *p = word; *p; p++) {
        if (*p == '\'')
            str_addz(out, "'\\''");
        else if (*p == '%')
            str_addz(out, "\\%");
        else
            str_addc(out, *p);
    }
    if (quote) str_addc(out, '\'');
}

void container_service_cron(const struct container_service_text *t, struct str *out)
{
    const char *const words[] = {t->program, "--store", t->store,  "--run-root",
                                 t->run,     "system",  "service", "start"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strpbrk(words[i], "\r\n")) return;
    str_addz(out, "@reboot");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        str_addc(out, ' ');
        add_shell_word(words[i], out);
    }
}

// --- places ------------------------------------------------------------------------------------

static int self(char out[4096], struct err *e)
{
    ssize_t n = readlink("/proc/self/exe", out, 4095);
    if (n <= 0) return err_sys(e, "find the program's own path");
    out[n] = '\0';
    if (fs_exists(AT_FDCWD, out)) return 0;
    err_set(e, ERR_CONFLICT, "the program '%s' is not in its place any more", out);
    return err_hint(e, "install it again, and call the new one");
}

static int too_long(struct err *e)
{
    return err_set(e, ERR_LIMIT, "the path of the unit is too long");
}

// Where units lie. The root may be somebody's image: every path is kept inside it.
struct place {
    struct root root;
    char folder[4000]; // inside the root
    const char *wants; // in the folder
};
static void own_place(struct place *p)
{
    own_fd(&p->root.fd);
}

static int find_place(const char *root, bool user, struct place *out, struct err *e)
{
    const char *home = getenv("HOME"), *config = getenv("XDG_CONFIG_HOME");
    size_t n = sizeof out->folder;
    int len;
    out->wants = user ? "default.target.wants" : "multi-user.target.wants";
    if (!user)
        len = snprintf(out->folder, n, "/etc/systemd/system");
    else if (config && config[0] == '/')
        len = snprintf(out->folder, n, "%s/systemd/user", config);
    else if (home && home[0] == '/')
        len = snprintf(out->folder, n, "%s/.config/systemd/user", home);
    else
        return err_set(e, ERR_UNSUPPORTED, "HOME is not set: there is no place for a unit");
    if (len < 0 || (size_t)len >= n) return too_long(e);
    out->root = (struct root){fs_open_dir(AT_FDCWD, root ? root : "/", e), "the machine's root"};
    return out->root.fd < 0 ? -1 : 0;
}

static bool is_lingering(void)
{
    char name[256];
    if (!idmap_login_name(getuid(), name, sizeof name)) return false;
    own(free) char *path = str_fmt("/var/lib/systemd/linger/%s", name);
    return fs_exists(AT_FDCWD, path);
}

static int texts(struct engine *en, const struct container_service *s, struct str *unit,
                 struct str *cron, struct err *e)
{
    char program[4096];
    const struct container_service_text t = {s->user, program, en->store_path, en->run_path};
    if (self(program, e) < 0) return -1;
    container_service_unit(&t, unit);
    container_service_cron(&t, cron);
    return 0;
}

int container_service_look(struct engine *en, const char *root, struct container_service *out,
                           struct err *e)
{
    struct err ignored;
    own(place) struct place p = {.root = {.fd = -1}};
    own(str) struct str want = {0};
    own(str) struct str have = {0};
    own(str) struct str cron = {0};
    *out = (struct container_service){.user = geteuid() != 0};
    if (root && root[0] != '/')
        return err_set(e, ERR_USAGE, "--root takes an absolute path, not '%s'", root);
    out->systemd = root || fs_exists(AT_FDCWD, "/run/systemd/system");
    out->lingers = out->user && is_lingering();
    if (texts(en, out, &want, &cron, e) < 0) return -1;
    if (cron.n >= sizeof out->cron) return too_long(e);
    snprintf(out->cron, sizeof out->cron, "%s", str_z(&cron));
    if (find_place(root, out->user, &p, e) < 0) return -1;
    own(free) char *unit = str_fmt("%s/%s", p.folder, UNIT);
    own(free) char *link = str_fmt("%s/%s/%s", p.folder, p.wants, UNIT);
    int n = snprintf(out->unit, sizeof out->unit, "%s%s", root ? root : "", unit);
    if (n < 0 || (size_t)n >= sizeof out->unit) return too_long(e);
    out->written = fs_in_read(&p.root, unit, UNIT_MAX, &have, &ignored) == 0;
    own(fd) int enabled = fs_in_try_link(&p.root, link);
    out->enabled = out->written && enabled >= 0;
    out->outdated = out->written && !sv_eq(str_sv(&have), str_sv(&want));
    return 0;
}

// --- changes -----------------------------------------------------------------------------------

// systemd notices a new file by itself at the next boot; that it does now is a courtesy.
static void reload(struct engine *en, const struct container_service *s, const char *root)
{
    const char *const argv[] = {"systemctl", s->user ? "--user" : "--system", "daemon-reload",
                                NULL};
    own(free) char *run = str_fmt("XDG_RUNTIME_DIR=/run/user/%u", (unsigned)getuid());
    const char *const env[] = {run, "PATH=/usr/bin:/bin", NULL};
    const struct proc_spec spec = {.argv = argv,
                                   .env = env,
                                   .search_path = true,
                                   .stdin_fd = PROC_NULL,
                                   .stdout_fd = PROC_NULL,
                                   .stderr_fd = PROC_NULL};
    struct err bad = {0};
    if (root || proc_run(&spec, "telling systemd of the change", &bad) == 0) return;
    event_warn(&en->sink, "systemd was not told of the change (%s): it holds from the next boot on",
               err_cause(&bad));
}

int container_service_enable(struct engine *en, const char *root, struct container_service *out,
                             struct err *e)
{
    own(place) struct place p = {.root = {.fd = -1}};
    own(fd) int folder = -1;
    own(fd) int wants = -1;
    own(str) struct str unit = {0};
    own(str) struct str cron = {0};
    if (container_service_look(en, root, out, e) < 0) return -1;
    if (!out->systemd)
        return err_set(e, ERR_UNSUPPORTED, "this machine was not started by systemd");
    if (find_place(root, out->user, &p, e) < 0 || texts(en, out, &unit, &cron, e) < 0) return -1;
    own(free) char *path = str_fmt("%s/%s", p.folder, p.wants);
    if (fs_in_mkdirs(&p.root, p.folder, 0755, NULL, &folder, e) < 0 ||
        fs_in_mkdirs(&p.root, path, 0755, NULL, &wants, e) < 0 ||
        fs_atomic_write(folder, UNIT, str_sv(&unit), 0644, e) < 0)
        return -1;
    if (symlinkat("../" UNIT, wants, UNIT) != 0 && errno != EEXIST)
        return err_sys(e, "enable the unit '%s'", out->unit);
    reload(en, out, root);
    out->written = out->enabled = true;
    out->outdated = false;
    return 0;
}

// From a folder inside the root.
static int drop(const struct place *p, const char *path, struct err *e)
{
    own(fd) int folder = fs_in_try(&p->root, path, O_PATH | O_DIRECTORY, 0);
    if (folder < 0 || unlinkat(folder, UNIT, 0) == 0 || errno == ENOENT) return 0;
    return err_sys(e, "remove '%s' from '%s'", UNIT, path);
}

int container_service_disable(struct engine *en, const char *root, struct container_service *out,
                              struct err *e)
{
    own(place) struct place p = {.root = {.fd = -1}};
    if (container_service_look(en, root, out, e) < 0 || find_place(root, out->user, &p, e) < 0)
        return -1;
    own(free) char *wants = str_fmt("%s/%s", p.folder, p.wants);
    if (!out->written) return 0;
    if (drop(&p, wants, e) < 0 || drop(&p, p.folder, e) < 0) return -1;
    reload(en, out, root);
    return 0;
}
