// SPDX-License-Identifier: Apache-2.0
// The default filter against libseccomp as the oracle: both are run here, by a small interpreter of
// classic BPF, over every system call of every architecture of the table.
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/own.h"
#include "harness.h"
#include "sandbox/caps.h"
#include "sandbox/seccomp.h"

#define X32 0x40000000u
#define CAP(n) ((uint64_t)1 << (n))

static uint32_t run(const struct sock_filter *f, size_t n, const struct seccomp_data *d)
{
    uint32_t a = 0, mem[16] = {0}, x = 0;
    for (size_t pc = 0; pc < n; pc++) {
        const struct sock_filter *i = &f[pc];
        uint32_t k = i->k;
        bool jump = false;
        switch (i->code) {
        case BPF_LD | BPF_W | BPF_ABS:
            assert_true(k <= sizeof *d - 4);
            memcpy(&a, (const char *)d + k, 4);
            continue;
        case BPF_ALU | BPF_AND | BPF_K:
            a &= k;
            continue;
        case BPF_ST:
            mem[k & 15] = a;
            continue;
        case BPF_LD | BPF_MEM:
            a = mem[k & 15];
            continue;
        case BPF_MISC | BPF_TAX:
            x = a;
            continue;
        case BPF_MISC | BPF_TXA:
            a = x;
            continue;
        case BPF_JMP | BPF_JA:
            pc += k;
            continue;
        case BPF_JMP | BPF_JEQ | BPF_K:
            jump = a == k;
            break;
        case BPF_JMP | BPF_JGE | BPF_K:
            jump = a >= k;
            break;
        case BPF_JMP | BPF_JGT | BPF_K:
            jump = a > k;
            break;
        case BPF_JMP | BPF_JSET | BPF_K:
            jump = (a & k) != 0;
            break;
        case BPF_RET | BPF_K:
            return k;
        default:
            fail_msg("instruction 0x%x", i->code);
        }
        pc += jump ? i->jt : i->jf;
    }
    fail_msg("the filter ran off its end");
    return 0;
}

static uint32_t verdict(uint64_t caps, uint32_t arch, uint32_t nr, uint64_t a0, uint64_t a1)
{
    size_t n;
    own(free) struct sock_filter *f = sandbox_seccomp_default(caps, &n);
    struct seccomp_data d = {.nr = (int)nr, .arch = arch, .args = {a0, a1}};
    return run(f, n, &d);
}

#if defined(__x86_64__)
#define ERR(code) (SECCOMP_RET_ERRNO | (code))

