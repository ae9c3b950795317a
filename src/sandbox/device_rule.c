// SPDX-License-Identifier: Apache-2.0
// Which devices a container may open and make. On cgroup v1 a rule is a line written to a file; v2
// has no file for it: a BPF program on the group is asked at every open and mknod. There the rules
// become tests, the last one first, since the last that matches decides; what matches none is
// allowed, as in v1's root group.
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "sandbox/device_rule.h"

#define ALL (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)
#define RULES_MAX 256
#define CODE_MAX ((RULES_MAX + 16) * 10 + 8)

// What the specification's default devices need, whatever the rules say. Nodes may be made (for
// images that unpack them), but only these may be opened.
const struct sandbox_device_rule sandbox_device_rule_always[] = {
    {true, 'c', BPF_DEVCG_ACC_MKNOD, -1, -1},
    {true, 'b', BPF_DEVCG_ACC_MKNOD, -1, -1},
    {true, 'c', ALL, 1, 3},
    {true, 'c', ALL, 1, 5},
    {true, 'c', ALL, 1, 7},
    {true, 'c', ALL, 1, 8},
    {true, 'c', ALL, 1, 9},
    {true, 'c', ALL, 5, 0},
    {true, 'c', ALL, 5, 1},
    {true, 'c', ALL, 5, 2},
    {true, 'c', ALL, 136, -1},
};
const size_t sandbox_device_rule_always_n =
    sizeof sandbox_device_rule_always / sizeof *sandbox_device_rule_always;

// --- as text -----------------------------------------------------------------------------------

static const struct {
    char letter;
    int32_t bit;
} letters[] = {{'r', BPF_DEVCG_ACC_READ}, {'w', BPF_DEVCG_ACC_WRITE}, {'m', BPF_DEVCG_ACC_MKNOD}};

bool sandbox_device_rule_access(struct sv text, int32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < text.n; i++)
        for (size_t k = 0; k < 3; k++)
            if (letters[k].letter == text.p[i]) *out |= letters[k].bit;
    for (size_t i = 0; i < text.n; i++)
        if (!memchr("rwm", text.p[i], 3)) return false;
    return text.n >= 1 && text.n <= 3;
}

static bool number(struct sv text, int64_t *out)
{
    uint64_t n;
    *out = -1;
    if (sv_eqz(text, "*")) return true;
    if (!num_u64_max(text, INT32_MAX, &n)) return false;
    *out = (int64_t)n;
    return true;
}

int sandbox_device_rule_parse(const char *text, struct sandbox_device_rule *out, struct err *e)
{
    struct sv access = sv_of(text), type = sv_cut(&access, ' ');
    struct sv minor = access.p ? sv_cut(&access, ' ') : SV(""), major = sv_cut(&minor, ':');
    *out = (struct sandbox_device_rule){.allow = true, .type = type.n ? type.p[0] : '\0'};
    if (type.n == 1 && memchr("abc", out->type, 3) && minor.p && access.p &&
        number(major, &out->major) && number(minor, &out->minor) &&
        sandbox_device_rule_access(access, &out->access))
        return 0;
    err_set(e, ERR_USAGE, "invalid device cgroup rule '%s'", text);
    return err_hint(e, "it is TYPE MAJOR:MINOR ACCESS, as in 'c 188:* rwm'");
}

void sandbox_device_rule_print(const struct sandbox_device_rule *r, struct str *out)
{
    const int64_t numbers[2] = {r->major, r->minor};
    str_addc(out, r->type);
    for (int i = 0; i < 2; i++) {
        str_addc(out, i ? ':' : ' ');
        if (numbers[i] < 0)
            str_addc(out, '*');
        else
            str_addf(out, "%lld", (long long)numbers[i]);
    }
    str_addc(out, ' ');
    for (size_t k = 0; k < 3; k++)
        if (r->access & letters[k].bit) str_addc(out, letters[k].letter);
}

// --- v1 ----------------------------------------------------------------------------------------

static bool covers(const struct sandbox_device_rule *a, const struct sandbox_device_rule *b)
{
    return a->type == b->type && (a->major < 0 || a->major == b->major) &&
           (a->minor < 0 || a->minor == b->minor);
}

static bool meets(const struct sandbox_device_rule *a, const struct sandbox_device_rule *b)
{
    return a->type == b->type && (a->major < 0 || b->major < 0 || a->major == b->major) &&
           (a->minor < 0 || b->minor < 0 || a->minor == b->minor);
}

// A rule that is as the default: it takes exceptions back.
static int take_back(const struct sandbox_device_rule *r, struct sandbox_device_rules *exceptions,
                     struct sandbox_device_rules *out, struct err *e)
{
    vec_each(x, exceptions)
    {
        if (!(x->access & r->access) || !meets(r, x)) continue;
        if (!covers(r, x)) {
            err_set(e, ERR_UNSUPPORTED,
                    "control groups version 1 cannot take back a part of an earlier rule");
            return err_hint(e, "name the devices one by one");
        }
        struct sandbox_device_rule same = *x;
        same.allow = r->allow;
        same.access = r->access;
        vec_push(out, same);
        x->access &= ~r->access;
    }
    return 0;
}

