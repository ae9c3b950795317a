#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=attack
# What an artifact says about names of files (B11): titles, names of images, paths in an archive's
# list; and folders and files that somebody prepared with links before something is written there. Each
# with its legal twin.
load ../e2e/helpers

artifact() { "$TESTS_DIR/tools/artifact.py" "$@"; }
copy() { dewar image copy -q "$@" >/dev/null; }
file_setup() {
    mkdir -p "$BATS_FILE_TMPDIR/canary"
    echo secret >"$BATS_FILE_TMPDIR/canary/file"
}
test_setup() {
    need_program python3
    CANARY=$BATS_FILE_TMPDIR/canary
    BEFORE=$(tree_hash "$CANARY")
}
test_teardown() {
    [ "$(tree_hash "$CANARY")" = "$BEFORE" ] || { echo "the canary changed" >&2; return 1; }
    [ -z "$(find "$BATS_TEST_TMPDIR" "$DEWAR_STORE" -name written)" ] || { echo "a file was written" >&2; return 1; }
}

@test "B11: the title of an artifact's file is no path; twin: an image whose layers have titles" {
    for title in ../../written "$CANARY/written" /written blobs/../../written; do
        rm -rf art two flat two.tar
        artifact artifact art "$title"
        try dewar image copy oci:art:1 store:art:1
        fails 1 "config"
        try dewar load -i <(tar -C art -c .)
        fails 1 "config"
        # A copy of it is a copy: the same bytes under their digests, the title unread.
        copy oci:art:1 oci:two:1
        copy oci:art:1 dir:flat
        same "$(find art/blobs -type f -printf '%f\n' | sort)" "$(find two/blobs -type f -printf '%f\n' | sort)"
        same "$(find flat -type f | wc -l)" 4
    done
    copy $IMG oci:image:1
    artifact titles image ../../written
    copy oci:image:1 store:titled:1
    same "$(dewar run --rm -q --network none titled:1 echo runs)" runs
    copy oci:image:1 oci:again:1
    grep -qF '"../../written"' again/blobs/sha256/"$(jq -r '.manifests[0].digest' again/index.json | cut -d: -f2)"
}

@test "B11: a name that an archive gives its image leads nowhere; twin: a plain name" {
    copy $IMG oci:image:1
    for name in ../../../written "$CANARY/written:1" a/../../written:1 evil:../../written; do
        artifact name image "$name"
        try dewar load -i <(tar -C image -c .)
        fails 1 "invalid reference"
    done
    same "$(dewar images -q | sort -u | wc -l)" 1
    artifact name image plain:1
    try dewar load -i <(tar -C image -c .)
    ok && has "Loaded image: plain:1" || return 1
    dewar rmi plain:1 >/dev/null
}

@test "B11: an archive's list names its own files only; twin: a layer that is a link to another one's" {
    dewar save -o image.tar $IMG
    mkdir image && tar -xf image.tar -C image
    rm -rf image/index.json image/oci-layout
    local config layer
    config=$(jq -r '.[0].Config' image/manifest.json)
    layer=$(jq -r '.[0].Layers[0]' image/manifest.json)
    list() { jq -n --arg c "$1" --arg l "$2" '[{Config: $c, RepoTags: ["listed:1"], Layers: [$l]}]' >image/manifest.json; }
    # From a pipe and from a file, which are read in different ways.
    refused() {
        try dewar load -i <(tar -C image -c .)
        fails 1 || return 1
        tar -C image -cf packed.tar .
        try dewar load -i packed.tar
        fails 1
    }
    cp -a image/"$layer" "$BATS_FILE_TMPDIR/layer.tar"
    fresh_store "$WORK/own" # which has not got the layer
    for path in "$BATS_FILE_TMPDIR/layer.tar" "../layer.tar" "x/../../layer.tar"; do
        list "$config" "$path"
        refused
        list "$path" "$layer"
        refused
    done
    mkdir image/old
    ln -s "$BATS_FILE_TMPDIR/layer.tar" image/old/layer.tar
    list "$config" old/layer.tar
    refused
    ln -sf "../$layer" image/old/layer.tar
    try dewar load -i <(tar -C image -c .)
    ok && has "Loaded image: listed:1" || return 1
    rm "$BATS_FILE_TMPDIR/layer.tar"
}

@test "B11: what is written into a folder goes through no link in it; twin: the folder itself is a link" {
    copy $IMG oci:good:1
    local config manifest
    manifest=$(jq -r '.manifests[0].digest' good/index.json | cut -d: -f2)
    config=$(jq -r .config.digest good/blobs/sha256/"$manifest" | cut -d: -f2)
    # dir: each file takes the place of the link.
    mkdir flat
    for name in manifest.json version "$config"; do ln -s "$CANARY/file" flat/$name; done
    copy $IMG dir:flat
    same "$(find flat -type l)" ""
    jq -e .schemaVersion flat/manifest.json >/dev/null
    # oci: neither its folders nor its files.
    for name in blobs blobs/sha256; do
        rm -rf lay && mkdir -p "lay/${name%sha256}"
        [ "$name" != blobs ] || rmdir lay/blobs
        ln -s "$CANARY" lay/$name
        try dewar image copy $IMG oci:lay:1
        fails 1 "of the layout"
    done
    rm -rf lay && mkdir -p lay/blobs/sha256
    ln -s "$CANARY/file" lay/oci-layout
    ln -s "$CANARY/file" lay/blobs/sha256/.part
    ln -s "$CANARY/file" lay/blobs/sha256/"$config"
    copy $IMG oci:lay:1
    same "$(find lay -type l ! -name .part)" ""
    # Archives, whatever stands beside them.
    for place in oci-archive docker-archive; do
        ln -sf "$CANARY/file" a.tar
        ln -sf "$CANARY/file" a.tar.part
        copy $IMG $place:a.tar:x:1
        [ ! -L a.tar ]
        tar -tf a.tar | grep -q blobs/sha256/"$config"
    done
    ln -sf "$CANARY/file" out.tar.part
    mkdir c && printf 'FROM scratch\nCOPY Dockerfile /\n' >c/Dockerfile
    dewar build -q -o type=tar,dest=out.tar c
    same "$(tar -tf out.tar)" Dockerfile
    # The twin.
    mkdir real && ln -s real link
    copy $IMG oci:link/l:1
    copy $IMG oci:link:1
    copy $IMG dir:link
    [ -d real/blobs/sha256 ]
    [ -f real/manifest.json ]
    [ -f real/l/index.json ]
}

@test "B11: the result of a build is not written through what the one before left; twin: the same again" {
    mkdir evil next
    printf 'FROM busybox:test AS b\nRUN mkdir /o && ln -s %s /o/folder && ln -s %s/file /o/file && ln -s %s/written /o/new\nFROM scratch\nCOPY --from=b /o/ /\n' \
        "$CANARY" "$CANARY" "$CANARY" >evil/Dockerfile
    for name in folder/written file new; do
        printf 'FROM busybox:test AS b\nRUN mkdir -p /o/folder && echo evil >/o/%s\nFROM scratch\nCOPY --from=b /o/ /\n' $name >next/Dockerfile
        rm -rf dest
        dewar build -q -o dest evil
        dewar build -q -o dest next || true
        same "$(tree_hash "$CANARY")" "$BEFORE"
    done
    rm -rf dest
    dewar build -q -o dest next
    dewar build -q -o dest next
    same "$(cat dest/new)" evil
}
