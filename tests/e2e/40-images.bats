# SPDX-License-Identifier: Apache-2.0
load helpers

# A second store in $1 for one command: `other s2 load -i x.tar`.
other() {
    local store=$WORK/$1
    shift
    DEWAR_STORE=$store/store DEWAR_RUN=$store/run dewar "$@"
}

# A folder with two layers of plain files, as tars: low.tar and high.tar (which deletes and replaces).
make_layers() {
    mkdir -p low/etc low/keep high/etc
    echo one >low/etc/a
    echo gone >low/etc/b
    echo kept >low/keep/k
    echo two >high/etc/a
    : >high/etc/.wh.b
    tar -C low --sort=name --mtime=@1000000000 --owner=0 --group=0 --numeric-owner -cf low.tar .
    tar -C high --sort=name --mtime=@1000000000 --owner=0 --group=0 --numeric-owner -cf high.tar ./etc
}
sha() { sha256sum <"$1" | cut -c1-64; }

# docker_archive OUT NAME LAYER.tar...: as Docker before 25 wrote them, with one folder a layer; a
# layer that comes twice is a symbolic link the second time.
docker_archive() {
    local out=$1 name=$2 layers=() diffs=() l id seen=() n=0
    shift 2
    rm -rf arch && mkdir arch
    for l in "$@"; do
        n=$((n + 1))
        id=$(printf '%064d' "$n")
        mkdir "arch/$id"
        printf 1.0 >"arch/$id/VERSION"
        printf '{"id":"%s"}' "$id" >"arch/$id/json"
        if [[ " ${seen[*]-} " == *" $l="* ]]; then
            local first
            first=$(printf '%s\n' "${seen[@]}" | sed -n "s|^$l=||p")
            ln -s "../$first/layer.tar" "arch/$id/layer.tar"
        else
            cp "$l" "arch/$id/layer.tar"
            seen+=("$l=$id")
        fi
        layers+=("\"$id/layer.tar\"")
        diffs+=("\"sha256:$(zcat -f "$l" | sha256sum | cut -c1-64)\"")
    done
    printf '{"architecture":"amd64","os":"linux","config":{"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
        "$(IFS=,; echo "${diffs[*]}")" >arch/config.json
    local cfg
    cfg=$(sha arch/config.json)
    mv arch/config.json "arch/$cfg.json"
    printf '[{"Config":"%s.json","RepoTags":[%s],"Layers":[%s]}]' "$cfg" "${name:+\"$name\"}" \
        "$(IFS=,; echo "${layers[*]}")" >arch/manifest.json
    printf '{}' >arch/repositories
    tar -C arch --sort=name -cf "$out" .
    echo "sha256:$cfg"
}

@test "import gives the same image from a file, a pipe and any compression" {
    make_layers
    try dewar image import low.tar a:1
    ok
    local id=$output
    [[ $id == sha256:* ]]
    same "$id" "$(dewar image import - a:2 <low.tar)"
    # shellcheck disable=SC2002
    same "$id" "$(cat low.tar | dewar image import - a:3)"
    gzip -k low.tar && same "$id" "$(dewar image import low.tar.gz a:4)"
    xz -k low.tar && same "$id" "$(dewar image import low.tar.xz a:5)"
    bzip2 -k low.tar && same "$id" "$(dewar image import low.tar.bz2 a:6)"
    ! command -v zstd >/dev/null || { zstd -q low.tar && same "$id" "$(dewar image import low.tar.zst)"; }
    same "$(dewar inspect --format '{{.Created}}' a:1)" 2001-09-09T01:46:40Z
}

@test "import takes --change and -m, and names what is wrong in them" {
    make_layers
    try dewar image import -m "my message" --change 'ENV A="b c"' --change 'CMD ["x"]' low.tar c:1
    ok
    same "$(dewar inspect --format '{{json .Config.Env}} {{json .Config.Cmd}} {{.Comment}}' c:1)" \
        '["A=b c"] ["x"] my message'
    try dewar image import --change 'RUN x' low.tar c:2
    [ "$status" != 0 ]
    err_has "RUN x"
    try dewar image import low.tar UPPER:1
    [ "$status" != 0 ]
    err_has "lower case"
}

