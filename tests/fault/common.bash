# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What every fault case starts from; see tests/tools/kill-sweep for the functions of a case.
dewar() { "$DEWAR" "$@"; }
BATS_RUN_TMPDIR=$WORK
# shellcheck source=/dev/null
source <(sed -n '/^make_rootfs()/,/^}/p; /^rootfs_tar()/,/^}/p' "$(dirname "${BASH_SOURCE[0]}")/../e2e/helpers.bash")
import_busybox() {
    [ -e "$WORK/rootfs.tar" ] || rootfs_tar "$WORK/rootfs.tar"
    dewar image import "$WORK/rootfs.tar" busybox:test >/dev/null
}
