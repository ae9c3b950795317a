#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Limits through control groups version 2. Runs in the guest of tests/guest/run, as root; the tests of
# an ordinary user go down from there, into a group that root has given away (as systemd does with
# Delegate=yes).
load ../e2e/helpers

R() { dewar run --rm -q --network none "$@"; }
TOP=/sys/fs/cgroup

file_setup() {
    [ "$(stat -f -c %T $TOP)" = cgroup2fs ] || { echo "not the guest" >&2; return 1; }
}
D() { dewar run -d -q --network none "$@"; }
told() { dewar inspect --type container --format "{{.State.$2}}" "$1"; }
wait_for() {
    for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
    echo "waited in vain for: $*" >&2
    return 1
}
HOG='exec awk "BEGIN { x = 0123456789; for (;;) x = x x }"'
# left: groups of containers that are still there.
left() { find $TOP -name 'dewar-*' ! -name dewar-self; }
test_teardown() { [ -z "$(left)" ] || { left >&2; return 1; }; }

# In a group of OTHER_ID's own, with the controllers that root hands down; $DELEGATE=no: without the
# right to make groups.
delegated() {
    local group=$TOP/user.${DELEGATE:-yes}.$BATS_TEST_NUMBER uid=${OTHER_ID:-65534}
    mkdir -p "$group/session"
    echo "+memory +pids +cpu +cpuset" >$TOP/cgroup.subtree_control
    echo "+memory +pids +cpu +cpuset" >"$group/cgroup.subtree_control"
    if [ "${DELEGATE:-yes}" = yes ]; then
        chown "$uid" "$group/session" "$group"/session/cgroup.{procs,subtree_control,threads}
    fi
    # Once it hands down controllers, its processes are in a group below.
    ({ echo $BASHPID >"$group/session/cgroup.procs" || echo $BASHPID >"$group/session/dewar-self/cgroup.procs"; } 2>/dev/null &&
        as_other "$@")
}

@test "every limit stands in the group of the container" {
    try R -m 64m --memory-swap 64m --memory-reservation 32m --cpus 1.5 --pids-limit 50 --cpuset-cpus 0 --cpuset-mems 0 \
        --cpu-shares 512 --blkio-weight 300 $IMG sh -c 'cd /sys/fs/cgroup && cat memory.max memory.swap.max memory.low \
        cpu.max pids.max cpuset.cpus cpuset.mems cpu.weight io.weight'
    ok && same "$output" $'67108864\n0\n33554432\n150000 100000\n50\n0\n0\n20\ndefault 2930' || return 1
    # Each of them alone, and with swap as it is meant: the limit of both.
    try R -m 64m --memory-swap 96m $IMG cat /sys/fs/cgroup/memory.swap.max
    ok && same "$output" 33554432 || return 1
    try R -m 64m --memory-swap -1 $IMG cat /sys/fs/cgroup/memory.swap.max
    ok && same "$output" max || return 1
    try R --memory-reservation 8m $IMG cat /sys/fs/cgroup/memory.low /sys/fs/cgroup/memory.max
    ok && same "$output" $'8388608\nmax' || return 1
    try R --blkio-weight 10 $IMG cat /sys/fs/cgroup/io.weight
    ok && same "$output" "default 1" || return 1
}

# What a container gets from reading and writing the guest's disk, whose node is /dev/d there or made by itself.
disk() {
    try R "$@" $IMG sh -c '[ -e /dev/d ] || mknod /dev/d b '"$(tr : ' ' </sys/block/vda/dev)"'
        dd if=/dev/d of=/dev/null bs=512 count=1 2>/dev/null && echo reads
        dd if=/dev/zero of=/dev/d bs=512 count=1 conv=notrunc 2>/dev/null && echo writes; true'
    ok
}

