#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=run
# exec: another program in a container that runs.
load helpers

box() { dewar run -d --network none --name box "$@" >/dev/null; }
X() { dewar exec "$@"; }
test_teardown() { dewar rm -f box >/dev/null 2>&1 || true; }

@test "a program joins, its output and exit code come back" {
    box $IMG sleep 300
    try X box sh -c 'echo out; echo err >&2; exit 5'
    fails 5 err && same "$output" out || return 1
    try X box sh -c 'kill -9 $$'
    fails 137
    same "$(echo typed | X -i box cat)" typed
    same "$(echo typed | X box cat)" ""
}

@test "it is inside: the same processes, files, host name and restrictions" {
    box --hostname inside --cap-drop CHOWN $IMG sh -c 'echo mine >/tmp/f; exec sleep 300'
    for _ in $(seq 100); do X box test -s /tmp/f && break; sleep 0.05; done
    try X box sh -c 'cat /tmp/f; hostname; tr "\0" " " </proc/1/cmdline; echo; ls /proc/self/fd | wc -l'
    ok && same "$output" $'mine\ninside\nsleep 300 \n4' || return 1
    own() { X box sed -n 's/^\(Cap...\|Seccomp\|NoNewPrivs\):\t*//p' "/proc/$1/status" | tr '\n' ' '; }
    same "$(own self)" "$(own 1)"
    try X box sh -c 'for n in mnt pid net ipc uts cgroup; do [ "$(readlink /proc/self/ns/$n)" = "$(readlink /proc/1/ns/$n)" ] && echo $n; done'
    ok && same "$output" $'mnt\npid\nnet\nipc\nuts\ncgroup' || return 1
}

@test "environment, user and folder are the container's, unless asked" {
    box -e A=image -e B=two -w /var -u 1000 $IMG sleep 300
    try X box sh -c 'echo $A $B $PWD; id -u; echo $HOME'
    ok && same "$output" $'image two /var\n1000\n/home/user' || return 1
    printf 'B=file\nC=file\n' >env
    D=caller
    export D
    try X -e A=asked -e D --env-file env -w / -u 0 box sh -c 'echo $A $B $C $D $PWD; id -u; echo $HOME'
    ok && same "$output" $'asked file file caller /\n0\n/root' || return 1
}

@test "exit codes say what went wrong" {
    box $IMG sleep 300
    run -127 --separate-stderr X box no-such-program
    [[ $stderr == *"not found"* ]]
    try X box /etc/passwd
    fails 126
    try X -w /no/such box true
    fails 126 "working directory '/no/such'"
    try X -u nobody-here box true
    fails 126 "user 'nobody-here'"
    try X nobody true
    fails 1 "No such container: nobody"
    try X box
    fails 1
    dewar kill box >/dev/null && dewar wait box >/dev/null
    try X box true
    fails 1 "is not running"
}

@test "-t gives a terminal of its own, -d returns at once" {
    need_program script bsdutils
    box $IMG sleep 300
    try on_tty "$DEWAR exec -it box sh -c 'tty; test -t 0 && test -t 1 && echo both; echo \$TERM'"
    ok && has $'/dev/pts/0\nboth' || return 1
    try X -it box true </dev/null
    fails 1 "not a TTY"
    try X -d box sh -c 'sleep 0.3; echo done >/tmp/made'
    ok && same "$output" "" || return 1
    for _ in $(seq 100); do X box test -e /tmp/made && break; sleep 0.05; done
    X box test -e /tmp/made
}

@test "ctrl-p ctrl-q leaves the program running" {
    need_program script bsdutils
    box $IMG sleep 300
    mkfifo keys
    script -qec "$DEWAR exec -it box sh -c 'echo ready; read x; echo no; while :; do echo noise; sleep 0.01; [ -e /tmp/stop ] && exit; done'" /dev/null <>keys >seen &
    pid=$!
    for _ in $(seq 200); do grep -q ready seen && break; sleep 0.05; done
    printf '\020\021' >keys
    wait $pid
    try X box ps
    ok && has "read x" || return 1
}

@test "signals are passed on" {
    box $IMG sleep 300
    "$DEWAR" exec box sh -c 'trap "echo got; exit 7" TERM; echo ready; while :; do sleep 0.05; done' >seen 3>&- &
    pid=$!
    for _ in $(seq 200); do grep -q ready seen && break; sleep 0.05; done
    kill -TERM $pid
    code=0
    wait $pid || code=$?
    same "$code" 7
    grep -q got seen
}

@test "a killed exec leaves the container as it was" {
    box $IMG sleep 300
    "$DEWAR" exec box sleep 200 3>&- &
    pid=$!
    for _ in $(seq 200); do X box ps | grep -q 'sleep 200' && break; sleep 0.05; done
    kill -9 $pid
    wait $pid || true
    same "$(dewar inspect -f '{{.State.Status}}' box)" running
    dewar stop -t 0 box >/dev/null
    same "$(dewar inspect -f '{{.State.ExitCode}}' box)" 137
}

@test "whoever of those that enter is killed: the command ends, and nobody is left inside" {
    box $IMG sleep 300
    list() { X box ps -o args= | sort; }
    deny_syscall --list points --all -- "$DEWAR" exec box sleep 0
    grep -E '^(setns|setresuid|clone3|write|close_range|fchdir):' points >some
    grep -q '^setns:' some
    local at rc
    while read -r at; do
        rc=0
        deny_syscall --at "$at" --kill self -- "$DEWAR" exec box sleep 1.77 >out 2>&1 || rc=$?
        [ "$rc" != 124 ] || { echo "hangs with a kill at $at" >&2; return 1; }
        [ "$rc" != 0 ] || { echo "success with a kill at $at" >&2; return 1; }
        same "$(list | grep -c 'sleep 1.77')" 0 || { echo "after a kill at $at" >&2; return 1; }
    done <some
    # Where it was the one in between, the command says so.
    try deny_syscall --at setns:1 --kill self -- "$DEWAR" exec box true
    fails 1 "the process that enters the container was killed"
}
