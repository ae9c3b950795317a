// SPDX-License-Identifier: Apache-2.0
// The grammar of --output: comma-separated fields of which one may stand in double quotes (so that
// a value can hold commas), one row a key.
#include "build/output.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "base/own.h"
#include "oci/ref.h"

#define LEVEL_MAX 22

static const char *const type_names[BUILD_OUTPUT_TYPE_COUNT] = {"image", "local",  "tar",
                                                                "oci",   "docker", "registry"};

const char *build_output_type_name(enum build_output_type t)
{
    return (unsigned)t < BUILD_OUTPUT_TYPE_COUNT ? type_names[t] : "?";
}

void build_output_fini(struct build_output *o)
{
    free(o->dest);
    strv_fini(&o->names);
    *o = (struct build_output){0};
}

// --- values -------------------------------------------------------------------------------------
static bool read_bool(struct sv v, bool *out)
{
    bool yes = sv_eqz(v, "true") || sv_eqz(v, "1");
    *out = yes;
    return yes || sv_eqz(v, "false") || sv_eqz(v, "0");
}

static bool set_dest(struct build_output *o, struct sv v)
{
    free(o->dest);
    o->dest = sv_dup(v);
    return v.n > 0;
}

static bool set_tar(struct build_output *o, struct sv v)
{
    bool tar;
    if (!read_bool(v, &tar)) return false;
    o->is_dir = !tar;
    return true;
}

static bool set_name(struct build_output *o, struct sv v)
{
    struct sv rest = v;
    while (rest.p) {
        struct sv one = sv_trim(sv_cut(&rest, ','));
        if (one.n == 0) return false;
        strv_take(&o->names, sv_dup(one));
    }
    return o->names.n > 0;
}

static bool set_push(struct build_output *o, struct sv v)
{
    bool push;
    if (!read_bool(v, &push)) return false;
    o->push = push;
    return true;
}

static bool set_insecure(struct build_output *o, struct sv v)
{
    return read_bool(v, &o->insecure);
}

static bool set_compression(struct build_output *o, struct sv v)
{
    o->compression = sv_eqz(v, "gzip") ? "gzip" : sv_eqz(v, "zstd") ? "zstd" : NULL;
    return o->compression;
}

static bool set_level(struct build_output *o, struct sv v)
{
    uint64_t level;
    if (!num_u64_max(v, LEVEL_MAX, &level)) return false;
    o->level = (int)level;
    return true;
}

// What others offer and we always do.
static bool only_true(struct build_output *o, struct sv v)
{
    bool yes;
    (void)o;
    return read_bool(v, &yes) && yes;
}

static bool either(struct build_output *o, struct sv v)
{
    bool ignored;
    (void)o;
    return read_bool(v, &ignored);
}

// --- the table ----------------------------------------------------------------------------------
#define T(name) (1U << BUILD_OUTPUT_##name)
#define FILES (T(LOCAL) | T(TAR))
#define ARCHIVES (T(OCI) | T(DOCKER))
#define IMAGES (T(IMAGE) | T(REGISTRY))

static const struct row {
    const char *key;
    unsigned types;
    bool (*set)(struct build_output *o, struct sv v);
    const char *takes;
} rows[] = {
    {"dest", FILES | ARCHIVES, set_dest, "a path"},
    {"name", IMAGES | ARCHIVES, set_name, "an image name; several in one pair of quotes"},
    {"push", IMAGES, set_push, "true or false"},
    {"registry.insecure", IMAGES, set_insecure, "true or false"},
    {"compression", IMAGES, set_compression, "gzip or zstd"},
    {"compression-level", IMAGES, set_level, "0 to 22"},
    {"tar", T(OCI), set_tar, "true or false"},
    {"unpack", IMAGES, either, "true or false"},
    {"store", IMAGES, only_true, "true: every image goes to the store"},
    {"oci-mediatypes", IMAGES | T(OCI), only_true, "true"},
    {"rewrite-timestamp", IMAGES | ARCHIVES, either, "true or false"},
};
#define ROWS (sizeof rows / sizeof *rows)

