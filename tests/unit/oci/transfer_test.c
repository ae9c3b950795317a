// SPDX-License-Identifier: Apache-2.0
#include "oci/transfer.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "harness.h"
#include "names.h"

static const char *op_text(int op)
{
    return transfer_op_text((enum transfer_op)op);
}

static void a_request_arrives_with_its_descriptor(void **state)
{
    (void)state;
    struct err e = {0};
    own(fd) int a = -1, b = -1, got = -1, file = -1;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    a = pair[0];
    b = pair[1];
    file = open("f", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct transfer_request q = {.version = TRANSFER_VERSION, .id = 7, .op = TRANSFER_BLOB_GET,
                                 .size = 12};
    snprintf(q.ref.host, sizeof q.ref.host, "localhost:5000");
    ASSERT_OK(transfer_send_request(a, &q, file, &e));
    struct transfer_request in = {0};
    assert_int_equal(transfer_receive_request(b, &in, &got, &e), 1);
    assert_memory_equal(&in, &q, sizeof q);
    assert_int_equal(write(got, "x", 1), 1);
    assert_int_equal(lseek(file, 0, SEEK_END), 1);
    assert_true(fcntl(got, F_GETFD) & FD_CLOEXEC);
}

static void another_version_is_refused(void **state)
{
    (void)state;
    struct err e = {0};
    int pair[2], got = -1;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    own(fd) int a = pair[0], b = pair[1];
    struct transfer_request q = {.version = TRANSFER_VERSION + 1}, in = {0};
    ASSERT_OK(transfer_send_request(a, &q, -1, &e));
    ASSERT_FAILS(transfer_receive_request(b, &in, &got, &e), "another version");
}

static void half_a_packet_is_refused(void **state)
{
    (void)state;
    struct err e = {0};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    own(fd) int a = pair[0], b = pair[1];
    assert_int_equal(write(a, "short", 5), 5);
    struct transfer_reply in = {0};
    ASSERT_FAILS(transfer_receive_reply(b, &in, &e), "unexpected size");
}

static void the_end_of_the_other_side_is_told_from_a_packet(void **state)
{
    (void)state;
    struct err e = {0};
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    own(fd) int a = pair[0], b = pair[1];
    struct transfer_reply r = {.id = 3, .answer = TRANSFER_DONE}, in = {0};
    ASSERT_OK(transfer_send_reply(a, &r, &e));
    close(a);
    a = -1;
    assert_int_equal(transfer_receive_reply(b, &in, &e), 1);
    assert_int_equal(in.answer, TRANSFER_DONE);
    assert_int_equal(transfer_receive_reply(b, &in, &e), 0);
    ASSERT_FAILS(transfer_send_reply(b, &r, &e), "has ended");
}

static void every_operation_has_a_text(void **state)
{
    (void)state;
    ASSERT_NAMES(op_text, TRANSFER_OP_COUNT)
}

RUN_TESTS("oci/transfer", TEST(a_request_arrives_with_its_descriptor),
          TEST(another_version_is_refused), TEST(half_a_packet_is_refused),
          TEST(the_end_of_the_other_side_is_told_from_a_packet), TEST(every_operation_has_a_text))
