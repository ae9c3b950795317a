// SPDX-License-Identifier: Apache-2.0
// `dewar oci`, and the whole program when it is called dewar-oci: runc's command line. Options of
// the runtime stand in front of the verb, those of the verb behind it. With --log the error goes
// there as well, in the form that podman and containerd read.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "base/proc.h"
#include "base/table.h"
#include "bundle/bundle.h"
#include "cli/commands.h"
#include "cli/internal.h"
#include "codec/json.h"
#include "oci/runtime_spec.h"
#include "sandbox/sealed.h"

enum log_format { LOG_TEXT, LOG_JSON };
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const root_modes[] = {"auto", "true", "false", NULL};

struct oci {
    const char *root, *log, *criu;
    int log_format, rootless;
    bool systemd_cgroup, debug, version;
};
#define AT(member) .offset = OPT_AT(struct oci, member)
static const struct opt oci_options[] = {
    {"root", 0, OPT_TEXT, AT(root), .arg = "DIR", .help = "Where the state of containers lies"},
    {"log", 0, OPT_TEXT, AT(log), .arg = "FILE", .help = "Write errors and warnings there as well"},
    {"log-format", 0, OPT_ENUM, AT(log_format), .arg = "FORMAT", .choices = log_formats,
     .help = "How the log file looks"},
    {"systemd-cgroup", 0, OPT_BOOL, AT(systemd_cgroup),
     .help = "linux.cgroupsPath is slice:prefix:name of a scope that systemd makes"},
    {"debug", 0, OPT_BOOL, AT(debug), .help = "Accepted, says nothing more"},
    {"rootless", 0, OPT_ENUM, AT(rootless), .arg = "MODE", .choices = root_modes, .implied = "true",
     .help = "Accepted: what we may is found out"},
    {"criu", 0, OPT_TEXT, AT(criu), .arg = "PATH", .hidden = true, .help = "Accepted"},
    {"version", 'v', OPT_BOOL, AT(version), .help = "Print the version"},
};
#undef AT

// --- the verbs ---------------------------------------------------------------------------------

struct verb {
    // create, run, exec
    const char *bundle, *pid_file, *console_socket, *process, *cwd, *user, *apparmor, *label,
        *resources, *format;
    int64_t preserve_fds;
    bool no_pivot, no_new_keyring, no_subreaper, detach, keep, tty, no_new_privs, all, force, quiet;
    bool rootless, stats, ignore_paused;
    int64_t interval;
    struct strv env, caps, groups, cgroups;
    // update
    const char *memory, *memory_swap, *memory_reservation;
    int64_t cpu_quota, cpu_period, cpu_shares, cpu_burst, cpu_idle, rt_period, rt_runtime,
        pids_limit, blkio_weight;
    const char *cpuset_cpus, *cpuset_mems, *l3_cache, *bandwidth;
};
#define AT(member) .offset = OPT_AT(struct verb, member)
#define BUNDLE                                                                                     \
    {                                                                                              \
        "bundle", 'b', OPT_TEXT, AT(bundle), .arg = "DIR",                                         \
                                             .help = "Folder with config.json; default ."          \
    }
#define PID_FILE                                                                                   \
    {                                                                                              \
        "pid-file", 0, OPT_TEXT, AT(pid_file), .arg = "FILE", .help = "Write the process id there" \
    }
#define CONSOLE                                                                                    \
    {                                                                                              \
        "console-socket", 0, OPT_TEXT, AT(console_socket),                                         \
            .arg = "SOCKET", .help = "Unix socket that takes the terminal"                         \
    }
#define PRESERVE                                                                                   \
    {                                                                                              \
        "preserve-fds", 0, OPT_INT, AT(preserve_fds),                                              \
            .arg = "N", .help = "Hand on N descriptors behind 0, 1 and 2"                          \
    }
#define MAKING                                                                                     \
    BUNDLE, PID_FILE, CONSOLE, PRESERVE,                                                           \
        {"no-pivot", 0, OPT_BOOL, AT(no_pivot), .help = "Do without pivot_root"},                  \
    {                                                                                              \
        "no-new-keyring", 0, OPT_BOOL, AT(no_new_keyring), .help = "Keep the session keyring"      \
    }

