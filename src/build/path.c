// SPDX-License-Identifier: Apache-2.0
// Cleaning of paths as text, by the rules of Go's path.Clean, which Dockerfiles are written for.
#include "build/path.h"

#include "base/own.h"
#include "base/vec.h"

static void clean_into(struct sv path, bool rooted, struct str *out)
{
    VEC(struct sv) parts = {0};
    for (struct sv rest = path; rest.p;) {
        struct sv part = sv_cut(&rest, '/');
        if (part.n == 0 || sv_eqz(part, ".")) continue;
        if (sv_eqz(part, "..")) {
            bool pops = parts.n > 0 && !sv_eqz(parts.p[parts.n - 1], "..");
            if (pops) parts.n--;
            if (pops || rooted) continue;
        }
        vec_push(&parts, part);
    }
    if (rooted) str_addc(out, '/');
    for (size_t i = 0; i < parts.n; i++) {
        if (i) str_addc(out, '/');
        str_add(out, parts.p[i]);
    }
    if (out->n == 0) str_addc(out, '.');
    vec_fini(&parts);
}

char *build_path_clean(struct sv path)
{
    struct str out = {0};
    clean_into(path, path.n > 0 && path.p[0] == '/', &out);
    return str_take(&out);
}

char *build_path_join(const char *base, struct sv path)
{
    own(str) struct str both = {0};
    struct str out = {0};
    if (!(path.n > 0 && path.p[0] == '/')) str_addf(&both, "%s/", base);
    str_add(&both, path);
    clean_into(str_sv(&both), true, &out);
    return str_take(&out);
}
