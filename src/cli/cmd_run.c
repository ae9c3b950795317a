// SPDX-License-Identifier: Apache-2.0
// `dewar run` and `dewar create`: fill the verbs' options. The texts behind -v, --mount and their like
// are read by the verb, so that every face understands the same.
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/own.h"
#include "cli/cli.h"
#include "cli/commands.h"
#include "container/life.h"
#include "sandbox/sealed.h"

struct opts {
    struct container_run_options run; // lists and texts go straight in
    const char *workdir, *user, *hostname, *domainname, *cpuset_cpus, *cpuset_mems;
    const char *memory_swap;
    uint64_t memory, memory_reservation, kernel_memory, cpu_shares, shm_size;
    int64_t pids_limit, oom_score_adj;
    double cpus;
    bool has_oom, has_pids, tls_verify, sig_proxy;
    struct strv add_host;
    struct strv ports, gpus, endpoint; // not supported yet; the last: of a network of containers
    struct strv windows, storage;      // nor these
    bool publish_all, no_trust, api_socket;
};

#define O(member) OPT_AT(struct opts, member)
#define R(member) OPT_AT(struct opts, run.member)
#define S(member) OPT_AT(struct opts, run.spec.member)
#define D(kind) OPT_AT(struct opts, run.disks[kind])

static const char *const pulls[] = {"always", "missing", "newer", "never", NULL};
static const char *const networks[] = {"host", "none", NULL};
static const char *const streams[] = {"stdin", "stdout", "stderr", NULL};
static const char *const private_or_host[] = {"private", "host", NULL};
static const char *const log_drivers[] = {"json-file", "local", "none", NULL};
static const char *const restarts[] = {"no", "on-failure", "always", "unless-stopped", NULL};

