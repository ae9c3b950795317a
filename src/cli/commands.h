// SPDX-License-Identifier: Apache-2.0
// Every command, for the table, and what a few of them share.
#pragma once

#include "cli/cli.h"
#include "image/image.h"
#include "image/registry.h"

extern const struct cli_cmd cli_cmd_run, cli_cmd_build, cli_cmd_lock, cli_cmd_verify;
extern const struct cli_cmd cli_cmd_create, cli_cmd_start, cli_cmd_stop, cli_cmd_restart, cli_cmd_kill,
    cli_cmd_rm, cli_cmd_wait, cli_cmd_pause, cli_cmd_unpause, cli_cmd_rename, cli_cmd_attach,
    cli_cmd_logs, cli_cmd_probe, cli_cmd_ps, cli_cmd_exec, cli_cmd_update, cli_cmd_container_prune,
    cli_cmd_top, cli_cmd_stats, cli_cmd_port, cli_cmd_events;
extern const struct cli_cmd cli_cmd_cp, cli_cmd_export, cli_cmd_diff, cli_cmd_commit;
extern const struct cli_cmd cli_cmd_images, cli_cmd_rmi, cli_cmd_tag, cli_cmd_history,
    cli_cmd_inspect, cli_cmd_image_inspect, cli_cmd_container_inspect, cli_cmd_image_prune;
extern const struct cli_cmd cli_cmd_volume_create, cli_cmd_volume_ls, cli_cmd_volume_inspect,
    cli_cmd_volume_rm, cli_cmd_volume_prune;
extern const struct cli_cmd cli_cmd_pull, cli_cmd_push;
extern const struct cli_cmd cli_cmd_image_copy, cli_cmd_manifest_create, cli_cmd_manifest_annotate,
    cli_cmd_manifest_inspect, cli_cmd_manifest_push, cli_cmd_manifest_rm;
extern const struct cli_cmd cli_cmd_save, cli_cmd_load, cli_cmd_import, cli_cmd_bootstrap;
extern const struct cli_cmd cli_cmd_login, cli_cmd_logout, cli_cmd_search;
extern const struct cli_cmd cli_cmd_df, cli_cmd_system_prune, cli_cmd_builder_prune, cli_cmd_check,
    cli_cmd_service;
extern const struct cli_cmd cli_cmd_doctor, cli_cmd_info, cli_cmd_version;
extern const struct cli_cmd cli_cmd_oci;
extern const struct cli_cmd cli_cmd_help, cli_cmd_completion, cli_cmd_complete;

// For commands that take several containers: calls `one` for every word. When one fails the others
// have their turn all the same.
struct cli_each {
    int (*one)(struct cli *c, struct engine *en, const char *id, const void *o, struct err *e);
    bool quiet;      // else the word is printed where that went well
    bool may_be_gone; // what is not there is told, and no failure
    bool starts;  // looks first whether one joins the processes of another (sandbox/sealed.h)
};
int cli_each_container(struct cli *c, const void *o, const struct cli_each *how, struct err *e);

// From here on as dewar-layers, called as we were: the same program, linked with the system's C library,
// whose start is slow and whose work on whole layers is fast. Comes back where that is what we are, or
// where there is none. Nothing may have been done yet that is not undone when the program ends.
void cli_as_layers(const struct cli *c);

struct store_df;
// What a container has written and what its image holds; 0 where the store has not.
void cli_container_sizes(const struct store_df *df, const char *id, const char *image,
                         uint64_t *out_own, uint64_t *out_image);
// For verbs that pull what is missing: shows the pull, and nothing when there is none.
// --detach-keys, else the person's "detachKeys" of Docker's config.json, else NULL. Heap.
char *cli_detach_keys(struct cli *c, const char *given);
// The variables that the "proxies" of Docker's config.json stand for, "HTTP_PROXY=..." and so on.
void cli_proxies(struct cli *c, struct strv *out);
struct image_progress cli_pull_progress(struct cli *c, bool quiet);
struct image_progress cli_mapping_progress(struct cli *c);  // of a copy of layers for other ids
void cli_print_pruned(struct cli *c, const struct image_removals *removed, uint64_t freed);
