// SPDX-License-Identifier: Apache-2.0
// Credential helpers: programs `docker-credential-NAME` that a person's configuration names and
// that keep passwords in a keychain. Room-internal.
//
// The one exception to "programs come from a fixed PATH": a helper is the person's own program and
// is looked for in the caller's PATH, as Docker and Podman do. What is looked for is narrow: NAME
// is letters, digits, '.', '_', '-'; only absolute folders of PATH count; a folder or file that
// every user may write is passed over. It runs with the caller's environment (keychains need it).
#pragma once

#include "registry/credentials.h"

// Others go on while a task of `tasks` (NULL: none) waits for the helper.
// server is what the helper calls it: a host, or Hub's key.
// 1 found, 0 it has none.
int registry_helper_get(struct task_loop *tasks, struct sv name, const char *server,
                        struct registry_credential *out, struct err *e);
int registry_helper_store(struct task_loop *tasks, struct sv name, const char *server,
                          const struct registry_credential *c, struct err *e);
int registry_helper_erase(struct task_loop *tasks, struct sv name, const char *server,
                          struct err *e);
// {"server": "user", ...}; the caller frees it.
struct codec_json;
int registry_helper_list(struct task_loop *tasks, struct sv name, struct codec_json **out,
                         struct err *e);