#define RUN_ONLY 3  // rows at the end that `create` does not have
static const struct opt rows[] = {
    {"add-host", 0, OPT_LIST, O(add_host), .arg = "NAME:IP", .help = "Add a line to /etc/hosts"},
    {"annotation", 0, OPT_LIST, R(annotations), .arg = "KEY=VALUE",
     .help = "Note something about the container, for those who inspect it"},
    {"attach", 'a', OPT_LIST, R(attach), .arg = "STREAM", .choices = streams,
     .help = "Only these of stdin, stdout and stderr (default: all, stdin with -i)"},
    {"blkio-weight", 0, OPT_INT, S(blkio_weight), .arg = "N",
     .help = "Weight of its disk access against others (10 to 1000)"},
    {"blkio-weight-device", 0, OPT_LIST, D(SANDBOX_DISK_WEIGHT), .arg = "DEVICE:N",
     .help = "The same for one disk: /dev/sda:200"},
    {"cap-add", 0, OPT_LIST, S(cap_add), .arg = "CAP", .help = "Give the container a capability"},
    {"cap-drop", 0, OPT_LIST, S(cap_drop), .arg = "CAP", .help = "Take a capability away"},
    {"cgroup-parent", 0, OPT_TEXT, R(cgroup_parent), .arg = "GROUP",
     .help = "Control group in which the container's own is made"},
    {"cgroupns", 0, OPT_TEXT, R(cgroupns), .arg = "MODE", .choices = private_or_host,
     .help = "Control group namespace: private or host"},
    {"cidfile", 0, OPT_TEXT, R(cidfile), .arg = "FILE",
     .help = "Write the container's ID to a file that does not exist yet"},
    {"cpu-count", 0, OPT_LIST, O(windows), .hidden = true, .help = "Windows only"},
    {"cpu-percent", 0, OPT_LIST, O(windows), .hidden = true, .help = "Windows only"},
    {"cpu-period", 0, OPT_INT, S(cpu_period), .arg = "MICROSECONDS",
     .help = "Length of the time slices that --cpu-quota is a part of (default: 100000)"},
    {"cpu-quota", 0, OPT_INT, S(cpu_quota), .arg = "MICROSECONDS",
     .help = "CPU time it gets in each period; -1 for no limit"},
    {"cpu-rt-period", 0, OPT_INT, S(cpu_rt_period), .arg = "MICROSECONDS",
     .help = "Length of the time slices that --cpu-rt-runtime is a part of (cgroup v1)"},
    {"cpu-rt-runtime", 0, OPT_INT, S(cpu_rt_runtime), .arg = "MICROSECONDS",
     .help = "Time for real-time programs in each period (cgroup v1)"},
    {"cpu-shares", 'c', OPT_UINT, O(cpu_shares), .arg = "N",
     .help = "Weight of its CPU time against others (1024 is one share)"},
    {"cpus", 0, OPT_REAL, O(cpus), .arg = "N", .help = "How many CPUs it may use: 1.5"},
    {"cpuset-cpus", 0, OPT_TEXT, O(cpuset_cpus), .arg = "LIST",
     .help = "Which CPUs it may use: 0-3,6"},
    {"cpuset-mems", 0, OPT_TEXT, O(cpuset_mems), .arg = "LIST",
     .help = "Which memory nodes it may use"},
    {"device", 0, OPT_LIST, R(devices), .arg = "HOST[:TARGET[:rwm]]",
     .help = "Add a device of the host; a folder adds all in it"},
    {"device-cgroup-rule", 0, OPT_LIST, S(device_rules), .arg = "RULE",
     .help = "Devices that it may use when it makes their nodes itself: 'c 188:* rwm'"},
    {"device-read-bps", 0, OPT_LIST, D(SANDBOX_DISK_READ_BPS), .arg = "DEVICE:BYTES",
     .help = "Bytes a second that it may read from a disk: /dev/sda:1mb"},
    {"device-read-iops", 0, OPT_LIST, D(SANDBOX_DISK_READ_IOPS), .arg = "DEVICE:N",
     .help = "Reads a second from a disk"},
    {"device-write-bps", 0, OPT_LIST, D(SANDBOX_DISK_WRITE_BPS), .arg = "DEVICE:BYTES",
     .help = "Bytes a second that it may write to a disk"},
    {"device-write-iops", 0, OPT_LIST, D(SANDBOX_DISK_WRITE_IOPS), .arg = "DEVICE:N",
     .help = "Writes a second to a disk"},
    {"disable-content-trust", 0, OPT_BOOL, O(no_trust), .initial = "true", .hidden = true,
     .help = "Images are not signed"},
    {"dns", 0, OPT_LIST, S(dns), .arg = "ADDRESS", .help = "Name server in /etc/resolv.conf"},
    {"dns-opt", 0, OPT_LIST, S(dns_options), .arg = "OPTION", .hidden = true,
     .help = "Same as --dns-option"},
    {"dns-option", 0, OPT_LIST, S(dns_options), .arg = "OPTION",
     .help = "Option in /etc/resolv.conf: ndots:2"},
    {"dns-search", 0, OPT_LIST, S(dns_search), .arg = "DOMAIN",
     .help = "Search domain in /etc/resolv.conf; a dot alone means none"},
    {"domainname", 0, OPT_TEXT, O(domainname), .arg = "NAME", .help = "NIS domain name"},
    {"entrypoint", 0, OPT_TEXT, R(entrypoint), R(has_entrypoint), .arg = "PROGRAM",
     .help = "Replace the image's ENTRYPOINT (and drop its CMD); an empty text clears it"},
    {"env", 'e', OPT_LIST, R(env), .arg = "KEY[=VALUE]",
     .help = "Set a variable; without a value it is taken from the environment"},
    {"env-file", 0, OPT_LIST, R(env_files), .arg = "FILE",
     .help = "Read variables from a file of KEY=VALUE lines"},
    {"expose", 0, OPT_LIST, R(expose), .arg = "PORT[/PROTOCOL]",
     .help = "Note a port that the program listens on"},
    {"gpus", 0, OPT_LIST, O(gpus), .arg = "TEXT", .hidden = true, .help = "Graphics cards"},
    {"group-add", 0, OPT_LIST, S(groups_add), .arg = "GROUP", .help = "Add a supplementary group"},
    {"health-cmd", 0, OPT_TEXT, R(health.cmd), .arg = "COMMAND",
     .help = "Program that tells whether the container is healthy"},
    {"health-interval", 0, OPT_DURATION, R(health.interval), R(health.has_interval),
     .arg = "TIME", .help = "Time between two probes (default: 30s)"},
    {"health-retries", 0, OPT_INT, R(health.retries), R(health.has_retries), .arg = "N",
     .help = "Failures in a row that make it unhealthy (default: 3)"},
    {"health-start-interval", 0, OPT_DURATION, R(health.start_interval),
     R(health.has_start_interval),
     .arg = "TIME", .help = "Time between two probes while it starts (default: 5s)"},
    {"health-start-period", 0, OPT_DURATION, R(health.start_period), R(health.has_start),
     .arg = "TIME", .help = "Time in which a failure does not count yet"},
    {"health-timeout", 0, OPT_DURATION, R(health.timeout), R(health.has_timeout), .arg = "TIME",
     .help = "How long a probe may take (default: 30s)"},
    {"hostname", 'h', OPT_TEXT, O(hostname), .arg = "NAME",
     .help = "Host name inside (default: the first 12 digits of the ID)"},
    {"init", 0, OPT_BOOL, S(init),
     .help = "Run a small init as process 1: it passes signals on and reaps orphans"},
    {"interactive", 'i', OPT_BOOL, R(interactive), .help = "Keep stdin open"},
    {"io-maxbandwidth", 0, OPT_LIST, O(windows), .hidden = true, .help = "Windows only"},
    {"io-maxiops", 0, OPT_LIST, O(windows), .hidden = true, .help = "Windows only"},
    {"ip", 0, OPT_LIST, O(endpoint), .arg = "ADDRESS", .hidden = true,
     .help = "Address in a network"},
    {"ip6", 0, OPT_LIST, O(endpoint), .arg = "ADDRESS", .hidden = true,
     .help = "Address in a network"},
    {"ipc", 0, OPT_TEXT, R(ipc_mode), .arg = "MODE",
     .help = "IPC namespace: private, shareable, none, host or container:NAME"},
    {"isolation", 0, OPT_TEXT, R(isolation), .arg = "KIND", .help = "Only 'default' is known"},
    {"kernel-memory", 0, OPT_SIZE, O(kernel_memory), .arg = "BYTES", .hidden = true,
     .help = "Kernels count this as memory"},
    {"label", 'l', OPT_LIST, R(labels), .arg = "KEY=VALUE",
     .help = "Set a label of the container"},
    {"label-file", 0, OPT_LIST, R(label_files), .arg = "FILE",
     .help = "Read labels from a file of KEY=VALUE lines"},
    {"link", 0, OPT_LIST, O(endpoint), .arg = "CONTAINER", .hidden = true,
     .help = "Name of another container in a network"},
    {"link-local-ip", 0, OPT_LIST, O(endpoint), .arg = "ADDRESS", .hidden = true,
     .help = "Address in a network"},
    {"log-driver", 0, OPT_TEXT, R(log_driver), .arg = "DRIVER", .choices = log_drivers,
     .help = "Where its output is kept: json-file (default), local, none"},
    {"log-opt", 0, OPT_LIST, R(log_opts), .arg = "KEY=VALUE",
     .help = "Option of the log: max-size=20m and max-file=5 are the defaults"},
    {"mac-address", 0, OPT_LIST, O(endpoint), .arg = "ADDRESS", .hidden = true,
     .help = "Hardware address in a network"},
    {"memory", 'm', OPT_SIZE, O(memory), .arg = "BYTES", .help = "Memory limit: 512m, 2g"},
    {"memory-reservation", 0, OPT_SIZE, O(memory_reservation), .arg = "BYTES",
     .help = "Memory that it keeps when the machine runs short"},
    {"memory-swap", 0, OPT_TEXT, O(memory_swap), .arg = "BYTES",
     .help = "Limit of memory and swap together; -1 for no limit"},
    {"memory-swappiness", 0, OPT_INT, S(memory_swappiness), S(has_swappiness), .arg = "N",
     .help = "How readily its memory goes to swap (0 to 100; cgroup v1)"},
    {"mount", 0, OPT_LIST, R(mounts), .arg = "type=T,source=S,target=T",
     .help = "Mount a folder or file (type=bind), memory (type=tmpfs) or a volume"},
    {"name", 0, OPT_TEXT, R(name), .arg = "NAME", .help = "Name of the container"},
    {"net", 0, OPT_TEXT, R(network), .choices = networks, .hidden = true,
     .help = "Same as --network"},
    {"net-alias", 0, OPT_LIST, O(endpoint), .arg = "NAME", .hidden = true,
     .help = "Same as --network-alias"},
    {"network", 0, OPT_TEXT, R(network), .arg = "MODE", .choices = networks,
     .help = "Network: none, or host for the host's own"},
    {"network-alias", 0, OPT_LIST, O(endpoint), .arg = "NAME", .hidden = true,
     .help = "Another name in a network"},
    {"no-healthcheck", 0, OPT_BOOL, R(no_healthcheck),
     .help = "Do not run the image's HEALTHCHECK"},
    {"oom-kill-disable", 0, OPT_BOOL, S(oom_kill_disable),
     .help = "Programs that reach the memory limit wait for memory (cgroup v1)"},
    {"oom-score-adj", 0, OPT_INT, O(oom_score_adj), O(has_oom), .arg = "N",
     .help = "How readily it is killed when memory runs out (-1000 to 1000)"},
    {"pid", 0, OPT_TEXT, R(pid_mode), .arg = "MODE",
     .help = "Process namespace: private, host or container:NAME"},
    {"pids-limit", 0, OPT_INT, O(pids_limit), O(has_pids), .arg = "N",
     .help = "How many processes it may have (0 or -1: no limit)"},
    {"platform", 0, OPT_TEXT, R(platform), .arg = "OS/ARCH",
     .help = "Refuse an image for another platform"},
    {"privileged", 0, OPT_BOOL, S(privileged),
     .help = "All capabilities and devices, no seccomp, no masked paths"},
    {"publish", 'p', OPT_LIST, O(ports), .arg = "PORT", .hidden = true, .help = "Publish a port"},
    {"publish-all", 'P', OPT_BOOL, O(publish_all), .hidden = true,
     .help = "Publish all exposed ports"},
    {"pull", 0, OPT_TEXT, R(pull), .arg = "WHEN", .choices = pulls,
     .help = "Fetch the image: always, missing, newer (if the registry answers), never"},
    {"quiet", 'q', OPT_BOOL, R(quiet), .help = "No notes on stderr"},
    {"read-only", 0, OPT_BOOL, S(readonly), .help = "Make the container's root read-only"},
    {"restart", 0, OPT_TEXT, R(restart), .arg = "POLICY", .choices = restarts,
     .help = "When it is started again: no, on-failure[:MAX], always, unless-stopped"},
    {"rm", 0, OPT_BOOL, R(rm),
     .help = "Remove the container and its anonymous volumes when it ends"},
    {"runtime", 0, OPT_TEXT, R(runtime), .arg = "NAME", .help = "Only 'dewar' is known"},
    {"security-opt", 0, OPT_LIST, R(security), .arg = "OPTION",
     .help = "Security option: no-new-privileges, seccomp=FILE|unconfined, systempaths=unconfined"},
    {"shm-size", 0, OPT_SIZE, O(shm_size), .arg = "BYTES",
     .help = "Size of /dev/shm (default: half of the memory, at most 64g)"},
    {"stop-signal", 0, OPT_TEXT, R(stop_signal), .arg = "SIGNAL",
     .help = "Signal that stops the container"},
    {"stop-timeout", 0, OPT_INT, R(stop_timeout), R(has_stop_timeout), .arg = "SECONDS",
     .help = "How long a stop waits before it kills (default: 10; -1: for ever)"},
    {"storage-opt", 0, OPT_LIST, O(storage), .arg = "KEY=VALUE", .hidden = true,
     .help = "Option of the storage driver"},
    {"sysctl", 0, OPT_LIST, S(sysctls), .arg = "NAME=VALUE",
     .help = "Set a kernel parameter of the container's own namespaces"},
    {.name = "tls-verify", CLI_OPT_TLS(struct opts, tls_verify)},
    {"tmpfs", 0, OPT_LIST, R(tmpfs), .arg = "PATH[:OPTIONS]",
     .help = "Mount memory at a path: /run:size=64m,mode=755"},
    {"tty", 't', OPT_BOOL, S(tty), .help = "Give it a terminal"},
    {"ulimit", 0, OPT_LIST, R(ulimits), .arg = "NAME=SOFT[:HARD]",
     .help = "Set a resource limit: nofile=1024:2048"},
    {"use-api-socket", 0, OPT_BOOL, O(api_socket), .hidden = true,
     .help = "Give it the engine's socket"},
    {"user", 'u', OPT_TEXT, O(user), .arg = "NAME|UID[:GROUP|GID]",
     .help = "Run as this user of the image"},
    {"userns", 0, OPT_TEXT, R(userns), .arg = "MODE",
     .help = "User namespace: host, auto[:size=N], nomap, keep-id[:uid=N,gid=N]"},
    {"uts", 0, OPT_TEXT, R(uts_mode), .arg = "MODE",
     .help = "Host name namespace: private, host or container:NAME"},
    {"volume", 'v', OPT_LIST, R(volumes), .arg = "SOURCE:TARGET[:ro]",
     .help = "Mount a folder or file, or a volume by its name; without a source an anonymous one"},
    {"volume-driver", 0, OPT_TEXT, R(volume_driver), .arg = "NAME",
     .help = "Driver of volumes that are made for it: only 'local' is known"},
    {"volumes-from", 0, OPT_LIST, R(volumes_from), .arg = "CONTAINER[:ro|rw]",
     .help = "The folders and volumes of another container as well"},
    {"workdir", 'w', OPT_TEXT, O(workdir), .arg = "PATH",
     .help = "Working directory inside, made when it is missing"},
    // Of `run` alone, at the end.
    {"detach", 'd', OPT_BOOL, R(detach),
     .help = "Run in the background and print the container's ID"},
    {"detach-keys", 0, OPT_TEXT, R(detach_keys), .arg = "KEYS",
     .help = "Keys that leave the terminal and let the container run (default: ctrl-p,ctrl-q)"},
    {"sig-proxy", 0, OPT_BOOL, O(sig_proxy), .initial = "true",
     .help = "Pass signals on to the program (default: true)"},
};

