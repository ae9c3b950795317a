// SPDX-License-Identifier: Apache-2.0
#include "names.h"
#include "runtime/doctor.h"
#include "runtime/log.h"
#include "runtime/message.h"
#include "runtime/parse.h"
#include "runtime/state.h"

#include <string.h>

static void every_kind_has_its_text(void **state)
{
    (void)state;
    ASSERT_NAMES(parse_mount_name, PARSE_MOUNT_COUNT);
    ASSERT_NAMES(log_driver_name, LOG_DRIVER_COUNT);
    ASSERT_NAMES(message_kind_name, MESSAGE_COUNT);
    ASSERT_NAMES(runtime_status_name, RUNTIME_STATUS_COUNT);
    ASSERT_NAMES(runtime_health_name, RUNTIME_HEALTH_COUNT);
    ASSERT_NAMES(runtime_restart_name, RUNTIME_RESTART_COUNT);
    ASSERT_NAMES(runtime_check_status_name, RUNTIME_CHECK_COUNT);
}

RUN_TESTS("runtime/names", TEST(every_kind_has_its_text))
