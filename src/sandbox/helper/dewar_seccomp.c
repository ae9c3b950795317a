// SPDX-License-Identifier: Apache-2.0
// dewar-seccomp: turns a person's seccomp profile (Docker's JSON) into BPF on stdout. A program of
// its own because it alone links libseccomp, which no container start should pay for.
//
//   dewar-seccomp PROFILE.json CAPABILITIES(hex)
//   dewar-seccomp --oci < linux.seccomp of a bundle
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "codec/json.h"
#include "sandbox/caps.h"

#define PROFILE_MAX ((size_t)4 << 20)

static void own_filter(scmp_filter_ctx *f)
{
    if (*f) seccomp_release(*f);
}

static const struct {
    const char *name;
    uint32_t action;
} actions[] = {
    {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},      {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(0)},
    {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD}, {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
    {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS}, {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
    {"SCMP_ACT_LOG", SCMP_ACT_LOG},           {"SCMP_ACT_NOTIFY", SCMP_ACT_NOTIFY},
    {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(0)},
};
// What a bundle lists under "architectures".
static const struct {
    const char *name;
    uint32_t arch;
} arches[] = {
    {"SCMP_ARCH_X86", SCMP_ARCH_X86},         {"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
    {"SCMP_ARCH_X32", SCMP_ARCH_X32},         {"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64}, {"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
    {"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},     {"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
    {"SCMP_ARCH_S390", SCMP_ARCH_S390},       {"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
    {"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},       {"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
    {"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32}, {"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
    {"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64}, {"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
    {"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},   {"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
    {"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
};

static int find_action(struct sv name, int64_t code, uint32_t *out, struct err *e)
{
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (sv_eqz(name, actions[i].name)) {
            *out = actions[i].action;
            if (*out == SCMP_ACT_ERRNO(0) && (code < 0 || code > 4095))
                return err_set(e, ERR_INPUT, "%lld is no error number", (long long)code);
            if (*out == SCMP_ACT_ERRNO(0)) *out = SCMP_ACT_ERRNO((uint32_t)code);
            if (*out == SCMP_ACT_TRACE(0)) *out = SCMP_ACT_TRACE((uint32_t)code & 0xffff);
            return 0;
        }
    return err_set(e, ERR_INPUT, "unknown action '%.*s'", (int)name.n, name.p);
}

static int64_t errno_of(const struct codec_json *obj, const char *key)
{
    const struct codec_json *v = codec_json_get(obj, key);
    return v && codec_json_type(v) == CODEC_JSON_INT ? codec_json_int(v) : EPERM;
}

// The specification wants an error where there is a number and no use for it.
static int check_errno(const struct codec_json *obj, const char *key, uint32_t action,
                       struct err *e)
{
    uint32_t kind = action & SECCOMP_RET_ACTION_FULL;
    if (codec_json_type(codec_json_get(obj, key)) == CODEC_JSON_NULL ||
        kind == SCMP_ACT_ERRNO(0) || kind == SCMP_ACT_TRACE(0))
        return 0;
    return err_set(e, ERR_INPUT, "'%s': only SCMP_ACT_ERRNO and SCMP_ACT_TRACE take a number", key);
}

// A value in quotes would be read as 0 and a list that is none as empty: another filter.
struct field {
    const char *key;
    enum codec_json_type type;
};
static int check_types(const struct codec_json *obj, const struct field *fields, size_t n,
                       struct err *e)
{
    if (codec_json_type(obj) != CODEC_JSON_OBJECT)
        return err_set(e, ERR_INPUT, "it must be a JSON object");
    for (size_t i = 0; i < n; i++) {
        enum codec_json_type type = codec_json_type(codec_json_get(obj, fields[i].key));
        if (type != CODEC_JSON_NULL && type != fields[i].type)
            return err_set(e, ERR_INPUT, "'%s' is of the wrong type", fields[i].key);
    }
    return 0;
}

static bool has_any_cap(const struct codec_json *list, uint64_t caps)
{
    for (size_t i = 0; i < codec_json_len(list); i++) {
        int n = sandbox_caps_number(codec_json_text(codec_json_at(list, i)));
        if (n >= 0 && caps >> n & 1) return true;
    }
    return false;
}

static bool lists_arch(const struct codec_json *list)
{
#if defined(__x86_64__)
    static const char *const ours[] = {"amd64", "x86_64", "x86", "x32"};
#else
    static const char *const ours[] = {"arm64", "aarch64"};
#endif
    for (size_t i = 0; i < codec_json_len(list); i++)
        for (size_t k = 0; k < sizeof ours / sizeof *ours; k++)
            if (sv_eqz(codec_json_text(codec_json_at(list, i)), ours[k])) return true;
    return false;
}

static bool kernel_is_at_least(struct sv want)
{
    struct utsname u;
    unsigned a = 0, b = 0, c = 0, d = 0;
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)want.n, want.p);
    if (uname(&u) != 0 || sscanf(u.release, "%u.%u", &a, &b) != 2 ||
        sscanf(text, "%u.%u", &c, &d) != 2)
        return true;
    return a != c ? a > c : b >= d;
}

// A rule applies when its "includes" do and its "excludes" do not.
static bool applies(const struct codec_json *rule, uint64_t caps)
{
    const struct codec_json *in = codec_json_get(rule, "includes"),
                            *ex = codec_json_get(rule, "excludes");
    const struct codec_json *v;
    if (in) {
        v = codec_json_get(in, "caps");
        if (codec_json_len(v) && !has_any_cap(v, caps)) return false;
        v = codec_json_get(in, "arches");
        if (codec_json_len(v) && !lists_arch(v)) return false;
        v = codec_json_get(in, "minKernel");
        if (v && !kernel_is_at_least(codec_json_text(v))) return false;
    }
    if (ex) {
        v = codec_json_get(ex, "caps");
        if (has_any_cap(v, caps)) return false;
        if (lists_arch(codec_json_get(ex, "arches"))) return false;
        v = codec_json_get(ex, "minKernel");
        if (v && kernel_is_at_least(codec_json_text(v))) return false;
    }
    return true;
}

static int read_args(const struct codec_json *rule, struct scmp_arg_cmp *out, unsigned *n,
                     struct err *e)
{
    static const struct {
        const char *name;
        enum scmp_compare op;
    } ops[] = {{"SCMP_CMP_NE", SCMP_CMP_NE},
               {"SCMP_CMP_LT", SCMP_CMP_LT},
               {"SCMP_CMP_LE", SCMP_CMP_LE},
               {"SCMP_CMP_EQ", SCMP_CMP_EQ},
               {"SCMP_CMP_GE", SCMP_CMP_GE},
               {"SCMP_CMP_GT", SCMP_CMP_GT},
               {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
    const struct codec_json *args = codec_json_get(rule, "args");
    *n = 0;
    for (size_t i = 0; i < codec_json_len(args); i++) {
        static const struct field fields[] = {{"index", CODEC_JSON_INT},
                                              {"value", CODEC_JSON_INT},
                                              {"valueTwo", CODEC_JSON_INT},
                                              {"op", CODEC_JSON_TEXT}};
        const struct codec_json *a = codec_json_at(args, i);
        if (check_types(a, fields, 4, e) < 0) return -1;
        struct sv op = codec_json_text(codec_json_get(a, "op"));
        int64_t index = codec_json_int(codec_json_get(a, "index"));
        size_t k = 0;
        while (k < sizeof ops / sizeof *ops && !sv_eqz(op, ops[k].name)) k++;
        if (k == sizeof ops / sizeof *ops || index < 0 || index > 5 || *n == 6)
            return err_set(e, ERR_INPUT, "a comparison that cannot be used ('%.*s')", (int)op.n,
                           op.p);
        out[(*n)++] = (struct scmp_arg_cmp){
            .arg = (unsigned)index, .op = ops[k].op,
            .datum_a = (scmp_datum_t)codec_json_int(codec_json_get(a, "value")),
            .datum_b = (scmp_datum_t)codec_json_int(codec_json_get(a, "valueTwo"))};
    }
    return 0;
}

static int add_name(scmp_filter_ctx f, uint32_t base, uint32_t action, const char *name,
                    const struct scmp_arg_cmp *args, unsigned n, struct err *e)
{
    int nr = seccomp_syscall_resolve_name(name);
    if (nr == __NR_SCMP_ERROR || action == base) return 0;  // unknown here: nothing to do
    int rc = seccomp_rule_add_array(f, action, nr, n, args);
    if (rc == 0 || rc == -EDOM) return 0;
    // One argument twice: each comparison is a rule of its own, as Docker has it.
    for (unsigned i = 0; i < n && n > 1; i++)
        if (seccomp_rule_add_array(f, action, nr, 1, args + i) != 0)
            return err_sys_code(e, -rc, "add the rule for '%s'", name);
    return n > 1 ? 0 : err_sys_code(e, -rc, "add the rule for '%s'", name);
}

static int add_rule(scmp_filter_ctx f, uint32_t base, const struct codec_json *rule, bool oci,
                    struct err *e)
{
    static const struct field fields[] = {{"names", CODEC_JSON_ARRAY},
                                          {"name", CODEC_JSON_TEXT},
                                          {"action", CODEC_JSON_TEXT},
                                          {"errnoRet", CODEC_JSON_INT},
                                          {"args", CODEC_JSON_ARRAY}};
    struct scmp_arg_cmp args[6];
    unsigned n;
    uint32_t action;
    if (check_types(rule, fields, 5, e) < 0 ||
        find_action(codec_json_text(codec_json_get(rule, "action")), errno_of(rule, "errnoRet"),
                    &action, e) < 0 ||
        (oci && check_errno(rule, "errnoRet", action, e) < 0) || read_args(rule, args, &n, e) < 0)
        return -1;
    const struct codec_json *names = codec_json_get(rule, "names");
    struct sv one = codec_json_text(codec_json_get(rule, "name"));
    if (one.n) {
        own(free) char *z = sv_dup(one);
        if (add_name(f, base, action, z, args, n, e) < 0) return -1;
    }
    for (size_t i = 0; i < codec_json_len(names); i++) {
        own(free) char *z = sv_dup(codec_json_text(codec_json_at(names, i)));
        if (add_name(f, base, action, z, args, n, e) < 0) return -1;
    }
    return 0;
}

static int add_arches(scmp_filter_ctx f, const struct codec_json *list, bool oci, struct err *e)
{
#if defined(__x86_64__)
    if (!oci) {
        seccomp_arch_add(f, SCMP_ARCH_X86);
        seccomp_arch_add(f, SCMP_ARCH_X32);
    }
#endif
    for (size_t i = 0; oci && i < codec_json_len(list); i++) {
        struct sv name = codec_json_text(codec_json_at(list, i));
        size_t k = 0, n = sizeof arches / sizeof *arches;
        while (k < n && !sv_eqz(name, arches[k].name)) k++;
        if (k == n)
            return err_set(e, ERR_INPUT, "unknown architecture '%.*s'", (int)name.n, name.p);
        int rc = seccomp_arch_add(f, arches[k].arch);
        if (rc != 0 && rc != -EEXIST) return err_sys_code(e, -rc, "add the architecture '%s'",
                                                          arches[k].name);
    }
    return 0;
}

static int compile(struct sv text, const char *path, uint64_t caps, bool oci, struct err *e)
{
    own(codec_json) struct codec_json *j = NULL;
    if (codec_json_parse(text, path, &j, e) < 0) return -1;
    static const struct field fields[] = {{"defaultAction", CODEC_JSON_TEXT},
                                          {"defaultErrnoRet", CODEC_JSON_INT},
                                          {"architectures", CODEC_JSON_ARRAY},
                                          {"syscalls", CODEC_JSON_ARRAY}};
    uint32_t base;
    if (check_types(j, fields, 4, e) < 0) return err_wrap(e, "reading '%s'", path);
    if (find_action(codec_json_text(codec_json_get(j, "defaultAction")),
                    errno_of(j, "defaultErrnoRet"), &base, e) < 0 ||
        (oci && check_errno(j, "defaultErrnoRet", base, e) < 0))
        return err_wrap(e, "reading defaultAction of '%s'", path);
    own(filter) scmp_filter_ctx f = seccomp_init(base);
    if (!f) return err_set(e, ERR_SYSTEM, "libseccomp refused the default action");
    if (add_arches(f, codec_json_get(j, "architectures"), oci, e) < 0) return -1;
    const struct codec_json *rules = codec_json_get(j, "syscalls");
    for (size_t i = 0; i < codec_json_len(rules); i++) {
        const struct codec_json *rule = codec_json_at(rules, i);
        if ((oci || applies(rule, caps)) && add_rule(f, base, rule, oci, e) < 0)
            return err_wrap(e, "rule %zu of '%s'", i + 1, path);
    }
    int rc = seccomp_export_bpf(f, 1);
    return rc == 0 ? 0 : err_sys_code(e, -rc, "write the filter");
}

int main(int argc, char **argv)
{
    struct err e = {0};
    own(str) struct str text = {0}, profile = {0};
    bool oci = argc == 2 && strcmp(argv[1], "--oci") == 0;
    if (argc != 3 && !oci) return 2;
    int rc = oci ? fs_read_fd(0, PROFILE_MAX, &profile, &e)
                 : fs_read_at(AT_FDCWD, argv[1], PROFILE_MAX, &profile, &e);
    uint64_t caps = oci ? 0 : strtoull(argv[2], NULL, 16);
    if (rc == 0) rc = compile(str_sv(&profile), oci ? "linux.seccomp" : argv[1], caps, oci, &e);
    if (rc == 0) return 0;
    err_print(&e, &text);
    fputs(str_z(&text), stderr);
    return 1;
}
