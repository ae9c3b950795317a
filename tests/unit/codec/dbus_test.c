// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/own.h"
#include "codec/dbus.h"
#include "harness.h"

static const struct codec_dbus_call hello = {.destination = "org.freedesktop.DBus",
                                             .path = "/org/freedesktop/DBus",
                                             .interface = "org.freedesktop.DBus",
                                             .member = "Hello",
                                             .serial = 1};

// The bytes that every client of a bus begins with.
static void a_call_without_a_body_is_as_the_specification_has_it(void **state)
{
    (void)state;
    static const char want[] = "l\1\0\1\0\0\0\0\1\0\0\0\156\0\0\0"
                               "\1\1o\0\25\0\0\0/org/freedesktop/DBus\0\0\0"
                               "\6\1s\0\24\0\0\0org.freedesktop.DBus\0\0\0\0"
                               "\2\1s\0\24\0\0\0org.freedesktop.DBus\0\0\0\0"
                               "\3\1s\0\5\0\0\0Hello\0\0\0";
    own(str) struct str out = {0};
    codec_dbus_print_call(&hello, SV(""), &out);
    assert_int_equal(out.n, sizeof want - 1);
    assert_memory_equal(out.p, want, out.n);
}

static void values_are_aligned_and_arrays_have_their_length(void **state)
{
    (void)state;
    own(str) struct str b = {0};
    codec_dbus_add_text(&b, "ab");
    struct codec_dbus_array a = codec_dbus_array_begin(&b, 8);
    codec_dbus_add_struct(&b);
    codec_dbus_add_text(&b, "k");
    codec_dbus_add_signature(&b, "t");
    codec_dbus_add_u64(&b, 0x0102030405060708);
    codec_dbus_array_end(&b, a);
    codec_dbus_array_end(&b, codec_dbus_array_begin(&b, 8));
    static const char want[] = "\2\0\0\0ab\0\0\30\0\0\0\0\0\0\0"
                               "\1\0\0\0k\0\1t\0\0\0\0\0\0\0\0\10\7\6\5\4\3\2\1\0\0\0\0\0\0\0\0";
    assert_int_equal(b.n, sizeof want - 1);
    assert_memory_equal(b.p, want, b.n);
}

static void an_error_is_read_from_either_byte_order(void **state)
{
    (void)state;
    static const char little[] = "l\3\1\1\7\0\0\0\11\0\0\0\52\0\0\0"
                                 "\4\1s\0\6\0\0\0a.b.Cd\0\0"
                                 "\5\1u\0\2\0\0\0"
                                 "\10\1g\0\1s\0\0\7\1s\0\1\0\0\0x\0\0\0\0\0\0\0"
                                 "\2\0\0\0no\0rest";
    static const char big[] = "B\3\1\1\0\0\0\7\0\0\0\11\0\0\0\52"
                              "\4\1s\0\0\0\0\6a.b.Cd\0\0"
                              "\5\1u\0\0\0\0\2"
                              "\10\1g\0\1s\0\0\7\1s\0\0\0\0\1x\0\0\0\0\0\0\0"
                              "\0\0\0\2no\0rest";
    const char *const both[] = {little, big};
    for (int i = 0; i < 2; i++) {
        struct codec_dbus_message m;
        struct sv bytes = {both[i], sizeof little - 1};
        // The fields are 42 bytes; the body begins at a multiple of eight.
        assert_int_equal(codec_dbus_parse(bytes, &m), (ssize_t)bytes.n - 4);
        assert_int_equal(m.kind, CODEC_DBUS_ERROR);
        assert_int_equal(m.reply_to, 2);
        assert_true(sv_eqz(m.error, "a.b.Cd") && sv_eqz(m.signature, "s") && sv_eqz(m.text, "no"));
        for (size_t n = 0; n + 4 < bytes.n; n++)
            assert_int_equal(codec_dbus_parse(sv_part(bytes, 0, n), &m), 0);
    }
}

static void what_is_no_message_is_refused(void **state)
{
    (void)state;
    struct codec_dbus_message m;
    assert_int_equal(codec_dbus_parse(SV("x\1\0\1\0\0\0\0\1\0\0\0\0\0\0\0"), &m), -1);
    assert_int_equal(codec_dbus_parse(SV("l\1\0\2\0\0\0\0\1\0\0\0\0\0\0\0"), &m), -1);
    assert_int_equal(codec_dbus_parse(SV("l\0\0\1\0\0\0\0\1\0\0\0\0\0\0\0"), &m), -1);
    assert_int_equal(codec_dbus_parse(SV("l\1\0\1\377\377\377\377\1\0\0\0\0\0\0\0"), &m), -1);
    assert_int_equal(codec_dbus_parse(SV("l\1\0\1\0\0\0\0\1\0\0\0\377\377\377\177"), &m), -1);
    // A text in a header field that is longer than the fields are.
    assert_int_equal(codec_dbus_parse(SV("l\1\0\1\0\0\0\0\1\0\0\0\10\0\0\0\1\1o\0\377\0\0\0"), &m), -1);
    // A type that no field has.
    assert_int_equal(codec_dbus_parse(SV("l\1\0\1\0\0\0\0\1\0\0\0\10\0\0\0\1\1v\0\0\0\0\0"), &m), -1);
    // A body that is shorter than the text that its signature promises.
    assert_int_equal(codec_dbus_parse(SV("l\2\0\1\4\0\0\0\1\0\0\0\7\0\0\0\10\1g\0\1s\0\0\5\0\0\0"), &m), -1);
}

RUN_TESTS("codec/dbus", TEST(a_call_without_a_body_is_as_the_specification_has_it),
          TEST(values_are_aligned_and_arrays_have_their_length),
          TEST(an_error_is_read_from_either_byte_order), TEST(what_is_no_message_is_refused))
