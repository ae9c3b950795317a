#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=attack,volumes
# What an image, a container or a name tries by way of volumes, each with its legal twin.
load ../e2e/helpers

R() { dewar run --rm -q --network none "$@"; }

file_setup() {
    mkdir -p "$BATS_FILE_TMPDIR/canary"
    echo secret >"$BATS_FILE_TMPDIR/canary/file"
    local name i
    for name in red blue; do
        mkdir -p "$BATS_FILE_TMPDIR/$name/data"
        for i in $(seq 30); do echo "$name" >"$BATS_FILE_TMPDIR/$name/data/$name-$i"; done
        printf 'FROM %s\nCOPY data /data\n' "$IMG" | dewar build -q -t "$name" -f - "$BATS_FILE_TMPDIR/$name" >/dev/null
    done
}
test_setup() {
    CANARY=$BATS_FILE_TMPDIR/canary
    BEFORE=$(tree_hash "$CANARY")
}
test_teardown() {
    dewar volume prune -af >/dev/null
    [ "$(tree_hash "$CANARY")" = "$BEFORE" ] || { echo "the canary changed" >&2; return 1; }
}

@test "B12: sixteen containers of two images start on one new volume; it is exactly one image's" {
    local i pids=()
    for i in $(seq 8); do
        R -v shared:/data red sh -c 'ls /data | wc -l' >"red.$i" &
        pids+=($!)
        R -v shared:/data blue sh -c 'ls /data | wc -l' >"blue.$i" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i"; done
    same "$(cat red.* blue.* | sort -u)" 30 # nobody saw a part
    same "$(R -v shared:/data $IMG sh -c 'cat /data/* | sort -u | wc -l; ls /data | wc -l')" $'1\n30'
    same "$(ls "$DEWAR_STORE/volumes/shared")" $'_data\nmeta'
}

@test "B12: a volume that holds something never changes, an empty one (the twin) is filled" {
    R -v filled:/data $IMG sh -c 'echo mine >/data/red-1'
    before=$(R -v filled:/data $IMG sh -c 'cd /data && stat -c "%n %a %u %Z" . * && cat *')
    for image in red blue; do R -v filled:/data $image true; done
    same "$(R -v filled:/data $IMG sh -c 'cd /data && stat -c "%n %a %u %Z" . * && cat *')" "$before" || return 1
    dewar volume create empty >/dev/null
    same "$(R -v empty:/data red ls /data | wc -l)" 30
}

@test "B12: an image's link is followed inside the image only; a link in it (the twin) leads on" {
    printf 'FROM red\nRUN ln -s %s /out && ln -s /data /in\n' "../../../../../../../../$CANARY" |
        dewar build -q -t links -f - "$BATS_FILE_TMPDIR/red" >/dev/null
    try R -v out:/out links ls -A /out/
    lacks file
    same "$(R -v in:/in links ls /in/ | wc -l)" 30
}

@test "A1: a subpath that a container made a link is resolved inside the volume" {
    R -v sub:/data $IMG sh -c "ln -s $CANARY /data/abs; ln -s ../../../../../../../..$CANARY /data/up; ln -s /dir /data/ok; mkdir /data/dir; echo in >/data/dir/f"
    for path in abs up; do
        try R --mount type=volume,src=sub,dst=/m,volume-subpath=$path $IMG cat /m/file
        fails 125 "in the volume 'sub'"
    done
    try R --mount type=volume,src=sub,dst=/m,volume-subpath=ok $IMG cat /m/f
    ok && same "$output" in || return 1
}

@test "A17: no name leads out of the folder of volumes; names with dots and dashes (the twins) are fine" {
    local name long
    long=$(printf 'a%.0s' $(seq 5000))
    store=$(ls -R "$DEWAR_STORE/volumes")
    for name in . .. ../x a/b /etc "$CANARY" %2e%2e -x .hidden _new 'a b' $'a\nb' 'ü' x "$long"; do
        try dewar volume create -- "$name"
        fails 1 volume
        try dewar volume rm -- "$name"
        fails 1 "no such volume"
        try dewar volume inspect -- "$name"
        fails 1 "no such volume"
        try R --mount "type=volume,src=$name,dst=/m" $IMG true
        fails 125
    done
    same "$(ls -R "$DEWAR_STORE/volumes")" "$store"
    for name in a.b-c_d 0x "${long:0:128}"; do
        same "$(dewar volume create "$name")" "$name"
        same "$(dewar volume rm "$name")" "$name"
    done
}

@test "A17: what is in the folder of volumes and no volume of ours is not removed or used" {
    ln -s "$CANARY" "$DEWAR_STORE/volumes/linked"
    try dewar volume rm linked
    [ "$status" != 0 ]
    try R -v linked:/m $IMG sh -c 'echo evil >/m/file'
    [ "$status" != 0 ]
    same "$(dewar volume ls -q)" ""
    rm "$DEWAR_STORE/volumes/linked"
}
