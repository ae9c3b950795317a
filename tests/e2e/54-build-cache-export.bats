# SPDX-License-Identifier: Apache-2.0
# The build cache leaves the store and comes back: what one store built, another takes over. A cache is
# a convenience: whatever is wrong with it, the result is the right one.
load helpers
load registry

file_setup() { registry_start; }
test_setup() {
    ctx
    echo one >a
    echo two >b
    dockerfile <<'END'
FROM busybox:test AS tools
COPY a /a
RUN echo tool >/tool && head -c 200000 /dev/urandom >/noise
FROM busybox:test
COPY b /b
RUN --mount=from=tools,source=/tool,target=/t cat /t /b >/made
COPY --from=tools /tool /tool
RUN wc -c </made >/size
WORKDIR /w
END
}
# at NAME command...: with another store, which has the base image.
at() {
    local store=$BATS_TEST_TMPDIR/$1
    shift
    if [ ! -e "$store/ready" ]; then
        mkdir -p "$store"
        (fresh_store "$store" && import_image)
        touch "$store/ready"
    fi
    DEWAR_STORE=$store/store DEWAR_RUN=$store/run "$@"
}
# builds NAME [arguments]: builds ctx there; $ran and $hit count steps, $id is the image's.
builds() {
    local name=$1
    shift
    try at "$name" "$DEWAR" build --progress plain --iidfile "$WORK/iid" --metadata-file "$WORK/meta" "$@" .
    ok
    id=$(cat "$WORK/iid")
    hit=$(grep -c '^#[0-9]* CACHED' <<<"$stderr" || :)
    ran=$(grep -c '^#[0-9]* DONE' <<<"$stderr" || :)
}
blobs() { find "$WORK/cache/blobs/sha256" -type f; }
layer_count() { find "$BATS_TEST_TMPDIR/$1/store/layers" -mindepth 2 -maxdepth 2 | wc -l; }

@test "a local cache brings every step to an empty store, and the same image" {
    builds one --cache-to "type=local,dest=$WORK/cache,mode=max"
    first=$id
    same "$ran" 7
    builds two --cache-from "type=local,src=$WORK/cache"
    same "$id" "$first"
    same "$ran" 0
    # What it made is whole, and the layers of the stage that nothing needs stayed where they were.
    at two "$DEWAR" system check
    same "$(at two "$DEWAR" run --rm --network none "$id" cat /size)" 9
    same "$(layer_count two)" "$(($(layer_count one) - 2))"
    # It is remembered here as well; the stage whose files never came runs again.
    builds two
    same "$ran $id" "2 $first"
}

@test "mode=min carries the result's layers only, mode=max those of other stages too" {
    builds one --cache-to "type=local,dest=$WORK/cache" --cache-to "type=local,dest=$WORK/all,mode=max"
    first=$id
    # The stage `tools` need not run where nothing has changed, although its layer was left behind.
    builds min --cache-from "type=local,src=$WORK/cache"
    same "$ran $id" "0 $first"
    at min "$DEWAR" system check
    same "$(at min "$DEWAR" run --rm --network none "$id" cat /made)" $'tool\ntwo'
    # What is remembered of it here does no harm without the cache.
    builds min
    same "$id" "$first"
    builds max --cache-from "type=local,src=$WORK/all"
    same "$ran $id" "0 $first"
    same "$(find "$WORK/all" -type f -size +100k | wc -l)" 1
    same "$(find "$WORK/cache" -type f -size +100k | wc -l)" 0
}

