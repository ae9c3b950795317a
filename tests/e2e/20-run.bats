#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=run
# `run` in the foreground, as a person meets it; as root and as an ordinary user.
load helpers

R() { dewar run --rm -q --network none "$@"; }

@test "a program runs, prints and its exit code is passed on" {
    try R $IMG echo hello
    ok && same "$output" hello || return 1
    try R $IMG sh -c 'exit 7'
    fails 7
    try R $IMG sh -c 'sh -c "kill -9 \$\$"; exit $?'
    fails 137
}

@test "exit codes 125, 126 and 127 mean what people know" {
    try R --no-such-flag $IMG true
    fails 125 no-such-flag
    try R $IMG no-such-program
    fails 127 "not found in the container's PATH"
    try R $IMG /no/such/program
    fails 127 "no such file"
    try R $IMG /etc
    fails 126 directory
    try R $IMG /etc/passwd
    fails 126 "permission denied"
    try R no-such-image true
    fails 125 "no-such-image"
}

@test "an option behind the image is the program's, and a hint says so" {
    try R $IMG -it sh
    fails 127 "put it before the image"
    try R $IMG sh -c 'exit 1' x --env-file f
    fails 1 "go before the image"
}

@test "a script whose interpreter is missing is told from a missing script" {
    printf '#!/no/such/python\n' >s && chmod +x s
    try R -v ./s:/s $IMG /s
    fails 127 /no/such/python
    printf '#!/bin/sh\r\necho x\r\n' >s
    try R -v ./s:/s $IMG /s
    fails 127 CRLF
    printf 'not a program' >s
    try R -v ./s:/s $IMG /s
    fails 126 "exec format"
}

@test "stdin is empty without -i and ours with it" {
    result=$(echo in | R $IMG cat)
    same "$result" ""
    result=$(echo in | R -i $IMG cat)
    same "$result" in
}

@test "stdout and stderr stay apart" {
    try R $IMG sh -c 'echo out; echo err >&2'
    ok && same "$output" out && same "$stderr" err || return 1
}

@test "-t gives a terminal of the container's own" {
    need_program script bsdutils
    try on_tty "$DEWAR run --rm -q -t $IMG sh -c 'tty; test -t 0 && test -t 1 && echo yes; ls -l /dev/console'"
    ok && has /dev/pts/0 && has yes && has 136 || return 1
    try on_tty "$DEWAR run --rm -q -it $IMG sh -c 'exit 5'"
    fails 5
}

@test "-t with a stdin that is no terminal is refused when it is attached" {
    try R -it $IMG true
    fails 125 "not a TTY"
    try R -dit $IMG true # and may be anything where it is not
    ok
    try dewar create -it --network none $IMG true
    ok
    dewar rm "$output" >/dev/null
}

@test "bundled short options work in any order" {
    need_program script bsdutils
    try on_tty "$DEWAR run -ti --rm -q $IMG echo bundled"
    ok && has bundled || return 1
}

@test "the terminal's modes come back after raw mode" {
    need_program script bsdutils
    try on_tty "stty -a >before; $DEWAR run --rm -q -it $IMG true; stty -a >after; cmp before after && echo restored"
    ok && has restored || return 1
}

@test "signals go to the program" {
    local signal
    for signal in TERM 34 64; do # 34: SIGRTMIN, but not of every C library
        R --name sig $IMG sh -c "trap 'echo got; exit 9' $signal; echo ready; while :; do sleep 0.05; done" >out &
        pid=$!
        for _ in $(seq 100); do grep -q ready out && break; sleep 0.05; done
        pkill -"$signal" -P "$pid" 2>/dev/null || kill -"$signal" "$pid"
        code=0
        wait "$pid" || code=$?
        same "$code" 9
        grep -q got out || return 1
    done
}

