# SPDX-License-Identifier: Apache-2.0
# The build cache: what must run again does, what need not does not, and nothing goes stale because
# times are the same in every build. A step tells whether it ran by what it leaves in a log outside
# of its key: a cache mount that the test reads back.
load helpers

test_setup() {
    ctx
    # Each test gets its own log.
    LOG=log-$BATS_TEST_NUMBER
    MARK="--mount=type=cache,id=$LOG,target=/log echo ran >> /log/n"
}
# runs: how often the marked step has run since the start of the test.
runs() {
    # A key of its own each time.
    printf 'FROM busybox:test\nRUN --mount=type=cache,id=%s,target=/log,readonly cat /log/n > /n 2>/dev/null || :; : %s\n' \
        "$LOG" "$EPOCHREALTIME" >"$WORK/counter"
    rm -rf "$WORK/count"
    dewar build -q -o "$WORK/count" -f "$WORK/counter" - </dev/null 2>/dev/null ||
        dewar build -q -o "$WORK/count" -f "$WORK/counter" "$WORK/none" >/dev/null
    grep -c ran "$WORK/count/n" || :
}
# hits / misses [build arguments]: builds ctx again; the marked step must not, must run.
hits() {
    local before
    mkdir -p "$WORK/none"
    before=$(runs)
    build_id "$@" >/dev/null || return 1
    same "$before" "$(runs)"
}
misses() {
    local before
    mkdir -p "$WORK/none"
    before=$(runs)
    build_id "$@" >/dev/null || return 1
    same "$((before + 1))" "$(runs)"
}
# with LINES...: FROM, the lines, the marked RUN.
with() { { echo FROM busybox:test; printf '%s\n' "$@"; echo "RUN $MARK"; } >Dockerfile; }

