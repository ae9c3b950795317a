// SPDX-License-Identifier: Apache-2.0
// `dewar build`: fills the verb's options and prints what it returns.
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "build/build.h"
#include "build/output.h"
#include "cli/cli.h"
#include "cli/commands.h"

struct opts {
    struct strv tags, build_args, labels, secrets, ssh, contexts, add_hosts, ulimits;
    struct strv no_cache_filter, outputs, allow, cache_from, cache_to;
    const char *file, *target, *platform, *network, *call, *timestamp, *iidfile, *metadata;
    int timestamps, progress, pull;
    const char *lock_file;
    bool locked;
    bool quiet, no_cache, no_scrub, check_repro, shell_on_fail, check, load, force_rm, rm, push;
    bool tls_verify, compress, squash, content_trust;
    uint64_t shm_size, memory, cpu_shares;
    int64_t cpu_period, cpu_quota;
    const char *memory_swap, *cpuset_cpus, *cpuset_mems;
    const char *isolation, *cgroup_parent, *provenance, *sbom, *builder, *format;
    struct strv security, attest, annotations;
    uint64_t jobs;
};

static const char *const timestamps[] = {"logical", "now", NULL};
static const char *const pulls[] = {"missing", "always", "newer", "never", NULL};
static const char *const calls[] = {"build", "check", "outline", "targets", NULL};