@test "devices are what --device and --device-cgroup-rule say, also for who may make nodes" {
    disk --cap-add MKNOD && same "$output" "" || return 1
    disk --device /dev/vda:/dev/d && same "$output" $'reads\nwrites' || return 1
    disk --device /dev/vda:/dev/d:r && same "$output" reads || return 1
    disk --cap-add MKNOD --device-cgroup-rule 'b *:* r' && same "$output" reads || return 1
    disk --cap-add MKNOD --device-cgroup-rule 'c *:* rwm' && same "$output" "" || return 1
    disk --cap-add MKNOD --device-cgroup-rule "b $(cat /sys/block/vda/dev) rw" && same "$output" $'reads\nwrites' || return 1
    disk --privileged && same "$output" $'reads\nwrites' || return 1
    mkdir nodes && mknod nodes/d b $(tr : ' ' </sys/block/vda/dev)
    try R --device "$PWD/nodes:/dev/nodes" $IMG dd if=/dev/nodes/d of=/dev/null bs=512 count=1
    ok
    # A program of exec is in the same group.
    id=$(D --cap-add MKNOD $IMG sh -c 'mknod /dev/d b '"$(tr : ' ' </sys/block/vda/dev)"'; sleep 1000')
    wait_for dewar exec "$id" test -b /dev/d
    try dewar exec "$id" dd if=/dev/d of=/dev/null bs=512 count=1
    fails 1 "not permitted"
    dewar rm -f "$id"
}

@test "a program over its memory is killed, and it is said" {
    try R -m 16m --memory-swap 16m $IMG sh -c 'x=$(head -c 64000000 /dev/zero | tr "\0" x); echo survived'
    [ "$status" != 0 ]
    lacks survived
}

@test "no more processes than --pids-limit" {
    try R --pids-limit 8 $IMG sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do sleep 2 & done; wait'
    [[ $stderr == *"fork"* ]]
    try R --pids-limit 20 $IMG sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1 & done; wait; echo fine'
    ok && has fine || return 1
}

@test "inside, the tree begins at the container's own group and cannot be written" {
    try R -m 64m $IMG sh -c 'cat /proc/self/cgroup; mkdir /sys/fs/cgroup/x'
    fails 1
    has "0::/"
    lacks dewar-
}

