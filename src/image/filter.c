// SPDX-License-Identifier: Apache-2.0
// Filters of listings, as `--filter key=value` gives them.
#include <fnmatch.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/own.h"
#include "image/internal.h"

int image_filter_split(const char *text, const char *const *known, char **out_key,
                       const char **out_value, struct err *e)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text) {
        return err_set(e, ERR_USAGE, "invalid filter '%s': it must be key=value", text);
    }
    own(free) char *key = sv_dup((struct sv){text, (size_t)(eq - text)});
    own(str) struct str all = {0};
    for (size_t i = 0; known[i]; i++) {
        if (strcmp(known[i], key) == 0) {
            *out_key = take_ptr(key);
            *out_value = eq + 1;
            return 0;
        }
        str_addf(&all, "%s%s", i ? ", " : "", known[i]);
    }
    err_set(e, ERR_USAGE, "invalid filter '%s': there is no key '%s'", text, key);
    return err_hint(e, "the keys are %s", str_z(&all));
}

int image_filter_bool(const char *key, const char *value, bool *out, struct err *e)
{
    static const char *const yes[] = {"true", "1", "True", "TRUE", "t"};
    static const char *const no[] = {"false", "0", "False", "FALSE", "f"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        if (strcmp(value, yes[i]) == 0) return *out = true, 0;
        if (strcmp(value, no[i]) == 0) return *out = false, 0;
    }
    return err_set(e, ERR_USAGE, "invalid filter '%s=%s': it must be true or false", key, value);
}

int image_filter_time(const char *key, const char *value, int64_t *out, struct err *e)
{
    int64_t ns = 0;
    struct err bad = {0};
    own(free) char *day = str_fmt("%sT00:00:00Z", value);
    own(free) char *zulu = str_fmt("%sZ", value);
    if (clock_parse(sv_of(value), out) || clock_parse(sv_of(day), out) ||
        clock_parse(sv_of(zulu), out) || num_i64(sv_of(value), out)) {
        return 0;
    }
    if (num_duration(sv_of(value), &ns, &bad) == 0) {
        *out = clock_real_ns() / 1000000000 - ns / 1000000000;
        return 0;
    }
    err_set(e, ERR_USAGE, "invalid filter '%s=%s': not a time", key, value);
    return err_hint(e, "give a duration (24h), a date (2024-01-31) or an RFC 3339 time");
}

bool image_filter_label(const struct oci_image *im, const char *wanted)
{
    const char *eq = strchr(wanted, '=');
    own(free) char *key = sv_dup((struct sv){wanted, eq ? (size_t)(eq - wanted) : strlen(wanted)});
    const char *have = map_get(&im->labels, key);
    return have && (!eq || strcmp(have, eq + 1) == 0);
}

bool image_filter_reference(const struct oci_ref *r, const char *pattern)
{
    if (!r->name[0]) return false;
    own(str) struct str repository = {0};
    own(str) struct str name = {0};
    own(str) struct str full = {0};
    oci_ref_print_repository(r, &repository);
    oci_ref_print(r, &name);
    oci_ref_print_full(r, &full);
    const char *texts[] = {str_z(&repository), str_z(&name), str_z(&full)};
    for (size_t i = 0; i < 3; i++) {
        if (fnmatch(pattern, texts[i], FNM_PATHNAME) == 0) return true;
    }
    // "docker.io/library/debian" asks for the same images as "debian".
    struct oci_ref want = {0};
    struct err bad = {0};
    if (oci_ref_parse(sv_of(pattern), &want, &bad) < 0) return false;
    return strcmp(want.host, r->host) == 0 && strcmp(want.name, r->name) == 0 &&
           (!want.tag[0] || strcmp(want.tag, r->tag) == 0);
}
