// SPDX-License-Identifier: Apache-2.0
#include "image/choose.h"

#include "base/own.h"

const char *image_annotation(const struct oci_descriptor *d, const char *key, char buf[512])
{
    const struct codec_json *v = d->annotations ? codec_json_get(d->annotations, key) : NULL;
    struct sv text = v ? codec_json_text(v) : (struct sv){0};
    if (text.n == 0 || text.n >= 512) return NULL;
    memcpy(buf, text.p, text.n);
    buf[text.n] = '\0';
    return buf;
}

bool image_is_attestation(const struct oci_descriptor *d)
{
    char buf[512];
    if (image_annotation(d, "vnd.docker.reference.type", buf)) return true;
    return d->has_platform && strcmp(d->platform.os, "unknown") == 0;
}

const struct oci_descriptor *image_choose(const struct oci_manifest *index,
                                          const struct oci_platform *want)
{
    const struct oci_descriptor *best = NULL;
    for (size_t i = 0; i < index->n; i++) {
        const struct oci_descriptor *d = &index->items[i];
        if (image_is_attestation(d)) continue;
        if (!d->has_platform) {
            if (!best) best = d;
            continue;
        }
        if (!oci_platform_match(want, &d->platform)) continue;
        if (oci_platform_match(&d->platform, want)) return d; // both ways: the same
        // What runs what the best one runs is the higher variant.
        if (!best || !best->has_platform || oci_platform_match(&d->platform, &best->platform))
            best = d;
    }
    return best;
}

int image_choose_none(const char *label, const struct oci_manifest *index,
                      const struct oci_platform *want, struct err *e)
{
    own(str) struct str text = {0};
    own(str) struct str have = {0};
    oci_platform_print(want, &text);
    for (size_t i = 0; i < index->n && have.n < 150; i++) {
        if (!index->items[i].has_platform || image_is_attestation(&index->items[i])) continue;
        if (have.n) str_addz(&have, ", ");
        oci_platform_print(&index->items[i].platform, &have);
    }
    err_set(e, ERR_INPUT, "%s has no image for %s", label, str_z(&text));
    if (have.n == 0) return err_hint(e, "ask for another one with --platform");
    return err_hint(e, "it has %s: ask for one with --platform", str_z(&have));
}
