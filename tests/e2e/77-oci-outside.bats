#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# What an OCI container has to do with others: hooks that fail, who answers for a seccomp filter, and
# the words of the command line that callers give.

load helpers
load oci

# --- hooks -----------------------------------------------------------------------------------------

hook() { change ".hooks.$1=[{path:\"/bin/sh\",args:[\"sh\",\"-c\",$(jq -nc '$ARGS.positional[0]' --args -- "$2")]${3:+,$3}}]"; }

@test "a hook of any kind that fails tells its status and what it said, its limit, its signal" {
    local kind
    for kind in prestart createRuntime createContainer startContainer; do
        change 'del(.hooks)'
        hook $kind 'echo first >&2; echo "no such card" >&2; exit 7'
        try oci run "$ID"
        fails 1 "$kind hooks"
        err_has "the hook '/bin/sh' failed with status 7: first; no such card"
        hook $kind 'kill -9 $$'
        try oci run "$ID"
        fails 1 "the hook '/bin/sh' was ended by signal 9"
        hook $kind 'echo waiting >&2; exec sleep 1000' timeout:1
        try oci run "$ID"
        fails 1 "the hook '/bin/sh' did not end within 1 s: waiting"
        change ".hooks.$kind=[{path:\"/no/hook\"}]"
        try oci run "$ID"
        fails 1 "the hook '/no/hook' failed with status 127: it cannot be executed: ENOENT"
        same "$(oci list -q)" ''
    done
}

@test "a startContainer hook that fails is told by start, and the container has ended" {
    hook startContainer 'echo odd >&2; exit 3'
    make
    try oci --log log --log-format json start "$ID"
    fails 1 "running startContainer hooks"
    jq -e 'select(.level == "error") | .msg | test("status 3: odd")' log
    wait_status stopped
}

@test "of much that a hook says the end is told, and a child of its that goes on keeps nobody waiting" {
    hook createContainer 'seq 100000 >&2; sleep 100 >/dev/null & exit 4' timeout:20
    local began=$SECONDS
    try oci run "$ID"
    fails 1 "failed with status 4: 99"
    err_has "99999; 100000"
    [ $((SECONDS - began)) -lt 20 ]
    same "$(grep -c '^[0-9]*$' <<<"$stderr")" 100000 # all of it went where ours goes
    hook poststart 'echo late >&2; exit 5'
    change 'del(.hooks.createContainer)'
    args true
    try oci --log log run "$ID"
    ok
    grep -q "status 5: late" log
}

# --- who answers for a seccomp filter --------------------------------------------------------------

