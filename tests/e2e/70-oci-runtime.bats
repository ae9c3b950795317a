#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# `dewar oci`: bundles of our own through the life of a container, as root and as an ordinary user
# (whose bundles have a user namespace with their own id alone).

load helpers
load oci

@test "run prints what the program prints and gives its status" {
    sh_args 'echo out; echo err >&2; exit 7'
    try oci run "$ID"
    fails 7 err
    has out
    try oci state "$ID"
    fails 1 "container does not exist"
}

@test "a signal that ends the program gives 128 and its number" {
    local -A wanted=([RTMIN]=34 [SIGRTMIN+3]=37 [RTMAX-27]=37)
    local name
    sh_args 'echo up; sleep 1000'
    oci run "$ID" >out 2>&1 </dev/null &
    wait_status running
    oci kill "$ID" KILL
    code=0
    wait $! || code=$?
    same "$code" 137
    sh_args 'for n in 34 37; do trap "exit $n" $n; done; while :; do sleep 0.05; done'
    for name in RTMIN SIGRTMIN+3 RTMAX-27; do
        oci run "$ID" >out 2>&1 </dev/null &
        wait_status running
        oci kill "$ID" $name
        code=0
        wait $! || code=$?
        same "$name $code" "$name ${wanted[$name]}"
    done
}

@test "create, start, kill, delete, and what each state refuses" {
    sh_args 'trap "exit 3" TERM; echo up; sleep 1000 & wait'
    make --pid-file pid
    status_is created
    same "$(cat pid)" "$(oci state "$ID" | jq .pid)"
    same "$(cat "$BATS_TEST_TMPDIR/out")" ''
    try oci create "$ID"
    fails 1 "container with id exists"
    try oci delete "$ID"
    fails 1 "not stopped"
    oci start "$ID"
    status_is running
    try oci start "$ID"
    fails 1 "cannot start a container that is running"
    try oci delete "$ID"
    fails 1 "not stopped"
    oci kill "$ID" TERM
    wait_status stopped
    same "$(cat "$BATS_TEST_TMPDIR/out")" up
    try oci kill "$ID" TERM
    fails 1 "container not running"
    try oci start "$ID"
    fails 1 "cannot start a container that is stopped"
    oci delete "$ID"
    try oci delete "$ID"
    fails 1 "container does not exist"
    oci delete --force "$ID"
    same "$(find "$STATE" -mindepth 1 -maxdepth 1 ! -name .filters | wc -l)" 0
}

@test "state has what the specification wants" {
    change '.annotations={"a.b":"c"}'
    make
    oci state "$ID" >got
    same "$(jq -r '[.id,.status,.bundle,.annotations["a.b"]]|join(" ")' got)" "$ID created $WORK c"
    same "$(jq -r .ociVersion got)" "$(jq -r .ociVersion config.json)"
    test -d "/proc/$(jq .pid got)"
    same "$(oci list -f json | jq -r '.[].id')" "$ID"
    oci list | grep -q "^$ID .* created "
}

@test "delete --force ends a container that runs, and one at the gate" {
    background
    pid=$(oci state "$ID" | jq .pid)
    oci delete --force "$ID"
    gone "$pid"
    make
    pid=$(oci state "$ID" | jq .pid)
    oci delete --force "$ID"
    gone "$pid"
}

@test "a container killed at the gate is stopped, and start says so" {
    make
    oci kill "$ID" KILL
    wait_status stopped
    try oci start "$ID"
    fails 1 "that is stopped"
    oci delete "$ID"
}

@test "a create that is killed leaves no process, and its folder can be deleted" {
    change ".hooks={createRuntime:[{path:\"/bin/sh\",args:[\"sh\",\"-c\",\"cat >$WORK/seen; sleep 3\"]}]}"
    "$DEWAR" oci --root "$STATE" create "$ID" </dev/null >/dev/null 2>&1 3>&- &
    creator=$!
    for _ in $(seq 100); do [ -s seen ] && break; sleep 0.05; done
    init=$(jq .pid seen)
    kill -0 "$init"
    kill -9 "$creator"
    wait "$creator" || true
    for _ in $(seq 40); do gone "$init" && break; sleep 0.05; done
    gone "$init"
    status_is creating
    try oci delete "$ID"
    fails 1 "is being created"
    oci delete --force "$ID"
    same "$(oci list -q)" ''
    change 'del(.hooks)'
    make
    status_is created
}

@test "the control groups of a create that was killed go with delete --force" {
    is_root || skip "pause, ps and update need groups"
    change '.hooks.createRuntime=[{"path":"/bin/sh","args":["sh","-c","kill -9 $PPID; sleep 0.2"]}]'
    try oci create "$ID" </dev/null
    [ "$status" != 0 ]
    [ -n "$(find /sys/fs/cgroup -name "$ID")" ]
    status_is creating
    for _ in $(seq 50); do [ -n "$(find /sys/fs/cgroup -path "*/$ID/cgroup.procs" -exec cat {} +)" ] || break; sleep 0.1; done
    oci delete --force "$ID"
    [ -z "$(find /sys/fs/cgroup -name "$ID")" ]
}

@test "a control group that others are in is refused, and left as it is" {
    is_root || skip "pause, ps and update need groups"
    local top
    for top in /sys/fs/cgroup/freezer /sys/fs/cgroup; do [ ! -e "$top/cgroup.procs" ] || break; done
    mkdir -p "$top/theirs$$/below"
    sleep 1000 &
    echo $! >"$top/theirs$$/cgroup.procs"
    change ".linux.cgroupsPath=\"/theirs$$\""
    try oci create "$ID" </dev/null
    kill $!
    fails 1 "in use"
    test -d "$top/theirs$$/below"
    for _ in $(seq 50); do ! rmdir "$top/theirs$$/below" "$top/theirs$$" 2>/dev/null || break; sleep 0.1; done
}

