// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include <string.h>

#include "runtime/doctor.h"
#include "runtime/parse.h"

static void every_kind_has_its_text(void **state)
{
    (void)state;
    ASSERT_NAMES(parse_mount_name, PARSE_MOUNT_COUNT);
    ASSERT_NAMES(runtime_check_status_name, RUNTIME_CHECK_COUNT);
}

RUN_TESTS("runtime/sandbox_names", TEST(every_kind_has_its_text))
