# SPDX-License-Identifier: Apache-2.0
# bats file_tags=run
# `run --userns`: who a container's files belong to. keep-id as root and as an ordinary user; auto and
# nomap as an ordinary user (22-userns.bats has root's).
load helpers

R() { dewar run --rm -q --network none "$@"; }

file_setup() {
    mkdir "$BATS_FILE_TMPDIR/ctx"
    cat >"$BATS_FILE_TMPDIR/ctx/Dockerfile" <<END
FROM $IMG
RUN mkdir -p /d/deep /gone /both && echo one >/d/a && ln /d/a /d/b && ln -s a /d/l && mkfifo /d/p \
    && chmod 640 /d/a && chown 1000:1001 /d/a /d/deep && touch /d/s && chown 5:6 /d/s \
    && chmod 6755 /d/s && echo old >/both/old
RUN rm -r /gone /both && mkdir /both && echo new >/both/new
USER user
END
    dewar build -q -t jo:1 "$BATS_FILE_TMPDIR/ctx" >/dev/null
}
test_setup() {
    is_root || return 0
    try R --userns auto $IMG true
    [[ $stderr != *"Linux 6.15"* && $stderr != *"able to map ids"* ]] || skip "$stderr"
}
mapped() { ls "$DEWAR_STORE/layers" | grep -c '+' || true; }
me() { echo "$(id -u):$(id -g)"; }
# How many ids a user has behind the own one, in one range or in several.
own_ids() {
    R $IMG sh -c 'for f in uid_map gid_map; do tail -1 /proc/self/$f; done' | awk '{ print $1 + $3 - 1 }' | sort -n | head -1
}

@test "what the image's user writes belongs to who ran it" {
    mkdir w
    try R --userns keep-id -v ./w:/w jo:1 sh -c 'id -u; id -g; touch /w/f; stat -c %u:%g /w/f /w; mkdir /home/user/x'
    ok && same "$output" $'1000\n1000\n1000:1000\n1000:1000' || return 1
    same "$(stat -c %u:%g w/f)" "$(me)"
    # Without it an ordinary user cannot even read the file again.
    chmod 777 w
    try R -v ./w:/w jo:1 touch /w/g
    ok
    differ "$(stat -c %u w/g)" "$(id -u)"
    rm -f w/g
}

@test "the image's files keep their owners, modes, links and times" {
    local look="ls -ln --full-time /d /both | sed 's/^total.*//'; cat /d/a; ls /gone; stat -c '%u:%g %a' / /bin/busybox /d/deep /home/user /dev/null /etc/hosts"
    try R -u 0 jo:1 sh -c "$look"
    local plain=$output
    has 1000 && has new && lacks old || return 1
    try R -u 0 --userns keep-id:uid=1000,gid=1000 jo:1 sh -c "$look"
    same "$output" "$plain"
    try R -u 0 --userns keep-id:uid=1000,gid=1000 jo:1 sh -c 'echo two >>/d/a; cat /d/a; chown 7:8 /d/s; stat -c %u:%g /d/s; rm -r /both; mkdir /both; ls /both'
    ok && same "$output" $'one\ntwo\n7:8' || return 1
}

@test "without a user in the image the program has the caller's number, or the one that is named" {
    need_user
    mkdir w
    try R --userns keep-id -v ./w:/w $IMG sh -c 'id -u; id -g; touch /w/a; whoami'
    ok && same "${lines[0]}:${lines[1]}" "$(me)" || return 1
    differ "${lines[2]}" root
    try R --userns keep-id:uid=5,gid=6 -v ./w:/w $IMG sh -c 'id -u; id -g; touch /w/b; cat /proc/self/uid_map'
    ok && same "${lines[0]} ${lines[1]}" "5 6" || return 1
    try R --userns keep-id:uid=3000000 -v ./w:/w $IMG sh -c 'id -u; touch /w/c; stat -c %u /etc/passwd'
    ok && same "$output" $'3000000\n0' || return 1
    same "$(stat -c %u:%g w/a w/b w/c | sort -u)" "$(me)"
    # Root in there is somebody else now.
    try R --userns keep-id -u 0 -v ./w:/w $IMG sh -c 'touch /w/d && stat -c %u:%g /w/d'
    ok && same "$output" 0:0 || return 1
    differ "$(stat -c %u w/d)" "$(id -u)"
    # The one to whom it makes no difference.
    try R --userns keep-id:uid=0,gid=0 -v ./w:/w $IMG sh -c 'id -u; touch /w/e'
    ok && same "$(stat -c %u w/e)" "$(id -u)" || return 1
}