static const struct opt create_rows[] = {MAKING};
static const struct opt run_rows[] = {
    MAKING,
    {"detach", 'd', OPT_BOOL, AT(detach), .help = "Do not wait for its end"},
    {"keep", 0, OPT_BOOL, AT(keep), .help = "Do not delete it when it ends"},
    {"no-subreaper", 0, OPT_BOOL, AT(no_subreaper), .help = "Accepted: none is made"},
};
static const struct opt exec_rows[] = {
    PID_FILE,
    CONSOLE,
    PRESERVE,
    {"process", 'p', OPT_TEXT, AT(process), .arg = "FILE", .help = "JSON file that describes it"},
    {"detach", 'd', OPT_BOOL, AT(detach), .help = "Do not wait for its end"},
    {"tty", 't', OPT_BOOL, AT(tty), .help = "Give it a terminal"},
    {"cwd", 0, OPT_TEXT, AT(cwd), .arg = "DIR", .help = "Working directory"},
    {"env", 'e', OPT_LIST, AT(env), .arg = "NAME=VALUE", .help = "Set a variable"},
    {"user", 'u', OPT_TEXT, AT(user), .arg = "UID[:GID]", .help = "Run it as this user"},
    {"additional-gids", 'g', OPT_LIST, AT(groups), .arg = "GID", .help = "One more group"},
    {"cap", 'c', OPT_LIST, AT(caps), .arg = "CAP", .help = "One more capability"},
    {"no-new-privs", 0, OPT_BOOL, AT(no_new_privs), .help = "Set no_new_privs"},
    {"apparmor", 0, OPT_TEXT, AT(apparmor), .arg = "PROFILE", .help = "AppArmor profile"},
    {"process-label", 0, OPT_TEXT, AT(label), .arg = "LABEL", .help = "SELinux label"},
    {"cgroup", 0, OPT_LIST, AT(cgroups), .arg = "[CONTROLLER:]PATH",
     .help = "Run it in this group below the container's"},
    {"ignore-paused", 0, OPT_BOOL, AT(ignore_paused),
     .help = "Start it in a paused container, to run when that is resumed"},
    {"no-subreaper", 0, OPT_BOOL, AT(no_subreaper), .hidden = true, .help = "Accepted"},
};
static const struct opt kill_rows[] = {
    {"all", 'a', OPT_BOOL, AT(all), .help = "Signal every process in it"},
};
static const struct opt delete_rows[] = {
    {"force", 'f', OPT_BOOL, AT(force), .help = "Kill it first; absent is fine"},
};
static const struct opt list_rows[] = {
    {"format", 'f', OPT_TEXT, AT(format), .arg = "FORMAT", .help = "table or json"},
    {"quiet", 'q', OPT_BOOL, AT(quiet), .help = "Only the ids"},
};
static const struct opt ps_rows[] = {
    {"format", 'f', OPT_TEXT, AT(format), .arg = "FORMAT", .help = "table or json"},
};
static const struct opt spec_rows[] = {
    BUNDLE,
    {"rootless", 0, OPT_BOOL, AT(rootless), .help = "For an ordinary user"},
};
static const struct opt events_rows[] = {
    {"stats", 0, OPT_BOOL, AT(stats), .help = "Once, then end"},
    {"interval", 0, OPT_DURATION, AT(interval), .help = "Time between two; default 5s"},
};
static const struct opt update_rows[] = {
    {"resources", 'r', OPT_TEXT, AT(resources), .arg = "FILE", .help = "JSON file, - is stdin"},
    {"memory", 0, OPT_TEXT, AT(memory), .arg = "BYTES", .help = "Memory limit"},
    {"memory-swap", 0, OPT_TEXT, AT(memory_swap), .arg = "BYTES", .help = "Memory and swap"},
    {"memory-reservation", 0, OPT_TEXT, AT(memory_reservation), .arg = "BYTES",
     .help = "Soft limit"},
    {"cpu-quota", 0, OPT_INT, AT(cpu_quota), .arg = "USEC", .help = "CPU time in a period"},
    {"cpu-period", 0, OPT_INT, AT(cpu_period), .arg = "USEC", .help = "The period"},
    {"cpu-share", 0, OPT_INT, AT(cpu_shares), .arg = "N", .help = "CPU shares"},
    {"cpu-burst", 0, OPT_INT, AT(cpu_burst), .arg = "USEC", .help = "Time saved up for later"},
    {"cpu-idle", 0, OPT_INT, AT(cpu_idle), .arg = "0|1", .help = "Only when nobody else wants it"},
    {"cpu-rt-period", 0, OPT_INT, AT(rt_period), .arg = "USEC", .help = "Realtime period"},
    {"cpu-rt-runtime", 0, OPT_INT, AT(rt_runtime), .arg = "USEC",
     .help = "Realtime CPU time in a period"},
    {"pids-limit", 0, OPT_INT, AT(pids_limit), .arg = "N", .help = "Number of processes"},
    {"blkio-weight", 0, OPT_INT, AT(blkio_weight), .arg = "N", .help = "Weight of block I/O"},
    {"cpuset-cpus", 0, OPT_TEXT, AT(cpuset_cpus), .arg = "LIST", .help = "CPUs"},
    {"cpuset-mems", 0, OPT_TEXT, AT(cpuset_mems), .arg = "LIST", .help = "Memory nodes"},
    {"l3-cache-schema", 0, OPT_TEXT, AT(l3_cache), .arg = "SCHEMA", .hidden = true,
     .help = "Not supported"},
    {"mem-bw-schema", 0, OPT_TEXT, AT(bandwidth), .arg = "SCHEMA", .hidden = true,
     .help = "Not supported"},
};
#undef AT

