// SPDX-License-Identifier: Apache-2.0
// Only for this room: the value of RUN --mount.
#pragma once

#include "build/instr.h"

int build_mount_parse(const char *text, const struct build_expand *x, struct build_mount *out,
                      struct err *e);
void build_mount_fini(struct build_mount *m);
