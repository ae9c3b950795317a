// SPDX-License-Identifier: Apache-2.0
// Manifests and indexes, OCI's and Docker's. The same bytes must never be read as a manifest here and as an
// index elsewhere, so a document with both kinds of content, or whose mediaType says another kind
// than its content, is refused.
#include "base/engine.h"
#include "base/own.h"
#include "oci/image.h"

static void descriptor_fini(struct oci_descriptor *d)
{
    codec_json_free(d->annotations);
    d->annotations = NULL;
}

void oci_manifest_fini(struct oci_manifest *m)
{
    descriptor_fini(&m->config);
    for (size_t i = 0; i < m->n; i++) descriptor_fini(&m->items[i]);
    free(m->items);
    codec_json_free(m->annotations);
    memset(m, 0, sizeof *m);
}

static int put_text(char *out, size_t size, const char *z, const char *key, const char *label,
                    struct err *e)
{
    size_t n = z ? strlen(z) : 0;
    if (n >= size) {
        return err_set(e, ERR_INPUT, "%s: '%s' is longer than %zu bytes", label, key, size - 1);
    }
    if (n > 0) memcpy(out, z, n);
    out[n] = '\0';
    return 0;
}

struct platform_doc {
    char *os;
    char *arch;
    char *variant;
};

static int parse_platform(const struct codec_json *v, const char *label, struct oci_platform *out,
                          struct err *e)
{
    static const struct codec_field fields[] = {
        {"os", CODEC_FIELD_TEXT, offsetof(struct platform_doc, os), false},
        {"architecture", CODEC_FIELD_TEXT, offsetof(struct platform_doc, arch), false},
        {"variant", CODEC_FIELD_TEXT, offsetof(struct platform_doc, variant), false},
    };
    struct platform_doc d = {0};
    int rc = codec_json_decode(v, label, fields, sizeof fields / sizeof *fields, &d, e);
    if (rc == 0) rc = put_text(out->os, sizeof out->os, d.os, "os", label, e);
    if (rc == 0) rc = put_text(out->arch, sizeof out->arch, d.arch, "architecture", label, e);
    if (rc == 0) rc = put_text(out->variant, sizeof out->variant, d.variant, "variant", label, e);
    free(d.os);
    free(d.arch);
    free(d.variant);
    return rc < 0 ? -1 : 0;
}

struct descriptor_doc {
    char *media_type;
    char *digest;
    struct codec_json *platform;
    struct codec_json *annotations;
};

static int fill_descriptor(const struct codec_json *v, const struct descriptor_doc *d,
                           const char *label, struct oci_descriptor *out, struct err *e)
{
    if (put_text(out->media_type, sizeof out->media_type, d->media_type, "mediaType", label, e) < 0) {
        return -1;
    }
    if (oci_digest_parse(sv_of(d->digest), &out->digest, e) < 0) return err_wrap(e, "%s", label);
    const struct codec_json *size = codec_json_get(v, "size");
    if (!size || codec_json_type(size) != CODEC_JSON_INT || codec_json_int(size) < 0) {
        return err_set(e, ERR_INPUT, "%s: 'size' must be a number, 0 or more", label);
    }
    out->size = (uint64_t)codec_json_int(size);
    if (d->platform) {
        out->has_platform = true;
        if (parse_platform(d->platform, label, &out->platform, e) < 0) return -1;
    }
    if (d->annotations) {
        if (codec_json_type(d->annotations) != CODEC_JSON_OBJECT) {
            return err_set(e, ERR_INPUT, "%s: 'annotations' must be an object", label);
        }
        out->annotations = codec_json_copy(d->annotations);
    }
    return 0;
}

static int parse_descriptor(const struct codec_json *v, const char *label,
                            struct oci_descriptor *out, struct err *e)
{
    static const struct codec_field fields[] = {
        {"mediaType", CODEC_FIELD_TEXT, offsetof(struct descriptor_doc, media_type), false},
        {"digest", CODEC_FIELD_TEXT, offsetof(struct descriptor_doc, digest), true},
        {"platform", CODEC_FIELD_VALUE, offsetof(struct descriptor_doc, platform), false},
        {"annotations", CODEC_FIELD_VALUE, offsetof(struct descriptor_doc, annotations), false},
    };
    struct descriptor_doc d = {0};
    if (codec_json_type(v) != CODEC_JSON_OBJECT) {
        return err_set(e, ERR_INPUT, "%s: a descriptor must be an object", label);
    }
    int rc = codec_json_decode(v, label, fields, sizeof fields / sizeof *fields, &d, e);
    if (rc == 0) rc = fill_descriptor(v, &d, label, out, e);
    free(d.media_type);
    free(d.digest);
    if (rc < 0) descriptor_fini(out);
    return rc < 0 ? -1 : 0;
}

static int parse_items(const struct codec_json *list, const char *key, const char *label,
                       struct oci_manifest *m, struct err *e)
{
    if (codec_json_type(list) != CODEC_JSON_ARRAY) {
        return err_set(e, ERR_INPUT, "%s: '%s' must be an array", label, key);
    }
    size_t n = codec_json_len(list);
    if (n > LIMIT_LAYERS) {
        return err_set(e, ERR_LIMIT, "%s: %zu %s, the limit is %d", label, n, key, LIMIT_LAYERS);
    }
    m->items = n > 0 ? mem_alloc(n * sizeof *m->items) : NULL;
    for (; m->n < n; m->n++) {
        if (parse_descriptor(codec_json_at(list, m->n), label, &m->items[m->n], e) < 0) {
            return err_wrap(e, "in %s[%zu]", key, m->n);
        }
    }
    return 0;
}

