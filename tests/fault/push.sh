# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Pushing an image of three layers to a registry that has nothing of it.
# shellcheck source=tests/fault/registry.bash
source "$(dirname "${BASH_SOURCE[0]}")/registry.bash"
prepare() {
    start_registry $PPID
    dewar pull -q "$NAME" >/dev/null
    cp -r "$DATA" "$WORK/data.first"
    undo
}
operation() { here; op=("$DEWAR" push -q "$NAME"); }
# The same bytes are there as at first: each blob, and the manifest under the name.
verify() {
    here
    local kind
    for kind in blobs/sha256 repositories/a/b/_manifests/tags/latest/current; do
        diff -r "$WORK/data.first/docker/registry/v2/$kind" "$DATA/docker/registry/v2/$kind"
    done
}
undo() { here; rm -rf "${DATA:?}"/*; }
