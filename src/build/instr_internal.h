// SPDX-License-Identifier: Apache-2.0
// Only for this room: expanding the words and flags of one instruction.
#pragma once

#include "build/instr.h"

int build_instr_expand(const struct build_expand *x, const char *word, char **out, struct err *e);
// *out stays as it is when the flag is not given.
int build_instr_expand_flag(const struct build_instr *in, const char *name,
                            const struct build_expand *x, char **out, struct err *e);