@test "where something must run, a stage whose layer was left behind runs as well, and nothing runs twice" {
    builds one --cache-to "type=local,dest=$WORK/cache"
    echo three >b
    builds two --cache-from "type=local,src=$WORK/cache"
    same "$(at two "$DEWAR" run --rm --network none "$id" cat /made)" $'tool\nthree'
    # Two of the stage that lends files, five above the changed one.
    same "$ran" 7
    same "$(grep -c '^#[0-9]* .*FAILED\|ERROR' <<<"$stderr" || :)" 0
    # Behind the last file that it lends, it stays out of it.
    sed -i 's/^WORKDIR .*/RUN echo end >\/end/' Dockerfile
    echo two >b
    builds five --cache-from "type=local,src=$WORK/cache"
    same "$ran" 1
    sed -i 's/^RUN echo end.*/WORKDIR \/w/' Dockerfile
    # When a step between two loans must run, it is known before that step runs.
    sed -i 's/^COPY --from=tools.*/RUN echo middle >>\/middle\n&/' Dockerfile
    builds six --cache-from "type=local,src=$WORK/cache"
    same "$(grep -c '^#[0-9]* .*RUN echo middle' <<<"$stderr")" 1
    same "$ran" 6
    same "$(at six "$DEWAR" run --rm --network none "$id" cat /middle)" middle
    sed -i '/middle/d' Dockerfile
    # The stage itself as the target.
    builds three --target tools --cache-from "type=local,src=$WORK/cache"
    same "$ran" 2
    # From an image, where only its own layers are.
    sed -i 's/ && head -c .*//' Dockerfile
    builds one -t "$REGISTRY/min/inline:1" --push --cache-to type=inline
    first=$id
    builds four --cache-from "$REGISTRY/min/inline:1"
    same "$ran $id" "0 $first"
}

@test "a changed file misses from there on, and fetches what it stands on" {
    builds one --cache-to "type=local,dest=$WORK/cache,mode=max"
    echo three >b
    builds two --cache-from "type=local,src=$WORK/cache"
    # COPY b and what is above; the other stage hits, and its files come for the mount.
    same "$ran" 5
    [ "$hit" -ge 4 ]
    same "$(at two "$DEWAR" run --rm --network none "$id" cat /made)" $'tool\nthree'
    fresh=$id
    builds three --no-cache-filter none
    touch b
    builds two --cache-from "type=local,src=$WORK/cache"
    same "$ran $id" "0 $fresh"
}

@test "root's cache serves a user and a user's cache root" {
    need_root
    [ -n "${OTHER_ID:-}" ] || skip "needs a second user with ranges"
    builds one --cache-to "type=local,dest=$WORK/cache,mode=max"
    first=$id
    chmod -R a+rX "$WORK" "$BATS_TEST_TMPDIR"
    cp -r "$WORK/ctx" "$BATS_TEST_TMPDIR/ctx"
    chmod -R a+rX "$BATS_TEST_TMPDIR/ctx"
    local tar=$BATS_RUN_TMPDIR/rootfs-0.tar
    chmod a+r "$tar"
    try as_other bash -c 'cd "$1" && export DEWAR_STORE=$HOME/s DEWAR_RUN=$HOME/r &&
        "$2" image import "$3" busybox:test >/dev/null &&
        "$2" build --progress plain --cache-from "type=local,src=$4" --cache-to "type=local,dest=$HOME/back,mode=max" \
            --iidfile "$HOME/iid" . && cat "$HOME/iid" && echo && echo "$HOME"' \
        _ "$BATS_TEST_TMPDIR/ctx" "$DEWAR" "$tar" "$WORK/cache"
    ok
    same "${lines[0]}" "$first"
    same "$(grep -c '^#[0-9]* DONE' <<<"$stderr" || :)" 0
    # And back: what the user wrote is the same cache, to the byte.
    diff -r "$WORK/cache" "${lines[1]}/back"
    builds two --cache-from "type=local,src=${lines[1]}/back"
    same "$ran $id" "0 $first"
}

@test "the same build writes the same cache, whatever was there before" {
    builds one --cache-to "type=local,dest=$WORK/cache,mode=max"
    cp -r "$WORK/cache" "$WORK/first"
    builds one --cache-to "type=local,dest=$WORK/cache,mode=max" # all hits
    diff -r "$WORK/first" "$WORK/cache"
    # From another place, without its layers in the store.
    builds two --cache-from "type=local,src=$WORK/first" --cache-to "type=local,dest=$WORK/cache2,mode=max"
    diff -r "$WORK/first" "$WORK/cache2"
    # In place: what is no longer named goes away.
    echo four >b
    builds one --cache-from "type=local,src=$WORK/cache" --cache-to "type=local,dest=$WORK/cache,mode=max"
    [ "$(blobs | wc -l)" = "$(find "$WORK/first/blobs" -type f | wc -l)" ]
    differ "$(cat "$WORK/cache/index.json")" "$(cat "$WORK/first/index.json")"
    builds three --cache-from "type=local,src=$WORK/cache"
    same "$ran" 0
}

