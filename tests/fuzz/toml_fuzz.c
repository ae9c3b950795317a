// SPDX-License-Identifier: Apache-2.0
// TOML: any text is a tree or an error, and what was read can be printed.
#include <stddef.h>
#include <stdint.h>

#include "base/own.h"
#include "codec/toml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    own(codec_json) struct codec_json *j = NULL;
    struct err e = {0};
    own(str) struct str out = {0};
    struct sv text = {(const char *)data, size};
    if (codec_toml_parse(text, "fuzz", &j, &e) < 0) {
        if (!e.frames || j) abort();
        return 0;
    }
    if (codec_json_type(j) != CODEC_JSON_OBJECT) abort();
    codec_json_print(j, &out);
    if (out.n == 0) abort();
    codec_toml_line(text, "registry", 0);
    return 0;
}
