// SPDX-License-Identifier: Apache-2.0
// First names of files, found without a search that grows with their number.
#include "base/links.h"

#include <string.h>

#include "base/own.h"
#include "harness.h"

static void the_first_name_of_a_file_is_kept(void **state)
{
    own(links) struct links l = {0};
    char name[] = "first";
    (void)state;
    assert_null(links_first(&l, 1, 7, name));
    name[0] = 'X'; // a copy is
    assert_string_equal(links_first(&l, 1, 7, "second"), "first");
    assert_string_equal(links_first(&l, 1, 7, "third"), "first");
    // The same number elsewhere is another file.
    assert_null(links_first(&l, 2, 7, "other"));
    assert_null(links_first(&l, 7, 1, "turned"));
    assert_null(links_first(&l, 0, 0, "zero"));
    for (dev_t dev = 10; dev < 40; dev++) assert_null(links_first(&l, dev, 7, "elsewhere"));
    assert_string_equal(links_first(&l, 2, 7, "x"), "other");
    assert_string_equal(links_first(&l, 7, 1, "x"), "turned");
    assert_string_equal(links_first(&l, 0, 0, "x"), "zero");
}

// Counted, not timed: with a sorted list or a poor spread of the numbers it would be thousands.
#define FILES 100000u
#define LOOKS 8u

static void pairs(uint64_t (*number)(uint64_t i))
{
    own(links) struct links l = {0};
    char name[24];
    for (uint64_t i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%ju", (uintmax_t)i);
        assert_null(links_first(&l, 5, number(i), name));
    }
    for (uint64_t i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "%ju", (uintmax_t)i);
        assert_string_equal(links_first(&l, 5, number(i), "again"), name);
    }
    assert_in_range(l.looks, FILES, (uint64_t)2 * FILES * LOOKS);
}

static uint64_t neighbours(uint64_t i)
{
    return i + 2;
}
static uint64_t downwards(uint64_t i)
{
    return UINT64_MAX - i;
}
static uint64_t multiples(uint64_t i)
{
    return i << 12;
}
static uint64_t high_bits_alone(uint64_t i)
{
    return i << 40;
}
static uint64_t scattered(uint64_t i)
{
    return i * i * i * 2654435761u + i;
}

static void a_hundred_thousand_pairs_take_a_few_looks_each(void **state)
{
    (void)state;
    pairs(neighbours);
    pairs(downwards);
    pairs(multiples);
    pairs(high_bits_alone);
    pairs(scattered);
}

RUN_TESTS("base/links", TEST(the_first_name_of_a_file_is_kept),
          TEST(a_hundred_thousand_pairs_take_a_few_looks_each))
