#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=life
# Containers on a bad day: no memory, no disk, readers that do not read, process numbers that are
# used again, a thousand orphans.
load helpers

R() { dewar run --network none "$@"; }
D() { R -d "$@"; }
number() { sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p" "$DEWAR_RUN/containers/$1/state"; }
told() { dewar inspect --type container --format "{{.State.$2}}" "$1"; }
wait_for() {
    for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done
    echo "waited in vain for: $*" >&2
    return 1
}
test_teardown() {
    local id
    for id in $(ls "$DEWAR_STORE/containers" 2>/dev/null); do
        [ "$id" = names ] || dewar rm -f -v "$id" >/dev/null
    done
    umount -l "$WORK/small" 2>/dev/null || true
}
HOG='x=$(head -c 64000000 /dev/zero | tr "\0" x); echo survived'

@test "a program that the kernel ends for memory is told from one that somebody killed" {
    need_root
    id=$(D -m 16m $IMG sh -c "exec awk 'BEGIN { x = \"0123456789\"; for (;;) x = x x }'")
    same "$(timeout 60 "$DEWAR" wait "$id")" 137
    same "$(told "$id" OOMKilled)" true
    grep -q "\"oom\".*$id" "$DEWAR_RUN/events" || grep "$id" "$DEWAR_RUN/events" | grep -q '"oom"'
    # The counter is that of one run: the next one begins at nothing.
    two=$(D -m 16m $IMG sh -c '[ ! -e /again ] || exec sleep 100; : >/again; '"$HOG")
    timeout 60 "$DEWAR" wait "$two"
    same "$(told "$two" OOMKilled)" true
    dewar start "$two"
    same "$(told "$two" OOMKilled)" false
    dewar kill "$two"
    same "$(timeout 20 "$DEWAR" wait "$two") $(told "$two" OOMKilled)" "137 false"
}

@test "a program of exec that runs out of memory counts too, and the container goes on" {
    need_root
    id=$(D -m 16m $IMG sleep 1000)
    try dewar exec "$id" sh -c "exec awk 'BEGIN { x = \"0123456789\"; for (;;) x = x x }'"
    same "$status" 137
    same "$(told "$id" Status)" running
    dewar stop -t 0 "$id"
    same "$(told "$id" OOMKilled)" true
}

@test "a thousand orphans are reaped, and end with their container" {
    id=$(D --init $IMG sh -c 'i=0; while [ $i -lt 1000 ]; do (sleep 0.01 &); i=$((i+1)); done; (sleep 77777 &); echo all; sleep 1000')
    wait_for grep -q all "$DEWAR_STORE/containers/$id/log/container.log"
    zombies() { dewar exec "$id" sh -c "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l"; }
    none() { [ "$(zombies)" = 0 ]; }
    wait_for none
    dewar stop -t 0 "$id"
    ! grep -lsa '^sleep.77777' /proc/[0-9]*/cmdline || return 1
}

@test "orphans in the host's process namespace are the monitor's, who reaps them" {
    id=$(D --pid host $IMG sh -c 'i=0; while [ $i -lt 300 ]; do (sleep 0.01 &); i=$((i+1)); done; echo all; sleep 1000')
    wait_for grep -q all "$DEWAR_STORE/containers/$id/log/container.log"
    monitor=$(number "$id" monitor)
    children() { ps -o stat= --ppid "$monitor" | grep -c '^Z'; }
    none() { [ "$(children)" = 0 ]; }
    wait_for none
    dewar rm -f "$id"
}

@test "a process that got the numbers of a dead container is nobody's to kill (F4)" {
    need_root
    # In a process namespace of its own, where the next number can be chosen.
    cat >inside <<'END'
set -eu
store() { DEWAR_STORE=$S DEWAR_RUN=$R "$DEWAR" "$@"; }
id=$(store run -d --network none busybox:test sleep 1000)
state=$R/containers/$id/state
program=$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$state")
monitor=$(sed -n 's/.*"monitor":\([0-9]*\).*/\1/p' "$state")
kill -9 "$monitor"
while kill -0 "$program" 2>/dev/null || kill -0 "$monitor" 2>/dev/null; do sleep 0.05; done
taken=''
for number in "$monitor" "$program"; do
    for try in 1 2 3 4 5 6 7 8; do
        echo $((number - 1)) >/proc/sys/kernel/ns_last_pid
        sleep 1000 3>&- &
        [ $! != "$number" ] || { taken="$taken $number"; break; }
        kill $!
    done
done
[ "$taken" = " $monitor $program" ] || { echo "got the numbers$taken, not $monitor $program"; exit 3; }
case $1 in
exec) ! store exec "$id" true || exit 4 ;;
esac
case $1 in
rm) store rm -f "$id" ;;
stop) store stop -t 0 "$id" ;;
*) store ps -a | grep -q 'Exited (137)' ;;
esac
for number in $taken; do grep -q sleep "/proc/$number/cmdline" || { echo "$1 killed $number"; exit 5; }; done
for number in $taken; do kill "$number"; done
store rm -f "$id" >/dev/null 2>&1 || [ "$1" = rm ]
END
    for verb in rm stop exec ps; do
        S=$DEWAR_STORE R=$DEWAR_RUN timeout 60 unshare -pf --mount-proc bash ./inside $verb || return 1
    done
}

