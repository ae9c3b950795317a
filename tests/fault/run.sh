# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A container that writes into its own layer and a volume of the image.
prepare() {
    import_busybox
    mkdir ctx out
    printf 'FROM busybox:test\nVOLUME /data\nCMD ["sh", "-c", "echo x > /own; echo y > /data/f; echo well > /out/said"]\n' \
        >ctx/Dockerfile
    dewar build -q -t result:1 ctx >/dev/null
}
operation() { op=("$DEWAR" run --rm --network none -v "$WORK/out:/out" result:1); }
verify() { [ "$(cat out/said)" = well ]; }
undo() { rm -f out/said; }