struct call {
    struct cli *c;
    struct bundle_context ctx;
    const struct verb *v;
    char **argv;
    int argc;
};

// Sockets that systemd gave to this process, as sd_listen_fds(3) has it, or to the one that podman
// told it about.
static int64_t listen_fds(void)
{
    uint64_t n = 0, pid = 0;
    const char *count = getenv("LISTEN_FDS"), *of = getenv("LISTEN_PID");
    if (!count || !num_u64_max(sv_of(count), 1024, &n)) return 0;
    if (of && (!num_u64_max(sv_of(of), INT32_MAX, &pid) || (pid != 1 && pid != (uint64_t)getpid())))
        return 0;
    return (int64_t)n;
}

static int run_options(const struct call *x, struct bundle_run_options *o, struct err *e)
{
    const struct verb *v = x->v;
    if (v->preserve_fds < 0 || v->preserve_fds > 1024)
        return err_set(e, ERR_USAGE, "--preserve-fds is 0 to 1024");
    *o = (struct bundle_run_options){.bundle = v->bundle,
                                     .pid_file = v->pid_file,
                                     .console_socket = v->console_socket,
                                     .id = x->argv[0],
                                     .preserve_fds = v->preserve_fds + listen_fds(),
                                     .listen_fds = listen_fds(),
                                     .no_pivot = v->no_pivot,
                                     .no_new_keyring = v->no_new_keyring,
                                     .detach = v->detach,
                                     .keep = v->keep};
    return 0;
}

static int do_create(struct call *x, struct err *e)
{
    struct bundle_run_options o;
    if (run_options(x, &o, e) < 0) return -1;
    x->ctx.look_early |= o.pid_file || o.console_socket;
    return bundle_create(&x->ctx, &o, e);
}

static int do_run(struct call *x, struct err *e)
{
    struct bundle_run_options o;
    int status = 0;
    if (run_options(x, &o, e) < 0 || bundle_run(&x->ctx, &o, &status, e) < 0) return -1;
    return status;
}

static int do_start(struct call *x, struct err *e)
{
    return bundle_start(&x->ctx, x->argv[0], e);
}

static int do_state(struct call *x, struct err *e)
{
    return bundle_state(&x->ctx, x->argv[0], &x->c->out, e);
}

