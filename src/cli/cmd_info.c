// SPDX-License-Identifier: Apache-2.0
// Commands about the program and the machine: version, info, doctor.
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "cli/commands.h"
#include "codec/json.h"
#include "oci/platform.h"
#include "record/state.h"
#include "sandbox/cgroup.h"
#include "sandbox/doctor.h"
#include "store/ref.h"

// --- version ------------------------------------------------------------------------------------

struct version {
    const char *format;
};
static const struct opt version_options[] = {
    {"format", 'f', OPT_TEXT, OPT_AT(struct version, format), .arg = "TEMPLATE",
     .help = "A Go template, or 'json'"},
};

// Docker's answer has a client and a server; here both are this program.
static struct codec_json *version_part(const struct utsname *u)
{
    struct oci_platform host;
    struct codec_json *j = codec_json_new_object();
    oci_platform_host(&host);
    codec_json_set_text(j, "Version", DEWAR_VERSION);
    codec_json_set_text(j, "Os", host.os);
    codec_json_set_text(j, "Arch", host.arch);
    codec_json_set_text(j, "KernelVersion", u->release);
    return j;
}

static int run_version(struct cli *c, const void *options, struct err *e)
{
    const struct version *o = options;
    struct utsname u;
    uname(&u);
    if (!o->format) {
        struct oci_platform host;
        oci_platform_host(&host);
        str_addf(&c->out, "dewar:\n Version:   %s\n OS/Arch:   %s/%s\n Kernel:    ", DEWAR_VERSION,
                 host.os, host.arch);
        str_add_escaped(&c->out, sv_of(u.release));
        str_addc(&c->out, '\n');
        return 0;
    }
    own(codec_json) struct codec_json *list = codec_json_new_array();
    struct codec_json *both = codec_json_new_object();
    codec_json_set(both, "Client", version_part(&u));
    codec_json_set(both, "Server", version_part(&u));
    codec_json_add(list, both);
    const char *format = strcmp(o->format, "json") == 0 ? "{{json .}}" : o->format;
    return cli_print_values(c, list, format, e);
}

const struct cli_cmd cli_cmd_version = {
    .path = "version",
    .usage = "",
    .help = "Show the version",
    .examples = "dewar version\n"
                "dewar version --format '{{.Server.Version}}'",
    CLI_OPTIONS(version_options, struct version),
    .family = CLI_DOCKER,
    .run = run_version,
};

// --- info ---------------------------------------------------------------------------------------

struct info {
    const char *format;
};
static const struct opt info_options[] = {
    {"format", 'f', OPT_TEXT, OPT_AT(struct info, format), .arg = "TEMPLATE",
     .help = "A Go template, or 'json'"},
};

static void operating_system(struct str *out)
{
    own(file) FILE *f = fopen("/etc/os-release", "re");
    char line[512];
    while (f && fgets(line, sizeof line, f)) {
        struct sv rest = sv_trim(sv_of(line)), key = sv_cut(&rest, '=');
        if (!sv_eqz(key, "PRETTY_NAME")) continue;
        while (rest.n && (rest.p[0] == '"' || rest.p[0] == '\'')) rest = sv_from(rest, 1);
        while (rest.n && (rest.p[rest.n - 1] == '"' || rest.p[rest.n - 1] == '\'')) rest.n--;
        str_add(out, rest);
        return;
    }
    str_addz(out, "Linux");
}

static size_t count_images(struct engine *en, struct err *e)
{
    own(store_refs) struct store_refs refs = {0};
    size_t n = 0;
    if (store_ref_list(en, &refs, e) < 0) return 0;
    for (size_t i = 0; i < refs.n; i++) {
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = oci_digest_eq(&refs.p[i].image, &refs.p[k].image);
        n += !seen;
    }
    return n;
}

static void set_containers(struct engine *en, struct codec_json *j)
{
    own(record_rows) struct record_rows rows = {0};
    struct err ignored;
    int64_t running = 0, paused = 0;
    if (record_list(en, true, &rows, &ignored) < 0) return;
    vec_each (r, &rows) {
        running += r->state.status == RECORD_RUNNING || r->state.status == RECORD_RESTARTING;
        paused += r->state.status == RECORD_PAUSED;
    }
    codec_json_set(j, "Containers", codec_json_new_int((int64_t)rows.n));
    codec_json_set(j, "ContainersRunning", codec_json_new_int(running));
    codec_json_set(j, "ContainersPaused", codec_json_new_int(paused));
    codec_json_set(j, "ContainersStopped", codec_json_new_int((int64_t)rows.n - running - paused));
}

