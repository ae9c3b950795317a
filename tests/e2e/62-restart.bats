#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=life
# Restart policies, and what a kill of the monitor or of the machine leaves behind.
load helpers

R() { dewar run --network none "$@"; }
D() { R -d "$@"; }
live() { sed 's/.*"status":"\([a-z]*\)".*/\1/' "$DEWAR_RUN/containers/$1/state"; }
settled() { sed 's/.*"status":"\([a-z]*\)".*/\1/' "$DEWAR_STORE/containers/$1/state"; }
number() { sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p" "$DEWAR_RUN/containers/$1/state"; }
wait_for() {
    for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done
    echo "waited in vain for: $*" >&2
    return 1
}
gone() { ! kill -0 "$1" 2>/dev/null || grep -q 'State:.Z' "/proc/$1/status"; }
test_teardown() {
    local id
    for id in $(ls "$DEWAR_STORE/containers"); do
        [ "$id" = names ] || dewar rm -f -v "$id" >/dev/null
    done
    same "$(ls "$DEWAR_RUN/containers")" ""
}

@test "on-failure:n starts again so often, and what was written stays" {
    id=$(D --restart on-failure:3 $IMG sh -c 'echo x >>/n; exit 4')
    same "$(timeout 20 "$DEWAR" wait "$id")" 4
    same "$(wc -l <"$DEWAR_STORE/containers/$id/upper/n")" 4
    grep -q '"restarts":3' "$DEWAR_STORE/containers/$id/state"
    id=$(D --restart on-failure $IMG sh -c 'exit 0')
    same "$(timeout 20 "$DEWAR" wait "$id")" 0
}

@test "always starts again also after success, until a person stops it" {
    id=$(D --restart always $IMG sh -c 'echo up; exit 0')
    wait_for grep -q '"restarts":2' "$DEWAR_RUN/containers/$id/state"
    dewar stop "$id"
    same "$(settled "$id")" exited
    n=$(dewar logs "$id" | wc -l)
    sleep 1
    same "$(dewar logs "$id" | wc -l)" "$n"
    grep -q '"stopped":1' "$DEWAR_STORE/containers/$id/state"
    dewar start "$id" # counts anew
    wait_for grep -q '"restarts":1' "$DEWAR_RUN/containers/$id/state"
    dewar kill "$id" 2>/dev/null || dewar stop "$id"
}

@test "wrong policies are refused" {
    try D --restart sometimes $IMG true
    fails 125 "unknown policy 'sometimes'"
    try D --restart always:3 $IMG true
    fails 125 "maximum retry count"
    try D --restart on-failure:x $IMG true
    fails 125 "invalid restart policy"
    try D --rm --restart always $IMG true
    fails 125 "--restart and --rm"
}

@test "a killed monitor takes its program along; the next command settles the record" {
    id=$(D --name victim --restart always $IMG sleep 1000)
    program=$(number "$id" pid)
    kill -9 "$(number "$id" monitor)"
    wait_for gone "$program"
    same "$(timeout 10 "$DEWAR" wait victim)" 137
    [ ! -e "$DEWAR_RUN/containers/$id" ]
    grep -q "monitor was killed" "$DEWAR_STORE/containers/$id/state"
    dewar start victim
    same "$(live "$id")" running
    dewar rm -f victim
}

@test "a stopped monitor does not keep rm -f from working" {
    id=$(D $IMG sleep 1000)
    kill -STOP "$(number "$id" monitor)"
    program=$(number "$id" pid)
    timeout 60 "$DEWAR" rm -f "$id"
    gone "$program"
    [ ! -e "$DEWAR_STORE/containers/$id" ]
}

@test "a killed program ends the container with 137" {
    id=$(D $IMG sleep 1000)
    kill -9 "$(number "$id" pid)"
    same "$(timeout 10 "$DEWAR" wait "$id")" 137
}

@test "after a reboot what ran has ended, and starts again" {
    id=$(D --name up $IMG sleep 1000)
    gone=$(D --rm -v /anon $IMG sleep 1000)
    for c in $id $gone; do kill -9 "$(number "$c" monitor)"; done
    sleep 0.5
    rm -rf "$DEWAR_RUN" # a tmpfs, and another boot
    sed -i 's/"boot":"[^"]*"/"boot":"00000000-0000-0000-0000-000000000000"/' "$DEWAR_STORE/containers/$id/state"
    same "$(dewar wait up)" 255
    grep -q "machine was restarted" "$DEWAR_STORE/containers/$id/state"
    R --rm $IMG true # whoever comes first sweeps
    [ ! -e "$DEWAR_STORE/containers/$gone" ]
    same "$(ls "$DEWAR_STORE/volumes")" ""
    dewar start up
    same "$(live "$id")" running
}

@test "a process number that is somebody else's now is left alone (F4)" {
    id=$(D $IMG sleep 1000)
    kill -9 "$(number "$id" monitor)"
    sleep 0.3
    sleep 1000 3>&- &
    other=$!
    # The dead container's record names a process of ours, with another start time.
    sed -i "s/\"pid\":[0-9]*/\"pid\":$other/" "$DEWAR_RUN/containers/$id/state"
    timeout 20 "$DEWAR" rm -f "$id"
    kill -0 "$other"
    kill "$other"
}

@test "a setuid program survives its monitor for no longer than the next command" {
    need_root
    # The kernel forgets the death signal of a process that executes such a file.
    printf 'FROM %s\nRUN cp /bin/busybox /bin/busybox-s && chmod 4755 /bin/busybox-s\n' $IMG | dewar build -q -t setuid:1 - >/dev/null
    id=$(D -u 1000 setuid:1 /bin/busybox-s sleep 1000)
    monitor=$(number "$id" monitor) program=$(number "$id" pid)
    kill -9 "$monitor"
    dewar wait "$id" >/dev/null
    gone "$program"
}

@test "100 containers start in parallel, and all end" {
    for i in $(seq 100); do D --rm --name "p$i" $IMG sh -c 'sleep 0.2; exit 0' >/dev/null 2>err.$i 3>&- & pids+=($!); done
    for p in "${pids[@]}"; do wait "$p" || { cat err.*; false; }; done
    wait_for eval '[ -z "$(ls "$DEWAR_RUN/containers")" ]'
    same "$(ls "$DEWAR_STORE/containers" | grep -v '^names$')" ""
    same "$(ls "$DEWAR_STORE/containers/names")" ""
}

@test "killed at any system call, create start stop and rm leave a true state and a working rm -f" {
    need_program strace
    for verb in create start stop rm; do
        length=1000
        [ $verb != start ] || length=0.3 # strace goes on until all has ended
        for call in ${KILL_CALLS:-mkdirat clone3 renameat unlinkat bind flock}; do
            for at in ${KILL_POINTS:-1 3}; do
                dewar rm -f -v victim >/dev/null 2>&1 || true
                [ $verb = create ] || dewar create --name victim --network none -v /anon $IMG sleep "$length" >/dev/null
                [ $verb != stop ] || dewar start victim >/dev/null
                case $verb in
                create) set -- create --name victim --network none -v /anon $IMG sleep 1000 ;;
                stop) set -- stop -t 0 victim ;;
                rm) set -- rm -v victim ;;
                *) set -- start victim ;;
                esac
                strace -f -qq -o /dev/null -e "inject=$call:signal=KILL:when=$at" "$DEWAR" "$@" >/dev/null 2>&1 || true
                timeout 20 "$DEWAR" rm -f -v victim >/dev/null 2>&1 || true
                try timeout 20 "$DEWAR" run --rm --network none --name victim $IMG echo fine
                ok && same "$output" fine || return 1
                left=$(find "$DEWAR_STORE/containers" "$DEWAR_STORE/volumes" "$DEWAR_RUN/containers" -mindepth 1 -maxdepth 1 ! -name names)
                same "$verb $call $at: $left" "$verb $call $at: "
                same "$(ls "$DEWAR_STORE/containers/names")" ""
            done
        done
    done
}