@test "ids are names, never paths" {
    for id in .. . a/b '' -x /etc "$(printf 'x%.0s' $(seq 200))" $'a\nb' 'a b'; do
        try oci create -- "$id"
        [ "$status" != 0 ]
    done
    [ ! -e "$STATE" ] || same "$(find "$STATE" -mindepth 1 -maxdepth 1 | wc -l)" 0
}

@test "a bundle that changes after create has no effect" {
    sh_args 'echo first'
    make
    sh_args 'echo second'
    oci start "$ID"
    wait_status stopped
    same "$(cat "$BATS_TEST_TMPDIR/out")" first
}

@test "a missing program is told at start, and at create to who manages" {
    args /no/such
    make
    try oci start "$ID"
    fails 1 "no such file in the container"
    oci delete --force "$ID"
    try oci --log log --log-format json create "$ID"
    fails 1 "no such file"
    jq -e 'select(.level=="error") | .msg | test("executable file not found in \\$PATH")' log
    same "$(oci list -q)" ''
}

@test "without a process it can be created and never started" {
    change 'del(.process)'
    make
    status_is created
    try oci start "$ID"
    fails 1 "no 'process'"
}

@test "user, groups, umask, cwd, environment and HOME are as the bundle says" {
    change '.process.cwd="/new/dir" | .process.env=["PATH=/bin","A=b c"] | .process.user.umask=63 | .root.readonly=false'
    sh_args 'pwd; echo "$A $HOME"; umask; id -u'
    cp -a "$BATS_FILE_TMPDIR/rootfs" r
    change '.root.path="r"'
    try oci run "$ID"
    ok
    same "$output" $'/new/dir\nb c /root\n0077\n0'
    is_root || return 0
    change '.process.user={"uid":1000,"gid":1000,"additionalGids":[5,77]}'
    sh_args 'id; echo $HOME'
    try oci run "$ID"
    has "uid=1000(user) gid=1000(user) groups=5,77"
    has /home/user
}

@test "the five capability sets are exactly those given" {
    change '.process.capabilities={"bounding":["CAP_KILL","CAP_CHOWN"],"permitted":["CAP_KILL","CAP_CHOWN"],"effective":["CAP_KILL"],"inheritable":["CAP_KILL"],"ambient":["CAP_KILL"]}'
    args cat /proc/self/status
    try oci run "$ID"
    has "CapInh:"$'\t'"0000000000000020"
    has "CapPrm:"$'\t'"0000000000000021"
    has "CapBnd:"$'\t'"0000000000000021"
    has "CapAmb:"$'\t'"0000000000000020"
    has "NoNewPrivs:"$'\t'"1"
}

@test "an unknown capability is an error for 1.0 and a warning for 1.1" {
    args true
    change '.process.capabilities.bounding+=["CAP_TEST"] | .ociVersion="1.0.2"'
    try oci run "$ID"
    fails 1 "unknown capability 'CAP_TEST'"
    change '.ociVersion="1.1.0"'
    try oci --log log --log-format json run "$ID"
    ok
    jq -e 'select(.level=="warning") | .msg | test("CAP_TEST")' log
}

@test "limits are set, and an unknown or repeated one is refused" {
    change '.process.rlimits=[{"type":"RLIMIT_NOFILE","soft":200,"hard":300}]'
    sh_args 'ulimit -Sn; ulimit -Hn'
    try oci run "$ID"
    same "$output" $'200\n300'
    change '.process.rlimits+=[{"type":"RLIMIT_NOFILE","soft":20,"hard":30}]'
    try oci run "$ID"
    fails 1 "stands there twice"
    change '.process.rlimits=[{"type":"RLIMIT_TEST","soft":20,"hard":30}]'
    try oci run "$ID"
    fails 1 "unknown type 'RLIMIT_TEST'"
    change '.process.rlimits=[{"type":"RLIMIT_CORE","soft":0,"hard":18446744073709551615}]'
    args true
    [ "$(ulimit -Hc)" != unlimited ] || { try oci run "$ID"; ok; }
}

@test "mounts come in the order given, with their options" {
    mkdir -p src/sub && echo data >src/file && echo deep >src/sub/f
    change '.mounts+=[
        {"destination":"/tmp/a","type":"bind","source":"src","options":["rbind","ro","nosuid","noexec"]},
        {"destination":"/tmp/a/sub","type":"tmpfs","source":"tmpfs","options":["size=64k","mode=700"]},
        {"destination":"/tmp/one","type":"bind","source":"src/file","options":["bind","rw"]}] | .root.readonly=false'
    cp -a "$BATS_FILE_TMPDIR/rootfs" r
    change '.root.path="r"'
    sh_args 'cat /tmp/a/file; ls -A /tmp/a/sub; echo x >/tmp/a/new || echo ro; echo y >/tmp/a/sub/new && echo rw; grep " /tmp/a " /proc/mounts; stat -c %a /tmp/a/sub; echo z >/tmp/one'
    try oci run "$ID"
    ok
    has data
    lacks deep
    has $'ro\nrw'
    has "ro,nosuid,noexec"
    has 700
    same "$(cat src/file)" z
    change '.mounts[-1].source="absent"'
    try oci run "$ID"
    fails 1 "absent"
}

