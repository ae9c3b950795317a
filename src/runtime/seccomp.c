// SPDX-License-Identifier: Apache-2.0
// The default filter: compiled at build time (tools/seccomp), made to fit a set of capabilities
// here. A person's own profile is JSON and goes through a helper program, which alone links
// libseccomp.
#include "runtime/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "seccomp_program.h"

#define OP_JA 0x05
#define OP_RET 0x06
#define RET_ALLOW 0x7fff0000u
#define PROFILE_MAX ((size_t)4 << 20)
#define FILTER_MAX 4096  // instructions: the kernel's BPF_MAXINSNS

struct sock_filter *seccomp_default(uint64_t caps, size_t *out_n)
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

int seccomp_file(const char *path, uint64_t caps, struct sock_filter **out, size_t *out_n,
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
