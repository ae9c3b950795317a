#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=build,run
# What programs and machines do to an engine: floods, deaths, closed descriptors, few descriptors,
# images with odd folders. Nothing may hang, leak a process or say the wrong status.
load helpers

R() { dewar run --rm -q --network none "$@"; }
PROBE=${TOOLS:-$(dirname "$DEWAR")/../../tests/tools}/probe
# gone SECONDS-ARGUMENT: no `sleep N` of ours is left (give the kernel a moment).
gone() {
    for _ in $(seq 40); do
        pgrep -x -f "sleep $1" >/dev/null || return 0
        sleep 0.05
    done
    pgrep -a -f "sleep $1" >&2
    return 1
}
appears() {
    for _ in $(seq 100); do
        ! pgrep -x -f "sleep $1" >/dev/null || return 0
        sleep 0.05
    done
    return 1
}
here() { ctx && dockerfile; }
# How long a sleep of this test takes, so that nobody else's is meant.
test_setup() { N=$((BASHPID + 1000000)); }

@test "a flood of one stage does not keep the failure of another from ending the build" {
    here <<'END'
FROM busybox:test AS flood
RUN yes 'a line that goes on and on'
FROM busybox:test AS flood2
RUN yes ''
FROM busybox:test AS flood3
RUN yes 'more' >&2
FROM busybox:test AS bad
RUN sleep 1; exit 7
FROM busybox:test
COPY --from=flood /etc/passwd /a
COPY --from=flood2 /etc/passwd /a
COPY --from=flood3 /etc/passwd /a
COPY --from=bad /etc/passwd /b
END
    try timeout -k 2 20 "$DEWAR" build --progress plain --jobs 4 .
    fails 1 'status 7'
}

@test "a stage worker that is killed ends the build, with an error" {
    here <<END
FROM busybox:test AS a
RUN sleep ${N}01
FROM busybox:test AS b
RUN sleep ${N}02
FROM busybox:test
COPY --from=a /etc/passwd /a
COPY --from=b /etc/passwd /b
END
    timeout -k 2 20 "$DEWAR" build --progress plain . >log 2>&1 3>&- &
    pid=$!
    appears "${N}01"
    appears "${N}02"
    build=$(pgrep -P "$pid")
    [ -n "$build" ]
    worker=$(pgrep -P "$build" | tail -n 1)
    # an ordinary user's command goes through one more process
    [ "$worker" -gt 1 ] && kill -KILL "$worker"
    rc=0
    wait "$pid" || rc=$?
    [ "$rc" = 1 ] || [ "$rc" = 137 ] || { cat log; echo "status $rc"; return 1; }
    gone "${N}01"
    gone "${N}02"
    store_is_clean
}

@test "killing the build ends a step that runs as another user" {
    for user in 0 1000; do
        here < <(printf 'FROM busybox:test\nUSER %s\nRUN sleep %s\n' "$user" "$N$user")
        "$DEWAR" build -q . >log 2>&1 3>&- &
        pid=$!
        appears "$N$user"
        kill -KILL "$pid"
        wait "$pid" || true
        gone "$N$user"
    done
    store_is_clean
}

@test "SIGTERM ends a build with its step and status 143" {
    here < <(printf 'FROM busybox:test\nUSER 1000\nRUN trap "" TERM; sleep %s; sleep %s\n' "${N}01" "${N}02")
    "$DEWAR" build -q . >log 2>&1 3>&- &
    pid=$!
    appears "${N}01"
    kill -TERM "$pid"
    rc=0
    wait "$pid" || rc=$?
    same 143 "$rc"
    gone "${N}01"
    gone "${N}02"
    store_is_clean
}

@test "a monitor that is killed takes a program of another user with it" {
    for user in 0 1000; do
        "$DEWAR" run --rm -q --network none -u "$user" $IMG sleep "$N$user" >log 2>&1 3>&- &
        pid=$!
        appears "$N$user"
        prog=$(pgrep -x -f "sleep $N$user")
        monitor=$(ps -o ppid= -p "${prog%%$'\n'*}")
        [ "$monitor" -gt 1 ] && kill -KILL "$monitor"
        wait "$pid" || true
        gone "$N$user"
    done
}

