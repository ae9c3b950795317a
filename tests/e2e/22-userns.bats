#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=run
# `run --userns auto`: root's containers with ids that nothing else on the machine has.
load helpers

R() { dewar run --rm -q --network none --userns auto "$@"; }
base_of() { awk 'NR == 1 && $1 == 0 && $3 == 65536 { print $2 }' "$@"; }

file_setup() {
    is_root || return 0
    mkdir "$BATS_FILE_TMPDIR/ctx"
    cat >"$BATS_FILE_TMPDIR/ctx/Dockerfile" <<END
FROM $IMG
RUN mkdir -p /gone /both/deep && echo old >/both/old && echo old >/both/deep/f && echo x >/single \
    && echo mine >/home/user/f && chown 1000:1001 /home/user/f
RUN rm -r /gone /both /single && mkdir /both && echo new >/both/new
END
    dewar build -q -t layers:test "$BATS_FILE_TMPDIR/ctx" >/dev/null
}
# A kernel that cannot map ids of layers says so, and the test is skipped.
test_setup() {
    is_root || return 0
    try R $IMG true
    [[ $stderr != *"Linux 6.15"* && $stderr != *"able to map ids"* ]] || skip "$stderr"
}

@test "the ids inside are a range of their own outside, and 0 is not in it" {
    need_root
    for mode in auto nomap; do
        try dewar run --rm -q --network none --userns $mode $IMG \
            sh -c 'cat /proc/self/uid_map; cat /proc/self/gid_map; id -u; id -g'
        ok && same "${#lines[@]}" 4 || return 1
        local base
        base=$(base_of <<<"${lines[0]}")
        [ "$base" -ge 65536 ]
        [ "$(base_of <<<"${lines[1]}")" -ge 65536 ]
        same "${lines[2]} ${lines[3]}" "0 0"
    done
}

@test "a program cannot do to the host what its root may do inside" {
    need_root
    echo secret >f && chmod 600 f
    try R -v ./f:/f $IMG cat /f
    fails 1 denied
    try R -v "$WORK":/w $IMG touch /w/new
    fails 1 denied
    try R --cap-add ALL $IMG mknod /dev/disk b 8 0
    fails 1 "not permitted"
}

@test "files of the image keep their owners, and root inside may change them" {
    need_root
    try R layers:test sh -c 'stat -c "%u:%g" /home/user/f / /etc/passwd /dev/null /etc/hosts &&
        chown 5:6 /home/user/f && stat -c "%u:%g" /home/user/f && cat /home/user/f'
    ok && same "$output" $'1000:1001\n0:0\n0:0\n0:0\n0:0\n5:6\nmine' || return 1
}

@test "what is written inside lies on disk with the container's ids, and is removed with it" {
    need_root
    try dewar run -q --network none --userns auto --name kept --cidfile cid layers:test sh -c '
        cat /proc/self/uid_map; echo 1 >/new; chown 1000:1000 /new; mkdir /dir; echo 2 >>/home/user/f'
    ok
    local base upper
    base=$(base_of <<<"$output")
    upper=$DEWAR_STORE/containers/$(cat cid)/upper
    same "$(stat -c %u:%g "$upper/new")" "$((base + 1000)):$((base + 1000))"
    same "$(stat -c %u "$upper/dir")" "$base"
    same "$(stat -c %u:%g "$upper/home/user/f")" "$((base + 1000)):$((base + 1001))"
    grep -q "\"userns\":{\"uid\":$base,\"gid\":[0-9]*,\"size\":65536}" "$upper/../config.json"
    # The layers themselves are as they were.
    same "$(dewar run --rm -q --network none layers:test stat -c %u:%g /home/user/f)" 1000:1001
    try R layers:test sh -c 'mkdir -m 700 /x; touch /x/y; chown -R 1000 /x; rm -r /home/user'
    ok && same "$(find "$DEWAR_STORE/containers" -mindepth 1 -maxdepth 1 ! -name names | wc -l)" 1 || return 1
}

