# SPDX-License-Identifier: Apache-2.0
# Cleaning up while things go wrong.
load helpers

@test "prune frees nothing that is needed, whichever file it cannot open or list" {
    need_root # deny-syscall follows with ptrace
    fresh_store "$WORK/own"
    mkdir -p r/etc && echo 1 >r/etc/a && tar -C r -cf r.tar .
    dewar image import r.tar a:1 >/dev/null
    dewar image import --change 'CMD ["x"]' r.tar b:1 >/dev/null
    deny_syscall --list list --all -- "$DEWAR" system prune -f >/dev/null
    cp -a own good
    local at
    # every third point: the others are alike
    grep -E '^(openat|getdents64):' list | sed -n '1~3p' >points
    while read -r at; do
        deny_syscall --at "$at" --errno EIO -- "$DEWAR" system prune -f >/dev/null 2>&1 || true
        dewar system check >out || { echo "EIO at $at: $(cat out)" >&2; return 1; }
        same "$(ls own/store/layers/*)" "$(ls good/store/layers/*)"
    done <points
}

@test "tag waits for a clean-up of the store to end" {
    need_program flock util-linux
    run flock "$DEWAR_STORE/lock" timeout 1 "$DEWAR" tag "$IMG" other:1
    same "$status" 124
    dewar tag "$IMG" other:1
    dewar rmi other:1
}

@test "system prune keeps the build cache that is younger than until says" {
    fresh_store "$WORK/own"
    import_image
    ctx
    printf 'FROM busybox:test\nRUN echo x >/x\n' >Dockerfile
    dewar build -q . >/dev/null
    dewar system prune -af --filter until=24h >/dev/null
    same "$(dewar images -q | wc -l)" 2
    dewar build . 2>log >/dev/null
    grep -q "#2 CACHED" log
    dewar system prune -af --filter label=none >/dev/null
    dewar build . 2>log >/dev/null
    grep -q "#2 CACHED" log
    dewar system prune -af >/dev/null
    same "$(find own/store/layers own/store/cache -type f | wc -l)" 0
}

# Whether the build of Dockerfile $1 takes its step from the cache. Times of use are kept in seconds.
is_cached() { sleep 1.1; dewar build --progress plain -f "$1" . 2>&1 >/dev/null | grep -q '^#2 CACHED' && echo yes || echo no; }
@test "builder prune leaves what was used last, as much as is asked for" {
    fresh_store "$WORK/own"
    import_image
    ctx
    for f in a b c; do
        printf 'FROM busybox:test\nRUN head -c 1000000 /dev/urandom >/%s\n' $f >$f
        dewar build -q -f $f . >/dev/null
    done
    # What an image has is no part of the cache, so all records fit.
    dewar builder prune -f --reserved-space 900KB >/dev/null
    same 'yes yes yes' "$(for f in a b c; do is_cached $f; done | paste -sd' ')"
    dewar image prune -f >/dev/null
    dewar builder prune -f --min-free-space 1KB >/dev/null
    same 'yes yes' "$(for f in b c; do is_cached $f; done | paste -sd' ')"
    dewar image prune -f >/dev/null
    try dewar builder prune -f --reserved-space 2500KB
    ok
    same 'yes yes no' "$(for f in c b a; do is_cached $f; done | paste -sd' ')"
    dewar image prune -f >/dev/null
    dewar builder prune -f --max-used-space 1500KB >/dev/null
    same 'yes no' "$(for f in a c; do is_cached $f; done | paste -sd' ')"
    dewar image prune -f >/dev/null
    dewar builder prune -f --min-free-space 9999TB --keep-storage 1KB >/dev/null
    same 'no no no' "$(for f in a b c; do is_cached $f; done | paste -sd' ')"
    dewar system check >/dev/null
}

