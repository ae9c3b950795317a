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
# left: groups of containers that are still there.
left() { find $TOP -name 'dewar-*' ! -name dewar-self; }
test_teardown() { [ -z "$(left)" ] || { left >&2; return 1; }; }

# In a group of OTHER_ID's own, with the controllers that root hands down; $DELEGATE=no: without the
# right to make groups.
delegated() {
    local group=$TOP/user.${DELEGATE:-yes} uid=${OTHER_ID:-65534}
    mkdir -p "$group/session"
    echo "+memory +pids +cpu +cpuset" >$TOP/cgroup.subtree_control
    echo "+memory +pids +cpu +cpuset" >"$group/cgroup.subtree_control"
    if [ "${DELEGATE:-yes}" = yes ]; then
        chown "$uid" "$group/session" "$group"/session/cgroup.{procs,subtree_control,threads}
    fi
    (echo $BASHPID >"$group/session/cgroup.procs" && as_other "$@")
}

@test "every limit stands in the group of the container" {
    try R -m 64m --memory-swap 64m --cpus 1.5 --pids-limit 50 --cpuset-cpus 0 --cpu-shares 512 $IMG \
        sh -c 'cd /sys/fs/cgroup && cat memory.max memory.swap.max cpu.max pids.max cpuset.cpus cpu.weight'
    ok && same "$output" $'67108864\n0\n150000 100000\n50\n0\n20' || return 1
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
}
