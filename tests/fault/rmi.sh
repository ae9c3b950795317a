# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Removing an image that shares a layer with another. `-f`: what a killed one had removed already is
# no error for the next.
prepare() {
    import_busybox
    dewar system prune --force >/dev/null
    again
}
again() {
    mkdir -p ctx
    printf 'hello\n' >ctx/file
    printf 'FROM busybox:test\nCOPY file /file\nCMD ["cat", "/file"]\n' >ctx/Dockerfile
    dewar build -q -t result:1 ctx >/dev/null
}
operation() { op=(bash -c '"$DEWAR" rmi -f result:1 >/dev/null || ! "$DEWAR" inspect result:1 >/dev/null 2>&1'); }
verify() { ! dewar inspect result:1 >/dev/null 2>&1 && [ "$(dewar run --rm --network none busybox:test echo well)" = well ]; }
undo() { dewar system prune --force >/dev/null && again; }
