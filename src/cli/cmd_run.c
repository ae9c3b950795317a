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

struct opts {
    struct container_run_options run; // lists and texts go straight in
    const char *workdir, *user, *hostname, *domainname, *cpuset_cpus, *cpuset_mems;
    const char *memory_swap;
    uint64_t memory, memory_reservation, cpu_shares, shm_size;
    int64_t pids_limit, oom_score_adj;
    double cpus;
    bool has_oom, has_pids, tls_verify;
    struct strv add_host;
    struct strv ports, gpus, endpoint; // not supported yet; the last: of a network of containers
    bool publish_all;
    const char *sig_proxy;
};

#define O(member) OPT_AT(struct opts, member)
#define R(member) OPT_AT(struct opts, run.member)
#define S(member) OPT_AT(struct opts, run.spec.member)

static const char *const pulls[] = {"always", "missing", "newer", "never", NULL};
static const char *const networks[] = {"host", "none", NULL};

static const char *const log_drivers[] = {"json-file", "local", "none", NULL};
static const char *const restarts[] = {"no", "on-failure", "always", "unless-stopped", NULL};

#define RUN_ONLY 3  // rows at the end that `create` does not have
static const struct opt rows[] = {
    {.name = "add-host",
     .type = OPT_LIST,
     .offset = O(add_host),
     .arg = "NAME:IP",
     .help = "Add a line to /etc/hosts"},
    {.name = "blkio-weight",
     .type = OPT_INT,
     .offset = S(blkio_weight),
     .arg = "N",
     .help = "Weight of its disk access against others (10 to 1000)"},
    {.name = "cap-add",
     .type = OPT_LIST,
     .offset = S(cap_add),
     .arg = "CAP",
     .help = "Give the container a capability"},
    {.name = "cap-drop",
     .type = OPT_LIST,
     .offset = S(cap_drop),
     .arg = "CAP",
     .help = "Take a capability away"},
    {.name = "cidfile",
     .type = OPT_TEXT,
     .offset = R(cidfile),
     .arg = "FILE",
     .help = "Write the container's ID to a file that does not exist yet"},
    {.name = "cpu-period",
     .type = OPT_INT,
     .offset = S(cpu_period),
     .arg = "MICROSECONDS",
     .help = "Length of the time slices that --cpu-quota is a part of (default: 100000)"},
    {.name = "cpu-quota",
     .type = OPT_INT,
     .offset = S(cpu_quota),
     .arg = "MICROSECONDS",
     .help = "CPU time it gets in each period; -1 for no limit"},
    {.name = "cpu-shares",
     .letter = 'c',
     .type = OPT_UINT,
     .offset = O(cpu_shares),
     .arg = "N",
     .help = "Weight of its CPU time against others (1024 is one share)"},
    {.name = "cpus",
     .type = OPT_REAL,
     .offset = O(cpus),
     .arg = "N",
     .help = "How many CPUs it may use: 1.5"},
    {.name = "cpuset-cpus",
     .type = OPT_TEXT,
     .offset = O(cpuset_cpus),
     .arg = "LIST",
     .help = "Which CPUs it may use: 0-3,6"},
    {.name = "cpuset-mems",
     .type = OPT_TEXT,
     .offset = O(cpuset_mems),
     .arg = "LIST",
     .help = "Which memory nodes it may use"},
    {.name = "device",
     .type = OPT_LIST,
     .offset = R(devices),
     .arg = "HOST[:TARGET[:rwm]]",
     .help = "Add a device of the host; a folder adds all in it"},
    {.name = "device-cgroup-rule",
     .type = OPT_LIST,
     .offset = S(device_rules),
     .arg = "RULE",
     .help = "Devices that it may use when it makes their nodes itself: 'c 188:* rwm'"},
    {.name = "domainname",
     .type = OPT_TEXT,
     .offset = O(domainname),
     .arg = "NAME",
     .help = "NIS domain name"},
    {.name = "entrypoint",
     .type = OPT_TEXT,
     .offset = R(entrypoint),
     .given = R(has_entrypoint),
     .arg = "PROGRAM",
     .help = "Replace the image's ENTRYPOINT (and drop its CMD); an empty text clears it"},
    {.name = "env",
     .letter = 'e',
     .type = OPT_LIST,
     .offset = R(env),
     .arg = "KEY[=VALUE]",
     .help = "Set a variable; without a value it is taken from the environment"},
    {.name = "env-file",
     .type = OPT_LIST,
     .offset = R(env_files),
     .arg = "FILE",
     .help = "Read variables from a file of KEY=VALUE lines"},
    {.name = "expose",
     .type = OPT_LIST,
     .offset = R(expose),
     .arg = "PORT[/PROTOCOL]",
     .help = "Note a port that the program listens on"},
    {.name = "gpus",
     .type = OPT_LIST,
     .offset = O(gpus),
     .hidden = true,
     .arg = "TEXT",
     .help = "Graphics cards"},
    {.name = "group-add",
     .type = OPT_LIST,
     .offset = S(groups_add),
     .arg = "GROUP",
     .help = "Add a supplementary group"},
    {.name = "health-cmd",
     .type = OPT_TEXT,
     .offset = R(health.cmd),
     .arg = "COMMAND",
     .help = "Program that tells whether the container is healthy"},
    {.name = "health-interval",
     .type = OPT_DURATION,
     .offset = R(health.interval),
     .given = R(health.has_interval),
     .arg = "TIME",
     .help = "Time between two probes (default: 30s)"},
    {.name = "health-retries",
     .type = OPT_INT,
     .offset = R(health.retries),
     .given = R(health.has_retries),
     .arg = "N",
     .help = "Failures in a row that make it unhealthy (default: 3)"},
    {.name = "health-start-interval",
     .type = OPT_DURATION,
     .offset = R(health.start_interval),
     .given = R(health.has_start_interval),
     .arg = "TIME",
     .help = "Time between two probes while it starts (default: 5s)"},
    {.name = "health-start-period",
     .type = OPT_DURATION,
     .offset = R(health.start_period),
     .given = R(health.has_start),
     .arg = "TIME",
     .help = "Time in which a failure does not count yet"},
    {.name = "health-timeout",
     .type = OPT_DURATION,
     .offset = R(health.timeout),
     .given = R(health.has_timeout),
     .arg = "TIME",
     .help = "How long a probe may take (default: 30s)"},
    {.name = "hostname",
     .letter = 'h',
     .type = OPT_TEXT,
     .offset = O(hostname),
     .arg = "NAME",
     .help = "Host name inside (default: the first 12 digits of the ID)"},
    {.name = "init",
     .type = OPT_BOOL,
     .offset = S(init),
     .help = "Run a small init as process 1: it passes signals on and reaps orphans"},
    {.name = "interactive",
     .letter = 'i',
     .type = OPT_BOOL,
     .offset = R(interactive),
     .help = "Keep stdin open"},
    {.name = "ip",
     .type = OPT_LIST,
     .offset = O(endpoint),
     .hidden = true,
     .arg = "ADDRESS",
     .help = "Address in a network"},
    {.name = "ip6",
     .type = OPT_LIST,
     .offset = O(endpoint),
     .hidden = true,
     .arg = "ADDRESS",
     .help = "Address in a network"},
    {.name = "ipc",
     .type = OPT_TEXT,
     .offset = R(ipc_mode),
     .arg = "MODE",
     .help = "IPC namespace: private, shareable, none, host or container:NAME"},
    {.name = "label",
     .letter = 'l',
     .type = OPT_LIST,
     .offset = R(labels),
     .arg = "KEY=VALUE",
     .help = "Set a label of the container"},
    {.name = "label-file",
     .type = OPT_LIST,
     .offset = R(label_files),
     .arg = "FILE",
     .help = "Read labels from a file of KEY=VALUE lines"},
    {.name = "link",
     .type = OPT_LIST,
     .offset = O(endpoint),
     .hidden = true,
     .arg = "CONTAINER",
     .help = "Name of another container in a network"},
    {.name = "log-driver",
     .type = OPT_TEXT,
     .offset = R(log_driver),
     .choices = log_drivers,
     .arg = "DRIVER",
     .help = "Where its output is kept: json-file (default), local, none"},
    {.name = "log-opt",
     .type = OPT_LIST,
     .offset = R(log_opts),
     .arg = "KEY=VALUE",
     .help = "Option of the log: max-size=20m and max-file=5 are the defaults"},
    {.name = "mac-address",
     .type = OPT_LIST,
     .offset = O(endpoint),
     .hidden = true,
     .arg = "ADDRESS",
     .help = "Hardware address in a network"},
    {.name = "memory",
     .letter = 'm',
     .type = OPT_SIZE,
     .offset = O(memory),
     .arg = "BYTES",
     .help = "Memory limit: 512m, 2g"},
    {.name = "memory-reservation",
     .type = OPT_SIZE,
     .offset = O(memory_reservation),
     .arg = "BYTES",
     .help = "Memory that it keeps when the machine runs short"},
    {.name = "memory-swap",
     .type = OPT_TEXT,
     .offset = O(memory_swap),
     .arg = "BYTES",
     .help = "Limit of memory and swap together; -1 for no limit"},
    {.name = "mount",
     .type = OPT_LIST,
     .offset = R(mounts),
     .arg = "type=T,source=S,target=T",
     .help = "Mount a folder or file (type=bind), memory (type=tmpfs) or a volume"},
    {.name = "name",
     .type = OPT_TEXT,
     .offset = R(name),
     .arg = "NAME",
     .help = "Name of the container"},
    {.name = "net",
     .type = OPT_TEXT,
     .offset = R(network),
     .choices = networks,
     .hidden = true,
     .help = "Same as --network"},
    {.name = "network",
     .type = OPT_TEXT,
     .offset = R(network),
     .choices = networks,
     .arg = "MODE",
     .help = "Network: none, or host for the host's own"},
    {.name = "network-alias",
     .type = OPT_LIST,
     .offset = O(endpoint),
     .hidden = true,
     .arg = "NAME",
     .help = "Another name in a network"},
    {.name = "no-healthcheck",
     .type = OPT_BOOL,
     .offset = R(no_healthcheck),
     .help = "Do not run the image's HEALTHCHECK"},
    {.name = "oom-score-adj",
     .type = OPT_INT,
     .offset = O(oom_score_adj),
     .given = O(has_oom),
     .arg = "N",
     .help = "How readily it is killed when memory runs out (-1000 to 1000)"},
    {.name = "pid",
     .type = OPT_TEXT,
     .offset = R(pid_mode),
     .arg = "MODE",
     .help = "Process namespace: private, host or container:NAME"},
    {.name = "pids-limit",
     .type = OPT_INT,
     .offset = O(pids_limit),
     .given = O(has_pids),
     .arg = "N",
     .help = "How many processes it may have (0 or -1: no limit)"},
    {.name = "platform",
     .type = OPT_TEXT,
     .offset = R(platform),
     .arg = "OS/ARCH",
     .help = "Refuse an image for another platform"},
    {.name = "privileged",
     .type = OPT_BOOL,
     .offset = S(privileged),
     .help = "All capabilities and devices, no seccomp, no masked paths"},
    {.name = "publish",
     .letter = 'p',
     .type = OPT_LIST,
     .offset = O(ports),
     .hidden = true,
     .arg = "PORT",
     .help = "Publish a port"},
    {.name = "publish-all",
     .letter = 'P',
     .type = OPT_BOOL,
     .offset = O(publish_all),
     .hidden = true,
     .help = "Publish all exposed ports"},
    {.name = "pull",
     .type = OPT_TEXT,
     .offset = R(pull),
     .choices = pulls,
     .arg = "WHEN",
     .help = "Fetch the image: always, missing, newer (if the registry answers), never"},
    {.name = "quiet",
     .letter = 'q',
     .type = OPT_BOOL,
     .offset = R(quiet),
     .help = "No notes on stderr"},
    {.name = "read-only",
     .type = OPT_BOOL,
     .offset = S(readonly),
     .help = "Make the container's root read-only"},
    {.name = "restart",
     .type = OPT_TEXT,
     .offset = R(restart),
     .choices = restarts,
     .arg = "POLICY",
     .help = "When it is started again: no, on-failure[:MAX], always, unless-stopped"},
    {.name = "rm",
     .type = OPT_BOOL,
     .offset = R(rm),
     .help = "Remove the container and its anonymous volumes when it ends"},
    {.name = "security-opt",
     .type = OPT_LIST,
     .offset = R(security),
     .arg = "OPTION",
     .help = "Security option: no-new-privileges, seccomp=FILE|unconfined, systempaths=unconfined"},
    {.name = "shm-size",
     .type = OPT_SIZE,
     .offset = O(shm_size),
     .arg = "BYTES",
     .help = "Size of /dev/shm (default: half of the memory, at most 64g)"},
    {.name = "stop-signal",
     .type = OPT_TEXT,
     .offset = R(stop_signal),
     .arg = "SIGNAL",
     .help = "Signal that stops the container"},
    {.name = "stop-timeout",
     .type = OPT_INT,
     .offset = R(stop_timeout),
     .given = R(has_stop_timeout),
     .arg = "SECONDS",
     .help = "How long a stop waits before it kills (default: 10; -1: for ever)"},
    {.name = "sysctl",
     .type = OPT_LIST,
     .offset = S(sysctls),
     .arg = "NAME=VALUE",
     .help = "Set a kernel parameter of the container's own namespaces"},
    {.name = "tls-verify", CLI_OPT_TLS(struct opts, tls_verify)},
    {.name = "tmpfs",
     .type = OPT_LIST,
     .offset = R(tmpfs),
     .arg = "PATH[:OPTIONS]",
     .help = "Mount memory at a path: /run:size=64m,mode=755"},
    {.name = "tty",
     .letter = 't',
     .type = OPT_BOOL,
     .offset = S(tty),
     .help = "Give it a terminal"},
    {.name = "ulimit",
     .type = OPT_LIST,
     .offset = R(ulimits),
     .arg = "NAME=SOFT[:HARD]",
     .help = "Set a resource limit: nofile=1024:2048"},
    {.name = "user",
     .letter = 'u',
     .type = OPT_TEXT,
     .offset = O(user),
     .arg = "NAME|UID[:GROUP|GID]",
     .help = "Run as this user of the image"},
    {.name = "userns",
     .type = OPT_TEXT,
     .offset = R(userns),
     .arg = "MODE",
     .help = "User namespace: host, auto[:size=N], nomap, keep-id[:uid=N,gid=N]"},
    {.name = "uts",
     .type = OPT_TEXT,
     .offset = R(uts_mode),
     .arg = "MODE",
     .help = "Host name namespace: private, host or container:NAME"},
    {.name = "volume",
     .letter = 'v',
     .type = OPT_LIST,
     .offset = R(volumes),
     .arg = "SOURCE:TARGET[:ro]",
     .help = "Mount a folder or file, or a volume by its name; without a source an anonymous one"},
    {.name = "volumes-from",
     .type = OPT_LIST,
     .offset = R(volumes_from),
     .arg = "CONTAINER[:ro|rw]",
     .help = "The folders and volumes of another container as well"},
    {.name = "workdir",
     .letter = 'w',
     .type = OPT_TEXT,
     .offset = O(workdir),
     .arg = "PATH",
     .help = "Working directory inside, made when it is missing"},
    // Of `run` alone, at the end.
    {.name = "detach",
     .letter = 'd',
     .type = OPT_BOOL,
     .offset = R(detach),
     .help = "Run in the background and print the container's ID"},
    {.name = "detach-keys",
     .type = OPT_TEXT,
     .offset = R(detach_keys),
     .arg = "KEYS",
     .help = "Keys that leave the terminal and let the container run (default: ctrl-p,ctrl-q)"},
    {.name = "sig-proxy",
     .type = OPT_TEXT,
     .offset = O(sig_proxy),
     .implied = "true",
     .arg = "BOOL",
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
        {o->ports.n || o->publish_all, "publishing ports (-p, -P) is",
         "with --network host the program's ports are the host's own"},
        {o->endpoint.n, "a network between containers (--ip, --link, --mac-address, --network-alias) is",
         "containers with --network host reach each other by way of the host"},
        {o->gpus.n, "choosing graphics cards by --gpus is",
         "their device nodes come in by --device, the driver's libraries by -v"},
    };
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        if (!later[i].asked) continue;
        err_set(e, ERR_UNSUPPORTED, "%s not supported yet", later[i].what);
        return err_hint(e, "%s", later[i].hint);
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
    run->no_sig_proxy = o->sig_proxy && strcmp(o->sig_proxy, "false") == 0;
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
    struct container_run_options ro;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    char id[RECORD_ID];
    int code = 0;
    const struct image_progress progress = cli_pull_progress(c), mapping = cli_mapping_progress(c);
    int rc = prepare(c, options, &ro, &en, e);
    ro.progress = ro.quiet ? NULL : &progress;
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
    const struct image_progress progress = cli_pull_progress(c), mapping = cli_mapping_progress(c);
    int rc = prepare(c, options, &ro, &en, e);
    ro.progress = ro.quiet ? NULL : &progress;
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
