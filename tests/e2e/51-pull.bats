#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
# Pull: what a registry has comes into the store, byte for byte, once, whatever happens on the way.
load helpers
load registry

file_setup() {
    registry_start
    registry_seed me/one:latest
    registry_seed me/two:1 REGISTRY two
}
test_setup() {
    fresh_store "$BATS_TEST_TMPDIR"
    ONE=$REGISTRY/me/one
}
test_teardown() { remove_tree "$DEWAR_STORE" "$DEWAR_RUN"; }

digest_of() { skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$1"; }
# Every blob of the manifest is in the store as the registry has it.
blobs_are_kept() {
    local raw name digest
    raw=$(skopeo inspect --raw --tls-verify=false "docker://$1")
    while read -r digest; do
        name=$(echo "$DEWAR_STORE/blobs/sha256/${digest#sha256:}")
        [ "sha256:$(sha256sum <"$name" | cut -d' ' -f1)" = "$digest" ] || return 1
    done < <(jq -r '.config.digest, .layers[].digest' <<<"$raw")
}

@test "an image comes, runs, and has the digest that the registry gives it" {
    try dewar pull "$ONE"
    ok
    has "latest: Pulling from ${ONE#*/}"
    has "Using default tag: latest"
    has "Digest: $(digest_of "$ONE")"
    has "Status: Downloaded newer image for $ONE:latest"
    same "${lines[-1]}" "$ONE:latest"
    try dewar run --network none "$ONE"
    ok
    same "$output" one
    same "$(dewar inspect --format '{{index .RepoDigests 0}}' "$ONE")" "$ONE@$(digest_of "$ONE")"
    same "$(dewar images --digests --format '{{.Digest}}' "$ONE")" "$(digest_of "$ONE")"
    blobs_are_kept "$ONE"
    dewar system check
}

@test "-q prints the name and nothing else" {
    try dewar pull -q "$ONE:latest"
    ok
    same "$output$stderr" "$ONE:latest"
}

@test "a second pull asks one thing and fetches nothing" {
    dewar pull -q "$ONE"
    before=$(wc -l <"$REGISTRY_LOG")
    try dewar pull "$ONE"
    ok
    has "Status: Image is up to date for $ONE:latest"
    same "$(tail -n +$((before + 1)) "$REGISTRY_LOG" | grep -oE '"(GET|HEAD) /v2/me/one/[^ ]*')" \
        '"HEAD /v2/me/one/manifests/latest'
}

@test "a tag that moved brings the new image, and only the layers that are not here" {
    registry_seed me/moves:latest
    dewar pull -q "$REGISTRY/me/moves"
    registry_seed me/moves:latest REGISTRY two
    before=$(registry_requests GET '/v2/me/moves/blobs/.*')
    try dewar pull "$REGISTRY/me/moves"
    ok
    has "Downloaded newer image"
    err_has "already here"
    same "$(dewar run --network none "$REGISTRY/me/moves")" two
    # The config and two layers of three: the lowest is the same.
    same "$(($(registry_requests GET '/v2/me/moves/blobs/.*') - before))" 3
}

@test "a digest names one image for ever, and needs no registry when it is here" {
    digest=$(digest_of "$ONE")
    try dewar pull "$ONE@$digest"
    ok
    has "$ONE@$digest"
    before=$(wc -l <"$REGISTRY_LOG")
    try dewar pull "$ONE@$digest"
    ok
    has "up to date"
    same "$(wc -l <"$REGISTRY_LOG")" "$before"
    try dewar run --network none "$ONE@$digest"
    ok
    same "$output" one
    same "$(dewar images --format '{{.Tag}}' "$ONE*")" '<none>'
    try dewar pull "$ONE@sha256:$(printf '0%.0s' {1..64})"
    fails 1 "404"
}

@test "-a brings every tag" {
    registry_seed me/tags:a
    registry_seed me/tags:b REGISTRY two
    try dewar pull -a "$REGISTRY/me/tags"
    ok
    has "a: Pulling"
    has "b: Pulling"
    same "$(dewar images --format '{{.Tag}}' "$REGISTRY/me/tags" | sort | xargs)" "a b"
    try dewar pull -a "$REGISTRY/me/tags:a"
    fails 1 "--all-tags"
}

@test "what is not there is one clear error, and leaves nothing" {
    try dewar pull "$REGISTRY/me/none"
    fails 1 "404"
    err_has "me/none"
    try dewar pull "$REGISTRY/Me/none"
    fails 1 "name"
    same "$(find "$DEWAR_STORE/blobs" "$DEWAR_STORE/layers" -type f | wc -l)" 0
}

@test "run and build fetch what is missing, and --pull says when" {
    try dewar run --network none "$ONE"
    ok
    same "$output" one
    err_has "pulling it"
    try dewar run --network none "$ONE"
    ok
    same "$stderr" ""
    try dewar run --pull never --network none "$REGISTRY/me/two:1"
    fails 125 "no image"
    ctx
    dockerfile <<EOF
FROM $ONE AS base
FROM $ONE
COPY --from=$REGISTRY/me/two:1 /etc/seed /other
COPY --from=base /etc/seed /mine
CMD cat /other /mine
EOF
    try dewar build --pull=never -q .
    fails 1 "no image"
    id=$(build_id)
    same "$(dewar run --network none "$id" | xargs)" "two one"
    # always: the tag is asked again, once a build; newer: the same, but the store will do
    before=$(registry_requests HEAD '/v2/me/one/manifests/latest')
    build_id --pull . >/dev/null
    same "$(registry_requests HEAD '/v2/me/one/manifests/latest')" $((before + 1))
    build_id . >/dev/null
    same "$(registry_requests HEAD '/v2/me/one/manifests/latest')" $((before + 1))
}

@test "newer goes on with what is here when the registry does not answer, always does not" {
    registry_start plain GONE
    registry_seed me/x GONE
    dewar pull -q "$GONE/me/x"
    registry_stop GONE
    try dewar run --network none --pull newer "$GONE/me/x"
    ok
    has one
    err_has "is used as it is in the store"
    try dewar run --network none --pull always "$GONE/me/x"
    fails 125 "$GONE"
    try dewar run --network none "$GONE/me/x"
    ok
    has one
}

@test "an ID is never asked of a registry" {
    try dewar run "sha256:$(printf 'a%.0s' {1..64})"
    fails 125 "no image"
    [[ $stderr != *pulling* ]]
    try dewar run "$(printf 'a%.0s' {1..64})"
    fails 125 "no image"
    [[ $stderr != *pulling* ]]
}

@test "a URL in place of a name is refused with the name that was meant" {
    local scheme
    for scheme in http https docker; do
        try dewar pull "$scheme://r.example:5000/a/b:1"
        fails 1 "invalid reference '$scheme://r.example:5000/a/b:1'"
        err_has "the host: 'r.example:5000/a/b:1'"
    done
}

@test "several at once fetch each layer once" {
    registry_seed me/once:latest
    before=$(registry_requests GET '/v2/me/once/blobs/.*')
    pids=()
    for i in 1 2 3 4; do
        dewar pull -q "$REGISTRY/me/once" >"out.$i" 2>"err.$i" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
    cat out.*
    same "$(cat out.* | sort -u)" "$REGISTRY/me/once:latest"
    # Configs are small and may be asked for by each; the three layers are not.
    layers=$(skopeo inspect --raw --tls-verify=false "docker://$REGISTRY/me/once" | jq -r '[.layers[].digest] | join("|")')
    same "$(grep -cE "\"GET /v2/me/once/blobs/($layers) " "$REGISTRY_LOG")" 3
    same "$before" 0
    store_is_clean
}

