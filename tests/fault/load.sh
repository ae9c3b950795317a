# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Loading an archive of two layers.
prepare() {
    import_busybox
    mkdir ctx
    printf 'hello\n' >ctx/file
    printf 'FROM busybox:test\nCOPY file /file\nCMD ["cat", "/file"]\n' >ctx/Dockerfile
    dewar build -q -t result:1 ctx >/dev/null
    dewar save -o result.tar result:1
    dewar rmi result:1 busybox:test >/dev/null
    dewar system prune --force >/dev/null
}
operation() { op=("$DEWAR" load -q -i result.tar); }
verify() { [ "$(dewar run --rm --network none result:1)" = hello ]; }
undo() { dewar rmi result:1 >/dev/null && dewar builder prune -f >/dev/null && dewar system prune --force >/dev/null; }
