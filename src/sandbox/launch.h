// SPDX-License-Identifier: Apache-2.0
// Starting the child of a plan and hearing what becomes of it (sandbox.c).
#pragma once

#include "sandbox/plan.h"

// Starts the child of a finished plan and listens until it executed its program.
int sandbox_launch(struct sandbox_plan *plan, struct strv *stubs, struct sandbox *out,
                   struct err *e);

// One message; a descriptor that came with it goes to *out_fd. 0: end of file.
int sandbox_receive(int fd, struct report *r, int *out_fd);
// What a REPORT_FAIL means for a person.
int sandbox_error(const struct sandbox_plan *p, const struct report *r, struct err *e);
