#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
# Push: a registry gets what it lacks, and what came from a registry goes as it came.
load helpers
load registry

file_setup() {
    registry_start
    registry_seed me/one:latest
}
test_setup() {
    fresh_store "$BATS_TEST_TMPDIR"
    ONE=$REGISTRY/me/one
}
test_teardown() { remove_tree "$DEWAR_STORE" "$DEWAR_RUN"; }

raw_of() { skopeo inspect --raw --tls-verify=false "docker://$1"; }
# An image with two layers of our own on a base that a registry has.
build_own() {
    mkdir -p "$WORK/own"
    cat >"$WORK/own/Dockerfile" <<EOF
FROM $ONE
RUN seq 100000 >/numbers
RUN echo ${2:-mine} >/etc/seed
EOF
    build_id -t "$1" "$WORK/own"
}

@test "an image goes to another registry and comes back with the same bytes" {
    registry_start plain OTHER
    dewar pull -q "$ONE"
    dewar tag "$ONE" "$OTHER/far/away:1"
    try dewar push "$OTHER/far/away:1"
    ok
    has "The push refers to repository [$OTHER/far/away]"
    same "$(grep -c ': Pushed$' <<<"$output")" 3
    same "$(raw_of "$OTHER/far/away:1" | sha256sum)" "$(raw_of "$ONE" | sha256sum)"
    has "1: digest: sha256:$(raw_of "$ONE" | sha256sum | cut -d' ' -f1) size: $(raw_of "$ONE" | wc -c)"
    # All of it is there: somebody else can read it, and every digest fits.
    skopeo copy -q --insecure-policy --src-tls-verify=false "docker://$OTHER/far/away:1" "dir:$WORK/dir"
    fresh_store "$BATS_TEST_TMPDIR/second"
    dewar pull -q "$OTHER/far/away:1"
    same "$(dewar run --network none "$OTHER/far/away:1")" one
}

@test "what the registry has is not sent again" {
    dewar pull -q "$ONE"
    dewar tag "$ONE" "$ONE:again"
    before=$(registry_requests POST '/v2/me/one/blobs/uploads/.*')
    try dewar push "$ONE:again"
    ok
    same "$(grep -c ': Layer already exists$' <<<"$output")" 3
    same "$(registry_requests POST '/v2/me/one/blobs/uploads/.*')" "$before"
    same "$(raw_of "$ONE:again" | sha256sum)" "$(raw_of "$ONE" | sha256sum)"
}

@test "blobs that another repository of the host has are mounted" {
    dewar pull -q "$ONE"
    dewar tag "$ONE" "$REGISTRY/you/mounted"
    try dewar push "$REGISTRY/you/mounted"
    ok
    same "$(grep -c ': Mounted from me/one$' <<<"$output")" 3
    same "$(registry_requests PUT '/v2/you/mounted/blobs/.*')" 0
}

@test "layers that were made here are compressed once, the same way in every store" {
    id=$(build_own "$REGISTRY/me/own")
    try dewar push "$REGISTRY/me/own"
    ok
    same "$(grep -c ': Pushed$' <<<"$output")" 2
    first=$(raw_of "$REGISTRY/me/own")
    same "$(jq -r '.layers[3].mediaType' <<<"$first")" application/vnd.oci.image.layer.v1.tar+gzip
    same "$(jq -r '.config.digest' <<<"$first")" "$id"
    # The archives are blobs now: the next push makes nothing.
    layer=$(jq -r '.layers[3].digest' <<<"$first")
    [ -e "$DEWAR_STORE/blobs/sha256/${layer#sha256:}" ]
    try dewar push "$REGISTRY/me/own"
    ok
    same "$(grep -c ': Layer already exists$' <<<"$output")" 5
    [[ $stderr != *compressing* ]]
    # An image that shares a layer sends the very same archive.
    build_own "$REGISTRY/me/own:other" other >/dev/null
    try dewar push "$REGISTRY/me/own:other"
    ok
    same "$(raw_of "$REGISTRY/me/own:other" | jq -r '.layers[3].digest')" "$layer"
    same "$(dewar inspect --format '{{.Id}}' "$REGISTRY/me/own")" "$id"
    fresh_store "$BATS_TEST_TMPDIR/second"
    build_own "$REGISTRY/me/own:second" >/dev/null
    dewar push -q "$REGISTRY/me/own:second"
    same "$(raw_of "$REGISTRY/me/own:second")" "$first"
    store_is_clean
}

