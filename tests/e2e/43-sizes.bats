#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=store
# What listings and prunes say of sizes, compared with what the disk says. `images` and `history` count
# contents: the sizes of files, each layer's once. `system df` and prunes count what is taken and freed
# on the disk: the blocks of layers, archives, manifests, configs and caches, as du does.
load helpers
load registry
NO_IMAGE=1

test_setup() { fresh_store "$WORK/own"; }

# base, and x and y on top of it; with a hard link, a sparse file, an empty one and a folder.
make_images() {
    mkdir in
    head -c 1000001 /dev/urandom >in/a
    ln in/a in/b
    head -c 5000 /dev/urandom >in/c
    truncate -s 3000000 in/sparse
    : >in/empty
    tar -C in --sort=name --hard-dereference -cf d.tar c empty
    mkdir in/dir && mv in/empty in/dir
    tar -C in --sort=name -Scf base.tar .
    dewar image import base.tar base:1 >/dev/null
    head -c 300000 /dev/urandom >one
    head -c 70000 /dev/zero >two
    printf 'FROM base:1\nCOPY one /one\nCOPY two /deep/er/two\n' >Dockerfile.x
    printf 'FROM base:1\nCOPY two /two\nADD d.tar /d\n' >Dockerfile.y
    dewar build -q -t x:1 -f Dockerfile.x . >/dev/null
    dewar build -q -t y:1 -f Dockerfile.y . >/dev/null
}
# Blocks below what is named, in bytes, a file with several names once; the folders named are the store's own.
blocks() {
    local at=$1 depth=$2
    find "$DEWAR_STORE/$at" -mindepth "$depth" -printf '%D:%i %b\n' 2>/dev/null | sort -u | awk '{ s += $2 * 512 } END { print s + 0 }'
}
taken() { echo $(($(blocks blobs 2) + $(blocks layers 2))); }
cached() { echo $(($(blocks cache 2))); }
df_of() { dewar system df --human=false --format "{{if eq .Type \"$1\"}}{{.$2}}{{end}}" | grep .; }
df_image() { dewar system df -v --human=false | sed -n '/^IMAGE/,/^$/p' | awk -v n="$1" '$1 == n { print $(NF-3), $(NF-2), $(NF-1) }'; }
reclaimed() { dewar events --since 1h --until 0s --filter event=prune --filter "type=$1" --format '{{json .Actor.Attributes}}' | tail -n 1 | jq -r .reclaimed; }

@test "system df is what du says, for images that share layers, with their archives and without" {
    make_images
    dewar builder prune -af >/dev/null
    same "$(df_of Images Size)" "$(taken)"
    same "$(df_of Images Reclaimable)" "$(taken)"
    registry_start
    local name total=0 size shared unique rest
    for name in base x y; do
        dewar tag "$name:1" "$REGISTRY/$name:1"
        dewar push -q "$REGISTRY/$name:1" >/dev/null
    done
    # The manifests that named uncompressed layers are replaced, and wait for the next prune.
    rest=$(dewar system df -v --human=false | sed -n 's/^Not needed by anything: //p')
    [ "$rest" -gt 0 ] && same $(($(df_of Images Size) + rest)) "$(taken)"
    dewar system prune -f >/dev/null
    same "$(df_of Images Size)" "$(taken)"
    # Pulled ones keep the archives as they came.
    fresh_store "$WORK/other"
    for name in base x y; do dewar pull -q "$REGISTRY/$name:1" >/dev/null; done
    same "$(df_of Images Size)" "$(taken)"
    [ "$(df_of Images Size)" -gt "$(blocks layers 2)" ]
    for name in base x y; do
        read -r size shared unique <<<"$(df_image "$REGISTRY/$name:1")"
        same "$size" $((shared + unique))
        total=$((total + unique))
    done
    # What is shared is the base's layer and archive, counted once.
    same $((total + shared)) "$(taken)"
    try dewar system df -v --human=false
    has "Not needed by anything: 0"
}

