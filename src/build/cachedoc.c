// SPDX-License-Identifier: Apache-2.0
// Reads and writes the records of a build cache. See build/cachedoc.h. What comes from outside is
// checked for form here; that a layer is what its record says is checked when it is unpacked.
#include "build/cachedoc.h"

#include <stdlib.h>
#include <string.h>

#include "base/engine.h"
#include "base/own.h"
#include "base/str.h"

#define VERSION 1

void build_cachedoc_init(struct build_cachedoc *d)
{
    *d = (struct build_cachedoc){.steps = {.free_value = free}, .sources = {.free_value = free}};
}

void build_cachedoc_fini(struct build_cachedoc *d)
{
    map_fini(&d->steps);
    map_fini(&d->sources);
    vec_each(c, &d->content) free(c->mount);
    vec_fini(&d->content);
}

// --- reading --------------------------------------------------------------------------------------

struct reading {
    const char *label;
    const struct oci_manifest *m;
    struct build_cachedoc *out;
};

static bool is_hex(struct sv text, struct oci_digest *out)
{
    return oci_digest_parse_hex(text, out);
}

bool build_cachedoc_step(struct sv record, struct oci_digest *out)
{
    own(codec_json) struct codec_json *j = NULL;
    struct err ignored;
    *out = (struct oci_digest){0};
    if (codec_json_parse(record, "build record", &j, &ignored) < 0) return false;
    const struct codec_json *diff = codec_json_get(j, "diff_id");
    if (!diff || codec_json_type(diff) != CODEC_JSON_TEXT) return false;
    return codec_json_text(diff).n == 0 || is_hex(codec_json_text(diff), out);
}

static int read_step(struct reading *r, struct codec_json *step, struct err *e)
{
    struct oci_digest key, diff;
    const struct codec_json *copied = codec_json_get(step, "copied");
    struct sv k = codec_json_text(codec_json_get(step, "key"));
    const struct codec_json *d = codec_json_get(step, "diff_id");
    bool good = is_hex(k, &key) && d && codec_json_type(d) == CODEC_JSON_TEXT &&
                (codec_json_text(d).n == 0 || is_hex(codec_json_text(d), &diff));
    good = good && (!copied || codec_json_type(copied) == CODEC_JSON_ARRAY);
    for (size_t i = 0; good && copied && i < codec_json_len(copied); i++) {
        struct sv row = codec_json_text(codec_json_at(copied, i));
        good = row.n <= LIMIT_NAME + 1 + 64 && sv_find(row, '\t') > 0 && sv_find(row, '\n') < 0;
    }
    if (!good) return err_set(e, ERR_INPUT, "%s: a step's record is damaged", r->label);
    own(str) struct str text = {0};
    own(codec_json) struct codec_json *record = codec_json_new_object();  // nothing else gets in
    codec_json_set(record, "diff_id", codec_json_copy(d));
    if (copied) codec_json_set(record, "copied", codec_json_copy(copied));
    codec_json_print(record, &text);
    map_set(&r->out->steps, key.hex, str_take(&text));
    return 0;
}

static int read_source(struct reading *r, struct codec_json *source, struct err *e)
{
    struct oci_digest key, hash;
    if (!is_hex(codec_json_text(codec_json_get(source, "key")), &key) ||
        !is_hex(codec_json_text(codec_json_get(source, "hash")), &hash))
        return err_set(e, ERR_INPUT, "%s: a source's record is damaged", r->label);
    map_set(&r->out->sources, key.hex, str_dup(hash.hex));
    return 0;
}

static int read_content(struct reading *r, struct codec_json *row, struct err *e)
{
    size_t i = r->out->content.n;
    struct sv mount = codec_json_text(codec_json_get(row, "mount"));
    struct build_cachedoc_layer c = {0};
    int64_t size = codec_json_int(codec_json_get(row, "tar_size"));
    bool good = i < r->m->n && size >= 0 && mount.n <= LIMIT_NAME &&
                (mount.n || is_hex(codec_json_text(codec_json_get(row, "diff_id")), &c.diff_id));
    if (!good) return err_set(e, ERR_INPUT, "%s: content %zu of the records is damaged", r->label, i);
    c.tar_size = (uint64_t)size;
    c.blob = r->m->items[i];
    c.blob.annotations = NULL;
    if (mount.n) c.mount = sv_dup(mount);
    vec_push(&r->out->content, c);
    return 0;
}