@test "each compression is read back" {
    local c
    builds one
    first=$id
    for c in gzip zstd uncompressed; do
        builds one --cache-to "type=local,dest=$WORK/$c,mode=max,compression=$c"
        builds "$c" --cache-from "type=local,src=$WORK/$c"
        same "$ran $id" "0 $first"
    done
    grep -q 'tar+gzip' "$WORK"/gzip/blobs/sha256/*
    grep -q 'tar+zstd' "$WORK"/zstd/blobs/sha256/*
}

@test "a damaged archive is a warning, and its step runs again" {
    builds one --cache-to "type=local,dest=$WORK/cache,mode=max"
    first=$id
    # The layer of the last RUN: flip a byte in the middle, cut it, take it away, put another in its place.
    local how f n=0
    for how in flip cut gone other; do
        n=$((n + 1))
        rm -rf "$WORK/bad"
        cp -r "$WORK/cache" "$WORK/bad"
        for f in "$WORK"/bad/blobs/sha256/*; do
            [ "$(head -c 4 "$f" | od -An -tx1 | tr -d ' ')" = 28b52ffd ] || continue
            case $how in
            flip) printf '\377' | dd of="$f" bs=1 seek=$(($(stat -c %s "$f") / 2)) conv=notrunc status=none ;;
            cut) truncate -s -3 "$f" ;;
            gone) rm "$f" ;;
            other) printf 'nonsense' | zstd -q >"$f.new" && mv "$f.new" "$f" ;;
            esac
        done
        builds "bad$n" --cache-from "type=local,src=$WORK/bad"
        err_has "build cache in folder '$WORK/bad'"
        # `noise` is another one each time: compare what does not hang on it.
        same "$(at "bad$n" "$DEWAR" run --rm --network none "$id" cat /made /size)" $'tool\ntwo\n9'
        same "$id" "$first"
        [ "$ran" -ge 4 ]
        at "bad$n" "$DEWAR" system check
    done
}

@test "one damaged layer costs its step and no more" {
    builds one --cache-to "type=local,dest=$WORK/cache,mode=max,compression=uncompressed"
    first=$id
    local f n=0
    for f in "$WORK"/cache/blobs/sha256/*; do
        [ "$(tar -tf "$f" 2>/dev/null)" = size ] || continue
        n=$((n + 1))
        printf X | dd of="$f" bs=1 seek=512 conv=notrunc status=none
    done
    same "$n" 1
    builds two --cache-from "type=local,src=$WORK/cache"
    err_has "is damaged"
    same "$ran $id" "1 $first"
}

@test "damaged records, foreign folders and nothing at all are misses" {
    builds one --cache-to "type=local,dest=$WORK/cache,mode=max"
    first=$id
    local records f
    records=$(grep -l '"steps"' "$WORK"/cache/blobs/sha256/*)
    # bad COMMAND: breaks a copy and builds with it.
    bad() {
        rm -rf "$WORK/bad"
        cp -r "$WORK/cache" "$WORK/bad"
        f=$WORK/bad/blobs/sha256/${records##*/}
        (cd "$WORK/bad" && eval "$1")
        n=$((${n:-0} + 1))
        builds "r$n" --cache-from "type=local,src=$WORK/bad"
        same "$ran" 7
    }
    bad 'sed -i s/version/Version/ "$f"' && err_has "is damaged"
    bad 'rm "$f"' && err_has "is not used"
    bad 'echo "{}" >index.json' && err_has "is not used"
    bad 'echo "{\"schemaVersion\":2,\"manifests\":[]}" >index.json' && err_has "does not name one build cache"
    bad 'rm index.json' && err_has "no build cache in"
    bad 'rm -r ./*' && err_has "no build cache in"
    bad 'rm index.json; mkfifo index.json' && err_has "is not used"
    ln -sf "$WORK/cache/index.json" "$WORK/escape" # leads out of the folder
    bad 'ln -sf ../escape index.json' && err_has "no build cache in"
    # A real image is no cache.
    at one "$DEWAR" save --format oci-dir -o "$WORK/image" busybox:test
    builds none --cache-from "type=local,src=$WORK/image"
    err_has "it holds no build cache of dewar"
    same "$ran" 7
    # Nor is a cache of BuildKit, which is said.
    mkdir -p "$WORK/kit/blobs/sha256"
    printf '{"schemaVersion":2,"mediaType":"%s","manifests":[{"mediaType":"application/vnd.buildkit.cacheconfig.v0","digest":"sha256:%064d","size":2}]}' \
        application/vnd.oci.image.index.v1+json 0 >"$WORK/kit/doc"
    sum=$(sha256sum <"$WORK/kit/doc")
    size=$(stat -c %s "$WORK/kit/doc")
    mv "$WORK/kit/doc" "$WORK/kit/blobs/sha256/${sum%% *}"
    printf '{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:%s","size":%s}]}' \
        "${sum%% *}" "$size" >"$WORK/kit/index.json"
    builds kit --cache-from "type=local,src=$WORK/kit"
    err_has "it was written by BuildKit"
    same "$ran" 7
    builds none2 --cache-from "type=local,src=$WORK/absent" --cache-from nosuch.invalid/x/y:z
    err_has "no build cache in folder '$WORK/absent' yet"
    same "$ran" 7
}

