// SPDX-License-Identifier: Apache-2.0
// What `features` and `spec` print: which parts of the specification there are, and a bundle to
// begin with.
#include <assert.h>
#include <sched.h>
#include <unistd.h>

#include "base/own.h"
#include "bundle/bundle.h"
#include "bundle/internal.h"
#include "sandbox/caps.h"

static struct codec_json *texts(const char *const *list)
{
    struct codec_json *out = codec_json_new_array();
    for (size_t i = 0; list[i]; i++) codec_json_add(out, codec_json_new_text(sv_of(list[i])));
    return out;
}

static struct codec_json *enabled(bool yes)
{
    struct codec_json *out = codec_json_new_object();
    codec_json_set(out, "enabled", codec_json_new_bool(yes));
    return out;
}

static struct codec_json *seccomp_part(void)
{
    static const char *const actions[] = {"SCMP_ACT_ALLOW",       "SCMP_ACT_ERRNO",
                                          "SCMP_ACT_KILL",        "SCMP_ACT_KILL_PROCESS",
                                          "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
                                          "SCMP_ACT_NOTIFY",      "SCMP_ACT_TRACE",
                                          "SCMP_ACT_TRAP",        NULL};
    static const char *const operators[] = {"SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT",
                                            "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
                                            "SCMP_CMP_NE", NULL};
    static const char *const archs[] = {
        "SCMP_ARCH_AARCH64",   "SCMP_ARCH_ARM",      "SCMP_ARCH_MIPS",     "SCMP_ARCH_MIPS64",
        "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",   "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
        "SCMP_ARCH_PARISC",    "SCMP_ARCH_PARISC64", "SCMP_ARCH_PPC",      "SCMP_ARCH_PPC64",
        "SCMP_ARCH_PPC64LE",   "SCMP_ARCH_RISCV64",  "SCMP_ARCH_S390",     "SCMP_ARCH_S390X",
        "SCMP_ARCH_X32",       "SCMP_ARCH_X86",      "SCMP_ARCH_X86_64",   NULL};
    static const char *const flags[] = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
                                        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                                        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", NULL};
    struct codec_json *out = enabled(true);
    codec_json_set(out, "actions", texts(actions));
    codec_json_set(out, "operators", texts(operators));
    codec_json_set(out, "archs", texts(archs));
    codec_json_set(out, "knownFlags", texts(flags));
    codec_json_set(out, "supportedFlags", texts(flags));
    return out;
}

static struct codec_json *linux_part(void)
{
    static const char *const namespaces[] = {"cgroup", "ipc",  "mount", "network", "pid",
                                             "time",   "user", "uts",   NULL};
    struct codec_json *out = codec_json_new_object(), *caps = codec_json_new_array(),
                      *cgroup = codec_json_new_object(), *extensions = codec_json_new_object();
    for (unsigned i = 0; i <= CAPS_LAST; i++) {
        own(free) char *name = str_fmt("CAP_%s", sandbox_caps_name(i));
        codec_json_add(caps, codec_json_new_text(sv_of(name)));
    }
    codec_json_set(out, "namespaces", texts(namespaces));
    codec_json_set(out, "capabilities", caps);
    codec_json_set(cgroup, "v1", codec_json_new_bool(true));
    codec_json_set(cgroup, "v2", codec_json_new_bool(true));
    codec_json_set(cgroup, "systemd", codec_json_new_bool(true));
    codec_json_set(cgroup, "systemdUser", codec_json_new_bool(true));
    codec_json_set(cgroup, "rdma", codec_json_new_bool(true));
    codec_json_set(out, "cgroup", cgroup);
    codec_json_set(out, "seccomp", seccomp_part());
    codec_json_set(out, "apparmor", enabled(true));
    codec_json_set(out, "selinux", enabled(true));
    codec_json_set(out, "intelRdt", enabled(false));
    codec_json_set(extensions, "idmap", enabled(true));
    codec_json_set(out, "mountExtensions", extensions);
    return out;
}

struct codec_json *bundle_features(void)
{
    struct codec_json *out = codec_json_new_object(), *hooks = codec_json_new_array(),
                      *words = codec_json_new_array(), *notes = codec_json_new_object();
    codec_json_set_text(out, "ociVersionMin", "1.0.0");
    codec_json_set_text(out, "ociVersionMax", OCI_RUNTIME_VERSION);
    for (int i = 0; i < OCI_HOOKS; i++)
        codec_json_add(hooks, codec_json_new_text(sv_of(oci_hook_names[i])));
    codec_json_set(out, "hooks", hooks);
    bundle_mount_words(words);
    codec_json_set(out, "mountOptions", words);
    codec_json_set(out, "linux", linux_part());
    codec_json_set_text(notes, "org.dewar.version", DEWAR_VERSION);
    codec_json_set(out, "annotations", notes);
    return out;
}

