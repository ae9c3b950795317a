# SPDX-License-Identifier: Apache-2.0
# Pulls that are broken off, met by others, or run out of room.
load helpers
load registry
NO_IMAGE=1

file_setup() {
    registry_layout "$BATS_FILE_TMPDIR/layout"
    registry_start
    registry_seed a/b:1
    LAYERS=$(jq -r '.layers[].digest' "$BATS_FILE_TMPDIR/layout/blobs/sha256/$(jq -r \
        '.manifests[0].digest[7:]' "$BATS_FILE_TMPDIR/layout/index.json")")
    LAYER=$(tail -n 1 <<<"$LAYERS")
    SIZE=$(stat -c %s "$BATS_FILE_TMPDIR/layout/blobs/sha256/${LAYER#*:}")
    export LAYERS LAYER SIZE
}
test_setup() { fresh_store "$BATS_TEST_TMPDIR"; }
evil_images() { evil_start "{\"images\":\"$BATS_FILE_TMPDIR/layout\",\"rules\":[$1]}"; }
# How often, and how many bytes of, the last layer were sent; and from where on.
layer_log() { jq -r --arg d "$LAYER" 'select(.kind == "blob_get" and (.path | contains($d))) | '"$1" "$EVIL_LOG"; }
# Requests for layers at the docker-registry so far.
layers_asked() {
    local d n=0
    for d in $LAYERS; do n=$((n + $(registry_requests GET "/v2/a/b/blobs/$d"))); done
    echo $n
}
seed_of() { same "$(dewar run --rm --network none "$1")" one; }

@test "a pull that was killed goes on where it was" {
    evil_images "{\"on\":\"blob_get\",\"match\":\"$LAYER\",\"stall\":200000,\"times\":1}"
    local pid i
    "$DEWAR" pull -q "$EVIL/a/b" >out 2>&1 3>&- &
    pid=$!
    for ((i = 0; i < 100; i++)); do
        [ "$(find "$DEWAR_STORE" -type f -size +194k 2>/dev/null | wc -l)" = 0 ] || break
        sleep 0.05
    done
    sleep 0.3 # what is on the way shall arrive
    kill -9 "$pid"
    wait "$pid" || true
    same "$(dewar images -q)" ''
    dewar system check
    try dewar pull -q "$EVIL/a/b"
    ok
    # Of what had come at least a half is not asked for again; nothing comes twice.
    local from
    from=$(layer_log .headers.range | tail -n 1)
    [[ $from =~ ^bytes=([0-9]+)-$ ]] && [ "${BASH_REMATCH[1]}" -ge 100000 ] &&
        [ "${BASH_REMATCH[1]}" -le 200000 ] || { echo "asked for $from" >&2; return 1; }
    same "$(layer_log .sent | tail -n 1)" $((SIZE - BASH_REMATCH[1]))
    seed_of "$EVIL/a/b"
    store_is_clean
}

# A layout in the store of its own: one layer of 48 MB that does not compress; LARGE is its digest, LARGE_SIZE.
large_layout() {
    mkdir large
    head -c 48000000 /dev/urandom >large/random
    printf 'FROM scratch\nCOPY random /random\n' >large/Dockerfile
    fresh_store "$WORK/maker"
    dewar build -q -t large:1 large >/dev/null
    dewar image copy -q large:1 oci:big:latest >/dev/null
    LARGE=$(jq -r '.layers[0].digest' "big/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' big/index.json)")
    LARGE_SIZE=$(stat -c %s "big/blobs/sha256/${LARGE#*:}")
    remove_tree "$WORK/maker"
    fresh_store "$BATS_TEST_TMPDIR"
}
part_size() { stat -c %s "$DEWAR_STORE/cache/downloads/${LARGE#*:}" 2>/dev/null || echo 0; }
# Waits until the part file has had the same size, above the one given, for half a second.
part_rests_above() {
    local i last=0 same=0 now
    for ((i = 0; i < 300 && same < 5; i++)); do
        sleep 0.1
        now=$(part_size)
        if [ "$now" -gt "$1" ] && [ "$now" = "$last" ]; then same=$((same + 1)); else same=0; fi
        last=$now
    done
    [ "$same" = 5 ] || { echo "the part has $now bytes" >&2; return 1; }
}

