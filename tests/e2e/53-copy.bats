#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
# Copies between places, indexes of one's own, and other tools that read what was written here and
# write what is read here.
load helpers
load registry

file_setup() {
    registry_start
    registry_seed me/one:latest
    registry_seed me/two:latest REGISTRY two
}
test_setup() {
    fresh_store "$BATS_TEST_TMPDIR"
    ONE=$REGISTRY/me/one
}
test_teardown() { remove_tree "$DEWAR_STORE" "$DEWAR_RUN"; }

raw_of() { skopeo inspect --raw --tls-verify=false "docker://$1"; }
digest_of() { echo "sha256:$(raw_of "$1" | sha256sum | cut -d' ' -f1)"; }
# The same manifest and blobs in two folders of the kind dir:.
same_dirs() { same "$(cd "$1" && sha256sum -- * | sort)" "$(cd "$2" && sha256sum -- * | sort)"; }
sk() { skopeo --insecure-policy "$@"; }

@test "every place to every other, and the digest stays" {
    want=$(digest_of "$ONE")
    sk copy -q --src-tls-verify=false "docker://$ONE" "dir:$WORK/want"
    places=("docker://$REGISTRY/copies/x:1" "oci:$WORK/layout:x" "oci-archive:$WORK/a.tar:x"
        "docker-archive:$WORK/d.tar:me/x:1" "dir:$WORK/dir" store:copied:1)
    for place in "${places[@]}"; do
        same "$(dewar image copy -q "docker://$ONE" "$place")" "$want"
    done
    for from in "${places[@]}"; do
        for to in "docker://$REGISTRY/again/x:1" "oci:$WORK/l2:x" "oci-archive:$WORK/a2.tar:x" \
            "docker-archive:$WORK/d2.tar:me/x:1" "dir:$WORK/d2" again:1; do
            same "$(dewar image copy -q "$from" "$to")" "$want"
        done
        same_dirs "$WORK/d2" "$WORK/want"
        same "$(dewar run --network none again:1)" one
        rm -rf "$WORK"/{l2,a2.tar,d2.tar,d2}
    done
}

@test "skopeo reads what was copied, and copies what is read here" {
    sk copy -q --src-tls-verify=false "docker://$ONE" "dir:$WORK/want"
    dewar image copy -q "docker://$ONE" "oci:$WORK/ours:x"
    dewar image copy -q "docker://$ONE" "oci-archive:$WORK/ours.tar:x"
    dewar image copy -q "docker://$ONE" "dir:$WORK/ours.dir"
    for from in "oci:$WORK/ours:x" "oci-archive:$WORK/ours.tar:x" "dir:$WORK/ours.dir"; do
        sk copy -q "$from" "dir:$WORK/got"
        same_dirs "$WORK/got" "$WORK/want"
        rm -rf "$WORK/got"
    done
    sk copy -q "dir:$WORK/want" "oci:$WORK/theirs:x"
    sk copy -q "dir:$WORK/want" "oci-archive:$WORK/theirs.tar:x"
    for from in "oci:$WORK/theirs:x" "oci-archive:$WORK/theirs.tar:x" "dir:$WORK/want"; do
        dewar image copy -q "$from" "dir:$WORK/got"
        same_dirs "$WORK/got" "$WORK/want"
        rm -rf "$WORK/got"
    done
    # Of its docker-archive only config and contents stay: it writes another manifest.
    sk copy -q "dir:$WORK/want" "docker-archive:$WORK/theirs.docker:me/x:1"
    dewar image copy -q "docker-archive:$WORK/theirs.docker" from-docker-archive
    same "$(dewar run --network none from-docker-archive)" one
    sk copy -q "docker-archive:$WORK/theirs.docker" "dir:$WORK/got"
}

@test "umoci unpacks what was copied, and what it wrote is read" {
    need_program umoci umoci
    dewar image copy -q "docker://$ONE" "oci:$WORK/layout:x"
    umoci unpack --rootless --image "$WORK/layout:x" "$WORK/bundle" 2>"$WORK/err" || { cat "$WORK/err" >&2; false; }
    same "$(cat "$WORK/bundle/rootfs/etc/seed")" one
    echo changed >"$WORK/bundle/rootfs/etc/seed"
    umoci repack --image "$WORK/layout:y" "$WORK/bundle"
    dewar image copy -q "oci:$WORK/layout:y" changed
    same "$(dewar run --network none changed)" changed
    dewar image copy -q "oci:$WORK/layout:x" unchanged
    same "$(dewar run --network none unchanged)" one
}

