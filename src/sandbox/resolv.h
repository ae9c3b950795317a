// SPDX-License-Identifier: Apache-2.0
// A container's /etc/resolv.conf.
#pragma once

#include "base/str.h"
#include "sandbox/sandbox.h"

// ERR_USAGE when one of the spec's dns lists holds what cannot stand in the file.
int sandbox_resolv_check(const struct sandbox_spec *s, struct err *e);
// `text` is what the container would have (with the host's network the host's file, else nothing);
// what was asked for replaces its lines of the same kind.
void sandbox_resolv_text(const struct sandbox_spec *s, struct str *text);