@test "a program that is setuid does not outlive its monitor" {
    mkdir root && tar -xf "$BATS_RUN_TMPDIR/rootfs-$(id -u).tar" -C root --no-same-owner
    mkdir -p root/s vol/x vol/y && cp "$PROBE" root/s/probe && chmod 4755 root/s/probe
    tar -C root --owner=0 --group=0 --numeric-owner -c . | dewar image import - setuid:1 >/dev/null
    "$DEWAR" run --rm -q --network none -u 1000 --hostname "h$N" -v "$PWD/vol:/t" setuid:1 /s/probe exchange /t x y 0 >log 2>&1 3>&- &
    pid=$!
    # Found by its host name, which no other test has.
    program() {
        for p in $(pgrep -x -f '/s/probe exchange /t x y 0'); do
            ! tr '\0' '\n' <"/proc/$p/environ" 2>/dev/null | grep -qx "HOSTNAME=h$N" || echo "$p"
        done
    }
    for _ in $(seq 100); do prog=$(program); [ -z "$prog" ] || break; sleep 0.05; done
    monitor=$(ps -o ppid= -p "$prog")
    [ "$monitor" -gt 1 ] && kill -KILL "$monitor"
    rc=0
    wait "$pid" || rc=$?
    same 125 "$rc"
    # The kernel takes its time on a busy machine.
    for _ in $(seq 100); do [ -n "$(program)" ] || break; sleep 0.05; done
    [ -z "$(program)" ]
    store_is_clean
}

@test "a file's capabilities go into a volume with it" {
    need_root # setcap
    need_program setcap libcap2-bin
    mkdir root && tar -xf "$BATS_RUN_TMPDIR/rootfs-$(id -u).tar" -C root --no-same-owner
    mkdir root/data && cp root/bin/busybox root/data/ping && setcap cap_net_raw+ep root/data/ping
    chown 1000 root/data
    tar -C root --xattrs --xattrs-include='*' --numeric-owner -c . | dewar image import - caps:1 >/dev/null
    "$DEWAR" run --rm -q --network none -v /data caps:1 sleep "$N" >log 2>&1 3>&- &
    pid=$!
    appears "$N"
    getcap -r "$DEWAR_STORE/volumes" >caps
    kill -KILL "$(pgrep -x -f "sleep $N")"
    wait "$pid" || true
    grep -q 'ping cap_net_raw' caps || { cat log caps >&2; return 1; }
}

@test "SIGTERM to run reaches the program and its status comes back" {
    "$DEWAR" run --rm -q --network none $IMG sh -c "trap 'exit 9' TERM; echo up; sleep ${N}01 & wait" >out 2>log 3>&- &
    pid=$!
    appears "${N}01"
    kill -TERM "$pid"
    rc=0
    wait "$pid" || rc=$?
    same 9 "$rc"
    gone "${N}01"
}

@test "closed stdin, stdout and stderr do not mix descriptors up" {
    here < <(printf 'FROM busybox:test\nCOPY f /f\nRUN cat /f && echo out && echo err >&2\n')
    echo text >f
    for close in '<&-' '>&-' '2>&-' '<&- >&-' '<&- >&- 2>&-' '>&- 2>&-'; do
        rc=0
        eval "timeout 20 \"\$DEWAR\" build --no-cache --progress plain -t closed . $close" >/dev/null || rc=$?
        [ "$rc" = 0 ] || { echo "build $close: $rc" >&2; return 1; }
        rc=0
        eval "timeout 20 \"\$DEWAR\" run --rm -q --network none closed cat /f $close" >/dev/null || rc=$?
        [ "$rc" -le 1 ] || { echo "run $close: $rc" >&2; return 1; }
        same text "$(R closed cat /f)"
    done
    store_is_clean
}

@test "a reader of stdout that goes away ends the command quietly" {
    here < <(printf 'FROM busybox:test\nRUN seq 200000\n')
    timeout 60 "$DEWAR" build --no-cache --progress plain -t pipe . 2>&1 | head -n 1 >/dev/null
    timeout 20 "$DEWAR" run --rm -q --network none $IMG seq 1000000 | head -n 1 >/dev/null
    store_is_clean
}

@test "with few descriptors it works or says so" {
    here < <(printf 'FROM busybox:test\nRUN echo a >/a\nRUN echo b >/b\nCOPY Dockerfile /c\n')
    for n in 64 40 24 16 12; do
        try bash -c "ulimit -n $n; exec timeout 20 $DEWAR build --no-cache -q ."
        [ "$status" = 0 ] || { [ "$status" = 1 ] && [ -n "$stderr" ] && err_has EMFILE; } || { echo "build $n" >&2; show_try; return 1; }
        try bash -c "ulimit -n $n; exec timeout 20 $DEWAR run --rm -q --network none $IMG true"
        [ "$status" = 0 ] || { [ "$status" = 125 ] && err_has EMFILE; } || { echo "run $n" >&2; show_try; return 1; }
    done
    try bash -c "ulimit -n 64; exec timeout 20 $DEWAR build --no-cache -q ."
    ok
    store_is_clean
}