@test "a broken download goes on where it was" {
    layout=$BATS_RUN_TMPDIR/layout-$(id -u)-one
    evil_start "{\"images\":\"$layout\",\"rules\":[{\"on\":\"blob_get\",\"truncate\":200000,\"times\":30}]}"
    try dewar pull "$EVIL/x"
    # Whether it ends well depends on how often one tries; what came is kept either way.
    if [ "$status" != 0 ]; then
        ls "$DEWAR_STORE/cache/downloads" | grep -q .
        try dewar pull "$EVIL/x"
        while [ "$status" != 0 ]; do try dewar pull "$EVIL/x"; done
    fi
    same "$(dewar run --network none "$EVIL/x")" one
    grep -q '"range": "bytes=[1-9]' <(tr 'A-Z' 'a-z' <"$EVIL_LOG")
    store_is_clean
}

@test "damage in what an earlier run left is found, and the layer is fetched anew" {
    layer=$(skopeo inspect --tls-verify=false --format '{{index .Layers 2}}' "docker://$ONE")
    dewar images >/dev/null # makes the store
    mkdir -p "$DEWAR_STORE/cache/downloads"
    head -c 1000 /dev/urandom >"$DEWAR_STORE/cache/downloads/${layer#sha256:}"
    try dewar pull "$ONE"
    ok
    err_has "going on after 1000 bytes"
    err_has "fetching it anew"
    same "$(dewar run --network none "$ONE")" one
    blobs_are_kept "$ONE"
    store_is_clean
}

