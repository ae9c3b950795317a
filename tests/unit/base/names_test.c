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
    // What help shows after an option: nothing for flags, so only that there is an answer.
    for (int i = 0; i < OPT_TYPE_COUNT; i++) assert_non_null(opt_type_name((enum opt_type)i));
}

RUN_TESTS("base/names", TEST(every_kind_has_its_text))