@test "many stages under a limit of descriptors end with an error, not in a hang" {
    stages() {
        for i in $(seq 60); do printf 'FROM busybox:test AS s%s\nRUN echo %s >/f\n' "$i" "$i"; done
        echo 'FROM scratch'
        for i in $(seq 60); do echo "COPY --from=s$i /f /f$i"; done
    }
    here < <(stages)
    try bash -c "ulimit -n 64; exec timeout -k 2 60 $DEWAR build -q ."
    [ "$status" = 0 ] || { fails 1 EMFILE; }
    store_is_clean
}

@test "a very long line, binary output and an unfinished line pass through" {
    here <<'END'
FROM busybox:test
RUN head -c 20000000 /dev/zero | tr '\0' x
RUN head -c 3000000 /dev/urandom; printf '\033[2J\0end'; printf unfinished >&2
RUN echo done >/done
END
    for p in plain rawjson quiet; do
        try timeout 60 "$DEWAR" build --no-cache --progress "$p" -t out .
        ok
        [[ $stderr != *$'\e[2J'* ]]
    done
    same done "$(R out cat /done)"
}

@test "daemons of a step end with it and hold nothing" {
    here <<END
FROM busybox:test
RUN sleep ${N}01 & (setsid sh -c 'sleep ${N}01 & sleep ${N}01' &) ; echo started
RUN nohup sleep ${N}01 </dev/null >/dev/null 2>&1 & exit 0
END
    try timeout 20 "$DEWAR" build -q .
    ok
    gone "${N}01"
}

@test "a step reads an empty stdin, whatever ours is" {
    here < <(printf 'FROM busybox:test\nRUN cat >/in; wc -c </in >/n; read x || echo eof >>/n\n')
    id=$(yes | timeout 20 "$DEWAR" build -q .)
    try R "$id" cat /n
    same "$output" $'0\neof'
}

@test "a step cannot end what is outside" {
    here <<'END'
FROM busybox:test
RUN kill -9 1; kill -9 $PPID; kill -9 0 & sleep 0.1; kill -9 -1; echo alive >/alive
END
    try timeout 20 "$DEWAR" build -q .
    ok
    try R "$output" cat /alive
    same "$output" alive
}

@test "statuses of steps and programs: own, signals, not found, not executable" {
    while read -r want cmd; do
        rc=0
        R $IMG sh -c "$cmd" </dev/null >/dev/null 2>&1 || rc=$?
        same "$want" "$rc"
    done <<'END'
0 exit 0
255 exit 255
137 sh -c 'kill -9 $$'; exit $?
127 no-such-program
126 /etc/passwd
END
    rc=0
    R $IMG no-such-program 2>/dev/null || rc=$?
    same 127 "$rc"
    try R $IMG /etc/passwd
    fails 126
    try R $IMG /etc
    fails 126
    try R no-such-image true
    fails 125
    for s in 'exit 3' '/etc/passwd' 'no-such-program'; do
        here < <(printf 'FROM busybox:test\nRUN %s\n' "$s")
        try dewar build -q .
        fails 1 'Dockerfile:2'
    done
    here < <(printf 'FROM busybox:test\nRUN ["/nowhere"]\n')
    try dewar build -q .
    fails 1 "'/nowhere'"
}

@test "an image without a shell says what is missing" {
    here < <(printf 'FROM scratch\nCOPY f /f\nRUN true\n')
    echo x >f
    try dewar build -q .
    fails 1 "/bin/sh"
    err_has 'Dockerfile:3'
    store_is_clean
}

@test "a link as WORKDIR and in mount targets; the stubs are gone afterwards" {
    long=$(printf 'd%.0s' $(seq 200))
    here <<END
FROM busybox:test
RUN mkdir /real && ln -s /real /way && ln -s ../run /var/there && ls -l /var
WORKDIR /way/sub
RUN pwd >/pwd; echo x >y
RUN --mount=type=tmpfs,target=/var/there/stub --mount=type=tmpfs,target=/way/deep/er --mount=type=tmpfs,target=/$long/$long touch /var/there/stub/z
RUN find /run /real /$long /var/there/ | sort >/left
END
    try dewar build -q .
    ok
    id=$output
    try R "$id" cat /pwd /real/sub/y
    ok && has sub && has x || return 1
    try R "$id" cat /left
    ok && lacks stub && lacks deep && lacks "$long" || return 1
}

@test "images whose /etc is a link, a broken link or a file" {
    for kind in 'ln -s /conf root/etc' 'ln -s /nowhere root/etc' 'echo x >root/etc' 'ln -s etc root/etc'; do
        remove_tree root
        mkdir root && tar -xf "$BATS_RUN_TMPDIR/rootfs-$(id -u).tar" -C root --no-same-owner
        mv root/etc root/conf
        eval "$kind"
        tar -C root --owner=0 --group=0 --numeric-owner -c . | dewar image import - odd:1 >/dev/null
        try R odd:1 echo hello
        ok && same "$output" hello || return 1
        here < <(printf 'FROM odd:1\nRUN echo built >/built\n')
        try dewar build -q .
        ok
        try R "$output" sh -c 'cat /built; ls /conf'
        ok && has built || return 1
        cd ..
    done
}