# forged KEYS...: a cache whose records name a layer of our own for every key of the real one.
@test "a record that lies about its layer is found out when the layer is unpacked" {
    builds one --cache-to "type=local,dest=$WORK/cache,mode=max,compression=uncompressed"
    first=$id
    # The archive of one layer under the digest of another, sizes and digests made to fit: only the
    # diff id gives it away.
    python3 - "$WORK/cache" <<'END'
import sys, os, json, hashlib
top = sys.argv[1]
def blob(d): return os.path.join(top, "blobs/sha256", d.split(":")[1])
def put(data):
    d = "sha256:" + hashlib.sha256(data).hexdigest()
    open(blob(d), "wb").write(data)
    return d, len(data)
index = json.load(open(os.path.join(top, "index.json")))
m = json.load(open(blob(index["manifests"][0]["digest"])))
evil, size = put(open(blob(m["layers"][0]["digest"]), "rb").read())
for l in m["layers"]:
    l["digest"], l["size"] = evil, size
d, n = put(json.dumps(m).encode())
index["manifests"][0].update(digest=d, size=n)
json.dump(index, open(os.path.join(top, "index.json"), "w"))
END
    builds two --cache-from "type=local,src=$WORK/cache"
    err_has "is damaged"
    same "$id" "$first"
    at two "$DEWAR" system check
}

@test "two sources fill each other's gaps, and a broken one does not spoil the other" {
    builds one --target tools --cache-to "type=local,dest=$WORK/tools,mode=max"
    builds one --cache-to "type=local,dest=$WORK/rest"
    first=$id
    builds two --cache-from "type=local,src=$WORK/tools" --cache-from "type=local,src=$WORK/rest"
    same "$ran $id" "0 $first"
    echo '{' >"$WORK/rest/index.json"
    builds three --cache-from "type=local,src=$WORK/rest" --cache-from "type=local,src=$WORK/tools"
    err_has "is not used"
    same "$ran" 5
    same "$hit" 4
}

@test "inline: the records travel in the manifest, and the image ID does not change" {
    builds one -t app:1
    plain=$id
    digest() { grep -o '"containerimage.digest": "[^"]*' "$WORK/meta"; }
    without=$(digest)
    builds one -t app:2 --cache-to type=inline
    same "$id" "$plain"
    with=$(digest)
    differ "$with" "$without"
    builds one -t app:3 --cache-to type=inline
    same "$(digest)" "$with"
    at one "$DEWAR" save -o "$WORK/app.tar" app:2
    at two "$DEWAR" load -q -i "$WORK/app.tar"
    builds two --cache-from app:2
    same "$id" "$plain"
    # The other stage is not in the image, but nobody needs its files.
    same "$ran" 0
    # Recompressing keeps the records.
    at one "$DEWAR" save --compress gzip -o "$WORK/small.tar" app:2
    at three "$DEWAR" load -q -i "$WORK/small.tar"
    builds three --cache-from app:2
    same "$ran $id" "0 $plain"
    # An image without records is none.
    at four "$DEWAR" image tag busybox:test other:1
    builds four --cache-from other:1
    same "$ran" 7
    err_has "the image in the store holds no build cache"
}