@test "system df says what pruning the build cache frees" {
    fresh_store "$WORK/own"
    import_image
    ctx
    printf 'FROM busybox:test\nRUN head -c 500000 /dev/urandom >/x && ln /x /y && rm /bin/vi\n' >Dockerfile
    dewar build -q -t one:1 . >/dev/null
    same "$(dewar system df --format '{{.Type}} {{.TotalCount}} {{.Active}}' | head -1)" "Images 2 0"
    dewar rmi one:1
    # The layer of the removed image is kept by its build record, and is build cache now.
    local said
    said=$(dewar system df --format '{{if eq .Type "Build Cache"}}{{.Size}} {{.Reclaimable}}{{end}}' | grep B)
    same "${said%% *}" "$(dewar builder prune -f | sed -n 's/^Total reclaimed space: //p')"
    same "$(dewar system df --format '{{if eq .Type "Build Cache"}}{{.TotalCount}} {{.Size}}{{end}}' | grep B)" "0 0B"
}

@test "a whiteout of nothing is not seen in a container, and does not keep its folder" {
    mkdir -p low/etc high/only arch
    cp "$(command -v busybox)" low/busybox
    echo text >high/only/file
    : >high/only/.wh.ghost
    tar -C low --owner=0 --group=0 -cf arch/1.tar .
    tar -C high --owner=0 --group=0 -cf arch/2.tar ./only
    printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s","sha256:%s"]}}' \
        "$(sha256sum <arch/1.tar | cut -c1-64)" "$(sha256sum <arch/2.tar | cut -c1-64)" >arch/config.json
    echo '[{"Config":"config.json","RepoTags":["ghost:1"],"Layers":["1.tar","2.tar"]}]' >arch/manifest.json
    tar -C arch -cf ghost.tar .
    dewar load -q -i ghost.tar
    try dewar run --rm --network none ghost:1 /busybox ls /only
    ok
    same "$output$stderr" file
    try dewar run --rm --network none ghost:1 /busybox rm -r /only
    ok
    # The archive keeps it.
    dewar save ghost:1 >again.tar
    tar xOf again.tar "blobs/sha256/$(sha256sum <arch/2.tar | cut -c1-64)" | cmp - arch/2.tar
    dewar system check >/dev/null
}

@test "save says so when the disk does not take the archive, and keeps the old one" {
    need_root # deny-syscall follows with ptrace
    echo old >out.tar
    try deny_syscall --at fdatasync:1 --errno ENOSPC -- "$DEWAR" save -o out.tar "$IMG"
    [ "$status" = 1 ]
    err_has ENOSPC
    same "$(cat out.tar)" old
    same "$(ls -A)" out.tar
}

@test "a damaged layer is named with the way out, which works" {
    fresh_store "$WORK/own"
    import_image
    dewar save -o image.tar "$IMG"
    local meta
    meta=$(find own/store/layers -name meta)
    echo x >"$meta"
    try dewar run --rm --network none "$IMG" true
    [ "$status" = 125 ]
    err_has "system check --repair"
    try dewar load -i image.tar
    [ "$status" = 1 ]
    err_has "system check --repair"
    dewar system check --repair >/dev/null
    [ -e own/store/damaged ]
    dewar load -q -i image.tar
    dewar run --rm --network none "$IMG" true
    rm "$(find own/store/layers -name meta)"
    try dewar run --rm --network none "$IMG" true
    [ "$status" = 125 ]
    err_has "system check --repair"
    dewar system prune -af >/dev/null
    [ ! -e own/store/damaged ]
}

@test "prune removes the empty folders of a name that was never written" {
    mkdir -p "$DEWAR_STORE/refs/h.x/a/b/_tags" "$DEWAR_STORE/refs/h.x/c/_tags"
    echo half >"$DEWAR_STORE/refs/h.x/c/_tags/.tmp-1"
    dewar system prune -f >/dev/null
    [ ! -e "$DEWAR_STORE/refs/h.x" ]
    dewar run --rm --network none "$IMG" true
}

@test "check --repair puts nothing aside for a lack of descriptors" {
    need_root # deny-syscall follows with ptrace
    fresh_store "$WORK/own"
    import_image
    deny_syscall --list list --all -- "$DEWAR" system check --repair >/dev/null
    grep -E '^openat' list >points
    while read -r at; do
        deny_syscall --at "$at" --errno EMFILE -- "$DEWAR" system check --repair >/dev/null 2>&1 || true
        [ ! -e own/store/damaged ] || { echo "EMFILE at $at" >&2; return 1; }
    done <points
}
