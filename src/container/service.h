// SPDX-License-Identifier: Apache-2.0
// What happens to containers when the machine goes down and comes up again: the one boot hook, a
// unit of systemd (the system's for root, the user's own for others), and the two commands that it
// calls.
#pragma once

#include "base/engine.h"
#include "base/vec.h"

// --- the commands of the unit ------------------------------------------------------------------
// The ids of what should run after a boot and does not run, oldest first: restart policy always;
// unless-stopped, where nobody stopped it; on-failure, where it ran when the machine went down.
int container_boot_list(struct engine *en, struct strv *out_ids, struct err *e);
// Stops everything that runs in good order, and leaves it to be started again.
int container_boot_stop(struct engine *en, struct err *e);

// --- the unit ----------------------------------------------------------------------------------
struct container_service {
    bool user;       // the user's own, not the system's
    bool systemd;    // there is one to call it
    bool written;    // the unit is there
    bool enabled;    // ... and called at boot
    bool outdated;   // ... but is not what we would write
    bool lingers;    // users: their services run without a login
    char unit[4200]; // the file
    char cron[8192]; // the line for a crontab
};
// root: write below this folder, for an image or a machine that is not running, and ask no systemd;
// NULL: this machine.
int container_service_look(struct engine *en, const char *root, struct container_service *out,
                           struct err *e);
// ERR_UNSUPPORTED without systemd: show out->cron.
int container_service_enable(struct engine *en, const char *root, struct container_service *out,
                             struct err *e);
int container_service_disable(struct engine *en, const char *root, struct container_service *out,
                              struct err *e);

// For tests: the text of the unit, and a line for cron.
struct container_service_text {
    bool user;
    const char *program, *store, *run;
};
void container_service_unit(const struct container_service_text *t, struct str *out);
// Nothing where a path has a line's end in it, which cron cannot be told.
void container_service_cron(const struct container_service_text *t, struct str *out);
