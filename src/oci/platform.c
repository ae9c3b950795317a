// SPDX-License-Identifier: Apache-2.0
// Platforms come in many spellings (uname's, Debian's, Go's, OCI's). One table brings them to Go's, which is
// what images carry; after that comparing is plain.
#include "oci/platform.h"

#include <stdlib.h>
#include <sys/utsname.h>

struct spelling {
    const char *from;
    const char *arch;
    const char *variant;  // NULL: keep what was given
};
static const struct spelling spellings[] = {
    {"x86_64", "amd64", NULL},  {"x86-64", "amd64", NULL}, {"aarch64", "arm64", NULL},
    {"i386", "386", ""},        {"i486", "386", ""},       {"i586", "386", ""},
    {"i686", "386", ""},        {"armhf", "arm", "v7"},    {"armel", "arm", "v6"},
    {"armv7l", "arm", "v7"},    {"armv6l", "arm", "v6"},   {"armv5l", "arm", "v5"},
    {"ppc64el", "ppc64le", ""}, {"mips64el", "mips64le", ""}, {"loong64", "loong64", NULL},
    {"loongarch64", "loong64", NULL},
};
static const char *const known_os[] = {"linux", "windows", "darwin", "freebsd", "macos"};
static const char *const known_arch[] = {"386",     "amd64",   "arm",      "arm64", "loong64", "mips64le",
                                         "ppc64le", "riscv64", "s390x",    "mips",  "mipsle",  "mips64",
                                         "ppc64",   "wasm",    "wasm32"};

static void put(char out[32], const char *z)
{
    size_t n = strlen(z);
    memcpy(out, z, n < 31 ? n : 31);
    out[n < 31 ? n : 31] = '\0';
}

static bool listed(const char *const *list, size_t n, const char *z)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i], z) == 0) return true;
    }
    return false;
}

static void normalise(struct oci_platform *p)
{
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        if (strcmp(p->arch, spellings[i].from) != 0) continue;
        put(p->arch, spellings[i].arch);
        if (spellings[i].variant && !p->variant[0]) put(p->variant, spellings[i].variant);
        break;
    }
    if (strcmp(p->os, "macos") == 0) put(p->os, "darwin");
    bool digit = p->variant[0] >= '1' && p->variant[0] <= '9' && !p->variant[1];
    if (digit) {
        char v[3] = {'v', p->variant[0], '\0'};
        put(p->variant, v);
    }
    if (strcmp(p->arch, "arm64") == 0 && strcmp(p->variant, "v8") == 0) p->variant[0] = '\0';
    if (strcmp(p->arch, "amd64") == 0 && strcmp(p->variant, "v1") == 0) p->variant[0] = '\0';
    if (strcmp(p->arch, "arm") == 0 && !p->variant[0]) put(p->variant, "v7");
}

static bool take_part(struct sv part, char out[32])
{
    if (part.n == 0 || part.n > 31) return false;
    for (size_t i = 0; i < part.n; i++) {
        char c = part.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
        if (c >= 'A' && c <= 'Z') {
            c = (char)(c - 'A' + 'a');
            ok = true;
        }
        if (!ok) return false;
        out[i] = c;
    }
    out[part.n] = '\0';
    return true;
}

static int refuse(struct sv text, struct err *e)
{
    err_set(e, ERR_INPUT, "invalid platform '%.*s'", (int)(text.n > 100 ? 100 : text.n), text.p);
    return err_hint(e, "write it as os/arch or os/arch/variant, as in linux/amd64");
}

int oci_platform_parse(struct sv text, struct oci_platform *out, struct err *e)
{
    struct oci_platform p = {0};
    char parts[3][32] = {{0}};
    size_t n = 0;
    struct sv rest = text;
    while (rest.p) {
        if (n == 3 || !take_part(sv_cut(&rest, '/'), parts[n++])) return refuse(text, e);
    }
    if (n >= 2) {
        put(p.os, parts[0]);
        put(p.arch, parts[1]);
        put(p.variant, parts[2]);
        normalise(&p);
        *out = p;
        return 0;
    }
    if (listed(known_os, sizeof known_os / sizeof *known_os, parts[0])) {
        oci_platform_host(&p);
        put(p.os, parts[0]);
    } else {
        put(p.os, "linux");
        put(p.arch, parts[0]);
        normalise(&p);
        if (!listed(known_arch, sizeof known_arch / sizeof *known_arch, p.arch)) {
            return refuse(text, e);
        }
    }
    normalise(&p);
    *out = p;
    return 0;
}

void oci_platform_host(struct oci_platform *out)
{
    struct utsname u;
    struct oci_platform p = {0};
    put(p.os, "linux");
    put(p.arch, uname(&u) == 0 ? u.machine : "amd64");
    normalise(&p);
    *out = p;
}

void oci_platform_print(const struct oci_platform *p, struct str *out)
{
    str_addf(out, "%s/%s", p->os, p->arch);
    if (p->variant[0]) str_addf(out, "/%s", p->variant);
}

// "v7" -> 7; "" is the oldest level that the architecture has.
static int level(const struct oci_platform *p)
{
    if (p->variant[0] == 'v' && p->variant[1] >= '1' && p->variant[1] <= '9' && !p->variant[2]) {
        return p->variant[1] - '0';
    }
    if (p->variant[0]) return 100;
    return strcmp(p->arch, "arm") == 0 ? 7 : strcmp(p->arch, "arm64") == 0 ? 8 : 1;
}

bool oci_platform_match(const struct oci_platform *want, const struct oci_platform *have)
{
    struct oci_platform w = *want;
    struct oci_platform h = *have;
    normalise(&w);
    normalise(&h);
    if (strcmp(w.os, h.os) != 0 || strcmp(w.arch, h.arch) != 0) return false;
    if (strcmp(w.variant, h.variant) == 0) return true;
    // Levels build on each other: what runs on an older one runs on a newer one.
    return level(&h) != 100 && level(&h) <= level(&w);
}
