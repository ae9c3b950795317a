// SPDX-License-Identifier: Apache-2.0
// Who we are for which registry: Docker's config.json, containers' auth.json, credential helpers.
// A credential belongs to one registry key and leaves this room only as a header to that origin.
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "registry/task.h"

#define REGISTRY_CREDENTIAL_MAX ((size_t)64 << 10)

struct registry_credential {
    char user[256];
    struct secret password;
    struct secret identity; // an identity (refresh) token instead of a password; empty: none
    struct secret bearer;   // a token for the registry itself ("registrytoken"), sent as it is
    char source[512];       // for messages: "'/home/u/.docker/config.json'"
};
void registry_credential_fini(struct registry_credential *c);
static inline void own_registry_credential(struct registry_credential *c)
{
    registry_credential_fini(c);
}
// A credential helper may take its time: where `tasks` is not NULL, the caller's task gives way.
// For host ("docker.io", "localhost:5000") and repository ("library/debian", may be ""): the most
// specific key wins. 1 found, 0 none. A broken file is an error that names it; a missing one is
// not.
int registry_credential_find(struct task_loop *tasks, const char *host, const char *repository,
                             struct registry_credential *out, struct err *e);
// Keeps (replaces) one; *out_where: the file or helper that now has it, and whether it is plain
// text.
int registry_credential_save(struct task_loop *tasks, const char *host,
                             const struct registry_credential *c, char out_where[512],
                             bool *out_plain, struct err *e);
int registry_credential_erase(struct task_loop *tasks, const char *host,
                              struct err *e); // 1 removed, 0 there was none
