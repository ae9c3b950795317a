// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "harness.h"
#include "volume/volume.h"

static void volume_names_cannot_be_paths(void **state)
{
    (void)state;
    struct err e;
    char name[131];
    static const char *const good[] = {"ab", "0x", "a.b-c_d", "A..", "a-"};
    static const char *const bad[] = {"",    ".",   "..",   "../x", "a/b", "/a",  "a\nb",
                                      "a b", "-ab", ".ab",  "_ab",  "a:b", "ab%", "\xc3\xbc"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ASSERT_OK(volume_name_check(good[i], &e));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ASSERT_FAILS(volume_name_check(bad[i], &e), "invalid characters");
    ASSERT_FAILS(volume_name_check("a", &e), "too short");
    memset(name, 'a', sizeof name);
    name[128] = '\0';
    ASSERT_OK(volume_name_check(name, &e));
    name[128] = 'a', name[129] = '\0';
    ASSERT_FAILS(volume_name_check(name, &e), "invalid characters");
}

RUN_TESTS("volume/volume", TEST(volume_names_cannot_be_paths))