static int swap_value(const struct opts *o, struct sandbox_spec *s, struct err *e)
{
    uint64_t v;
    if (!o->memory_swap) return 0;
    if (strcmp(o->memory_swap, "-1") == 0) {
        s->memory_swap = -1;
        return 0;
    }
    if (num_bytes(sv_of(o->memory_swap), &v, e) < 0) return err_wrap(e, "reading --memory-swap");
    s->memory_swap = (int64_t)v;
    if (!o->memory) {
        err_set(e, ERR_USAGE, "--memory-swap needs --memory");
        return err_hint(e, "it is the limit of both together");
    }
    if (v && v < o->memory)
        return err_set(e, ERR_USAGE, "--memory-swap is smaller than --memory");
    return 0;
}

static int not_yet(const struct opts *o, struct err *e)
{
    const struct {
        bool asked;
        const char *what, *hint;
    } later[] = {
        {o->ports.n || o->publish_all, "publishing ports (-p, -P) is not supported yet",
         "with --network host the program's ports are the host's own"},
        {o->endpoint.n,
         "a network between containers (--ip, --ip6, --link, --link-local-ip, --mac-address, "
         "--network-alias) is not supported yet",
         "containers with --network host reach each other by way of the host"},
        {o->gpus.n, "choosing graphics cards by --gpus is not supported yet",
         "their device nodes come in by --device, the driver's libraries by -v"},
        {o->windows.n,
         "--cpu-count, --cpu-percent, --io-maxbandwidth and --io-maxiops are for Windows alone",
         "here it is --cpus, --device-read-bps, --device-write-iops and so on"},
        {o->storage.n, "--storage-opt is not supported: a container's layer is as large as its disk",
         "--tmpfs PATH:size=1g has an end; so has a volume on a disk of its own"},
        {o->api_socket, "--use-api-socket is not supported: no socket answers for the engine", NULL},
        {!o->no_trust, "--disable-content-trust=false: Docker's signatures of images are not supported",
         "name the image by its digest: NAME@sha256:..."},
    };
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        if (!later[i].asked) continue;
        err_set(e, ERR_UNSUPPORTED, "%s", later[i].what);
        return later[i].hint ? err_hint(e, "%s", later[i].hint) : -1;
    }
    return 0;
}