@test "two containers at a time never have the same ids" {
    need_root
    mkfifo go1 go2
    R -i $IMG sh -c 'cat /proc/self/uid_map; cat' <go1 >one & first=$!
    R -i $IMG sh -c 'cat /proc/self/uid_map; cat' <go2 >two & second=$!
    exec 7>go1 8>go2
    local i
    for i in $(seq 100); do [ -s one ] && [ -s two ] && break || sleep 0.1; done
    [ -n "$(base_of one)" ] && [ -n "$(base_of two)" ] || return 1
    differ "$(base_of one)" "$(base_of two)"
    # Each holds the lock of its own ids.
    local lock=$DEWAR_RUN/userns/$(base_of one)
    [ -e "$lock" ]
    run ! flock -n "$lock" true
    exec 7>&- 8>&-
    wait "$first" "$second" # by id: bats has a child of its own for the time limit
    flock -w 5 "$lock" true
}

@test "ids that are in use are passed over" {
    need_root
    # The range of a user of ours has one place only.
    cp /etc/subuid subuid && cp /etc/subgid subgid
    printf 'dewar:3000000000:65536\n' | tee -a subuid >>subgid
    need_program unshare
    # shellcheck disable=SC2016
    run unshare -m sh -c 'mount --bind subuid /etc/subuid && mount --bind subgid /etc/subgid &&
        "$DEWAR" run --rm -q --network none --userns auto "$IMG" cat /proc/self/uid_map &&
        mkdir -p "$DEWAR_RUN/userns" &&
        flock "$DEWAR_RUN/userns/3000000000" "$DEWAR" run --rm -q --network none --userns auto "$IMG" true'
    [[ $output == *" 3000000000 "* ]]
    same "$status" 125
    [[ $output == *"all 1 ranges of ids"* ]]
}

@test "what lower layers removed stays removed, and folders made anew stay empty" {
    need_root
    try R layers:test sh -c 'ls /both /gone /single 2>&1; rm -r /both; mkdir /both; ls /both; cat /etc/group | wc -l'
    ok && has $'/both:\nnew' && lacks old && lacks deep || return 1
    has "/gone: No such file" && has "/single: No such file" || return 1
}

@test "another user, its groups and its home" {
    need_root
    try R -u 1000 $IMG sh -c 'id -u; id -G; touch /home/user/x; stat -c %u /home/user/x; touch /x'
    fails 1 denied && same "$output" $'1000\n1000 10 1001\n1000' || return 1
    try R -u 70000 $IMG true
    fails 125 "not among the ids of this container"
}

@test "a terminal belongs to the program's user" {
    need_root
    need_program script
    try on_tty "$DEWAR run --rm -q --network none --userns auto -it -u 1000 $IMG \
        sh -c 'tty; stat -c %u:%g /dev/pts/0; echo there >/dev/tty'"
    ok && has $'/dev/pts/0\n1000:5\nthere' || return 1
}

@test "volumes, tmpfs, pipes, limits and an init of one's own" {
    need_root
    try R -v /home/user -v /fresh --tmpfs /t:uid=1000,gid=1001,mode=700 --init --shm-size 1m \
        layers:test sh -c 'stat -c %u:%g /home/user /home/user/f /fresh /t /dev/shm /dev/pts/..
            cat /home/user/f; touch /fresh/x /home/user/x; echo pipe >/dev/stdout'
    ok
    same "$output" $'1000:1000\n1000:1001\n0:0\n1000:1001\n0:0\n0:0\nmine\npipe'
    try R --network host --pid host $IMG sh -c 'ls /sys/class >/dev/null && [ "$$" != 1 ]'
    ok
    try R --sysctl net.ipv4.ip_forward=1 --read-only --hostname me $IMG \
        sh -c 'cat /proc/sys/net/ipv4/ip_forward; hostname; touch /x'
    fails 1 "Read-only" && same "$output" $'1\nme' || return 1
}

@test "what contradicts it is refused with a hint" {
    need_root
    try R --privileged $IMG true
    fails 125 "contradict" && err_has "hint: leave out --userns" || return 1
    try dewar run --rm --userns bogus $IMG true
    fails 125 bogus
}