@test "mounts are listed in the order given, and none of the host's beside them" {
    mkdir src && : >file
    change '.mounts+=[
        {"destination":"/tmp/a","type":"tmpfs","source":"tmpfs"},
        {"destination":"/tmp/b","type":"bind","source":"src","options":["bind"]},
        {"destination":"/tmp/c","type":"tmpfs","source":"tmpfs"},
        {"destination":"/tmp/d","source":"src","options":["rbind","rslave"]},
        {"destination":"/tmp/e","source":"file","options":["bind","ro"]}] | .root.path="r" | .root.readonly=false'
    cp -a "$BATS_FILE_TMPDIR/rootfs" r
    sh_args 'cut -d" " -f5 /proc/self/mountinfo'
    try oci run "$ID"
    ok
    same "$(grep ^/tmp <<<"$output")" $'/tmp/a\n/tmp/b\n/tmp/c\n/tmp/d\n/tmp/e'
    same "$(grep -vE '^/(proc|sys|dev|tmp)' <<<"$output")" /
    is_root || return 0
    # The host's own root as the container's: what is on top of it after the pivot must be found.
    change '.root.path="/" | .root.readonly=true | .mounts|=map(select(.destination|startswith("/tmp/")|not))'
    change ".mounts+=[{destination:\"$WORK/src\",source:\"$WORK\",options:[\"bind\"]}]"
    sh_args "grep -c ' / / ' /proc/self/mountinfo; ls $WORK/src/file"
    try oci run "$ID"
    ok
    same "$output" $'1\n'"$WORK/src/file"
}

@test "without a mount namespace it has the host's, its own root, and leaves no mount" {
    change '.linux.namespaces|=map(select(.type!="mount"))'
    sh_args 'readlink /proc/self/ns/mnt; echo /b* /proc/sel*; sleep 1000'
    if ! is_root; then # the kernel would not let it back
        sh_args 'readlink /proc/self/ns/mnt'
        try oci run "$ID"
        ok
        [ "$output" != "$(readlink /proc/self/ns/mnt)" ]
        return
    fi
    host=$(readlink /proc/self/ns/mnt)
    oci --log log run -d "$ID" </dev/null >out 2>&1
    grep -q "without a mount namespace" log
    for _ in $(seq 50); do [ -s out ] && break; sleep 0.05; done
    same "$(cat out)" "$host"$'\n/bin /proc/self'
    try oci exec "$ID" sh -c 'readlink /proc/self/ns/mnt; echo /b* /proc/sel* /../../b*'
    same "$output" "$host"$'\n/bin /proc/self /../../bin'
    oci delete --force "$ID"
    same "$(grep -c "$BATS_FILE_TMPDIR/rootfs" /proc/self/mounts)" 0
}

@test "masked and read-only paths, a read-only root" {
    change '.linux.maskedPaths+=["/etc/passwd","/etc/none","/home"] | .linux.readonlyPaths+=["/tmp"]'
    sh_args 'wc -c </etc/passwd; stat -c %t:%T /etc/passwd; ls -A /home | wc -l; (echo x >/tmp/x) 2>&1; (echo x >/home/x) 2>&1; (echo x >/x) 2>&1; test -s /proc/timer_list || echo masked'
    try oci run "$ID"
    ok
    same "${lines[0]} ${lines[1]} ${lines[2]}" "0 1:3 0"
    same "$(grep -c 'Read-only file system' <<<"$output")" 3
    has masked
    # Not only because the root is.
    change '.root.readonly=false'
    sh_args 'echo x >/x && echo root; (echo x >/tmp/x) 2>&1'
    try oci run "$ID"
    fails 1 && same "${lines[0]}" root && has "/tmp/x: Read-only file system" || return 1
}

@test "hooks of all six kinds run in order with the state on stdin" {
    cat >hook <<'EOF'
#!/bin/sh
read -r state
echo "$1 $(echo "$state" | sed 's/.*"status":"\([a-z]*\)".*/\1/') $HOOK" >>"$2"
EOF
    chmod 755 hook
    cp -a "$BATS_FILE_TMPDIR/rootfs" r
    cp hook r/hook
    change ".root.path=\"r\" | .root.readonly=false | .hooks={}"
    for k in prestart createRuntime createContainer poststart poststop; do
        change ".hooks.$k=[{path:\"$WORK/hook\",args:[\"hook\",\"$k\",\"$WORK/log\"],env:[\"HOOK=yes\",\"PATH=/bin:/usr/bin\"],timeout:5}]"
    done
    change '.hooks.startContainer=[{path:"/hook",args:["hook","startContainer","/log"],env:["PATH=/bin"]}]'
    sh_args 'cat /log'
    try oci run "$ID"
    ok
    has "startContainer created"
    same "$(cat log)" $'prestart created yes\ncreateRuntime creating yes\ncreateContainer creating yes\npoststart running yes\npoststop stopped yes'
    change ".hooks={createRuntime:[{path:\"/bin/false\"}]}"
    try oci run "$ID"
    fails 1 "the hook '/bin/false' failed with status 1"
    change ".hooks={createRuntime:[{path:\"/bin/sleep\",args:[\"sleep\",\"100\"],timeout:1}]}"
    try oci run "$ID"
    fails 1 "did not end within 1 s"
    change ".hooks={poststart:[{path:\"/bin/false\"}],poststop:[{path:\"/bin/false\"}]}"
    sh_args 'exit 4'
    try oci run "$ID"
    fails 4
    same "$(oci list -q)" ''
}

