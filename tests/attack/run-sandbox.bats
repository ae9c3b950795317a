#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=attack,run
# What a hostile image, program or command line tries against `run`, each with its legal twin.
load ../e2e/helpers
load trojan

R() { dewar run --rm -q --network none "$@"; }
PROBE=${TOOLS:-$(dirname "$DEWAR")/../../tests/tools}/probe

file_setup() {
    mkdir -p "$BATS_FILE_TMPDIR/canary"
    echo secret >"$BATS_FILE_TMPDIR/canary/file"
}
test_setup() {
    CANARY=$BATS_FILE_TMPDIR/canary
    BEFORE=$(tree_hash "$CANARY")
}
test_teardown() {
    [ "$(tree_hash "$CANARY")" = "$BEFORE" ] || { echo "the canary changed" >&2; return 1; }
}
# evil NAME: makes an image of the folder ./root, which starts as the test image's files.
new_root() { mkdir root && tar -xf "$BATS_RUN_TMPDIR/rootfs-$(id -u).tar" -C root --no-same-owner; }
evil() {
    local name=$1
    shift
    tar -C root --owner=0 --group=0 --numeric-owner -c . | dewar image import "$@" - "$name" >/dev/null
}

# An image whose /evil hands on a descriptor of whatever file executed it, for `probe rewrite`.
hostile() {
    new_root
    trojan root
    cp "$PROBE" root/then
    evil hostile:1
    my_dewar
    OURS=$(stat -c %d:%i "$DEWAR")
}

@test "A1: no program of a container gets hold of the file that dewar was started from" {
    hostile
    try R hostile:1 /good
    ok && has good || return 1
    for how in "" --init "-u 1234" --read-only "--userns auto"; do
        [[ $how != *auto ]] || is_root || continue
        # shellcheck disable=SC2086
        try timeout -s KILL 3 "$DEWAR" run --name hostile -q --network none $how hostile:1 /evil
        "$DEWAR" rm -f hostile >/dev/null 2>&1 || true
        [ "$status" != 0 ] && lacks "$OURS" || return 1
    done
    printf 'FROM hostile:1\nRUN ["/evil"]\n' >Dockerfile
    try timeout -s KILL 5 "$DEWAR" build --progress plain .
    [ "$status" != 0 ] && lacks "$OURS" && [[ $stderr != *"$OURS"* ]] || return 1
    dewar_is_whole
}

@test "A1: dewar is not written when a monitor is killed and nobody executes it any more" {
    hostile
    for _ in 1 2 3 4 5 6 7 8; do
        id=$("$DEWAR" run -d --network none hostile:1 /evil 2>/dev/null || true)
        monitor=$(sed -n 's/.*"monitor":\([1-9][0-9]*\).*/\1/p' "$DEWAR_RUN/containers/$id/state" 2>/dev/null || true)
        sleep 0.3 # for its trying again and again
        [ -z "$monitor" ] || kill -9 "$monitor" || true
        for _ in 1 2 3 4 5; do sleep 0.05; dewar_is_whole || return 1; done
        "$DEWAR" rm -f "$id" >/dev/null 2>&1 || true
    done
}