@test "the environment is the image's, then ours, then the person's" {
    try env SECRET=x COPIED=yes "$DEWAR" run --rm -q -e COPIED -e A=1 -e PATH=/bin $IMG env
    ok && has COPIED=yes && has A=1 && has PATH=/bin && has HOME=/root && has HOSTNAME= && lacks SECRET && lacks TERM || return 1
    try R -e HOSTNAME $IMG env
    ok && lacks HOSTNAME= || return 1
    try R -e =x $IMG env
    fails 125 "invalid environment variable '=x'"
}

@test "--env-file takes lines as they are" {
    printf '# c\nA="q" # x\n  B=1\nCOPIED\nABSENT\n' >f
    try env COPIED=c "$DEWAR" run --rm -q --env-file f -e B=2 $IMG env
    ok && has 'A="q" # x' && has B=2 && has COPIED=c && lacks ABSENT || return 1
    printf 'A B=1\n' >f
    try R --env-file f $IMG env
    fails 125 f:1
    try R --env-file nowhere $IMG env
    fails 125 nowhere
}

@test "users by name, number, group; an unknown number gets an entry and a home" {
    try R -u user $IMG sh -c 'id; echo $HOME; id -G'
    ok && has "uid=1000(user) gid=1000(user)" && has /home/user && has "1000 10 1001" || return 1
    try R -u 1234:55 $IMG sh -c 'id -u; id -g; id -un; echo home=$HOME'
    ok && has 1234 && has 55 && has home=/ || return 1
    try R -u nosuch $IMG true
    fails 125 nosuch
    try R -u user --group-add 77 $IMG id -G
    ok && has 77 || return 1
}

@test "the primary group is among the supplementary ones: no setgid program can shed it" {
    try R -u user $IMG grep Groups: /proc/self/status
    ok && same "$output" $'Groups:\t10 1000 1001 ' || return 1
    try R -u 1234:55 $IMG grep Groups: /proc/self/status
    ok && same "$output" $'Groups:\t55 ' || return 1
    dewar run -d -q --name groups -u 1234:55 $IMG sleep 60
    try dewar exec -u 0 groups grep Groups: /proc/self/status
    ok && same "$output" $'Groups:\t0 ' || return 1
    dewar rm -f groups
}

@test "a working directory is made when it is missing" {
    try R -w /a/b/c $IMG pwd
    ok && same "$output" /a/b/c || return 1
    try R -w relative $IMG pwd
    fails 125 absolute
    try R -w /etc/passwd $IMG pwd
    fails 125 "/etc/passwd"
}

@test "--entrypoint replaces and an empty one clears" {
    try R --entrypoint echo $IMG a b
    ok && same "$output" "a b" || return 1
    try R --entrypoint "" $IMG echo x
    ok && same "$output" x || return 1
    try R --entrypoint "" $IMG
    fails 125 "no command specified"
}

@test "folders and files are bound; ro holds; a missing source is made" {
    mkdir d && echo in >d/f
    try R -v ./d:/d $IMG sh -c 'cat /d/f; echo new >/d/g'
    ok && has in || return 1
    same "$(cat d/g)" new
    same "$(stat -c %u d/g)" "$(id -u)"
    try R -v ./d:/d:ro $IMG touch /d/h
    fails 1
    [ ! -e d/h ]
    try R --mount type=bind,source="$PWD/d/f",target=/etc/thing,readonly $IMG cat /etc/thing
    ok && same "$output" in || return 1
    try R -v ./made:/m $IMG touch /m/x
    ok && [ -e made/x ] || return 1
    try R --mount type=bind,source=./missing,target=/m $IMG true
    fails 125 missing
}

@test "a mount inside a mount lands inside, in any order on the command line" {
    mkdir -p a b && echo outer >a/f && echo inner >b/f
    try R -v ./b:/x/in -v ./a:/x $IMG cat /x/f /x/in/f
    ok && same "$output" $'outer\ninner' || return 1
}