static int do_kill(struct call *x, struct err *e)
{
    return bundle_kill(&x->ctx, x->argv[0], x->argc > 1 ? x->argv[1] : NULL, x->v->all, e);
}

static int do_delete(struct call *x, struct err *e)
{
    return bundle_delete(&x->ctx, x->argv[0], x->v->force, e);
}

static int do_pause(struct call *x, struct err *e)
{
    return bundle_freeze(&x->ctx, x->argv[0], true, e);
}

static int do_resume(struct call *x, struct err *e)
{
    return bundle_freeze(&x->ctx, x->argv[0], false, e);
}

static int do_exec(struct call *x, struct err *e)
{
    x->c->failure = 255;  // runc's, not to be mixed up with the program's own
    const struct verb *v = x->v;
    const struct bundle_exec_options o = {.id = x->argv[0],
                                          .process_file = v->process,
                                          .pid_file = v->pid_file,
                                          .console_socket = v->console_socket,
                                          .cwd = v->cwd,
                                          .user = v->user,
                                          .apparmor = v->apparmor,
                                          .label = v->label,
                                          .env = &v->env,
                                          .caps = &v->caps,
                                          .groups = &v->groups,
                                          .cgroups = &v->cgroups,
                                          .argv = x->argv + 1,
                                          .argc = x->argc - 1,
                                          .preserve_fds = v->preserve_fds,
                                          .tty = v->tty,
                                          .detach = v->detach,
                                          .ignore_paused = v->ignore_paused,
                                          .no_new_privs = v->no_new_privs};
    int status = 0;
    if (v->preserve_fds < 0 || v->preserve_fds > 1024)
        return err_set(e, ERR_USAGE, "--preserve-fds is 0 to 1024");
    return bundle_exec(&x->ctx, &o, &status, e) < 0 ? -1 : status;
}

static int check_format(const char *format, struct err *e)
{
    if (!format || strcmp(format, "table") == 0 || strcmp(format, "json") == 0) return 0;
    return err_set(e, ERR_USAGE, "invalid format '%s': it is table or json", format);
}

static void cell(struct table *t, const struct codec_json *row, const char *key)
{
    const struct codec_json *v = codec_json_get(row, key);
    if (codec_json_type(v) == CODEC_JSON_INT)
        table_cellf(t, "%lld", (long long)codec_json_int(v));
    else
        table_cellf(t, "%.*s", (int)codec_json_text(v).n, codec_json_text(v).p);
}

static int do_list(struct call *x, struct err *e)
{
    static const char *const keys[] = {"id", "pid", "status", "bundle", "created", "owner"};
    struct codec_json *got = NULL;
    const char *format = x->v->format;
    if (check_format(format, e) < 0 || bundle_list(&x->ctx, &got, e) < 0) return -1;
    own(codec_json) struct codec_json *list = got;
    if (format && strcmp(format, "json") == 0 && !x->v->quiet) {
        codec_json_print(list, &x->c->out);
        return 0;
    }
    own(table) struct table t;
    table_init(&t, 6);
    table_row(&t, (const char *[]){"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"});
    for (size_t i = 0; i < codec_json_len(list); i++) {
        const struct codec_json *row = codec_json_at(list, i);
        struct sv id = codec_json_text(codec_json_get(row, "id"));
        if (x->v->quiet) str_addf(&x->c->out, "%.*s\n", (int)id.n, id.p);
        for (size_t k = 0; k < 6; k++) cell(&t, row, keys[k]);
    }
    if (!x->v->quiet) table_print(&t, &x->c->out);
    return 0;
}

// The place of "PID" in ps(1)'s head line, -1: not shown.
static int pid_column(struct sv head)
{
    for (int i = 0; head.n; i++) {
        head = sv_trim(head);
        if (sv_eqz(sv_cut(&head, ' '), "PID")) return i;
    }
    return -1;
}