@test "A2: a working directory below /proc/self/fd gives no way out" {
    for n in 0 3 4 5 7 9 12 20; do
        try R -w "/proc/self/fd/$n" $IMG pwd
        [ "$status" != 0 ] || [[ $output == /proc/self/fd/* ]]
    done
    try R -v "$PROBE:/probe:ro" $IMG /probe fds
    ok && same "$output" "0 1 2 " || return 1
}

@test "A4 D8: masked and read-only paths stay so, whatever the image's /dev/null is" {
    new_root
    rm -rf root/dev && mkdir root/dev && ln -s /proc/sysrq-trigger root/dev/null
    evil masked:1
    for img in $IMG masked:1; do
        try R $img sh -c 'for f in interrupts kcore keys latency_stats sched_debug timer_list timer_stats; do
            [ ! -e /proc/$f ] || { head -c1 /proc/$f | grep -q . && echo leak $f; stat -c "%t:%T" /proc/$f; }; done
            for d in /proc/acpi /proc/asound /proc/scsi /sys/firmware /sys/devices/virtual/powercap; do
            [ ! -d $d ] || ls -A $d; touch $d/x 2>/dev/null && echo writable $d; done
            for f in sys/kernel/core_pattern sysrq-trigger irq/default_smp_affinity; do
            echo x 2>/dev/null >/proc/$f && echo writable $f; done; touch /sys/x 2>/dev/null && echo writable /sys; :'
        ok && lacks leak && lacks writable || return 1
        [ -z "$(grep -v '^1:3$' <<<"$output")" ]
    done
}

@test "A6: /proc, /sys and /dev must be folders of the image; twin: var/run is a link" {
    for d in proc sys dev; do
        rm -rf root && new_root
        rm -rf "root/$d" && ln -s "../../../../../..$CANARY" "root/$d"
        evil "link-$d:1"
        try R "link-$d:1" true
        fails 125 "'/$d'"
        ln -sfn /etc "root/$d"
        evil "link-$d:2"
        try R "link-$d:2" true
        fails 125 "'/$d'"
    done
    try R $IMG sh -c 'cd /var/run && pwd -P'
    ok && same "$output" /run || return 1
}

@test "A6: nothing is mounted over /proc or below it; twin: /proc/cpuinfo may be" {
    mkdir d && echo fake >f
    for t in /proc /proc/self /proc/self/attr /proc/sys /proc/../proc/1; do
        try R -v "$PWD/d:$t" $IMG true
        fails 125
        try R --tmpfs "$t" $IMG true
        fails 125
    done
    try R -v "$PWD/f:/proc/cpuinfo" $IMG cat /proc/cpuinfo
    ok && same "$output" fake || return 1
}

@test "A8: mount targets that are links of the image stay inside" {
    new_root
    ln -s "$CANARY" root/out && ln -s ../../../../../../../../etc root/up && ln -s /run root/legal
    evil links:1
    mkdir d && echo mine >d/f
    # The link leads to a path that is not there inside: it is made there, and what is outside stays.
    try R -v "$PWD/d:/out/x" links:1 sh -c "cat /out/x/f; ls $CANARY"
    ok && same "$output" $'mine\nx' || return 1
    [ ! -e "$CANARY/x" ]
    try R -v "$PWD/d:/up/x" links:1 cat /etc/x/f
    ok && same "$output" mine || return 1
    try R -v "$PWD/d:/legal/x" links:1 cat /run/x/f
    ok && same "$output" mine || return 1
}

@test "A8: mount targets behind links to nothing are made inside; twin: a link to a place of the image" {
    local up=../../../../../../../../../../../../../..
    new_root && cd root
    ln -s "$up$CANARY/made" up && ln -s "$CANARY/made" abs && ln -s "/..$CANARY/deep/er" dots
    mkdir d && ln -s ../../../../../etc/made d/out && ln -s "/proc/self/root$CANARY/made" proc
    ln -s /proc/1/cwd/made magic && ln -s "$(printf '%04090d' 0)" long && ln -s new/place twin
    ln -s ./.././/new//place/ odd
    cd .. && evil links:1
    mkdir -p src && echo mine >src/f
    for target in /up /abs /dots /d/out /up/more/below; do
        try R -v "$PWD/src:$target" links:1 cat "$target/f"
        ok && same "$output" mine || return 1
        [ ! -e /etc/made ] && [ ! -e "$CANARY/made" ] && [ ! -e "$CANARY/deep" ] || return 1
    done
    for target in /proc/made /magic /long; do
        try R -v "$PWD/src:$target" links:1 true
        [ "$status" = 125 ] || return 1
    done
    # Through proc's own link the root is the container's again, or nothing.
    try R -v "$PWD/src:/proc" links:1 true
    fails 125
    try R -v "$PWD/src:/twin" -v "$PWD/src:/odd/x" links:1 cat /new/place/f /new/place/x/f
    ok && same "$output" $'mine\nmine' || return 1
}

@test "A8: a target that is swapped for a link all the time stays inside" {
    mkdir -p vol/real && ln -s "$CANARY" vol/link && echo mine >f
    "$PROBE" exchange vol real link 0 &
    swapper=$!
    for _ in $(rounds 60 2000); do
        R -v "$PWD/vol:/vol" -v "$PWD/f:/vol/real/planted" $IMG cat /vol/real/file >>seen 2>/dev/null || true
    done
    kill "$swapper"
    wait "$swapper" || true
    ! grep -q secret seen || return 1
    [ ! -e "$CANARY/planted" ]
}

@test "A9: WORKDIR is made inside only" {
    new_root
    ln -s "$CANARY" root/a
    evil workdir:1 --change "WORKDIR /a/new"
    try R workdir:1 pwd
    [ ! -e "$CANARY/new" ]
}

@test "A17: names that are paths are refused" {
    for name in .. . a/b %2e%2e -x "$(printf 'a%.0s' $(seq 5000))" $'a\nb'; do
        try dewar run --rm -q --network none --name="$name" $IMG true
        fails 125
    done
}

@test "A18: a sysctl sets itself only" {
    before=$(cat /proc/sys/kernel/core_pattern /proc/sys/net/ipv4/ip_forward)
    for s in 'net.ipv4.x=1+kernel.core_pattern=|/x' $'net.ipv4.ip_forward=1\nkernel.core_pattern=|/x' \
        'kernel.core_pattern=|/x' 'kernel/core_pattern=|/x' 'net/../kernel/core_pattern=|/x' \
        'fs.file-max=5' 'vm.swappiness=1'; do
        try R --sysctl "$s" $IMG true
        fails 125
    done
    try dewar run --rm -q --network host --sysctl net.ipv4.ip_forward=1 $IMG true
    fails 125 "host's network"
    same "$(cat /proc/sys/kernel/core_pattern /proc/sys/net/ipv4/ip_forward)" "$before"
    try R --sysctl net.ipv4.ip_forward=1 $IMG cat /proc/sys/net/ipv4/ip_forward
    ok && same "$output" 1 || return 1
}

@test "B8: passwd and group that are fifos, devices or huge do not hang" {
    for kind in fifo zero huge; do
        rm -rf root && new_root
        rm root/etc/passwd
        case $kind in
        fifo) mkfifo root/etc/passwd ;;
        zero) ln -s /dev/zero root/etc/passwd ;;
        huge) truncate -s 20M root/etc/passwd ;;
        esac
        evil "passwd-$kind:1"
        try timeout 10 "$DEWAR" run --rm -q --network none -u user "passwd-$kind:1" true
        fails 125
    done
    rm -rf root && new_root
    mv root/etc/passwd root/etc/real && ln -s /etc/real root/etc/passwd
    evil passwd-link:1
    try R -u user passwd-link:1 id -u
    ok && same "$output" 1000 || return 1
}

@test "B9: digits are a number, never a name" {
    new_root
    printf '%s\n' 1:x:0:0::/:/bin/sh 4294967296:x:0:0::/:/bin/sh -1:x:7:7::/:/bin/sh >>root/etc/passwd
    evil digits:1
    try R -u 1 digits:1 id -u
    ok && same "$output" 1 || return 1
    for u in 4294967295 4294967296 18446744073709551616 0x0 ' 1'; do
        try R -u "$u" digits:1 id -u
        fails 125
    done
}

@test "B10: the host's environment does not come in" {
    new_root
    evil env:1 --change 'ENV GOOD=1'
    try env SENTINEL=leaked AWS_SECRET=leaked "$DEWAR" run --rm -q --network none env:1 sh -c 'env; cat /proc/1/environ'
    ok && lacks leaked && has GOOD=1 || return 1
}

@test "D1 D2: capability sets and groups are exact" {
    try R $IMG grep -E '^Cap' /proc/self/status
    ok && has "CapInh:	0000000000000000" && has "CapBnd:	00000000800405fb" && has "CapAmb:	0000000000000000" || return 1
    try R -u 1234 $IMG grep -E '^Cap' /proc/self/status
    ok && has "CapEff:	0000000000000000" && has "CapPrm:	0000000000000000" && has "CapBnd:	00000000800405fb" || return 1
    try R -u 1234:55 $IMG id -G
    ok && same "$output" 55 || return 1
    try R $IMG id -G
    ok && same "$output" 0 || return 1
    try R --security-opt no-new-privileges -u 1234 $IMG grep -E 'NoNewPrivs|Seccomp:' /proc/self/status
    ok && has "NoNewPrivs:	1" && has "Seccomp:	2" || return 1
    try R --cap-drop ALL --cap-add CHOWN $IMG grep CapBnd /proc/self/status
    ok && has 0000000000000001 || return 1
}

@test "D3: control groups cannot be written or mounted" {
    try R $IMG sh -c 'echo 1 >/sys/fs/cgroup/cgroup.procs || mkdir /sys/fs/cgroup/x || mount -t cgroup c /mnt'
    [ "$status" != 0 ]
}

@test "D3: control groups of version 1 show what is the container's own, and let nothing be written; twin: the limit is read" {
    need_root
    [ -d /sys/fs/cgroup/memory ] || skip "is about cgroup v1"
    [ -e /sys/fs/cgroup/memory/release_agent ] # what is looked for
    try R -m 64m --pids-limit 50 $IMG sh -c 'cd /sys/fs/cgroup
        cat memory/memory.limit_in_bytes
        find . -follow -name release_agent
        find . -follow -type d | grep ./.*/
        ls -d memory/../../cgroup/*/release_agent 2>/dev/null
        for c in . *; do
            mount -o remount,bind,rw $c 2>/dev/null && echo remounts $c
            mkdir $c/x 2>/dev/null && echo makes $c/x
            for f in release_agent notify_on_release cgroup.procs tasks cgroup.clone_children memory.limit_in_bytes pids.max; do
                echo 1 2>/dev/null >$c/$f && echo writes $c/$f
            done
        done
        umount memory 2>/dev/null && echo unmounts
        mkdir /q; for o in memory release_agent=/x memory,release_agent=/x none,name=q; do
            mount -t cgroup -o $o c /q 2>/dev/null && echo mounts $o
        done'
    same "$output" 67108864
    # Whoever may mount can open them for writing, and still finds no more than that.
    try R -m 64m --cap-add SYS_ADMIN $IMG sh -c 'mount -o remount,bind,rw /sys/fs/cgroup/memory && cd /sys/fs/cgroup/memory &&
        echo 60000000 >memory.limit_in_bytes && find .. -follow -name release_agent; echo 1 >release_agent'
    [ "$status" != 0 ] && same "$output" "" || return 1
    # With the host's own /sys the host's groups are not there either.
    for flags in "--network host" "--network host --userns auto" "--network host -m 64m --userns auto"; do
        # shellcheck disable=SC2086
        try dewar run --rm -q $flags $IMG sh -c 'ls /sys/fs/cgroup; find /sys/fs/cgroup/ -name release_agent'
        [[ $stderr != *"able to map ids"* ]] || continue
        ok && lacks release_agent && lacks freezer || return 1
    done
}

@test "D3: an ordinary user's container does not see the host's control groups" {
    need_user
    [ -d /sys/fs/cgroup/memory ] || skip "is about cgroup v1"
    for net in none host; do
        try dewar run --rm -q --network $net $IMG ls -A /sys/fs/cgroup
        ok && same "$output" "" || return 1
    done
}

@test "D6: the caller's terminal cannot be typed into" {
    need_program script bsdutils
    for flags in "" "-i" "-it" "-t"; do
        for high in "" 1; do
            script -qec "$DEWAR run --rm -q --network none $flags -v $PROBE:/probe:ro $IMG /probe tiocsti $high </dev/tty" /dev/null </dev/null >out 2>&1 || true
            grep -qE 'EPERM|ENOTTY|EIO' out || { cat out >&2; return 1; }
            [ ! -e tiocsti-worked ]
        done
    done
}

@test "D7: what reaches too deep into the kernel is refused" {
    [ "$(uname -m)" = x86_64 ] || skip "numbers are those of x86_64"
    while read -r want kind args; do
        # shellcheck disable=SC2086
        try R -v "$PROBE:/probe:ro" $IMG /probe "$kind" $args
        [ "$output" = "$want" ] || { echo "$kind $args: $output, wanted $want" >&2; return 1; }
    done <<'EOF'
EPERM call 41 38 5 0
EPERM call 41 40 1 0
EPERM call 41 0x100000026 5 0
ok call 41 1 1 0
EPERM call 425 1 0
EPERM call 323 0
EPERM call 250 0 0
EPERM call 272 0x10000000
EPERM call 56 0x10000011 0 0 0 0
ENOSYS call 435 0 0
EPERM call 165 0 0 0 0 0
EPERM call 321 0 0 0
EPERM call 298 0 0 0 0 0
EPERM call 175 0 0 0
EPERM call 304 0 0 0
EPERM call 246 0 0 0 0
ENOSYS call 9999
EPERM call32 102 1 0
EPERM call32 359 38 5 0
EOF
}

@test "D10: a restriction that cannot be set is a container that does not start" {
    need_program strace
    for call in seccomp capset setresuid setresgid setgroups; do
        try strace -f -qq -o /dev/null -e inject=$call:error=EPERM "$DEWAR" run --rm -q --network none -u 1000:1000 $IMG echo started
        [ "$status" != 0 ] || { echo "$call failed and it started" >&2; return 1; }
        lacks started
    done
    try strace -f -qq -o /dev/null -e inject=seccomp:retval=0 "$DEWAR" run --rm -q --network none $IMG echo started
    fails 125 && lacks started || return 1
}

@test "D12 F3: no privilege of files, nothing run from PATH or the current folder" {
    dir=$(dirname "$DEWAR")
    [ -z "$(find "$dir" "$dir/../runtime" -maxdepth 1 -type f -perm /6000)" ]
    mkdir planted
    for p in newuidmap newgidmap sh dewar-init dewar-seccomp git; do
        printf '#!/bin/sh\ntouch %s/ran-%s\nexit 1\n' "$PWD" "$p" >"planted/$p"
        chmod +x "planted/$p"
        cp "planted/$p" .
    done
    try env PATH="$PWD/planted:$PATH" "$DEWAR" run --rm -q --network none --init $IMG true
    ok
    [ -z "$(ls ran-* 2>/dev/null)" ]
}

@test "B4 F5: device nodes of an image do not open; control bytes do not reach the terminal" {
    if is_root; then
        new_root
        mknod root/disk c 1 5 && chmod 666 root/disk
        evil node:1
        try R node:1 head -c1 /disk
        fails 1
        try R $IMG head -c1 /dev/zero
        ok
    fi
    try R $IMG $'no\e]0;x\asuch'
    [ "$status" = 127 ] && [[ $stderr != *$'\e'* ]] || return 1
}
