#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A hostile container against the OCI runtime: its own program file, leaked descriptors, files
# exchanged while it mounts, proc and dev that are not what they seem. Each with its legal twin.

load ../e2e/helpers
load trojan
NO_IMAGE=1

test_setup() {
    STATE=$BATS_TEST_TMPDIR/state
    ID=a$$-$BATS_TEST_NUMBER
    make_rootfs r
    chmod 755 r
    is_root || rootless=--rootless
    oci spec ${rootless-}
    change '.process.terminal=false | .root.path="r" | .root.readonly=false'
    mkdir canary && echo canary >canary/file
    before=$(tree_hash canary)
}
test_teardown() {
    local id
    [ -z "${racer-}" ] || { kill "$racer" && wait "$racer" || true; } 2>/dev/null
    for id in $(oci list -q 2>/dev/null); do oci delete -f "$id"; done
}
oci() { timeout 60 "$DEWAR" oci --root "$STATE" "$@"; }
change() { jq "$1" config.json >config.new && mv config.new config.json; }
args() { change ".process.args=$(jq -nc '$ARGS.positional' --args -- "$@")"; }
sh_args() { args /bin/sh -c "$1"; }
background() { sh_args "${1:-sleep 1000}"; oci run -d "$ID" </dev/null >log 2>&1; }
canary_lives() { same "$(tree_hash canary)" "$before"; }
wait_file() { for _ in $(seq 100); do [ -s "$1" ] && return 0; sleep 0.05; done; return 1; }
# Exchanges A and B with each other as fast as it can.
race() {
    python3 - "$@" <<'EOF' 3>&- &
import ctypes, sys
libc = ctypes.CDLL(None)
a, b = sys.argv[1].encode(), sys.argv[2].encode()
while True:
    libc.renameat2(-100, a, -100, b, 2)
EOF
    racer=$!
}

# A shell tries to write to what it was handed on, when nobody executes it any more.
hostile() {
    trojan r
    cat >r/then <<'EOF'
#!/bin/sh
for i in 1 2 3 4 5 6 7 8 9 10; do
    if (echo x >>/proc/self/fd/9) 2>/dev/null; then echo written >/result; exit; fi
    sleep 0.1
done
echo safe >/result
EOF
    chmod 755 r/then
    my_dewar
}

@test "A1: an entry point that is the runtime itself cannot write it" {
    hostile
    args /evil
    # What `run` leaves in /proc/self/exe cannot load anything; `create` leaves a copy of the runtime.
    try oci run "$ID" </dev/null
    same "$status" 125
    test ! -e r/result
    oci create "$ID-made" </dev/null >log 2>&1
    oci start "$ID-made"
    wait_file r/result
    lacks_written
    dewar_is_whole
    args /good
    try oci run "$ID-good"
    ok
    has good
}
lacks_written() { ! grep -q written r/result || { cat r/result >&2; return 1; }; }

@test "A1: a program of exec that is the runtime itself cannot write it" {
    hostile
    background
    oci exec -d "$ID" /evil </dev/null >log 2>&1 || true
    wait_file r/result
    lacks_written
    dewar_is_whole
    try oci exec "$ID" /good
    ok
    has good
}

@test "A1, A3: nothing of the runtime can be opened from inside during 500 execs" {
    change '.process.capabilities.bounding+=["CAP_DAC_OVERRIDE","CAP_DAC_READ_SEARCH"]
            | .process.capabilities.permitted=.process.capabilities.bounding
            | .process.capabilities.effective=.process.capabilities.bounding'
    background 'while :; do for p in /proc/[0-9]*; do
        (: >>$p/exe) 2>/dev/null && echo "wrote $p" >>/hits
        tr "\0" "\n" <$p/environ 2>/dev/null | grep HOST_SECRET >>/hits
        ls -l $p/fd 2>/dev/null | grep -E "state|canary" >>/hits
        grep -s dewar $p/maps >>/hits
        done; done'
    for at in $(rounds 500 500); do
        HOST_SECRET=1 "$DEWAR" oci --root "$STATE" exec "$ID" true 7<canary </dev/null
    done
    [ ! -s r/hits ] || { head r/hits >&2; return 1; }
    # The twin: what a program of the container's own shows can be seen.
    oci exec -d --env SHOWN=1 "$ID" sleep 1000 </dev/null >/dev/null 2>&1
    try oci exec "$ID" sh -c 'cat /proc/*/environ 2>/dev/null | tr "\0" "\n" | grep SHOWN'
    has SHOWN=1
}

@test "A2: no working directory leads out through a descriptor" {
    args pwd
    exec 8<canary
    for n in $(seq 3 24); do
        change ".process.cwd=\"/proc/self/fd/$n\""
        try oci run "$ID"
        [ "$status" = 1 ]
    done
    ln -s /etc r/link
    change '.process.cwd="/link"'
    try oci run "$ID"
    same "$output" /etc
    background
    for n in $(seq 3 24); do
        try oci exec --cwd "/proc/self/fd/$n" "$ID" pwd
        [ "$status" = 255 ]
    done
    for n in /proc/1/cwd /proc/self/cwd /proc/1/root; do
        try oci exec --cwd "$n" "$ID" pwd
        [ "$status" = 255 ]
    done
    try oci exec --cwd /link "$ID" pwd
    same "$output" /etc
    exec 8<&-
}