@test "as root the program's user is root's id outside, with a range of its own around it" {
    need_root
    mkdir w && chmod 700 w
    try R --userns keep-id -v ./w:/w jo:1 sh -c 'cat /proc/self/uid_map; touch /w/f; ls /w >/dev/null'
    ok && same "${#lines[@]}" 3 || return 1
    same "$(tr -s ' ' <<<"${lines[1]}")" " 1000 0 1"
    same "$(stat -c %u:%g w/f)" 0:0
    try R --userns keep-id -u 0 -v ./w:/w jo:1 touch /w/x
    ok
    try R --userns keep-id:uid=1000,gid=1000 -u 0 -v ./w:/w jo:1 touch /w/y
    ok
    differ "$(stat -c %u w/y)" 0
    # Nothing is to be done where the program is root.
    try R --userns keep-id $IMG sh -c 'cat /proc/self/uid_map'
    same "$(tr -s ' ' <<<"$output")" " 0 0 4294967295"
    # Real root's id is not real root: what its namespace does not own it cannot change.
    try R --userns keep-id jo:1 sh -c 'echo 1 >/proc/sys/kernel/printk'
    fails 1
    same "$(mapped)" 0
}

@test "a container is started again and entered with the same ids" {
    mkdir w
    try dewar run -d -q --network none --userns keep-id --name again -v ./w:/w jo:1 sh -c 'touch /w/$(date +%N) /home/user/new; exec sleep 60'
    ok
    try dewar exec again sh -c 'id -u; touch /w/exec; cat /proc/self/uid_map'
    ok && same "${lines[0]}" 1000 || return 1
    local map=$output
    dewar stop -t 0 again && dewar start again
    try dewar exec again sh -c 'id -u; touch /w/exec2; cat /proc/self/uid_map'
    same "$output" "$map"
    try dewar exec -u 0 again sh -c 'stat -c %u /home/user/new; touch /root/x && stat -c %u /root/x'
    ok && same "$output" $'1000\n0' || return 1
    same "$(stat -c %u:%g w/* | sort -u)" "$(me)"
    same "$(dewar inspect -f '{{.HostConfig.UsernsMode}} {{.Config.User}}' again)" "keep-id user"
    dewar rm -f again
}

@test "a volume is shared with containers of the usual mapping" {
    need_user
    R --userns keep-id -v vol:/home/user jo:1 sh -c 'echo mine >/home/user/f'
    try R -u 0 -v vol:/v $IMG sh -c 'cat /v/f; stat -c %u:%g /v/f /v'
    ok && same "$output" $'mine\n0:0\n0:0' || return 1
    same "$(stat -c %u:%g "$DEWAR_STORE/volumes/vol/_data/f")" "$(me)"
    dewar volume rm vol
}

@test "layers are copied once, announced, and the shared ones stay as they are" {
    need_user
    fresh_store "$WORK/copy"
    import_image
    dewar build -q -t jo:1 "$BATS_FILE_TMPDIR/ctx" >/dev/null
    local form before
    form=$(ls "$DEWAR_STORE/layers")
    look() { find "$DEWAR_STORE/layers/$form" -printf '%P %m %u %U %G %T@ %n\n' 2>/dev/null | sort | sha256sum; }
    before=$(look)
    try dewar run --rm --network none --userns keep-id jo:1 true
    ok && err_has "copying 3 layers for other ids" || return 1
    same "$(mapped)" 1
    same "$(ls "$DEWAR_STORE/layers/$form+keep-1000-1000" | wc -l)" 3
    try dewar run --rm --network none --userns keep-id jo:1 true
    ok
    [[ $stderr != *copying* ]]
    # Another image on the same base shares its copies.
    mkdir c && printf 'FROM jo:1\nRUN touch /home/user/z\n' >c/Dockerfile
    dewar build -q -t jo:2 c >/dev/null
    before=$(look)
    try dewar run --rm --network none --userns keep-id jo:2 true
    ok && err_has "copying 1 layer for" || return 1
    same "$(look)" "$before"
    try dewar system df -v
    same "$(grep -c mapped <<<"$output")" 4
    # It is cache: of an image that no container uses it may go, of one that is used it stays.
    dewar create -q --network none --userns keep-id --name holder jo:1 true >/dev/null
    dewar builder prune -af >/dev/null
    same "$(ls "$DEWAR_STORE/layers/$form+keep-1000-1000" | wc -l)" 3
    dewar rm holder >/dev/null && dewar builder prune -af >/dev/null
    same "$(mapped)" 0
    R --userns keep-id jo:1 true
    same "$(mapped)" 1
    dewar rmi jo:1 jo:2 >/dev/null
    same "$(ls "$DEWAR_STORE/layers/$form+keep-1000-1000" | wc -l)" 1 # the base image's
    dewar rmi $IMG >/dev/null
    same "$(ls "$DEWAR_STORE/layers/$form+keep-1000-1000" | wc -l)" 0
    store_is_clean
}