@test "of a large layer only the rest is asked for, however far its unpacker had come" {
    local pid had LAYER from rule unpacker
    large_layout
    LAYER=$LARGE
    for rule in "{\"on\":\"blob_get\",\"match\":\"$LARGE\",\"stall\":30000000,\"times\":1}" ''; do
        evil_start "{\"images\":\"$PWD/big\",\"rules\":[$rule]}"
        "$DEWAR" pull -q "$EVIL/a/b" >out 2>&1 3>&- &
        pid=$!
        if [ -z "$rule" ]; then
            # The unpacker stands still: what may come ahead of it has a limit.
            for ((i = 0; i < 500; i++)); do
                unpacker=$(pgrep -P "$pid" -x "dewar|dewar-layers") && kill -STOP $unpacker && break
                sleep 0.01
            done
            part_rests_above 12000000
            [ "$(part_size)" -lt 40000000 ]
        else
            part_rests_above 29000000
        fi
        had=$(part_size)
        kill -9 "$pid"
        wait "$pid" || true
        [ -z "$unpacker" ] || kill -9 $unpacker
        same "$(dewar images -q)" ''
        try dewar pull -q "$EVIL/a/b"
        ok
        from=$(layer_log .headers.range | tail -n 1)
        same "$from" "bytes=$had-"
        same "$(layer_log .sent | tail -n 1)" $((LARGE_SIZE - had))
        same "$(layer_log .status | tail -n 1)" 206
        same "$(dewar image copy "$EVIL/a/b" dir:out-dir >/dev/null 2>&1; sha256sum "out-dir/${LARGE#*:}" | cut -d' ' -f1)" "${LARGE#*:}"
        dewar system check
        dewar rmi "$EVIL/a/b" >/dev/null
        store_is_clean
        remove_tree out-dir
    done
}

@test "a large part that was changed on the disk is found out and fetched anew" {
    local LAYER
    large_layout
    LAYER=$LARGE
    evil_start "{\"images\":\"$PWD/big\"}"
    dewar images >/dev/null # makes the store
    mkdir -p "$DEWAR_STORE/cache/downloads"
    head -c 30000000 "big/blobs/sha256/${LARGE#*:}" >"$DEWAR_STORE/cache/downloads/${LARGE#*:}"
    printf X | dd of="$DEWAR_STORE/cache/downloads/${LARGE#*:}" bs=1 seek=25000000 conv=notrunc status=none
    try dewar pull "$EVIL/a/b"
    ok && err_has damaged || return 1
    same "$(layer_log .headers.range)" "$(printf 'bytes=30000000-\nnull')"
    store_is_clean
}

@test "a part that is not what it should be is thrown away, not built on" {
    evil_images "{\"on\":\"blob_get\",\"match\":\"$LAYER\",\"flip\":10,\"truncate\":200000,\"times\":6}"
    DEWAR_REGISTRY_RETRIES=1 try dewar pull -q "$EVIL/a/b"
    fails 1
    evil_images ''
    try dewar pull -q "$EVIL/a/b"
    ok
    seed_of "$EVIL/a/b"
}

@test "pulls of one image at the same time do the work once" {
    local -a pids=()
    local n before
    # Layers; the configuration, a few hundred bytes, each may ask for.
    before=$(layers_asked)
    for n in 1 2 3 4 5; do
        "$DEWAR" pull -q "$REGISTRY/a/b:1" >"out.$n" 2>&1 3>&- &
        pids+=($!)
    done
    for n in "${pids[@]}"; do wait "$n" || { cat out.* >&2; return 1; }; done
    same $(($(layers_asked) - before)) 3
    seed_of "$REGISTRY/a/b:1"
    store_is_clean
}

@test "a pull that waits for another goes on alone when that one is killed" {
    evil_images "{\"on\":\"blob_get\",\"match\":\"$LAYER\",\"stall\":200000,\"times\":1}"
    local first second i
    "$DEWAR" pull -q "$EVIL/a/b" >first 2>&1 3>&- &
    first=$!
    for ((i = 0; i < 100; i++)); do
        [ "$(find "$DEWAR_STORE" -type f -size +194k 2>/dev/null | wc -l)" = 0 ] || break
        sleep 0.05
    done
    "$DEWAR" pull -q "$EVIL/a/b" >second 2>&1 3>&- &
    second=$!
    sleep 0.5
    kill -9 "$first"
    wait "$first" || true
    wait "$second" || { cat second >&2; return 1; }
    seed_of "$EVIL/a/b"
    store_is_clean
}

@test "a pull does not wait for ever for one that stands still" {
    local pid
    dewar images >/dev/null
    mkdir -p "$DEWAR_STORE/cache/downloads"
    flock "$DEWAR_STORE/cache/downloads/${LAYER#*:}" sleep 60 3>&- &
    pid=$!
    sleep 0.3
    DEWAR_REGISTRY_WAIT=1 try timeout 30 "$DEWAR" pull -q "$REGISTRY/a/b:1"
    kill "$pid"
    wait "$pid" || true
    fails 1 "has not got on for 1 seconds"
    grep -q "end that command" <<<"$stderr"
    [ -z "$(dewar images -q)" ]
}

@test "a pull and a removal of the same image at the same time" {
    local n bad=0
    for n in 1 2 3 4 5 6; do
        "$DEWAR" pull -q "$REGISTRY/a/b:1" >pulled 2>&1 3>&- &
        local pid=$!
        dewar rmi -f "$REGISTRY/a/b:1" >removed 2>&1 || true
        wait "$pid" || { bad=1; cat pulled >&2; }
        dewar images -q >/dev/null || bad=1
    done
    same "$bad" 0
    dewar pull -q "$REGISTRY/a/b:1"
    seed_of "$REGISTRY/a/b:1"
    store_is_clean
}

@test "a prune amid a pull takes nothing away from it" {
    evil_images "{\"on\":\"blob_get\",\"match\":\"$LAYER\",\"delay\":1}"
    "$DEWAR" pull -q "$EVIL/a/b" >out 2>&1 3>&- &
    local pid=$!
    sleep 0.5
    # The first layers are here and unpacked, and no name leads to them yet.
    dewar system prune --force >/dev/null
    wait "$pid" || { cat out >&2; return 1; }
    same "$(layer_log .status)" 200
    seed_of "$EVIL/a/b"
    store_is_clean
}

@test "two images that share layers, pulled at the same time, share them" {
    registry_seed a/b:2 REGISTRY two
    local before first second
    before=$(layers_asked)
    "$DEWAR" pull -q "$REGISTRY/a/b:1" >first 2>&1 3>&- &
    first=$!
    "$DEWAR" pull -q "$REGISTRY/a/b:2" >second 2>&1 3>&- &
    second=$!
    wait "$first" || { cat first >&2; return 1; }
    wait "$second" || { cat second >&2; return 1; }
    same $(($(layers_asked) - before)) 3
    seed_of "$REGISTRY/a/b:1"
    same "$(dewar run --rm --network none "$REGISTRY/a/b:2")" two
    store_is_clean
}

@test "F1: a password reaches no file of the store, no command line and no environment" {
    evil_start "{\"images\":\"$BATS_FILE_TMPDIR/layout\",\"auth\":\"token\",\"rules\":[
        {\"on\":\"blob_get\",\"match\":\"$LAYER\",\"delay\":1}]}"
    local basic pid p
    basic=$(printf tester:Sesame-47-open | base64)
    mkdir docker
    printf '{"auths":{"%s":{"auth":"%s"}}}' "$EVIL" "$basic" >docker/config.json
    DOCKER_CONFIG=$WORK/docker "$DEWAR" pull "$EVIL/a/b" >out 2>&1 3>&- &
    pid=$!
    sleep 0.5
    for p in "$pid" $(pgrep -P "$pid"); do
        # Where the processes do not let us read their environment, nobody else can either.
        cat "/proc/$p/cmdline" "/proc/$p/environ" 2>/dev/null | tr '\0' '\n' >>said || true
    done
    grep -qx pull said
    wait "$pid" || { cat out >&2; return 1; }
    same "$(layer_log .status)" 200
    run grep -rlE "Sesame|$basic|good-pu" said out "$DEWAR_STORE" "$DEWAR_RUN"
    same "$output" ''
}

@test "a registry that is not there is an error at once, with its name" {
    SECONDS=0
    try dewar pull localhost:1/a/b
    fails 1 localhost:1
    err_has a/b
    [ "$SECONDS" -lt 5 ]
    same "$(dewar images -q)" ''
}

@test "what is here is not asked for again" {
    dewar pull -q "$REGISTRY/a/b:1"
    local before
    before=$(registry_requests '(GET|HEAD)' '/v2/a/b/blobs/[^ ]*')
    try dewar pull "$REGISTRY/a/b:1"
    ok
    has "up to date"
    same "$(registry_requests '(GET|HEAD)' '/v2/a/b/blobs/[^ ]*')" "$before"
}
