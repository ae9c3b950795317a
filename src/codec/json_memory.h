// SPDX-License-Identifier: Apache-2.0
#pragma once

// Before anything of libjansson is called; any number of times. Room-internal.
void codec_json_memory(void);
