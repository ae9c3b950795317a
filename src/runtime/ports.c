// SPDX-License-Identifier: Apache-2.0
// The published ports of a container: the one place where its record is read for them.
#include "base/own.h"
#include "runtime/state.h"
#include "runtime/watch.h"

void runtime_ports_fini(struct runtime_ports *v)
{
    vec_each (p, v) free(p->host_ip);
    vec_fini(v);
}

// `run` refuses -p as long as no network publishes anything, so there is nothing to be read.
int runtime_ports(struct engine *en, const char *id, struct runtime_ports *out, struct err *e)
{
    own(runtime_config) struct runtime_config c = {0};
    *out = (struct runtime_ports){0};
    return runtime_config_load(en, id, &c, e);
}
