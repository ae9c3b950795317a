// SPDX-License-Identifier: Apache-2.0
// The verbs that look at a running container from outside: its processes (top.c), what it uses
// (stats.c), its published ports (ports.c). Nothing of the container's is executed or asked.
#pragma once

#include "record/state.h"

// --- top ---------------------------------------------------------------------------------------
struct container_top {
    struct strv titles;
    struct strv cells; // row by row
};
static inline void own_container_top(struct container_top *t)
{
    strv_fini(&t->titles);
    strv_fini(&t->cells);
}
// The machine's own `ps` with the given options (none: -ef), and of its lines those whose PID is
// one of the container's. ERR_CONFLICT when it does not run; ERR_INPUT with ps's own words when it
// does not take the options.
int container_top(struct engine *en, const char *id, const struct strv *ps_args,
                  struct container_top *out, struct err *e);
// For tests: what ps printed to titles and cells; `has` says which processes are wanted.
int container_top_parse(struct sv text, bool (*has)(const void *arg, pid_t pid), const void *arg,
                        struct container_top *out, struct err *e);

// --- stats -------------------------------------------------------------------------------------
// Each number is the container's control group's where it has one with that controller, and
// otherwise the sum over its processes: then memory is their proportional share (PSS, without page
// cache), and what ended before it was looked at counts only where its parent waited for it.
struct container_usage {
    bool running;
    int64_t at_ns;    // monotonic
    uint64_t cpu_ns;  // used since the start
    uint64_t memory, memory_limit;
    uint64_t net_in, net_out;     // 0 with the host's network
    uint64_t block_in, block_out;
    uint64_t pids;    // threads too, as the kernel counts
};
// A container that does not run is no error: all is 0.
int container_usage(struct engine *en, const char *id, struct container_usage *out, struct err *e);
// 100 is one processor; 0 where the two do not belong together.
double container_usage_cpu(const struct container_usage *before, const struct container_usage *now);
// For tests. /proc/net/dev without the loopback device; "a 1\nb 2" by name.
void container_usage_net(struct sv text, uint64_t *out_in, uint64_t *out_out);
bool container_usage_field(struct sv text, const char *name, uint64_t *out);

// --- ports -------------------------------------------------------------------------------------
struct container_port {
    unsigned port;      // inside
    char protocol[8];   // "tcp", "udp", "sctp"
    char *host_ip;
    unsigned host_port;
};
struct container_ports {
    struct container_port *p;
    size_t n;
    size_t cap;
};
void container_ports_fini(struct container_ports *v);
static inline void own_container_ports(struct container_ports *v)
{
    container_ports_fini(v);
}
// What is forwarded to the container now. There is no network that publishes anything yet, so no
// record holds any: none.
int container_ports(struct engine *en, const char *id, struct container_ports *out, struct err *e);
