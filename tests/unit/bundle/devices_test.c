// SPDX-License-Identifier: Apache-2.0
#include "base/own.h"
#include "bundle/internal.h"
#include "harness.h"

static void a_rule_that_means_nothing_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"[{\"allow\":true,\"type\":\"x\"}]",
                                      "[{\"allow\":true,\"access\":\"z\"}]",
                                      "[{\"allow\":true,\"type\":\"c\",\"major\":4294967296}]"};
    for (size_t i = 0; i < 3; i++) {
        struct err e;
        own(codec_json) struct codec_json *rules = NULL;
        ASSERT_OK(codec_json_parse(sv_of(bad[i]), "rules", &rules, &e));
        own(sandbox_device_rules) struct sandbox_device_rules list = {0};
        ASSERT_FAILS(bundle_devices_read(rules, &list, &e), "cannot be used");
    }
}

RUN_TESTS("bundle/devices", TEST(a_rule_that_means_nothing_is_refused))