@test "a registry carries the cache, and only what is needed is fetched" {
    local ref=$REGISTRY/cache/app:max
    builds one --cache-to "type=registry,ref=$ref,mode=max"
    first=$id
    before=$(registry_requests GET "/v2/cache/app/blobs/[^ ]*")
    builds two --cache-from "type=registry,ref=$ref"
    same "$ran $id" "0 $first"
    at two "$DEWAR" system check
    # The records and the five layers of the result; not the two of the other stage.
    same "$(($(registry_requests GET "/v2/cache/app/blobs/[^ ]*") - before))" 6
    # The same again sends nothing but the manifest.
    before=$(registry_requests POST "/v2/cache/app/blobs/[^ ]*")
    builds one --cache-to "type=registry,ref=$ref,mode=max"
    same "$(registry_requests POST "/v2/cache/app/blobs/[^ ]*")" "$before"
    # From one place to another, with layers that were never unpacked here.
    builds two --cache-from "type=registry,ref=$ref" --cache-to "type=registry,ref=$REGISTRY/cache/copy:1,mode=max" \
        --cache-to "type=local,dest=$WORK/copy,mode=max"
    same "$ran" 0
    builds three --cache-from "type=registry,ref=$REGISTRY/cache/copy:1"
    same "$ran $id" "0 $first"
    builds four --cache-from "type=local,src=$WORK/copy"
    same "$ran $id" "0 $first"
    echo three >b
    builds five --cache-from "$ref"
    same "$ran" 5
}

@test "skopeo carries a cache from a folder into a registry" {
    need_program skopeo
    builds one --cache-to "type=local,dest=$WORK/cache,mode=max"
    first=$id
    skopeo copy -q --insecure-policy --dest-tls-verify=false "oci:$WORK/cache" "docker://$REGISTRY/by/skopeo:1"
    builds two --cache-from "$REGISTRY/by/skopeo:1"
    same "$ran $id" "0 $first"
}

@test "layers go to a registry side by side, and one that fails ends the export" {
    evil_start '{"rules":[{"on":"upload_post","delay":1}]}'
    builds one --cache-to "type=registry,ref=$EVIL/c/slow:1,mode=max"
    jq -r 'select(.kind == "upload_post") | .time' "$EVIL_LOG" | sort -n >times
    [ "$(wc -l <times)" -ge 7 ]
    # One after the other it would be a second for each.
    awk 'NR == 1 { first = $1 } END { exit !($1 - first < NR - 3) }' times
    builds two --cache-from "$EVIL/c/slow:1"
    same "$ran" 0
    evil_start '{"rules":[{"on":"upload_post","after":3,"status":403}]}'
    try at one "$DEWAR" build --cache-to "type=registry,ref=$EVIL/c/half:1,mode=max" .
    fails 1 "writing the build cache to '$EVIL/c/half:1'"
    err_has "403"
    err_has "blob sha256:"
    same "$(jq -r 'select(.kind == "manifest_put") | .path' "$EVIL_LOG")" ''
    at one "$DEWAR" build -q --cache-to "type=registry,ref=$EVIL/c/half:1,mode=max,ignore-error=true" .
}

@test "BuildKit's forms of --output push as well" {
    local name=$REGISTRY/app/output
    builds one -o "type=image,\"name=$name:1,$name:2\",push=true,compression=zstd"
    err_has "named $name:2"
    same "$(grep -o '"image.name": "[^"]*' "$WORK/meta" | cut -d'"' -f4)" "$name:1,$name:2"
    [[ $(at one "$DEWAR" image inspect --raw "docker://$name:2") == *tar+zstd* ]]
    at two "$DEWAR" pull -q "$name:1"
    same "$(at two "$DEWAR" image inspect -f '{{.Id}}' "$name:1")" "$id"
    builds one -t "$name:3" --output type=registry
    at two "$DEWAR" pull -q "$name:3"
    builds one -o "type=image,name=$name:4"
    try at two "$DEWAR" pull -q "$name:4"
    fails 1 "404"
    try at one "$DEWAR" build -o type=registry .
    fails 1 "the image has no name"
    try at one "$DEWAR" build --check-repro -t "$name:5" -o type=registry .
    fails 1 "--check-repro does not push"
}

@test "--push sends every name, tells the digest, and an inline cache goes along" {
    need_program skopeo
    local name=$REGISTRY/app/inline
    sed -i 's/ && head -c .*//' Dockerfile # no noise: both stores must make the same
    builds one -t "$name:1" -t "$name:2" --push --cache-to type=inline
    first=$id
    digest=$(grep -o '"containerimage.digest": "[^"]*' "$WORK/meta" | cut -d'"' -f4)
    same "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$name:1")" "$digest"
    same "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$name:2")" "$digest"
    # The same as building, then pushing.
    builds other -t "$name:3" --cache-to type=inline --cache-from "$name:1"
    try at other "$DEWAR" push "$name:3"
    ok
    same "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$name:3")" "$digest"
    builds two --cache-from "$name:1"
    same "$ran $id" "0 $first"
    # Pulled into the store it serves from there.
    at three "$DEWAR" pull -q "$name:1"
    builds three --cache-from "$name:1"
    same "$ran $id" "0 $first"
    try at one "$DEWAR" build --push .
    fails 1 "--push: the image has no name"
    try at one "$DEWAR" build --push -t "$name:9" -o out .
    fails 1 "--push: the result is no image"
    try at one "$DEWAR" build --push -t "localhost:1/x:1" .
    fails 1 "pushing 'localhost:1/x:1'"
    # Without a cache it is a plain image.
    builds one -t "$name:plain" --push
    same "$(skopeo inspect --raw --tls-verify=false "docker://$name:plain" | grep -c dev.dewar)" 0
}

