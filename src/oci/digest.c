// SPDX-License-Identifier: Apache-2.0
// Digests: the grammar is checked before a text can become a path.
#include "oci/digest.h"

#include <stdio.h>
#include <string.h>

bool oci_digest_parse_hex(struct sv text, struct oci_digest *out)
{
    if (text.n != CODEC_SHA256_HEX - 1) return false;
    for (size_t i = 0; i < text.n; i++)
        if (!strchr("0123456789abcdef", text.p[i]) || text.p[i] == '\0') return false;
    memcpy(out->hex, text.p, text.n);
    out->hex[text.n] = '\0';
    return true;
}

int oci_digest_parse(struct sv text, struct oci_digest *out, struct err *e)
{
    if (sv_starts(text, "sha256:") && oci_digest_parse_hex(sv_from(text, 7), out)) return 0;
    err_set(e, ERR_INPUT, "'%.*s' is not a digest", (int)(text.n > 100 ? 100 : text.n), text.p);
    return err_hint(e, "a digest is 'sha256:' and 64 lower-case hexadecimal digits");
}

bool oci_digest_eq(const struct oci_digest *a, const struct oci_digest *b)
{
    return strcmp(a->hex, b->hex) == 0;
}

struct oci_digest oci_digest_of(struct sv data)
{
    struct oci_digest d;
    codec_sha256_of(data, d.hex);
    return d;
}

const char *oci_digest_print(const struct oci_digest *d, char out[OCI_DIGEST_TEXT])
{
    snprintf(out, OCI_DIGEST_TEXT, "sha256:%s", d->hex);
    return out;
}

struct oci_digest oci_digest_chain(const struct oci_digest *parent, const struct oci_digest *diff)
{
    if (!oci_digest_is_set(parent)) return *diff;
    char text[2 * OCI_DIGEST_TEXT + 2];
    int n = snprintf(text, sizeof text, "sha256:%s sha256:%s", parent->hex, diff->hex);
    return oci_digest_of((struct sv){text, (size_t)n});
}