@test "tmpfs mounts, --read-only and /dev/shm" {
    try R --read-only --tmpfs /tmp:size=1m,mode=700 $IMG sh -c 'touch /x 2>/dev/null && echo bad; touch /tmp/x && stat -c %a /tmp'
    ok && same "$output" 700 || return 1
    try R --read-only $IMG sh -c 'echo >/etc/hosts'
    fails 1 "Read-only file system"
    try R --tmpfs /t --tmpfs /d:dev,exec $IMG sed -n 's,^tmpfs /[td] tmpfs \([a-z,]*\)relatime.*,\1,p' /proc/mounts
    ok && same "$output" $'rw,nosuid,nodev,noexec,\nrw,nosuid,' || return 1
    try R --tmpfs /home --tmpfs /tmp --tmpfs /new --tmpfs /run:mode=700 $IMG stat -c %a /home /tmp /new /run
    ok && same "$output" $'755\n1777\n1777\n700' || return 1
    try R --shm-size 8m $IMG df -k /dev/shm
    ok && has 8192 || return 1
    try R $IMG sh -c 'df -k /dev/shm | tail -1 | { read a size b; [ $size -gt 262144 ] && echo large; }'
    ok && same "$output" large || return 1
}

@test "the container has a name, a host name and its own process ids" {
    try R -h box $IMG sh -c 'hostname; cat /etc/hostname; grep -c box /etc/hosts; echo $$'
    ok && same "$output" $'box\nbox\n1\n1' || return 1
}

@test "no network means a loopback device alone, and a line says so" {
    try dewar run --rm $IMG sh -c 'ls /sys/class/net; ip link show lo'
    ok && has lo && has LOOPBACK,UP && lacks eth || return 1
    err_has "no network"
    try dewar run --rm --network none $IMG true
    ok && same "$stderr" "" || return 1
    try R --network host $IMG ls /sys/class/net
    ok && same "$(sort <<<"$output")" "$(ls /sys/class/net | sort)" || return 1
    try R --network nosuch $IMG true
    fails 125 nosuch
}

@test "--init reaps, passes signals on and keeps the exit code" {
    try R --init $IMG sh -c 'cat /proc/1/comm; exit 6'
    fails 6 && has dewar-init || return 1
    try R --init $IMG nosuch
    fails 127
}

@test "limits of resources are set" {
    try R --ulimit nofile=64:128 $IMG sh -c 'ulimit -n; ulimit -Hn'
    ok && same "$output" $'64\n128' || return 1
    try R --ulimit nosuch=1 $IMG true
    fails 125 nosuch
}

@test "the OOM score, added hosts and devices arrive" {
    try R --oom-score-adj 500 $IMG cat /proc/self/oom_score_adj
    ok && same "$output" 500 || return 1
    try R --add-host box:1.2.3.4 $IMG grep box /etc/hosts
    ok && same "$output" $'1.2.3.4\tbox' || return 1
    try R --add-host six=2001:db8::7 --add-host 'b:[::2]' $IMG grep -E '\s(six|b)$' /etc/hosts
    ok && same "$output" $'2001:db8::7\tsix\n::2\tb' || return 1
    try R --add-host box:there $IMG true
    fails 125 "'there' in 'box:there' is not an address"
    try R --network host --add-host host.docker.internal:host-gateway $IMG grep internal /etc/hosts
    ok && same "$output" $'127.0.0.1\thost.docker.internal' || return 1
    try R --network none --add-host host.docker.internal:host-gateway $IMG grep -c internal /etc/hosts
    fails 1 "cannot reach the host" && same "$output" 0 || return 1
    try R --device /dev/null:/dev/other $IMG stat -c %t:%T /dev/other
    ok && same "$output" 1:3 || return 1
    try R --device /dev/zero --device /dev/null:/dev/zero:r $IMG stat -c %t:%T /dev/zero
    ok && same "$output" 1:3 || return 1
    try R --device /etc/passwd $IMG true
    fails 125 "not a device"
}

