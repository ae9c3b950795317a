#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=life
# Looking at containers from outside while they run: events, top, stats, port.
load helpers

D() { dewar run -d --network none "$@"; }
number() { sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p" "$DEWAR_RUN/containers/$1/state"; }
wait_for() {
    for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done
    echo "waited in vain for: $*" >&2
    return 1
}
test_setup() { rm -f "$DEWAR_RUN/events" "$DEWAR_RUN/events.1"; }
test_teardown() { dewar ps -aq | xargs -r "$DEWAR" rm -f -v >/dev/null; }
past() { dewar events --since 1h --until 0s "$@"; }
actions() { past --format '{{.Type}} {{.Action}}' "$@"; }

@test "events tell of a container's life, in order, in Docker's form" {
    id=$(D --name web --label job=x $IMG sh -c 'exit 3')
    dewar wait web >/dev/null
    dewar rename web other
    dewar rm other >/dev/null
    same "$(actions)" "$(printf 'container %s\n' create start die rename destroy)"
    try past
    ok
    time='[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}(Z|[+-][0-9:]{5})'
    [[ ${lines[2]} =~ ^$time\ container\ die\ $id\ \(exitCode=3,\ image=$IMG,\ job=x,\ name=web\)$ ]] || { show_try; return 1; }
    # A rule by its form, and the name of a file with another one.
    [ ! -f /usr/share/zoneinfo/EST5EDT ] ||
        same "$(TZ=EST5EDT "$DEWAR" events --since 1h --until 0s | head -1 | cut -c30-35)" "$(TZ=EST5EDT date +%:z)"
    same "$(TZ=UTC-5:30 "$DEWAR" events --since 1h --until 0s | head -1 | cut -c30-35)" "+05:30"
    past --format json --filter event=die >line
    same "$(jq -r '[.status, .id, .from, .Type, .Action, .scope, .Actor.ID, .Actor.Attributes.exitCode] | join(" ")' line)" \
        "die $id $IMG container die local $id 3"
    same "$(jq '.timeNano - .time * 1000000000 | . >= 0 and . < 1000000000' line)" true
    same "$(past --filter event=die --format '{{.Status}} {{.ID}} {{.Actor.Attributes.name}} {{.Scope}}')" "die $id web local"
}

@test "stop, kill, restart, exec, update and pause have their events" {
    id=$(D --name web $IMG sh -c 'trap "exit 0" TERM; while :; do sleep 0.1; done')
    dewar exec web true
    dewar exec web sh -c 'exit 2' || true
    dewar update --restart no web >/dev/null
    dewar restart -t 5 web >/dev/null
    dewar kill web >/dev/null
    dewar wait web >/dev/null
    same "$(actions --filter container=web)" "$(printf 'container %s\n' create start \
        'exec_create: true' 'exec_start: true' exec_die \
        'exec_create: sh -c exit 2' 'exec_start: sh -c exit 2' exec_die \
        update kill die stop start restart kill die)"
    same "$(past --filter event=exec_die --format '{{.Actor.Attributes.exitCode}}' | tr '\n' ' ')" "0 2 "
    same "$(past --filter event=kill --format '{{.Actor.Attributes.signal}}' | tr '\n' ' ')" "15 9 "
    same "$(actions --filter event=exec_create | wc -l)" 2
    if dewar start web >/dev/null && dewar pause web >/dev/null 2>&1; then
        dewar unpause web >/dev/null
        same "$(actions --filter event=pause --filter event=unpause | tr '\n' ' ')" "container pause container unpause "
    fi
}

@test "images and volumes have theirs" {
    dewar tag $IMG other:1
    dewar save -o image.tar other:1
    dewar rmi other:1 >/dev/null
    dewar load -q -i image.tar >/dev/null
    dewar rmi other:1 >/dev/null
    printf 'x' >file
    tar -cf one.tar file
    dewar import one.tar one:1 >/dev/null
    dewar rmi one:1 >/dev/null
    same "$(actions --filter type=image)" "$(printf 'image %s\n' tag save untag load untag tag import untag delete)"
    same "$(past --filter image=other:1 --format '{{.Action}}' | tr '\n' ' ')" "tag untag load untag "
    same "$(past --filter image=other --format '{{.Action}}' | tr '\n' ' ')" "tag untag load untag "
    dewar volume create data >/dev/null
    id=$(D -v data:/data $IMG true)
    dewar wait "$id" >/dev/null
    dewar rm "$id" >/dev/null
    dewar volume rm data >/dev/null
    same "$(past --filter volume=data --format '{{.Action}}' | tr '\n' ' ')" "create mount unmount destroy "
}

@test "each prune is told of, with the bytes that it freed" {
    reclaimed() { past --filter event=prune --filter type="$1" --format '{{.Actor.Attributes.reclaimed}}' | tail -n 1; }
    about() { # TYPE FILE: what the event says is what the command says, to its three digits
        local bytes told
        bytes=$(reclaimed "$1") told=$(sed -n 's/^Total reclaimed space: //p' "$2")
        [ "$bytes" -ge 1000000 ] || { echo "only '$bytes' bytes of $1" >&2; return 1; }
        same "$(awk -v n="$bytes" 'BEGIN { printf "%.3gMB", n / 1000000 }')" "$told"
    }
    R() { dewar run -q --network none "$@"; }
    R --name full $IMG sh -c 'head -c 1500000 /dev/urandom >/f'
    dewar container prune -f >out
    about container out
    R --rm -v data:/d $IMG sh -c 'head -c 2500000 /dev/urandom >/d/f'
    dewar volume prune -af >out
    about volume out
    head -c 3500000 /dev/urandom >file && tar -cf one.tar file
    dewar import one.tar >/dev/null
    dewar image prune -f >out
    about image out
    mkdir c && cp file c && printf 'FROM scratch\nCOPY file /\n' >c/Dockerfile
    dewar build -q --output type=tar,dest=/dev/null c >/dev/null
    dewar builder prune -f >out
    about builder out
    same "$(past --filter event=prune | cut -d' ' -f2- | sed 's/=[0-9]*/=N/')" \
        "$(printf '%s prune  (reclaimed=N)\n' container volume image builder)"
    past --filter event=prune --filter type=container --format json >line
    same "$(jq -r '[.status, .Type, .Action, .Actor.ID, (.Actor.Attributes | keys | join(","))] | join("|")' line)" \
        'prune|container|prune||reclaimed'
    rm -f "$DEWAR_RUN/events"
    dewar create -q --name created $IMG true >/dev/null
    running=$(D $IMG sleep 300)
    try dewar system prune -f --volumes
    ok && has "Deleted Containers:" || return 1
    same "$(dewar ps -aq --no-trunc)" "$running"
    same "$(actions --filter event=prune)" "$(printf '%s prune\n' container volume image)"
}

@test "health is an event, and detaching is one" {
    D --name well --health-cmd true --health-interval 100ms $IMG sleep 100 >/dev/null
    wait_for eval 'past --filter event=health_status | grep -q "health_status: healthy"'
    need_program script
    D -it --name term $IMG sh >/dev/null
    { sleep 1; printf '\020\021'; sleep 0.5; } | script -qec "$DEWAR attach term" /dev/null >/dev/null
    wait_for eval 'past --filter container=term --filter event=detach | grep -q detach'
    same "$(past --filter container=term --filter event=attach --filter event=detach --format '{{.Action}}' | tr '\n' ' ')" "attach detach "
}

@test "filters choose: of one key any, of several keys all, labels all" {
    a=$(D --name alpha --label k=1 --label l=2 $IMG sleep 100)
    D --name beta --label k=1 $IMG sleep 100 >/dev/null
    names() { past --format '{{.Actor.Attributes.name}}' --filter event=start "$@" | tr '\n' ' '; }
    same "$(names)" "alpha beta "
    same "$(names --filter container=alpha)" "alpha "
    same "$(names --filter container=alpha --filter container=beta)" "alpha beta "
    same "$(names --filter "container=${a:0:12}")" "alpha "
    same "$(names --filter label=k)" "alpha beta "
    same "$(names --filter label=k=1 --filter label=l)" "alpha "
    same "$(names --filter label=k=2)" ""
    same "$(names --filter type=volume)" ""
    same "$(names --filter image=$IMG)" "alpha beta "
    same "$(names --filter image=busybox)" "alpha beta "
    same "$(names --filter scope=local)" "alpha beta "
    same "$(names --filter daemon=x)" ""
    try dewar events --filter colour=red --until 0s
    fails 1 "invalid filter 'colour=red'" && err_has "container, event" || return 1
}

@test "wrong times and formats are named" {
    try dewar events --since yesterday --until 0s
    fails 1 "invalid time 'yesterday'"
    try dewar events --since 0s --until 1h
    fails 1 "--since cannot be after --until"
    try dewar events --until 0s --format 'table {{.ID}}'
    fails 1 "events have no table"
    D $IMG true >/dev/null
    try past --format '{{.Nope}}'
    fails 1 "no field '.Nope'"
    try past --format '{{.'
    fails 1
}

@test "events are followed live, across a change of the log, until the end that was asked for" {
    "$DEWAR" events --filter event=create --format '{{.Actor.Attributes.name}}' >seen 3>&- &
    follower=$!
    dewar create --name first --network none $IMG true >/dev/null
    # It may take its time to begin: then the first ones are the past.
    wait_for eval 'dewar create --network none $IMG true >/dev/null; [ -s seen ]'
    mv "$DEWAR_RUN/events" "$DEWAR_RUN/events.1" # as a writer does when it is full
    dewar create --name second --network none $IMG true >/dev/null
    wait_for grep -qx second seen
    kill "$follower"
    wait "$follower" || true
    start=$SECONDS
    "$DEWAR" events --until "$(date -d '+2 sec' +%s)" --filter event=create --format '{{.Actor.Attributes.name}}' >until 3>&- &
    follower=$!
    sleep 0.3
    dewar create --name third --network none $IMG true >/dev/null
    wait "$follower"
    [ $((SECONDS - start)) -le 4 ]
    same "$(tail -1 until)" third
    same "$(grep -cx first until)" 1 # an end without a beginning has the past as well
}

@test "a reader that goes away ends events" {
    timeout 10 bash -c '"$DEWAR" events | head -1' >out 3>&- &
    follower=$!
    wait_for eval 'dewar create --network none $IMG true >/dev/null; [ -s out ]'
    wait "$follower"
}

@test "a torn line takes no other along, and rubbish is left out" {
    dewar tag $IMG a:1
    printf '{"Type":"image","Action":"torn","Act' >>"$DEWAR_RUN/events"
    dewar tag $IMG b:1
    printf 'rubbish\n\n[]\n{}\n{"timeNano":"x"}\n{"Type":5,"timeNano":5}\n\000\n' >>"$DEWAR_RUN/events"
    head -c 300000 /dev/zero | tr '\0' x >>"$DEWAR_RUN/events"
    dewar tag $IMG c:1
    same "$(past --format '{{.Actor.Attributes.name}}' | tr '\n' ' ')" "a:1 b:1 c:1 "
    dewar rmi a:1 b:1 c:1 >/dev/null
}

@test "the log is bounded: what is full is moved away, once" {
    dewar tag $IMG a:1
    for i in 1 2 3; do
        line=$(head -1 "$DEWAR_RUN/events")
        { yes "$line" || true; } | head -c 2200000 >>"$DEWAR_RUN/events"
        echo >>"$DEWAR_RUN/events"
        for k in 1 2 3 4; do dewar tag $IMG "t$i$k:1" 3>&- & pids+=($!); done
        for p in "${pids[@]}"; do wait "$p"; done
        pids=()
    done
    same "$(ls "$DEWAR_RUN" | grep ^events | tr '\n' ' ')" "events events.1 "
    [ "$(stat -c %s "$DEWAR_RUN/events")" -lt 10000 ]
    same "$(past --filter image=t31:1 --filter image=t32:1 --filter image=t33:1 --filter image=t34:1 | wc -l)" 4
    rm -f "$DEWAR_RUN/events" "$DEWAR_RUN/events.1"
    dewar rmi a:1 t{1,2,3}{1,2,3,4}:1 >/dev/null
}

@test "who finds the log full, and meanwhile another one moved it, moves nothing" {
    need_program strace
    dewar tag $IMG a:1
    { yes x || true; } | head -c 2200000 >>"$DEWAR_RUN/events"
    # This one opens the full one and then waits for a second before it asks for its lock.
    strace -f -o trace -e trace=flock -e inject=flock:delay_enter=1500000 "$DEWAR" tag $IMG slow:1 3>&- &
    local slow=$!
    at_log() { ls -l "/proc/$(pgrep -P $slow)/fd" | grep -q "/events\$"; }
    wait_for at_log
    dewar tag $IMG quick:1
    wait $slow
    same "$(past --filter event=tag | wc -l)" 3
    dewar rmi a:1 slow:1 quick:1 >/dev/null
}

@test "an event is one write, whole" {
    need_program strace
    strace -f -s 4096 -o trace -e trace=write "$DEWAR" tag $IMG a:1
    grep -E 'write\([0-9]+, "(\\n)?\{.*\\"Action\\":\\"tag\\".*\}\\n"' trace
    dewar rmi a:1 >/dev/null
}

@test "many writers at once lose nothing" {
    for i in $(seq 20); do dewar tag $IMG "w$i:1" 3>&- & pids+=($!); done
    for p in "${pids[@]}"; do wait "$p"; done
    same "$(past --filter event=tag | wc -l)" 20
    dewar rmi w{1..20}:1 >/dev/null
}

# --- top -----------------------------------------------------------------------------------------

@test "top shows the container's processes as this machine's ps does" {
    D --name web $IMG sh -c 'sleep 1234 & sleep 2345' >/dev/null
    D --name other $IMG sleep 3456 >/dev/null
    wait_for eval 'dewar top web | grep -q "sleep 2345"'
    try dewar top web
    ok
    [[ ${lines[0]} =~ ^UID\ +PID\ +PPID\ +C\ +STIME\ +TTY\ +TIME\ +CMD$ ]] || { show_try; return 1; }
    same "${lines[0]:0:23}" "UID                 PID"
    same "${#lines[@]}" 3
    has "sleep 1234" && has "sleep 2345" && lacks 3456 || return 1
    # Numbers are those outside.
    for pid in $(dewar top web | awk 'NR > 1 { print $2 }'); do
        grep -qa sleep "/proc/$pid/cmdline" || return 1
    done
    try dewar top web -o pid,args
    ok && same "${#lines[@]}" 3 && [[ ${lines[0]} =~ ^PID\ +COMMAND$ ]] || return 1
    try dewar container top web aux
    ok && [[ ${lines[0]} =~ ^USER\ +PID\ +%CPU ]] && same "${#lines[@]}" 3 || return 1
}

@test "top finds who entered, who shares the host's processes, and who made namespaces of its own" {
    id=$(D --name web --security-opt seccomp=unconfined $IMG sleep 1000)
    dewar exec -d web sleep 4567
    dewar exec -d web unshare -U -m -p -f sleep 5678
    wait_for eval 'dewar top web | grep -q 4567'
    D --name host --pid host $IMG sh -c 'sleep 6789 & wait' >/dev/null
    wait_for eval 'dewar top host | grep -q 6789'
    try dewar top host -o pid,args
    ok && same "${#lines[@]}" 3 && lacks 4567 || return 1
    try dewar top web
    ok && has 4567 && lacks 6789 || return 1
    wait_for eval 'dewar top web -o pid,args | grep -q "^[0-9]* *sleep 5678"'
    # A program may call itself as it likes.
    D --name liar $IMG sh -c 'printf "x 1 1" >/proc/self/comm; sleep 100 & wait' >/dev/null
    wait_for eval 'dewar top liar -o pid,comm | grep -q "x 1 1"'
    try dewar top liar -o comm,pid # it has moved its own columns, and shows nobody else's
    ok && lacks systemd && lacks init || return 1
}

@test "nothing from inside is executed for top, and nothing from inside reaches the terminal" {
    D --name trap -v "$PWD:/out" $IMG sh -c 'rm -f /bin/ps; printf "#!/bin/sh\ntouch /out/ran\n" >/bin/ps; chmod 755 /bin/ps; touch /out/set; sleep 1000; :'
    wait_for [ -e set ]
    dewar exec trap ps # the trap works
    rm ran
    try dewar top trap
    ok && [ ! -e ran ] || return 1
    D --name evil $IMG sh -c $'sleep 1000; :\nroot 1 0 0 00:00 ? 00:00:00 fake\033[2J' >/dev/null
    try dewar top evil
    ok && same "${#lines[@]}" 3 && lacks $'\033' || return 1
}

@test "top refuses what Docker refuses" {
    dewar create --name still --network none $IMG true >/dev/null
    try dewar top still
    fails 1 "is not running"
    try dewar top nobody
    fails 1 "No such container: nobody"
    D --name web $IMG sleep 100 >/dev/null
    try dewar top web -o comm,args
    fails 1 "couldn't find PID field in ps output"
    try dewar top web -o comm=PID
    fails 1 'specifying "comm=PID" is not allowed'
    try dewar top web -o pid=PID,comm
    ok
    try dewar top web --no-such-option
    fails 1
    try dewar top
    fails 1 "at least 1 argument"
}

# --- stats ---------------------------------------------------------------------------------------

@test "stats shows what is used, from control groups or from processes" {
    D --name busy $IMG sh -c 'while :; do :; done' >/dev/null
    D --name big $IMG sh -c 'x=$(head -c 20000000 /dev/zero | tr "\0" x); sleep 1000; :' >/dev/null
    try timeout 30 "$DEWAR" stats --no-stream
    ok
    [[ ${lines[0]} =~ ^CONTAINER\ ID\ +NAME\ +CPU\ %\ +MEM\ USAGE\ /\ LIMIT\ +MEM\ %\ +NET\ I/O\ +BLOCK\ I/O\ +PIDS$ ]] || { show_try; return 1; }
    [[ ${lines[1]} =~ ^[0-9a-f]{12}\ +big\ +[0-9.]+%\ +[0-9.]+[KM]iB\ /\ [0-9.]+GiB\ +[0-9.]+%\ +0B\ /\ 0B\ +[0-9.]+k?M?B\ /\ [0-9.]+k?M?B\ +[0-9]+$ ]] || { show_try; return 1; }
    percent=$(timeout 30 "$DEWAR" stats --no-stream --format '{{.CPUPerc}}' busy)
    [ "${percent%%.*}" -ge 1 ] && [ "${percent%%.*}" -le 200 ] || { echo "$percent" >&2; return 1; }
    memory=$(timeout 30 "$DEWAR" stats --no-stream --format '{{.MemUsage}}' big)
    [[ $memory =~ ^[2-9][0-9](\.[0-9]+)?MiB\ / ]] || { echo "$memory" >&2; return 1; }
}

@test "stats takes the numbers of a control group where there is one" {
    need_root
    D --name limited -m 64m --pids-limit 50 $IMG sh -c 'sleep 100 & sleep 100 & sleep 100' >/dev/null
    sleep 0.3
    try timeout 30 "$DEWAR" stats --no-stream --format '{{.Name}} {{.PIDs}} {{.MemUsage}}' limited
    ok
    [[ $output =~ ^limited\ [34]\ [0-9.]+[KM]iB\ /\ 64MiB$ ]] || { show_try; return 1; }
}

@test "stats names those that do not run, and takes formats" {
    id=$(dewar create --name still --network none $IMG true)
    D --name web $IMG sleep 100 >/dev/null
    try dewar stats --no-stream --format '{{.Name}}'
    same "$output" web
    try dewar stats -a --no-stream --format '{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.MemPerc}} {{.NetIO}} {{.BlockIO}} {{.PIDs}}' still
    same "$output" "still -- -- / -- -- -- -- --"
    same "$(dewar stats -a --no-stream --format '{{.Name}}' | tr '\n' ' ')" "web still "
    try dewar stats --no-stream --format json still web
    ok
    same "$(jq -r .Container <<<"$output" | tr '\n' ' ')" "still web "
    same "$(jq -r .ID <<<"${lines[0]}")" "${id:0:12}"
    same "$(dewar stats --no-stream --no-trunc --format '{{.ID}}' still)" "$id"
    try dewar stats --no-stream --format 'table {{.Name}}\t{{.PIDs}}' web
    same "${lines[0]}" "NAME      PIDS"
    same "${lines[1]}" "web       1"
    try dewar stats --no-stream nobody
    fails 1 "No such container: nobody"
    try dewar stats --no-stream --format '{{.Nope}}' web
    fails 1 "no field '.Nope'"
}

@test "a stream of stats goes on, ends with its reader, and with its containers" {
    D --name web $IMG sleep 100 >/dev/null
    try timeout 20 bash -c '"$DEWAR" stats --format "{{.Name}}" web | head -2'
    same "$output" $'web\nweb'
    "$DEWAR" stats --format '{{.Name}} {{.PIDs}}' web >out 3>&- &
    follower=$!
    wait_for grep -q 'web 1' out
    dewar stop -t 0 web >/dev/null
    wait_for grep -q 'web --' out
    dewar rm web >/dev/null
    wait "$follower"
    run ! grep -q $'\033' out
}

@test "on a terminal a picture is written over the one before" {
    need_program script
    D --name web $IMG sleep 100 >/dev/null
    timeout 60 script -qfec "stty rows 10 cols 60; exec $DEWAR stats" out </dev/null >/dev/null 3>&- &
    wait_for eval '[ "$(grep -ao $'"'\033\[H'"' out | wc -l)" -ge 3 ]'
    kill "$!"
    wait "$!" || true
    same "$(grep -ac $'\033\[2J\033\[H' out)" 1
    [ "$(grep -ao $'\033\[H' out | wc -l)" -ge 2 ]
    grep -aq $'\033\[K' out
    same "$(tr -d '\r' <out | sed 's/\x1b\[[0-9]*[A-Z]//g' | grep -a '^[0-9a-f]\{12\}' | awk 'length > 60' | wc -l)" 0
}

# --- port ----------------------------------------------------------------------------------------

@test "port says what is published: nothing yet" {
    D --name web $IMG sleep 100 >/dev/null
    try dewar port web
    ok && same "$output" "" || return 1
    try dewar port web 80
    fails 1 "No public port '80' published for web"
    try dewar container port web 53/udp
    fails 1 "No public port '53/udp' published for web"
    try dewar port web http
    fails 1 "invalid port (http)"
    try dewar port web 70000
    fails 1 "invalid port (70000)"
    try dewar port nobody
    fails 1 "No such container: nobody"
}