#define O(member) OPT_AT(struct opts, member)
static const struct opt rows[] = {
    {.name = "add-host", .type = OPT_LIST, .offset = O(add_hosts), .arg = "NAME:IP",
     .help = "Add a line to /etc/hosts of RUN steps"},
    {.name = "allow", .type = OPT_LIST, .offset = O(allow), .arg = "RIGHT",
     .help = "Let the Dockerfile ask for it: security.insecure, network.host"},
    {.name = "annotation", .type = OPT_LIST, .offset = O(annotations), .arg = "KEY=VALUE",
     .help = "Note something in the image's manifest"},
    {.name = "attest", .type = OPT_LIST, .offset = O(attest), .hidden = true,
     .help = "Refused: no attestations are written"},
    {.name = "build-arg", .type = OPT_LIST, .offset = O(build_args), .arg = "NAME[=VALUE]",
     .help = "Set an ARG; without a value it is taken from the environment"},
    {.name = "build-context", .type = OPT_LIST, .offset = O(contexts), .arg = "NAME=SOURCE",
     .help = "One more context, for FROM, COPY --from and RUN --mount=from: a folder, a git "
             "repository, an archive's URL, docker-image://NAME, oci-layout://FOLDER[:TAG]"},
    {.name = "builder", .type = OPT_TEXT, .offset = O(builder), .hidden = true,
     .help = "Accepted: default, there is no other"},
    {.name = "cache-from", .type = OPT_LIST, .offset = O(cache_from),
     .arg = "IMAGE|type=T,...",
     .help = "Use a build cache: an image, type=registry,ref=NAME, type=local,src=FOLDER"},
    {.name = "cache-to", .type = OPT_LIST, .offset = O(cache_to), .arg = "type=T,...",
     .help = "Write the build cache: inline, registry (ref=), local (dest=); mode=min|max"},
    {.name = "call", .type = OPT_TEXT, .offset = O(call), .arg = "METHOD[,format=json]",
     .help = "Do not build: check the Dockerfile, list its arguments (outline) or its targets"},
    {.name = "cgroup-parent", .type = OPT_TEXT, .offset = O(cgroup_parent), .hidden = true,
     .help = "Refused: steps with limits have groups of their own"},
    {.name = "check", .type = OPT_BOOL, .offset = O(check), .help = "Same as --call=check"},
    {.name = "check-repro", .type = OPT_BOOL, .offset = O(check_repro),
     .help = "Build twice from nothing under different conditions and show what differs"},
    {.name = "compress", .type = OPT_BOOL, .offset = O(compress), .hidden = true,
     .help = "Accepted: the context is sent nowhere"},
    {.name = "cpu-period", .type = OPT_INT, .offset = O(cpu_period), .arg = "MICROSECONDS",
     .help = "Length of the time slices that --cpu-quota is a part of, for RUN steps"},
    {.name = "cpu-quota", .type = OPT_INT, .offset = O(cpu_quota), .arg = "MICROSECONDS",
     .help = "CPU time that a RUN step may take in each slice"},
    {.name = "cpu-shares", .letter = 'c', .type = OPT_UINT, .offset = O(cpu_shares), .arg = "N",
     .help = "Share of the CPUs that a RUN step gets when they are busy (1024 is usual)"},
    {.name = "cpuset-cpus", .type = OPT_TEXT, .offset = O(cpuset_cpus), .arg = "LIST",
     .help = "Which CPUs RUN steps may use: 0-3,7"},
    {.name = "cpuset-mems", .type = OPT_TEXT, .offset = O(cpuset_mems), .arg = "LIST",
     .help = "Which memory nodes RUN steps may use"},
    {.name = "disable-content-trust", .type = OPT_BOOL, .offset = O(content_trust), .hidden = true,
     .initial = "true", .help = "Accepted: images are named by digest, not signed"},
    {.name = "file", .letter = 'f', .type = OPT_TEXT, .offset = O(file), .arg = "FILE",
     .help = "Dockerfile (default: CONTEXT/Dockerfile; - is stdin)"},
    {.name = "force-rm", .type = OPT_BOOL, .offset = O(force_rm), .hidden = true,
     .help = "Accepted: nothing is ever left behind"},
    {.name = "format", .type = OPT_TEXT, .offset = O(format), .hidden = true,
     .help = "Accepted: oci, there is no other"},
    {.name = "iidfile", .type = OPT_TEXT, .offset = O(iidfile), .arg = "FILE",
     .help = "Write the image ID to a file"},
    {.name = "isolation", .type = OPT_TEXT, .offset = O(isolation), .hidden = true,
     .help = "Accepted: default, there is no other"},
    {.name = "jobs", .type = OPT_UINT, .offset = O(jobs), .arg = "N",
     .help = "Steps that may run at the same time (default: one per CPU)"},
    {.name = "label", .type = OPT_LIST, .offset = O(labels), .arg = "KEY=VALUE",
     .help = "Set a label of the image"},
    {.name = "load", .type = OPT_BOOL, .offset = O(load), .hidden = true,
     .help = "Accepted: images always go to the store"},
    {.name = "lock-file", .type = OPT_TEXT, .offset = O(lock_file), .arg = "FILE",
     .help = "The lock (default: dewar.lock beside the Dockerfile)"},
    {.name = "locked", .type = OPT_BOOL, .offset = O(locked),
     .help = "Take from outside exactly what the lock names"},
    {.name = "memory", .letter = 'm', .type = OPT_SIZE, .offset = O(memory), .arg = "BYTES",
     .help = "Limit of a RUN step's memory"},
    {.name = "memory-swap", .type = OPT_TEXT, .offset = O(memory_swap), .arg = "BYTES",
     .help = "Limit of a RUN step's memory and swap together; -1 for no limit"},
    {.name = "metadata-file", .type = OPT_TEXT, .offset = O(metadata), .arg = "FILE",
     .help = "Write the result's digests to a JSON file"},
    {.name = "network", .type = OPT_TEXT, .offset = O(network), .arg = "MODE",
     .help = "Network of RUN steps: default, host, none"},
    {.name = "no-cache", .type = OPT_BOOL, .offset = O(no_cache), .help = "Run every step again"},
    {.name = "no-cache-filter", .type = OPT_LIST, .offset = O(no_cache_filter), .arg = "STAGE",
     .help = "Run the steps of these stages again"},
    {.name = "no-scrub", .type = OPT_BOOL, .offset = O(no_scrub),
     .help = "Keep log and cache files that differ between equal builds"},
    {.name = "output", .letter = 'o', .type = OPT_LIST, .offset = O(outputs), .arg = "type=T,dest=D",
     .help = "Where the result goes: local, tar, oci, docker, image[,name=N][,push=true], registry"},
    {.name = "platform", .type = OPT_TEXT, .offset = O(platform), .arg = "OS/ARCH",
     .help = "Platform to build for"},
    {.name = "progress", CLI_OPT_PROGRESS(struct opts, progress)},
    {.name = "provenance", .type = OPT_TEXT, .offset = O(provenance), .hidden = true,
     .help = "Accepted: false, no attestations are written"},
    {.name = "pull", .type = OPT_ENUM, .offset = O(pull), .choices = pulls, .implied = "always",
     .arg = "WHEN", .help = "Fetch images: missing, always, newer (if the registry answers), never"},
    {.name = "push", .type = OPT_BOOL, .offset = O(push),
     .help = "Push every name of the image to its registry"},
    {.name = "quiet", .letter = 'q', .type = OPT_BOOL, .offset = O(quiet),
     .help = "Print only the image ID"},
    {.name = "rm", .type = OPT_BOOL, .offset = O(rm), .hidden = true,
     .help = "Accepted: nothing is ever left behind"},
    {.name = "sbom", .type = OPT_TEXT, .offset = O(sbom), .hidden = true,
     .help = "Accepted: false, no attestations are written"},
    {.name = "secret", .type = OPT_LIST, .offset = O(secrets), .arg = "id=ID[,src=FILE|env=VAR]",
     .help = "Give RUN --mount=type=secret a secret"},
    {.name = "security-opt", .type = OPT_LIST, .offset = O(security), .arg = "OPTION",
     .help = "Security option of RUN steps: seccomp=unconfined, no-new-privileges"},
    {.name = "shell-on-fail", .type = OPT_BOOL, .offset = O(shell_on_fail),
     .help = "Open a shell in the failed step, on a terminal"},
    {.name = "shm-size", .type = OPT_SIZE, .offset = O(shm_size), .help = "Size of /dev/shm in RUN"},
    {.name = "squash", .type = OPT_BOOL, .offset = O(squash), .hidden = true,
     .help = "Refused: a stage of its own does it"},
    {.name = "ssh", .type = OPT_LIST, .offset = O(ssh), .arg = "default|ID[=SOCKET|=KEY[,KEY]]",
     .help = "Give RUN --mount=type=ssh an agent, or one of its own with these keys"},
    {.name = "tag", .letter = 't', .type = OPT_LIST, .offset = O(tags), .arg = "NAME[:TAG]",
     .help = "Name the image"},
    {.name = "target", .type = OPT_TEXT, .offset = O(target), .arg = "STAGE",
     .help = "Build this stage (default: the last)"},
    {.name = "timestamp", .type = OPT_TEXT, .offset = O(timestamp), .arg = "SECONDS|git",
     .help = "One time for everything in the new layers"},
    {.name = "timestamps", .type = OPT_ENUM, .offset = O(timestamps), .choices = timestamps,
     .arg = "KIND", .help = "logical: the same in every build; now: the wall clock"},
    {.name = "tls-verify", CLI_OPT_TLS(struct opts, tls_verify)},
    {.name = "ulimit", .type = OPT_LIST, .offset = O(ulimits), .arg = "NAME=SOFT[:HARD]",
     .help = "Limit of RUN steps"},
};

