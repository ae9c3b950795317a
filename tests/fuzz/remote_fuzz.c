// SPDX-License-Identifier: Apache-2.0
// A name of a remote source. What is taken is safe to hand to git: no part begins like an option,
// no control byte, the folder does not climb, and the login is not in what is shown.
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/own.h"
#include "build/remote.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct build_remote *r)
{
    assert(r->url && r->shown && r->host);
    assert(r->url[0] != '-' && r->host[0] != '-');
    assert(r->way == BUILD_REMOTE_FILE || !strpbrk(r->url, " \t\r\n\\"));
    assert(!r->ref || build_remote_ref_ok(sv_of(r->ref)));
    assert(!r->name || !strchr(r->name, '/'));
    assert(r->kind == BUILD_REMOTE_GIT || !r->ref);
    struct sv rest = r->subdir ? sv_of(r->subdir) : (struct sv){NULL, 0};
    assert(!r->subdir || r->subdir[0] != '/');
    while (rest.p) assert(!sv_eqz(sv_cut(&rest, '/'), ".."));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    if (size > 8192) return 0;
    own(free) char *text = sv_dup((struct sv){(const char *)data, size});
    for (enum build_remote_origin o = BUILD_REMOTE_IN_FILE; o <= BUILD_REMOTE_TYPED; o++) {
        own(build_remote) struct build_remote r = {0};
        own(build_remote) struct build_remote sub = {0};
        if (build_remote_parse(text, o, &r, &e) == 1) check(&r);
        if (r.kind == BUILD_REMOTE_GIT && build_remote_submodule(&r, text, &sub, &e) == 1)
            check(&sub);
    }
    return 0;
}
