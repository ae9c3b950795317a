// SPDX-License-Identifier: Apache-2.0
// Between diff.c and commit.c.
#pragma once

#include "base/err.h"

// The container's layer to read, running or not. dir: record_dir. Needs engine_enter.
int files_upper(int dir, struct err *e);
