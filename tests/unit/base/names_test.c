// SPDX-License-Identifier: Apache-2.0
#include "names.h"

#include <string.h>

#include "base/event.h"
#include "base/idmap.h"
#include "base/opt.h"

static void every_kind_has_its_text(void **state)
{
    (void)state;
    ASSERT_NAMES(err_kind_name, ERR_KIND_COUNT);
    ASSERT_NAMES(event_kind_name, EVENT_KIND_COUNT);
    ASSERT_NAMES(idmap_mode_name, IDMAP_MODE_COUNT);
    ASSERT_NAMES(opt_type_name, OPT_TYPE_COUNT);
}

RUN_TESTS("base/names", TEST(every_kind_has_its_text))