@test "exec runs in the container, with its own user, directory, environment and status" {
    background 'echo $$ >/dev/null; exec sleep 1000'
    try oci exec --cwd /etc --env X=y "$ID" sh -c 'pwd; echo $X; hostname; ls /proc/1/exe >/dev/null; exit 9'
    fails 9
    same "$output" $'/etc\ny\ndewar'
    try oci exec "$ID" nosuch
    fails 255 "not found in the container's PATH"
    try oci exec --cwd /no/such "$ID" true
    fails 255 "the program did not start"
    echo '{"user":{"uid":0,"gid":0},"args":["sh","-c","echo $E"],"env":["E=file","PATH=/bin"],"cwd":"/"}' >p.json
    try oci exec --process p.json "$ID"
    ok
    has file
    oci exec -d --pid-file pid "$ID" sleep 1000 </dev/null >/dev/null 2>&1
    kill -0 "$(cat pid)"
    oci delete -f "$ID"
}

@test "exec and run have a terminal when they are asked to" {
    background
    run on_tty "$DEWAR oci --root $STATE exec -t $ID sh -c 'tty; test -t 0 && echo yes'"
    has /dev/pts/0
    has yes
    oci delete -f "$ID"
    change '.process.terminal=true | .process.consoleSize={"height":33,"width":44}'
    sh_args 'tty; test -c /dev/console && echo console; stty size'
    run on_tty "stty rows 20 cols 70; $DEWAR oci --root $STATE run $ID"
    has /dev/pts/0
    has console
    try oci create "$ID"
    fails 1 "console socket"
}

@test "the terminal goes to the console socket" {
    change '.process.terminal=true | .process.consoleSize={"height":33,"width":44}'
    sh_args 'stty size; sleep 1'
    cat >take.py <<'EOF'
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.bind("console.sock")
s.listen(1)
print("ready", flush=True)
c, _ = s.accept()
name, fds, _, _ = c.recvmsg(200, socket.CMSG_LEN(4))
fd = array.array("i", fds[0][2])[0]
print(os.read(fd, 100).decode().strip(), flush=True)
EOF
    python3 take.py >got & taker=$!
    for _ in $(seq 100); do [ -s got ] && break; sleep 0.05; done
    oci create --console-socket console.sock "$ID" </dev/null >out 2>&1
    oci start "$ID"
    wait "$taker"
    same "$(tr -d '\r' <got)" $'ready\n33 44'
}

@test "descriptors are handed on only when asked for" {
    sh_args 'ls /proc/self/fd | tr "\n" " "'
    try bash -c "exec 3<config.json 4<config.json 5<config.json; $DEWAR oci --root $STATE run $ID"
    same "$output" "0 1 2 3 " # 3: the folder that ls reads
    try bash -c "exec 3<config.json 4<config.json 5<config.json; $DEWAR oci --root $STATE run --preserve-fds 2 $ID"
    same "$output" "0 1 2 3 4 5 " # 5 is ls's
}

@test "namespaces are joined by path" {
    background
    pid=$(oci state "$ID" | jq .pid)
    first=$ID
    if is_root; then
        change ".linux.namespaces=[{type:\"mount\"},{type:\"pid\",path:\"/proc/$pid/ns/pid\"},{type:\"ipc\",path:\"/proc/$pid/ns/ipc\"},{type:\"uts\",path:\"/proc/$pid/ns/uts\"},{type:\"network\",path:\"/proc/$pid/ns/net\"}] | del(.hostname)"
    else
        change ".linux.namespaces=[{type:\"mount\"},{type:\"user\"},{type:\"uts\"},{type:\"pid\"}] | del(.hostname)"
        skip "an ordinary user's joins go through exec"
    fi
    sh_args 'hostname; for n in ipc uts net; do readlink /proc/self/ns/$n; done; test -d /proc/1 && echo pid'
    try oci run "$ID-2"
    ok
    has dewar
    has pid
    for n in ipc uts net; do has "$(readlink "/proc/$pid/ns/$n")"; done
    change '.linux.namespaces[1].path="/proc/self/ns/net"'
    try oci run "$ID-2"
    fails 1 "is no pid namespace"
    oci delete -f "$first"
}

@test "a time namespace has its offsets" {
    [ -e /proc/self/ns/time ] || skip "needs a kernel with time namespaces"
    change '.linux.namespaces+=[{"type":"time"}] | .linux.timeOffsets={"boottime":{"secs":1000000,"nanosecs":0}}'
    args cat /proc/uptime
    try oci run "$ID"
    ok
    [ "${output%%.*}" -ge 1000000 ]
}

@test "sysctls belong to the container's own namespaces" {
    need_root
    change '.linux.sysctl={"kernel.shmmni":"1234","net.ipv4.ip_forward":"1"}'
    args cat /proc/sys/kernel/shmmni /proc/sys/net/ipv4/ip_forward
    try oci run "$ID"
    same "$output" $'1234\n1'
    change '.linux.sysctl={"kernel.core_pattern":"x"}'
    try oci run "$ID"
    fails 1 "belongs to the whole machine"
    change '.linux.sysctl={"net.ipv4.ip_forward":"1"} | .linux.namespaces|=map(select(.type!="network"))'
    try oci run "$ID"
    fails 1 "shares the host's network"
    change ".linux.namespaces+=[{type:\"network\",path:\"/proc/$$/ns/net\"}]"
    try oci run "$ID"
    fails 1 "shares the host's network"
}