static struct build_options to_verb(const struct opts *o, const char *context)
{
    return (struct build_options){
        .context = context,
        .file = o->file,
        .target = o->target,
        .platform = o->platform,
        .network = o->network,
        .timestamp = o->timestamp,
        .timestamps = (enum build_timestamps)o->timestamps,
        .tags = &o->tags,
        .build_args = &o->build_args,
        .labels = &o->labels,
        .secrets = &o->secrets,
        .ssh = &o->ssh,
        .annotations = &o->annotations,
        .contexts = &o->contexts,
        .add_hosts = &o->add_hosts,
        .ulimits = &o->ulimits,
        .no_cache_filter = &o->no_cache_filter,
        .outputs = &o->outputs,
        .allow = &o->allow,
        .cache_from = &o->cache_from,
        .cache_to = &o->cache_to,
        .iidfile = o->iidfile,
        .push = o->push,
        .metadata_file = o->metadata,
        .pull = (enum image_pull_policy)o->pull,
        .insecure = !o->tls_verify,
        .locked = o->locked,
        .lock_file = o->lock_file,
        .no_cache = o->no_cache,
        .no_scrub = o->no_scrub,
        .shell_on_fail = o->shell_on_fail,
        .shm_size = o->shm_size,
        .memory = o->memory,
        .memory_swap = o->memory_swap,
        .cpu_shares = o->cpu_shares,
        .cpu_period = o->cpu_period,
        .cpu_quota = o->cpu_quota,
        .cpuset_cpus = o->cpuset_cpus,
        .cpuset_mems = o->cpuset_mems,
        .security = &o->security,
        .jobs = o->jobs > 1024 ? 1024 : (unsigned)o->jobs,
    };
}

