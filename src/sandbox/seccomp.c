// SPDX-License-Identifier: Apache-2.0
// The default filter: compiled at build time (tools/seccomp), made to fit a set of capabilities
// here. A person's own profile is JSON and goes through a helper program, which alone links
// libseccomp.
#include "sandbox/seccomp.h"

#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/engine.h"
#include "base/fs.h"
#include "base/own.h"
#include "base/proc.h"
#include "codec/hash.h"
#include "codec/json.h"
#include "seccomp_program.h"

#define OP_JA 0x05
#define OP_RET 0x06
#define RET_ALLOW 0x7fff0000u
#define PROFILE_MAX ((size_t)4 << 20)
#define WAIT_KILLABLE (1u << 5)  // since Linux 5.19
#define FILTER_MAX 4096  // instructions: the kernel's BPF_MAXINSNS

struct sock_filter *sandbox_seccomp_default(uint64_t caps, size_t *out_n)
{
    const size_t n = sizeof seccomp_program / sizeof *seccomp_program;
    struct sock_filter *f = mem_alloc(sizeof seccomp_program);
    memcpy(f, seccomp_program, sizeof seccomp_program);
    for (size_t i = 0; i < n; i++) {
        if (f[i].code != OP_JA || f[i].jf == 0) continue;
        if (caps >> (f[i].jf - 1) & 1)
            f[i] = (struct sock_filter){OP_RET, 0, 0, RET_ALLOW};
        else
            f[i].jf = 0;
    }
    *out_n = n;
    return f;
}

int sandbox_seccomp_file(const char *path, uint64_t caps, struct sock_filter **out, size_t *out_n,
                         struct err *e)
{
    char helper[4096];
    if (engine_helper("dewar-seccomp", helper, sizeof helper, e) < 0) return -1;
    own(free) char *bits = str_fmt("%llx", (unsigned long long)caps);
    const char *argv[] = {helper, path, bits, NULL};
    struct proc_spec spec = {.argv = argv, .stdin_fd = PROC_NULL};
    own(str) struct str text = {0};
    int status;
    if (proc_read(&spec, PROFILE_MAX, &text, &status, e) < 0) return -1;
    size_t n = text.n / sizeof(struct sock_filter);
    if (status != 0 || n == 0 || n > FILTER_MAX || text.n % sizeof(struct sock_filter)) {
        err_set(e, ERR_INPUT, "the seccomp profile '%s' cannot be used", path);
        return err_hint(e, "the reason stands above; the form is that of Docker's profiles");
    }
    *out = mem_alloc(text.n);
    memcpy(*out, text.p, text.n);
    *out_n = n;
    return 0;
}

// --- linux.seccomp of an OCI bundle --------------------------------------------------------------

static const struct {
    const char *name;
    unsigned flag;
} oci_flags[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", 0},  // we have one thread
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", WAIT_KILLABLE},
};

static bool is_notify(const struct codec_json *action)
{
    return sv_eqz(codec_json_text(action), "SCMP_ACT_NOTIFY");
}

bool sandbox_seccomp_notifies(const struct codec_json *profile)
{
    const struct codec_json *list = codec_json_get(profile, "syscalls");
    for (size_t i = 0; i < codec_json_len(list); i++)
        if (is_notify(codec_json_get(codec_json_at(list, i), "action"))) return true;
    return is_notify(codec_json_get(profile, "defaultAction"));
}

// The listener itself goes out with a system call of the process that has the filter.
static int check_notify(const struct codec_json *profile, struct err *e)
{
    const struct codec_json *list = codec_json_get(profile, "syscalls");
    if (!codec_json_text(codec_json_get(profile, "listenerPath")).n)
        return err_set(e, ERR_INPUT, "SCMP_ACT_NOTIFY needs a listenerPath");
    if (is_notify(codec_json_get(profile, "defaultAction")))
        return err_set(e, ERR_INPUT, "SCMP_ACT_NOTIFY cannot be the defaultAction");
    for (size_t i = 0; i < codec_json_len(list); i++) {
        const struct codec_json *row = codec_json_at(list, i), *names = codec_json_get(row, "names");
        for (size_t k = 0; is_notify(codec_json_get(row, "action")) && k < codec_json_len(names); k++)
            if (sv_eqz(codec_json_text(codec_json_at(names, k)), "sendmsg"))
                return err_set(e, ERR_INPUT,
                               "SCMP_ACT_NOTIFY cannot be used for 'sendmsg', which hands over the "
                               "listener");
    }
    return 0;
}

