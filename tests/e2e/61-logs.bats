#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=life,logs
# What a container wrote: kept, found again, followed, bounded.
load helpers

R() { dewar run --network none "$@"; }
D() { R -d "$@"; }
wait_for() {
    for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done
    echo "waited in vain for: $*" >&2
    return 1
}
test_teardown() {
    local id
    for id in $(ls "$DEWAR_STORE/containers"); do
        [ "$id" = names ] || dewar rm -f -v "$id" >/dev/null
    done
}

@test "logs keep stdout and stderr apart, and both drivers give back every byte" {
    for driver in json-file local; do
        R --name "l-$driver" --log-driver $driver $IMG sh -c 'printf "a\tb\"\\\\\n"; echo err >&2; printf "no end"' >o 2>e
        try dewar logs "l-$driver"
        ok
        same "$output" "$(cat o)"
        same "$stderr" err
        same "$(dewar logs "l-$driver" 2>/dev/null | od -c)" "$(od -c <o)"
    done
    id=$(readlink "$DEWAR_STORE/containers/names/l-json-file")
    head -1 "$DEWAR_STORE/containers/$id/log/container.log" |
        grep -q '^{"log":"a\\u0009b\\"\\\\\\n","stream":"stdout","time":"20'
}

@test "--tail, --since, --until, -t" {
    R --name tt $IMG sh -c 'for i in 1 2 3 4 5; do echo $i; done' >/dev/null
    same "$(dewar logs -n 2 tt)" "4
5"
    same "$(dewar logs --tail 0 tt)" ""
    same "$(dewar logs --tail all tt | wc -l)" 5
    same "$(dewar logs --since 1h tt | wc -l)" 5
    same "$(dewar logs --since 2099-01-01 tt)" ""
    same "$(dewar logs --until 2020-01-01T00:00:00Z tt)" ""
    [[ $(dewar logs -t -n 1 tt) =~ ^20[0-9-]+T[0-9:]+\.[0-9]{9}Z\ 5$ ]]
    try dewar logs --since nonsense ttt
    fails 1 "invalid time"
    try dewar logs --tail x tt
    fails 1 "--tail"
}

@test "logs -f ends with the container, and one begun before the start misses nothing" {
    dewar create --name ff --network none $IMG sh -c 'i=0; while [ $i -lt 50 ]; do echo $i; i=$((i+1)); sleep 0.01; done' >/dev/null
    timeout 20 "$DEWAR" logs -f ff >all &
    follower=$!
    sleep 0.3
    dewar start ff
    wait $follower
    same "$(cat all)" "$(seq 0 49)"
    same "$(timeout 5 "$DEWAR" logs -f ff)" "$(seq 0 49)" # it has ended: nothing to wait for
}

@test "logs -f goes on over rotation and restart" {
    D --name rr --restart on-failure:2 --log-opt max-size=8k --log-opt max-file=3 $IMG \
        sh -c 'echo begin; i=0; while [ $i -lt 400 ]; do echo "line $i"; i=$((i+1)); [ $((i % 20)) != 0 ] || sleep 0.02; done; exit 1' >/dev/null
    timeout 30 "$DEWAR" logs -f rr >all
    same "$(grep -c begin all)" 3
    same "$(grep -c line all)" 1200
    same "$(grep line all)" "$(for _ in 1 2 3; do seq -f 'line %.0f' 0 399; done)"
    id=$(readlink "$DEWAR_STORE/containers/names/rr")
    same "$(ls "$DEWAR_STORE/containers/$id/log" | wc -l)" 3
}

@test "a log that is written without end stays within its bounds" {
    id=$(D --log-opt max-size=1m --log-opt max-file=2 $IMG sh -c 'yes "a line of some length, again and again" | head -c 60000000')
    same "$(timeout 60 "$DEWAR" wait "$id")" 0
    size=$(du -sb "$DEWAR_STORE/containers/$id/log" | cut -f1)
    [ "$size" -lt 2110000 ]
    [ "$(dewar logs "$id" | wc -l)" -gt 10000 ]
}

private_kib() { awk '/^Private/{s+=$2} END{print s}' "/proc/$1/smaps_rollup"; }

@test "a monitor gives back the memory of a burst when it has nothing to do" {
    ! grep -q __asan_init "$DEWAR" || skip "a sanitizer has memory of its own"
    id=$(D $IMG sh -c 'yes "a line of some length, again and again" | head -c 60000000; exec sleep 1000')
    monitor=$(sed 's/.*"monitor":\([0-9]*\).*/\1/' "$DEWAR_RUN/containers/$id/state")
    sleeps() { top=$(dewar top "$id") && ! [[ $top == *yes* ]]; }
    wait_for sleeps
    is_small() { [ "$(private_kib "$monitor")" -le 1024 ]; }
    wait_for is_small
    # It wakes as it was.
    dewar rename "$id" awake
    same "$(dewar inspect --format '{{.Name}}' "$id")" /awake
    wait_for is_small
}

