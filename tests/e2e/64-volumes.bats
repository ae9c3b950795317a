#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=volumes
# Volumes: made on first use or by hand, filled once, kept when containers go.
load helpers

R() { dewar run --rm -q --network none "$@"; }
# $IMG with files in /data: of two owners, a link, a mode, and a folder.
file_setup() {
    local dir=$BATS_FILE_TMPDIR/build
    mkdir -p "$dir/data/sub"
    echo one >"$dir/data/file"
    echo two >"$dir/data/sub/other"
    ln -s sub/other "$dir/data/link"
    printf 'FROM %s\nCOPY data /data\nRUN chown 1000:1000 /data/sub/other && chmod 750 /data\n' "$IMG" |
        dewar build -q -t data:1 -f - "$dir" >/dev/null
}
test_teardown() {
    local id
    for id in $(dewar ps -aq); do dewar rm -f -v "$id" >/dev/null; done
    dewar volume prune -af >/dev/null
}
CONTENT='one two sub/other 750 1000'
content() { # of a volume mounted on /data
    R -v "$1:/data" $IMG sh -c 'cd /data && echo $(cat file sub/other; readlink link; stat -c %a .; stat -c %u sub/other)'
}

@test "a volume is made on first use, filled from the image, and stays when its containers are gone" {
    try R -v first:/data data:1 sh -c 'echo new >/data/new; cat /data/file'
    ok && same "$output" one || return 1
    same "$(dewar volume ls -q)" first
    try R -v first:/elsewhere $IMG cat /elsewhere/new /elsewhere/link
    ok && same "$output" $'new\ntwo' || return 1
    same "$(content first)" "$CONTENT"
    same "$(ls "$DEWAR_STORE/volumes/first")" $'_data\nmeta'
}

@test "what is in a volume is never touched, and an emptied one that nobody uses is filled again" {
    R -v kept:/data $IMG sh -c 'echo mine >/data/file'
    try R -v kept:/data data:1 sh -c 'cat /data/file; ls /data'
    ok && same "$output" $'mine\nfile' || return 1
    R -v kept:/data $IMG rm /data/file
    dewar create -q --network none --name holder -v kept:/x $IMG true >/dev/null
    try R -v kept:/data data:1 ls /data
    ok && same "$output" "" || return 1
    dewar rm holder >/dev/null
    try R -v kept:/data data:1 cat /data/file
    ok && same "$output" one || return 1
}

@test "a container that is started again finds its volume as it left it" {
    dewar run -q --network none --name job -v again:/data data:1 rm -r /data/file /data/link /data/sub
    try dewar start -a job
    [ "$status" != 0 ] # there is nothing to remove: an emptied volume is not filled at a start
    same "$(R -v again:/x $IMG ls /x)" ""
}

@test "readonly, nocopy and a subpath, in -v and --mount" {
    try R -v opts:/data:nocopy data:1 ls /data
    ok && same "$output" "" || return 1
    R -v opts:/data $IMG sh -c 'mkdir -p /data/a/b; echo deep >/data/a/b/f; ln -s / /data/out'
    try R -v opts:/data:ro $IMG touch /data/x
    fails 1 "Read-only"
    try R --mount type=volume,src=opts,dst=/m,volume-subpath=a/b,readonly $IMG sh -c 'cat /m/f; touch /m/x'
    [ "$output" = deep ] && err_has Read-only || return 1
    try R --mount type=volume,source=opts,target=/m,volume-subpath=a/b/f $IMG cat /m
    ok && same "$output" deep || return 1
    try R --mount type=volume,src=opts,dst=/m,volume-subpath=missing $IMG true
    fails 125 "'missing' in the volume 'opts'"
    try R --mount type=volume,src=opts,dst=/m,volume-subpath=../x $IMG true
    fails 125 "invalid value for 'volume-subpath'"
    try R --mount type=volume,src=other,dst=/data,volume-nocopy data:1 ls /data
    ok && same "$output" "" || return 1
    try R --mount type=volume,src=other,dst=/data,volume-opt=type=nfs data:1 true
    fails 125 "missing required option"
    try R --mount type=bind,src=/,dst=/data,volume-nocopy $IMG true
    fails 125 "cannot mix"
}

