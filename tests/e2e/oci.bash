# SPDX-License-Identifier: Apache-2.0
# Bundles of one's own for tests of `dewar oci`: $ID is the container, config.json its bundle's, as
# root and as an ordinary user, whose bundles have a user namespace with their own id alone.
# shellcheck shell=bash
# shellcheck disable=SC2034 # the files that load this

NO_IMAGE=1

file_setup() {
    make_rootfs "$BATS_FILE_TMPDIR/rootfs"
    chmod 755 "$BATS_FILE_TMPDIR/rootfs"
}
test_setup() {
    local rootless=''
    STATE=$BATS_TEST_TMPDIR/state
    ID=t$$-$BATS_TEST_NUMBER
    is_root || rootless=--rootless
    # shellcheck disable=SC2086
    oci spec $rootless
    change ".process.terminal=false | .root.path=\"$BATS_FILE_TMPDIR/rootfs\""
}
test_teardown() {
    local id
    for id in $(oci list -q 2>/dev/null); do oci delete -f "$id"; done
}
oci() { timeout 30 "$DEWAR" oci --root "$STATE" "$@"; }
change() { jq "$1" config.json >config.new && mv config.new config.json; }
args() { change ".process.args=$(jq -nc '$ARGS.positional' --args -- "$@")"; }
sh_args() { args /bin/sh -c "$1"; }
status_is() { same "$(oci state "$ID" | jq -r .status)" "$1"; }
wait_status() {
    for _ in $(seq 100); do
        [ "$(oci state "$ID" 2>/dev/null | jq -r .status)" = "$1" ] && return 0
        sleep 0.05
    done
    return 1
}
# Ended; whoever inherited it may not have waited for it yet.
gone() { [ ! -e "/proc/$1" ] || grep -q '^State:.*[ZX]' "/proc/$1/status"; }
# A created or running container without our pipes in it.
make() { oci create "$@" "$ID" </dev/null >"$BATS_TEST_TMPDIR/out" 2>&1; }
background() { sh_args "${1:-sleep 1000}"; oci run -d "$ID" </dev/null >"$BATS_TEST_TMPDIR/out" 2>&1; }
