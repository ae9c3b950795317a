// SPDX-License-Identifier: Apache-2.0
// The published ports of a container: the one place where its record is read for them.
#include "base/own.h"
#include "container/watch.h"
#include "record/state.h"

void container_ports_fini(struct container_ports *v)
{
    vec_each (p, v) free(p->host_ip);
    vec_fini(v);
}

// `run` refuses -p as long as no network publishes anything, so there is nothing to be read.
int container_ports(struct engine *en, const char *id, struct container_ports *out, struct err *e)
{
    own(record_config) struct record_config c = {0};
    *out = (struct container_ports){0};
    return record_config_load(en, id, &c, e);
}
