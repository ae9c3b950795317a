# SPDX-License-Identifier: Apache-2.0
# Hostile Dockerfiles, contexts and base images against `build`; each attack with the legal twin that
# must keep working.
load ../e2e/helpers

test_setup() {
    mkdir "$WORK/canary" && echo precious >"$WORK/canary/file" && chmod 755 "$WORK/canary"
    CANARY=$WORK/canary
    BEFORE=$(tree_hash "$CANARY")
    ctx
}
test_teardown() { [ -z "${BEFORE:-}" ] || same "$BEFORE" "$(tree_hash "$CANARY")"; }
build() { try timeout 60 "$DEWAR" build --progress plain "$@"; }
one() { { echo FROM busybox:test; printf '%s\n' "$@"; } >Dockerfile; }

# --- leaked descriptors, WORKDIR (A2, A9) -----------------------------------------------------------
@test "RUN sees no descriptor of the engine" {
    one 'RUN ls /proc/self/fd | wc -l > /n; ls -l /proc/self/fd > /fds; for f in /proc/1/fd/*; do readlink $f; done > /init; true'
    dewar build -q -o out .
    # 0, 1, 2 and the one that ls has open
    same 4 "$(cat out/n)"
    ! grep -E "store|/tmp/|overlay" out/fds out/init || return 1
}
@test "WORKDIR /proc/self/fd/N never leads out of the root" {
    for n in 3 4 5 6 7 8 9 10 15 20 100 255; do
        one "WORKDIR /proc/self/fd/$n" 'RUN pwd -P > /tmp/where; ls -a . > /tmp/list; cat ../file ../../canary/file 2>/dev/null; true'
        build -o "$WORK/out-$n" .
        [ "$status" = 0 ] || continue
        [[ $(cat "$WORK/out-$n/tmp/where") == /* ]]
        ! grep -q precious <<<"$stderr" || return 1
    done
}
@test "WORKDIR, COPY and ADD through links that point at the host stay in the root" {
    echo mine >f && mkdir t && echo x >t/x && tar -cf t.tar -C t x
    one "RUN ln -s $CANARY /a && mkdir -p $(dirname "$CANARY") && ln -s ../../../../../../../../../..$CANARY /up" \
        'WORKDIR /a/new' 'COPY f /a/f' 'COPY f /up/g' 'ADD t.tar /a/' 'COPY t /up/' 'RUN ls /a/ > /seen'
    build -o "$WORK/out" .
    same "$BEFORE" "$(tree_hash "$CANARY")"
    if [ "$status" = 0 ]; then [ -e "$WORK/out$CANARY/f" ]; fi
}
@test "legal twin: an absolute link inside the image is followed" {
    echo mine >f
    one 'RUN ln -s /home /abs' 'WORKDIR /abs/user' 'COPY f /abs/user/' 'RUN cat /home/user/f > /seen'
    dewar build -q -o "$WORK/out" .
    same mine "$(cat "$WORK/out/seen")"
}

# --- sources that lead out of the context -----------------------------------------------------------
@test "links of the context that point at the host copy nothing of it" {
    ln -s "$CANARY" dir && ln -s "$CANARY/file" file && ln -s ../canary/file rel
    for src in dir dir/file file rel ../canary/file "$CANARY/file"; do
        printf 'FROM scratch\nCOPY %s /x\n' "$src" >Dockerfile
        build -q -o "$WORK/out" .
        ! grep -rqs precious "$WORK/out" || return 1
    done
    printf 'FROM scratch\nCOPY . /\n' >Dockerfile
    dewar build -q -o type=tar,dest="$WORK/o.tar" .
    tar -tvf "$WORK/o.tar" | grep -q "file -> $CANARY/file"
    ! grep -q precious "$WORK/o.tar" || return 1
}
@test "a Dockerfile or .dockerignore that is a link out of the context is not followed there" {
    echo 'FROM scratch' >"$CANARY/../Evil"
    ln -s "$WORK/Evil" Dockerfile
    build -q .
    [ "$status" = 1 ]
    rm Dockerfile && printf 'FROM scratch\nCOPY . /\n' >Dockerfile && ln -s "$CANARY/file" .dockerignore
    build -q -o "$WORK/out" .
    [ ! -e "$WORK/out/precious" ]
    rm .dockerignore
    mkdir sub && mv Dockerfile sub/ && ln -s sub/Dockerfile Dockerfile # legal twin
    build -q .
    ok
}
@test "RUN --mount: source, id and target cannot leave their places" {
    mkdir d && echo in >d/f
    for m in "source=$CANARY,target=/m" 'source=../canary,target=/m' 'source=../../../../../../etc/shadow,target=/m' \
        'type=cache,id=../../../../x,target=/m' "type=cache,id=$CANARY,target=/m" 'type=cache,target=/m,from=busybox:test,source=../../..' \
        'source=d,target=../../../m' 'source=d,target=/proc/self' 'source=d,target=/proc' 'source=d,target=/dev/../proc/1' \
        'type=tmpfs,target=/proc' 'type=tmpfs,target=/sys/fs' 'type=secret,id=../../canary/file,target=/m'; do
        one "RUN --mount=$m cat /m/file /m 2>/dev/null; touch /m/evil 2>/dev/null; grep -c . /proc/self/status"
        build .
        [[ $stderr != *precious* && $stderr != *root:*:*:* ]] || { echo "$m" >&2; show_try; return 1; }
        same "$BEFORE" "$(tree_hash "$CANARY")"
    done
    ! find "$WORK" "$DEWAR_STORE" -maxdepth 3 -name evil | grep . || return 1
    store_is_clean
}
@test "a mount target that is a link of the image stays in the root" {
    echo x >f
    one "RUN ln -s $CANARY /m && ln -s ../../../../../../../../$CANARY /n && ln -s /home /legal" \
        'RUN --mount=type=cache,target=/m/c touch /m/c/x; true' 'RUN --mount=source=f,target=/n/file cat /n/file; true' \
        'RUN --mount=type=tmpfs,target=/legal/user touch /home/user/x'
    build .
    same "$BEFORE" "$(tree_hash "$CANARY")"
    one 'RUN ln -s /home /legal' 'RUN --mount=type=tmpfs,target=/legal/user touch /home/user/x && grep -q " /home/user tmpfs" /proc/mounts'
    build .
    ok
}
@test "two builds that exchange folders in a shared cache reach nothing outside" {
    printf 'FROM busybox:test\nRUN --mount=type=cache,id=swap,target=/c mkdir -p /c/a; ln -sfn %s /c/b; for i in $(seq 300); do mv -T /c/a /c/t 2>/dev/null; mv -T /c/b /c/a 2>/dev/null; mv -T /c/t /c/b 2>/dev/null; done; true\n' "$CANARY" >Dockerfile
    "$DEWAR" build -q --no-cache . >/dev/null 3>&- &
    swapper=$!
    mkdir "$WORK/v"
    for i in 1 2 3 4 5 6; do
        printf 'FROM busybox:test\nRUN --mount=type=cache,id=swap,target=/c --mount=type=tmpfs,target=/c/a cat /c/b/file 2>/dev/null; touch /c/a/evil-%s; true\n' "$i" >"$WORK/v/Dockerfile"
        build "$WORK/v"
        [[ $stderr != *precious* ]]
    done
    wait $swapper || :
    same "$BEFORE" "$(tree_hash "$CANARY")"
}

# --- relaxations come from the caller alone (A13) -----------------------------------------------------
@test "a Dockerfile cannot switch the sandbox off" {
    for s in insecure INSECURE 0 1 none unconfined ''; do
        one "RUN --security=$s true"
        build .
        [ "$status" = 1 ] || { echo "$s" >&2; return 1; }
        err_has Dockerfile:2
    done
    one 'RUN grep -E "^(Seccomp|CapEff|CapBnd):" /proc/self/status > /s' 'ENV container=x' 'LABEL io.containers.capabilities=all'
    dewar build -q -o out .
    grep -q 'Seccomp:[[:space:]]*2' out/s
    one '# comment' 'RUN --security=sandbox true' # legal twin
    build .
    ok
    one 'RUN --security=insecure true'
    build --allow security.insecure .
    ok
}
@test "# syntax= and BUILDKIT_SYNTAX run nothing" {
    printf '# syntax=evil.example/frontend:1\nFROM scratch\nLABEL a=b\n' >Dockerfile
    try timeout 10 "$DEWAR" build -q --build-arg BUILDKIT_SYNTAX=evil/x .
    ok
}

# --- nothing of the image is executed or loaded outside (A11) -----------------------------------------
@test "programs and libraries of the image are never run outside of it" {
    need_root # traced, newuidmap has no privilege
    need_program strace
    mkdir t
    for p in xz gzip zstd tar sh git; do printf '#!/bin/sh\ntouch %s/pwned\n' "$CANARY" >t/$p; done
    chmod 755 t/*
    one 'COPY t /bin/' 'COPY t /usr/bin/' 'COPY --chown=user t /x' 'WORKDIR /w'
    strace -f -qq -e trace=execve -o "$WORK/trace" "$DEWAR" build -q . >/dev/null
    [ ! -e "$CANARY/pwned" ]
    ! grep execve "$WORK/trace" | grep -E 'layers/|/usr/bin/(xz|gzip|zstd|tar|git)"' | grep -v ENOENT || return 1
}

# --- hostile images (B8, B9, B10) ---------------------------------------------------------------------
@test "passwd and group that are links, pipes, devices or huge do no harm" {
    for make in 'ln -sf /dev/zero /etc/passwd' 'rm /etc/passwd; mkfifo /etc/passwd' "ln -sf $CANARY/file /etc/passwd" \
        'head -c 20000000 /dev/zero > /etc/passwd' 'rm /etc/passwd; mkdir /etc/passwd' 'yes user:x:1000:1000::/:/bin/sh | head -c 3000000 > /etc/passwd'; do
        one "RUN $make" 'USER user' 'RUN id' 'WORKDIR /w'
        try timeout 30 "$DEWAR" build -q .
        [ "$status" != 124 ] || { echo "$make" >&2; return 1; }
    done
    one "RUN mv /etc/passwd /etc/real && ln -s /etc/real /etc/passwd" 'USER user' 'RUN test $(id -u) = 1000' # legal twin
    build .
    ok
}
@test "a numeric user is a number, within bounds, whatever passwd says" {
    try_user() { one 'RUN echo "1:x:0:0::/:/bin/sh" >> /etc/passwd; echo "00:x:0:0::/:/bin/sh" >> /etc/passwd; echo "-1:x:0:0::/:/bin/sh" >> /etc/passwd' "USER $1" 'RUN id -u > /tmp/id; true'; build -o "$WORK/u" .; }
    try_user 1 && same 1 "$(cat "$WORK/u/tmp/id")"
    for u in 4294967296 4294967295 99999999999999999999 0x0 1:4294967296; do
        rm -rf "$WORK/u"
        try_user "$u"
        [ "$status" = 1 ] || { echo "$u gave $(cat "$WORK/u/tmp/id")" >&2; return 1; }
    done
}
@test "the environment of the caller does not reach RUN or the image" {
    one 'RUN env > /env; cat /proc/1/environ >> /env 2>/dev/null; true' 'ARG KEPT'
    SENTINEL=leak AWS_SECRET=leak LD_PRELOAD='' dewar build -q -o out .
    ! grep -a leak out/env || return 1
    # legal twin: what is asked for
    one 'ARG SENTINEL' 'RUN test "$SENTINEL" = asked'
    SENTINEL=asked dewar build -q --build-arg SENTINEL .
}

# --- names and sizes (A17, F5) ------------------------------------------------------------------------
@test "names that look like paths are refused or are names" {
    for name in .. ../x a/../b /abs 'a b' $'a\nb' "$(printf 'a%.0s' {1..5000})"; do
        printf 'FROM busybox:test AS %s\n' "$name" >Dockerfile
        build -q .
        [ "$status" = 1 ] || { printf '%s\n' "$name" >&2; return 1; }
        one 'RUN true'
        build -q -t "$name" .
        [ "$status" != 0 ] || { printf '%s\n' "$name" >&2; return 1; }
    done
}
@test "limits: a huge Dockerfile, many stages, deep folders, long names" {
    { echo FROM scratch; head -c 40000000 /dev/zero | tr '\0' '#'; } >Dockerfile
    build -q .
    [ "$status" = 1 ]
    for i in $(seq 1100); do echo "FROM scratch AS s$i"; done >Dockerfile
    build -q .
    [ "$status" = 1 ]
    printf 'FROM scratch\nCOPY . /\n' >Dockerfile
    (for _ in $(seq 600); do mkdir d && cd d || exit; done)
    build -q .
    fails 1 deeper
    rm -rf d
    n=$(printf 'n%.0s' {1..255}) && mkdir "$n" && touch "$n/$n" # legal twin
    dewar build -q -o "$WORK/o" .
    [ -e "$WORK/o/$n/$n" ]
}
@test "ADD of a bomb, of a cut archive and of one that leads out" {
    need_program python3
    python3 - "$CANARY" <<'PY'
import io, sys, tarfile
def tar(name, *members):
    with tarfile.open(name, 'w') as t:
        for path, kind, link in members:
            m = tarfile.TarInfo(path)
            m.type, m.linkname = kind, link
            data = b'' if kind != tarfile.REGTYPE else b'evil'
            m.size = len(data)
            t.addfile(m, io.BytesIO(data))
R, S, L = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
c = sys.argv[1]
tar('dots.tar', ('../../../../../../../..' + c + '/evil', R, ''))
tar('abs.tar', (c + '/evil', R, ''))
tar('link.tar', ('l', S, c), ('l/evil', R, ''))
tar('hard.tar', ('h', L, c + '/file'), ('h', R, ''))
tar('up.tar', ('h', L, '../../../../../../..' + c + '/file'))
tar('self.tar', ('.', S, c), ('evil', R, ''))
tar('legal.tar', ('run', S, '/var'), ('f', R, ''), ('h', L, 'f'))
PY
    for f in dots abs link hard up self; do
        printf 'FROM busybox:test\nADD %s.tar /x/\n' $f >Dockerfile
        build -q -o "$WORK/o-$f" .
        same "$BEFORE" "$(tree_hash "$CANARY")" || { echo $f >&2; return 1; }
        ! grep -rqs precious "$WORK/o-$f" || return 1
    done
    printf 'FROM busybox:test\nADD legal.tar /x/\n' >Dockerfile
    dewar build -q -o "$WORK/legal" .
    same evil "$(cat "$WORK/legal/x/h")" && same /var "$(readlink "$WORK/legal/x/run")" || return 1
    tar -cf cut.tar /bin/busybox 2>/dev/null && truncate -s 100000 cut.tar
    printf 'FROM scratch\nADD cut.tar /x/\n' >Dockerfile
    build -q .
    [ "$status" = 1 ]
    store_is_clean
}
@test "terminal codes in output and names do not reach the terminal raw" {
    one 'RUN printf "\033]0;owned\007\033[2J"'
    try dewar build --progress auto .
    ok
    touch $'evil\033[2J'
    printf 'FROM scratch\nCOPY nothing-\033[2J /\n' >Dockerfile
    build .
    [ "$status" = 1 ]
    [[ $stderr != *$'\033[2J'* ]]
}