static bool is_one_of(struct sv line, int column, const struct codec_json *pids)
{
    uint64_t pid = 0;
    struct sv rest = sv_trim(line), word = rest;
    for (int i = 0; i <= column; i++) {
        rest = sv_trim(rest);
        word = sv_cut(&rest, ' ');
    }
    if (!num_u64_max(word, INT32_MAX, &pid)) return false;
    for (size_t i = 0; i < codec_json_len(pids); i++)
        if (codec_json_int(codec_json_at(pids, i)) == (int64_t)pid) return true;
    return false;
}

// The lines of ps(1) whose PID is one of the container's.
static int filter_ps(struct sv text, const struct codec_json *pids, struct str *out, struct err *e)
{
    struct sv head = sv_cut(&text, '\n');
    int column = pid_column(head);
    if (column < 0) return err_set(e, ERR_INPUT, "the options of ps show no column 'PID'");
    str_addf(out, "%.*s\n", (int)head.n, head.p);
    while (text.p) {
        struct sv line = sv_cut(&text, '\n');
        if (is_one_of(line, column, pids)) str_addf(out, "%.*s\n", (int)line.n, line.p);
    }
    return 0;
}

static int do_ps(struct call *x, struct err *e)
{
    struct codec_json *got = NULL;
    const char *format = x->v->format;
    if (check_format(format, e) < 0 || bundle_pids(&x->ctx, x->argv[0], &got, e) < 0) return -1;
    own(codec_json) struct codec_json *pids = got;
    if (format && strcmp(format, "json") == 0) {
        codec_json_print(pids, &x->c->out);
        str_addc(&x->c->out, '\n');
        return 0;
    }
    own(free) const char **argv = mem_alloc(((size_t)x->argc + 2) * sizeof *argv);
    argv[0] = "ps";
    argv[1] = "-ef";
    for (int i = 1; i < x->argc; i++) argv[i] = x->argv[i];
    const struct proc_spec spec = {.argv = argv, .search_path = true, .stdin_fd = PROC_NULL};
    own(str) struct str text = {0};
    int status;
    if (proc_read(&spec, (size_t)16 << 20, &text, &status, e) < 0) return -1;
    return filter_ps(str_sv(&text), pids, &x->c->out, e);
}

static int do_features(struct call *x, struct err *e)
{
    (void)e;
    own(codec_json) struct codec_json *j = bundle_features();
    codec_json_print_pretty(j, 2, &x->c->out);
    str_addc(&x->c->out, '\n');
    return 0;
}

static int do_spec(struct call *x, struct err *e)
{
    own(codec_json) struct codec_json *j = bundle_default(x->v->rootless);
    own(str) struct str text = {0};
    codec_json_print_pretty(j, 2, &text);
    str_addc(&text, '\n');
    own(fd) int dir = fs_open_dir(AT_FDCWD, x->v->bundle ? x->v->bundle : ".", e);
    if (dir < 0) return -1;
    own(fd) int fd = fs_openat(dir, "config.json", O_WRONLY | O_CREAT | O_EXCL, 0644, e);
    if (fd < 0) return err_hint(e, "move an existing config.json away first");
    return fs_write_all(fd, text.p, text.n, e);
}

static int do_events(struct call *x, struct err *e)
{
    for (;;) {
        struct codec_json *j = NULL;
        if (bundle_stats(&x->ctx, x->argv[0], &j, e) < 0) return x->v->stats ? -1 : 0;
        codec_json_print(j, &x->c->out);
        codec_json_free(j);
        str_addc(&x->c->out, '\n');
        if (x->v->stats) return 0;
        if (cli_flush(x->c, e) < 0) return -1;
        int64_t ns = x->v->interval > 0 ? x->v->interval : 5000000000;
        usleep((useconds_t)(ns / 1000));
    }
}

static void set_number(struct codec_json *to, const char *key, int64_t v)
{
    if (v) codec_json_set(to, key, codec_json_new_int(v));
}

