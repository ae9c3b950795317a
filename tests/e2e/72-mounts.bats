# SPDX-License-Identifier: Apache-2.0
# bats file_tags=run
# --mount with all its words, volumes with driver options, --volumes-from, images as mounts.
load helpers

R() { dewar run --rm -q --network none "$@"; }
D() { dewar run -d -q --network none "$@"; }
test_teardown() {
    dewar ps -aq | xargs -r "$DEWAR" rm -fv >/dev/null 2>&1 || true
    dewar volume prune -af >/dev/null 2>&1 || true
}
file_setup() {
    mkdir "$BATS_FILE_TMPDIR/ctx"
    printf '%s\n' "FROM $IMG" 'RUN mkdir -p /data/sub /gone && echo one >/data/f && chown 1000:1000 /data/f && ln -s /etc/passwd /data/out && ln -s sub /data/in' \
        'RUN rm -r /gone && echo deep >/data/sub/g' >"$BATS_FILE_TMPDIR/ctx/Dockerfile"
    dewar build -q -t data:1 "$BATS_FILE_TMPDIR/ctx" >/dev/null
}
need_subimage() { # a part of an image that is not attached can be mounted since Linux 6.15
    [ "$(printf '6.15\n%s\n' "$(uname -r)" | sort -V | head -1)" = 6.15 ] || skip "needs Linux 6.15"
}

@test "bind mounts: propagation, recursion, read-only, a missing source" {
    mkdir -p src/below && echo x >src/f
    for word in private rprivate slave rslave shared rshared; do
        try R --mount "type=bind,src=$PWD/src,dst=/m,bind-propagation=$word" $IMG cat /m/f
        ok && same "$output" x || return 1
    done
    for word in enabled disabled writable; do
        try R --mount "type=bind,src=$PWD/src,dst=/m,bind-recursive=$word,readonly" $IMG touch /m/new
        fails 1 "Read-only"
    done
    try R --mount "type=bind,src=$PWD/src,dst=/m,bind-recursive=readonly,readonly,bind-propagation=rprivate" $IMG touch /m/new
    fails 1 "Read-only"
    try R --mount "type=bind,src=$PWD/src,dst=/m,bind-recursive=readonly" $IMG true
    fails 125 "needs 'readonly'"
    try R --mount "type=bind,src=$PWD/src,dst=/m,bind-recursive=readonly,readonly" $IMG true
    fails 125 "needs 'bind-propagation=rprivate'"
    try R --mount "type=bind,src=$PWD/src,dst=/m,bind-recursive=maybe" $IMG true
    fails 125 "invalid value for 'bind-recursive'" && err_has "enabled, disabled, writable" || return 1
    try R --mount "type=bind,src=$PWD/none,dst=/m" $IMG true
    fails 125 "$PWD/none"
    try R --mount "type=bind,src=$PWD/none/deep,dst=/m,bind-create-src,consistency=cached" $IMG true
    ok
    [ -d none/deep ]
}

@test "a read-only bind reaches what is mounted below it, unless it is asked not to" {
    need_root
    mkdir -p src/below
    # shellcheck disable=SC2016
    run unshare -m sh -c 'mount -t tmpfs none src/below
        for w in enabled writable disabled; do
            "$DEWAR" run --rm -q --network none --mount type=bind,src="$PWD/src",dst=/m,ro,bind-recursive=$w "$IMG" \
                sh -c "touch /m/below/$w 2>/dev/null && echo $w wrote; touch /m/x 2>/dev/null && echo bad; grep -c \" /m/below \" /proc/mounts"
        done'
    same "$output" $'1\nwritable wrote\n1\n0'
}

@test "a tmpfs has the size and mode that are asked" {
    try R --mount type=tmpfs,dst=/t,tmpfs-size=2m,tmpfs-mode=750 $IMG sh -c 'stat -c %a /t; df -k /t | tail -1 | tr -s " " | cut -d" " -f2'
    ok && same "$output" $'750\n2048' || return 1
}

@test "words of one type with another are refused, and unknown ones" {
    for bad in type=tmpfs,dst=/m,bind-propagation=slave type=bind,src=/tmp,dst=/m,tmpfs-size=1m \
        type=volume,src=vv,dst=/m,image-subpath=x type=bind,src=/tmp,dst=/m,volume-opt=a=b type=image,src=$IMG,dst=/m,volume-nocopy; do
        try R --mount "$bad" $IMG true
        fails 125 "cannot mix" || return 1
    done
    try R --mount type=glob,dst=/m $IMG true
    fails 125 "unknown type 'glob'" && err_has "bind, image, tmpfs and volume" || return 1
    try R --mount type=volume,src=vv,dst=/m,nonsense=1 $IMG true
    fails 125 "unknown key 'nonsense'"
    try R --mount type=volume,src=vv,dst=/m,volume-driver=other $IMG true
    fails 125 "invalid value for 'volume-driver'" && err_has "only driver is 'local'" || return 1
    try R --mount type=volume,src=vv,dst=/m,volume-opt=oops=1 $IMG true
    fails 125 'invalid option: "oops"'
    try R --mount type=image,dst=/m $IMG true
    fails 125 "has no source"
    same "$(dewar volume ls -q)" ""
}

