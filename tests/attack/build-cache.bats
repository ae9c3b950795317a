#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=attack,build
# Build caches from a place that lies, with digests that fit (A16 and the archives' own attacks): what
# comes out is right, or the cache is refused; nothing outside the store changes. Each with its legal
# twin: the same cache, written by other means and true.
load ../e2e/helpers

file_setup() {
    mkdir -p "$BATS_FILE_TMPDIR/canary"
    echo secret >"$BATS_FILE_TMPDIR/canary/file"
}
test_setup() {
    CANARY=$BATS_FILE_TMPDIR/canary
    export CANARY
    BEFORE=$(tree_hash "$CANARY")
    ctx
    echo two >b
    dockerfile <<'END'
FROM busybox:test
COPY b /b
RUN --mount=type=cache,target=/cache mkdir -p /cache; echo log >/cache/log; cat /b >/made
END
    fresh_store "$BATS_TEST_TMPDIR/one"
    import_image
    dewar build -q --iidfile "$WORK/iid" \
        --cache-to "type=local,dest=$WORK/cache,mode=max,mounts=true,compression=uncompressed" . >/dev/null
    GOOD=$(cat "$WORK/iid")
    fresh_store "$BATS_TEST_TMPDIR/two"
    import_image
}
test_teardown() {
    [ "$(tree_hash "$CANARY")" = "$BEFORE" ] || { echo "the canary changed" >&2; return 1; }
    remove_tree "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/two"
}
# forge PYTHON: edits the cache ($WORK/cache): `records` (the document), `m` (the manifest), archive(i)
# and put_archive(i, bytes, tidy); all digests and sizes are made to fit.
forge() {
    python3 - "$WORK/cache" "$1" <<'END'
import hashlib, io, json, os, sys, tarfile
top = sys.argv[1]
path = lambda d: os.path.join(top, "blobs/sha256", d.split(":")[1])
def put(data):
    d = "sha256:" + hashlib.sha256(data).hexdigest()
    with open(path(d), "wb") as f: f.write(data)
    return d
index = json.load(open(os.path.join(top, "index.json")))
m = json.load(open(path(index["manifests"][0]["digest"])))
records = json.load(open(path(m["config"]["digest"])))
mount = next(i for i, c in enumerate(records["content"]) if "mount" in c)
layers = [i for i, c in enumerate(records["content"]) if "diff_id" in c]
def archive(i): return open(path(m["layers"][i]["digest"]), "rb").read()
def put_archive(i, data):
    m["layers"][i].update(digest=put(data), size=len(data))
    if "diff_id" in records["content"][i]:
        old, new = records["content"][i]["diff_id"], hashlib.sha256(data).hexdigest()
        records["content"][i]["diff_id"] = new
        for s in records["steps"]:
            if s["diff_id"] == old: s["diff_id"] = new
def tar(*entries):
    out = io.BytesIO()
    t = tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT)
    for name, kind, arg in entries:
        i = tarfile.TarInfo(name)
        i.type, i.mode = kind, 0o755
        if kind == tarfile.REGTYPE: i.size = len(arg)
        elif arg: i.linkname = arg
        t.addfile(i, io.BytesIO(arg) if kind == tarfile.REGTYPE else None)
    t.close()
    return out.getvalue()
DIR, REG, SYM, LNK = tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
canary = os.environ["CANARY"]
exec(sys.argv[2])
data = json.dumps(records).encode()
m["config"].update(digest=put(data), size=len(data))
data = json.dumps(m).encode()
index["manifests"][0].update(digest=put(data), size=len(data))
json.dump(index, open(os.path.join(top, "index.json"), "w"))
END
}
# takes [arguments]: builds from the forged cache; the result is in $id, its files in $WORK/out.
takes() {
    rm -rf "$WORK/out"
    try dewar build --progress plain --iidfile "$WORK/iid" --cache-from "type=local,src=$WORK/cache,mounts=true" \
        "$@" -t result:1 .
    ok
    id=$(cat "$WORK/iid")
}
right() { same "$id" "$GOOD" && dewar system check >/dev/null; }
cached() { same "$(grep -c '^#[0-9]* CACHED' <<<"$stderr")" 3; }

@test "the twin: a cache that was taken apart and put together again is used" {
    forge pass
    takes
    cached
    right
    forge 'put_archive(mount, tar(("data", DIR, None), ("data/log", REG, b"log\n"), ("seen", REG, b"")))'
    fresh_store "$BATS_TEST_TMPDIR/three" && import_image
    takes
    cached
    takes --no-cache
    [[ $stderr != *"not taken"* ]]
    remove_tree "$BATS_TEST_TMPDIR/three"
}

@test "a layer that names another diff id is unpacked as what it is, and found out" {
    forge 'a, b = layers[0], layers[1]
x = m["layers"][a]; m["layers"][a] = m["layers"][b]; m["layers"][b] = x'
    takes
    err_has "is damaged"
    right
}