static int fill(const struct opts *o, struct container_run_options *run, struct err *e)
{
    struct sandbox_spec *s = &run->spec;
    const struct {
        char **to;
        const char *from;
    } texts[] = {{&s->workdir, o->workdir}, {&s->user, o->user}, {&s->hostname, o->hostname},
                 {&s->domainname, o->domainname}, {&s->cpuset_cpus, o->cpuset_cpus},
                 {&s->cpuset_mems, o->cpuset_mems}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) *texts[i].to = str_dup(texts[i].from);
    strv_add_all(&s->hosts_extra, &o->add_host);
    run->insecure = !o->tls_verify;
    run->no_sig_proxy = !o->sig_proxy;
    s->memory = o->memory;
    s->memory_reservation = (int64_t)o->memory_reservation;
    s->cpu_shares = o->cpu_shares;
    s->shm_size = o->shm_size;
    s->pids_limit = o->pids_limit > 0 ? o->pids_limit : 0;
    s->oom_score_adj = o->oom_score_adj;
    s->has_oom_score_adj = o->has_oom;
    s->nano_cpus = (int64_t)(o->cpus * 1e9);
    if (o->cpus < 0) return err_set(e, ERR_USAGE, "--cpus must be above zero");
    if (o->oom_score_adj < -1000 || o->oom_score_adj > 1000)
        return err_set(e, ERR_USAGE, "--oom-score-adj must lie between -1000 and 1000");
    return swap_value(o, s, e);
}