@test "a layout with several images asks which, and a new name is added beside the others" {
    dewar image copy -q "docker://$ONE" "oci:$WORK/layout:a"
    dewar image copy -q "docker://$REGISTRY/me/two" "oci:$WORK/layout:b"
    try dewar image copy -q "oci:$WORK/layout" x
    fails 1 "several"
    try dewar image copy -q "oci:$WORK/layout:c" x
    fails 1 "no 'c'"
    dewar image copy -q "oci:$WORK/layout:b" x
    same "$(dewar run --network none x)" two
    dewar image copy -q "docker://$REGISTRY/me/two" "oci:$WORK/layout:a"
    same "$(jq '.manifests | length' "$WORK/layout/index.json")" 2
}

@test "damage on the way is an error, and nothing is written" {
    dewar image copy -q "docker://$ONE" "oci:$WORK/layout:x"
    layer=$(raw_of "$ONE" | jq -r '.layers[2].digest')
    printf X | dd of="$WORK/layout/blobs/sha256/${layer#sha256:}" bs=1 seek=1000 conv=notrunc 2>/dev/null
    try dewar image copy "oci:$WORK/layout:x" "dir:$WORK/out"
    fails 1 "damaged"
    [ ! -e "$WORK/out/manifest.json" ]
    try dewar image copy "oci:$WORK/layout:x" damaged
    fails 1 "damaged"
    same "$(dewar images -q damaged)" ""
    store_is_clean
}

@test "a place that is none is said so" {
    try dewar image copy "ftp://x/y" z
    fails 2 "no kind of place"
    try dewar image copy docker:// z
    fails 2 "names no place"
    try dewar image copy "oci:$WORK/none" z
    fails 1 "$WORK/none"
}

@test "layers that were made here go uncompressed when digests are to stay" {
    ctx
    printf 'FROM %s\nRUN seq 1000 >/n\n' "$ONE" >Dockerfile
    id=$(build_id -t own)
    plain=$(dewar image copy -q --preserve-digests own "docker://$REGISTRY/own/plain")
    same "$plain" "$(digest_of "$REGISTRY/own/plain")"
    same "$(raw_of "$REGISTRY/own/plain" | jq -r '.layers[3].mediaType')" application/vnd.oci.image.layer.v1.tar
    same "$(dewar image copy -q own "oci:$WORK/layout:x")" "$plain"
    dewar image copy -q own "docker://$REGISTRY/own/packed" >/dev/null
    same "$(raw_of "$REGISTRY/own/packed" | jq -r '.layers[3].mediaType')" application/vnd.oci.image.layer.v1.tar+gzip
    fresh_store "$BATS_TEST_TMPDIR/second"
    dewar pull -q "$REGISTRY/own/plain"
    same "$(dewar inspect --format '{{.Id}}' "$REGISTRY/own/plain")" "$id"
    same "$(dewar image copy -q "$REGISTRY/own/plain" "docker://$REGISTRY/own/plain2")" "$plain"
}

# --- indexes ------------------------------------------------------------------------------------