@test "an image's link does not lead the engine's files over /proc or /dev" {
    mkdir root && tar -xf "$BATS_RUN_TMPDIR/rootfs-$(id -u).tar" -C root --no-same-owner
    for target in /proc/self/status /proc/cpuinfo /proc/version /dev/.dewar-init; do
        ln -sfn $target root/etc/hostname
        tar -C root --owner=0 --group=0 --numeric-owner -c . | dewar image import - led:1 >/dev/null
        try R --init led:1 sh -c 'grep -c . /proc/mounts >/dev/null; grep " /proc/..* " /proc/mounts | grep -v -E "/proc/(acpi|asound|bus|fs|interrupts|irq|kcore|keys|latency_stats|sched_debug|scsi|sys|sysrq-trigger|timer_list|timer_stats) "; :'
        ok && same "$output" "" || return 1
    done
}

@test "a file that changes between hashing and copying does not poison the cache" {
    need_program strace
    here < <(printf 'FROM scratch\nCOPY f /f\n')
    echo first >f
    # The copy waits, after the hash was taken.
    strace -f -qq -o /dev/null -e trace=copy_file_range,read -e inject=copy_file_range:delay_enter=1500000 \
        "$DEWAR" build -q . >id1 2>log 3>&- &
    pid=$!
    sleep 0.9
    touch -r f stamp
    echo other >f
    touch -r stamp f
    wait "$pid" || true
    echo first >f
    try dewar build -q -t changed .
    ok
    printf 'FROM busybox:test\nCOPY --from=changed /f /f\nRUN cat /f >/g\n' >../D
    try dewar build -q -f ../D .
    ok
    same first "$(R "$output" cat /g)"
}

@test "caches that are locked twice or crosswise do not wait for each other for ever" {
    m() { printf -- '--mount=type=cache,id=%s,target=/%s,sharing=%s ' "$1" "$2" "${3:-locked}"; }
    here < <(printf 'FROM busybox:test\nRUN %s echo one >/x/f\nRUN %s cat /x/f\n' "$(m a x && m a y && m a z shared)" "$(m a x shared && m a y)")
    try timeout 10 "$DEWAR" build --no-cache -q .
    ok
    here < <(printf 'FROM busybox:test AS a\nRUN %s sleep 0.1\nFROM busybox:test AS b\nRUN %s sleep 0.1\nFROM scratch\nCOPY --from=a /etc/passwd /a\nCOPY --from=b /etc/passwd /b\n' \
        "$(m a a && for i in $(seq 40); do m "s$i" "s$i" shared; done && m b b)" \
        "$(m b b && for i in $(seq 40); do m "s$i" "s$i" shared; done && m a a)")
    for _ in 1 2 3; do
        try timeout 10 "$DEWAR" build --no-cache -q .
        ok
    done
}

@test "reports go into a device or a pipe instead of its place" {
    here < <(printf 'FROM scratch\nCOPY Dockerfile /\n')
    mkfifo pipe
    cat pipe >got 3>&- &
    try timeout 10 "$DEWAR" build -q --iidfile pipe .
    ok
    wait $!
    [ -p pipe ]
    same "$output" "$(cat got)"
    tar -t <pipe >got 3>&- &
    try timeout 10 "$DEWAR" build -q -o type=tar,dest=pipe .
    ok
    wait $!
    [ -p pipe ]
    grep -q Dockerfile got
    ln -s /dev/null null
    try timeout 10 "$DEWAR" build -q --metadata-file null .
    ok
    [ -c null ]
}

@test "an archive with a nameless file is refused" {
    need_program python3
    here <<'END'
FROM scratch
ADD evil.tar /x/
END
    python3 - <<'END'
import io, tarfile
for i, name in enumerate(['.', './.', './/']):
    with tarfile.open('evil%d.tar' % i, 'w', format=tarfile.USTAR_FORMAT) as t:
        for kind in (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            m = tarfile.TarInfo('a'); m.type = tarfile.REGTYPE; t.addfile(m, io.BytesIO())
            m = tarfile.TarInfo(name); m.type = kind; m.linkname = 'a'; t.addfile(m, io.BytesIO())
END
    for i in 0 1 2; do
        cp evil$i.tar evil.tar
        try dewar build -q .
        [ "$status" = 1 ] || [ "$status" = 0 ]
        [[ $stderr != *'worker process died'* ]] || { show_try; return 1; }
        try dewar build -q - <evil$i.tar
        [ "$status" -le 1 ] || { show_try; return 1; }
    done
}