// "run IMG python x.py --env-file F": the program got the flag and could not know it.
static void misplaced_flag(const struct cli *c, const struct container_run_options *run)
{
    static const char *const flags[] = {"--env-file", "--env_file", "--volume", "--mount", "--gpus",
                                        "--publish", "--network"};
    for (size_t i = 0; i < run->args.n; i++)
        for (size_t k = 0; k < sizeof flags / sizeof *flags; k++) {
            size_t n = strlen(flags[k]);
            if (strncmp(run->args.p[i], flags[k], n) != 0 ||
                (run->args.p[i][n] != '\0' && run->args.p[i][n] != '='))
                continue;
            event_info(&c->sink,
                       "hint: '%s' stood behind the image, so the program got it; options "
                       "of %s run go before the image",
                       flags[k], c->program);
            return;
        }
}

// What both commands make of the words and options; `ro` borrows, what is added is freed by drop.
static int prepare(struct cli *c, const struct opts *o, struct container_run_options *ro,
                   struct engine *en, struct err *e)
{
    const struct strv no_list = {0};
    *ro = o->run;
    ro->spec.hosts_extra = no_list;
    ro->args = no_list;
    ro->image = c->argv[0];
    for (int i = 1; i < c->argc; i++) strv_add(&ro->args, c->argv[i]);
    if (not_yet(o, e) < 0 || fill(o, ro, e) < 0) return -1;
    if (o->kernel_memory)
        event_warn(&c->sink, "--kernel-memory is ignored: kernels count it as memory, which -m limits");
    cli_proxies(c, &ro->proxies);
    return cli_engine(c, en, e);
}

