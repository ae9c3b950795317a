# SPDX-License-Identifier: Apache-2.0
# What scripts from outside rely on.
load helpers

@test "an image is imported from a pipe" {
    cat "$BATS_RUN_TMPDIR/rootfs-$(id -u).tar" | dewar image import - piped:1 >/dev/null
    same "$(image_id "$IMG")" "$(image_id piped:1)"
}
@test "build -q and load -q print the image ID and nothing else" {
    ctx
    printf 'FROM busybox:test\nCMD ["true"]\n' | dockerfile
    try dewar build -q -t quiet:1 .
    ok
    [[ $output =~ ^sha256:[0-9a-f]{64}$ ]]
    id=$output
    dewar save -o ../q.tar quiet:1
    dewar rmi quiet:1 >/dev/null
    try dewar load -q -i ../q.tar
    ok
    same "$id" "$output"
}
@test "a program called docker speaks the same" {
    ln -s "$DEWAR" docker
    same hello "$(./docker run --rm --network none "$IMG" echo hello)"
}
@test "exit codes are docker's" {
    try dewar run --rm --network none "$IMG" sh -c 'exit 7'; fails 7
    try dewar run --rm --network none "$IMG" /etc/passwd; fails 126
    try dewar run --rm --network none "$IMG" /no/such; fails 127
    try dewar run --no-such-flag "$IMG"; fails 125
    try dewar run --rm --network none --init "$IMG" sh -c 'kill -9 $$'; fails 137
}
@test "stdout is the result, talk is on stderr" {
    ctx
    printf 'FROM busybox:test\nRUN echo noise\n' | dockerfile
    try dewar build -q .
    lacks noise
    try dewar run --rm "$IMG" echo result
    ok
    same result "$output"
}
@test "a standing start works without a HOME and with nothing but the program" {
    same hello "$(env -i DEWAR_STORE="$DEWAR_STORE" DEWAR_RUN="$DEWAR_RUN" "$DEWAR" run --rm --network none "$IMG" echo hello)"
}
@test "the store is left clean by all of this" {
    store_is_clean
}
