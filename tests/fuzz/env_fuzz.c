// SPDX-License-Identifier: Apache-2.0
// Any bytes as an --env-file, and as one text of -v, --mount, --tmpfs, --device and --ulimit.
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/own.h"
#include "runtime/parse.h"
#include "runtime/sandbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void env_file(struct sv text)
{
    struct err e = {0};
    own(strv) struct strv out = {0};
    int rc = parse_env_text(text, "env file", &out, &e);
    assert((rc < 0) == (e.kind != ERR_NONE));
    for (size_t i = 0; rc == 0 && i < out.n; i++) {
        const char *eq = strchr(out.p[i], '=');
        assert(eq && eq != out.p[i]);  // every entry has a name
    }
}

static void options(const char *text)
{
    struct err e = {0};
    struct runtime_mount tmpfs = {.source_fd = -1};
    struct runtime_device device = {0};
    struct runtime_rlimit limit;
    if (parse_tmpfs(text, &tmpfs, &e) == 0) assert(tmpfs.target && tmpfs.target[0] == '/');
    runtime_mount_fini(&tmpfs);
    if (parse_device(text, &device, &e) == 0) assert(device.host && device.target);
    free(device.host);
    free(device.target);
    if (parse_ulimit(text, &limit, &e) == 0) assert(limit.soft <= limit.hard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sv text = {(const char *)data, size};
    own(free) char *z = sv_dup(text);
    env_file(text);
    options(z);
    return 0;
}