static void drop(struct container_run_options *ro)
{
    strv_fini(&ro->args);
    strv_fini(&ro->proxies);
    strv_fini(&ro->spec.hosts_extra);
    char **texts[] = {&ro->spec.workdir, &ro->spec.user, &ro->spec.hostname, &ro->spec.domainname,
                      &ro->spec.cpuset_cpus, &ro->spec.cpuset_mems};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free(*texts[i]);
}

static int run(struct cli *c, const void *options, struct err *e)
{
    const struct opts *o = options;
    struct container_run_options ro;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    char id[RECORD_ID];
    int code = 0;
    const struct image_progress mapping = cli_mapping_progress(c);
    // Those it joins may trace what comes in, also while it still is us.
    if (container_joins_processes(o->run.pid_mode) && sandbox_sealed(c->own_argv, e) < 0) return -1;
    int rc = prepare(c, options, &ro, &en, e);
    const struct image_progress progress = cli_pull_progress(c, ro.quiet);
    ro.progress = &progress;
    ro.mapping = ro.quiet ? NULL : &mapping;
    own(free) char *keys = ro.spec.tty && !ro.detach ? cli_detach_keys(c, ro.detach_keys) : NULL;
    if (keys) ro.detach_keys = keys;
    if (rc == 0) rc = container_run(&en, &ro, id, &code, e);
    if (rc == 0 && ro.detach) str_addf(&c->out, "%s\n", id);
    if (rc == 0 && code != 0) misplaced_flag(c, &ro);
    drop(&ro);
    return rc < 0 ? -1 : code;
}