@test "a volume that a mount makes gets its labels and options" {
    mkdir folder
    try R --mount "type=volume,src=mine,dst=/m,volume-label=a=b,volume-label=c,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=$PWD/folder" $IMG touch /m/f
    ok
    [ -e folder/f ]
    same "$(dewar volume inspect -f '{{.Labels.a}} {{.Options.o}} {{.Options.device}}' mine)" "b bind $PWD/folder"
    same "$(dewar volume ls -q -f label=a=b)" mine
    # An anonymous one goes with its container, with its options.
    try dewar run --rm -q --network none --mount "type=volume,dst=/m,volume-label=x=y" $IMG sh -c 'echo hi >/m/f; cat /m/f'
    ok && same "$output" hi || return 1
    same "$(dewar volume ls -q)" mine
    dewar volume prune -af --filter label!=a >/dev/null
    same "$(dewar volume ls -q)" mine
    dewar volume prune -af --filter label=a >/dev/null
    same "$(dewar volume ls -q)" ""
    [ -e folder/f ]
}

@test "volume create: a folder of the caller's as a volume, filled when it is empty" {
    mkdir folder
    try dewar volume create -d local -o type=none -o o=bind,ro -o "device=$PWD/folder" ro
    ok
    try R -v ro:/data data:1 touch /data/x
    fails 1 "Read-only"
    dewar volume create -o type=none -o o=bind -o "device=$PWD/folder" fill >/dev/null
    try R -v fill:/data data:1 cat /data/sub/g
    ok && same "$output" deep || return 1
    same "$(cat folder/f)" one
    dewar volume rm fill ro >/dev/null
    same "$(cat folder/f)" one
    dewar volume create -o type=none -o o=bind -o device=/no/such/folder lost >/dev/null
    try R -v lost:/m $IMG true
    fails 125 "/no/such/folder" && err_has "volume 'lost'" || return 1
}

@test "volume create: what is wrong is said at once" {
    try dewar volume create -d nfs vol1
    fails 1 "volume plugin nfs: plugin not found"
    try dewar volume create -o size=1g vol1
    fails 1 'invalid option: "size"'
    try dewar volume create -o o=bind vol1
    fails 1 'missing required option: "type"'
    try dewar volume create -o type=none -o o=bind,weird -o device=/tmp vol1
    fails 1 "invalid option 'weird'"
    try dewar volume create -o type=none -o o=bind -o device=tmp vol1
    fails 1 "not an absolute path"
    if ! is_root; then
        try dewar volume create -o type=nfs -o o=addr=host.example,rw -o device=:/x vol1
        fails 1 "only root can mount a volume of type 'nfs'" && err_has "hint:" || return 1
    fi
    same "$(dewar volume ls -q)" ""
}

@test "volume create: a tmpfs that containers share while one of them runs" {
    need_root
    dewar volume create -o type=tmpfs -o device=tmpfs -o o=size=3m,mode=750,noexec mem >/dev/null
    local data=$DEWAR_STORE/volumes/mem/_data
    D --name one -v mem:/m $IMG sh -c 'echo hi >/m/f; exec sleep 60'
    sleep 0.3
    try R -v mem:/m $IMG sh -c 'cat /m/f; echo two >/m/g; df -k /m | tail -1 | tr -s " " | cut -d" " -f2; stat -c %a /m; grep " /m " /proc/mounts'
    ok && same "${lines[*]:0:3}" "hi 3072 750" && has noexec || return 1
    same "$(cat "$data/g")" two
    try dewar volume rm mem
    fails 1 "in use"
    dewar rm -f one >/dev/null
    run ! mountpoint -q "$data"
    try R -v mem:/m $IMG ls /m
    ok && same "$output" "" || return 1
    # A monitor that is killed leaves it, and the next use or prune takes it away.
    D --name two -v mem:/m $IMG sh -c 'echo old >/m/f; exec sleep 60'
    sleep 0.3
    kill -9 "$(awk '/PPid/{print $2}' "/proc/$(dewar inspect -f '{{.State.Pid}}' two)/status")"
    sleep 0.3
    mountpoint -q "$data"
    dewar system prune -f >/dev/null
    run ! mountpoint -q "$data"
    try R -v mem:/m $IMG ls /m
    ok && same "$output" "" || return 1
    same "$(dewar ps -aq)" "$(dewar ps -aq --filter status=running)" # "two" went too
    dewar volume rm mem >/dev/null
    [ ! -e "$DEWAR_STORE/volumes/mem" ]
    try dewar volume create -o type=nosuchfs -o device=x broken
    ok
    try R -v broken:/m $IMG true
    fails 125 "nosuchfs" && err_has "volume 'broken'" || return 1
}

