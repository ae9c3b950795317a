// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "harness.h"
#include "sandbox/disk.h"
#include "sandbox/resolv.h"

static void limits_of_disks_have_a_path_and_a_value(void **state)
{
    (void)state;
    static const struct {
        const char *text, *device;
        enum sandbox_disk_kind kind;
        uint64_t value;
    } rows[] = {{"read-bps=/dev/sda:1mb", "/dev/sda", SANDBOX_DISK_READ_BPS, 1 << 20},
                {"write-bps=/dev/a:b:5", "/dev/a:b", SANDBOX_DISK_WRITE_BPS, 5},
                {"read-iops=/dev/sda:100", "/dev/sda", SANDBOX_DISK_READ_IOPS, 100},
                {"write-iops=/dev/sda:1", "/dev/sda", SANDBOX_DISK_WRITE_IOPS, 1},
                {"weight=/dev/sda:1000", "/dev/sda", SANDBOX_DISK_WEIGHT, 1000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sandbox_disk_limit l;
        struct err e;
        ASSERT_OK(sandbox_disk_parse(rows[i].text, &l, &e));
        assert_string_equal(l.device, rows[i].device);
        assert_int_equal(l.kind, rows[i].kind);
        assert_int_equal(l.value, rows[i].value);
        free(l.device);
    }
}

static void other_limits_of_disks_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "read-bps=/dev/sda",  "read-bps=sda:1mb",   "read-bps=/dev/sda:",    "read-bps=/dev/sda:-1",
        "read-bps=/dev/sda:0", "read-iops=/dev/sda:1mb", "weight=/dev/sda:9", "weight=/dev/sda:1001"};
    struct sandbox_disk_limit l;
    struct err e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ASSERT_FAILS(sandbox_disk_parse(bad[i], &l, &e), "invalid limit of a disk");
    for (int i = 0; i < SANDBOX_DISK_COUNT; i++)
        assert_string_not_equal(sandbox_disk_name((enum sandbox_disk_kind)i), "?");
}

static void lines_of_resolv_conf_are_replaced_by_kind(void **state)
{
    (void)state;
    struct sandbox_spec s = {.rootfs_fd = -1};
    own(str) struct str text = {0};
    const char *host = "# made by hand\nnameserver 192.0.2.1\nsearch old.example\noptions timeout:1\n";
    str_addz(&text, host);
    sandbox_resolv_text(&s, &text);
    assert_string_equal(text.p, host);
    strv_add(&s.dns, "192.0.2.2");
    sandbox_resolv_text(&s, &text);
    assert_string_equal(text.p, "nameserver 192.0.2.2\n# made by hand\nsearch old.example\noptions timeout:1\n");
    strv_add(&s.dns_search, ".");
    strv_add(&s.dns_options, "ndots:2");
    sandbox_resolv_text(&s, &text);
    assert_string_equal(text.p, "nameserver 192.0.2.2\noptions ndots:2\n# made by hand\n");
    sandbox_spec_fini(&s);
}

RUN_TESTS("sandbox/disk", TEST(limits_of_disks_have_a_path_and_a_value),
          TEST(other_limits_of_disks_are_refused), TEST(lines_of_resolv_conf_are_replaced_by_kind))