@test "the same build hits, from another folder and after touch too" {
    echo x >f
    with 'COPY f /f'
    misses
    hits
    touch f Dockerfile
    hits
    cp -a "$WORK/ctx" "$WORK/else"
    hits "$WORK/else"
    umask 077
    hits
}
@test "each input of RUN alone makes it run again" {
    with 'LABEL a=b' && misses
    with 'ENV A=1' && misses && hits
    with 'ENV A=2' && misses
    with 'ARG B=1' && misses
    with 'ARG B=2' && misses
    with 'ARG B' && misses --build-arg B=3 . && hits --build-arg B=3 . && misses --build-arg B=4 .
    with 'USER 0:1' && misses
    with 'SHELL ["/bin/sh", "-xc"]' && misses
    with 'WORKDIR /tmp' && misses
    with 'RUN touch /x' && misses
}
@test "the command, its form, network and mounts are in the key" {
    mkdir -p m && echo 1 >m/f
    line() { printf 'FROM busybox:test\nRUN %s %s\n' "$1" "$MARK$2" >Dockerfile; }
    line '' '' && misses && hits
    line '' ' ' && misses || hits # white space at the end is no change
    line '' '; true' && misses
    line --network=none '' && misses
    line --mount=type=tmpfs,target=/t '' && misses
    line --mount=type=tmpfs,target=/u '' && misses
    line --mount=type=tmpfs,size=1m,target=/u '' && misses
    line --mount=source=m,target=/m '' && misses && hits
    line --mount=source=m,target=/m,rw '' && misses
    line --mount=source=m,target=/m '' && echo 2 >m/f && misses
    chmod 600 m/f && misses
    touch m/f && hits
    touch other && hits
    line '--mount=type=cache,target=/cc' '' && misses
    line '--mount=type=cache,target=/cd' '' && misses
    line '--mount=type=secret,id=s' '' && misses
    line '--mount=type=secret,id=s,target=/s' '' && misses
}
@test "what is no input does not make it run again" {
    echo x >f && echo s1 >"$WORK/secret"
    printf 'FROM busybox:test\nCOPY f /f\nRUN --mount=type=secret,id=s %s\n' "$MARK" >Dockerfile
    misses --secret id=s,src="$WORK/secret" .
    echo s2 >"$WORK/secret"
    hits --secret id=s,src="$WORK/secret" .
    hits --build-arg HTTP_PROXY=http://x:1 .
    hits --add-host a:1.2.3.4 .
    hits -t some:name .
    hits --label a=b .
    touch unrelated && hits
    printf '# a comment\n' >>Dockerfile && hits
    echo 'LABEL later=1' >>Dockerfile && hits
    echo "ARG LATER=1" >>Dockerfile && hits
    hits --progress plain .
    hits --jobs 1 .
}
@test "each property of a copied file is in the key, its time is not" {
    mkdir d && echo one >d/f && ln -s f d/l
    with 'COPY d /d'
    misses
    touch -d 2001-01-01 d/f && hits
    echo two >d/f && misses
    chmod 600 d/f && misses
    mv d/f d/g && misses
    ln -sf g d/l && misses
    mkdir d/empty && misses
    chmod 700 d/empty && misses
    rm -r d/empty && hits # an earlier state is still known
    with 'COPY d /e' && misses
    with 'COPY --chown=5 d /e' && misses
    with 'COPY --chmod=700 d /e' && misses
    with 'COPY d/g /e/' && misses
    with 'COPY d/g /e' && misses
    if setfattr -n user.a -v b d/g 2>/dev/null; then misses; fi
}
@test "a renamed file that a wildcard matched is a change" {
    echo x >a.txt
    with 'COPY *.txt /d/'
    misses
    mv a.txt b.txt && misses
    touch other && hits
}
@test "a file that .dockerignore leaves out changes nothing" {
    mkdir d && echo x >d/kept && echo x >d/log
    echo 'd/log' >.dockerignore
    with 'COPY d /d' && misses
    echo y >d/log && hits
    echo y >d/kept && misses
}
@test "an edit of the same size and time is seen" {
    echo one >f && touch -d 2020-01-01 f
    with 'COPY f /f' && misses && hits
    echo two >f && touch -d 2020-01-01 f && misses
}
@test "an edit right after a build is seen, many times over" {
    with 'COPY f /f'
    for i in 1 2 3 4 5 6 7 8; do
        echo "$i" >f
        dewar build -q -o out . >/dev/null
        same "$i" "$(cat out/f)"
    done
}
@test "--no-cache and --no-cache-filter run steps again" {
    with '' && misses && hits
    misses --no-cache .
    hits
    { echo FROM busybox:test AS one; echo "RUN $MARK"; echo FROM one AS two; } >Dockerfile
    build_id >/dev/null && hits
    hits --no-cache-filter two .
    misses --no-cache-filter one .
    misses --no-cache-filter ONE .
    misses --no-cache-filter two,one .
}
@test "COPY --from with an unchanged result after a changed ancestor hits" {
    stages() {
        printf 'FROM busybox:test AS a\nRUN echo %s > /noise; mkdir /r; echo same > /r/f\nFROM busybox:test\nCOPY --from=a /r /r\nRUN %s\n' "$1" "$MARK" >Dockerfile
    }
    stages one && misses
    stages two && hits
}
@test "another base image of the same name is another parent" {
    mkdir b && printf 'FROM busybox:test\nRUN echo 1 > /v\n' >b/Dockerfile
    dewar build -q -t moving:tag b
    printf 'FROM moving:tag\nRUN %s\n' "$MARK" >Dockerfile
    misses && hits
    printf 'FROM busybox:test\nRUN echo 2 > /v\n' >b/Dockerfile
    dewar build -q -t moving:tag b
    misses
}
@test "a step that failed is not remembered" {
    printf 'FROM busybox:test\nRUN --mount=type=cache,id=%s,target=/c test -e /c/second || { touch /c/second; exit 1; }\n' "fail-$BATS_TEST_NUMBER" >Dockerfile
    try dewar build -q .
    [ "$status" = 1 ]
    build_id
}
@test "a file that changes while it is copied is not remembered as what it was" {
    need_root
    need_program strace
    printf 'FROM scratch\nCOPY f /f\n' >Dockerfile
    echo v1 >f
    strace -f -qq -o /dev/null -e trace=copy_file_range -e inject=copy_file_range:delay_enter=1500000 \
        "$DEWAR" build -q . >/dev/null 3>&- &
    pid=$!
    sleep 0.7
    echo v2 >f
    wait $pid
    echo v1 >f
    dewar build -q -o "$WORK/out" .
    same v1 "$(cat "$WORK/out/f")"
}
@test "pruning the cache costs time and nothing else" {
    with '' && id=$(build_id)
    dewar system prune -af >/dev/null
    import_image
    same "$id" "$(build_id)"
}