static int set_key(struct build_output *o, struct sv key, struct sv value, struct err *e)
{
    own(str) struct str known = {0};
    for (size_t i = 0; i < ROWS; i++) {
        if (!(rows[i].types & 1U << o->type)) continue;
        str_addf(&known, "%s%s", known.n ? ", " : "", rows[i].key);
        if (!sv_eq_nocase(key, sv_of(rows[i].key))) continue;
        if (rows[i].set(o, value)) return 0;
        err_set(e, ERR_USAGE, "--output '%s': %s cannot be '%.*s'", o->text, rows[i].key,
                (int)value.n, value.p ? value.p : "");
        return err_hint(e, "it takes %s", rows[i].takes);
    }
    err_set(e, ERR_USAGE, "--output '%s': type=%s has no key '%.*s'", o->text, type_names[o->type],
            (int)key.n, key.p ? key.p : "");
    return err_hint(e, "it takes: %s", str_z(&known));
}

// --- fields -------------------------------------------------------------------------------------
// Cuts the next field off *rest, as CSV has it: quotes around a whole field, a quote inside twice.
static int next_field(struct sv *rest, struct str *out, const char *text, struct err *e)
{
    str_clear(out);
    if (rest->n == 0 || rest->p[0] != '"') {
        str_add(out, sv_cut(rest, ','));
        return 0;
    }
    struct sv in = sv_from(*rest, 1);
    for (;;) {
        long quote = sv_find(in, '"');
        if (quote < 0) return err_set(e, ERR_USAGE, "--output '%s': a quote is not closed", text);
        str_add(out, sv_part(in, 0, (size_t)quote));
        in = sv_from(in, (size_t)quote + 1);
        if (in.n == 0 || in.p[0] != '"') break;
        str_addc(out, '"');
        in = sv_from(in, 1);
    }
    if (in.n && in.p[0] != ',')
        return err_set(e, ERR_USAGE, "--output '%s': a comma is missing behind a quote", text);
    *rest = in.n ? sv_from(in, 1) : (struct sv){NULL, 0};
    return 0;
}

static int each_field(struct build_output *o,
                      int (*fn)(struct build_output *o, struct sv key, struct sv value,
                                struct err *e),
                      struct err *e)
{
    own(str) struct str field = {0};
    struct sv rest = sv_of(o->text);
    while (rest.p) {
        if (next_field(&rest, &field, o->text, e) < 0) return -1;
        struct sv value = str_sv(&field), key = sv_trim(sv_cut(&value, '='));
        if (fn(o, key, value, e) < 0) return -1;
    }
    return 0;
}

static int take_type(struct build_output *o, struct sv key, struct sv value, struct err *e)
{
    (void)e;
    if (!sv_eq_nocase(key, SV("type"))) return 0;
    o->type = BUILD_OUTPUT_TYPE_COUNT;
    for (unsigned i = 0; i < BUILD_OUTPUT_TYPE_COUNT; i++)
        if (sv_eqz(value, type_names[i])) o->type = (enum build_output_type)i;
    return 0;
}

static int take_other(struct build_output *o, struct sv key, struct sv value, struct err *e)
{
    return sv_eq_nocase(key, SV("type")) ? 0 : set_key(o, key, value, e);
}

static int parse(struct build_output *o, struct err *e)
{
    o->type = BUILD_OUTPUT_TYPE_COUNT;
    if (each_field(o, take_type, e) < 0) return -1;
    if (o->type == BUILD_OUTPUT_TYPE_COUNT) {
        err_set(e, ERR_USAGE, "--output '%s': the type is not known", o->text);
        return err_hint(e, "types are: image, registry, local, tar, oci, docker");
    }
    if (each_field(o, take_other, e) < 0) return -1;
    if (o->type == BUILD_OUTPUT_REGISTRY) {
        o->type = BUILD_OUTPUT_IMAGE;
        if (o->push < 0) o->push = 1;
    }
    if (o->type == BUILD_OUTPUT_LOCAL && !o->dest)
        return err_set(e, ERR_USAGE, "--output '%s' needs dest=FOLDER", o->text);
    if (o->type != BUILD_OUTPUT_IMAGE && !o->dest) o->dest = str_dup("-");
    return 0;
}