@test "archives of layers lead nowhere but into the layer" {
    local evil
    for evil in '("../../../escape", REG, b"x")' '("/escape", REG, b"x")' \
        '("l", SYM, canary), ("l/file", REG, b"evil")' '("h", LNK, canary + "/file")' \
        '("d", SYM, "/"), ("d/escape", REG, b"x")' '("a/../../b", REG, b"x")'; do
        rm -rf "$WORK/saved" && cp -r "$WORK/cache" "$WORK/saved"
        forge "put_archive(layers[0], tar($evil))"
        try dewar build -q --cache-from "type=local,src=$WORK/cache" -t "result:1" .
        # Either it is refused and built here, or it is a layer like any other: a container's own affair.
        ok
        dewar system check >/dev/null
        rm -rf "$WORK/cache" && mv "$WORK/saved" "$WORK/cache"
    done
    [ ! -e "$WORK/escape" ] && [ ! -e /escape ] || return 1
}

@test "archives of cache mounts lead nowhere but into the mount" {
    local evil n=0
    for evil in '("data", SYM, canary)' '("data", DIR, None), ("../escape", REG, b"x")' \
        '("data", DIR, None), ("/data/x", REG, b"x")' '("data", DIR, None), ("data/../../../x", REG, b"x")' \
        '("seen", REG, b"x")' '("data", REG, b"x")' \
        '("data", DIR, None), ("data/h", LNK, canary + "/file")' \
        '("data", DIR, None), ("data/l", SYM, canary), ("data/l/file", REG, b"evil")' \
        '("data", DIR, None), ("data/dev", tarfile.CHRTYPE, None)'; do
        n=$((n + 1))
        fresh_store "$BATS_TEST_TMPDIR/m$n" && import_image
        forge "put_archive(mount, tar($evil))"
        takes --no-cache
        err_has "the cache mount '/cache' is not taken from folder"
        right
        store_is_clean
        remove_tree "$BATS_TEST_TMPDIR/m$n"
    done
    # A list of files that is a link out: the mount comes, the list does not.
    fresh_store "$BATS_TEST_TMPDIR/seen" && import_image
    forge 'put_archive(mount, tar(("data", DIR, None), ("seen", SYM, canary + "/file")))'
    takes --no-cache
    [[ $stderr != *"not taken"* ]]
    right
    remove_tree "$BATS_TEST_TMPDIR/seen"
}

@test "paths in records stay inside the image" {
    touch -d @1000000000 "$CANARY/file" # what is reached would be touched
    forge 'for s in records["steps"]: s["copied"] = ["../../../.." + canary + "/file\t" + "0" * 64, canary + "/file\t" + "0" * 64]'
    takes --timestamp 1000000000
    takes
    right
    # A step that runs on it touches what COPY is said to have brought.
    echo 'RUN --mount=type=cache,target=/cache cat /b' >>Dockerfile
    takes
    takes --timestamp 1000000000
    same "$(dewar run --rm --network none result:1 cat /made)" two
    same "$(stat -c %Y "$CANARY/file")" 1000000000
}

@test "records that do not fit are refused as a whole, and the build goes on" {
    local evil
    for evil in 'records["steps"][0]["key"] = "../../../x"' 'records["steps"][0]["diff_id"] = "../x"' \
        'records["steps"] = {"x": 1}' 'records["content"].pop()' 'records["version"] = 9' \
        'records["sources"] = [{"key": "0" * 64, "hash": "x" * 64}]' 'm["layers"] = m["layers"] * 300' \
        'm["layers"][0]["size"] = -1' 'm["layers"][0]["digest"] = "sha256:../../x"' \
        'm["manifests"] = []'; do
        rm -rf "$WORK/saved" && cp -r "$WORK/cache" "$WORK/saved"
        forge "$evil"
        takes --no-cache-filter none
        err_has "is not used"
        right
        rm -rf "$WORK/cache" && mv "$WORK/saved" "$WORK/cache"
        # What was built counts as known from here on: begin anew.
        remove_tree "$BATS_TEST_TMPDIR/two"
        import_image
    done
    # The size of a layer is what the folder says, not what the records promise.
    forge 'm["layers"][layers[0]]["size"] = 1 << 60'
    takes
    err_has "lacks the layer"
    right
}

@test "a record counts in builds that name its place, and later only where it was used" {
    # The step's key leads to another layer: that is a lie nobody can see through.
    forge 'put_archive(layers[1], tar(("made", REG, b"poison\n")))'
    dewar build -q -t plain:1 . >/dev/null # the place is not named
    same "$(dewar inspect --format '{{.Id}}' plain:1)" "$GOOD"
    # Nor does it count for a step that the store knows already.
    takes
    right
    # A named place is believed: this is what naming it means.
    fresh_store "$BATS_TEST_TMPDIR/four" && import_image
    takes
    same "$(dewar run --rm --network none result:1 cat /made)" poison
    # Steps of other builds are not touched by it.
    echo three >b
    try dewar build -q -t other:1 .
    ok
    same "$(dewar run --rm --network none other:1 cat /made)" three
    remove_tree "$BATS_TEST_TMPDIR/four"
}
