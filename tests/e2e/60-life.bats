#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=life
# Containers that go on when their starter is gone: the verbs of their life, as Docker has them.
load helpers

R() { dewar run --network none "$@"; }
D() { R -d "$@"; }
state_of() { sed 's/.*"status":"\([a-z]*\)".*/\1/' "$1/containers/$2/state"; }
live() { state_of "$DEWAR_RUN" "$1"; }
settled() { state_of "$DEWAR_STORE" "$1"; }
wait_for() { # COMMAND...: until it succeeds, at most 10 s
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
nothing_left() {
    same "$(ls "$DEWAR_RUN/containers")" ""
    same "$(ls "$DEWAR_STORE/containers" | grep -v '^names$')" ""
    same "$(ls "$DEWAR_STORE/containers/names" 2>/dev/null)" ""
}

@test "run -d prints the ID and returns, the program goes on; stop ends it; rm removes it" {
    try D --name web $IMG sh -c 'trap "exit 3" TERM; while :; do sleep 0.05; done'
    ok
    [[ $output =~ ^[0-9a-f]{64}$ ]]
    id=$output
    same "$(live "$id")" running
    try dewar stop web
    ok && same "$output" web || return 1
    same "$(settled "$id")" exited
    try dewar wait web
    ok && same "$output" 3 || return 1
    try dewar rm "${id:0:7}"
    ok && same "$output" "${id:0:7}" || return 1
    nothing_left
}

@test "stop kills after the timeout, and --stop-signal and --stop-timeout are the container's own" {
    id=$(D --stop-timeout 1 --stop-signal USR1 $IMG sh -c 'trap "" TERM; trap "exit 9" USR1; while :; do sleep 0.05; done')
    dewar stop "$id"
    same "$(dewar wait "$id")" 9
    id=$(D $IMG sh -c 'trap "" TERM; while :; do sleep 0.05; done')
    start=$SECONDS
    dewar stop -t 1 "$id"
    [ $((SECONDS - start)) -lt 6 ]
    same "$(dewar wait "$id")" 137
    try dewar stop "$id" # what does not run is no error
    ok
}

@test "what a container wrote is there at its next start; run without --rm can be started again" {
    R --name again $IMG sh -c 'echo x >>/file; wc -l </file' >out
    same "$(cat out)" 1
    try dewar start -a again
    ok && same "$output" 2 || return 1
    try dewar start again
    ok && same "$output" again || return 1
    same "$(dewar wait again)" 0
    try dewar start -a again
    same "$output" 4
}

@test "create makes a container that has not run, start runs it" {
    try dewar create --network none --name later -e A=1 -v /vol $IMG sh -c 'echo $A $(ls -d /vol)'
    ok
    id=$output
    [ ! -e "$DEWAR_RUN/containers/$id" ]
    try dewar logs later
    ok && same "$output" "" || return 1
    try dewar start -a later
    ok && same "$output" "1 /vol" || return 1
    try dewar rm -v later
    ok
    same "$(ls "$DEWAR_STORE/volumes")" ""
}

@test "kill sends a signal, and is refused where nothing runs" {
    id=$(D $IMG sh -c 'trap "echo usr1" USR1; while :; do sleep 0.05; done')
    sleep 0.3
    dewar kill -s USR1 "$id"
    wait_for grep usr1 "$DEWAR_STORE/containers/$id/log/container.log"
    dewar kill "$id"
    same "$(dewar wait "$id")" 137
    try dewar kill "$id"
    fails 1 "is not running"
    try dewar kill -s NOPE "$id"
    fails 1 "invalid signal"
}

@test "rm refuses what runs, and rm -f does not" {
    id=$(D --name busy $IMG sleep 100)
    try dewar rm busy
    fails 1 "You cannot remove a running container $id"
    try dewar rm -f busy
    ok
    nothing_left
    try dewar rm busy
    fails 1 "No such container: busy"
}

@test "a container whose program ends right now can be copied from, started again and removed" {
    for _ in $(seq 15); do
        dewar create --network none --name brief $IMG true >/dev/null
        dewar start brief >/dev/null
        dewar cp brief:/etc/passwd - >copy
        tar tf copy >/dev/null
        dewar start brief >/dev/null
        try dewar rm -f brief
        ok
    done
    nothing_left
}

@test "rm -f of what is not there is no failure, for scripts that clean up first; it says so" {
    dewar create --network none --name one $IMG true >/dev/null
    try dewar rm -f nobody one
    ok && same "$output" one && [[ $stderr == *"No such container: nobody"* ]] || return 1
    nothing_left
    try dewar rm nobody
    fails 1 "No such container: nobody"
}

@test "a slash before a name is the API's and means nothing; an empty name is none" {
    dewar create --network none --name /one $IMG true >/dev/null
    dewar rename one /two
    same "$(dewar ps -a --format '{{.Names}}')" two
    try dewar rename /two two
    fails 1 "same name"
    try dewar rename two ''
    fails 1 "the new name is empty"
    dewar create --network none --name '' $IMG true >/dev/null
    same "$(dewar ps -a --format '{{.Names}}' | grep -c '^[a-z]*_[a-z]*')" 1
    try dewar create --network none --name //x $IMG true
    fails 125 "invalid container name '/x'"
}

@test "wait gives the code to everybody who waits, also with --rm" {
    id=$(D --rm $IMG sh -c 'sleep 0.5; exit 7')
    dewar wait "$id" >a &
    one=$!
    dewar wait "$id" >b
    wait $one
    same "$(cat a b)" "7
7"
    nothing_left
}

@test "names: one use, unique beginnings of IDs, rename" {
    id=$(D --name first $IMG sleep 100)
    try D --name first $IMG true
    fails 125 "in use"
    dewar rename first second
    try dewar kill first
    fails 1 "No such container"
    other=$(D $IMG sleep 100)
    if [ "${id:0:1}" != "${other:0:1}" ]; then dewar pause "${id:0:1}" 2>/dev/null || true; fi
    try dewar rename second "bad/name"
    fails 1 "invalid container name"
    dewar stop -t 0 second
    dewar start "${id:0:12}" # the new name is in its record
    grep -q '"name":"second"' "$DEWAR_STORE/containers/$id/config.json"
}

@test "names that are paths are no containers (attack A17)" {
    canary=$(tree_hash "$DEWAR_STORE/refs")
    for name in .. . a/b ../../refs '%2e%2e' "$(head -c 5000 /dev/zero | tr '\0' a)" names '' $'a\nb'; do
        for verb in stop kill rm logs wait start attach pause; do
            try dewar "$verb" "$name"
            fails 1 "No such container"
        done
        try dewar rm -f "$name"
        ok && [[ $stderr == *"No such container"* ]] || return 1
        [ -z "$name" ] || { try D --name "$name" $IMG true; [ "$name" = names ] || fails 125; }
    done
    same "$(tree_hash "$DEWAR_STORE/refs")" "$canary"
    try D --name a.b-c_1 $IMG true # the legal twin
    ok
}

@test "a foreground container goes on when its client is killed, and can be joined" {
    R --name fg $IMG sh -c 'echo one; sleep 1; echo two; exit 4' >out 2>&1 &
    client=$!
    wait_for grep one out
    kill -9 $client
    wait $client 2>/dev/null || true
    try dewar attach fg
    fails 4 && same "$output" two || return 1
    same "$(dewar logs fg)" "one
two"
}

@test "start -ai passes stdin on, and its end; run -d -i keeps it open for others" {
    dewar create -i --network none --name cat $IMG sh -c 'while read -r l; do echo "<$l>"; done; echo end' >/dev/null
    printf 'a\nb\n' | timeout 20 "$DEWAR" start -ai cat >out
    same "$(cat out)" "<a>
<b>
end"
    id=$(D -i $IMG sh -c 'while read -r l; do echo "<$l>"; done; echo end')
    printf 'a\n' | timeout 1 "$DEWAR" attach --sig-proxy=false "$id" >out || true
    printf 'b\n' | timeout 1 "$DEWAR" attach --sig-proxy=false "$id" >>out || true
    same "$(cat out)" "<a>
<b>"
    same "$(live "$id")" running
}

@test "run -i hands over big input and output without a stand-still" {
    head -c 8000000 /dev/zero | tr '\0' 'x' >big
    R -i $IMG cat <big >back
    cmp big back
    R $IMG sh -c 'echo to-err >&2; echo to-out' >o 2>e
    same "$(cat o) $(cat e)" "to-out to-err"
}

@test "a terminal: detach keys leave, attach joins, output is logged" {
    mkfifo keys
    script -qec "$DEWAR run -it --network none --name tty $IMG sh" /dev/null <keys >shown &
    terminal=$!
    exec 7>keys
    wait_for test -L "$DEWAR_STORE/containers/names/tty"
    sleep 0.5
    printf 'echo to$((40+2))y\n' >&7
    wait_for grep to42y shown
    printf '\020\021' >&7
    exec 7>&-
    wait $terminal
    id=$(readlink "$DEWAR_STORE/containers/names/tty")
    same "$(live "$id")" running
    dewar logs tty | grep -q to42y
    try dewar attach tty
    fails 1 "the input device is not a TTY"
    dewar stop -t 0 tty
}

@test "the person's detach keys in Docker's config.json are the default of run, attach and exec" {
    mkdir -p "$HOME/.docker" conf
    echo '{"detachKeys": "ctrl-e,x"}' >"$HOME/.docker/config.json"
    # leaves KEYS COMMAND...: types the keys into a command on a terminal; it must end by them.
    leaves() {
        local typed=$1 i
        shift
        trap '' PIPE
        rm -f keys && mkfifo keys
        timeout 20 script -qec "$DEWAR $*" /dev/null <keys >shown &
        terminal=$!
        exec 7>keys
        for i in $(seq 100); do
            sleep 0.1
            # shellcheck disable=SC2059
            printf "$typed" >&7 2>/dev/null || break
            kill -0 $terminal 2>/dev/null || break
            [ "$i" -lt 40 ] || break
        done
        for i in $(seq 50); do
            kill -0 $terminal 2>/dev/null || break
            sleep 0.1
        done
        exec 7>&-
        kill $terminal 2>/dev/null && return 1
        wait $terminal
    }
    leaves '\005x' run -it --network none --name cfg $IMG sleep 60
    same "$(dewar inspect -f '{{.State.Status}}' cfg)" running
    leaves '\005x' attach cfg
    leaves '\005x' exec -it cfg sleep 60
    leaves 'qq' exec -it --detach-keys q,q cfg sleep 60 # a flag wins
    echo '{"detachKeys": "z"}' >conf/config.json
    DOCKER_CONFIG=$PWD/conf leaves 'z' attach cfg
    echo '{broken' >conf/config.json
    DOCKER_CONFIG=$PWD/conf run script -qec "$DEWAR exec -it cfg echo fine" /dev/null
    [[ $output == *"not used: "*config.json* && $output == *fine* ]]
    dewar rm -f cfg
    rm "$HOME/.docker/config.json"
}

@test "one that takes no output is left behind and the program goes on" {
    id=$(D $IMG sh -c 'sleep 0.5; i=0; while [ $i -lt 40000 ]; do echo "line $i of what it says, and more"; i=$((i+1)); done; echo done')
    mkfifo stuck
    dewar attach "$id" >stuck 2>err &
    reader=$!
    exec 6<stuck # and nothing is read from it
    same "$(timeout 20 "$DEWAR" wait "$id")" 0
    exec 6<&-
    wait $reader || true
    same "$(dewar logs "$id" | tail -1)" done
}

@test "pause stops every process and unpause lets them go on" {
    id=$(D $IMG sh -c 'while :; do echo x; sleep 0.05; done')
    if ! is_root; then
        try dewar pause "$id"
        [ "$status" = 0 ] || { fails 1 "freeze" && return; }
    fi
    dewar pause "$id"
    same "$(live "$id")" paused
    before=$(dewar logs "$id" | wc -l)
    sleep 0.4
    same "$(dewar logs "$id" | wc -l)" "$before"
    try dewar pause "$id"
    fails 1 "already paused"
    try dewar start "$id"
    fails 1 "unpause"
    dewar unpause "$id"
    sleep 0.4
    [ "$(dewar logs "$id" | wc -l)" -gt "$before" ]
    dewar pause "$id"
    dewar rm -f "$id"
    nothing_left
}

@test "a start that fails leaves the container, with Docker's codes" {
    try D --name bad $IMG no-such-program
    fails 127 "no-such-program"
    try dewar start bad
    fails 1 "no-such-program"
    try D --rm $IMG /etc
    fails 126
    dewar rm bad
    nothing_left
}

@test "the monitor holds nothing of its starter's" {
    mkdir here
    : >here/the-starters-own
    id=$(cd here && D $IMG sleep 100 8<the-starters-own)
    monitor=$(sed 's/.*"monitor":\([0-9]*\).*/\1/' "$DEWAR_RUN/containers/$id/state")
    same "$(readlink "/proc/$monitor/cwd")" /
    ! ls -l "/proc/$monitor/fd" | grep -q the-starters-own || return 1
    ! grep -q __asan_init "$DEWAR" || skip "a sanitizer has memory of its own"
    # Its own pages; the program's text that nobody else has mapped just now comes and goes.
    [ "$(awk '/^Private_Dirty/{s+=$2} END{print s}' "/proc/$monitor/smaps_rollup")" -lt 512 ]
}

@test "--pid, --ipc and --uts of the host, and wrong ones" {
    same "$(R --rm --uts host $IMG hostname)" "$(hostname)"
}

@test "a store has one run folder, however it is named" {
    local store=$DEWAR_STORE home=$WORK/home
    mkdir -p "$home/rt" && chmod 700 "$home/rt"
    unset DEWAR_RUN DEWAR_STORE
    export HOME=$home XDG_RUNTIME_DIR=$home/rt
    unset XDG_DATA_HOME
    is_root || { mkdir -p "$home/.local/share" && ln -s "$WORK/s" "$home/.local/share/dewar"; }
    "$DEWAR" --store "$store" save $IMG | "$DEWAR" --store "$WORK/s" load -q >/dev/null
    "$DEWAR" --store "$WORK/s" run -d --network none --name one $IMG sleep 100 >/dev/null
    for named in "$WORK/s" "$WORK/s/" "$WORK/../${WORK##*/}/s"; do
        same "$(DEWAR_STORE=$named "$DEWAR" ps --format '{{.Names}}')" one
        same "$("$DEWAR" --store "$named" ps --format '{{.Names}}')" one
    done
    is_root || same "$("$DEWAR" ps --format '{{.Names}}')" one
    "$DEWAR" --store "$WORK/s" rm -f one
    remove_tree "$WORK/s"
}