static void arguments_decide_for_some_calls(void **state)
{
    (void)state;
    const uint32_t A = AUDIT_ARCH_X86_64, I = AUDIT_ARCH_I386, OK = SECCOMP_RET_ALLOW;
    const uint64_t high = (uint64_t)1 << 32;
    static const struct {
        const char *what;
        uint32_t arch_i386, nr;
        uint64_t caps, a0, a1;
        uint32_t want;
    } rows[] = {
        {"ioctl TCGETS", 0, 16, 0, 0, 0x5401, SECCOMP_RET_ALLOW},
        {"ioctl TIOCSTI", 0, 16, 0, 0, 0x5412, ERR(EPERM)},
        {"ioctl TIOCLINUX", 0, 16, 0, 0, 0x541c, ERR(EPERM)},
        {"socket AF_UNIX", 0, 41, 0, 1, 0, SECCOMP_RET_ALLOW},
        {"socket AF_ALG", 0, 41, 0, 38, 0, ERR(EPERM)},
        {"socket 39", 0, 41, 0, 39, 0, SECCOMP_RET_ALLOW},
        {"socket AF_VSOCK", 0, 41, 0, 40, 0, ERR(EPERM)},
        {"clone fork", 0, 56, 0, 17, 0, SECCOMP_RET_ALLOW},
        {"clone NEWUSER", 0, 56, 0, 0x10000000, 0, ERR(EPERM)},
        {"clone NEWNS", 0, 56, 0, 0x20000, 0, ERR(EPERM)},
        {"clone NEWUSER with SYS_ADMIN", 0, 56, CAP(21), 0x10000000, 0, SECCOMP_RET_ALLOW},
        {"clone3", 0, 435, 0, 0, 0, ERR(ENOSYS)},
        {"clone3 with SYS_ADMIN", 0, 435, CAP(21), 0, 0, SECCOMP_RET_ALLOW},
        {"unshare", 0, 272, 0, 0, 0, ERR(EPERM)},
        {"mount", 0, 165, 0, 0, 0, ERR(EPERM)},
        {"mount with SYS_ADMIN", 0, 165, CAP(21), 0, 0, SECCOMP_RET_ALLOW},
        {"bpf with BPF", 0, 321, CAP(39), 0, 0, SECCOMP_RET_ALLOW},
        {"bpf", 0, 321, 0, 0, 0, ERR(EPERM)},
        {"io_uring_setup", 0, 425, ~(uint64_t)0, 0, 0, ERR(EPERM)},
        {"userfaultfd", 0, 323, ~(uint64_t)0, 0, 0, ERR(EPERM)},
        {"keyctl", 0, 250, ~(uint64_t)0, 0, 0, ERR(EPERM)},
        {"chroot", 0, 161, 0, 0, 0, ERR(EPERM)},
        {"chroot with SYS_CHROOT", 0, 161, CAP(18), 0, 0, SECCOMP_RET_ALLOW},
        {"personality 0", 0, 135, 0, 0, 0, SECCOMP_RET_ALLOW},
        {"personality READ_IMPLIES_EXEC", 0, 135, 0, 0x0400000, 0, ERR(EPERM)},
        {"a number past the table", 0, 5000, 0, 0, 0, ERR(ENOSYS)},
        {"a hole in the table", 0, 400, 0, 0, 0, ERR(ENOSYS)},
        {"-1", 0, 0xffffffff, 0, 0, 0, ERR(ENOSYS)},
        {"x32 ioctl TIOCSTI", 0, X32 | 514, 0, 0, 0x5412, ERR(EPERM)},
        {"x32 ioctl TCGETS", 0, X32 | 514, 0, 0, 0x5401, SECCOMP_RET_ALLOW},
        {"x32 socket AF_ALG", 0, X32 | 41, 0, 38, 0, ERR(EPERM)},
        {"i386 ioctl TIOCSTI", 1, 54, 0, 0, 0x5412, ERR(EPERM)},
        {"i386 socket AF_ALG", 1, 359, 0, 38, 0, ERR(EPERM)},
        {"i386 socketcall socket", 1, 102, 0, 1, 0, ERR(EPERM)},
        {"i386 socketcall bind", 1, 102, 0, 2, 0, SECCOMP_RET_ALLOW},
        {"i386 clone NEWUSER", 1, 120, 0, 0x10000000, 0, ERR(EPERM)},
        {"i386 read", 1, 3, 0, 0, 0, SECCOMP_RET_ALLOW},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint32_t arch = rows[i].arch_i386 ? I : A;
        uint32_t got = verdict(rows[i].caps, arch, rows[i].nr, rows[i].a0, rows[i].a1);
        if (got != rows[i].want)
            fail_msg("%s: 0x%x, wanted 0x%x", rows[i].what, got, rows[i].want);
        got = verdict(rows[i].caps, arch, rows[i].nr, rows[i].a0 | high, rows[i].a1 | high);
        if (got != rows[i].want) fail_msg("%s with high bits: 0x%x", rows[i].what, got);
    }
    assert_int_equal(verdict(0, A, 0, 0, 0), OK);
    assert_int_equal(verdict(0, AUDIT_ARCH_AARCH64, 0, 0, 0), SECCOMP_RET_KILL_PROCESS);
}

