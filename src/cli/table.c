// SPDX-License-Identifier: Apache-2.0
// Every command, in the order that `dewar help` shows them.
#include "cli/commands.h"
#include "cli/internal.h"

const struct cli_cmd *const cli_commands[] = {
    // everyday
    &cli_cmd_run,
    &cli_cmd_build,
    &cli_cmd_lock,
    &cli_cmd_verify,
    &cli_cmd_images,
    &cli_cmd_rmi,
    &cli_cmd_tag,
    &cli_cmd_history,
    &cli_cmd_inspect,
    &cli_cmd_image_inspect,
    &cli_cmd_container_inspect,
    // containers
    &cli_cmd_ps,
    &cli_cmd_exec,
    &cli_cmd_create,
    &cli_cmd_start,
    &cli_cmd_stop,
    &cli_cmd_restart,
    &cli_cmd_kill,
    &cli_cmd_rm,
    &cli_cmd_wait,
    &cli_cmd_logs,
    &cli_cmd_attach,
    &cli_cmd_pause,
    &cli_cmd_unpause,
    &cli_cmd_rename,
    &cli_cmd_update,
    &cli_cmd_container_prune,
    &cli_cmd_probe,
    // in and out
    &cli_cmd_pull,
    &cli_cmd_push,
    &cli_cmd_save,
    &cli_cmd_load,
    &cli_cmd_import,
    &cli_cmd_bootstrap,
    &cli_cmd_image_copy,
    &cli_cmd_image_prune,
    // registries
    &cli_cmd_login,
    &cli_cmd_logout,
    &cli_cmd_search,
    &cli_cmd_manifest_create,
    &cli_cmd_manifest_annotate,
    &cli_cmd_manifest_inspect,
    &cli_cmd_manifest_push,
    &cli_cmd_manifest_rm,
    // the store and the machine
    &cli_cmd_df,
    &cli_cmd_system_prune,
    &cli_cmd_builder_prune,
    &cli_cmd_check,
    &cli_cmd_info,
    &cli_cmd_doctor,
    &cli_cmd_oci,
    &cli_cmd_version,
    &cli_cmd_help,
    &cli_cmd_completion,
    &cli_cmd_complete,
    NULL,
};

// Groups without help are only other ways to say what stands elsewhere ("buildx build").
const struct cli_group cli_groups[] = {
    {"image", "Manage images", NULL},
    {"manifest", "Put images of several platforms together", NULL},
    {"builder", "Manage builds", NULL},
    {"container", "Manage containers", NULL},
    {"system", "Manage the store", NULL},
    {"buildx", NULL, "The same as 'builder'"},
    {NULL, NULL, NULL},
};