@test "capabilities come and go; privileged has all and no filter" {
    try R --cap-add NET_ADMIN $IMG ip link add d type dummy
    [ "$status" = 0 ] || [[ $stderr == *"not supported"* ]]
    try R $IMG ip link add d type dummy
    [ "$status" != 0 ] && [[ $stderr == *permitted* ]] || return 1
    try R --cap-add SYS_ADMIN $IMG sh -c 'mkdir /q && mount -t tmpfs x /q && echo mounted'
    ok && has mounted || return 1
    try R --privileged $IMG grep Seccomp: /proc/self/status
    ok && has 0 || return 1
    try R --cap-add NO_SUCH $IMG true
    fails 125 NO_SUCH
}

@test "control group limits hold, or the error names the controller" {
    if is_root; then
        try R -m 20m --cidfile cid $IMG sh -c 'dd if=/dev/zero of=/dev/shm/x bs=1M count=60 2>/dev/null'
        fails 137
        [ -z "$(find /sys/fs/cgroup -maxdepth 3 -name "dewar-$(head -c 32 cid)*" 2>/dev/null)" ]
        try R --pids-limit 8 $IMG sh -c 'for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.2 & done; wait'
        [ "$status" != 0 ] || [[ $stderr == *fork* ]]
    elif [ "$(stat -fc %T /sys/fs/cgroup)" != cgroup2fs ]; then
        try R -m 20m $IMG true
        fails 125 "'memory'"
        err_has root
    fi
}

@test "reservations, quotas and device rules reach the control group" {
    need_root
    [ -d /sys/fs/cgroup/memory ] || skip "is about cgroup v1"
    D() { dewar run -q -d --network none "$@"; }
    group() { find "/sys/fs/cgroup/$1" -name "dewar-${2:0:32}" | head -1; }
    id=$(D --memory-reservation 10m --cpu-quota 30000 --cpu-period 50000 $IMG sleep 100)
    same "$(cat "$(group memory "$id")/memory.soft_limit_in_bytes")" 10485760
    same "$(cat "$(group cpu "$id")"/cpu.cfs_{quota,period}_us)" $'30000\n50000'
    dewar update --memory-reservation 12m --cpu-quota 20000 "$id" >/dev/null
    same "$(cat "$(group memory "$id")/memory.soft_limit_in_bytes")" 12582912
    same "$(cat "$(group cpu "$id")"/cpu.cfs_{quota,period}_us)" $'20000\n50000'
    same "$(dewar inspect -f '{{.HostConfig.MemoryReservation}} {{.HostConfig.CpuQuota}} {{.HostConfig.CpuPeriod}}' "$id")" \
        "12582912 20000 50000"
    dewar rm -f "$id" >/dev/null
    fuse='mknod /k c 10 229 && : </k && echo read; : >/k'
    try R --cap-add MKNOD $IMG sh -c "$fuse"
    fails 1 "not permitted" && lacks read || return 1
    try R --cap-add MKNOD --device-cgroup-rule 'c 10:229 r' $IMG sh -c "$fuse"
    fails 1 "not permitted" && has read || return 1
    if id=$(D --blkio-weight 500 $IMG sleep 100 2>err); then
        grep -qx 500 "$(group blkio "$id")"/blkio.{bfq.,}weight 2>/dev/null
        dewar rm -f "$id" >/dev/null
    else
        grep -q "this kernel has no weights for disks" err
    fi
}

# What a JVM asks: is each of these a mount of its own, at the place that /proc/self/cgroup tells?
seen_groups='cd /sys/fs/cgroup; for c in memory cpu cpuacct cpuset; do
    echo $c $(sed -n "s/^[0-9]*:\(.*,\)*$c\(,.*\)*://p" /proc/self/cgroup) \
        $(awk -v c=$c "/ - cgroup / && \",\" \$NF \",\" ~ \",\" c \",\" { print \$4, \$5, substr(\$6, 1, 2) }" /proc/self/mountinfo)
