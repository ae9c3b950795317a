# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A folder into a container that does not run.
prepare() {
    import_busybox
    mkdir -p in/d out
    echo one >in/one && echo two >in/d/two
    dewar create --name box --network none busybox:test sh -c 'cat /in/one /in/d/two; ls -A /in /in/d; rm -r /in' >/dev/null
    dewar start -a box >/dev/null 2>&1 || true # its layer is there
}
operation() { op=("$DEWAR" cp in box:/); }
# Complete files, and no other names beside them.
verify() { [ "$(dewar start -a box)" = "$(printf 'one\ntwo\n/in:\nd\none\n\n/in/d:\ntwo')" ]; }
undo() { dewar diff box | grep -v '^[CD] ' >&2 && return 1 || true; }
