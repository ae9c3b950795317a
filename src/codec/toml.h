// SPDX-License-Identifier: Apache-2.0
// TOML 1.0, as a tree of struct codec_json, so that the decoder by field tables serves it too.
// Tables are objects (keys in the order of the text), the rest as one expects; dates and times are
// texts as written; inf and nan, which JSON does not have, are the texts "inf", "-inf" and "nan".
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "codec/json.h"

#define CODEC_TOML_MAX ((size_t)4 << 20) // bytes of text
#define CODEC_TOML_KEYS 100000           // keys and array elements
#define CODEC_TOML_TABLES 10000

// Where the headers stand, so that a complaint about a value can name a line: line of the nth
// (from 0) `[[name]]` or, with n 0, of `[name]`; 0 when there is none.
unsigned codec_toml_line(struct sv text, const char *name, size_t n);

// Errors read "LABEL:LINE:COLUMN: what"; a column counts characters from 1.
int codec_toml_parse(struct sv text, const char *label, struct codec_json **out, struct err *e);