@test "devices are made with their numbers, modes and owners" {
    need_root
    change '.linux.devices=[{"path":"/dev/fuse2","type":"c","major":10,"minor":229,"fileMode":432,"uid":3,"gid":4},{"path":"/dev/pipe","type":"p","fileMode":384}]'
    sh_args 'stat -c "%F %t:%T %a %u:%g" /dev/fuse2 /dev/pipe /dev/null /dev/full'
    try oci run "$ID"
    same "$output" $'character special file a:e5 660 3:4\nfifo 0:0 600 0:0\ncharacter special file 1:3 666 0:0\ncharacter special file 1:7 666 0:0'
}

@test "resources are applied, read back and updated" {
    need_root
    [ -d /sys/fs/cgroup/memory ] || skip "needs cgroup v1"
    change ".linux.cgroupsPath=\"/dewar-test/$ID\" | .linux.resources.memory={limit:67108864} | .linux.resources.pids={limit:33} | .linux.resources.cpu={shares:512,quota:50000,period:100000}"
    background
    same "$(cat "/sys/fs/cgroup/memory/dewar-test/$ID/memory.limit_in_bytes")" 67108864
    same "$(cat "/sys/fs/cgroup/pids/dewar-test/$ID/pids.max")" 33
    same "$(cat "/sys/fs/cgroup/cpu/dewar-test/$ID/cpu.shares")" 512
    grep -q "/dewar-test/$ID" "/proc/$(oci state "$ID" | jq .pid)/cgroup"
    oci update --memory 33554432 "$ID"
    same "$(cat "/sys/fs/cgroup/memory/dewar-test/$ID/memory.limit_in_bytes")" 33554432
    echo '{"pids":{"limit":44}}' | oci update -r - "$ID"
    same "$(cat "/sys/fs/cgroup/pids/dewar-test/$ID/pids.max")" 44
    same "$(oci events --stats "$ID" | jq .data.pids.limit)" 44
    oci pause "$ID"
    status_is paused
    try oci exec "$ID" true
    fails 255 "paused"
    oci resume "$ID"
    status_is running
    oci ps "$ID" | grep -q 'sleep 1000'
    same "$(oci ps -f json "$ID" | jq length)" 1
    oci exec -d "$ID" sleep 2000 </dev/null >/dev/null 2>&1
    same "$(oci ps -f json "$ID" | jq length)" 2
    oci kill --all "$ID" KILL
    wait_status stopped
    oci delete "$ID"
    ! test -e "/sys/fs/cgroup/memory/dewar-test/$ID" || return 1
    rmdir /sys/fs/cgroup/*/dewar-test
    change '.linux.resources.hugepageLimits=[{"pageSize":"2MB","limit":1}]'
    [ -d /sys/fs/cgroup/hugetlb ] || { try oci run "$ID"; fails 1 "controller 'hugetlb' is not available"; }
    change 'del(.linux.resources.hugepageLimits) | .linux.cgroupsPath="/x/.."'
    try oci run "$ID"
    fails 1 "is the top of the tree"
    rmdir /sys/fs/cgroup/*/dewar-test 2>/dev/null || true
}

@test "a mount of the control groups shows the container's own, each controller by its name" {
    need_root
    [ ! -e /sys/fs/cgroup/cgroup.controllers ] || skip "cgroup v2"
    change '.mounts+=[{"destination":"/sys/fs/cgroup","type":"cgroup","source":"cgroup","options":["ro"]}]'
    sh_args 'cat /sys/fs/cgroup/pids/cgroup.procs; ls -d /sys/fs/cgroup/memory /sys/fs/cgroup/freezer; ls -l /sys/fs/cgroup'
    try oci run "$ID"
    ok
    same "${lines[0]}" 1
    # A hierarchy with two controllers, where there is one.
    local two
    two=$(find /sys/fs/cgroup -maxdepth 1 -type d -name '*,*' | head -1)
    [ -z "$two" ] || has "${two##*,} -> ${two##*/}"
}

@test "a seccomp profile holds, and its compiled form is kept" {
    change '.linux.seccomp={"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64"],"syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":37}]}'
    sh_args 'grep Seccomp: /proc/self/status; mkdir /tmp/x'
    for _ in 1 2; do
        try oci run "$ID"
        fails 1 "No locks available" # errno 37
        has $'Seccomp:\t2'
        same "$(find "$STATE/.filters" -type f | wc -l)" 1
    done
    change '.linux.seccomp.defaultAction="SCMP_ACT_NONE"'
    try oci run "$ID"
    fails 1 "unknown action 'SCMP_ACT_NONE'"
}

@test "a seccomp profile with values of the wrong type is refused, never another filter" {
    local rules='{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}' case
    sh_args 'echo ran'
    cp config.json good.json
    for case in '.syscalls={}' '.syscalls[0].errnoRet="17"' '.syscalls[0].errnoRet=5000' '.syscalls[0].names="mkdir"' \
        '.syscalls[0].args=[{"index":0,"value":"1","op":"SCMP_CMP_EQ"}]' '.syscalls=[1]' '.defaultErrnoRet="1"'; do
        jq ".linux.seccomp=({\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[$rules]}|$case)" good.json >config.json
        try oci run "$ID"
        fails 1 "reading linux.seccomp"
        lacks ran
    done
    jq ".linux.seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\",\"listenerPath\":\"/no/such\",\"syscalls\":[{\"names\":[\"mkdir\"],
        \"action\":\"SCMP_ACT_NOTIFY\"}]}" good.json >config.json
    try oci run "$ID"
    fails 1 "looking for linux.seccomp.listenerPath"
    lacks ran
}

