// SPDX-License-Identifier: Apache-2.0
// linux.resources.devices on cgroup v2, which has no file for it: a BPF program on the group is
// asked at every open and mknod. The rules become tests, the last one first, since the last that
// matches decides; what matches none is allowed, as in v1's root group.
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "bundle/internal.h"

#define RULES_MAX 256
#define CODE_MAX ((RULES_MAX + 16) * 10 + 8)

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

struct device_rule {
    bool allow;
    char type;             // a b c
    int32_t access;        // BPF_DEVCG_ACC_*
    int64_t major, minor;  // -1: any
};

// r2 type, r3 access, r4 major, r5 minor: set once in front. False when it matches everything: what
// stood behind it could not be reached, which the kernel refuses.
static bool emit_rule(struct code *c, const struct device_rule *r)
{
    size_t jumps[4], n = 0;
    const int32_t all = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
    if (r->type != 'a') {
        jumps[n++] = c->n;
        emit(c, BPF_JMP | BPF_JNE | BPF_K, 2, 0, 0,
             r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    }
    if (r->access != all) {
        // Allowed is what asks for no more than the rule gives; denied what asks for any of it.
        emit(c, BPF_ALU64 | BPF_MOV | BPF_X, 6, 3, 0, 0);
        emit(c, BPF_ALU64 | BPF_AND | BPF_K, 6, 0, 0, r->allow ? all & ~r->access : r->access);
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

static int64_t number(const struct codec_json *d, const char *key)
{
    const struct codec_json *v = codec_json_get(d, key);
    return codec_json_type(v) == CODEC_JSON_INT ? codec_json_int(v) : -1;
}

static int read_rule(const struct codec_json *d, struct device_rule *out, struct err *e)
{
    static const struct {
        char letter;
        int32_t bit;
    } letters[] = {
        {'r', BPF_DEVCG_ACC_READ}, {'w', BPF_DEVCG_ACC_WRITE}, {'m', BPF_DEVCG_ACC_MKNOD}};
    struct sv type = codec_json_text(codec_json_get(d, "type"));
    struct sv access = codec_json_text(codec_json_get(d, "access"));
    if (!access.n) access = SV("rwm");
    *out = (struct device_rule){.allow = codec_json_bool(codec_json_get(d, "allow")),
                                .type = type.n ? type.p[0] : 'a',
                                .major = number(d, "major"),
                                .minor = number(d, "minor")};
    for (size_t i = 0; i < 3; i++)
        if (sv_find(access, letters[i].letter) >= 0) out->access |= letters[i].bit;
    if (type.n > 1 || !strchr("abc", out->type) || !out->access || out->major > INT32_MAX ||
        out->minor > INT32_MAX)
        return err_set(e, ERR_INPUT, "linux.resources.devices: a rule that cannot be used");
    return 0;
}

int bundle_devices_attach(int group, const struct codec_json *rules, struct err *e)
{
    static const struct device_rule always[] = {{true, 'c', BPF_DEVCG_ACC_MKNOD, -1, -1},
                                                {true, 'b', BPF_DEVCG_ACC_MKNOD, -1, -1},
                                                {true, 'c', 7, 1, 3},
                                                {true, 'c', 7, 1, 5},
                                                {true, 'c', 7, 1, 7},
                                                {true, 'c', 7, 1, 8},
                                                {true, 'c', 7, 1, 9},
                                                {true, 'c', 7, 5, 0},
                                                {true, 'c', 7, 5, 1},
                                                {true, 'c', 7, 5, 2},
                                                {true, 'c', 7, 136, -1}};
    own(free) struct code *c = mem_alloc(sizeof *c);
    size_t n = codec_json_len(rules);
    if (n > RULES_MAX)
        return err_set(e, ERR_LIMIT, "linux.resources.devices: over %d rules", RULES_MAX);
    emit_head(c);
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) emit_rule(c, &always[i]);
    bool open_end = true;
    for (size_t i = n; i > 0; i--) {
        struct device_rule r;
        if (read_rule(codec_json_at(rules, i - 1), &r, e) < 0) return -1;
        if (open_end) open_end = emit_rule(c, &r);
    }
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
