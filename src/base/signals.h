// SPDX-License-Identifier: Apache-2.0
// Signals as people and images name them: "9", "KILL", "sigkill", "RTMIN+3". The numbers are the kernel's,
// not the C library's: RTMIN is 34, as Docker and programs of glibc count it.
#pragma once

#include "base/str.h"

int signals_number(struct sv text);  // 1 to 64; -1: unknown