@test "two containers see each other's files, and two volumes in one container are two" {
    dewar run -d -q --network none --name left -v both:/b $IMG sh -c 'until [ -e /b/go ]; do sleep 0.05; done; echo seen >/b/seen' >/dev/null
    R -v both:/b -v more:/m $IMG sh -c 'touch /b/go; touch /m/only'
    same "$(dewar wait left)" 0
    same "$(R -v both:/b -v more:/m $IMG sh -c 'cat /b/seen; ls /m')" $'seen\nonly'
    try R -v both:/b -v more:/b $IMG true
    fails 125 "two mounts on '/b'"
}

@test "create, ls and inspect have Docker's words and forms" {
    try dewar volume create --label a=b --label c made
    ok && same "$output" made || return 1
    try dewar volume create made
    ok && same "$output" made || return 1
    try dewar volume create
    ok && [[ $output =~ ^[0-9a-f]{64}$ ]] || return 1
    anonymous=$output
    dewar volume create plain
    try dewar volume ls
    same "${lines[0]}" "DRIVER    VOLUME NAME"
    has "local     made"
    same "$(dewar volume ls -q --filter name=la)" plain
    same "$(dewar volume ls -q --filter label=a=b)" made
    same "$(dewar volume ls -q --filter label=a=x)" ""
    same "$(dewar volume ls --filter name=made --format '{{.Name}} {{.Labels}} {{.Scope}}')" "made a=b,c= local"
    same "$(dewar volume inspect -f '{{.Name}} {{.Driver}} {{index .Labels "a"}} {{.Options}}' made)" "made local b map[]"
    mount=$(dewar volume inspect -f '{{.Mountpoint}}' made)
    [ -d "$mount" ]
    same "$(dewar inspect -f '{{.Mountpoint}}' made)" "$mount"
    same "$(dewar inspect --type volume -f '{{.Name}}' made)" made
    try dewar volume inspect made gone
    fails 1 "get gone: no such volume"
    has '"Name": "made"'
    try dewar volume ls --filter bogus=1
    fails 1 "invalid filter"
    try dewar volume create -d nfs x
    fails 1 "plugin not found"
    dewar create -q --network none --name user -v made:/x -v "$anonymous:/y" $IMG true >/dev/null
    same "$(dewar volume ls -q --filter dangling=true)" plain
    same "$(dewar volume ls -q --filter dangling=false | wc -l)" 2
    same "$(dewar inspect -f '{{range .Mounts}}{{if eq .Name "made"}}{{.Source}} {{.Destination}}{{end}}{{end}}' user)" "$mount /x"
    same "$(dewar ps -aq --no-trunc --filter volume=made)" "$(dewar inspect -f '{{.Id}}' user)"
}

@test "a volume made by hand is filled by its first container, also when files were put there by hand" {
    dewar volume create hand
    same "$(R -v hand:/data data:1 cat /data/file)" one
    dewar volume create mine
    echo by-hand >"$(dewar volume inspect -f '{{.Mountpoint}}' mine)/f"
    same "$(R -v mine:/data data:1 ls /data)" f
    same "$(R -v mine:/data data:1 cat /data/f)" by-hand
}

@test "rm refuses what a container uses, running or not, and names it" {
    id=$(dewar create -q --network none --name user -v used:/x $IMG true)
    try dewar volume rm used
    fails 1 "remove used: volume is in use - [${id:0:12}]"
    dewar volume create other
    try dewar volume rm used other gone
    [ "$status" = 1 ] && same "$output" other || return 1
    err_has "get gone: no such volume"
    try dewar volume rm -f gone
    ok
    dewar rm user >/dev/null
    try dewar volume rm used
    ok && same "$output" used || return 1
    [ ! -e "$DEWAR_STORE/volumes/used" ]
    same "$(ls "$DEWAR_STORE/trash")" "" # files of mapped owners too
}