// Bytes with or without a unit, or -1 for no limit.
static int set_size(struct codec_json *to, const char *key, const char *text, struct err *e)
{
    uint64_t n = 0;
    if (!text) return 0;
    bool none = strcmp(text, "-1") == 0;
    if (!none && (num_bytes(sv_of(text), &n, e) < 0 || n > INT64_MAX))
        return err_set(e, ERR_USAGE, "'%s' is no size in bytes", text);
    codec_json_set(to, key, codec_json_new_int(none ? -1 : (int64_t)n));
    return 0;
}

static int options_json(const struct verb *v, struct str *out, struct err *e)
{
    own(codec_json) struct codec_json *j = codec_json_new_object();
    struct codec_json *memory = codec_json_new_object(), *cpu = codec_json_new_object(),
                      *pids = codec_json_new_object(), *io = codec_json_new_object();
    set_number(cpu, "quota", v->cpu_quota);
    set_number(cpu, "period", v->cpu_period);
    set_number(cpu, "shares", v->cpu_shares);
    set_number(cpu, "burst", v->cpu_burst);
    set_number(cpu, "idle", v->cpu_idle);
    set_number(cpu, "realtimePeriod", v->rt_period);
    set_number(cpu, "realtimeRuntime", v->rt_runtime);
    codec_json_set_text(cpu, "cpus", v->cpuset_cpus);
    codec_json_set_text(cpu, "mems", v->cpuset_mems);
    set_number(pids, "limit", v->pids_limit);
    set_number(io, "weight", v->blkio_weight);
    codec_json_set(j, "memory", memory);
    codec_json_set(j, "cpu", cpu);
    codec_json_set(j, "pids", pids);
    codec_json_set(j, "blockIO", io);
    if (set_size(memory, "limit", v->memory, e) < 0 ||
        set_size(memory, "swap", v->memory_swap, e) < 0 ||
        set_size(memory, "reservation", v->memory_reservation, e) < 0)
        return -1;
    codec_json_print(j, out);
    return 0;
}

static int do_update(struct call *x, struct err *e)
{
    own(str) struct str text = {0};
    const char *file = x->v->resources;
    int rc = 0;
    if (x->v->l3_cache || x->v->bandwidth)
        return err_set(e, ERR_UNSUPPORTED, "Intel RDT (--l3-cache-schema, --mem-bw-schema) is not "
                                           "supported");
    if (!file)
        rc = options_json(x->v, &text, e);
    else if (strcmp(file, "-") == 0)
        rc = fs_read_fd(0, OCI_RUNTIME_CONFIG_MAX, &text, e);
    else
        rc = fs_read_at(AT_FDCWD, file, OCI_RUNTIME_CONFIG_MAX, &text, e);
    return rc < 0 ? -1 : bundle_update(&x->ctx, x->argv[0], str_sv(&text), e);
}

#define ROWS(r)                                                                                    \
    {                                                                                              \
        r, sizeof(r) / sizeof *(r)                                                                 \
    }
#define NONE                                                                                       \
    {                                                                                              \
        NULL, 0                                                                                    \
    }
static const struct verb_row {
    const char *name, *usage, *help;
    int min, max;
    bool inside;  // a process of ours goes into the container: from a sealed copy
    bool stop_at_word;
    struct opt_table options;
    int (*run)(struct call *x, struct err *e);
} verbs[] = {
    {"create", "ID", "Make a container from a bundle, up to its program", 1, 1, false, false,
     ROWS(create_rows), do_create},
    {"start", "ID", "Start the program of a created container", 1, 1, false, false, NONE, do_start},
    {"run", "ID", "Create and start", 1, 1, false, false, ROWS(run_rows), do_run},
    {"state", "ID", "Print the state as JSON", 1, 1, false, false, NONE, do_state},
    {"kill", "ID [SIGNAL]", "Send a signal, SIGTERM unless given", 1, 2, false, false,
     ROWS(kill_rows), do_kill},
    {"delete", "ID", "Remove a stopped container", 1, 1, false, false, ROWS(delete_rows),
     do_delete},
    {"exec", "ID COMMAND [ARG...]", "Run one more program in a container", 1, -1, true, true,
     ROWS(exec_rows), do_exec},
    {"list", "", "List the containers", 0, 0, false, false, ROWS(list_rows), do_list},
    {"ps", "ID [PS-OPTION...]", "List the processes of a container", 1, -1, false, true,
     ROWS(ps_rows), do_ps},
    {"pause", "ID", "Freeze all processes", 1, 1, false, false, NONE, do_pause},
    {"resume", "ID", "Let them go on", 1, 1, false, false, NONE, do_resume},
    {"update", "ID", "Change limits", 1, 1, false, false, ROWS(update_rows), do_update},
    {"events", "ID", "Print figures of its control groups as JSON", 1, 1, false, false,
     ROWS(events_rows), do_events},
    {"spec", "", "Write a config.json to begin with", 0, 0, false, false, ROWS(spec_rows), do_spec},
    {"features", "", "Print what is supported as JSON", 0, 0, false, false, NONE, do_features},
};