@test "a registry that has no cache, cannot be reached or lies is no hindrance" {
    builds one --cache-from "$REGISTRY/never/pushed:1"
    err_has "no build cache in '$REGISTRY/never/pushed:1' yet"
    builds two --cache-from "type=registry,ref=localhost:1/x/y:1"
    err_has "the build cache in 'localhost:1/x/y:1' is not used"
    same "$ran" 7
    local ref=$REGISTRY/cache/lies:1 f n=0
    builds one --cache-to "type=registry,ref=$ref,mode=max,compression=uncompressed"
    first=$id
    # The registry's own files: every layer changes a byte.
    while read -r f; do
        tar -tf "$f" >/dev/null 2>&1 || continue
        printf X | dd of="$f" bs=1 seek=514 conv=notrunc status=none
        n=$((n + 1))
    done < <(find "$REGISTRY_DIR" -name data -size -200k -newer "$WORK/meta")
    [ "$n" -ge 3 ]
    builds three --cache-from "type=registry,ref=$ref"
    err_has "the build cache in '$ref' is damaged"
    same "$id" "$first"
    at three "$DEWAR" system check
    try at one "$DEWAR" build --cache-to "type=registry,ref=localhost:1/x/y:1" .
    fails 1 "writing the build cache to 'localhost:1/x/y:1'"
    builds one --cache-to "type=registry,ref=localhost:1/x/y:1,ignore-error=true"
    err_has "the build cache was not written to 'localhost:1/x/y:1'"
}