# --- nothing goes stale ---------------------------------------------------------------------------
# `newer` stands for make: rebuilds an object when its source is newer.
newer() { echo "if [ ! -e $2 ] || [ $1 -nt $2 ]; then cp $1 $2; fi"; }

@test "make in a cache mount sees a same-size edit" {
    { echo FROM busybox:test; echo 'COPY a /w/a'
        echo "RUN --mount=type=cache,id=make1,target=/o $(newer /w/a /o/a.o); cp /o/a.o /result"; } >Dockerfile
    for i in 1 2 3 1 2; do
        echo "v$i" >a
        dewar build -q -o out .
        same "v$i" "$(cat out/result)"
    done
}
@test "make in a cache mount sees an edit after a build that failed half way" {
    { echo FROM busybox:test; echo 'COPY a b /w/'
        echo "RUN --mount=type=cache,id=make2,target=/o grep -q good /w/b && { $(newer /w/a /o/a.o); }; cp /o/a.o /result && grep -q good /w/b"; } >Dockerfile
    echo v1 >a && echo good1 >b && dewar build -q -o out . && same v1 "$(cat out/result)"
    echo v2 >a && echo bad-1 >b
    try dewar build -q -o out .
    [ "$status" = 1 ]
    echo good2 >b
    dewar build -q -o out .
    same v2 "$(cat out/result)"
}
@test "what compares time and size for equality sees two edits within a second" {
    # As Python does for its .pyc files: the source's second and size are in the object.
    { echo FROM busybox:test; echo 'COPY a /w/a'
        echo 'RUN --mount=type=cache,id=pyc,target=/o k=$(stat -c %Y-%s /w/a); [ "$(cat /o/key)" = $k ] || { cp /w/a /o/pyc; echo $k > /o/key; }; cp /o/pyc /result'; } >Dockerfile
    for i in 1 2 3 4 5; do
        echo "v$i" >a
        dewar build -q -o out . 2>/dev/null
        same "v$i" "$(cat out/result)"
    done
}
@test "COPY, make, COPY, make: the second make sees the new source" {
    for args in "" "--timestamp=1500000000" "--timestamp=0"; do
        { echo FROM busybox:test; echo 'WORKDIR /w'; echo 'COPY one/a ./'; echo "RUN $(newer a a.o)"
            echo 'COPY two/a ./'; echo "RUN $(newer a a.o); cp a.o result"; } >Dockerfile
        mkdir -p one two && echo v1 >one/a && echo v2 >two/a
        # shellcheck disable=SC2086
        dewar build -q $args -o out .
        same v2 "$(cat out/w/result)"
    done
}
@test "COPY, import, COPY, import: a .py of the same size is compiled again" {
    for args in "" "--timestamp=1500000000"; do
        { echo FROM busybox:test; echo 'WORKDIR /w'; echo 'COPY one/a ./'; echo 'RUN stat -c %Y-%s a > key; cp a pyc'
            echo 'COPY two/a ./'; echo 'RUN [ "$(cat key)" = "$(stat -c %Y-%s a)" ] || cp a pyc'; } >Dockerfile
        mkdir -p one two && echo v1 >one/a && echo v2 >two/a
        # shellcheck disable=SC2086
        dewar build -q $args -o out .
        same v2 "$(cat out/w/pyc)"
    done
}
@test "the image does not depend on whether a cache mount was warm" {
    { echo FROM busybox:test; echo 'COPY a /w/a'
        echo "RUN --mount=type=cache,id=warm,target=/o $(newer /w/a /o/a.o); cp /o/a.o /result"; } >Dockerfile
    echo v1 >a && one=$(build_id)
    echo v2 >a && build_id >/dev/null
    echo v1 >a && same "$one" "$(build_id --no-cache .)"
}