static int read_flags(const struct codec_json *profile, unsigned *out, struct err *e)
{
    const struct codec_json *list = codec_json_get(profile, "flags");
    *out = 0;
    for (size_t i = 0; i < codec_json_len(list); i++) {
        struct sv name = codec_json_text(codec_json_at(list, i));
        size_t k = 0, n = sizeof oci_flags / sizeof *oci_flags;
        while (k < n && !sv_eqz(name, oci_flags[k].name)) k++;
        if (k == n) return err_set(e, ERR_INPUT, "unknown flag '%.*s'", (int)name.n, name.p);
        *out |= oci_flags[k].flag;
    }
    if (!sandbox_seccomp_notifies(profile)) {
        *out &= ~WAIT_KILLABLE;  // nobody is waited for, and the kernel refuses it then
        return 0;
    }
    *out |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    return check_notify(profile, e);
}

static int compile(struct sv profile, struct str *out, struct err *e)
{
    char helper[4096];
    if (engine_helper("dewar-seccomp", helper, sizeof helper, e) < 0) return -1;
    own(fd) int in = memfd_create("profile", MFD_CLOEXEC);
    if (in < 0) return err_sys(e, "hold the seccomp profile");
    if (fs_write_all(in, profile.p, profile.n, e) < 0) return -1;
    if (lseek(in, 0, SEEK_SET) != 0) return err_sys(e, "hold the seccomp profile");
    const char *argv[] = {helper, "--oci", NULL};
    struct proc_spec spec = {.argv = argv, .stdin_fd = in};
    int status;
    if (proc_read(&spec, PROFILE_MAX, out, &status, e) < 0) return -1;
    if (status == 0) return 0;
    err_set(e, ERR_INPUT, "the profile cannot be used");
    return err_hint(e, "the reason stands above");
}

static bool fits(size_t bytes)
{
    size_t n = bytes / sizeof(struct sock_filter);
    return n > 0 && n <= FILTER_MAX && bytes % sizeof(struct sock_filter) == 0;
}

// Compiling takes longer than all the rest of a start, and podman and Docker hand us the same profile
// every time. The folder is ours alone and ends with the boot; the kernel checks what it is given.
static int cached(const struct codec_json *profile, int cache_fd, struct str *out, struct err *e)
{
    own(str) struct str text = {0};
    char hex[CODEC_SHA256_HEX];
    struct utsname u;
    struct err ignored;
    struct codec_sha256 h;
    codec_json_print(profile, &text);
    uname(&u);
    codec_sha256_init(&h);
    codec_sha256_addz(&h, DEWAR_VERSION);
    codec_sha256_addz(&h, u.release);
    codec_sha256_add(&h, text.p, text.n);
    codec_sha256_end(&h, hex);
    if (cache_fd >= 0 && fs_read_at(cache_fd, hex, PROFILE_MAX, out, &ignored) == 0 && fits(out->n))
        return 0;
    str_clear(out);
    if (compile(str_sv(&text), out, e) < 0) return -1;
    if (!fits(out->n)) return err_set(e, ERR_INPUT, "the filter is empty or too long");
    if (cache_fd >= 0) fs_replace(cache_fd, hex, str_sv(out), 0600, &ignored);
    return 0;
}

int sandbox_seccomp_oci(const struct codec_json *profile, int cache_fd, struct sock_fprog *out,
                        unsigned *out_flags, struct err *e)
{
    own(str) struct str code = {0};
    if (read_flags(profile, out_flags, e) < 0 || cached(profile, cache_fd, &code, e) < 0) return -1;
    out->filter = mem_alloc(code.n);
    memcpy(out->filter, code.p, code.n);
    out->len = (unsigned short)(code.n / sizeof(struct sock_filter));
    return 0;
}
