// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include <string.h>

#include "image/archive.h"
#include "image/image.h"
#include "image/registry.h"

static void every_kind_has_its_text(void **state)
{
    (void)state;
    ASSERT_NAMES(image_save_format_name, IMAGE_SAVE_FORMAT_COUNT);
    ASSERT_NAMES(image_change_name, IMAGE_CHANGE_COUNT);
    ASSERT_NAMES(image_pull_policy_name, IMAGE_PULL_POLICY_COUNT);
}

RUN_TESTS("image/names", TEST(every_kind_has_its_text))