@test "import refuses what is no archive and leaves nothing behind" {
    echo hello >text
    : >empty
    head -c 1000 /dev/zero >zeros
    local f
    for f in text empty zeros; do
        try dewar image import "$f" bad:1
        [ "$status" != 0 ] || { echo "$f was taken" >&2; return 1; }
    done
    make_layers
    head -c 3000 low.tar >cut.tar
    try dewar image import cut.tar bad:1
    [ "$status" != 0 ]
    gzip -k low.tar
    head -c 200 low.tar.gz >cut.gz
    try dewar image import cut.gz bad:1
    [ "$status" != 0 ]
    try dewar inspect bad:1
    [ "$status" != 0 ]
    store_is_clean
}

@test "what save wrote, load reads: the same image from a file, a pipe and a compressed file" {
    try dewar save -o one.tar "$IMG"
    ok
    local id
    id=$(image_id "$IMG")
    try other s1 load -i one.tar
    ok
    same "$output" "Loaded image: $IMG"
    same "$(other s2 load -q <one.tar)" "$id"
    run -0 bash -c "cat one.tar | DEWAR_STORE=$WORK/s3/store DEWAR_RUN=$WORK/s3/run '$DEWAR' load -q"
    has "$id"
    gzip -k one.tar
    try other s4 load -i one.tar.gz
    ok
    for s in s1 s2 s3 s4; do
        same "$(other $s inspect --format '{{.Id}}' "$IMG")" "$id"
        other $s save "$IMG" | cmp - one.tar
    done
}

@test "save twice gives the same bytes, and refuses to overwrite halfway" {
    dewar save "$IMG" >a.tar
    dewar save -o b.tar "$IMG"
    cmp a.tar b.tar
    echo old >c.tar
    try dewar save -o c.tar "$IMG" no-such-image
    [ "$status" != 0 ]
    same "$(cat c.tar)" old
    dewar save -o c.tar "$IMG"
    cmp a.tar c.tar
    same "$(find . -maxdepth 1 -name '.*.tmp' | wc -l)" 0
}

@test "several images share their layers in one archive" {
    make_layers
    dewar image import low.tar m:1 >/dev/null
    dewar image import --change 'CMD ["x"]' low.tar m:2 >/dev/null
    dewar tag m:1 other/name:t
    dewar save -o many.tar m:1 m:2 other/name:t
    same "$(tar tf many.tar | grep -c "$(sha low.tar)")" 1
    try other s1 load -i many.tar
    ok
    has "Loaded image: m:1"
    has "Loaded image: m:2"
    has "Loaded image: other/name:t"
    same "$(other s1 inspect --format '{{.Id}}' m:2)" "$(image_id m:2)"
}

@test "an image saved by ID comes back without a name" {
    local id
    id=$(image_id "$IMG")
    dewar save -o id.tar "${id#sha256:}"
    try other s1 load -i id.tar
    ok
    same "$output" "Loaded image ID: $id"
    try other s1 images -q --filter dangling=true
    has "${id:7:12}"
}

@test "layers are recompressed on request and load as the same image" {
    local id c
    id=$(image_id "$IMG")
    for c in gzip zstd; do
        dewar save --compress $c -o $c.tar "$IMG"
        dewar save --compress $c -o $c.again "$IMG"
        cmp $c.tar $c.again
        [ "$(stat -c %s $c.tar)" -lt "$(dewar save "$IMG" | wc -c)" ]
        try other $c load -q -i $c.tar
        ok
        same "$output" "$id"
        # As received: what it saves now has the same manifest.
        other $c save -o $c.back "$IMG"
        cmp $c.tar $c.back
        try other $c system check
        ok
    done
}