@test "rmi frees what system df calls unique, and image prune what it calls reclaimable" {
    make_images
    dewar builder prune -af >/dev/null
    local before unique
    before=$(taken)
    read -r _ _ unique <<<"$(df_image x:1)"
    [ "$unique" -gt 370000 ]
    dewar rmi x:1 >/dev/null
    same "$(taken)" $((before - unique))
    before=$(taken)
    read -r _ _ unique <<<"$(df_image base:1)"
    dewar rmi base:1 >/dev/null # y holds its layer
    same "$(taken)" $((before - unique))
    before=$(taken)
    same "$(df_of Images Reclaimable)" "$before"
    dewar image prune -af >/dev/null
    same "$(taken)" 0
    same "$(reclaimed image)" "$before"
    same "$(df_of Images Size)" 0
}

@test "an image that a container has is no part of what can be reclaimed" {
    make_images
    dewar builder prune -af >/dev/null
    local before can
    dewar create -q --network none --name holder y:1 /x >/dev/null
    before=$(taken)
    can=$(df_of Images Reclaimable)
    [ "$can" -lt "$before" ] && [ "$can" -gt 370000 ]
    same "$(df_of Images Active)" 1
    dewar image prune -af >/dev/null
    same "$(taken)" $((before - can))
    same "$(reclaimed image)" "$can"
    dewar rm holder >/dev/null
}

@test "the build cache takes what du says, and builder prune frees that" {
    make_images
    dewar rmi x:1 >/dev/null # its layers stay: they are build cache now
    local before images cache rest
    before=$(($(taken) + $(cached)))
    images=$(df_of Images Size) cache=$(df_of 'Build Cache' Size)
    same "$before" $((images + cache))
    [ "$cache" -gt 370000 ]
    rest=$(df_of 'Build Cache' Reclaimable)
    same "$rest" "$cache"
    dewar builder prune -af >/dev/null
    same $(($(taken) + $(cached))) "$images"
    same "$(reclaimed builder)" "$cache"
}

@test "what nobody needs is counted, and system prune frees it" {
    make_images
    dewar builder prune -af >/dev/null
    local images
    images=$(taken)
    head -c 50000 /dev/zero >"$DEWAR_STORE/blobs/sha256/$(printf '%064d' 7)"
    mkdir -p "$DEWAR_STORE/tmp/dead"
    head -c 5000 /dev/zero >"$DEWAR_STORE/tmp/dead/file"
    try dewar system df -v --human=false
    has "Not needed by anything: $(($(blocks blobs 2) + $(blocks layers 2) - images + $(blocks tmp 1)))"
    dewar system prune -f >/dev/null
    same "$(taken)" "$images"
    same "$(blocks tmp 1)" 0
}

@test "images and history say the sizes of the files, and what images have in common" {
    make_images
    local base=$((1000001 + 5000 + 3000000))
    # A hard link and an empty file have no size of their own.
    same "$(dewar inspect --format '{{.Size}}' base:1)" "$base"
    same "$(dewar inspect --format '{{.Size}}' x:1)" $((base + 370000))
    same "$(dewar history --human=false --format '{{.Size}}' x:1 | tr '\n' ' ')" "70000 300000 $base "
    same "$(dewar images --format '{{.Size}} {{.SharedSize}} {{.UniqueSize}}' x)" "4.38MB 4.01MB 370kB"
    same "$(dewar images --format json base | jq -r '.SharedSize + " " + .UniqueSize')" "4.01MB 0B"
    dewar rmi base:1 >/dev/null
    same "$(dewar images --format '{{.SharedSize}}' x)" 4.01MB
    dewar rmi y:1 >/dev/null
    same "$(dewar images --format '{{.Size}} {{.SharedSize}} {{.UniqueSize}}' x)" "4.38MB 0B 4.38MB"
}