@test "stats come from the container's group" {
    id=$(dewar run -d --network none -m 64m --cpus 1 --pids-limit 50 $IMG sh -c 'sleep 100 & while :; do :; done')
    group=$(left)
    try dewar stats --no-stream --format '{{.PIDs}} {{.MemUsage}} {{.CPUPerc}}' "$id"
    ok
    [[ $output =~ ^2\ [0-9.]+[KM]iB\ /\ 64MiB\ [0-9]+\.[0-9]+%$ ]] || { show_try; return 1; }
    percent=${output##* }
    [ "${percent%%.*}" -ge 5 ] || { show_try; return 1; }
    # Somebody else's process in the group counts there, and only there.
    sleep 100 3>&- &
    other=$!
    echo "$other" >"$group/cgroup.procs"
    same "$(dewar stats --no-stream --format '{{.PIDs}}' "$id")" 3
    same "$(dewar top "$id" | wc -l)" 3
    kill "$other"
    wait "$other" || true
    dewar rm -f "$id" >/dev/null
}

@test "stats are the numbers of the kernel's files: memory without what can go at once, and block I/O" {
    # Held open: what was read of a disk leaves the cache with the last who has it open.
    id=$(D -m 64m --blkio-weight 100 --pids-limit 50 --device /dev/vda $IMG \
        sh -c 'exec 3</dev/vda; cat <&3 >/dev/null; : >/done; sleep 1000 & sleep 1000')
    wait_for dewar exec "$id" test -e /done
    group=$(left)
    try dewar stats --no-stream --format '{{.MemUsage}} {{.BlockIO}} {{.PIDs}}' "$id"
    ok
    current=$(cat "$group/memory.current") idle=$(awk '$1 == "inactive_file" { print $2 }' "$group/memory.stat")
    [ "$current" -gt $((14 << 20)) ] || { echo "$current"; return 1; }
    shown=$(awk '{ n = $1 + 0; print int(n * ($1 ~ /MiB/ ? 1048576 : $1 ~ /KiB/ ? 1024 : 1)) }' <<<"$output")
    # Rounded to three digits when it is shown; the kernel counts pages in batches.
    awk -v a="$shown" -v b=$((current - idle)) 'BEGIN { d = a - b; exit !(d * d < (512 * 1024) ^ 2) }' ||
        { show_try; echo "$shown $current $idle"; return 1; }
    read=$(sed -n 's/.*rbytes=\([0-9]*\).*/\1/p' "$group/io.stat")
    [ "$read" -gt $((14 << 20)) ] || { cat "$group/io.stat"; return 1; }
    [[ $output == *" $(awk -v n="$read" 'BEGIN { printf "%.1f", n / 1e6 }')MB / 0B $(cat "$group/pids.current")" ]] || { show_try; return 1; }
    dewar rm -f "$id"
}

@test "a user in a delegated group has limits; one without is told how to get them" {
    echo nobody:200000:65536 | tee -a /etc/subuid >>/etc/subgid
    cp "$BATS_RUN_TMPDIR/rootfs-0.tar" "$BATS_TEST_TMPDIR/rootfs.tar"
    chmod 644 "$BATS_TEST_TMPDIR/rootfs.tar"
    mkdir -m 777 "$BATS_TEST_TMPDIR/store"
    run_as() {
        DEWAR_STORE=$BATS_TEST_TMPDIR/store/s DEWAR_RUN=$BATS_TEST_TMPDIR/store/r delegated "$@"
    }
    run_as "$DEWAR" import "$BATS_TEST_TMPDIR/rootfs.tar" user:1 >/dev/null
    try run_as "$DEWAR" run --rm -q --network none -m 64m --pids-limit 33 user:1 sh -c \
        'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max'
    ok && same "$output" $'67108864\n33' || return 1
    DELEGATE=no try run_as "$DEWAR" run --rm -q --network none -m 64m user:1 true
    fails 125 "'memory' is not available"
    [[ $stderr == *Delegate=yes* ]]
    # What root keeps is named, and where root hands it down.
    try run_as "$DEWAR" run --rm -q --network none --blkio-weight 100 user:1 true
    fails 125 "--blkio-weight and --device-read-bps cannot be applied: the cgroup controller 'io' is not available"
    [[ $stderr == *user@.service*io* ]] || return 1
    try run_as "$DEWAR" run --rm -q --network none --device-cgroup-rule 'c *:* rwm' user:1 true
    fails 125 "--device-cgroup-rule needs root"
}

@test "OOM is told from the kernel's counter, and of one run only" {
    id=$(D -m 16m --memory-swap 16m $IMG sh -c '[ ! -e /again ] || exec sleep 1000; : >/again; '"$HOG")
    same "$(timeout 100 "$DEWAR" wait "$id")" 137
    same "$(told "$id" OOMKilled)" true
    grep "$id" "$DEWAR_RUN/events" | grep -q '"oom"'
    dewar start "$id"
    dewar kill "$id"
    same "$(timeout 60 "$DEWAR" wait "$id") $(told "$id" OOMKilled)" "137 false"
    dewar rm "$id"
}

@test "pause freezes every process and unpause lets them go on, with and without limits" {
    for limit in '' '-m 64m'; do
        # shellcheck disable=SC2086 # one word or none
        id=$(D $limit $IMG sh -c 'while :; do echo x; usleep 50000; done & while :; do echo y; usleep 50000; done')
        wait_for grep -q y "$DEWAR_STORE/containers/$id/log/container.log"
        dewar pause "$id"
        same "$(told "$id" Status)" paused
        group=$TOP$(dewar inspect "$id" >/dev/null; sed -n 's/.*"cgroup":"\([^"]*\)".*/\1/p' "$DEWAR_RUN/containers/$id/state")
        grep -qx 'frozen 1' "$group/cgroup.events"
        same "$(wc -l <"$group/cgroup.procs")" 4
        before=$(dewar logs "$id" | wc -l)
        sleep 1
        same "$(dewar logs "$id" | wc -l)" "$before"
        try dewar exec "$id" true
        fails 1 "is paused"
        dewar unpause "$id"
        more() { [ "$(dewar logs "$id" | wc -l)" -gt "$before" ]; }
        wait_for more
        dewar pause "$id"
        dewar rm -f "$id"
        [ -z "$(left)" ]
    done
}

@test "update changes each limit of what runs, those that it was started without too" {
    for first in '' '--pids-limit 99'; do
        # shellcheck disable=SC2086 # two words or none
        id=$(D $first $IMG sh -c 'sleep 1000 & sleep 1000')
        dewar update -m 64m --memory-swap 96m --cpus 0.5 --cpu-shares 2048 --pids-limit 50 --cpuset-cpus 1 "$id"
        group=$TOP$(sed -n 's/.*"cgroup":"\([^"]*\)".*/\1/p' "$DEWAR_RUN/containers/$id/state")
        same "$(cd "$group"; cat memory.max memory.swap.max cpu.max cpu.weight pids.max cpuset.cpus)" \
            $'67108864\n33554432\n50000 100000\n79\n50\n1'
        same "$(wc -l <"$group/cgroup.procs")" 2
        dewar update -m 128m --memory-swap -1 "$id"
        same "$(cat "$group/memory.max" "$group/memory.swap.max")" $'134217728\nmax'
        dewar update --memory-reservation 32m --blkio-weight 1000 --cpuset-mems 0 "$id"
        same "$(cat "$group/memory.low" "$group/io.weight" "$group/cpuset.mems")" $'33554432\ndefault 10000\n0'
        same "$(dewar exec "$id" cat /proc/self/cgroup | grep -c dewar-)" "$([ -n "$first" ] && echo 0 || echo 1)"
        dewar rm -f "$id"
    done
}

@test "a delegated user's container is paused, updated, entered and killed for memory" {
    grep -q ^nobody: /etc/subuid || echo nobody:200000:65536 | tee -a /etc/subuid >>/etc/subgid
    cp "$BATS_RUN_TMPDIR/rootfs-0.tar" "$BATS_TEST_TMPDIR/rootfs.tar"
    chmod 644 "$BATS_TEST_TMPDIR/rootfs.tar"
    mkdir -m 777 "$BATS_TEST_TMPDIR/store"
    export DEWAR_STORE=$BATS_TEST_TMPDIR/store/s DEWAR_RUN=$BATS_TEST_TMPDIR/store/r
    delegated "$DEWAR" import "$BATS_TEST_TMPDIR/rootfs.tar" user:1 >/dev/null
    id=$(delegated "$DEWAR" run -d -q --network none --pids-limit 40 user:1 sleep 1000)
    delegated "$DEWAR" update -m 16m --memory-swap 16m "$id"
    group=$TOP$(sed -n 's/.*"cgroup":"\([^"]*\)".*/\1/p' "$DEWAR_RUN/containers/$id/state")
    same "$(cat "$group/memory.max" "$group/pids.max")" $'16777216\n40'
    delegated "$DEWAR" pause "$id"
    grep -qx 'frozen 1' "$group/cgroup.events"
    delegated "$DEWAR" unpause "$id"
    try delegated "$DEWAR" exec "$id" sh -c "$HOG"
    same "$status" 137
    delegated "$DEWAR" stop -t 0 "$id"
    same "$(delegated "$DEWAR" inspect --type container --format '{{.State.OOMKilled}}' "$id")" true
    delegated "$DEWAR" rm "$id"
    [ -z "$(left)" ]
}

@test "exec from another group has the container's limits, or does not happen" {
    id=$(D --pids-limit 30 $IMG sleep 1000)
    mkdir -p $TOP/elsewhere
    from_there() {
        (
            echo $BASHPID >$TOP/elsewhere/cgroup.procs
            dewar exec "$id" sh -c 'cat /sys/fs/cgroup/pids.max; cat /proc/self/cgroup'
        )
    }
    same "$(from_there)" $'30\n0::/'
    (echo $BASHPID >$TOP/elsewhere/cgroup.procs && dewar rm -f "$id")
    rmdir $TOP/elsewhere
}

@test "a killed monitor leaves no group behind" {
    id=$(D -m 64m $IMG sleep 1000)
    kill -9 "$(sed -n 's/.*"monitor":\([0-9]*\).*/\1/p' "$DEWAR_RUN/containers/$id/state")"
    dewar wait "$id" >/dev/null
    [ -z "$(left)" ]
    dewar rm "$id"
}

@test "oci: what a bundle mounts as cgroup begins at the container's own group, with a namespace for it or without" {
    make_rootfs rootfs
    dewar oci spec
    for without in none cgroup; do
        jq ".process.terminal=false | .process.args=[\"sh\", \"-c\", \"cat /sys/fs/cgroup/cgroup.procs; cat /sys/fs/cgroup/pids.max\"]
            | .root.path=\"$PWD/rootfs\" | .linux.resources.pids.limit=37
            | del(.linux.namespaces[] | select(.type == \"$without\"))" config.json >config.new
        mv config.new config.json
        try dewar oci --root "$PWD/state" run "c-$without"
        ok && [[ $output == 1*$'\n'37 ]] || { show_try; return 1; }
    done
}