@test "manifest inspect -v tells each image's digest, size, platform and manifest" {
    list=$REGISTRY/me/told:1
    look() { dewar manifest inspect -v "$1"; }
    # One image: an object; its platform is in its config.
    same "$(look "$ONE" | jq -r .Ref)" "$ONE:latest"
    same "$(look "$ONE" | jq -r .Descriptor.digest)" "$(digest_of "$ONE")"
    same "$(look "$ONE" | jq -r .Descriptor.size)" "$(raw_of "$ONE" | wc -c)"
    same "$(look "$ONE" | jq -c .Descriptor.platform)" '{"architecture":"amd64","os":"linux"}'
    same "$(look "$ONE" | jq -r .Raw | base64 -d | sha256sum)" "$(raw_of "$ONE" | sha256sum)"
    same "$(look "$ONE" | jq -cS .OCIManifest)" "$(raw_of "$ONE" | jq -cS .)"
    # Several: a list, of an index that is only here and of one in a registry.
    dewar manifest create "$list" "$ONE" "$REGISTRY/me/two" >/dev/null
    dewar manifest annotate --arch arm --variant v7 "$list" "$REGISTRY/me/two"
    same "$(look "$list" | jq -r '.[].Descriptor.platform | .architecture + (.variant // "")')" "$(printf 'amd64\narmv7')"
    same "$(look "$list" | jq -r '.[1].Descriptor.digest')" "$(digest_of "$REGISTRY/me/two")"
    dewar manifest push --purge "$list" >/dev/null
    same "$(look "$list" | jq -r '.[].Ref')" "$(printf '%s@%s\n%s@%s' "$list" "$(digest_of "$ONE")" "$list" "$(digest_of "$REGISTRY/me/two")")"
    same "$(look "$list" | jq -r '.[1].Descriptor.platform | .architecture + (.variant // "")')" armv7
    same "$(look "$list" | jq -cS '.[1].OCIManifest')" "$(raw_of "$REGISTRY/me/two" | jq -cS .)"
    try dewar manifest inspect -v "$REGISTRY/me/none"
    fails 1 404
}

@test "an index is put together, annotated, pushed, and pulled by platform" {
    list=$REGISTRY/me/multi:1
    try dewar manifest create "$list" "$ONE" "$REGISTRY/me/two"
    ok
    has "Created manifest list $list"
    try dewar manifest create "$list" "$ONE"
    fails 1 "there already"
    dewar manifest create --amend "$list" "$ONE"
    same "$(dewar manifest inspect "$list" | jq '.manifests | length')" 2
    dewar manifest annotate --arch arm64 --variant v8 "$list" "$REGISTRY/me/two"
    same "$(dewar manifest inspect "$list" | jq -r '[.manifests[].platform.architecture] | join(" ")')" "amd64 arm64"
    same "$(dewar manifest inspect "$list" | jq -r '[.manifests[].platform.variant] | join(" ")')" " v8"
    try dewar manifest annotate --arch arm64 "$list" "$ONE@sha256:$(printf 'a%.0s' {1..64})"
    fails 1 "not in the index"
    digest=$(dewar manifest push --purge "$list")
    same "$digest" "$(digest_of "$list")"
    try dewar manifest push "$list"
    fails 1 "no index"
    try dewar pull "$list"
    ok
    has "Digest: $digest"
    same "$(dewar run --network none "$list")" one
    # The name is that of the index; the bytes of the index are here too.
    same "$(dewar image inspect --raw "$list" | sha256sum)" "$(raw_of "$list" | sha256sum)"
    same "$(dewar image inspect --raw "docker://$list" | sha256sum)" "$(raw_of "$list" | sha256sum)"
    try dewar pull "$list"
    has "up to date"
    try dewar pull --platform linux/s390x "$list"
    fails 1 "no image for linux/s390x"
    err_has "linux/amd64, linux/arm64"
    dewar system check
}

@test "a whole index is copied with --all, one platform without" {
    list=$REGISTRY/me/all:1
    dewar manifest create "$list" "$ONE" "$REGISTRY/me/two" >/dev/null
    dewar manifest annotate --arch arm64 "$list" "$REGISTRY/me/two"
    digest=$(dewar manifest push "$list")
    same "$(dewar image copy -q --all "docker://$list" "docker://$REGISTRY/copy/all:1")" "$digest"
    same "$(dewar image copy -q --all "docker://$list" "oci:$WORK/l:x")" "$digest"
    same "$(dewar image copy -q --all "oci:$WORK/l:x" "dir:$WORK/d")" "$digest"
    sk copy -q --all "dir:$WORK/d" "dir:$WORK/d2"
    same "$(sk copy -q --all "oci:$WORK/l:x" "dir:$WORK/d3" && sha256sum <"$WORK/d3/manifest.json" | cut -d' ' -f1)" "${digest#sha256:}" || return 1
    same "$(dewar image copy -q "docker://$list" "dir:$WORK/one")" "$(digest_of "$ONE")"
    same "$(dewar image copy -q --platform linux/arm64 "docker://$list" "dir:$WORK/two")" "$(digest_of "$REGISTRY/me/two")"
    try dewar image copy --all "docker://$list" "docker-archive:$WORK/x.tar"
    fails 1 "one platform"
    try dewar image copy --all "docker://$list" here
    fails 1 "one platform"
}

