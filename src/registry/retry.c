// SPDX-License-Identifier: Apache-2.0
// When to try again: after what passes by itself (429, some 5xx, resets), a bounded number of
// times, later each time, and never all clients at the same moment.
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "registry/header.h"
#include "registry/internal.h"

#define FIRST_MS 500
#define LONGEST_MS 30000
#define RETRY_AFTER_MAX 120 // seconds; a registry that asks for more gets an error now
#define TOTAL_MAX 100       // tries of one call, even when each brought some bytes

bool retry_status(long status)
{
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

static int64_t with_jitter(int64_t ms)
{
    uint32_t r = 0;
    if (getrandom(&r, sizeof r, GRND_NONBLOCK) != (ssize_t)sizeof r) r = 0;
    return ms * 3 / 4 + ms / 2 * (r % 1000) / 1000; // 75% to 125%
}

int64_t retry_delay_ms(struct retry *r, unsigned max, const struct http_answer *a, uint64_t gained)
{
    struct sv value;
    int64_t seconds;
    // One that we kept waiting may be closed by whoever gives up on us: that is no failure.
    bool ours = a->waited && gained > 0;
    if (ours || gained >= RETRY_GAIN) r->tries = 0;
    if (r->tries >= max || (!ours && ++r->total >= TOTAL_MAX)) return -1;
    int64_t ms = FIRST_MS;
    for (unsigned i = 0; i < r->tries && ms < LONGEST_MS; i++) ms *= 2;
    r->tries++;
    if (a->failure == HTTP_FAIL_NONE && http_header(a, "Retry-After", &value) &&
        header_retry_after(value, clock_real_ns() / 1000000000, &seconds)) {
        if (seconds > RETRY_AFTER_MAX) return -1;
        if (seconds > 0) return seconds * 1000;
    }
    return with_jitter(ms < LONGEST_MS ? ms : LONGEST_MS);
}