@test "a layer that the store lost, but not its archive, is made again without a download" {
    dewar pull -q "$ONE"
    remove_tree "$DEWAR_STORE"/layers/*/*
    before=$(registry_requests GET '/v2/me/one/blobs/.*')
    try dewar run --network none "$ONE"
    ok
    same "$output" one
    same "$(registry_requests GET '/v2/me/one/blobs/.*')" "$before"
}

@test "an archive in the store that is damaged is replaced" {
    dewar pull -q "$ONE"
    layer=$(skopeo inspect --tls-verify=false --format '{{index .Layers 2}}' "docker://$ONE")
    blob=$DEWAR_STORE/blobs/sha256/${layer#sha256:}
    dewar rmi "$ONE" >/dev/null
    dewar pull -q "$REGISTRY/me/two:1"
    size=$(skopeo inspect --raw --tls-verify=false "docker://$ONE" | jq '.layers[2].size')
    head -c "$size" /dev/urandom >"$blob"
    try dewar pull "$ONE"
    ok
    err_has "fetching it anew"
    blobs_are_kept "$ONE"
    store_is_clean
}

@test "a wrong digest is refused, by name, and not kept" {
    layout=$BATS_RUN_TMPDIR/layout-$(id -u)-one
    layer=$(skopeo inspect --tls-verify=false --format '{{index .Layers 2}}' "docker://$ONE")
    evil_start "{\"images\":\"$layout\",\"rules\":[{\"on\":\"blob_get\",\"match\":\"${layer#sha256:}\",\"flip\":250000}]}"
    try dewar pull "$EVIL/x"
    fails 1 "$(cut -c1-19 <<<"$layer")"
    same "$(dewar images -q | wc -l)" 0
    [ ! -e "$DEWAR_STORE/cache/downloads/${layer#sha256:}" ]
    [ ! -e "$DEWAR_STORE/blobs/sha256/${layer#sha256:}" ]
    store_is_clean
}

@test "killed at any moment: the next pull succeeds, and prune frees what is left" {
    for ms in 5 10 15 20 25 30 40 50 60; do
        fresh_store "$BATS_TEST_TMPDIR/kill-$ms"
        "$DEWAR" pull -q "$ONE" >/dev/null 2>&1 &
        pid=$!
        sleep "0.$(printf %03d "$ms")"
        kill -9 "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
        dewar system check >/dev/null
        try dewar pull -q "$ONE"
        ok
        same "$(dewar run --network none "$ONE")" one
        store_is_clean
    done
}

@test "interrupted for good: prune frees what has come" {
    layout=$BATS_RUN_TMPDIR/layout-$(id -u)-one
    evil_start "{\"images\":\"$layout\",\"rules\":[{\"on\":\"blob_get\",\"status\":403,\"after\":2}]}"
    try dewar pull "$EVIL/x"
    fails 1 403
    mkdir -p "$DEWAR_STORE/cache/downloads"
    head -c 100000 /dev/urandom >"$DEWAR_STORE/cache/downloads/$(printf 'b%.0s' {1..64})"
    try dewar system df -v
    ok
    has downloads
    dewar system prune -f
    same "$(find "$DEWAR_STORE/cache/downloads" "$DEWAR_STORE/layers" "$DEWAR_STORE/blobs" -type f | wc -l)" 0
}