struct media_kind {
    const char *type;
    bool index;
};
static const struct media_kind media_kinds[] = {
    {OCI_TYPE_MANIFEST, false},
    {DOCKER_TYPE_MANIFEST, false},
    {OCI_TYPE_INDEX, true},
    {DOCKER_TYPE_LIST, true},
};

static int check_media_type(const struct oci_manifest *m, const char *label, struct err *e)
{
    if (!m->media_type[0]) return 0;
    for (size_t i = 0; i < sizeof media_kinds / sizeof *media_kinds; i++) {
        if (strcmp(m->media_type, media_kinds[i].type) != 0) continue;
        if (media_kinds[i].index == m->is_index) return 0;
        return err_set(e, ERR_INPUT, "%s: it says to be '%s', but its content is of the other kind",
                       label, m->media_type);
    }
    return err_set(e, ERR_INPUT, "%s: unknown media type '%s'", label, m->media_type);
}

static bool filled(const struct codec_json *v)
{
    return v && codec_json_type(v) != CODEC_JSON_NULL;
}

static int parse_doc(const struct codec_json *doc, const char *label, struct oci_manifest *m,
                     struct err *e)
{
    const struct codec_json *version = codec_json_get(doc, "schemaVersion");
    if (!version || codec_json_type(version) != CODEC_JSON_INT || codec_json_int(version) != 2) {
        return err_set(e, ERR_INPUT, "%s: 'schemaVersion' must be 2", label);
    }
    const struct codec_json *type = codec_json_get(doc, "mediaType");
    if (filled(type)) {
        if (codec_json_type(type) != CODEC_JSON_TEXT) {
            return err_set(e, ERR_INPUT, "%s: 'mediaType' must be a text", label);
        }
        own(free) char *text = sv_dup(codec_json_text(type));
        if (put_text(m->media_type, sizeof m->media_type, text, "mediaType", label, e) < 0) return -1;
    }
    // Presence counts, not content: another reader may take an empty list or a null as a sign.
    const struct codec_json *layers = codec_json_get(doc, "layers");
    const struct codec_json *config = codec_json_get(doc, "config");
    const struct codec_json *list = codec_json_get(doc, "manifests");
    if (list && (layers || config)) {
        return err_set(e, ERR_INPUT, "%s: it is both a manifest and an index", label);
    }
    if (codec_json_get(doc, "fsLayers")) {
        return err_set(e, ERR_UNSUPPORTED, "%s: manifests of schema 1 are not supported", label);
    }
    const struct codec_json *notes = codec_json_get(doc, "annotations");
    if (filled(notes)) {
        if (codec_json_type(notes) != CODEC_JSON_OBJECT)
            return err_set(e, ERR_INPUT, "%s: 'annotations' must be an object", label);
        m->annotations = codec_json_copy(notes);
    }
    m->is_index = filled(list);
    if (check_media_type(m, label, e) < 0) return -1;
    if (m->is_index) return parse_items(list, "manifests", label, m, e);
    if (!filled(layers) || !filled(config)) {
        return err_set(e, ERR_INPUT, "%s: neither a manifest nor an index", label);
    }
    if (parse_descriptor(config, label, &m->config, e) < 0) return err_wrap(e, "in config");
    return parse_items(layers, "layers", label, m, e);
}

int oci_manifest_parse(struct sv json, const char *label, struct oci_manifest *out, struct err *e)
{
    if (json.n > LIMIT_MANIFEST) {
        return err_set(e, ERR_LIMIT, "%s: larger than %zu bytes", label, LIMIT_MANIFEST);
    }
    own(codec_json) struct codec_json *doc = NULL;
    if (codec_json_parse(json, label, &doc, e) < 0) return -1;
    if (codec_json_type(doc) != CODEC_JSON_OBJECT) {
        return err_set(e, ERR_INPUT, "%s: not a JSON object", label);
    }
    struct oci_manifest m = {0};
    if (parse_doc(doc, label, &m, e) < 0) {
        oci_manifest_fini(&m);
        return -1;
    }
    *out = m;
    return 0;
}

static struct codec_json *descriptor_json(const struct oci_descriptor *d)
{
    char text[OCI_DIGEST_TEXT];
    struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "mediaType", d->media_type);
    codec_json_set_text(j, "digest", oci_digest_print(&d->digest, text));
    codec_json_set(j, "size", codec_json_new_int((int64_t)d->size));
    if (d->has_platform) {
        struct codec_json *p = codec_json_new_object();
        codec_json_set_text(p, "architecture", d->platform.arch);
        codec_json_set_text(p, "os", d->platform.os);
        if (d->platform.variant[0]) codec_json_set_text(p, "variant", d->platform.variant);
        codec_json_set(j, "platform", p);
    }
    if (d->annotations) codec_json_set(j, "annotations", codec_json_copy(d->annotations));
    return j;
}

void oci_manifest_print(const struct oci_manifest *m, struct str *out)
{
    own(codec_json) struct codec_json *doc = codec_json_new_object();
    codec_json_set(doc, "schemaVersion", codec_json_new_int(2));
    if (m->media_type[0]) codec_json_set_text(doc, "mediaType", m->media_type);
    if (!m->is_index) codec_json_set(doc, "config", descriptor_json(&m->config));
    struct codec_json *items = codec_json_new_array();
    for (size_t i = 0; i < m->n; i++) codec_json_add(items, descriptor_json(&m->items[i]));
    codec_json_set(doc, m->is_index ? "manifests" : "layers", items);
    if (m->annotations) codec_json_set(doc, "annotations", codec_json_copy(m->annotations));
    codec_json_print(doc, out);
}