# --- engines ------------------------------------------------------------------------------------

@test "podman runs what was pushed, and what it pushed is pulled with its bytes" {
    need_root
    need_program podman podman
    ctx
    printf 'FROM %s\nRUN echo ours >/etc/seed\n' "$ONE" >Dockerfile
    build_id -t "$REGISTRY/pod/ours" >/dev/null
    dewar push -q "$REGISTRY/pod/ours"
    short=$(mktemp -d /tmp/pm.XXXXXX)  # podman takes no runroot of more than 50 characters
    pm=(podman --root "$WORK/pm/root" --runroot "$short" --storage-driver vfs --cgroup-manager cgroupfs)
    "${pm[@]}" pull -q --tls-verify=false "$REGISTRY/pod/ours" >/dev/null
    same "$("${pm[@]}" image inspect --format '{{.Id}}' "$REGISTRY/pod/ours")" \
        "$(dewar inspect --format '{{.Id}}' "$REGISTRY/pod/ours" | cut -d: -f2)"
    c=$("${pm[@]}" create --ulimit nofile=1024:1024 --ulimit nproc=1000:1000 "$REGISTRY/pod/ours")
    same "$("${pm[@]}" cp "$c:/etc/seed" - | tar -xO)" ours
    "${pm[@]}" push -q --tls-verify=false "$REGISTRY/pod/ours" "$REGISTRY/pod/theirs"
    dewar pull -q "$REGISTRY/pod/theirs"
    same "$(dewar run --network none "$REGISTRY/pod/theirs")" ours
    dewar image copy -q "$REGISTRY/pod/theirs" "docker://$REGISTRY/pod/back" >/dev/null
    same "$(raw_of "$REGISTRY/pod/back" | sha256sum)" "$(raw_of "$REGISTRY/pod/theirs" | sha256sum)"
    "${pm[@]}" rm -f "$c" >/dev/null
    rm -rf "$WORK/pm" "$short"
}

@test "Docker's engine pulls what was pushed, and what it pushed is pulled with its bytes" {
    need_root
    need_program dockerd docker.io
    ctx
    printf 'FROM %s\nRUN echo ours >/etc/seed\n' "$ONE" >Dockerfile
    build_id -t "$REGISTRY/dock/ours" >/dev/null
    dewar push -q "$REGISTRY/dock/ours"
    top=$(mktemp -d /tmp/dk.XXXXXX)
    dockerd --storage-driver vfs --data-root "$top/data" --exec-root "$top/exec" --pidfile "$top/pid" \
        -H "unix://$top/sock" --bridge none --iptables=false --ip-forward=false --ip-masq=false \
        >"$top/log" 2>&1 </dev/null 3>&- 4>&- &
    pid=$!
    dk=(docker -H "unix://$top/sock")
    for _ in $(seq 100); do "${dk[@]}" version >/dev/null 2>&1 && break || sleep 0.2; done
    "${dk[@]}" version >/dev/null 2>&1 || { kill "$pid"; rm -rf "$top"; skip "dockerd does not start here"; }
    rc=0
    {
        "${dk[@]}" pull -q "$REGISTRY/dock/ours" &&
            same "$("${dk[@]}" inspect --format '{{.Id}}' "$REGISTRY/dock/ours")" \
                "$(dewar inspect --format '{{.Id}}' "$REGISTRY/dock/ours")" &&
            "${dk[@]}" tag "$REGISTRY/dock/ours" "$REGISTRY/dock/theirs" &&
            "${dk[@]}" push -q "$REGISTRY/dock/theirs" &&
            dewar pull -q "$REGISTRY/dock/theirs" &&
            same "$(dewar run --network none "$REGISTRY/dock/theirs")" ours &&
            dewar image copy -q "$REGISTRY/dock/theirs" "docker://$REGISTRY/dock/back" &&
            same "$(raw_of "$REGISTRY/dock/back" | sha256sum)" "$(raw_of "$REGISTRY/dock/theirs" | sha256sum)"
    } || rc=1
    kill "$pid"
    wait "$pid" || true
    umount "$top"/data/* 2>/dev/null || true
    rm -rf "$top"
    return "$rc"
}