@test "cache mounts go along when asked for" {
    dockerfile <<'END'
FROM busybox:test
RUN --mount=type=cache,target=/cache echo first >>/cache/log; mkdir -p /cache/.wh.d; touch /cache/.wh.d/f
END
    builds one --cache-to "type=local,dest=$WORK/with,mounts=true" --cache-to "type=local,dest=$WORK/without"
    dockerfile <<'END'
FROM busybox:test
RUN --mount=type=cache,target=/cache echo second >>/cache/log; cat /cache/log; ls -a /cache
END
    builds a --cache-from "type=local,src=$WORK/with,mounts=true"
    err_has first
    err_has .wh.d
    builds b --cache-from "type=local,src=$WORK/with"
    [[ $stderr != *first* ]]
    builds c --cache-from "type=local,src=$WORK/without,mounts=true"
    [[ $stderr != *first* ]]
    # What is here already stays.
    builds one --no-cache --cache-from "type=local,src=$WORK/with,mounts=true"
    same "$(grep -c ' first' <<<"$stderr")" 1
    # A changed byte of content, which no format of archives would notice.
    builds one --cache-to "type=local,dest=$WORK/plain,mounts=true,compression=uncompressed"
    f=$(grep -la data/log "$WORK"/plain/blobs/sha256/*)
    size=$(stat -c %s "$f")
    LC_ALL=C sed -i 's/^second$/sEcond/' "$f"
    grep -qa '^sEcond$' "$f"
    same "$(stat -c %s "$f")" "$size"
    builds d --no-cache --cache-from "type=local,src=$WORK/plain,mounts=true"
    err_has "the cache mount '/cache' is not taken from folder"
    [[ $stderr != *sEcond* && $stderr != *first* ]]
}

@test "a wrong type, key or value is one clear error" {
    bad() {
        try dewar build "$1" "$2" .
        fails "${4:-1}" "$3"
    }
    bad --cache-to type=gha "the type 'gha' is not supported"
    bad --cache-to type=nonsense "the type is not known"
    err_has "types are: inline, registry, local"
    bad --cache-to mode=max "the type is not known"
    bad --cache-to type=local "names no folder"
    err_has "add dest=FOLDER"
    bad --cache-from type=local,dest=x "type=local has no key 'dest'"
    err_has "it takes: src, mounts"
    bad --cache-from type=inline "is read by its name"
    bad --cache-to type=registry "names no image"
    bad --cache-to type=registry,ref=x/UPPER "--cache-to"
    bad --cache-to type=local,dest=x,mode=most "mode cannot be 'most'"
    err_has "it takes: min, max"
    bad --cache-to type=local,dest=x,dest=y "dest is given twice"
    bad --cache-to type=inline,mode=max "an image holds no layers of other stages"
    bad --cache-to type=local,dest=x,compression-level=99 "cannot be '99'"
    try dewar build --cache-to type=inline -o out .
    fails 1 "the result is no image"
    [ ! -e out ]
}

@test "somebody's folder is not taken for a cache" {
    mkdir -p "$WORK/mine"
    echo precious >"$WORK/mine/file"
    try dewar build --cache-to "type=local,dest=$WORK/mine" .
    fails 1 "holds something other than a build cache"
    dewar save --format oci-dir -o "$WORK/image" "$IMG"
    before=$(tree_hash "$WORK/image")
    try dewar build --cache-to "type=local,dest=$WORK/image" .
    fails 1 "holds something other than a build cache"
    same "$(tree_hash "$WORK/image")" "$before"
    echo x >"$WORK/file"
    try dewar build --cache-to "type=local,dest=$WORK/file" .
    fails 1 "writing the build cache to folder '$WORK/file'"
    try dewar build --cache-to "type=local,dest=$WORK/file,ignore-error=true" .
    ok
    err_has "the build cache was not written"
    # A link out of the folder is not followed.
    mkdir -p "$WORK/link" "$WORK/target"
    ln -s "$WORK/target" "$WORK/link/blobs"
    try dewar build --cache-to "type=local,dest=$WORK/link" .
    same "$(find "$WORK/target" -mindepth 1 | wc -l)" 0
}

@test "a full disk is said, the old cache stays, and no rubbish" {
    need_root
    need_kernel "a tmpfs" mount -t tmpfs -o size=64k none "$WORK"
    umount "$WORK" 2>/dev/null || :
    ctx
    mkdir "$WORK/small"
    mount -t tmpfs -o size=400k none "$WORK/small"
    builds one --cache-to "type=local,dest=$WORK/small/c,mode=max"
    before=$(tree_hash "$WORK/small/c")
    printf 'FROM busybox:test\nRUN head -c 2000000 /dev/urandom >/big\n' >Dockerfile
    try at one "$DEWAR" build --cache-to "type=local,dest=$WORK/small/c" .
    fails 1 ENOSPC
    err_has "writing the build cache to folder"
    same "$(tree_hash "$WORK/small/c")" "$before"
    umount "$WORK/small"
}

@test "a killed export leaves the old cache, and the next one cleans up" {
    builds one --cache-to "type=local,dest=$WORK/cache,mode=max"
    printf 'FROM busybox:test\nRUN head -c 30000000 /dev/urandom >/big\n' >Dockerfile
    at one "$DEWAR" build -q . >/dev/null
    local i pid
    for i in 0.02 0.05 0.1 0.2; do
        cp "$WORK/cache/index.json" "$WORK/before"
        at one "$DEWAR" build -q --cache-to "type=local,dest=$WORK/cache,compression=gzip" . >/dev/null 2>&1 3>&- &
        pid=$!
        sleep "$i"
        kill -9 "$pid" 2>/dev/null || :
        wait "$pid" 2>/dev/null || :
        if cmp -s "$WORK/cache/index.json" "$WORK/before"; then
            at "k$i" "$DEWAR" build -q --cache-from "type=local,src=$WORK/cache" . >/dev/null
        fi
    done
    builds one --cache-to "type=local,dest=$WORK/cache"
    same "$(find "$WORK/cache" -name '.tmp-*' | wc -l)" 0
    same "$(blobs | wc -l)" 3
}
