# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The first use of a volume: it is made and gets the image's files.
prepare() {
    import_busybox
    mkdir -p ctx/data/sub
    echo one >ctx/data/file
    echo two >ctx/data/sub/other
    ln -s file ctx/data/link
    printf 'FROM busybox:test\nCOPY data /data\n' >ctx/Dockerfile
    dewar build -q -t result:1 ctx >/dev/null
}
operation() { op=("$DEWAR" run --rm --network none -v kept:/data result:1 cat /data/file /data/link /data/sub/other); }
verify() {
    operation
    [ "$("${op[@]}")" = "$(printf 'one\none\ntwo')" ]
    [ "$(ls "$DEWAR_STORE/volumes/kept")" = "$(printf '_data\nmeta')" ]
    [ "$(dewar volume ls -q)" = kept ]
}
undo() { dewar volume rm kept >/dev/null; }
