// SPDX-License-Identifier: Apache-2.0
// What the command line says about RUN steps: limits, host names, the network. None of it is part of a
// step's key, so it is looked at before any work: a wrong value is an error when all steps are cached,
// too.
#pragma once

#include "build/build.h"
#include "sandbox/sandbox.h"

int build_runopt_check(const struct build_options *opt, struct err *e);
// Of options that were checked.
void build_runopt_fill(const struct build_options *opt, struct sandbox_spec *spec);