@test "zstd on request, and it comes back" {
    build_own "$REGISTRY/me/zstd" >/dev/null
    dewar push -q --compression-format zstd "$REGISTRY/me/zstd"
    same "$(raw_of "$REGISTRY/me/zstd" | jq -r '.layers[4].mediaType')" application/vnd.oci.image.layer.v1.tar+zstd
    fresh_store "$BATS_TEST_TMPDIR/second"
    dewar pull -q "$REGISTRY/me/zstd"
    same "$(dewar run --network none "$REGISTRY/me/zstd" cat /etc/seed)" mine
    try dewar push --compression-format lzma "$REGISTRY/me/zstd"
    fails 1 "gzip or zstd"
}

@test "an archive that the store lost is made anew, with a warning" {
    dewar pull -q "$ONE"
    layer=$(raw_of "$ONE" | jq -r '.layers[2].digest')
    rm -f "$DEWAR_STORE/blobs/sha256/${layer#sha256:}"
    dewar tag "$ONE" "$REGISTRY/me/lost"
    try dewar push "$REGISTRY/me/lost"
    ok
    err_has "compressed anew"
    fresh_store "$BATS_TEST_TMPDIR/second"
    same "$(dewar run --network none "$REGISTRY/me/lost" 2>/dev/null)" one
}

@test "-a sends every tag, and what is not here is an error" {
    dewar pull -q "$ONE"
    dewar tag "$ONE" "$REGISTRY/me/tags:a"
    dewar tag "$ONE" "$REGISTRY/me/tags:b"
    try dewar push -a "$REGISTRY/me/tags"
    ok
    has "a: digest:"
    has "b: digest:"
    try dewar push "$REGISTRY/me/tags:c"
    fails 1 "no image"
    try dewar push -a "$REGISTRY/me/nothing"
    fails 1 "no image"
    try dewar push "$ONE@sha256:$(printf 'a%.0s' {1..64})"
    fails 1 "to a tag"
}

@test "when a layer cannot be sent the manifest is not either" {
    layout=$BATS_RUN_TMPDIR/layout-$(id -u)-one
    evil_start "{\"images\":\"$layout\",\"rules\":[{\"on\":\"blob_head\",\"status\":404},{\"on\":\"upload\",\"status\":403}]}"
    dewar pull -q "$ONE"
    dewar tag "$ONE" "$EVIL/x:mine"
    try dewar push "$EVIL/x:mine"
    fails 1 403
    err_has "$EVIL"
    ! grep -q '"PUT", "path": "/v2/x/manifests' "$EVIL_LOG" || return 1
    same "$(dewar inspect --format '{{len .RepoDigests}}' "$EVIL/x:mine")" 1
}

@test "a pushed name has the registry's digest" {
    id=$(build_own "$REGISTRY/me/named")
    same "$(dewar images --digests --format '{{.Digest}}' "$REGISTRY/me/named")" '<none>'
    dewar push -q "$REGISTRY/me/named"
    digest=sha256:$(raw_of "$REGISTRY/me/named" | sha256sum | cut -d' ' -f1)
    same "$(dewar images --digests --format '{{.Digest}}' "$REGISTRY/me/named")" "$digest"
    same "$(dewar inspect --format '{{index .RepoDigests 0}}' "$REGISTRY/me/named")" "$REGISTRY/me/named@$digest"
    # Here already, as the registry says.
    try dewar pull "$REGISTRY/me/named"
    ok
    has "up to date"
    same "$(dewar inspect --format '{{.Id}}' "$REGISTRY/me/named")" "$id"
}

@test "a registry with passwords: refused without, served with" {
    registry_start htpasswd SAFE
    dewar pull -q "$ONE"
    dewar tag "$ONE" "$SAFE/me/x"
    try dewar push "$SAFE/me/x"
    fails 1 401
    mkdir -p "$HOME/.docker"
    printf '{"auths":{"%s":{"auth":"%s"}}}' "$SAFE" "$(printf %s "$SAFE_USER:$SAFE_PASSWORD" | base64 -w0)" \
        >"$HOME/.docker/config.json"
    chmod 600 "$HOME/.docker/config.json"
    dewar push -q "$SAFE/me/x"
    fresh_store "$BATS_TEST_TMPDIR/second"
    dewar pull -q "$SAFE/me/x"
    rm "$HOME/.docker/config.json"
    try dewar pull "$SAFE/me/x"
    fails 1 401
}

@test "killed at any moment: the next push succeeds and leaves nothing behind" {
    build_own "$REGISTRY/me/killed" >/dev/null
    for ms in 5 15 25 40 60 90; do
        "$DEWAR" push -q "$REGISTRY/me/killed" >/dev/null 2>&1 &
        pid=$!
        sleep "0.$(printf %03d "$ms")"
        kill -9 "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
        dewar system check >/dev/null
    done
    dewar push -q "$REGISTRY/me/killed"
    store_is_clean
    fresh_store "$BATS_TEST_TMPDIR/second"
    same "$(dewar run --network none "$REGISTRY/me/killed" cat /etc/seed 2>/dev/null)" mine
}