int build_output_parse(const char *text, struct build_output *out, struct err *e)
{
    own(build_output) struct build_output o = {.text = text, .push = -1};
    bool piped = strcmp(text, "-") == 0;
    if (piped || !strchr(text, '=')) {
        o.type = piped ? BUILD_OUTPUT_TAR : BUILD_OUTPUT_LOCAL;
        o.dest = str_dup(text);
    } else if (parse(&o, e) < 0) {
        return -1;
    }
    *out = o;
    o = (struct build_output){0}; // moved
    return 0;
}

// --- together -----------------------------------------------------------------------------------
static int add_name(struct build_outputs *out, const char *name, const char *flag, struct err *e)
{
    struct oci_ref ref;
    if (oci_ref_parse(sv_of(name), &ref, e) < 0) return err_wrap(e, "%s", flag);
    if (oci_digest_is_set(&ref.digest))
        return err_set(e, ERR_USAGE, "%s '%s' must not have a digest", flag, name);
    if (strv_find(&out->names, name) < 0) strv_add(&out->names, name);
    return 0;
}

static int add_output(struct build_outputs *out, const char *text, struct err *e)
{
    struct build_output *o = vec_add(&out->v);
    *o = (struct build_output){0};
    if (build_output_parse(text, o, e) < 0) return -1;
    for (size_t i = 0; i < o->names.n; i++)
        if (add_name(out, o->names.p[i], "--output name=", e) < 0) return -1;
    if (o->type == BUILD_OUTPUT_IMAGE) {
        out->push = out->push || o->push == 1;
        out->insecure = out->insecure || o->insecure;
        if (o->compression) out->compression = o->compression;
        if (o->level) out->level = o->level;
    }
    if (o->type != BUILD_OUTPUT_LOCAL && o->type != BUILD_OUTPUT_TAR) out->files_only = false;
    if (!o->dest || strcmp(o->dest, "-") != 0 || o->type == BUILD_OUTPUT_LOCAL) return 0;
    out->to_stdout = true;
    if (!isatty(STDOUT_FILENO)) return 0;
    err_set(e, ERR_USAGE, "--output would write an archive to the terminal");
    return err_hint(e, "add dest=FILE or send stdout to a file");
}

static int read_all(const struct build_options *opt, struct build_outputs *out, struct err *e)
{
    out->files_only = opt->outputs && opt->outputs->n;
    for (size_t i = 0; opt->tags && i < opt->tags->n; i++)
        if (add_name(out, opt->tags->p[i], "--tag", e) < 0) return -1;
    for (size_t i = 0; opt->outputs && i < opt->outputs->n; i++)
        if (add_output(out, opt->outputs->p[i], e) < 0) return -1;
    const char *flag = opt->push ? "--push" : "--output push=true";
    out->push = out->push || opt->push;
    if (out->push && out->files_only)
        return err_set(e, ERR_USAGE, "%s: the result is no image", flag);
    if (out->push && !out->names.n) {
        err_set(e, ERR_USAGE, "%s: the image has no name", flag);
        return err_hint(e, "say where it goes: -t REGISTRY/NAME:TAG");
    }
    return 0;
}

int build_outputs_read(const struct build_options *opt, struct build_outputs *out, struct err *e)
{
    *out = (struct build_outputs){0};
    if (read_all(opt, out, e) == 0) return 0;
    build_outputs_fini(out);
    return -1;
}

void build_outputs_fini(struct build_outputs *o)
{
    vec_each(i, &o->v) build_output_fini(i);
    vec_fini(&o->v);
    strv_fini(&o->names);
    *o = (struct build_outputs){0};
}
