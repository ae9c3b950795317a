// SPDX-License-Identifier: Apache-2.0
// Mappings of containers with ids of their own, below an engine whose user has several ranges.
#include "harness.h"

#include "sandbox/userns.h"

// As the kernel checks a map: each range lies in one of those above, and inside no id stands twice.
static void kernel_takes(const struct idmap_side *s, const struct idmap_side *above, uint32_t count)
{
    uint32_t sum = 0;
    for (unsigned i = 0; i < s->n; i++) {
        const struct idmap_range *r = &s->range[i];
        bool in_one = false;
        for (unsigned k = 0; k < above->n; k++) {
            const struct idmap_range *a = &above->range[k];
            in_one |= r->outside >= a->inside && r->outside + r->count <= a->inside + a->count;
        }
        assert_true(in_one);
        for (unsigned k = 0; k < i; k++)
            assert_true(r->inside >= s->range[k].inside + s->range[k].count ||
                        r->inside + r->count <= s->range[k].inside);
        sum += r->count;
    }
    assert_int_equal(sum, count);
}

static struct engine engine_of(unsigned ranges)
{
    struct engine en = {.ids.mode = IDMAP_RANGE};
    idmap_add(&en.ids.uid, 0, 1000, 1);
    for (unsigned i = 0; i < ranges; i++)
        idmap_add(&en.ids.uid, 1 + i * 1000, 100000 + i * 5000, 1000);
    en.ids.gid = en.ids.uid;
    return en;
}

static void a_mapping_is_cut_where_the_users_ranges_end(void **state)
{
    (void)state;
    static const uint32_t who[] = {1, 500, 1000, 1001, 1500, 2000, 2001, 60000};
    for (unsigned ranges = 1; ranges <= IDMAP_RANGES - 1; ranges += 7) {
        struct engine en = engine_of(ranges);
        uint32_t n = ranges * 1000;
        for (size_t i = 0; i < sizeof who / sizeof *who; i++) {
            struct sandbox_spec s = {.userns = SANDBOX_USERNS_KEEP};
            struct sandbox_ids ids = {.keep_uid = who[i], .keep_gid = 0, .keep = true};
            uint32_t out;
            sandbox_userns_map(&en, &s, &ids);
            kernel_takes(&ids.uid, &en.ids.uid, who[i] < n ? n + 1 : n);
            kernel_takes(&ids.gid, &en.ids.gid, n + 1);
            assert_true(idmap_find(&ids.uid, who[i], &out));
            assert_int_equal(out, 0);
        }
        struct sandbox_spec s = {.userns = SANDBOX_USERNS_NOMAP};
        struct sandbox_ids nomap = {0}, part = {.slot_uid = 1, .slot_gid = 1, .slot_n = n};
        sandbox_userns_map(&en, &s, &nomap);
        kernel_takes(&nomap.uid, &en.ids.uid, n);
        s.userns = SANDBOX_USERNS_AUTO;
        sandbox_userns_map(&en, &s, &part);
        kernel_takes(&part.uid, &en.ids.uid, n);
    }
}

RUN_TESTS("sandbox/userns", TEST(a_mapping_is_cut_where_the_users_ranges_end))