static int create(struct cli *c, const void *options, struct err *e)
{
    struct container_run_options ro;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    char id[RECORD_ID];
    const struct image_progress mapping = cli_mapping_progress(c);
    int rc = prepare(c, options, &ro, &en, e);
    const struct image_progress progress = cli_pull_progress(c, ro.quiet);
    ro.progress = &progress;
    ro.mapping = ro.quiet ? NULL : &mapping;
    ro.later = true;
    if (rc == 0) rc = container_create(&en, &ro, id, e);
    if (rc == 0) str_addf(&c->out, "%s\n", id);
    drop(&ro);
    return rc;
}

static const char *const aliases[] = {"container run", NULL};
const struct cli_cmd cli_cmd_run = {
    .path = "run",
    .alias = aliases,
    .usage = "IMAGE [COMMAND] [ARG...]",
    .help = "Run a program in a new container",
    .more =
        "Options end at the image: what follows is the program's.\n\n"
        "The exit code is the program's own; 125 when the container could not be made, 126 when "
        "the program cannot be executed, 127 when it is not there, 128+N when signal N ended "
        "it.\n\n"
        "/dev/shm holds up to half of the machine's memory (at most 64g) unless --shm-size says "
        "otherwise; it takes only what is written to it, and counts towards --memory.\n\n"
        "Without --network the container has a loopback device only.",
    .examples = "dewar run --rm -it debian:bookworm bash\n    a shell that leaves nothing behind\n"
                "dewar run --rm -v \"$PWD\":/work -w /work python:3 python train.py\n"
                "    a program over the files of the current folder\n",
    CLI_OPTIONS(rows, struct opts),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_RUN,
    .stop_at_word = true,
    .run = run,
};

static const char *const create_aliases[] = {"container create", NULL};
const struct cli_cmd cli_cmd_create = {
    .path = "create",
    .alias = create_aliases,
    .usage = "IMAGE [COMMAND] [ARG...]",
    .help = "Make a container without starting it",
    .more = "Takes the options of run and prints the container's ID.",
    .examples = "dewar create --name web nginx\n    for a later 'dewar start web'\n",
    .options = rows,
    .options_n = sizeof rows / sizeof *rows - RUN_ONLY,
    .options_size = sizeof(struct opts),
    .min_words = 1,
    .max_words = -1,
    .family = CLI_RUN,
    .stop_at_word = true,
    .run = create,
};
