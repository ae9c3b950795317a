// SPDX-License-Identifier: Apache-2.0
// Set-up and tear-down for every unit test: a folder of its own as the current directory, and a
// failure when a test leaves descriptors or children behind.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"

int harness_setup(void **state);
int harness_teardown(void **state);

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, harness_setup, harness_teardown)
#define RUN_TESTS(name, ...)                                             \
    int main(void)                                                       \
    {                                                                    \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                 \
        cmocka_set_message_output(CM_OUTPUT_TAP);                        \
        return cmocka_run_group_tests_name(name, tests, NULL, NULL);     \
    }
// Fails with the error's own text.
#define ASSERT_OK(call) harness_ok((call), &e, #call, __FILE__, __LINE__)
#define ASSERT_FAILS(call, text) harness_fails((call), &e, text, __FILE__, __LINE__)
void harness_ok(int rc, const struct err *e, const char *call, const char *file, int line);
void harness_fails(int rc, struct err *e, const char *text, const char *file, int line);