@test "volume create: a network's file system is mounted when a container starts, from a host with a name" {
    need_root
    need_program strace
    dewar volume create -o type=nfs -o o=addr=localhost,rw,soft -o device=:/export net >/dev/null
    same "$(dewar volume inspect -f '{{.Options.o}} {{.Options.device}}' net)" "addr=localhost,rw,soft :/export"
    try R -v net:/m $IMG true
    fails 125 "volume 'net'"
    grep -qw nfs /proc/filesystems || err_has "open the file system 'nfs'"
    # What the kernel is told, shown with a file system that every kernel has.
    words() {
        dewar volume create -o type=tmpfs -o "o=$1" -o device=:/export words >/dev/null
        try strace -f -e trace=fsopen,fsconfig -o trace "$DEWAR" run --rm --network none -v words:/m $IMG true
        dewar volume rm words >/dev/null
        grep -A9 'fsopen("tmpfs"' trace | grep -o 'FSCONFIG_[A-Z_]*, "[a-z]*", [^,]*' | tr '\n' ';'
    }
    same "$(words size=1m,addr=localhost)" 'FSCONFIG_SET_STRING, "source", ":/export";FSCONFIG_SET_STRING, "size", "1m";FSCONFIG_SET_STRING, "addr", "127.0.0.1";'
    same "$(words addr=::1 | grep -o '"addr".*')" '"addr", "::1";'
    words addr=no-such-host.invalid,size=1m >words
    grep -q '"source"' words
    run ! grep -q addr words
    dewar volume create -o type=tmpfs -o o=addr=no-such-host.invalid -o device=:/x lost >/dev/null
    try R -v lost:/m $IMG true
    fails 125 "find the address of 'no-such-host.invalid'" && err_has "volume 'lost'" || return 1
}

@test "volume create: a file system on a device" {
    need_root
    need_program mkfs.ext4
    truncate -s 8M disk && mkfs.ext4 -q disk
    local dev
    dev=$(losetup -f --show disk 2>/dev/null) || skip "no loop device"
    dewar volume create -o type=ext4 -o "device=$dev" -o o=noatime disk >/dev/null
    try R -v disk:/m $IMG sh -c 'echo on disk >/m/f; grep -o " /m ext4 rw[^ ]*" /proc/mounts'
    ok && has noatime || return 1
    try R -v disk:/m:ro $IMG cat /m/f
    ok && same "$output" "on disk" || return 1
    run ! mountpoint -q "$DEWAR_STORE/volumes/disk/_data"
    losetup -d "$dev"
}

@test "--volumes-from has another container's mounts, its anonymous volumes too" {
    mkdir host && echo h >host/f
    dewar create -q --network none --name donor -v named:/n -v /anon -v "$PWD/host:/h:ro" --tmpfs /t $IMG true >/dev/null
    dewar start donor >/dev/null
    timeout 10 "$DEWAR" wait donor >/dev/null
    try R --volumes-from donor $IMG sh -c 'echo a >/anon/f; echo n >/n/f; cat /h/f; touch /h/x'
    fails 1 "Read-only" && same "$output" h || return 1
    try R --volumes-from donor:ro $IMG sh -c 'cat /anon/f /n/f; touch /n/g'
    fails 1 "Read-only" && same "$output" $'a\nn' || return 1
    # One's own wins; of two containers the last one.
    dewar create -q --network none --name second -v /n $IMG true >/dev/null
    try R --volumes-from donor --volumes-from second -v /anon $IMG ls /n /anon
    ok && same "$output" $'/anon:\n\n/n:' || return 1
    try R --volumes-from second --volumes-from donor $IMG cat /n/f
    ok && same "$output" n || return 1
    # The volume stays as long as somebody uses it.
    dewar create -q --network none --name third --volumes-from donor $IMG true >/dev/null
    dewar rm -v donor >/dev/null
    try R --volumes-from third $IMG cat /anon/f
    ok && same "$output" a || return 1
    same "$(dewar inspect -f '{{index .HostConfig.VolumesFrom 0}}' third)" donor
    try R --volumes-from nobody $IMG true
    fails 125 "No such container: nobody"
    try R --volumes-from third:bad $IMG true
    fails 125 "invalid mode"
}

