// SPDX-License-Identifier: Apache-2.0
// Health probes: the image's HEALTHCHECK or --health-*, run by the monitor. The first one comes
// after an interval, each next one an interval after the end of the one before; in the start period
// they come faster and their failures do not count, and the first success ends it.
#pragma once

#include "base/proc.h"
#include "record/state.h"

#define HEALTH_OUTPUT 4096 // bytes kept of a probe's output
#define HEALTH_KEPT 5      // results

struct health {
    bool on;
    struct proc probe; // runs now; fd -1: none
    int out_fd;
    struct str output;
    int64_t began_ns;         // wall clock
    int64_t next_at, kill_at; // monotonic
    int64_t started_at;       // of the program
    bool timed_out;
    struct codec_json *results; // array, newest last
};

// Defaults filled in; false: there is nothing to probe.
bool health_settings(const struct record_config *c, struct oci_health *out);
// What a result makes of the state. `since_start`: of the program, when the probe began.
void health_judge(const struct oci_health *h, int64_t since_start, bool ok, struct record_state *s);
// The pause before the next probe.
int64_t health_pause(const struct oci_health *h, int64_t since_start, enum record_health now);