@test "ten runs at once make one copy" {
    need_user
    fresh_store "$WORK/copy"
    import_image
    local i pids=()
    for i in 1 2 3 4 5 6 7 8 9 10; do
        dewar run --rm -q --network none --userns keep-id:uid=7,gid=7 $IMG id -u >"out$i" 2>"err$i" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i"; done
    same "$(cat out*)" "$(printf '7\n%.0s' 1 2 3 4 5 6 7 8 9 10)"
    same "$(cat err* | grep -c copying)" 1
    store_is_clean
}

@test "auto and nomap give a user's container ids without the user's own" {
    need_user
    echo secret >f && chmod 600 f
    for mode in nomap auto auto:size=2000; do
        try R --userns $mode -v ./f:/f $IMG sh -c 'cat /proc/self/uid_map; echo and; id -u; touch /x; stat -c %u /x /etc/passwd /f; cat /f'
        fails 1 denied && same "$(sed '1,/^and$/d' <<<"$output" | paste -sd' ')" "0 0 0 65534" || return 1
        # A line for each of the user's ranges that it lies in: from 0 on, and never the user's own.
        same "$(sed '/^and$/,$d' <<<"$output" | awk '$1 != n || $2 < 1 { print "wrong:", $0 } { n = $1 + $3 }')" ""
        n=$(sed '/^and$/,$d' <<<"$output" | awk '{ n += $3 } END { print n }')
    done
    same "$n" 2000
    try R --userns auto:size=500 jo:1 true
    fails 125 "which the container has not" && err_has "1000" || return 1
    try R --userns auto:size=2000 -u 3000 $IMG true
    fails 125 "not among the ids of this container"
}

@test "two containers of a user with auto never share ids, and when all are taken it is said" {
    need_user
    local all size k
    all=$(own_ids)
    size=$((all * 30000 / 65536))
    [ "$size" -le 65536 ] || size=65536 # the most that one takes
    for k in $(seq $((all / size))); do
        try dewar run -d -q --network none --userns auto:size=$size --name "u$k" $IMG sleep 60
        ok
        dewar exec "u$k" cat /proc/self/uid_map >>maps
    done
    same "$(awk '{ print $2 }' maps | sort -n | uniq -d)" ""
    same "$(awk '{ n += $3 } END { print n }' maps)" $((size * k))
    try R --userns auto:size=$size $IMG true
    fails 125 "all $all of this user's ids are in use" && err_has "hint: --userns auto:size=N" || return 1
    # Pieces of another size keep off them as well.
    try R --userns auto $IMG true
    fails 125 "in use"
    try R --userns auto:size=1200 $IMG cat /proc/self/uid_map
    ok && same "$(awk '{print $2; exit}' <<<"$output")" $((1 + (size * k + 1199) / 1200 * 1200)) || return 1
    dewar rm -f u1 >/dev/null
    try R --userns auto:size=$size $IMG cat /proc/self/uid_map
    ok && same "$(awk '{print $2; exit}' <<<"$output")" 1 || return 1
    dewar ps -aq | xargs "$DEWAR" rm -f >/dev/null
}

@test "a user whose range is too small is told so" {
    need_root
    need_program unshare
    sub_user
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" . 2>/dev/null || true
    printf '%s:%s:2000\n' "$SUB_NAME" 3000000000 | tee subuid >subgid
    # shellcheck disable=SC2016
    run unshare -m sh -c 'mount --bind subuid /etc/subuid && mount --bind subgid /etc/subgid && cd / &&
        as="setpriv --reuid $SUB_ID --regid $SUB_ID --clear-groups" &&
        $as "$DEWAR" image import "$SUB_HOME/r.tar" small &&
        $as "$DEWAR" run --rm -q --network none --userns auto small true
        $as "$DEWAR" run --rm -q --network none --userns auto:size=1500 small cat /proc/self/uid_map'
    [[ $output == *"this user has 2000 ids in /etc/subuid"*"too few for a container with 65536"* ]]
    [[ $output == *"auto:size=2000"* ]]
    [[ ${lines[-1]} == *" 1500" ]]
}