// --- errors ------------------------------------------------------------------------------------

static void log_line(const struct oci *o, const char *level, const char *message)
{
    struct err ignored;
    own(str) struct str text = {0}, now = {0};
    if (!o->log || !o->log[0]) return;
    own(fd) int fd = fs_open(o->log, O_WRONLY | O_CREAT | O_APPEND, 0644, &ignored);
    if (fd < 0) return;
    clock_print_ns(clock_real_ns(), &now);
    own(codec_json) struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "level", level);
    codec_json_set_text(j, "msg", message);
    codec_json_set_text(j, "time", str_z(&now));
    if (o->log_format == LOG_JSON)
        codec_json_print(j, &text);
    else
        str_addf(&text, "time=\"%s\" level=%s msg=\"%s\"", str_z(&now), level, message);
    str_addc(&text, '\n');
    fs_write_all(fd, text.p, text.n, &ignored);
}

static void log_call(const struct oci *o, int argc, char **argv)
{
    own(str) struct str text = {0};
    str_addz(&text, "called:");
    for (int i = 0; i < argc; i++) {
        str_addc(&text, ' ');
        str_add_escaped(&text, sv_of(argv[i]));
    }
    log_line(o, "debug", str_z(&text));
}

// One line: podman and containerd look for words in it ("no such file or directory", "executable
// file not found in $PATH", "permission denied", "does not exist", "container not running").
static void one_line(const struct err *e, struct str *out)
{
    for (unsigned i = 0; i + 1 < e->frames; i++) str_addf(out, "%s: ", err_frame(e, i));
    str_addz(out, err_cause(e));
    if (e->kind == ERR_NO_PROGRAM)
        str_addz(out, ": executable file not found in $PATH: no such file or directory");
    if (e->kind == ERR_NOT_EXEC && e->sys == EACCES) str_addz(out, ": permission denied");
    if (e->kind == ERR_NOT_EXEC && e->sys == ENOEXEC) str_addz(out, ": exec format error");
}

struct warner {
    const struct oci *o;
    struct event_sink next;
};

static void on_event(void *arg, const struct event *ev)
{
    struct warner *w = arg;
    own(free) char *text = sv_dup(ev->text);
    // Who gives a log file has often given the container's own stderr as ours.
    if (ev->kind == EVENT_WARNING && w->o->log)
        log_line(w->o, "warning", text);
    else
        event_emit(&w->next, *ev);
}

// --- the command -------------------------------------------------------------------------------

// Verbs of runc that we do not have.
static int no_verb(const struct cli *c, const char *name, struct err *e)
{
    if (strcmp(name, "checkpoint") == 0 || strcmp(name, "restore") == 0) {
        err_set(e, ERR_UNSUPPORTED, "%s is not supported", name);
        return err_hint(e, "memory of running programs is not saved; stop and start them instead");
    }
    err_set(e, ERR_USAGE, "unknown verb '%s'", name);
    return err_hint(e, "'%s oci --help' lists them", c->program);
}

static const struct verb_row *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].name, name) == 0) return &verbs[i];
    return NULL;
}