// --- spec --------------------------------------------------------------------------------------

#define CAPS "[\"CAP_AUDIT_WRITE\",\"CAP_KILL\",\"CAP_NET_BIND_SERVICE\"]"
#define MOUNT(to, type, from, options)                                                             \
    "{\"destination\":\"" to "\",\"type\":\"" type "\",\"source\":\"" from                         \
    "\",\"options\":[" options "]}"

static const char head[] =
    "{\"ociVersion\":\"" OCI_RUNTIME_VERSION "\",\"process\":{\"terminal\":true,"
    "\"user\":{\"uid\":0,\"gid\":0},\"args\":[\"sh\"],\"env\":["
    "\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\",\"TERM=xterm\"],"
    "\"cwd\":\"/\",\"capabilities\":{\"bounding\":" CAPS ",\"effective\":" CAPS
    ",\"permitted\":" CAPS "},\"noNewPrivileges\":true},"
    "\"root\":{\"path\":\"rootfs\",\"readonly\":true},\"hostname\":\"dewar\",\"mounts\":[" MOUNT(
        "/proc", "proc", "proc",
        "") "," MOUNT("/dev", "tmpfs", "tmpfs",
                      "\"nosuid\",\"strictatime\",\"mode=755\",\"size=65536k\"") ",";
static const char root_mounts[] =
    MOUNT("/dev/pts", "devpts", "devpts",
          "\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\",\"gid=5\"") ",";
static const char user_mounts[] =
    MOUNT("/dev/pts", "devpts", "devpts",
          "\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode=0666\",\"mode=0620\"") ",";
static const char more_mounts[] = MOUNT(
    "/dev/shm", "tmpfs", "shm",
    "\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size=65536k\"") "," MOUNT("/dev/mqueue",
                                                                               "mqueue", "mqueue",
                                                                               "\"nosuid\","
                                                                               "\"noexec\","
                                                                               "\"nodev\"") ",";
static const char root_tail[] =
    MOUNT("/sys", "sysfs", "sysfs", "\"nosuid\",\"noexec\",\"nodev\",\"ro\"") "," MOUNT(
        "/sys/fs/cgroup", "cgroup", "cgroup",
        "\"nosuid\",\"noexec\",\"nodev\",\"relatime\",\"ro\"") "],\"linux\":{\"resources\":{"
                                                               "\"devices\":[{\"allow\":false,"
                                                               "\"access\":\"rwm\"}]},"
                                                               "\"namespaces\":[{\"type\":\"pid\"},"
                                                               "{\"type\":\"network\"},{\"type\":"
                                                               "\"ipc\"},"
                                                               "{\"type\":\"uts\"},{\"type\":"
                                                               "\"mount\"},{\"type\":\"cgroup\"}],";
static const char user_tail[] = MOUNT(
    "/sys", "none", "/sys",
    "\"rbind\",\"nosuid\",\"noexec\",\"nodev\",\"ro\"") "],\"linux\":{\"uidMappings\":[{"
                                                        "\"containerID\":0,\"hostID\":%u,\"size\":"
                                                        "1}],"
                                                        "\"gidMappings\":[{\"containerID\":0,"
                                                        "\"hostID\":%u,\"size\":1}],"
                                                        "\"namespaces\":[{\"type\":\"pid\"},{"
                                                        "\"type\":\"ipc\"},{\"type\":\"uts\"},"
                                                        "{\"type\":\"mount\"},{\"type\":\"cgroup\"}"
                                                        ",{\"type\":\"user\"}],";
static const char tail[] =
    "\"maskedPaths\":[\"/proc/acpi\",\"/proc/asound\",\"/proc/interrupts\",\"/proc/kcore\","
    "\"/proc/keys\",\"/proc/latency_stats\",\"/proc/timer_list\",\"/proc/timer_stats\","
    "\"/proc/sched_debug\",\"/sys/firmware\",\"/sys/devices/virtual/powercap\",\"/proc/scsi\"],"
    "\"readonlyPaths\":[\"/proc/bus\",\"/proc/fs\",\"/proc/irq\",\"/proc/sys\","
    "\"/proc/sysrq-trigger\"]}}";

struct codec_json *bundle_default(bool rootless)
{
    own(str) struct str text = {0};
    struct codec_json *out = NULL;
    struct err e;
    str_addz(&text, head);
    str_addz(&text, rootless ? user_mounts : root_mounts);
    str_addz(&text, more_mounts);
    if (rootless)
        str_addf(&text, user_tail, (unsigned)geteuid(), (unsigned)getegid());
    else
        str_addz(&text, root_tail);
    str_addz(&text, tail);
    int rc = codec_json_parse(str_sv(&text), "spec", &out, &e);
    assert(rc == 0);
    return out;
}