// What Docker calls the file systems that a store may be on.
static const char *backing(struct engine *en)
{
    static const struct {
        unsigned long magic;
        const char *name;
    } rows[] = {{0xEF53, "extfs"},      {0x58465342, "xfs"},    {0x9123683E, "btrfs"},
                {0x01021994, "tmpfs"},  {0x794C7630, "overlayfs"}, {0x6969, "nfs"},
                {0x2FC12FC1, "zfs"},    {0xF2F52010, "f2fs"}};
    struct statfs fs;
    if (fstatfs(en->store_fd, &fs) == 0)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if ((unsigned long)fs.f_type == rows[i].magic) return rows[i].name;
    return "unknown";
}

static void set_switch(struct codec_json *j, const char *key, bool v)
{
    codec_json_set(j, key, codec_json_new_bool(v));
}

static void set_texts(struct codec_json *j, const char *key, const char *const *texts)
{
    struct codec_json *list = codec_json_new_array();
    for (size_t i = 0; texts[i]; i++) codec_json_add(list, codec_json_new_text(sv_of(texts[i])));
    codec_json_set(j, key, list);
}

// Which limits can be had.
static void set_limits(struct engine *en, struct codec_json *j)
{
    static const struct {
        const char *key, *controller;
    } rows[] = {{"MemoryLimit", "memory"}, {"SwapLimit", "memory"}, {"CpuCfsPeriod", "cpu"},
                {"CpuCfsQuota", "cpu"},    {"CPUShares", "cpu"},    {"CPUSet", "cpuset"},
                {"PidsLimit", "pids"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        set_switch(j, rows[i].key, sandbox_cgroup_has(en, rows[i].controller));
    set_switch(j, "OomKillDisable", !sandbox_cgroup_v2() && sandbox_cgroup_has(en, "memory"));
    const char *way = en->ids.mode == IDMAP_ROOT ? "" : sandbox_cgroup_way(en);
    codec_json_set_text(j, "CgroupDriver", !way                         ? "none"
                                           : strstr(way, "systemd") ? "systemd"
                                                                     : "cgroupfs");
    codec_json_set_text(j, "CgroupVersion", sandbox_cgroup_v2() ? "2" : "1");
}

static void set_kinds(struct engine *en, struct codec_json *j)
{
    static const char *const volumes[] = {"local", NULL}, *const networks[] = {"host", "null", NULL},
                             *const logs[] = {"json-file", "local", "none", NULL}, *const none[] = {NULL};
    struct codec_json *plugins = codec_json_new_object(), *runtimes = codec_json_new_object();
    struct codec_json *runtime = codec_json_new_object(), *swarm = codec_json_new_object();
    struct codec_json *status = codec_json_new_array(), *row = codec_json_new_array();
    set_texts(plugins, "Volume", volumes);
    set_texts(plugins, "Network", networks);
    codec_json_set(plugins, "Authorization", codec_json_new_null());
    set_texts(plugins, "Log", logs);
    codec_json_set(j, "Plugins", plugins);
    codec_json_set_text(runtime, "path", "dewar-oci");
    codec_json_set(runtimes, "dewar", runtime);
    codec_json_set(j, "Runtimes", runtimes);
    codec_json_set_text(j, "DefaultRuntime", "dewar");
    codec_json_set_text(j, "InitBinary", "dewar-init");
    codec_json_set_text(j, "LoggingDriver", "json-file");
    codec_json_set_text(swarm, "LocalNodeState", "inactive");
    codec_json_set(j, "Swarm", swarm);
    codec_json_add(row, codec_json_new_text(SV("Backing Filesystem")));
    codec_json_add(row, codec_json_new_text(sv_of(backing(en))));
    codec_json_add(status, row);
    codec_json_set(j, "DriverStatus", status);
    set_texts(j, "Labels", none);
    set_switch(j, "LiveRestoreEnabled", true); // no daemon: containers outlive every command
    set_switch(j, "ExperimentalBuild", false);
    set_switch(j, "Debug", false);
    codec_json_set_text(j, "Isolation", "");
    codec_json_set(j, "Warnings", codec_json_new_null());
}

static void set_surroundings(struct codec_json *j)
{
    static const struct {
        const char *key, *names[2];
    } proxies[] = {{"HttpProxy", {"HTTP_PROXY", "http_proxy"}},
                   {"HttpsProxy", {"HTTPS_PROXY", "https_proxy"}},
                   {"NoProxy", {"NO_PROXY", "no_proxy"}}};
    own(str) struct str now = {0}, forward = {0};
    struct err ignored;
    for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++) {
        const char *v = getenv(proxies[i].names[0]);
        if (!v) v = getenv(proxies[i].names[1]);
        codec_json_set_text(j, proxies[i].key, v ? v : "");
    }
    clock_print_ns(clock_real_ns(), &now);
    codec_json_set_text(j, "SystemTime", str_z(&now));
    bool can = fs_read_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", 16, &forward, &ignored) == 0;
    set_switch(j, "IPv4Forwarding", can && forward.n && forward.p[0] == '1');
    codec_json_set_text(j, "IndexServerAddress", "https://index.docker.io/v1/");
}

static struct codec_json *info_object(struct engine *en, struct err *e)
{
    struct utsname u;
    struct sysinfo si = {0};
    struct oci_platform host;
    own(str) struct str os = {0};
    struct codec_json *j = codec_json_new_object();
    struct codec_json *security = codec_json_new_array();
    uname(&u);
    sysinfo(&si);
    oci_platform_host(&host);
    operating_system(&os);
    codec_json_add(security, codec_json_new_text(SV("name=seccomp,profile=builtin")));
    if (en->ids.mode != IDMAP_ROOT)
        codec_json_add(security, codec_json_new_text(SV("name=rootless")));
    codec_json_add(security, codec_json_new_text(SV("name=cgroupns")));
    codec_json_set_text(j, "ID", ""); // no daemon, no number of its own
    set_containers(en, j);
    codec_json_set(j, "Images", codec_json_new_int((int64_t)count_images(en, e)));
    codec_json_set_text(j, "Driver", "overlay2");
    set_limits(en, j);
    set_kinds(en, j);
    set_surroundings(j);
    codec_json_set_text(j, "KernelVersion", u.release);
    codec_json_set(j, "OperatingSystem", codec_json_new_text(str_sv(&os)));
    codec_json_set_text(j, "OSType", host.os);
    codec_json_set_text(j, "Architecture", u.machine);
    codec_json_set(j, "NCPU", codec_json_new_int(sysconf(_SC_NPROCESSORS_ONLN)));
    codec_json_set(j, "MemTotal", codec_json_new_int((int64_t)(si.totalram * si.mem_unit)));
    codec_json_set_text(j, "Name", u.nodename);
    codec_json_set_text(j, "DockerRootDir", en->store_path);
    codec_json_set_text(j, "RunRoot", en->run_path);
    codec_json_set_text(j, "IdMode", idmap_mode_name(en->ids.mode));
    codec_json_set_text(j, "ServerVersion", DEWAR_VERSION);
    codec_json_set(j, "SecurityOptions", security);
    return j;
}

static void info_line(struct cli *c, const struct codec_json *j, const char *label, const char *key)
{
    const struct codec_json *v = codec_json_get(j, key);
    str_addf(&c->out, "%s: ", label);
    if (codec_json_type(v) == CODEC_JSON_TEXT)
        str_add_escaped(&c->out, codec_json_text(v));
    else
        codec_json_print(v, &c->out);
    str_addc(&c->out, '\n');
}

static int run_info(struct cli *c, const void *options, struct err *e)
{
    static const char *const lines[][2] = {
        {"Version", "ServerVersion"},     {"Containers", "Containers"},
        {"Images", "Images"},
        {"Storage Driver", "Driver"},     {"Store", "DockerRootDir"},
        {"Logging Driver", "LoggingDriver"}, {"Cgroup Driver", "CgroupDriver"},
        {"Run Folder", "RunRoot"},        {"Id Mode", "IdMode"},
        {"Cgroup Version", "CgroupVersion"}, {"Kernel Version", "KernelVersion"},
        {"Operating System", "OperatingSystem"}, {"Architecture", "Architecture"},
        {"CPUs", "NCPU"},
    };
    const struct info *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    if (cli_engine(c, &en, e) < 0) return -1;
    own(codec_json) struct codec_json *list = codec_json_new_array();
    struct codec_json *j = info_object(&en, e);
    codec_json_add(list, j);
    if (o->format) {
        const char *format = strcmp(o->format, "json") == 0 ? "{{json .}}" : o->format;
        return cli_print_values(c, list, format, e);
    }
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        info_line(c, j, lines[i][0], lines[i][1]);
    str_addz(&c->out, "Total Memory: ");
    num_print_size((uint64_t)codec_json_int(codec_json_get(j, "MemTotal")), &c->out);
    str_addc(&c->out, '\n');
    return 0;
}

const struct cli_cmd cli_cmd_info = {
    .path = "system info",
    .alias = (const char *const[]){"info", NULL},
    .usage = "",
    .help = "Show where things are and what the machine is",
    .examples = "dewar info\n"
                "dewar info --format '{{.DockerRootDir}}'",
    CLI_OPTIONS(info_options, struct info),
    .family = CLI_DOCKER,
    .run = run_info,
};

// --- doctor -------------------------------------------------------------------------------------

struct doctor {
    const char *format;
    bool quiet;
};
static const struct opt doctor_options[] = {
    {.name = "format", CLI_OPT_FORMAT(struct doctor, format)},
    {"quiet", 'q', OPT_BOOL, OPT_AT(struct doctor, quiet),
     .help = "Only what does not work as it should"},
};
static const struct cli_column doctor_columns[] = {
    {"STATUS", "Status", false}, {"CHECK", "Check", false}, {"FOUND", "Found", false},
    {"FIX", "Fix", false},       {NULL, NULL, false},
};

static void print_check(struct cli *c, const struct sandbox_check *k)
{
    static const char *const colors[SANDBOX_CHECK_COUNT] = {
        [SANDBOX_CHECK_OK] = "32", [SANDBOX_CHECK_WARN] = "33", [SANDBOX_CHECK_FAIL] = "31"};
    bool dress = c->color && c->out_tty;
    const char *status = sandbox_check_status_name(k->status);
    if (dress)
        str_addf(&c->out, "\x1b[%sm%-4s\x1b[0m ", colors[k->status], status);
    else
        str_addf(&c->out, "%-4s ", status);
    str_addf(&c->out, " %-18s ", k->name);
    str_add_escaped(&c->out, sv_of(k->text));
    str_addc(&c->out, '\n');
    if (!k->fix[0]) return;
    str_addf(&c->out, "%25s", "-> ");
    str_add_escaped(&c->out, sv_of(k->fix));
    str_addc(&c->out, '\n');
}

static int run_doctor(struct cli *c, const void *options, struct err *e)
{
    const struct doctor *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    struct sandbox_check checks[SANDBOX_CHECKS_MAX];
    struct err no_store = {0};
    // What is wrong with the store is one of the things to tell.
    if (cli_engine(c, &en, &no_store) < 0 && !en.form[0]) {
        *e = no_store;
        return -1;
    }
    size_t n = sandbox_doctor(&en, checks), failed = 0, warned = 0;
    if (no_store.frames) sandbox_doctor_no_store(&checks[n - 1], &no_store);
    own(codec_json) struct codec_json *list = codec_json_new_array();
    for (size_t i = 0; i < n; i++) {
        failed += checks[i].status == SANDBOX_CHECK_FAIL;
        warned += checks[i].status == SANDBOX_CHECK_WARN;
        struct codec_json *j = codec_json_new_object();
        codec_json_set_text(j, "Check", checks[i].name);
        codec_json_set_text(j, "Fix", checks[i].fix);
        codec_json_set_text(j, "Found", checks[i].text);
        codec_json_set_text(j, "Status", sandbox_check_status_name(checks[i].status));
        if (!o->quiet || checks[i].status != SANDBOX_CHECK_OK)
            codec_json_add(list, j);
        else codec_json_free(j);
    }
    if (o->format)
        return cli_print_rows(c, list, doctor_columns, o->format, e) < 0 ? -1 : failed ? 1 : 0;
    for (size_t i = 0; i < n; i++)
        if (!o->quiet || checks[i].status != SANDBOX_CHECK_OK) print_check(c, &checks[i]);
    if (!o->quiet)
        str_addf(&c->out, "\n%zu checks: %zu ok, %zu with less, %zu failed\n", n,
                 n - failed - warned, warned, failed);
    return failed ? 1 : 0;
}

const struct cli_cmd cli_cmd_doctor = {
    .path = "doctor",
    .usage = "",
    .help = "Say what this machine can and cannot do for containers, and the cure",
    .more = "The exit status is 1 when containers cannot start here.",
    .examples = "dewar doctor\n"
                "dewar doctor -q",
    CLI_OPTIONS(doctor_options, struct doctor),
    .family = CLI_OWN,
    .run = run_doctor,
};
