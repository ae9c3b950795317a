// SPDX-License-Identifier: Apache-2.0
// Any bytes as an OCI bundle's config.json and as the process of an exec.
#include <assert.h>
#include <stdint.h>

#include "base/own.h"
#include "oci/runtime_spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv text = {(const char *)data, size};
    struct err e = {0};
    own(oci_runtime) struct oci_runtime r = {0};
    own(oci_process) struct oci_process p = {0};
    own(str) struct str folded = {0};
    oci_runtime_fold_numbers(text, &folded);
    assert(folded.n >= size);  // only padded, never cut
    int rc = oci_runtime_parse(text, "config.json", &r, &e);
    assert((rc < 0) == (e.kind != ERR_NONE));
    if (rc == 0) {
        assert(r.version && r.root_path);
        assert(!r.has_process || (r.process.cwd && r.process.cwd[0] == '/'));
        vec_each(m, &r.mounts) assert(m->destination);
        vec_each(n, &r.namespaces) assert(n->type && (!n->path || n->path[0] == '/'));
    }
    err_clear(&e);
    rc = oci_process_parse(text, "process.json", &p, &e);
    assert((rc < 0) == (e.kind != ERR_NONE));
    return 0;
}
