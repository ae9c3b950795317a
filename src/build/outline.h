// SPDX-License-Identifier: Apache-2.0
// `--call=outline` and `--call=targets`: what a Dockerfile can be asked for, with the descriptions
// that stand in comments: "# name description" right above a FROM ... AS name or an ARG name.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "build/dockerfile.h"

// Arguments, secrets and ssh sockets that the target and the stages it needs can use. target NULL:
// the last stage. ERR_NOT_FOUND with a hint when there is no such stage.
int build_outline_print(const struct build_file *f, const char *target, bool json, struct str *out,
                        struct err *e);
int build_outline_print_targets(const struct build_file *f, bool json, struct str *out,
                                struct err *e);
