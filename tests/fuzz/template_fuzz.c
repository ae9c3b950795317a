// SPDX-License-Identifier: Apache-2.0
// --format templates: any text is a template or an error, and running it over a value ends.
#include <stddef.h>
#include <stdint.h>

#include "base/own.h"
#include "codec/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char value[] = "{\"ID\":\"x\",\"N\":3,\"R\":1.5,\"T\":true,\"Z\":null,"
                                "\"L\":[\"a\",1,{\"K\":[]}],\"Labels\":{\"a\":\"1\"}}";
    own(codec_template) struct codec_template *t = NULL;
    own(codec_json) struct codec_json *j = NULL;
    struct err e = {0};
    own(str) struct str out = {.max = 1 << 20};
    if (size > 4096) return 0;
    if (codec_template_parse((struct sv){(const char *)data, size}, &t, &e) < 0) {
        if (!e.frames) abort();
        return 0;
    }
    if (codec_json_parse(SV(value), "value", &j, &e) < 0) abort();
    codec_template_print(t, j, &out, &e);
    return 0;
}