@test "compressed layers come in members that other programs read" {
    local id f n=0
    ctx
    head -c 3500000 /dev/urandom >noise
    printf 'FROM scratch\nCOPY noise /\n' >Dockerfile
    id=$(build_id -t big:1 .)
    cd "$WORK"
    dewar save --compress gzip --format oci-dir -o oci big:1
    for f in oci/blobs/sha256/*; do
        [ "$(head -c 2 "$f" | od -An -tx1 | tr -d ' ')" = 1f8b ] || continue
        n=$((n + 1))
        gzip -dc "$f" >tar
        python3 -c 'import gzip,sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())' "$f" |
            cmp - tar
        cmp <(tar -xOf tar noise) ctx/noise
        ! command -v igzip >/dev/null || igzip -dc "$f" | cmp - tar
    done
    same "$n" 1
    other s1 load -q -i oci
    same "$(other s1 inspect --format '{{.Id}}' big:1)" "$id"
}

@test "an image with a layer that comes twice runs and is built on: the upper one counts" {
    make_layers
    tar -cf nothing.tar --files-from /dev/null
    cp "$BATS_RUN_TMPDIR"/rootfs-*.tar root.tar
    docker_archive twice.tar twice:1 root.tar nothing.tar low.tar nothing.tar high.tar low.tar nothing.tar >/dev/null
    other s1 load -q -i twice.tar >/dev/null
    same "$(other s1 run --rm --network none twice:1 cat /etc/a /etc/b)" $'one\ngone'
    printf 'FROM twice:1\nRUN rm /etc/a\nRUN true\nRUN true\n' >Dockerfile
    other s1 build -q -t again:1 . >/dev/null
    same "$(other s1 run --rm --network none again:1 ls /etc/a /etc/b 2>/dev/null)" /etc/b
}

@test "an archive of an old Docker loads, with linked layers, from a file and a pipe" {
    make_layers
    local id
    id=$(docker_archive old.tar old:1 low.tar high.tar)
    try other s1 load -i old.tar
    ok
    same "$output" "Loaded image: old:1"
    same "$(other s1 inspect --format '{{.Id}}' old:1)" "$id"
    # shellcheck disable=SC2002
    same "$(cat old.tar | other s2 load -q)" "$id"
    id=$(docker_archive twice.tar twice:1 low.tar high.tar low.tar)
    same "$(other s3 load -q -i twice.tar)" "$id"
    # shellcheck disable=SC2002
    same "$(cat twice.tar | other s4 load -q)" "$id"
    gzip -k high.tar
    id=$(docker_archive zipped.tar zipped:1 low.tar high.tar.gz)
    same "$(other s5 load -q -i zipped.tar)" "$id"
    mkdir open && tar -C open -xf old.tar
    same "$(other s6 load -q -i open)" "$(other s1 inspect --format '{{.Id}}' old:1)"
}

@test "whiteouts of a loaded image hide what lies below" {
    make_layers
    docker_archive old.tar w:1 low.tar high.tar >/dev/null
    dewar load -q -i old.tar
    dewar save w:1 >again.tar
    same "$(tar xOf again.tar "blobs/sha256/$(sha high.tar)" | sha256sum)" "$(sha256sum <high.tar)"
    same "$(tar xOf again.tar "blobs/sha256/$(sha low.tar)" | sha256sum)" "$(sha256sum <low.tar)"
}

@test "a damaged archive is refused with the reason, and no name is set" {
    make_layers
    docker_archive good.tar d:1 low.tar high.tar >/dev/null
    mkdir t
    # a layer with other bytes
    tar -C t -xf good.tar
    local first
    first=$(find t -name layer.tar | sort | head -1)
    cp high.tar "$first"
    tar -C t -cf bad1.tar .
    # a layer that is missing
    rm "$first"
    tar -C t -cf bad2.tar .
    # a cut archive
    head -c 9000 good.tar >bad3.tar
    # no manifest
    rm t/manifest.json
    tar -C t -cf bad4.tar .
    echo '{"a":1}' >t/manifest.json
    tar -C t -cf bad5.tar .
    local i
    for i in 1 2 3 4 5; do
        try other "s$i" load -i bad$i.tar
        [ "$status" != 0 ] || { echo "bad$i.tar was loaded" >&2; return 1; }
        # shellcheck disable=SC2002
        run bash -c "cat bad$i.tar | DEWAR_STORE=$WORK/s$i/store DEWAR_RUN=$WORK/s$i/run '$DEWAR' load"
        [ "$status" != 0 ] || { echo "bad$i.tar was loaded from a pipe" >&2; return 1; }
        same "$(find "s$i/store/refs" -type f | wc -l)" 0
        DEWAR_STORE=$WORK/s$i/store DEWAR_RUN=$WORK/s$i/run store_is_clean
    done
}

@test "paths in an archive lead nowhere but into it" {
    make_layers
    docker_archive good.tar p:1 low.tar >/dev/null
    mkdir t
    tar -C t -xf good.tar
    cp low.tar "$WORK/outside.tar"
    local dir
    dir=$(find t -name layer.tar -printf '%h\n')
    rm "$dir/layer.tar"
    ln -s "$WORK/outside.tar" "$dir/layer.tar"
    tar -C t -cf abs.tar .
    try other s1 load -i abs.tar
    [ "$status" != 0 ]
    try other s1 load -i t
    [ "$status" != 0 ]
    sed -i "s|\"$(basename "$dir")/layer.tar\"|\"../outside.tar\"|" t/manifest.json
    tar -C t -cf up.tar .
    try other s1 load -i up.tar
    [ "$status" != 0 ]
    try other s1 load -i t
    [ "$status" != 0 ]
}

@test "skopeo reads what save writes" {
    need_program skopeo
    local id
    id=$(image_id "$IMG")
    dewar save -o one.tar "$IMG"
    run -0 skopeo inspect --config --raw docker-archive:one.tar
    same "sha256:$(printf %s "$output" | sha256sum | cut -c1-64)" "$id"
    run -0 skopeo inspect --config --raw oci-archive:one.tar
    same "sha256:$(printf %s "$output" | sha256sum | cut -c1-64)" "$id"
    dewar save --format oci-dir -o layout "$IMG"
    run -0 skopeo --tmpdir "$WORK" copy -q --insecure-policy oci:layout docker-archive:sk.tar:sk:1
    try other s1 load -q -i sk.tar
    ok
    same "$output" "$id"
}

@test "what skopeo writes, load reads" {
    need_program skopeo
    local id
    id=$(image_id "$IMG")
    dewar save -o one.tar "$IMG"
    skopeo --tmpdir "$WORK" copy -q --insecure-policy --dest-compress --dest-compress-format gzip \
        docker-archive:one.tar oci-archive:sk.tar:sk:2
    skopeo --tmpdir "$WORK" copy -q --insecure-policy docker-archive:one.tar oci:skdir:sk
    try other s1 load -i sk.tar
    ok
    same "$output" "Loaded image: sk:2"
    # The config may be written anew by skopeo; the layers are the same.
    same "$(other s1 inspect --format '{{json .RootFS.Layers}}' sk:2)" \
        "$(dewar inspect --format '{{json .RootFS.Layers}}' "$IMG")"
    try other s2 load -q -i skdir
    ok
    same "$(other s2 inspect --format '{{json .RootFS.Layers}}' "$output")" \
        "$(dewar inspect --format '{{json .RootFS.Layers}}' "$IMG")"
    [[ $(other s1 save sk:2 | tar tf - | wc -l) -gt 3 ]]
    try other s1 system check
    ok
    [ -n "$id" ]
}

@test "umoci unpacks what save writes" {
    need_program umoci
    need_root
    dewar save --format oci-dir -o layout "$IMG"
    run -0 umoci unpack --image layout:test bundle
    [ -x bundle/rootfs/bin/busybox ]
}

@test "images lists names, IDs and sizes, newest first, and filters" {
    make_layers
    dewar image import --change 'LABEL a=b' low.tar l:1 >/dev/null
    dewar tag l:1 h.test:5000/l:2
    try dewar images --format '{{.Repository}}:{{.Tag}} {{.ID}}'
    ok
    local id
    id=$(image_id l:1)
    has "l:1 ${id:7:12}"
    has "h.test:5000/l:2 ${id:7:12}"
    try dewar images -q --no-trunc l
    same "$output" "$id"
    try dewar images --format '{{.Repository}}' --filter label=a=b --filter reference='l*'
    same "$output" l
    try dewar images -q --filter label=a=c
    same "$output" ""
    try dewar images --filter nonsense=1
    [ "$status" != 0 ]
    err_has "nonsense"
    dewar rmi -f "$id" >/dev/null
}

@test "rmi takes names away one by one, then the image" {
    make_layers
    local id
    id=$(dewar image import low.tar r:1)
    dewar tag r:1 r:2
    try dewar rmi r:1
    ok
    same "$output" "Untagged: r:1"
    dewar tag r:2 r:3
    try dewar rmi "${id:7:12}"
    [ "$status" != 0 ]
    err_has "must be forced"
    try dewar rmi -f "${id:7:12}"
    ok
    has "Untagged: r:2"
    has "Untagged: r:3"
    has "Deleted: $id"
    try dewar inspect r:2
    [ "$status" != 0 ]
    try dewar rmi r:2
    [ "$status" != 0 ]
    err_has "r:2"
    store_is_clean
}

@test "a name that moves leaves the old image untagged, and prune takes it" {
    make_layers
    local a b
    a=$(dewar image import low.tar v:1)
    b=$(dewar image import --change 'CMD ["x"]' low.tar v:1)
    differ "$a" "$b"
    try dewar images -q --no-trunc --filter dangling=true
    same "$output" "$a"
    try dewar image prune -f
    ok
    has "$a"
    try dewar images -q --no-trunc --filter dangling=true
    same "$output" ""
    same "$(image_id v:1)" "$b"
    dewar rmi v:1 >/dev/null
}

@test "until counts from when a name was set or lost, whatever the image says of its age" {
    make_layers
    local a
    a=$(dewar image import low.tar v:1)
    dewar image import --change 'CMD ["x"]' low.tar v:1 >/dev/null
    [[ $(dewar inspect -f '{{.Created}}' "$a") < 2020 ]]
    same "" "$(dewar images -q --filter until=1h)"
    try dewar image prune -f --filter until=1h
    ok
    lacks Deleted
    dewar inspect "$a" >/dev/null
    sleep 2.1 # times are in seconds
    [ -n "$(dewar images -q --filter dangling=true --filter until=1s)" ]
    try dewar image prune -f --filter until=1s
    ok
    has "$a"
    try dewar image prune -af --filter until=1h
    lacks Deleted
    dewar rmi v:1 >/dev/null
}

@test "tag checks both names and says what was meant" {
    try dewar tag "$IMG" New:1
    [ "$status" != 0 ]
    err_has "new"
    try dewar tag bussybox:test x:1
    [ "$status" != 0 ]
    err_has "did you mean"
    try dewar tag "$IMG" x/y/z:1
    ok
    same "$(image_id x/y/z:1)" "$(image_id "$IMG")"
    dewar rmi x/y/z:1 >/dev/null
}

@test "history and inspect have Docker's fields" {
    try dewar history --format '{{.ID}} {{.Size}}' "$IMG"
    ok
    local id
    id=$(image_id "$IMG")
    has "${id:7:12}"
    try dewar inspect "$IMG"
    ok
    for key in Id RepoTags RepoDigests Created Author Config Architecture Os Size RootFS Metadata; do
        has "\"$key\":"
    done
    try dewar inspect no-such-image
    [ "$status" = 1 ]
}

@test "damage is named by check, hides no other image, and repair moves it aside" {
    make_layers
    local id blob layer
    id=$(other s1 image import low.tar one:1)
    other s1 image import high.tar two:1 >/dev/null
    blob=s1/store/blobs/sha256/${id#sha256:}
    chmod u+w "$blob"
    printf x >>"$blob"
    try other s1 images --format '{{.Repository}}'
    ok
    has two
    try other s1 system check
    [ "$status" != 0 ]
    has "${id#sha256:}"
    has one:1
    try other s1 system check --repair
    try other s1 system check
    ok
    try other s1 images --format '{{.Repository}}'
    same "$output" two
    # and it can be brought in again
    same "$(other s1 image import low.tar one:1)" "$id"
    try other s1 system check
    ok
    layer=$(find s1/store/layers -path '*/fs/keep/k')
    chmod u+w "$layer"
    echo changed >"$layer"
    try other s1 system check
    [ "$status" != 0 ]
    has layer
}