# agent.py MODE: what it does with a listener. Prints "ready", then a line of JSON for each that it took.
agent() {
    cat >agent.py <<'END'
import array, errno, fcntl, json, os, select, socket, struct, sys, time
mode, taken = sys.argv[1], []
s = socket.socket(socket.AF_UNIX)
s.bind("agent.sock")
s.listen(0 if mode == "full" else 8)
if mode == "full":
    first = socket.socket(socket.AF_UNIX)
    first.connect("agent.sock")
print("ready", flush=True)
if mode in ("full", "idle"):
    time.sleep(1000)
while True:
    for fd in select.select([s, *taken], [], [])[0]:
        if fd is s:
            conn, _ = s.accept()
            if mode == "deaf":
                time.sleep(1000)
            if mode == "rude":
                conn.close()
                continue
            text, fds, _, _ = conn.recvmsg(65536, socket.CMSG_LEN(4))
            while more := conn.recv(65536):
                text += more
            if mode != "mute":
                taken.append(array.array("i", fds[0][2])[0])
            print(json.dumps(json.loads(text)), flush=True)
            continue
        note = bytearray(80)
        try:
            fcntl.ioctl(fd, 0xC0502100, note)
        except OSError:
            taken.remove(fd)
            os.close(fd)
            continue
        ident, _, _, nr = struct.unpack_from("QIIi", note)
        # mkdir and mkdirat get an answer, all else may go on.
        answer = (ident, 0, -errno.EXDEV, 0) if nr in (83, 258) else (ident, 0, 0, 1)
        fcntl.ioctl(fd, 0xC0182101, struct.pack("QqiI", *answer))
END
    rm -f agent.sock
    python3 agent.py "$1" >agent.out 3>&- &
    agent=$!
    for _ in $(seq 100); do grep -q ready agent.out && break; sleep 0.05; done
}
end_agent() { kill "$agent"; wait "$agent" || true; }
notify() {
    change ".linux.seccomp={defaultAction:\"SCMP_ACT_ALLOW\",listenerPath:\"$WORK/agent.sock\",listenerMetadata:\"card=7\",
        syscalls:[{names:[\"$1\"],action:\"SCMP_ACT_NOTIFY\"}]}"
}

@test "whoever answers for a seccomp filter is given the listener and the state, of exec as well" {
    [ "$(uname -m)" = x86_64 ] || skip "the agent knows the numbers of x86_64"
    agent answer
    notify mkdir
    change '.annotations={"who":"me"}'
    sh_args 'mkdir /tmp/x; echo $?; sleep 1000'
    make
    oci start "$ID"
    for _ in $(seq 100); do grep -q 1 "$BATS_TEST_TMPDIR/out" && break; sleep 0.05; done
    grep -q "Invalid cross-device link" "$BATS_TEST_TMPDIR/out"
    local pid
    pid=$(oci state "$ID" | jq .pid)
    same "$(sed -n 2p agent.out | jq -c '[.fds,.pid,.metadata,.state.id,.state.pid,.state.bundle,.state.annotations]')" \
        "[[\"seccompFd\"],$pid,\"card=7\",\"$ID\",$pid,\"$WORK\",{\"who\":\"me\"}]"
    same "$(sed -n 2p agent.out | jq -r .ociVersion)" "$(jq -r .ociVersion config.json)"
    try oci exec "$ID" mkdir /tmp/y
    fails 1 "Invalid cross-device link"
    same "$(sed -n 3p agent.out | jq -c '[.fds,.state.pid]')" "[[\"seccompFd\"],$pid]"
    [ "$(sed -n 3p agent.out | jq .pid)" != "$pid" ]
    oci delete -f "$ID"
    # The first system call of the program itself is one that they answer for.
    notify execve
    sh_args 'echo ran'
    try oci run "$ID"
    ok
    has ran
    same "$(sed -n 4p agent.out | jq -c .state.annotations)" '{"who":"me"}'
    end_agent
}

@test "a receiver that does not take the listener is named within seconds, and nothing runs" {
    local mode began=$SECONDS
    notify mkdir
    sh_args 'echo ran'
    agent rude
    try oci run "$ID"
    fails 1 "it hung up unread"
    lacks ran
    end_agent
    # Whoever sends waits for them: all at once.
    for mode in full idle deaf; do
        mkdir $mode
        sed "s,$WORK/agent.sock,$WORK/$mode/agent.sock," config.json >$mode/config.json
        (cd $mode && agent $mode && echo $! >pid)
        (code=0; oci run -b $mode "$ID-$mode" >$mode/out 2>&1 </dev/null || code=$?; echo $code >$mode/code) 3>&- &
    done
    for mode in full idle deaf; do
        for _ in $(seq 300); do [ -s $mode/code ] && break; sleep 0.1; done
        kill "$(cat $mode/pid)"
        same "$mode $(cat $mode/code)" "$mode 1"
    done
    grep -q "took no connection within 10 s" full/out
    grep -q "did not take the listener within 10 s" idle/out
    grep -q "did not take the listener within 10 s" deaf/out
    same "$(cat ./*/out | grep -c '^ran')" 0
    [ $((SECONDS - began)) -lt 40 ]
    same "$(oci list -q)" ''
}

@test "a receiver that lets the program wait does not let start wait for ever" {
    agent mute
    notify execve
    sh_args 'echo ran'
    make
    local began=$SECONDS
    try oci start "$ID"
    ok
    err_has "waits for '$WORK/agent.sock' to answer"
    [ $((SECONDS - began)) -lt 20 ]
    end_agent
}

@test "a listener that nobody asks for is not looked for; one that cannot work is refused" {
    notify mkdir
    change '.linux.seccomp.syscalls[0].action="SCMP_ACT_ERRNO" | .linux.seccomp.flags=["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]'
    args true
    try oci run "$ID"
    ok
    notify sendmsg
    agent answer
    try oci run "$ID"
    fails 1 "SCMP_ACT_NOTIFY cannot be used for 'sendmsg'"
    notify mkdir
    change '.linux.seccomp.defaultAction="SCMP_ACT_NOTIFY"'
    try oci run "$ID"
    fails 1 "cannot be the defaultAction"
    notify mkdir
    change 'del(.linux.seccomp.listenerPath)'
    try oci run "$ID"
    fails 1 "SCMP_ACT_NOTIFY needs a listenerPath"
    end_agent
}

@test "a console socket that nobody serves is named within seconds" {
    change '.process.terminal=true'
    agent full
    local began=$SECONDS
    try oci create --console-socket agent.sock "$ID"
    fails 1 "'agent.sock' took no connection within 10 s"
    [ $((SECONDS - began)) -lt 20 ]
    same "$(oci list -q)" ''
    end_agent
}

# --- words of the command line ---------------------------------------------------------------------

@test "each word of runc's nine verbs is taken, and what we do not have says so in one line" {
    local word verb
    for verb in create start state kill delete run exec list features ps events pause resume spec update; do
        oci $verb --help >help.$verb
        command -v runc >/dev/null || continue
        for word in $(runc $verb --help | grep -oE '^ +--[a-z0-9-]+' | grep -vE -- '--(l3-cache|mem-bw)-schema'); do
            grep -q -- "$word" help.$verb || { echo "$verb $word"; return 1; }
        done
    done
    for verb in checkpoint restore; do
        try oci $verb --image-path x "$ID"
        fails 1 "$verb is not supported"
        same "$(wc -l <<<"$stderr")" 2 # the second one is the hint
    done
    background
    try oci update --l3-cache-schema x "$ID"
    fails 1 "Intel RDT"
}

@test "with --debug each call has a line in the log" {
    oci --debug --log log --log-format json list -q
    same "$(jq -r '.level + " " + .msg' log)" "debug called: list -q"
}

@test "exec --cgroup runs in a group below the container's" {
    need_root
    [ ! -e /sys/fs/cgroup/cgroup.controllers ] || skip "cgroup v2"
    change ".linux.cgroupsPath=\"/dewar-$ID\""
    background
    mkdir "/sys/fs/cgroup/pids/dewar-$ID/sub"
    # shellcheck disable=SC2016
    try oci exec --cgroup pids:sub "$ID" sh -c 'grep -E "pids|freezer" /proc/self/cgroup'
    ok
    has ":pids:/sub"
    has ":freezer:/"
    lacks ":freezer:/sub"
    try oci exec --cgroup pids:../../.. "$ID" sh -c 'grep pids /proc/self/cgroup'
    has ":pids:/" # its own top, nothing above
    same "$(grep -c . "/sys/fs/cgroup/pids/cgroup.procs" | head -1 | wc -l)" 1
    try oci exec --cgroup pids:none "$ID" true
    fails 255 none
    try oci exec --cgroup odd:sub "$ID" true
    fails 255 "no group of that controller"
    rmdir "/sys/fs/cgroup/pids/dewar-$ID/sub"
}

@test "sockets of a service are handed on, and the program is told" {
    sh_args 'echo $LISTEN_FDS $LISTEN_PID; ls /proc/self/fd | tr "\n" " "'
    try bash -c "exec 3<config.json 4<config.json; export LISTEN_FDS=2; exec $DEWAR oci --root $STATE run $ID"
    same "$output" $'2 1\n0 1 2 3 4 5 ' # 5 is ls's
    try bash -c "exec 3<config.json; export LISTEN_FDS=1 LISTEN_PID=$$; $DEWAR oci --root $STATE run $ID"
    same "$output" $'\n0 1 2 3 ' # they are somebody else's
}
