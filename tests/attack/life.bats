#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Hostile containers and images against the commands that look after what runs: exec, ps, inspect,
# logs. A name in front is an attack of the table in the security notes; its legal twin stands with it.
load ../e2e/helpers
load trojan

EXECS=${EXECS:-150}
D() { dewar run -d -q --network none "$@"; }
test_teardown() {
    local id
    for id in $(dewar ps -aq); do dewar rm -f -v "$id" >/dev/null; done
}
wait_for() {
    for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done
    echo "waited in vain for: $*" >&2
    return 1
}

@test "A1 A3: nothing of dewar's can be opened or read from inside while programs join" {
    mkdir -m 777 hits canary
    # Root with SYS_PTRACE in nobody's namespace but this machine's may look at everything; a user's may not.
    local -a caps=(--cap-add DAC_OVERRIDE --cap-add DAC_READ_SEARCH)
    is_root || caps+=(--cap-add SYS_PTRACE)
    id=$(D "${caps[@]}" -v "$PWD/hits:/hits" $IMG sh -c ': >/hits/up; while :; do for p in /proc/[0-9]*; do
        (: >>$p/exe) 2>/dev/null && echo "wrote $p" >>/hits/seen
        readlink $p/exe | grep -v -e /bin/busybox -e /dev/ >>/hits/seen
        tr "\0" "\n" <$p/environ 2>/dev/null | grep HOST_SECRET >>/hits/seen
        ls -l $p/fd 2>/dev/null | grep -E "canary|store|containers" >>/hits/seen
        grep -s dewar $p/maps >>/hits/seen
        done; done')
    wait_for test -e hits/up
    before=$(sha256sum <"$DEWAR")
    for ((at = 0; at < EXECS; at++)); do
        HOST_SECRET=1 "$DEWAR" exec "$id" true 7<canary </dev/null
    done
    [ ! -s hits/seen ] || { head hits/seen >&2; return 1; }
    same "$(sha256sum <"$DEWAR")" "$before"
    # The twin: a program of the container's own is seen.
    dewar exec -d -e SHOWN=1 "$id" sleep 1000
    wait_for dewar exec "$id" sh -c 'cat /proc/*/environ 2>/dev/null | tr "\0" "\n" | grep SHOWN'
}

# Opens dewar's program file when a process shows it, and writes it as soon as nobody executes it.
WATCH='while :; do for p in /proc/[0-9]*; do
    [ "$(stat -Lc %d:%i $p/exe)" = "$(cat /hits/dewar)" ] || continue
    (exec 9<$p/exe && echo $p >>/hits/opened && for _ in 1 2 3 4 5 6 7 8 9; do
        (echo x >>/proc/self/fd/9) && { echo $p >>/hits/written; break; }; sleep 0.2; done) &
    done; done 2>/dev/null'
watched() { # slowly past whoever looks
    : >hits/opened
    : >hits/written
    strace -qq -f -o trace -e trace=capset -e inject=capset:delay_enter=150000 "$MINE" "$@" </dev/null
    sleep 2 # for its trying again and again
    ! test -s hits/written || { echo "written by way of: $*" >&2; return 1; }
    same "$(sha256sum <"$MINE")" "$SUM"
}

@test "A1: who may trace what joins a container gets hold of a copy alone; twin: others of nothing" {
    need_root
    need_program strace strace
    local original=$DEWAR verb
    local -a watcher=(-v "$PWD/hits:/hits" "$IMG" sh -c "$WATCH")
    mkdir -m 777 hits
    my_dewar
    MINE=$DEWAR DEWAR=$original # the monitors' is always executed
    stat -c %d:%i "$MINE" >hits/dewar
    plain=$(D $IMG sleep 1000)
    alone=$(D "${watcher[@]}")
    tracer=$(D --cap-add SYS_PTRACE "${watcher[@]}")
    watched exec "$alone" true
    test ! -s hits/opened
    watched exec "$tracer" true
    test -s hits/opened
    watched run --rm -q --network none --pid "container:$tracer" $IMG true
    test -s hits/opened
    joined=$(dewar create --network none --pid "container:$tracer" $IMG true)
    for verb in start restart; do
        watched "$verb" "$joined"
        test -s hits/opened
    done
    dewar rm -f "$tracer" "$alone" >/dev/null
    # Those that come later: with a container of their own, or by a privileged exec.
    watched exec "$plain" true
    test ! -s hits/opened
    guest=$(D --pid "container:$plain" --cap-add SYS_PTRACE "${watcher[@]}")
    watched exec "$plain" true
    test -s hits/opened
    dewar rm -f "$guest" "$plain" >/dev/null
    plain=$(D -v "$PWD/hits:/hits" $IMG sleep 1000)
    dewar exec -d --privileged "$plain" sh -c "$WATCH"
    watched exec "$plain" true
    test -s hits/opened
}

@test "A1: a program of exec that is whatever executes it cannot write dewar" {
    mkdir root && tar -xf "$BATS_RUN_TMPDIR/rootfs-$(id -u).tar" -C root --no-same-owner
    trojan root
    cp "$TOOLS/probe" root/then
    tar -C root --owner=0 --group=0 --numeric-owner -c . | dewar image import - hostile:1 >/dev/null
    local original=$DEWAR how
    local -a more=()
    ! is_root || more=(--cap-add SYS_PTRACE)
    my_dewar
    MINE=$DEWAR DEWAR=$original # the monitors' is always executed
    for how in "" "-u 1234" --privileged; do
        for id in $(D hostile:1 sleep 1000) $(D "${more[@]}" hostile:1 sleep 1000); do
            # shellcheck disable=SC2086
            timeout -s KILL 3 "$MINE" exec $how "$id" /evil >"out-$id" 2>&1 </dev/null || true
            sleep 0.2 # for its trying again and again
            same "$(sha256sum <"$MINE")" "$SUM"
            # shellcheck disable=SC2086
            try "$MINE" exec $how "$id" /good
            ok && has good || return 1
            dewar rm -f "$id" >/dev/null
        done
    done
}

@test "A2: a working folder of exec is inside; twin: an absolute link of the image's" {
    id=$(D $IMG sh -c 'ln -s /etc /link; ln -s /proc/1/root/../.. /up; mkfifo /tmp/x; sleep 1000')
    wait_for dewar exec "$id" test -p /tmp/x
    exec 8<.
    for n in $(seq 3 24); do
        try dewar exec -w "/proc/self/fd/$n" "$id" pwd
        [ "$status" != 0 ] || { show_try; return 1; }
    done
    exec 8<&-
    for place in /proc/1/cwd /proc/self/root /proc/1/root/..; do
        try dewar exec -w "$place" "$id" sh -c 'pwd; ls /'
        [ "$status" != 0 ] || { has bin && lacks "$PWD" || return 1; }
    done
    try dewar exec -w /link "$id" pwd
    ok && same "$output" /etc || return 1
    # The shell closes the 0 of what goes to the background before it opens another.
    try dewar exec "$id" sh -c 'sleep 5 & sleep 0.5; ls /proc/$!/fd'
    same "$output" $'0\n1\n2'
}

@test "A19: no label of an image's or of a caller's steers anything; twin: the same image without" {
    ctx
    {
        echo "FROM $IMG"
        for key in io.dewar.network io.dewar.privileged com.docker.network.bridge.name \
            io.podman.annotations.privileged io.podman.annotations.seccomp io.podman.annotations.label \
            org.systemd.property.ExecStart run.oci.handler run.oci.hooks.stderr run.oci.systemd.subgroup \
            io.containers.capabilities containerd.io/log-uri com.docker.compose.project io.kubernetes.cri.sandbox \
            cgroup.memory.max; do
            echo "LABEL $key=\"/etc/passwd privileged=true host ALL\""
        done
    } >Dockerfile
    labelled=$(build_id)
    printf 'FROM %s\nLABEL a=b\n' $IMG >Dockerfile
    for image in "$(build_id)" "$labelled"; do
        id=$(D --label run.oci.handler=krun --label io.dewar.privileged=true "$image" sleep 1000)
        dewar exec "$id" sh -c 'grep -E "^(Cap|Seccomp|NoNewPrivs|Uid|Gid|Groups)" /proc/1/status; grep -v " / overlay" /proc/mounts; cat /proc/1/limits; ls /dev /sys/class/net' \
            >"../seen.$(echo "$image" | tr -c 'a-z0-9\n' _)"
        dewar inspect --format '{{json .HostConfig}}{{json .Mounts}}{{json .Config.Env}}' "$id" \
            >>"../seen.$(echo "$image" | tr -c 'a-z0-9\n' _)"
        dewar rm -f "$id"
    done
    cd ..
    same "$(ls seen.* | wc -l)" 2
    diff seen.* >&2
}

@test "F5: control bytes of names, commands, labels and logs do not reach a terminal; twin: plain text does" {
    evil=$'\e]0;owned\a\xc2\x9b31m\xe2\x80\xae'
    clean() { ! LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1a\x1b\x7f]\|\xc2\x9b\|\xe2\x80\xae'; }
    id=$(D --label "k=$evil" --hostname plain -e "E=$evil" $IMG sh -c 'sleep 1000' "$evil")
    # On a terminal with colours the labels of an error have them, and nothing else.
    ours() { sed -E 's/^\x1b\[[0-9;]+m(dewar: error: |  cause: |  hint: )\x1b\[0m/\1/'; }
    for term in dumb xterm; do
        for say in 'ps --no-trunc' 'ps -a' "inspect $id" "container inspect $id" 'ps --format {{.Labels}}' 'ps --format json' \
            "ps --format 'table {{.Command}}\t{{.Labels}}'"; do
            on_tty "TERM=$term $DEWAR $say" >shown
            clean <shown || { cat -v shown >&2; echo "by $say" >&2; return 1; }
        done
        for wrong in "rm" "logs" "stop" "exec" "start" "inspect" "attach" "kill" "wait" "update -m 64m" "rename x"; do
            # shellcheck disable=SC2086 # words
            on_tty "TERM=$term $DEWAR $wrong '$evil' true" >raw 2>&1 || true
            if [ $term = dumb ]; then clean <raw; else ours <raw >shown; clean <shown; fi ||
                { cat -v raw >&2; echo "by $wrong" >&2; return 1; }
        done
    done
    on_tty "$DEWAR ps --no-trunc" | grep -q 'sleep 1000'
    # What a program says is its own, as with a program that runs here: to a pipe it comes byte for byte.
    talk=$(D $IMG printf '\033[1mbold\n')
    dewar wait "$talk" >/dev/null
    same "$(dewar logs "$talk" | od -c)" "$(printf '\033[1mbold\n' | od -c)"
}

@test "A17: ids and names of containers are never paths; twin: dots and dashes" {
    mkdir -p canary/x && echo y >canary/x/f
    before=$(tree_hash canary)
    long=$(head -c 5000 /dev/zero | tr '\0' a)
    for name in .. . a/b ../../canary/x /etc/x '%2e%2e' "$long" -x 'a b' $'a\nb' '' names; do
        for verb in "rm" "start" "stop -t 0" "kill" "rename" "update --restart no" "inspect --type container" "exec"; do
            # shellcheck disable=SC2086 # words
            try timeout 20 "$DEWAR" $verb -- "$name" true
            [ "$status" != 0 ] || { echo "$verb '$name'" >&2; show_try; return 1; }
        done
        [ "$name" = names ] || { try dewar create --name "$name" --network none $IMG true; [ -z "$name" ] || fails 125; }
    done
    same "$(tree_hash canary)" "$before"
    id=$(dewar create --name a.b-c_d --network none $IMG true)
    dewar rename a.b-c_d 0.x-
    dewar rm 0.x-
    # One slash in front is Docker's own way to write a name.
    dewar create --name /etc --network none $IMG true
    same "$(dewar inspect -f '{{.Name}}' etc)" /etc
    dewar rm etc
}