# An ordinary user with ranges, for tests that need root as well: $SUB_NAME, $SUB_ID, and a store in
# $SUB_HOME.
sub_user() {
    local name
    for name in $(cut -d: -f1 /etc/subuid); do
        SUB_ID=$(id -u "$name" 2>/dev/null) || continue
        [ "$SUB_ID" != 0 ] && grep -q "^$name:" /etc/subgid && SUB_NAME=$name && break
    done
    [ -n "${SUB_NAME:-}" ] || skip "needs an ordinary user with a line in /etc/subuid"
    SUB_HOME=$BATS_TEST_TMPDIR/sub
    mkdir -p "$SUB_HOME"
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" "$WORK" 2>/dev/null || true
    cp "$BATS_RUN_TMPDIR/rootfs-0.tar" "$SUB_HOME/r.tar"
    chown -R "$SUB_ID:$SUB_ID" "$SUB_HOME"
    export SUB_NAME SUB_ID SUB_HOME DEWAR_STORE=$SUB_HOME/store DEWAR_RUN=$SUB_HOME/run HOME=$SUB_HOME
    cd /
}
as_sub() { setpriv --reuid "$SUB_ID" --regid "$SUB_ID" --clear-groups "$@"; }

@test "a copy that is killed anywhere is whole or not there" {
    need_root
    need_program strace
    sub_user
    as_sub "$DEWAR" image import "$SUB_HOME/r.tar" bb >/dev/null
    for point in mkdirat:8 mkdirat:15 symlinkat:10 symlinkat:200 linkat:1 copy_file_range:1 fchown:5 \
        fchownat:30 utimensat:20 renameat2:1 renameat2:2 syncfs:1 unlinkat:3; do
        strace -f -qq -o /dev/null -e "inject=${point%:*}:signal=KILL:when=${point#*:}" \
            setpriv --reuid "$SUB_ID" --regid "$SUB_ID" --clear-groups \
            "$DEWAR" run --rm -q --network none --userns keep-id:uid=9,gid=9 bb true >/dev/null 2>&1 || true
        same "$point: $(as_sub "$DEWAR" run --rm -q --network none --userns keep-id:uid=9,gid=9 bb \
            sh -c 'ls -l /bin | wc -l; sha256sum </bin/busybox; stat -c %u:%g /bin/ls /etc' 2>&1 | grep -v copying)" \
            "$point: $(as_sub "$DEWAR" run --rm -q --network none bb \
            sh -c 'ls -l /bin | wc -l; sha256sum </bin/busybox; stat -c %u:%g /bin/ls /etc')"
        as_sub "$DEWAR" builder prune -af >/dev/null
        same "$point: $(mapped)" "$point: 0"
    done
    same "$(find "$DEWAR_STORE/tmp" "$DEWAR_STORE/trash" -mindepth 1 | wc -l)" 0
}

@test "on a file system that shares blocks a copy takes next to nothing" {
    need_root
    need_program mkfs.btrfs btrfs-progs
    sub_user
    truncate -s 200M "$SUB_HOME/disk" && mkfs.btrfs -q "$SUB_HOME/disk"
    mkdir "$SUB_HOME/mnt"
    need_kernel "btrfs over a loop device" mount -o loop "$SUB_HOME/disk" "$SUB_HOME/mnt"
    chown "$SUB_ID:$SUB_ID" "$SUB_HOME/mnt"
    export DEWAR_STORE=$SUB_HOME/mnt/store
    as_sub "$DEWAR" image import "$SUB_HOME/r.tar" bb >/dev/null
    run as_sub "$DEWAR" run --rm -q --network none --userns keep-id bb true
    sync -f "$SUB_HOME/mnt"
    local first second
    first=$(filefrag -v "$DEWAR_STORE"/layers/*+keep*/*/fs/bin/busybox | awk '$1 == "0:" { print $4 }')
    second=$(filefrag -v "$DEWAR_STORE"/layers/map-*[!+]*/*/fs/bin/busybox | awk '$1 == "0:" { print $4; exit }')
    umount "$SUB_HOME/mnt"
    [ -n "$first" ]
    same "$first" "$second"
}

@test "a mode that does not exist is refused" {
    for mode in bogus keep-id:uid=x keep-id:bad=1 auto:size=0 auto:size=70000 nomap:size=5 keep-id: keep-id:uid=-1; do
        try dewar run --rm --network none --userns "$mode" $IMG true
        fails 125 "unknown user namespace '$mode'" && err_has "keep-id[:uid=N,gid=N]" || return 1
    done
    is_root || return 0
    try dewar run --rm --network none --userns auto:size=100 $IMG true
    fails 125 "for ordinary users"
}
