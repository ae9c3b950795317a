// SPDX-License-Identifier: Apache-2.0
// The file `meta` of an unpacked layer. See store/meta.h.
#include "store/meta.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/own.h"

#define META_MAX ((size_t)256 << 20)
#define META_FORMAT 1

void store_meta_fini(struct store_meta *m)
{
    if (m->absent) codec_json_free(m->absent);
    m->absent = NULL;
}

int store_meta_save(int dirfd, const struct store_meta *m, struct err *e)
{
    own(codec_json) struct codec_json *j = codec_json_new_object();
    own(str) struct str text = {.max = META_MAX};
    codec_json_set(j, "format", codec_json_new_int(META_FORMAT));
    codec_json_set_text(j, "diff_id", m->diff_id.hex);
    codec_json_set(j, "bytes", codec_json_new_int((int64_t)m->bytes));
    codec_json_set(j, "tar_size", codec_json_new_int((int64_t)m->tar_size));
    codec_json_set(j, "entries", codec_json_new_int((int64_t)m->entries));
    codec_json_set(j, "open", codec_json_new_bool(m->open));
    codec_json_set(j, "canonical", codec_json_new_bool(m->canonical));
    if (m->absent) codec_json_set(j, "absent", codec_json_copy(m->absent));
    codec_json_print(j, &text);
    str_addc(&text, '\n');
    if (str_check(&text, e) < 0) return -1;
    return fs_replace(dirfd, "meta", str_sv(&text), 0600, e);
}

static int damaged(struct err *e)
{
    err_set(e, ERR_CORRUPT, "a layer's meta file is damaged");
    return err_hint(e, "'dewar system check --repair' puts damaged layers aside; then load or build again");
}

int store_meta_load(int dirfd, struct store_meta *out, struct err *e)
{
    own(codec_json) struct codec_json *j = NULL;
    own(str) struct str text = {.max = META_MAX};
    *out = (struct store_meta){0};
    if (fs_read_at(dirfd, "meta", META_MAX, &text, e) < 0) return e->sys == ENOENT ? damaged(e) : -1;
    if (codec_json_parse(str_sv(&text), "layer's meta", &j, e) < 0 ||
        codec_json_int(codec_json_get(j, "format")) != META_FORMAT ||
        !oci_digest_parse_hex(codec_json_text(codec_json_get(j, "diff_id")), &out->diff_id))
        return damaged(e);
    out->bytes = (uint64_t)codec_json_int(codec_json_get(j, "bytes"));
    out->tar_size = (uint64_t)codec_json_int(codec_json_get(j, "tar_size"));
    out->entries = (uint64_t)codec_json_int(codec_json_get(j, "entries"));
    out->open = codec_json_bool(codec_json_get(j, "open"));
    out->canonical = codec_json_bool(codec_json_get(j, "canonical"));
    const struct codec_json *absent = codec_json_get(j, "absent");
    if (codec_json_type(absent) == CODEC_JSON_ARRAY) out->absent = codec_json_copy(absent);
    return 0;
}

void store_meta_to_layer(const struct store_meta *m, const char *id, struct store_layer *out)
{
    *out = (struct store_layer){.diff_id = m->diff_id, .bytes = m->bytes, .tar_size = m->tar_size,
                                .entries = m->entries, .open = m->open};
    snprintf(out->id, sizeof out->id, "%s", id);
}