static int read_list(struct reading *r, struct codec_json *doc, const char *key,
                     int (*one)(struct reading *, struct codec_json *, struct err *), struct err *e)
{
    const struct codec_json *list = codec_json_get(doc, key);
    if (!list) return 0;
    if (codec_json_type(list) != CODEC_JSON_ARRAY)
        return err_set(e, ERR_INPUT, "%s: '%s' is no list", r->label, key);
    for (size_t i = 0; i < codec_json_len(list); i++)
        if (one(r, codec_json_at(list, i), e) < 0) return -1;
    return 0;
}

int build_cachedoc_parse(struct sv records, const struct oci_manifest *m, const char *label,
                         struct build_cachedoc *out, struct err *e)
{
    own(codec_json) struct codec_json *doc = NULL;
    struct reading r = {label, m, out};
    if (records.n > BUILD_CACHEDOC_MAX)
        return err_set(e, ERR_LIMIT, "%s: the records are larger than %zu bytes", label,
                       BUILD_CACHEDOC_MAX);
    if (codec_json_parse(records, label, &doc, e) < 0) return -1;
    if (codec_json_int(codec_json_get(doc, "version")) != VERSION)
        return err_set(e, ERR_UNSUPPORTED, "%s: the records are of another version", label);
    if (read_list(&r, doc, "steps", read_step, e) < 0 ||
        read_list(&r, doc, "sources", read_source, e) < 0)
        return -1;
    if (!m) return 0;
    if (read_list(&r, doc, "content", read_content, e) < 0) return -1;
    if (out->content.n == m->n) return 0;
    return err_set(e, ERR_INPUT, "%s: the manifest has %zu layers, its records name %zu", label, m->n,
                   out->content.n);
}

// --- writing --------------------------------------------------------------------------------------

static void print_steps(const struct build_cachedoc *d, struct str *out)
{
    for (size_t i = 0; i < d->steps.n; i++) {
        // The record is an object of ours: the key goes in front of what is in it.
        struct sv record = sv_of(d->steps.p[i].value);
        str_addf(out, "%s{\"key\":\"%s\",", i ? "," : "", d->steps.p[i].key);
        str_add(out, sv_from(record, 1));
    }
}

void build_cachedoc_print(const struct build_cachedoc *d, bool content, struct str *out)
{
    str_addf(out, "{\"version\":%d,\"steps\":[", VERSION);
    print_steps(d, out);
    str_addz(out, "],\"sources\":[");
    for (size_t i = 0; i < d->sources.n; i++)
        str_addf(out, "%s{\"key\":\"%s\",\"hash\":\"%s\"}", i ? "," : "", d->sources.p[i].key,
                 (const char *)d->sources.p[i].value);
    str_addc(out, ']');
    if (content) {
        own(codec_json) struct codec_json *list = codec_json_new_array();
        vec_each(c, &d->content)
        {
            struct codec_json *row = codec_json_new_object();
            if (c->mount) {
                codec_json_set_text(row, "mount", c->mount);
            } else {
                codec_json_set_text(row, "diff_id", c->diff_id.hex);
                codec_json_set(row, "tar_size", codec_json_new_int((int64_t)c->tar_size));
            }
            codec_json_add(list, row);
        }
        str_addz(out, ",\"content\":");
        codec_json_print(list, out);
    }
    str_addc(out, '}');
}

void build_cachedoc_manifest(const struct build_cachedoc *d, const struct oci_digest *records,
                             size_t size, struct str *out)
{
    own(oci_manifest) struct oci_manifest m = {0};
    memcpy(m.media_type, OCI_TYPE_MANIFEST, sizeof OCI_TYPE_MANIFEST);
    memcpy(m.config.media_type, BUILD_CACHEDOC_TYPE, sizeof BUILD_CACHEDOC_TYPE);
    m.config.digest = *records;
    m.config.size = size;
    m.items = mem_alloc((d->content.n + 1) * sizeof *m.items);
    vec_each(c, &d->content) m.items[m.n++] = c->blob;
    oci_manifest_print(&m, out);
}

const struct build_cachedoc_layer *build_cachedoc_layer(const struct build_cachedoc *d,
                                                        const struct oci_digest *diff_id)
{
    vec_each(c, &d->content) if (!c->mount && oci_digest_eq(&c->diff_id, diff_id)) return c;
    return NULL;
}

const struct build_cachedoc_layer *build_cachedoc_mount(const struct build_cachedoc *d,
                                                        const char *id)
{
    vec_each(c, &d->content) if (c->mount && strcmp(c->mount, id) == 0) return c;
    return NULL;
}
