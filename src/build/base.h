// SPDX-License-Identifier: Apache-2.0
// Images that a Dockerfile names: FROM, COPY --from, RUN --mount=from. This is the one place where
// such a name becomes an image of the store, pulled first when it must be.
#pragma once

#include "build/internal.h"

// Pulls what the needed stages name and the store lacks (or, with --pull, everything), side by
// side, before any step runs. Only for speed: what it does not see is fetched when it is opened.
int build_base_prefetch(struct build_job *job, struct err *e);
// The image that `name` means for this build. platform NULL: the build's.
int build_base_ensure(struct build_job *job, const char *name, const char *platform,
                      struct store_ref *out, struct err *e);