@test "prune frees everything that nothing needs" {
    make_layers
    other s1 image import low.tar one:1 >/dev/null
    other s1 image import high.tar two:1 >/dev/null
    other s1 rmi one:1 >/dev/null
    mkdir -p s1/store/tmp/dead
    echo x >s1/store/tmp/dead/file
    echo junk >"s1/store/blobs/sha256/$(printf '%064d' 7)"
    try other s1 system prune --force
    ok
    same "$(find s1/store/tmp s1/store/trash -mindepth 1 | wc -l)" 0
    [ ! -e "s1/store/blobs/sha256/$(printf '%064d' 7)" ]
    try other s1 system check
    ok
    try other s1 images --format '{{.Repository}}'
    same "$output" two
    other s1 rmi two:1 >/dev/null
    same "$(find s1/store/blobs s1/store/layers s1/store/refs -type f | wc -l)" 0
}

@test "loaders, listers and removers at the same time break nothing" {
    make_layers
    docker_archive a.tar race:1 low.tar high.tar >/dev/null
    docker_archive b.tar race:2 low.tar >/dev/null
    local i
    loop() {
        local n
        for n in 1 2 3 4 5 6; do
            "$@" >/dev/null 2>>"$WORK/loop.err" || echo "failed: $*" >>"$WORK/loop.bad"
        done
    }
    remover() {
        local n
        for n in 1 2 3 4 5 6; do other s1 rmi -f race:1 race:2 >/dev/null 2>&1 || true; done
    }
    other s1 load -q -i a.tar >/dev/null
    # bats has a child of its own for the time limit: wait for ours by id.
    local pids=()
    loop other s1 load -q -i a.tar & pids+=($!)
    loop other s1 load -q -i b.tar & pids+=($!)
    loop other s1 images & pids+=($!)
    loop other s1 images -q & pids+=($!)
    remover & pids+=($!)
    wait "${pids[@]}"
    [ ! -e loop.bad ] || { cat loop.bad loop.err >&2; return 1; }
    try other s1 system check
    ok
    [ -n "${i-}" ] || true
}

