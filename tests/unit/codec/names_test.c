// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include <string.h>

#include "codec/unzip.h"

static void every_kind_has_its_text(void **state)
{
    (void)state;
    ASSERT_NAMES(codec_zip_name, CODEC_ZIP_COUNT);
}

RUN_TESTS("codec/names", TEST(every_kind_has_its_text))
