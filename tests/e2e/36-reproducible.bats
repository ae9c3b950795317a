# SPDX-License-Identifier: Apache-2.0
# The same context on the same base gives the same image ID, whoever builds it and when; and nothing
# goes stale for it. docs/reproducible.md lists where it ends; the last tests here are that list.
load helpers

file_setup() {
    mkdir "$BATS_FILE_TMPDIR/model"
    cd "$BATS_FILE_TMPDIR/model"
    mkdir -p data/deep pkg
    printf 'one\n' >data/a
    printf 'two\n' >data/deep/b
    ln -s a data/link
    printf 'import os\n' >pkg/m.py
    printf '#!/bin/sh\necho run\n' >go.sh
    chmod 755 go.sh
    touch -d '1999-01-01 UTC' data/a       # older than every epoch
    touch -d '2035-01-01 UTC' data/deep/b  # and newer
    cat >Dockerfile <<'END'
FROM busybox:test AS first
WORKDIR /app
COPY data /app/data
RUN cat /app/data/a > /app/made && mkdir -p /app/x/y && echo z > /app/x/y/z
FROM busybox:test
ENV A=1
COPY --from=first /app /app
COPY --chmod=755 go.sh pkg /bin/
RUN rm /app/data/a && ln -s made /app/again && chmod 700 /app/x
CMD ["go.sh"]
END
}
test_setup() {
    cp -a "$BATS_FILE_TMPDIR/model" ctx
    cd ctx
}
# A build from nothing: another store, so that no cache can make it come true.
fresh_id() (
    fresh_store "$(mktemp -d "$BATS_TEST_TMPDIR/s.XXXXXX")"
    import_image
    dewar build -q "${@:-.}"
)
reference() { [ -e "$BATS_FILE_TMPDIR/id" ] || (cd "$BATS_FILE_TMPDIR/model" && fresh_id >"$BATS_FILE_TMPDIR/id"); cat "$BATS_FILE_TMPDIR/id"; }

@test "two builds from nothing give the same image" {
    first=$(reference)
    [[ $first == sha256:* ]]
    same "$first" "$(fresh_id)"
}
@test "a second later, and after touching every file" {
    first=$(reference)
    sleep 1.1
    find . -exec touch -h {} +
    same "$first" "$(fresh_id)"
}
@test "under another umask" {
    first=$(reference)
    umask 077
    same "$first" "$(fresh_id)"
}
@test "inside git and out of it" {
    need_program git
    first=$(reference)
    printf '.git\n' >.dockerignore
    without=$(fresh_id)
    git init -q . && git -c user.name=x -c user.email=x@x commit -q --allow-empty -m x
    same "$without" "$(fresh_id)"
    same "$first" "$without"
}
@test "in another folder, locale, time zone and with other variables" {
    first=$(reference)
    mkdir -p "$WORK/else/where" && mv "$WORK/ctx" "$WORK/else/where/ctx" && cd "$WORK/else/where/ctx"
    same "$first" "$(LC_ALL=C LANG=de_DE.UTF-8 TZ=Asia/Tokyo FOO=bar fresh_id)"
}
@test "as root and as an ordinary user" {
    need_root
    [ -n "${OTHER_ID:-}" ] || skip "needs a second user with a range of ids (OTHER_ID)"
    first=$(reference)
    chmod -R a+rX "$WORK" "$BATS_RUN_TMPDIR"
    chmod 755 "$BATS_TEST_TMPDIR" "$BATS_FILE_TMPDIR"
    mkdir "$WORK/user" && chown "$OTHER_ID" "$WORK/user"
    run as_other env DEWAR_STORE="$WORK/user/store" DEWAR_RUN="$WORK/user/run" bash -c \
        '"$DEWAR" image import "$1" busybox:test >/dev/null && "$DEWAR" build -q . && "$DEWAR" system prune -af >/dev/null' \
        - "$BATS_RUN_TMPDIR/rootfs-0.tar"
    same "$first" "${lines[0]}"
}
@test "with the cache and without" {
    first=$(reference)
    build_id >/dev/null
    same "$first" "$(build_id)"
    same "$first" "$(build_id --no-cache .)"
}
@test "an archive carries the image and its ID" {
    first=$(build_id -t carried:1 .)
    dewar save -o "$WORK/a.tar" carried:1
    dewar save -o "$WORK/b.tar" carried:1
    cmp "$WORK/a.tar" "$WORK/b.tar"
    (
        fresh_store "$WORK/other"
        mkdir "$WORK/other"
        same "$first" "$(dewar load -q -i "$WORK/a.tar")"
        same run "$(dewar run --rm --network none carried:1)"
    )
    remove_tree "$WORK/other"
}
@test "SOURCE_DATE_EPOCH is the time of everything new" {
    id=$(SOURCE_DATE_EPOCH=1234567890 build_id)
    same 2009-02-13T23:31:30Z "$(dewar inspect -f '{{.Created}}' "$id")"
    same 1234567890 "$(dewar run --rm --network none "$id" stat -c %Y /bin/go.sh)"
}
@test "files that only record when are left out" {
    printf 'FROM busybox:test\nRUN mkdir -p /var/log/apt && date > /var/log/dpkg.log && date > /var/log/apt/history.log\n' >Dockerfile
    first=$(fresh_id)
    sleep 1.1
    same "$first" "$(fresh_id)"
}
@test "check-repro finds what differs, by name" {
    printf 'FROM busybox:test\nRUN cat /proc/sys/kernel/random/uuid > /differs; echo same > /equal\n' >Dockerfile
    try dewar build --check-repro .
    [ "$status" != 0 ]
    [[ $output == *"  /differs: content differs"* ]]
    [[ $output != *"  /equal"* ]]
}