@test "bootstrap explains what it cannot make" {
    try dewar image bootstrap fedora:40
    [ "$status" != 0 ]
    err_has "Debian suite"
    try dewar image bootstrap debian:bookworm --variant nonsense
    [ "$status" != 0 ]
    err_has "minbase"
    try dewar image bootstrap debian:bookworm --mirror 'ftp://x'
    [ "$status" != 0 ]
    try dewar image bootstrap debian:bookworm --mirror 'http://user:secret@x/debian'
    [ "$status" != 0 ]
    [[ $stderr != *secret* ]]
    try dewar image bootstrap debian:bookworm --include 'a;b'
    [ "$status" != 0 ]
}

@test "a load, save, import or rmi that is killed leaves a whole store and nothing to keep" {
    make_layers
    head -c 20000000 /dev/urandom >low/etc/big
    tar -C low --sort=name -cf low.tar .
    docker_archive k.tar kill:1 low.tar high.tar >/dev/null
    local i t
    for i in 1 2 3 4 5 6 7 8; do
        t=0.0$((i * 11 % 9 + 1))
        DEWAR_STORE=$WORK/s1/store DEWAR_RUN=$WORK/s1/run timeout -s KILL $t "$DEWAR" load -q -i k.tar || true
        DEWAR_STORE=$WORK/s1/store DEWAR_RUN=$WORK/s1/run timeout -s KILL $t "$DEWAR" image import low.tar kill:2 || true
        DEWAR_STORE=$WORK/s1/store DEWAR_RUN=$WORK/s1/run timeout -s KILL $t "$DEWAR" rmi -f kill:1 || true
        DEWAR_STORE=$WORK/s1/store DEWAR_RUN=$WORK/s1/run timeout -s KILL $t "$DEWAR" save -o out.tar kill:2 || true
        [ ! -e out.tar ] || tar tf out.tar >/dev/null
        try other s1 images
        ok
        try other s1 system check
        ok
    done >/dev/null 2>killed.err
    try other s1 load -q -i k.tar
    ok
    other s1 rmi -f kill:1 kill:2 >/dev/null 2>&1 || true
    DEWAR_STORE=$WORK/s1/store DEWAR_RUN=$WORK/s1/run store_is_clean
    same "$(find s1/store/blobs s1/store/layers s1/store/refs -type f | wc -l)" 0
}

@test "a full disk is reported as such and leaves nothing" {
    need_root
    make_layers
    head -c 30000000 /dev/urandom >low/etc/big
    tar -C low --sort=name -cf low.tar .
    docker_archive f.tar full:1 low.tar high.tar >/dev/null
    mkdir small
    mount -t tmpfs -o size=16m none small || skip "needs mount"
    run --separate-stderr env DEWAR_STORE="$WORK/small/store" DEWAR_RUN="$WORK/small/run" "$DEWAR" load -i f.tar
    local s1=$status e1=$stderr
    run --separate-stderr env DEWAR_STORE="$WORK/small/store" DEWAR_RUN="$WORK/small/run" "$DEWAR" image import low.tar full:2
    local s2=$status e2=$stderr left
    DEWAR_STORE=$WORK/small/store DEWAR_RUN=$WORK/small/run dewar system prune --force >/dev/null
    left=$(du -sk small | cut -f1)
    umount small
    [ "$s1" != 0 ] && [ "$s2" != 0 ] || return 1
    [[ $e1 == *ENOSPC* && $e2 == *ENOSPC* ]] || { echo "$e1 / $e2" >&2; return 1; }
    [ "$left" -lt 200 ]
}
