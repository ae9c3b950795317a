// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include <string.h>

#include "runtime/log.h"
#include "runtime/message.h"
#include "runtime/state.h"

static void every_kind_has_its_text(void **state)
{
    (void)state;
    ASSERT_NAMES(log_driver_name, LOG_DRIVER_COUNT);
    ASSERT_NAMES(message_kind_name, MESSAGE_COUNT);
    ASSERT_NAMES(runtime_status_name, RUNTIME_STATUS_COUNT);
    ASSERT_NAMES(runtime_health_name, RUNTIME_HEALTH_COUNT);
    ASSERT_NAMES(runtime_restart_name, RUNTIME_RESTART_COUNT);
}

RUN_TESTS("runtime/names", TEST(every_kind_has_its_text))
