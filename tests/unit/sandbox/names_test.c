// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include <string.h>

#include "sandbox/doctor.h"
#include "sandbox/parse.h"

static void every_kind_has_its_text(void **state)
{
    (void)state;
    ASSERT_NAMES(sandbox_parse_mount_name, PARSE_MOUNT_COUNT);
    ASSERT_NAMES(sandbox_check_status_name, SANDBOX_CHECK_COUNT);
}

RUN_TESTS("sandbox/names", TEST(every_kind_has_its_text))