// The policy file, a second time and in another way: every line becomes libseccomp rules.
static scmp_filter_ctx oracle(uint64_t caps)
{
    struct err e;
    own(str) struct str text = {0};
    ASSERT_OK(fs_read_at(AT_FDCWD, POLICY, 1 << 20, &text, &e));
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    assert_non_null(f);
    assert_int_equal(seccomp_arch_add(f, SCMP_ARCH_X86), 0);
    assert_int_equal(seccomp_arch_add(f, SCMP_ARCH_X32), 0);
    struct sv rest = str_sv(&text);
    while (rest.p) {
        struct sv line = sv_trim(sv_cut(&rest, '\n'));
        struct sv kind = sv_cut(&line, ' ');
        bool allow = sv_eqz(kind, "allow");
        if (sv_starts(kind, "cap:")) {
            kind = sv_from(kind, 4);
            while (kind.p) allow |= (caps >> sandbox_caps_number(sv_cut(&kind, '|')) & 1) != 0;
        }
        while (line.p && allow) {
            own(free) char *name = sv_dup(sv_cut(&line, ' '));
            int nr = seccomp_syscall_resolve_name(name);
            if (nr != __NR_SCMP_ERROR) seccomp_rule_add(f, SCMP_ACT_ALLOW, nr, 0);
        }
    }
    return f;
}

static struct sock_filter *export(scmp_filter_ctx f, size_t *n)
{
    own(fd) int fd = memfd_create("bpf", MFD_CLOEXEC);
    assert_int_equal(seccomp_export_bpf(f, fd), 0);
    off_t size = lseek(fd, 0, SEEK_END);
    struct sock_filter *code = mem_alloc((size_t)size);
    assert_int_equal(pread(fd, code, (size_t)size, 0), size);
    *n = (size_t)size / sizeof *code;
    return code;
}

static bool by_arguments(const char *name)
{
    static const char *const names[] = {"clone", "clone3", "socket", "socketcall", "personality",
                                        "ioctl"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static size_t compare(uint64_t caps, uint32_t token, uint32_t audit)
{
    scmp_filter_ctx ctx = oracle(caps);
    size_t n, m, checked = 0;
    own(free) struct sock_filter *theirs = export(ctx, &n);
    own(free) struct sock_filter *ours = sandbox_seccomp_default(caps, &m);
    uint32_t base = token == SCMP_ARCH_X32 ? X32 : 0;
    for (uint32_t nr = 0; nr < 600; nr++) {
        own(free) char *name = seccomp_syscall_resolve_num_arch(token, (int)(nr | base));
        if (!name || by_arguments(name)) continue;
        struct seccomp_data d = {.nr = (int)(nr | base), .arch = audit};
        uint32_t a = run(ours, m, &d), b = run(theirs, n, &d);
        bool same = a == b || (a == ERR(ENOSYS) && b == ERR(EPERM));  // names that only it knows
        if (!same) fail_msg("%s (%u) of 0x%x: ours 0x%x, libseccomp's 0x%x", name, nr, token, a, b);
        checked++;
    }
    seccomp_release(ctx);
    return checked;
}

static void every_call_of_every_architecture_agrees_with_libseccomp(void **state)
{
    (void)state;
    const uint64_t sets[] = {0, UINT64_C(0x800405fb), ~(uint64_t)0, CAP(2), CAP(19), CAP(39)};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        assert_true(compare(sets[i], SCMP_ARCH_X86_64, AUDIT_ARCH_X86_64) > 330);
        assert_true(compare(sets[i], SCMP_ARCH_X86, AUDIT_ARCH_I386) > 380);
        assert_true(compare(sets[i], SCMP_ARCH_X32, AUDIT_ARCH_X86_64) > 300);
    }
}

RUN_TESTS("sandbox/seccomp", TEST(arguments_decide_for_some_calls),
          TEST(every_call_of_every_architecture_agrees_with_libseccomp))
#else
static void reading_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(verdict(0, AUDIT_ARCH_AARCH64, 63, 0, 0), SECCOMP_RET_ALLOW);
}
RUN_TESTS("sandbox/seccomp", TEST(reading_is_allowed))
#endif