@test "a mount is idmapped" {
    need_root
    mkdir src && touch src/f && chown 5:6 src/f
    change '.mounts+=[{"destination":"/tmp/m","type":"bind","source":"src","options":["rbind","idmap"],"uidMappings":[{"containerID":5,"hostID":105,"size":1}],"gidMappings":[{"containerID":6,"hostID":106,"size":1}]}]'
    cp -a "$BATS_FILE_TMPDIR/rootfs" r
    change '.root.path="r"|.root.readonly=false'
    args stat -c %u:%g /tmp/m/f
    try oci run "$ID"
    ok
    same "$output" 105:106
}

@test "a user namespace with mappings, as root" {
    need_root
    change '.linux.namespaces+=[{"type":"user"}] | .linux.uidMappings=[{"containerID":0,"hostID":300000,"size":65536}] | .linux.gidMappings=.linux.uidMappings'
    sh_args 'id -u; cat /proc/self/uid_map; echo x >/dev/null && echo null; stat -c %u /dev'
    cp -a "$BATS_FILE_TMPDIR/rootfs" r
    chown -R 300000:300000 r
    change '.root.path="r"'
    try oci run "$ID"
    ok
    has "300000      65536"
    has null
    background
    try oci exec "$ID" id -u
    same "$output" 0
    change '.linux.uidMappings=[]'
    try oci run "$ID-2"
    fails 1 "needs linux.uidMappings"
}

@test "personality, hostname, domainname, oomScoreAdj" {
    change '.linux.personality={"domain":"LINUX32"} | .hostname="abc" | .domainname="d.e" | .process.oomScoreAdj=500'
    sh_args 'uname -m; hostname; cat /proc/sys/kernel/domainname /proc/self/oom_score_adj'
    try oci run "$ID"
    [[ ${lines[0]} == i?86 || ${lines[0]} != x86_64 ]]
    same "${lines[1]} ${lines[2]} ${lines[3]}" "abc d.e 500"
}

@test "scheduler, I/O priority and CPU affinity are the program's, in exec as well" {
    change '.process.scheduler={"policy":"SCHED_BATCH","nice":7} | .process.ioPriority={"class":"IOPRIO_CLASS_IDLE"}
        | .process.user.umask=63 | .process.execCPUAffinity={"initial":"0","final":"0"}'
    # Fields 19 and 41 of stat: nice and policy (3 is SCHED_BATCH).
    local say="cut -d' ' -f19,41 /proc/self/stat; ionice -p \$\$; umask"
    sh_args "$say"
    try oci run "$ID"
    ok
    same "${lines[*]}" "7 3 idle 0077"
    background
    try oci exec "$ID" sh -c "$say; taskset -p \$\$"
    ok
    same "${lines[0]} ${lines[1]} ${lines[2]}" "7 3 idle 0077"
    has "mask: 1"
    change '.process.scheduler={"policy":"SCHED_ODD"}'
    try oci run "$ID-2"
    fails 1 "process.scheduler: unknown policy 'SCHED_ODD'"
    echo '{"cwd":"/","user":{"uid":0,"gid":0},"args":["true"],"execCPUAffinity":{"final":"1-x"}}' >p.json
    try oci exec --process p.json "$ID"
    fails 255 "'1-x' is no list of CPUs"
}

@test "a missing working directory is made below a read-only root too" {
    cp -a "$BATS_FILE_TMPDIR/rootfs" r
    change '.root={"path":"r","readonly":true} | .process.cwd="/new/dir"'
    sh_args 'pwd; touch x'
    try oci run "$ID"
    fails 1 "Read-only file system"
    has "/new/dir"
}

@test "a tmpfs takes the mode of the folder that it covers, and its files with tmpcopyup" {
    cp -a "$BATS_FILE_TMPDIR/rootfs" r
    mkdir -m 2750 r/data
    mkdir r/data/sub
    echo inside >r/data/sub/f
    ln -s sub/f r/data/link
    change '.root={"path":"r","readonly":false} | .mounts+=[
        {"destination":"/data","type":"tmpfs","source":"tmpfs"},
        {"destination":"/new","type":"tmpfs","source":"tmpfs"}]'
    sh_args 'stat -c %a /data /new; ls /data'
    try oci run "$ID"
    ok
    same "$output" $'2750\n1777'
    change '.mounts[-2].options=["tmpcopyup","nosuid"] | .mounts[-1].options=["tmpcopyup","mode=700"]'
    sh_args 'stat -c %a /data /new; cat /data/link; touch /data/more; grep " /data " /proc/self/mountinfo'
    try oci run "$ID"
    ok
    same "${lines[*]:0:3}" "2750 700 inside"
    has nosuid
    has "- tmpfs tmpfs"
    [ ! -e r/data/more ]
    change '.mounts[-2].options=["tmpcopyup","ro","mode=711"]'
    sh_args 'stat -c %a /data; cat /data/link; touch /data/more'
    try oci run "$ID"
    fails 1 "Read-only file system"
    same "${lines[*]:0:2}" "711 inside"
}

@test "a file over a folder and a folder over a file say what they are" {
    touch file
    change '.mounts+=[{"destination":"/etc","type":"bind","source":"file","options":["bind"]}]'
    try oci run "$ID"
    fails 1 "mount '/etc': Is a directory"
    change '.mounts[-1]={"destination":"/etc/passwd","type":"bind","source":".","options":["bind"]}'
    try oci run "$ID"
    fails 1 "mount '/etc/passwd': Not a directory"
}