@test "update changes the policy of what runs, and limits where it has a group for them" {
    id=$(D $IMG sh -c 'sleep 1; exit 3')
    dewar update --restart on-failure:1 "$id"
    same "$(timeout 20 "$DEWAR" wait "$id")" 3
    grep -q '"restarts":1' "$DEWAR_STORE/containers/$id/state"
    try dewar update "$id"
    fails 1 "nothing to change"
    try dewar update --restart nonsense "$id"
    fails 1 "unknown policy"
    need_root
    id=$(D -m 64m $IMG sleep 100)
    dewar update -m 128m "$id"
    group=$(sed -n 's/.*"cgroup":"\([^"]*\)".*/\1/p' "$DEWAR_RUN/containers/$id/state")
    cat /sys/fs/cgroup/{memory/,}"$group"/memory.{limit_in_bytes,max} 2>/dev/null | grep -qx $((128 << 20)) ||
        find /sys/fs/cgroup -path "*$group/memory.limit_in_bytes" -exec cat {} + | grep -qx $((128 << 20))
    # A limit that it was started without: its processes move into a new group.
    bare=$(D $IMG sh -c 'sleep 100 & sleep 100 & wait')
    dewar update --pids-limit 10 --cpu-shares 512 "$bare"
    [[ $(dewar exec "$bare" sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do sleep 1 & done; wait' 2>&1) == *fork* ]] || return 1
    for c in pids cpu; do same "$(dewar exec "$bare" grep -sL "[:,]$c[,:].*/dewar-" /proc/1/cgroup /proc/2/cgroup /proc/3/cgroup)" ""; done
    dewar stop -t 0 "$bare"
    [ -z "$(find /sys/fs/cgroup -name "dewar-${bare:0:32}*")" ]
    shared=$(D --pid host $IMG sleep 100)
    try dewar update --pids-limit 10 "$shared"
    fails 1 "from the next start on"
}

@test "container prune removes what does not run, by age and label" {
    run_id=$(D $IMG sleep 100)
    R --label keep=yes $IMG true
    R --name plain $IMG sh -c 'head -c 3000000 /dev/zero >/big'
    try dewar container prune -f --filter until=2020-01-01
    ok && has "Total reclaimed space: 0B" || return 1
    try dewar container prune -f --filter 'label!=keep'
    ok && has "Deleted Containers:" && has "reclaimed space: 3" || return 1
    same "$(ls "$DEWAR_STORE/containers" | grep -vc '^names$')" 2
    try dewar container prune -f --filter colour=red
    fails 1 "invalid filter"
    dewar container prune -f
    same "$(ls "$DEWAR_STORE/containers" | grep -v '^names$')" "$run_id"
}