int sandbox_device_rule_v1(const struct sandbox_device_rules *in, struct sandbox_device_rules *out,
                           struct err *e)
{
    own(sandbox_device_rules) struct sandbox_device_rules exceptions = {0};
    bool standard = true;
    vec_each(r, in)
    {
        vec_push(out, *r);
        if (r->type == 'a') {
            standard = r->allow;
            exceptions.n = 0;
        } else if (r->allow != standard) {
            vec_push(&exceptions, *r);
        } else if (take_back(r, &exceptions, out, e) < 0) {
            return -1;
        }
    }
    return 0;
}

// --- as a program ------------------------------------------------------------------------------

struct code {
    struct bpf_insn insn[CODE_MAX];
    size_t n;
};

static void emit(struct code *c, uint8_t op, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
    if (c->n < CODE_MAX)
        c->insn[c->n++] = (struct bpf_insn){
            .code = op, .dst_reg = dst & 15U, .src_reg = src & 15U, .off = off, .imm = imm};
}

// r2 type, r3 access, r4 major, r5 minor: set once in front. False when it matches everything: what
// stood behind it could not be reached, which the kernel refuses.
static bool emit_rule(struct code *c, const struct sandbox_device_rule *r)
{
    size_t jumps[4], n = 0;
    if (r->type != 'a') {
        jumps[n++] = c->n;
        emit(c, BPF_JMP | BPF_JNE | BPF_K, 2, 0, 0,
             r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    }
    if (r->access != ALL) {
        // Allowed is what asks for no more than the rule gives; denied what asks for any of it.
        emit(c, BPF_ALU64 | BPF_MOV | BPF_X, 6, 3, 0, 0);
        emit(c, BPF_ALU64 | BPF_AND | BPF_K, 6, 0, 0, r->allow ? ALL & ~r->access : r->access);
        jumps[n++] = c->n;
        emit(c, BPF_JMP | (r->allow ? BPF_JNE : BPF_JEQ) | BPF_K, 6, 0, 0, 0);
    }
    const int64_t numbers[2] = {r->major, r->minor};
    for (uint8_t i = 0; i < 2; i++) {
        if (numbers[i] < 0) continue;
        jumps[n++] = c->n;
        emit(c, BPF_JMP | BPF_JNE | BPF_K, (uint8_t)(4 + i), 0, 0, (int32_t)numbers[i]);
    }
    emit(c, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, r->allow);
    emit(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    for (size_t i = 0; i < n; i++) c->insn[jumps[i]].off = (int16_t)(c->n - jumps[i] - 1);
    return n > 0;
}

static void emit_head(struct code *c)
{
    emit(c, BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0);
    emit(c, BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 0xffff);
    emit(c, BPF_LDX | BPF_MEM | BPF_W, 3, 1, 0, 0);
    emit(c, BPF_ALU64 | BPF_RSH | BPF_K, 3, 0, 0, 16);
    emit(c, BPF_LDX | BPF_MEM | BPF_W, 4, 1, 4, 0);
    emit(c, BPF_LDX | BPF_MEM | BPF_W, 5, 1, 8, 0);
}

int sandbox_device_rule_attach(int group, const struct sandbox_device_rules *rules, struct err *e)
{
    own(free) struct code *c = mem_alloc(sizeof *c);
    if (rules->n > RULES_MAX) return err_set(e, ERR_LIMIT, "over %d device rules", RULES_MAX);
    emit_head(c);
    for (size_t i = 0; i < sandbox_device_rule_always_n; i++)
        emit_rule(c, &sandbox_device_rule_always[i]);
    bool open_end = true;
    for (size_t i = rules->n; i > 0 && open_end; i--) open_end = emit_rule(c, &rules->p[i - 1]);
    if (open_end) {
        emit(c, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
        emit(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
    }
    static const char license[] = "Apache-2.0";
    union bpf_attr a;
    memset(&a, 0, sizeof a);
    a.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
    a.insns = (uint64_t)(uintptr_t)c->insn;
    a.insn_cnt = (uint32_t)c->n;
    a.license = (uint64_t)(uintptr_t)license;
    own(fd) int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof a);
    if (program < 0) return err_sys(e, "load the device rules");
    memset(&a, 0, sizeof a);
    a.target_fd = (uint32_t)group;
    a.attach_bpf_fd = (uint32_t)program;
    a.attach_type = BPF_CGROUP_DEVICE;
    a.attach_flags = BPF_F_ALLOW_MULTI;
    if (syscall(SYS_bpf, BPF_PROG_ATTACH, &a, sizeof a) == 0) return 0;
    return err_sys(e, "attach the device rules to the control group");
}
