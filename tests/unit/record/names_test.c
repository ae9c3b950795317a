// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include <string.h>

#include "record/log.h"
#include "record/message.h"
#include "record/state.h"

static void every_kind_has_its_text(void **state)
{
    (void)state;
    ASSERT_NAMES(record_log_driver_name, LOG_DRIVER_COUNT);
    ASSERT_NAMES(record_message_kind_name, MESSAGE_COUNT);
    ASSERT_NAMES(record_status_name, RECORD_STATUS_COUNT);
    ASSERT_NAMES(record_health_name, RECORD_HEALTH_COUNT);
    ASSERT_NAMES(record_restart_name, RECORD_RESTART_COUNT);
}

RUN_TESTS("record/names", TEST(every_kind_has_its_text))