done'
@test "on cgroup v1 a container finds its limits, and groups that are its own alone" {
    need_root
    [ -d /sys/fs/cgroup/memory ] || skip "is about cgroup v1"
    try R $IMG ls -A /sys/fs/cgroup
    ok && same "$output" "" || return 1
    try R -m 64m --cpus 0.5 $IMG sh -c "$seen_groups"'; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us; ls'
    ok && same "${lines[*]:0:4}" "$(for c in memory cpu cpuacct cpuset; do echo "$c / / /sys/fs/cgroup/$c ro"; done | paste -sd' ')" || return 1
    same "${lines[*]:4}" "67108864 50000 cpu cpuacct cpuset memory"
    # Each has this container's processes and no others (they would be shown as 0).
    try R -m 64m $IMG sh -c 'cd /sys/fs/cgroup; for c in *; do echo $c $(head -1 $c/cgroup.procs) $(grep -cx 0 $c/cgroup.procs); done'
    ok && same "$output" "$(printf '%s 1 0\n' cpu cpuacct cpuset memory)" || return 1
    try R --pids-limit 40 $IMG sh -c 'cd /sys/fs/cgroup; ls; cat pids/pids.max'
    ok && same "$output" $'pids\n40' || return 1
    # One that enters is in all of them; a restart makes them anew; nothing stays.
    id=$(dewar run -q -d --network none --cpuset-cpus 0 $IMG sleep 100)
    try dewar exec "$id" sh -c "$seen_groups"'; cat cpuset/cpuset.cpus'
    ok && same "${lines[0]} ${lines[4]}" "memory / / /sys/fs/cgroup/memory ro 0" || return 1
    dewar restart -t 0 "$id" >/dev/null
    same "$(dewar exec "$id" cat /sys/fs/cgroup/cpuset/cpuset.cpus)" 0
    dewar rm -f "$id" >/dev/null
    [ -z "$(find /sys/fs/cgroup -name "dewar-${id:0:32}*")" ]
}