static void help_verb(const struct cli *c, const struct verb_row *row, struct str *out)
{
    str_addf(out, "Usage:  %s oci %s [OPTIONS] %s\n\n%s\n", c->program, row->name, row->usage,
             row->help);
    if (!row->options.n) return;
    str_addz(out, "\nOptions:\n");
    opt_print_help(&row->options, 100, out);
}

static int call_verb(struct cli *c, const struct oci *o, const struct verb_row *row, int argc,
                     char **argv, struct err *e)
{
    struct verb v = {0};
    struct globals {
        bool help;
    } g = {0};
    static const struct opt help_rows[] = {
        {"help", 'h', OPT_BOOL, OPT_AT(struct globals, help), .help = "Print help"}};
    own(opt_words) struct opt_words words = {0};
    const struct opt_target targets[] = {{row->options, &v}, {{help_rows, 1}, &g}};
    const struct opt_rules rules = {.stop_at_word = row->stop_at_word};
    struct warner w = {o, c->sink};
    struct call x = {.c = c,
                     .v = &v,
                     .ctx = {.own_argv = c->own_argv,
                             .root = o->root,
                             .systemd_cgroup = o->systemd_cgroup,
                             .look_early = o->log != NULL,
                             .sink = {on_event, &w}}};
    int rc = opt_parse(targets, 2, rules, argc, argv, &words, e);
    x.argv = words.p;
    x.argc = (int)words.n;
    if (rc == 0 && g.help) {
        help_verb(c, row, &c->out);
    } else if (rc == 0 && (x.argc < row->min || (row->max >= 0 && x.argc > row->max))) {
        rc = err_set(e, ERR_USAGE, "wrong number of arguments");
        err_hint(e, "usage: %s oci %s [OPTIONS] %s", c->program, row->name, row->usage);
    } else if (rc == 0) {
        rc = row->run(&x, e);
        // What is wrong with a bundle or a container is no wrong use of the command.
        if (rc < 0 && e->kind == ERR_USAGE) e->kind = ERR_INPUT;
    }
    opt_fini(&row->options, &v);
    return rc;
}

static int run_oci(struct cli *c, const void *options, struct err *e)
{
    const struct oci *o = options;
    if (o->version) {
        str_addf(&c->out, "dewar-oci version %s\nspec: %s\n", DEWAR_VERSION, OCI_RUNTIME_VERSION);
        return 0;
    }
    if (c->argc == 0) {
        err_set(e, ERR_USAGE, "which verb of the OCI runtime?");
        return err_hint(e, "'%s oci --help' lists them", c->program);
    }
    const struct verb_row *row = find_verb(c->argv[0]);
    int rc = -1;
    if (o->debug) log_call(o, c->argc, c->argv);
    if (!row) {
        no_verb(c, c->argv[0], e);
    } else if (!row->inside || sandbox_sealed(c->own_argv, e) == 0) {
        rc = call_verb(c, o, row, c->argc - 1, c->argv + 1, e);
    }
    if (rc < 0) {
        own(str) struct str line = {0};
        one_line(e, &line);
        log_line(o, "error", str_z(&line));
    }
    return rc;
}

const struct cli_cmd cli_cmd_oci = {
    .path = "oci",
    .usage = "VERB [OPTIONS] [ID]",
    .help = "An OCI runtime with runc's command line, for podman, containerd, Docker and Slurm",
    .more =
        "Verbs: create, start, run, state, kill, delete, exec, list, ps, pause, resume, update,\n"
        "events, spec, features. 'dewar oci VERB --help' shows the options of one. Called by the\n"
        "name dewar-oci the program is this command. Options of the runtime stand in front of\n"
        "the verb. The bundle is that of the OCI runtime specification 1.0 to 1.2.",
    .examples = "dewar oci spec\n    writes a config.json to begin with\n"
                "dewar oci run --bundle DIR c1\n    runs the bundle in DIR as container c1\n"
                "podman --runtime /usr/local/bin/dewar-oci run IMAGE\n    podman on this engine\n",
    CLI_OPTIONS(oci_options, struct oci),
    .min_words = 0,
    .max_words = -1,
    .family = CLI_OWN,
    .stop_at_word = true,
    .run = run_oci,
};