static bool is_one(const char *given, const char *const *fine)
{
    if (!given) return true;
    while (*fine && strcmp(given, *fine) != 0) fine++;
    return *fine != NULL;
}

// Options of Docker's and Podman's build with values that ask for something that is not there.
static int refuse(const struct opts *o, struct err *e)
{
    static const char *const isolations[] = {"", "default", NULL}, *const no[] = {"false", "0", NULL};
    static const char *const builders[] = {"", "default", NULL}, *const formats[] = {"oci", NULL};
    static const char attested[] = "dewar writes no attestations: leave it out, or say =false";
    const struct {
        bool asked;
        const char *what, *hint;
    } wishes[] = {
        {!is_one(o->isolation, isolations), "--isolation",
         "RUN steps have one kind of sandbox: leave it out"},
        {!is_one(o->builder, builders), "--builder", "there is no other builder: leave it out"},
        {!is_one(o->format, formats), "--format",
         "images are OCI images, with HEALTHCHECK, SHELL and ONBUILD kept: leave it out"},
        {!is_one(o->provenance, no), "--provenance", attested},
        {!is_one(o->sbom, no), "--sbom", attested},
        {o->attest.n, "--attest", attested},
        {o->cgroup_parent, "--cgroup-parent",
         "limits of RUN steps: --memory, --cpu-quota, --cpuset-cpus"},
        {o->squash, "--squash", "a last stage does it: FROM scratch, and COPY --from=STAGE / /"},
        {!o->content_trust, "--disable-content-trust=false",
         "signatures are not checked; a lock pins what is taken: dewar lock"},
    };
    for (size_t i = 0; i < sizeof wishes / sizeof *wishes; i++) {
        if (!wishes[i].asked) continue;
        err_set(e, ERR_USAGE, "%s is not possible here", wishes[i].what);
        return err_hint(e, "%s", wishes[i].hint);
    }
    return 0;
}

static int check_repro(struct cli *c, struct engine *en, const struct build_options *opt,
                       struct err *e)
{
    struct build_result result;
    int rc = build_check_repro(en, opt, &result, &c->out, e);
    cli_render_end(c, rc == 0);
    if (rc < 0) return -1;
    if (rc == 0) {
        char id[OCI_DIGEST_TEXT];
        str_addf(&c->out, "reproducible: %s\n", oci_digest_print(&result.image, id));
    }
    return rc;
}

// METHOD[,format=json|text]
static int read_call(const struct opts *o, enum build_call *out, bool *out_json, struct err *e)
{
    struct sv rest = sv_of(o->call ? o->call : ""), method = sv_cut(&rest, ',');
    *out = o->check ? BUILD_CALL_CHECK : BUILD_CALL_BUILD;
    *out_json = false;
    if (!o->call) return 0;
    size_t i = 0;
    while (calls[i] && !sv_eqz(method, calls[i])) i++;
    if (!calls[i] || (rest.p && !sv_eqz(rest, "format=json") && !sv_eqz(rest, "format=text"))) {
        err_set(e, ERR_USAGE, "invalid argument '%s' for '--call'", o->call);
        return err_hint(e, "one of build, check, outline, targets; behind it may stand ,format=json");
    }
    *out = (enum build_call)i;
    *out_json = sv_eqz(rest, "format=json");
    return 0;
}