@test "who follows the log and does not read stops nobody, and grows nowhere" {
    mkfifo stuck
    id=$(D --log-opt max-size=1m --log-opt max-file=2 $IMG sh -c 'sleep 0.5; yes "a line of some length, again and again" | head -c 30000000; echo done')
    dewar logs -f "$id" >stuck 2>err 3>&- &
    follower=$!
    exec 6<stuck # and nothing is read from it
    same "$(timeout 60 "$DEWAR" wait "$id")" 0
    [ "$(awk '/^VmRSS/ { print $2 }' "/proc/$follower/status")" -lt 20000 ]
    # It goes on where it stood, and comes to the end.
    timeout 30 cat <&6 | tail -1 | grep -q done$
    exec 6<&-
    wait $follower
}

@test "a client that takes no output does not keep its container from being stopped and removed" {
    mkfifo stuck
    dewar run --network none --name held $IMG yes >stuck 2>/dev/null 3>&- &
    client=$!
    exec 6<stuck
    wait_for test -L "$DEWAR_STORE/containers/names/held"
    wait_for eval '[ "$(told held Status)" = running ]'
    sleep 0.5
    timeout 7 "$DEWAR" stop -t 1 held
    same "$(told held Status)" exited
    timeout 20 "$DEWAR" rm -f held
    exec 6<&-
    timeout 20 tail --pid=$client -f /dev/null
}

@test "no room in the run folder: the start says so and leaves nothing, and rm -f works" {
    need_root
    mkdir small
    mount -t tmpfs -o size=64k,nr_inodes=200 none small || skip "no tmpfs may be mounted here"
    export DEWAR_RUN=$WORK/small/run
    id=$(D --name before $IMG sleep 1000)
    head -c 200000 /dev/zero >small/fill 2>/dev/null || true
    try D --name late $IMG sleep 1000
    if [ "$status" != 0 ]; then
        fails 125 "No space left on device"
        [ -z "$(dewar ps -aq --filter name=late)" ] || dewar rm -f late
    else
        same "$(told late Status)" running
    fi
    # What runs already is seen, obeys, and tells how it ended.
    same "$(told before Status)" running
    dewar stop -t 0 before
    same "$(told before Status) $(told before ExitCode) $(told before Error)" "exited 137 "
    dewar rm -f before
    rm small/fill
    same "$(R --rm $IMG echo fine)" fine
    same "$(ls small/run/containers)" ""
    umount -l small
}

@test "no room in the store: what ends keeps its exit status, ps and rm work" {
    need_root
    mkdir small
    mount -t tmpfs -o size=24m none small || skip "no tmpfs may be mounted here"
    export DEWAR_STORE=$WORK/small/store DEWAR_RUN=$WORK/run
    import_image
    id=$(D --name ends -i $IMG sh -c 'read x; exit 7')
    dewar create --name later --network none $IMG true >/dev/null
    head -c 30000000 /dev/zero >small/fill 2>/dev/null || true
    echo x | timeout 10 "$DEWAR" attach ends || true
    same "$(timeout 20 "$DEWAR" wait ends)" 7
    same "$(told ends Status) $(told ends ExitCode) $(told ends Error)" "exited 7 "
    has_both() { dewar ps -a | grep -q ends && dewar ps -a | grep -q later; }
    has_both
    try dewar create --network none $IMG true
    [ "$status" = 0 ] || fails 125 "No space left on device" || fails 1 "No space left on device"
    dewar rm -f ends later
    rm small/fill
    same "$(R --rm $IMG echo fine)" fine
    umount -l small
}

@test "100 containers start in parallel as one user, each with its own name, output and end" {
    for i in $(seq 100); do R --name "q$i" --rm $IMG echo "I am $i" >out.$i 2>err.$i 3>&- & pids+=($!); done
    for p in "${pids[@]}"; do wait "$p" || { cat err.*; false; }; done
    for i in $(seq 100); do same "$(cat "out.$i")" "I am $i"; done
    same "$(ls "$DEWAR_RUN/containers")$(dewar ps -aq)" ""
}

@test "a log that was torn swallows nothing of what comes after it" {
    for driver in json-file local; do
        R --name "t-$driver" --log-driver $driver $IMG sh -c 'echo one; echo two' >/dev/null
        id=$(readlink "$DEWAR_STORE/containers/names/t-$driver")
        log=$DEWAR_STORE/containers/$id/log/container.log
        truncate -s -3 "$log" # a power cut
        dewar start "t-$driver"
        dewar wait "t-$driver"
        same "$(dewar logs "t-$driver")" $'one\none\ntwo'
    done
}