@test "A4: what masks is the null device, whatever the image's own is" {
    rm -f r/dev/null
    ln -s /proc/sys/kernel/hostname r/dev/null
    change '.mounts|=map(select(.destination|startswith("/dev")|not))'
    sh_args 'cat /proc/timer_list /proc/keys | wc -c; grep -c " /null /proc/" /proc/self/mountinfo'
    try oci run "$ID"
    # The link where a device should be is an error, or is left alone: never followed.
    if [ "$status" = 0 ]; then same "${lines[0]}" 0; else err_has /dev/null; fi
    rm -f r/dev/null
    try oci run "$ID"
    ok
    same "${lines[0]}" 0
    [ "${lines[1]}" -ge 1 ]
}

@test "A4: masked paths that are exchanged while it starts" {
    mkdir vol && echo secret >vol/a && ln -s /proc/sys/kernel/hostname vol/b
    change '.mounts+=[{"destination":"/vol","type":"bind","source":"vol","options":["rbind"]}]
            | .linux.maskedPaths+=["/vol/a"]'
    sh_args 'grep -E " (/vol|/proc/sys)" /proc/self/mountinfo'
    race vol/a vol/b
    for at in $(rounds 150 2000); do
        try oci run "$ID"
        # Each mask is the null device (or nothing, when the path was not there): no file of proc.
        if [ "$status" = 0 ]; then
            ! grep -E ' /vol/' <<<"$output" | grep -vE ' /null /vol/[ab] ' || { echo "$output" >&2; return 1; }
        fi
    done
    kill "$racer"
    wait "$racer" 2>/dev/null || true
    racer=''
    rm -rf vol/* && echo secret >vol/a
    sh_args 'wc -c </vol/a'
    try oci run "$ID"
    ok
    same "$output" 0
}

@test "A6: proc must be a folder, and nothing is mounted over its parts" {
    rmdir r/proc && ln -s /tmp r/proc
    args true
    try oci run "$ID"
    fails 1
    rm r/proc && mkdir r/proc && echo x >r/proc/left
    try oci run "$ID"
    ok
    cp config.json good.json
    for to in /proc /proc/self /proc/self/attr /proc/sys /proc/1; do
        jq --arg to "$to" '.mounts+=[{"destination":$to,"type":"tmpfs","source":"tmpfs","options":[]}]' good.json >config.json
        try oci run "$ID"
        fails 1 "mount over a part of '/proc'"
        jq --arg to "$to" '.mounts+=[{"destination":$to,"type":"bind","source":"canary","options":["rbind"]}]' good.json >config.json
        try oci run "$ID"
        fails 1 "mount over a part of '/proc'"
    done
    # The twin: the files that resource views replace.
    jq '.mounts+=[{"destination":"/proc/cpuinfo","type":"bind","source":"canary/file","options":["bind","ro"]}]' good.json >config.json
    args cat /proc/cpuinfo
    try oci run "$ID"
    ok
    same "$output" canary
    canary_lives
}

@test "A7: a dev that is a link leads nowhere" {
    rmdir r/dev && ln -s "../../../../../../../../$WORK/canary" r/dev
    args true
    try oci run "$ID"
    canary_lives
    change '.mounts|=map(select(.destination|startswith("/dev")|not))'
    try oci run "$ID"
    canary_lives
}

@test "A8: a mount target that is exchanged for a link while it starts" {
    mkdir -p vol/a src && echo mine >src/mine && ln -s "/../../../../../../$WORK/canary" vol/b
    change '.mounts+=[{"destination":"/vol","type":"bind","source":"vol","options":["rbind"]},
                      {"destination":"/vol/a","type":"bind","source":"src","options":["rbind"]},
                      {"destination":"/vol/a/new","type":"tmpfs","source":"tmpfs","options":[]}]'
    sh_args 'cat /vol/a/file /vol/b/file 2>/dev/null'
    race vol/a vol/b
    for at in $(rounds 150 2000); do
        try oci run "$ID"
        lacks canary
    done
    canary_lives
    kill "$racer"
    wait "$racer" 2>/dev/null || true
    racer=''
    # The twin: an absolute link that stays inside works.
    rm -rf vol/* && mkdir r/inside && ln -s /inside vol/a
    sh_args 'ls /inside'
    try oci run "$ID"
    ok
    has mine
}

@test "A9: a missing working directory is made inside the root only" {
    ln -s "$WORK/canary" r/out
    change '.process.cwd="/out/new"'
    args pwd
    try oci run "$ID"
    canary_lives
    change '.process.cwd="/made/here"'
    try oci run "$ID"
    same "$output" /made/here
}

@test "D6: a container without a terminal has no controlling terminal of ours" {
    sh_args '(: </dev/tty) 2>/dev/null && echo has || echo none'
    try oci run "$ID"
    same "$output" none
    run on_tty "$DEWAR oci --root $STATE run $ID"
    has none
}

@test "annotations steer nothing" {
    change '.annotations={"run.oci.handler":"krun","org.systemd.property.CollectMode":"x","module.wasm.image/variant":"compat","run.oci.hooks.stderr":"'"$WORK"'/canary/x"}'
    args true
    try oci run "$ID"
    ok
    canary_lives
}
