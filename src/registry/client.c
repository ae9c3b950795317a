// SPDX-License-Identifier: Apache-2.0
// The running client and what it has learned about hosts.
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/num.h"
#include "registry/internal.h"

#define RETRIES 5

int client_init(struct client *c, struct err *e)
{
    const char *z = getenv("DEWAR_REGISTRY_RETRIES");
    uint64_t n;
    c->hosts.free_value = c->places.free_value = free;
    c->retries = z && num_u64_max(sv_of(z), 100, &n) ? (unsigned)n : RETRIES;
    if (task_loop_new(&c->tasks, e) < 0 || auth_new(&c->auth, e) < 0 ||
        http_new(c->tasks, &c->http, e) < 0)
        return -1;
    return 0;
}

void client_fini(struct client *c)
{
    map_fini(&c->hosts);
    map_fini(&c->places);
    auth_free(c->auth);
    http_free(c->http);
    task_loop_free(c->tasks);
}

struct client_host *client_host(struct client *c, const char *host)
{
    struct client_host *h = map_get(&c->hosts, host);
    if (h) return h;
    h = mem_alloc(sizeof *h);
    snprintf(h->host, sizeof h->host, "%s", host);
    map_set(&c->hosts, host, h);
    return h;
}