@test "control groups that a container made below its own go with it" {
    need_root
    id=$(dewar run -d -q --network none --privileged -m 64m $IMG sh -c 'cd /sys/fs/cgroup; cd memory 2>/dev/null
        mkdir -p a/b c; sleep 1000')
    for _ in $(seq 100); do [ -z "$(find /sys/fs/cgroup -path "*dewar-${id:0:32}*/a/b")" ] || break; sleep 0.05; done
    [ -n "$(find /sys/fs/cgroup -path "*dewar-${id:0:32}*/a/b")" ]
    dewar rm -f "$id" >/dev/null
    [ -z "$(find /sys/fs/cgroup -name "dewar-${id:0:32}*")" ]
}

@test "a cgroup v1 tree of two controllers is found under the name of each" {
    need_root
    [ -d /sys/fs/cgroup/cpuacct ] || skip "is about cgroup v1"
    # As distributions have it, made of what is here: the tree of cpu under the name of both.
    try unshare -m sh -c 'mkdir old && mount --rbind /sys/fs/cgroup old && mount -t tmpfs none /sys/fs/cgroup && cd /sys/fs/cgroup &&
        mkdir memory cpuset cpu,cpuacct && mount --bind "$OLDPWD/old/memory" memory && mount --bind "$OLDPWD/old/cpuset" cpuset &&
        mount --bind "$OLDPWD/old/cpu" cpu,cpuacct && ln -s cpu,cpuacct cpu && ln -s /sys/fs/cgroup/cpu,cpuacct cpuacct && cd "$OLDPWD" &&
        "$DEWAR" run --rm -q --network none --cpus 0.5 "$IMG" sh -c "cd /sys/fs/cgroup; ls; readlink cpu; readlink cpuacct; cat cpuacct/cpu.cfs_quota_us"'
    ok && same "${lines[*]}" "cpu cpu,cpuacct cpuacct cpuset memory cpu,cpuacct cpu,cpuacct 50000" || return 1
}

@test "a folder of devices can be opened; an ordinary user is told that rules are root's" {
    if is_root; then
        # Without tun the kernel says that there is no such device, but not that it is not permitted.
        mkdir nodes && mknod nodes/t c 10 200
        try R --device "$PWD/nodes:/dev/nodes" $IMG sh -c 'dd if=/dev/nodes/t of=/dev/null count=0 2>&1; true'
        ok && lacks "not permitted" || return 1
    else
        try R --device-cgroup-rule 'c 1:3 r' $IMG true
        fails 125 "--device-cgroup-rule needs root"
    fi
}

@test "limits that nothing can live with, or that contradict each other, are refused" {
    try R -m 5m $IMG true
    fails 125 "Minimum memory limit allowed is 6MB"
    try R -m 20m --memory-reservation 30m $IMG true
    fails 125 "--memory-reservation is larger"
    try R --cpus 1 --cpu-quota 1000 $IMG true
    fails 125 "--cpus conflicts"
    try R --blkio-weight 5 $IMG true
    fails 125 "between 10 and 1000"
    for rule in x 'd 1:5 r' 'c 1 r' 'c 1:5' 'c 1:5 rwmr' 'c 1:5 x' 'c -1:5 r' 'c 4294967296:5 r'; do
        try dewar create --network none --device-cgroup-rule "$rule" $IMG true # at once, not when it starts
        fails 125 "invalid device cgroup rule '$rule'"
    done
    dewar create -q --name small --network none -m 20m --memory-swap 30m $IMG true >/dev/null
    try dewar update -m 40m small
    fails 1 "already set memoryswap limit"
    try dewar update -m 5m small
    fails 1 "Minimum memory"
    try dewar update -m 40m --memory-swap 50m small
    ok
    dewar rm small
}

@test "what needs a network or a driver that is not there yet says so by name, and nothing is made" {
    for option in "-p 80:80" -P "--ip 192.0.2.7" "--link a:b" "--mac-address 02:00:00:00:00:01" "--network-alias x" "--gpus all"; do
        # shellcheck disable=SC2086
        try dewar run -q --name later $option $IMG true
        fails 125 "not supported yet"
        [[ $stderr == *"${option%% *}"* ]] || return 1
    done
    same "$(dewar ps -aq)" ""
}

@test "names are unique, checked and free again" {
    try R --name one $IMG true
    ok
    try dewar run -q --network none --name one $IMG true
    ok
    try R --name one $IMG true
    fails 125 "in use"
    try R --name ../x $IMG true
    fails 125 "invalid container name"
}

@test "--rm leaves nothing behind, also when the program does not start" {
    before=$(find "$DEWAR_STORE/containers" "$DEWAR_STORE/volumes" "$DEWAR_RUN/containers" | sort)
    try R -v /anon $IMG sh -c 'echo x >/x; echo y >/anon/y; mkdir -m 0 /locked'
    ok
    try R -v /anon $IMG nosuch
    fails 127
    same "$(find "$DEWAR_STORE/containers" "$DEWAR_STORE/volumes" "$DEWAR_RUN/containers" | sort)" "$before"
}

@test "a killed monitor takes its program along and the next command sweeps" {
    R $IMG sleep 300 &
    client=$!
    for _ in $(seq 100); do monitor=$(pgrep -f 'sleep 300' | head -1) && ls "$DEWAR_RUN/containers" | grep -q . && break; sleep 0.05; done
    sleep 0.2
    id=$(ls "$DEWAR_RUN/containers" | head -1)
    monitor=$(sed 's/.*"monitor":\([0-9]*\).*/\1/' "$DEWAR_RUN/containers/$id/state")
    kill -9 "$monitor"
    code=0
    wait "$client" || code=$?
    same "$code" 125
    try R $IMG true
    ok
    [ ! -e "$DEWAR_STORE/containers/$id" ]
    [ ! -e "$DEWAR_RUN/containers/$id" ]
}

@test "a killed client leaves the container running, and --rm still cleans up" {
    setsid "$DEWAR" run --rm -q --network none -v "$PWD:/w" $IMG sh -c 'echo begun >/w/log; sleep 1; echo done >>/w/log' >/dev/null 2>&1 &
    client=$!
    for _ in $(seq 100); do [ -e log ] && break; sleep 0.05; done
    kill -9 "$client" 2>/dev/null || true
    for _ in $(seq 100); do grep -q done log && break; sleep 0.05; done
    grep -q done log
    sleep 0.3
    [ -z "$(ls "$DEWAR_RUN/containers")" ]
}

@test "--cidfile is written once" {
    try R --cidfile id $IMG true
    ok
    [[ $(cat id) =~ ^[0-9a-f]{64}$ ]]
    try R --cidfile id $IMG true
    fails 125 "exists already"
}

@test "an anonymous volume gets what the image has there" {
    try R -v /etc $IMG sh -c 'grep -c user: /etc/passwd; stat -c %a /etc'
    ok && same "$output" $'1\n755' || return 1
    try R -v /var $IMG sh -c 'readlink /var/run; stat -c %a /var/tmp'
    ok && same "$output" $'../run\n1777' || return 1
}

@test "sysctls of the container's own are set and read back" {
    try R --sysctl net.ipv4.ip_default_ttl=77 $IMG cat /proc/sys/net/ipv4/ip_default_ttl
    ok && same "$output" 77 || return 1
    try R --sysctl kernel.shmmni=100 $IMG cat /proc/sys/kernel/shmmni
    ok && same "$output" 100 || return 1
}

@test "a seccomp profile of the person's is used" {
    printf '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":95}]}' >p.json
    try R --security-opt seccomp=p.json $IMG mkdir /x
    fails 1 "not supported"
    try R --security-opt seccomp=unconfined $IMG grep Seccomp: /proc/self/status
    ok && has 0 || return 1
    echo '{' >p.json
    try R --security-opt seccomp=p.json $IMG true
    fails 125 p.json
}

@test "a profile that allows no more than execve before the program is enough" {
    printf '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["execveat","fcntl","fstatat64","newfstatat"],"action":"SCMP_ACT_ERRNO","errnoRet":1}]}' >p.json
    try R --security-opt seccomp=p.json $IMG echo there
    ok && same "$output" there || return 1
    try R --security-opt seccomp=p.json "$IMG" /nowhere
    fails 127 /nowhere
    try R --security-opt seccomp=p.json "$IMG" /etc/passwd
    fails 126 /etc/passwd
}

@test "a wrong value is one clear error" {
    try R --pull sometimes $IMG true
    fails 125 "it is always, missing, newer or never"
    try R --security-opt no-new-privileges=maybe $IMG true
    fails 125 "it is true or false"
    try R --security-opt bogus $IMG true
    fails 125 "unknown security option"
    try R --platform linux/s390x $IMG true
    fails 125 s390x
    try R -v ./a:/b -v ./c:/b $IMG true
    fails 125 "two mounts on '/b'"
    try R -v ./a:/b --mount type=tmpfs,target=/b $IMG true
    fails 125 "two mounts on '/b'"
    [ ! -e a ] && [ ! -e c ] || return 1
    for port in x 0 70000 80/xx /tcp; do
        try R --expose "$port" $IMG true
        fails 125 "invalid port '$port' behind --expose"
    done
    try R --memory-swap 1g $IMG true
    fails 125 "--memory-swap needs --memory"
}

@test "a script that is here but not in the image is named when the program fails" {
    echo 'echo here' >left.sh
    try dewar run --rm --network none "$IMG" sh left.sh
    [ "$status" != 0 ]
    [[ $stderr == *"'left.sh' is in the current folder but not in the image"* ]]
    try dewar run --rm --network none -v "$PWD:/w" -w /w "$IMG" sh left.sh
    ok
    [[ $stderr != *"not in the image"* ]]
}
