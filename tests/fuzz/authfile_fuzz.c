// SPDX-License-Identifier: Apache-2.0
// Credential files: any bytes are a file that is understood or an error; asking for a host never
// does more than read them, and no error quotes what stands behind "auth".
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/own.h"
#include "registry/authfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const hosts[] = {"docker.io", "r.example:5000", "[::1]:5000"};
    if (size > 65536) return 0;
    own(fd) int fd = memfd_create("config.json", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size) return 0;
    own(free) char *path = str_fmt("/proc/self/fd/%d", fd);
    own(registry_authfile) struct registry_authfile f = {0};
    struct err e = {0};
    int rc = registry_authfile_load(path, &f, &e);
    if (rc < 0 && !e.frames) abort();
    if (rc <= 0) return 0;
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        own(registry_credential) struct registry_credential c = {0};
        registry_authfile_helper(&f, hosts[i]);
        registry_authfile_has(&f, hosts[i]);
        rc = registry_authfile_find(&f, hosts[i], "library/debian", &c, &e);
        if (rc < 0 && !e.frames) abort();
        if (memchr(c.user, '\n', sizeof c.user)) abort(); // it goes into a header
    }
    return 0;
}
