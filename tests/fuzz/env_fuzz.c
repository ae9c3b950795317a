// SPDX-License-Identifier: Apache-2.0
// Any bytes as an --env-file, and as one text of -v, --mount, --tmpfs, --device and --ulimit.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/own.h"
#include "sandbox/parse.h"
#include "sandbox/sandbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void env_file(struct sv text)
{
    struct err e = {0};
    own(strv) struct strv out = {0};
    int rc = sandbox_parse_env_text(text, "env file", &out, &e);
    assert((rc < 0) == (e.kind != ERR_NONE));
    for (size_t i = 0; rc == 0 && i < out.n; i++) {
        const char *eq = strchr(out.p[i], '=');
        assert(eq && eq != out.p[i]);  // every entry has a name
    }
}

static void options(const char *text)
{
    struct err e = {0};
    struct sandbox_mount tmpfs = {.source_fd = -1};
    struct sandbox_device device = {0};
    struct sandbox_rlimit limit;
    if (sandbox_parse_tmpfs(text, &tmpfs, &e) == 0) assert(tmpfs.target && tmpfs.target[0] == '/');
    sandbox_mount_fini(&tmpfs);
    if (sandbox_parse_device(text, &device, &e) == 0) assert(device.host && device.target);
    free(device.host);
    free(device.target);
    if (sandbox_parse_ulimit(text, &limit, &e) == 0) assert(limit.soft <= limit.hard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv text = {(const char *)data, size};
    own(free) char *z = sv_dup(text);
    env_file(text);
    options(z);
    return 0;
}