@test "prune removes anonymous volumes, with -a those with names, and nothing that is used" {
    dewar run -qd --network none --name user -v used:/x -v /anon $IMG sleep 300 >/dev/null
    dewar create -q --network none --name gone -v /anon $IMG true >/dev/null
    left=$(dewar inspect -f '{{(index .Mounts 0).Name}}' gone)
    dewar rm gone >/dev/null
    dewar volume create --label keep=1 named >/dev/null
    try dewar system prune -f
    ok && same "$(dewar volume ls -q | wc -l)" 4 || return 1
    try dewar volume prune -f
    ok && has $'Deleted Volumes:\n'"$left" && has "Total reclaimed space: " || return 1
    lacks named
    try dewar volume prune -af --filter label!=keep
    ok && lacks named || return 1
    try dewar volume prune -af
    ok && has named && lacks used || return 1
    same "$(dewar volume ls -q | wc -l)" 2
    anonymous=$(dewar volume create)
    dewar volume create named >/dev/null
    try dewar system prune -f --volumes
    ok && has "$anonymous" && lacks named || return 1
    dewar volume inspect named >/dev/null
}

@test "whatever rm -v cannot open, no anonymous volume stays when the container is gone" {
    need_root # deny-syscall follows with ptrace
    fresh_store "$WORK/own"
    import_image
    ended() {
        dewar run -qd --network none --name victim -v /anon $IMG true >/dev/null
        dewar wait victim >/dev/null
    }
    local at
    ended
    deny_syscall --list points --all -- "$DEWAR" rm -v victim >/dev/null
    grep '^openat:' points >some
    [ "$(wc -l <some)" -gt 10 ]
    while read -r at; do
        ended
        deny_syscall --at "$at" --errno EIO -- "$DEWAR" rm -v victim >/dev/null 2>&1 || true
        dewar rm -f -v victim >/dev/null 2>&1 || true
        dewar ps -aq >/dev/null
        same "$(ls own/store/volumes)" "" || { echo "EIO at $at" >&2; return 1; }
    done <some
}

@test "rm -v keeps an anonymous volume that another container uses by its name" {
    dewar run -q --network none --name owner -v /anon $IMG touch /anon/f
    name=$(dewar inspect -f '{{(index .Mounts 0).Name}}' owner)
    dewar create -q --network none --name guest -v "$name:/x" $IMG ls /x >/dev/null
    dewar rm -v owner >/dev/null
    same "$(dewar start -a guest)" f
}

@test "system df counts volumes, and tells which are in use" {
    R -v large:/x $IMG dd if=/dev/zero of=/x/f bs=1024 count=300
    dewar volume create small >/dev/null
    df() { dewar system df --format '{{.Type}} {{.TotalCount}} {{.Active}}' | grep Volumes; }
    same "$(df)" "Local Volumes 2 0"
    dewar create -q --network none --name user -v large:/x $IMG true >/dev/null
    same "$(df)" "Local Volumes 2 1"
    try dewar system df -v
    ok && has large || return 1
}

@test "events tell of create, mount, unmount and destroy" {
    rm -f "$DEWAR_RUN/events"
    R -v seen:/x $IMG true
    dewar volume rm seen >/dev/null
    actions=$(grep '"Type":"volume"' "$DEWAR_RUN/events" | sed 's/.*"Action":"\([a-z]*\)".*/\1/' | tr '\n' ' ')
    same "$actions" "create mount unmount destroy "
}

@test "system prune frees a copy that nobody finished, and not one that is being made" {
    dewar volume create half >/dev/null
    mkdir "$DEWAR_STORE/volumes/half/_new"
    echo part >"$DEWAR_STORE/volumes/half/_new/file"
    exec 7<"$DEWAR_STORE/volumes/half"
    flock 7
    dewar system prune -f >/dev/null
    [ -e "$DEWAR_STORE/volumes/half/_new/file" ]
    exec 7<&-
    dewar system prune -f >/dev/null
    same "$(ls "$DEWAR_STORE/volumes/half")" $'_data\nfresh\nmeta'
    same "$(R -v half:/data data:1 cat /data/file)" one
}