# --- nothing goes stale ---------------------------------------------------------------------------
@test "a same-size edit in the same second is seen" {
    printf 'FROM busybox:test\nCOPY pkg /pkg\nCMD ["cat", "/pkg/m.py"]\n' >Dockerfile
    printf 'v = 1\n' >pkg/m.py
    one=$(build_id)
    printf 'v = 2\n' >pkg/m.py
    two=$(build_id)
    differ "$one" "$two"
    same "v = 2" "$(dewar run --rm --network none "$two")"
}
@test "an edit that keeps size and mtime is seen" {
    printf 'FROM busybox:test\nCOPY pkg /pkg\n' >Dockerfile
    printf 'v = 1\n' >pkg/m.py
    touch -d '2020-01-01 UTC' pkg/m.py
    one=$(build_id)
    printf 'v = 2\n' >pkg/m.py
    touch -d '2020-01-01 UTC' pkg/m.py
    differ "$one" "$(build_id)"
}
@test "a rename, a mode, a link target and a file taken away are seen" {
    printf 'FROM busybox:test\nCOPY data /data\n' >Dockerfile
    ids=$(build_id)
    mv data/deep/b data/deep/c
    ids+=" $(build_id)"
    chmod 600 data/a
    ids+=" $(build_id)"
    ln -sfn deep data/link
    ids+=" $(build_id)"
    rm data/deep/c
    ids+=" $(build_id)"
    same 5 "$(tr ' ' '\n' <<<"$ids" | sort -u | wc -l)"
}
@test "what make compares by time is rebuilt: COPY, make, COPY, make" {
    cat >Dockerfile <<'END'
FROM busybox:test
WORKDIR /w
COPY pkg/m.py /w/src
RUN cp src out
COPY data/a /w/src
RUN [ src -nt out ] && cp src out; cat out > final
CMD ["cat", "/w/final"]
END
    same one "$(dewar run --rm --network none "$(build_id)")"
}
@test "a cache mount sees a changed source as newer than what it made" {
    cat >Dockerfile <<'END'
FROM busybox:test
COPY pkg/m.py /w/src
RUN --mount=type=cache,target=/c if [ ! -e /c/out ] || [ /w/src -nt /c/out ]; then cp /w/src /c/out; fi; cp /c/out /final
CMD ["cat", "/final"]
END
    printf 'v = 1\n' >pkg/m.py
    same 'v = 1' "$(dewar run --rm --network none "$(build_id)")"
    printf 'v = 2\n' >pkg/m.py
    sleep 1.1 # the shell's -nt looks at whole seconds
    same 'v = 2' "$(dewar run --rm --network none "$(build_id)")"
}

# --- where it ends: docs/reproducible.md ----------------------------------------------------------
@test "exception: a step that asks a random source differs" {
    printf 'FROM busybox:test\nRUN cat /proc/sys/kernel/random/uuid > /id\n' >Dockerfile
    differ "$(fresh_id)" "$(fresh_id)"
}
@test "exception: a step that needs more privilege than a user has fails, by name" {
    need_user
    printf 'FROM busybox:test\nRUN mknod /node c 1 3\n' >Dockerfile
    try dewar build -q .
    [ "$status" != 0 ]
}
@test "exception: another mode of a context file is another file" {
    printf 'FROM busybox:test\nCOPY data /data\n' >Dockerfile
    one=$(fresh_id)
    chmod -R go= data
    differ "$one" "$(fresh_id)"
    printf 'FROM busybox:test\nCOPY --chmod=755 data /data\n' >Dockerfile
    one=$(fresh_id)
    chmod -R go=u data
    same "$one" "$(fresh_id)"
}
@test "exception: beside a cache mount a changed source has the present time" {
    cat >Dockerfile <<'END'
FROM busybox:test
COPY pkg/m.py /w/src
RUN --mount=type=cache,id=present,target=/c touch /c/x; [ $(stat -c %Y /w/src) -gt 1500000000 ] && echo present > /t || echo logical > /t
CMD ["cat", "/t"]
END
    printf 'v = 1\n' >pkg/m.py
    same logical "$(dewar run --rm --network none "$(build_id)")"
    printf 'v = 2\n' >pkg/m.py
    same present "$(dewar run --rm --network none "$(build_id)")"
}
