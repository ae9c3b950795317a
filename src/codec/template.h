// SPDX-License-Identifier: Apache-2.0
// Go's text/template language over JSON values, as far as --format uses it: fields, variables,
// pipelines, if/else, with, range, break, continue, comments, trimming, and the functions
//   and or not eq ne lt le gt ge len index slice print printf println html urlquery
//   json join split lower upper title pad truncate
//
// A name that an object does not have is an error with a hint where the object is a record (one of
// its keys begins with a capital letter, as all of ours do) and prints "<no value>" where it is a
// map (labels); in conditions it counts as false. `index` of a missing key gives "".
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "codec/json.h"

struct codec_template;

int codec_template_parse(struct sv text, struct codec_template **out, struct err *e);
void codec_template_free(struct codec_template *t);
static inline void own_codec_template(struct codec_template **t)
{
    codec_template_free(*t);
}
// Adds what the template makes of `data`. On failure out holds what was made so far.
int codec_template_print(const struct codec_template *t, const struct codec_json *data,
                         struct str *out, struct err *e);
