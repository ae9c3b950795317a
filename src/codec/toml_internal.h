// SPDX-License-Identifier: Apache-2.0
// Between the two files of the TOML reader.
#pragma once

#include "base/str.h"
#include "codec/json.h"

// Booleans, numbers, dates and times: a whole word without blanks (but one between date and time).
// NULL and *out_why when it is none.
struct codec_json *toml_scalar_parse(struct sv word, const char **out_why);
