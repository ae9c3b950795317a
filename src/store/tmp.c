// SPDX-License-Identifier: Apache-2.0
// Placeholder until the layers land.
#include "store/tmp.h"