@test "no log, unknown drivers and options" {
    R --name none --log-driver none $IMG echo x
    try dewar logs none
    fails 1 "does not support reading"
    try R --log-driver syslog $IMG true
    fails 125 "no log driver named 'syslog'"
    try R --log-opt max-size=zero $IMG true
    fails 125 "max-size"
    try R --log-opt color=red $IMG true
    fails 125 "unknown log opt 'color'"
}

@test "a torn tail and rubbish in a log hide nothing else" {
    R --name torn $IMG sh -c 'echo one; echo two' >/dev/null
    id=$(readlink "$DEWAR_STORE/containers/names/torn")
    log=$DEWAR_STORE/containers/$id/log/container.log
    { head -1 "$log"; echo 'rubbish'; tail -1 "$log"; printf '{"log":"half a rec'; } >x
    cp x "$log"
    try dewar logs torn
    ok
    same "$output" "one
two"
    # and the next start's output is whole
    dewar start torn
    dewar wait torn
    dewar logs torn | tail -1 | grep -q two
}

need_io_uring() {
    local probe=${TOOLS:-$(dirname "$DEWAR")/../../tests/tools}/probe
    [ "$("$probe" call 425 1 0)" = EFAULT ] || skip "needs io_uring"
}
# The bytes of a file that are in memory.
cached() {
    python3 - "$1" <<'END'
import ctypes, mmap, os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(fd).st_size
text = mmap.mmap(fd, size, access=mmap.ACCESS_COPY)
pages = (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE
seen = (ctypes.c_ubyte * pages)()
at = ctypes.c_char.from_buffer(text)
assert ctypes.CDLL(None, use_errno=True).mincore(ctypes.c_void_p(ctypes.addressof(at)), ctypes.c_size_t(size), seen) == 0
print(sum(page & 1 for page in seen) * mmap.PAGESIZE)
END
}

@test "a log without an end leaves the memory of the machine to others" {
    [ "$(stat -f -c %T "$DEWAR_STORE")" != tmpfs ] || skip "the store is in memory itself"
    need_io_uring
    id=$(dewar run -d --network none --log-opt max-size=-1 $IMG sh -c 'yes 0123456789012345678901234567890 | head -c 150000000')
    dewar wait "$id"
    log=$DEWAR_STORE/containers/$id/log/container.log
    size=$(stat -c %s "$log")
    [ "$size" -gt 300000000 ]
    for _ in $(seq 50); do # the disk's work goes on for a moment
        now=$(cached "$log")
        [ "$now" -gt $((size / 2)) ] || break
        sleep 0.1
    done
    echo "$now of $size" >&2
    [ "$now" -le $((size / 2)) ]
    same "$(dewar logs "$id" | cksum)" "$(yes 0123456789012345678901234567890 | head -c 150000000 | cksum)"
}

@test "a flood is logged whole where the kernel refuses io_uring, at once or in the middle" {
    need_root # deny-syscall follows with ptrace
    need_io_uring
    want=$(yes 0123456789 | head -c 20000000 | cksum)
    for at in io_uring_setup:1 io_uring_enter:1 io_uring_enter:20 none; do
        deny=("$TOOLS/deny-syscall" --at $at --errno EAGAIN --sticky --)
        [ $at != none ] || deny=()
        "${deny[@]}" "$DEWAR" run -d --name flood --network none --log-opt max-size=-1 $IMG sh -c 'yes 0123456789 | head -c 20000000' >id 2>&1
        dewar wait flood
        same "$at $(dewar logs flood | cksum)" "$at $want"
        dewar rm flood
    done
}

@test "a full disk costs the log and not the program" {
    need_root
    mkdir small
    mount -t tmpfs -o size=6m none small || skip "no tmpfs may be mounted here"
    id=$(dewar create --name full --network none $IMG sh -c 'yes | head -c 20000000; exit 5')
    mkdir "$DEWAR_STORE/containers/$id/log"
    mount --bind small "$DEWAR_STORE/containers/$id/log"
    dewar start full
    code=$(timeout 30 "$DEWAR" wait full)
    # The monitor may hold its log a moment longer.
    umount -l "$DEWAR_STORE/containers/$id/log" small
    same "$code" 5
    grep -q "log is incomplete" "$DEWAR_STORE/containers/$id/state"
}