// What came out, on stderr: in the stream of objects where that is what is asked for.
static void tell(struct cli *c, bool as_events, const char *what, const char *name)
{
    if (as_events) event_info(&c->sink, "%s %s", what, name);
    else fprintf(stderr, "%s %s\n", what, name);
}

static int run(struct cli *c, const void *options, struct err *e)
{
    const struct opts *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    const char *context = c->argc ? c->argv[0] : ".";
    own(strv) struct strv proxies = {0};
    struct build_options opt = to_verb(o, context);
    cli_proxies(c, &proxies);
    opt.proxies = &proxies;
    enum build_call call;
    bool json;
    if (refuse(o, e) < 0 || read_call(o, &call, &json, e) < 0) return -1;
    if (call != BUILD_CALL_BUILD) {
        if (cli_engine(c, &en, e) < 0) return -1;
        return build_call(&en, &opt, call, json, &c->out, e);
    }
    enum cli_progress progress = o->quiet ? CLI_PROGRESS_QUIET : (enum cli_progress)o->progress;
    if (cli_render_begin(c, progress, "Building", e) < 0 || cli_engine(c, &en, e) < 0) return -1;
    if (c->argc == 0) event_info(&en.sink, "no context given: using the current folder");
    if (o->check_repro) return check_repro(c, &en, &opt, e);
    struct build_result result;
    if (build_image(&en, &opt, &result, e) < 0) {
        cli_render_end(c, false);
        if (result.excerpt[0]) fputs(result.excerpt, stderr);
        return -1;
    }
    bool as_events = cli_render_is_json(c), has_image = oci_digest_is_set(&result.image);
    if (!as_events) cli_render_end(c, true);
    own(build_outputs) struct build_outputs outs = {0};
    char id[OCI_DIGEST_TEXT] = "";
    if (has_image) oci_digest_print(&result.image, id);
    if (has_image && o->quiet && !result.to_stdout) str_addf(&c->out, "%s\n", id);
    if (has_image && !o->quiet) {
        tell(c, as_events, "image", id);
        if (build_outputs_read(&opt, &outs, e) < 0) return -1;
        for (size_t i = 0; i < outs.names.n; i++) tell(c, as_events, "named", outs.names.p[i]);
    }
    if (as_events) cli_render_end(c, true);
    return 0;
}

static const char *const alias[] = {"image build", "buildx build", "builder build", NULL};

const struct cli_cmd cli_cmd_build = {
    .path = "build",
    .alias = alias,
    .usage = "[CONTEXT|URL|-]",
    .help = "Build an image from a Dockerfile",
    .more = "The context is a folder, - for a tar or a Dockerfile on stdin, a git "
            "repository (https://host/x.git#branch:folder), or the URL of an archive. Building the same "
            "context on the same base gives the same image ID, on another day, as another user, on "
            "another machine; docs/reproducible.md says how and where the limits are.",
    .examples = "dewar build -t digits .\n"
                "    build the Dockerfile of this folder and name the image\n"
                "dewar build --build-arg VERSION=1.2 --target test .\n"
                "    set an ARG and stop at the stage 'test'\n"
                "dewar build https://example.org/digits.git#main:app\n"
                "    build the folder app of a repository's branch main\n"
                "dewar build --cache-from type=local,src=c --cache-to type=local,dest=c,mode=max .\n"
                "    take over what an earlier build left in a folder, and leave it there again\n"
                "dewar build -o type=local,dest=out .\n"
                "    write the files of the result to a folder\n",
    CLI_OPTIONS(rows, struct opts),
    .max_words = 1,
    .family = CLI_DOCKER,
    .layers = true, .run = run,
};