@test "a device that is listed twice is made once, as the first says" {
    need_root
    change '.linux.devices=[{"path":"/dev/d","type":"c","major":1,"minor":3},{"path":"/dev/d","type":"c","major":1,"minor":5}]'
    sh_args 'ls -l /dev/d'
    try oci run "$ID"
    ok
    has "1,   3"
}

@test "a value of the wrong type is never taken for another one" {
    local cases=(
        '.process.user.additionalGids=["5"]' "additionalGids: must be a whole number"
        '.process.user.additionalGids=[1.5]' "additionalGids: must be a whole number"
        '.process.user.uid=4294967295' "is no id"
        '.process.oomScoreAdj="1"' "oomScoreAdj: must be a whole number"
        '.process.ioPriority={"class":"IOPRIO_CLASS_BE","priority":"4"}' "'priority' must be a whole number"
        '.process.scheduler={"policy":"SCHED_OTHER","nice":20}' "20 is out of range"
        '.process.args=[""]' "the program's name is empty"
        '.linux.resources={"memory":{"limit":"64m"}}' "it must be a whole number"
        '.linux.resources={"memory":[]}' "'memory' must be a JSON object"
        '.linux.resources={"cpu":{"cpus":0}}' "it must be a text"
        '.linux.resources={"hugepageLimits":[{"pageSize":"2MB","limit":"1"}]}' "'limit' must be a whole number"
        '.linux.resources={"blockIO":{"throttleReadBpsDevice":[{"major":"8","minor":0,"rate":1}]}}' "'major' must be a whole number"
        '.linux.resources={"rdma":{"mlx5_0":{"hcaHandles":"3"}}}' "'hcaHandles' must be a whole number"
        '.annotations={"a":1}' "annotations: 'a' must be a text"
        '.linux.namespaces+=[{"type":"time"}] | .linux.timeOffsets={"boottime":{"secs":"9"}}' "'secs' must be a whole number"
        '.linux.namespaces+=[{"type":"time"}] | .linux.timeOffsets={"odd":{}}' "unknown clock 'odd'"
    )
    ! is_root || cases+=('.linux.resources={"devices":[{"allow":true,"type":"c","major":"10","minor":1}]}'
        "'major' must be a whole number")
    [ -e /sys/fs/selinux/enforce ] || cases+=('.process.selinuxLabel="x"' "has no SELinux")
    cp config.json good.json
    for ((at = 0; at < ${#cases[@]}; at += 2)); do
        jq "${cases[at]}" good.json >config.json
        try oci run "$ID"
        fails 1 "${cases[at + 1]}"
    done
}

@test "exec fails with 255, waits in a paused container where it is told to; ps takes options" {
    background 'sleep 1000'
    try oci exec "$ID" /no/such
    fails 255 "no such file"
    try oci exec "$ID" sh -c 'exit 3'
    fails 3
    same "$(oci state "$ID" | jq -r .owner)" "$(is_root && echo root || id -u)"
    is_root || skip "pause, ps and update need groups"
    try oci ps "$ID" -o comm,pid
    ok
    same "${#lines[@]} ${lines[1]%% *}" "2 sleep"
    try oci ps "$ID" -o comm
    fails 1 "no column 'PID'"
    oci pause "$ID"
    try oci exec "$ID" true
    fails 255 "paused"
    oci exec --ignore-paused "$ID" sh -c 'echo went on' >said 2>&1 </dev/null &
    sleep 0.3
    [ ! -s said ]
    oci resume "$ID"
    wait $!
    same "$(cat said)" "went on"
    oci update --memory 50M --memory-swap -1 "$ID"
    [ -e /sys/fs/cgroup/cgroup.controllers ] || grep -qx 52428800 /sys/fs/cgroup/memory/*/"$ID"/memory.limit_in_bytes \
        /sys/fs/cgroup/memory/"$ID"/memory.limit_in_bytes /sys/fs/cgroup/memory/*/*/"$ID"/memory.limit_in_bytes 2>/dev/null
    try oci update --memory 5x "$ID"
    fails 1 "'5x'"
}

@test "processes in groups below the container's are listed and killed too" {
    need_root
    [ ! -e /sys/fs/cgroup/cgroup.controllers ] || skip "cgroup v2"
    change ".linux.cgroupsPath=\"/dewar-$ID\" | .linux.namespaces|=map(select(.type!=\"pid\"))
        | .mounts|=map(select(.destination!=\"/proc\")) | .linux.maskedPaths=[] | .linux.readonlyPaths=[]"
    background "sleep 1001.$$ & exec sleep 1000"
    local all=/sys/fs/cgroup/*/dewar-$ID group pid
    pid=$(pgrep -x -f "sleep 1001.$$")
    for group in $all; do
        [ -d "$group" ] || continue
        mkdir "$group/below"
        [ ! -e "$group/cpuset.cpus" ] || cat "$group/cpuset.cpus" >"$group/below/cpuset.cpus"
        [ ! -e "$group/cpuset.mems" ] || cat "$group/cpuset.mems" >"$group/below/cpuset.mems"
        echo "$pid" >"$group/below/cgroup.procs"
    done
    oci ps -f json "$ID" | jq -e "index($pid)"
    oci delete -f "$ID"
    gone "$pid"
    [ -z "$(find /sys/fs/cgroup/*/dewar-"$ID" -maxdepth 0 2>/dev/null)" ]
}

@test "a wrong config names the place" {
    local cases=(
        '.ociVersion="2.0.0"' "only 1.x"
        '.ociVersion="x"' "not of the form"
        'del(.root)' "'root' is missing"
        '.process.cwd="rel"' "process.cwd: 'rel' is not an absolute path"
        '.process.args=[]' "process.args: must not be empty"
        '.mounts[0].destination=null' "mounts[0]: 'destination' is missing"
        '.hooks={"poststop":[{"path":"rel"}]}' "hooks.poststop: 'rel' is not an absolute path"
        '.linux.namespaces+=[{"type":"odd"}]' "unknown type 'odd'"
        '.linux.namespaces+=[{"type":"pid"}]' "'pid' stands there twice"
        '.linux.rootfsPropagation="odd"' "unknown value 'odd'"
        '.linux.personality={"domain":"odd"}' "unknown domain 'odd'"
        '.process.user.uid=-1' "out of range"
        '.root.path="/no/such"' "opening root.path"
    )
    cp config.json good.json
    for ((at = 0; at < ${#cases[@]}; at += 2)); do
        jq "${cases[at]}" good.json >config.json
        try oci run "$ID"
        fails 1 "${cases[at + 1]}"
        same "$(oci list -q)" ''
    done
    echo '{' >config.json
    try oci run "$ID"
    fails 1 "config.json:"
}

@test "features, version and help" {
    oci features >f.json
    same "$(jq -r '.ociVersionMin' f.json)" 1.0.0
    jq -e '.linux.namespaces|index("time")' f.json
    jq -e '.mountOptions|index("rro")' f.json
    jq -e '.hooks|length==6' f.json
    ln -s "$DEWAR" dewar-oci
    ./dewar-oci --version | grep -q '^dewar-oci version '
    ./dewar-oci --root "$STATE" list -q
    dewar oci create --help | grep -q -- --console-socket
    try oci frob
    fails 2 "unknown verb 'frob'"
    try oci create --frob x
    fails 2 "frob"
}

# --- NOTIFY_SOCKET ------------------------------------------------------------------------------------
# receive FILE: what comes to the socket `told`, a datagram a line; descriptors that come along are closed.
receive() {
    need_program python3
    python3 -c '
import array, os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("told")
while True:
    text, control, _, _ = s.recvmsg(4096, socket.CMSG_SPACE(16))
    with open(sys.argv[1], "a") as out: print(text.decode().strip().replace("\n", " ") + " fd" * bool(control), file=out)
    for _, _, fds in control:
        for fd in array.array("i", fds[: len(fds) // 4 * 4]): os.close(fd)' "$1" 3>&- &
    RECEIVER=$!
    for _ in $(seq 100); do [ -S told ] && return; sleep 0.05; done
}
PROBE=${TOOLS:-$(dirname "$DEWAR")/../../tests/tools}/probe

@test "NOTIFY_SOCKET: that the program is ready is passed on, with its number, and nothing else of it" {
    cp "$PROBE" "$BATS_FILE_TMPDIR/rootfs/probe"
    receive said
    export NOTIFY_SOCKET=$PWD/told
    sh_args '/probe notify "STATUS=loading\\nMAINPID=1"; /probe notify NOTREADY=1; sleep 0.7; /probe notify "STATUS=up\\nREADY=1"; /probe notify WATCHDOG=1; sleep 100'
    before=$(date +%s%N)
    oci run -d "$ID" </dev/null >out 2>&1
    [ $(($(date +%s%N) - before)) -ge 600000000 ] # it came back when the program was ready
    pid=$(oci state "$ID" | jq .pid)
    same "$(cat said)" "MAINPID=$pid READY=1
BARRIER=1 fd"
    oci delete -f "$ID"
    : >said
    make
    same "$(cat said)" ""
    oci start "$ID" # waits as run -d does
    pid=$(oci state "$ID" | jq .pid)
    same "$(head -1 said)" "MAINPID=$pid READY=1"
    oci delete -f "$ID"
    : >said
    sh_args '/probe notify READY=1; sleep 0.3; exit 7' # attached
    try oci run "$ID"
    fails 7
    same "$(wc -l <said)" 2
    : >said
    sh_args 'exit 3' # ends without a word: nobody waits for ever, nobody is told
    oci run -d "$ID" </dev/null >out 2>&1
    status_is stopped
    same "$(cat said)" ""
    kill $RECEIVER
}

@test "NOTIFY_SOCKET: whoever waits for a program that never gets ready keeps nobody from ending it" {
    export NOTIFY_SOCKET=$PWD/nosuch
    sh_args 'sleep 1000'
    oci run -d "$ID" </dev/null >out 2>&1 3>&- &
    wait_status running
    timeout 10 "$DEWAR" oci --root "$STATE" delete -f "$ID"
    wait $!
    make
    oci start "$ID" >out 2>&1 3>&- &
    wait_status running
    timeout 10 "$DEWAR" oci --root "$STATE" delete -f "$ID"
    wait $!
}

@test "NOTIFY_SOCKET: nobody who reads it, or no socket at all, keeps no container from running" {
    cp "$PROBE" "$BATS_FILE_TMPDIR/rootfs/probe"
    export NOTIFY_SOCKET=$PWD/nosuch
    sh_args '/probe notify READY=1; sleep 100'
    oci run -d "$ID" </dev/null >out 2>&1
    status_is running
    oci delete -f "$ID"
    export NOTIFY_SOCKET=relative
    sh_args 'test "$NOTIFY_SOCKET" = "" && test ! -e /run/notify/notify.sock'
    oci run "$ID"
}
