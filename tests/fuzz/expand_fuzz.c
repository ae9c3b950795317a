// SPDX-License-Identifier: Apache-2.0
// Any bytes as a word. The first byte picks the mode.
#include <assert.h>
#include <stdint.h>

#include "base/own.h"
#include "build/expand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *get(void *arg, const char *name)
{
    (void)arg;
    if (name[0] == 'a') return "a/b.c/d.e aaa\n*?\\";
    return name[0] == 'e' ? "" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct err e = {0};
    own(str) struct str out = {0};
    own(strv) struct strv words = {0};
    struct build_expand x = {.get = get};
    unsigned mode = data[0];
    x.escape = mode & 1 ? '`' : '\\';
    x.raw_quotes = mode & 2;
    x.raw_escapes = mode & 4;
    x.keep_unset = mode & 8;
    x.keep_quotes = mode & 16;
    struct sv text = {(const char *)data + 1, size - 1};
    int rc = mode & 32 ? build_expand_words(&x, text, &words, &e)
                       : build_expand_word(&x, text, &out, &e);
    assert((rc < 0) == (e.kind != ERR_NONE));
    assert(rc == 0 || (out.n == 0 && words.n == 0));
    return 0;
}