@test "an image is mounted read-only, with the owners that it has" {
    try R --mount type=image,src=data:1,dst=/img $IMG sh -c 'cat /img/data/f /img/data/in/g; stat -c %u:%g /img/data/f; ls /img/gone; touch /img/x'
    fails 1 "Read-only" && same "$output" $'one\ndeep\n1000:1000' || return 1
    # Its links mean the container's own files: nothing leads out.
    try R --mount type=image,src=data:1,dst=/img $IMG sh -c 'echo mine >>/etc/passwd; tail -1 /img/data/out'
    ok && same "$output" mine || return 1
    try R --mount type=image,src=no:such,dst=/img --pull never $IMG true
    fails 125 "no:such" && err_has "/img" || return 1
}

@test "a part of an image" {
    need_subimage
    try R --mount type=image,src=data:1,dst=/img,image-subpath=data/sub $IMG sh -c 'ls /img; cat /img/g; touch /img/x'
    fails 1 "Read-only" && same "$output" $'g\ndeep' || return 1
    try R --mount type=image,src=data:1,dst=/img/file,image-subpath=data/f $IMG cat /img/file
    ok && same "$output" one || return 1
    try R --mount type=image,src=data:1,dst=/img,image-subpath=none $IMG true
    fails 125 "none"
    for bad in ../etc /etc data/../../x; do
        try R --mount type=image,src=data:1,dst=/img,image-subpath=$bad $IMG true
        fails 125 "invalid value for 'image-subpath'" || return 1
    done
}

@test "a writable image mount keeps its changes with the container, and the image stays" {
    dewar create -q --network none --name ww --mount type=image,src=data:1,dst=/img,rw $IMG sh -c 'cat /img/data/new; echo hi >/img/data/new; rm -f /img/data/f' >/dev/null
    try dewar start -a ww
    ok && err_has new || return 1
    try dewar start -a ww
    ok && same "$output" hi || return 1
    try R --mount type=image,src=data:1,dst=/img $IMG ls /img/data
    ok && has f && lacks new || return 1
    dewar rm ww >/dev/null
}

@test "an image that a container mounts is in use" {
    mkdir c && printf 'FROM data:1\nRUN echo alone >/data/f\n' >c/Dockerfile
    dewar build -q -t alone:1 c >/dev/null
    dewar create -q --network none --name holder --mount type=image,src=alone:1,dst=/img $IMG cat /img/data/f >/dev/null
    try dewar rmi alone:1
    fails 1 "must be forced"
    dewar rmi -f alone:1 >/dev/null
    dewar image prune -f >/dev/null
    try dewar start -a holder
    ok && same "$output" alone || return 1
}

@test "with ids of its own a container sees the mounted image's owners as well" {
    if is_root; then
        try R --userns auto $IMG true
        [[ $stderr != *"Linux 6.15"* && $stderr != *"able to map ids"* ]] || skip "$stderr"
    fi
    try R --userns keep-id:uid=1000,gid=1000 --mount type=image,src=data:1,dst=/img $IMG stat -c %u:%g /img/data/f /img
    ok && same "$output" $'1000:1000\n0:0' || return 1
}

@test "a target that leads through a link to nothing is made where the link leads" {
    mkdir c src && echo here >src/f && echo file >file
    printf '%s\n' "FROM $IMG" 'RUN ln -s /run/later/place /abs && mkdir /dir && ln -s ../other/place /dir/rel && ln -s /dir/rel/deep /chain && ln -s turn /here && ln -s here /turn && ln -s /etc/new.conf /etc/conf' >c/Dockerfile
    dewar build -q -t links:1 c >/dev/null
    try R -v "$PWD/src:/abs" -v "$PWD/src:/chain" -v "$PWD/src:/dir/rel/below/more" -v "$PWD/file:/etc/conf" links:1 \
        sh -c 'cat /abs/f /run/later/place/f /other/place/deep/f /dir/rel/below/more/f /etc/new.conf; readlink /abs /chain >/dev/null; readlink /abs; readlink /etc/conf'
    ok && same "$output" $'here\nhere\nhere\nhere\nfile\n/run/later/place\n/etc/new.conf' || return 1
    try R -w /abs/work links:1 pwd
    ok && same "$output" /run/later/place/work || return 1
    try R -v "$PWD/src:/here/x" links:1 true
    fails 125 "ELOOP"
    # A build leaves nothing of it in the image.
    printf '%s\n' "FROM links:1" 'RUN --mount=type=bind,target=/abs touch /mark' >c/Dockerfile
    dewar build -q -t links:2 c >/dev/null
    try R links:2 sh -c 'ls -d /mark /run/later'
    fails 1 "/run/later" && same "$output" /mark || return 1
}
