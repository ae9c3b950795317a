// SPDX-License-Identifier: Apache-2.0
// What the boot hook calls: which containers come back, and a stop of all that is not a person's.
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/own.h"
#include "container/restart.h"
#include "container/service.h"
#include "record/message.h"
#include "record/record.h"
#include "record/state.h"

#define PATIENCE 10 // seconds beyond a container's own stop timeout

static bool comes_back(struct engine *en, const struct record_row *row)
{
    struct err damaged;
    own(record_config) struct record_config c = {0};
    if (row->state.status != RECORD_EXITED || row->brief.rm) return false; // runs, or never did
    if (record_config_load(en, row->brief.id, &c, &damaged) < 0) return false;
    return restart_at_boot(&c, &row->state, record_state_was_up(&row->state));
}

int container_boot_list(struct engine *en, struct strv *out_ids, struct err *e)
{
    own(record_rows) struct record_rows rows = {0};
    if (record_sweep(en, e) < 0 || record_list(en, true, &rows, e) < 0) return -1;
    for (size_t i = rows.n; i-- > 0;)
        if (comes_back(en, &rows.p[i])) strv_add(out_ids, rows.p[i].brief.id);
    return 0;
}

static int64_t timeout_of(struct engine *en, const char *id)
{
    struct err gone;
    own(record_config) struct record_config c = {0};
    if (record_config_load(en, id, &c, &gone) < 0 || c.stop_timeout < 0) return RECORD_STOP_TIMEOUT;
    return c.stop_timeout;
}

// All are asked first, so that they end side by side; who does not answer is left to systemd.
int container_boot_stop(struct engine *en, struct err *e)
{
    own(record_rows) struct record_rows rows = {0};
    int failed = 0;
    if (record_list(en, false, &rows, e) < 0) return -1;
    int *socks = mem_alloc((rows.n + 1) * sizeof *socks);
    for (size_t i = 0; i < rows.n; i++) {
        struct err gone;
        struct record_message m = {.kind = MESSAGE_DOWN};
        socks[i] = record_connect(en, rows.p[i].brief.id, &gone);
        if (socks[i] >= 0) record_message_send(socks[i], &m, NULL);
    }
    for (size_t i = 0; i < rows.n; i++) {
        struct record_message reply;
        if (socks[i] < 0) continue;
        struct timeval t = {.tv_sec = timeout_of(en, rows.p[i].brief.id) + PATIENCE};
        setsockopt(socks[i], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
        if (record_message_receive(socks[i], &reply, NULL) != 1) {
            event_warn(&en->sink, "container %s did not end in time", rows.p[i].brief.name);
            failed++;
        }
        close(socks[i]);
    }
    free(socks);
    return failed ? err_set(e, ERR_SYSTEM, "%d containers did not end", failed) : 0;
}