@test "who waits long for a volume is told why" {
    dewar volume create busy >/dev/null
    exec 7<"$DEWAR_STORE/volumes/busy"
    flock 7
    dewar run --rm --network none -v busy:/x $IMG echo fine >out 2>err 7<&- &
    pid=$!
    for _ in $(seq 100); do grep -q "fills the volume 'busy'" err && break || sleep 0.1; done
    exec 7<&-
    wait "$pid"
    same "$(cat out)" fine
    grep -q "fills the volume 'busy'" err
}

@test "names of volumes are completed" {
    dewar volume create offered >/dev/null
    try dewar __complete volume rm of
    ok && has offered || return 1
}

@test "a volume's name that is a folder here is a volume, with a hint" {
    mkdir here
    try dewar run --rm --network none -v here:/x $IMG ls /x
    ok && err_has "-v ./here:/x" || return 1
    try dewar run --rm --network none -v here:/x $IMG ls /x
    ok && [[ $stderr != *"./here"* ]] || return 1
}

@test "a first use that is killed anywhere leaves a volume that is whole or not there" {
    need_program strace
    # Those that make, fill and publish a volume; the first ones of a kind belong to the container.
    for point in mknodat:1 mknodat:2 mkdirat:4 mkdirat:5 mkdirat:6 renameat2:1 renameat:1 renameat:2 renameat:3 \
        fchown:1 fchown:2 fchown:3 symlinkat:1 copy_file_range:1 syncfs:1 unlinkat:1 unlinkat:2 flock:3 flock:4 fdatasync:1; do
        strace -f -qq -o /dev/null -e "inject=${point%:*}:signal=KILL:when=${point#*:}" "$DEWAR" run --rm -q \
            --network none -v killed:/data data:1 true >/dev/null 2>&1 || true
        if [ -e "$DEWAR_STORE/volumes/killed" ]; then # with its meta, whatever happened
            [ -s "$DEWAR_STORE/volumes/killed/meta" ]
        fi
        R -v killed:/data data:1 true
        same "$point: $(content killed)" "$point: $CONTENT"
        for _ in $(seq 50); do # a program of the killed one may still be ending
            dewar volume rm killed >/dev/null 2>&1 && break
            sleep 0.1
        done
        same "$point: $(ls "$DEWAR_STORE/volumes")" "$point: "
    done
    store_is_clean
}

@test "inspect tells how a mount was asked for: -v in Binds, --mount in Mounts, --tmpfs in Tmpfs" {
    mkdir -p bind
    dewar create --name asked --network none -v "$PWD/bind:/a:ro,rslave" -v named:/b -v /anon \
        --mount "type=bind,src=$PWD/bind,dst=/c,readonly,bind-propagation=rshared" \
        --mount type=volume,src=other,dst=/d,volume-nocopy,volume-label=k=v --mount type=volume,dst=/f \
        --mount type=tmpfs,dst=/e,tmpfs-size=1m,tmpfs-mode=700 --tmpfs /g:size=1m $IMG true >/dev/null
    same "$(dewar inspect -f '{{json .HostConfig.Binds}}' asked)" "[\"$PWD/bind:/a:ro,rslave\",\"named:/b\"]"
    same "$(dewar inspect -f '{{json .HostConfig.Tmpfs}}' asked)" '{"/g":"size=1m"}'
    same "$(dewar inspect -f '{{range .HostConfig.Mounts}}{{json .}}{{println}}{{end}}' asked)" \
        "{\"Type\":\"bind\",\"Source\":\"$PWD/bind\",\"Target\":\"/c\",\"ReadOnly\":true,\"BindOptions\":{\"Propagation\":\"rshared\"}}
{\"Type\":\"volume\",\"Source\":\"other\",\"Target\":\"/d\",\"VolumeOptions\":{\"NoCopy\":true,\"Labels\":{\"k\":\"v\"}}}
{\"Type\":\"volume\",\"Target\":\"/f\"}
{\"Type\":\"tmpfs\",\"Target\":\"/e\",\"TmpfsOptions\":{\"SizeBytes\":1048576,\"Mode\":448}}"
    dewar create --name second --volumes-from asked $IMG true >/dev/null
    same "$(dewar inspect -f '{{json .HostConfig.Binds}} {{json .HostConfig.Mounts}} {{len .Mounts}}' second)" 'null null 6'
}
