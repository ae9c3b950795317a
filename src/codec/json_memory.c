// SPDX-License-Identifier: Apache-2.0
// Memory for libjansson: a document is hundreds of small pieces that come and go together, so what is given
// back is kept for the next one. `ps` of a thousand containers reads two thousand documents.
#include "codec/json_memory.h"

#include <jansson.h>
#include <stdint.h>

#include "base/str.h"

#define STEP 32
#define SIZES 8          // up to STEP * SIZES bytes with the head
#define SLAB (16 * 1024) // pieces are cut from these, which are never given back

union piece {
    size_t size;       // in steps; 0: of malloc
    union piece *next; // while it is spare
    max_align_t align;
};
static union piece *spare[SIZES + 1];
static char *slab, *slab_end;

static union piece *cut(size_t steps)
{
    if (slab_end - slab < (ptrdiff_t)(steps * STEP)) {
        slab = mem_alloc(SLAB);
        slab_end = slab + SLAB;
    }
    union piece *p = (void *)slab;
    slab += steps * STEP;
    return p;
}

static void *take(size_t n)
{
    union piece *p;
    if (n > STEP * SIZES - sizeof *p) {
        if (n > SIZE_MAX - sizeof *p || !(p = malloc(sizeof *p + n))) return NULL;
        p->size = 0;
        return p + 1;
    }
    size_t steps = (n + sizeof *p + STEP - 1) / STEP;
    p = spare[steps];
    if (p)
        spare[steps] = p->next;
    else
        p = cut(steps);
    p->size = steps;
    return p + 1;
}

static void give(void *text)
{
    if (!text) return;
    union piece *p = (union piece *)text - 1;
    size_t steps = p->size;
    if (steps == 0) {
        free(p);
        return;
    }
    p->next = spare[steps];
    spare[steps] = p;
}

#if defined(__has_feature)
#define WATCHED __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define WATCHED 1
#else
#define WATCHED 0
#endif

void codec_json_memory(void)
{
    static bool set;
    if (!set && !WATCHED) json_set_alloc_funcs(take, give);  // the sanitizer sees what malloc gave
    set = true;
}
