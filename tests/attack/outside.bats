#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=attack,run,build
# What must never cross the wall: terminals and device nodes by path, programs and libraries of the
# image run outside, secrets in files that stay, restrictions that were not set. Each with its legal
# twin.
load ../e2e/helpers

R() { dewar run --rm -q --network none "$@"; }

file_setup() {
    mkdir -p "$BATS_FILE_TMPDIR/canary"
    echo secret >"$BATS_FILE_TMPDIR/canary/file"
}
test_setup() {
    CANARY=$BATS_FILE_TMPDIR/canary
    BEFORE=$(tree_hash "$CANARY")
    ctx
}
test_teardown() {
    [ "$(tree_hash "$CANARY")" = "$BEFORE" ] || { echo "the canary changed" >&2; return 1; }
}
new_root() { mkdir root && tar -xf "$BATS_RUN_TMPDIR/rootfs-$(id -u).tar" -C root --no-same-owner; }
pack() {
    local name=$1
    shift
    tar -C root --owner=0 --group=0 --numeric-owner -c . | dewar image import "$@" - "$name" >/dev/null
}
one() {
    printf '%s\n' "FROM ${BASE:-busybox:test}" "$@" >Dockerfile
}
# terminal COMMAND...: runs it with a terminal and prints what it said.
terminal() { on_tty "$(printf '%q ' "$@")" || true; }

# --- terminals and /dev (A5, A7) ----------------------------------------------------------------------
@test "A5: the console is the peer of our own pty, whatever lies in /dev/pts" {
    need_program script bsdutils
    new_root
    mkdir -p root/dev/pts
    for n in 0 1 2; do ln -s "$CANARY/file" "root/dev/pts/$n"; done
    ln -s "$CANARY/file" root/dev/console
    pack console:1
    for img in $IMG console:1; do
        out=$(terminal "$DEWAR" run --rm -q --network none -t "$img" sh -c \
            'stat -c %t /dev/console; stat -f -c %T /dev/console; tty; cat /proc/mounts | grep " /dev/console "')
        grep -qx 88 <<<"$out" || { echo "$out" >&2; return 1; }
        grep -q '^devpts /dev/console devpts' <<<"$out" || { echo "$out" >&2; return 1; }
        ! grep -q secret <<<"$out" || return 1
    done
}

@test "A5: a volume on /dev/pts that changes all the time does not become the console" {
    need_program script bsdutils
    mkdir pts
    (while :; do
        for n in 0 1 ptmx; do ln -sf "$CANARY/file" pts/$n; done
        rm -f pts/0 pts/1 pts/ptmx
        : >pts/0
        : >pts/ptmx
    done) 3>&- &
    racer=$!
    for _ in $(seq 15); do
        terminal "$DEWAR" run --rm -q --network none -t -v "$PWD/pts:/dev/pts" $IMG sh -c \
            'stat -c "kind %t" /dev/console; cat /dev/pts/0 /dev/pts/1 </dev/null' >>seen 2>&1 || true
    done
    kill $racer
    wait $racer || true
    [ "$(grep -c '^kind 88' seen)" = 15 ] || { sort seen | uniq -c >&2; return 1; }
    ! grep -q '^secret' seen || return 1
}

@test "A7: an image whose /dev is a link gets no device set up outside; twin: a folder" {
    for to in "../../../../../../..$CANARY" "$CANARY" /etc ../tmp; do
        rm -rf root && new_root
        rm -rf root/dev && ln -s "$to" root/dev
        pack dev:1
        for flags in "" "--device /dev/null:/dev/extra" "--device /dev/zero:$CANARY/zero" "-t" "--init" "--tmpfs /dev/shm"; do
            # shellcheck disable=SC2086
            try R $flags dev:1 true
            fails 125
        done
        BASE=dev:1 one 'RUN true'
        try dewar build -q .
        fails 1 "'/dev'"
        BASE=dev:1 one 'RUN --mount=type=tmpfs,target=/dev/shm/x true'
        try dewar build -q .
        fails 1
    done
    is_root || return 0
    try R --device /dev/zero:/dev/deep/er/zero $IMG sh -c 'head -c 3 /dev/deep/er/zero | wc -c'
    ok && same "$output" 3 || return 1
}

# --- nothing of the image runs outside (A11) -----------------------------------------------------------
# Programs and libraries that a careless engine would run or load after it has entered the image. Each
# leaves a mark where it runs; inside the container that is allowed.
trojans() {
    local p
    mkdir -p root/usr/bin root/usr/lib/x86_64-linux-gnu root/lib/x86_64-linux-gnu root/usr/libexec/dewar
    for p in xz gzip zstd tar git newuidmap newgidmap ld.so nft getent dewar-init dewar-seccomp mount ip; do
        for d in bin usr/bin sbin usr/sbin usr/libexec/dewar; do
            rm -f root/$d/$p
            printf '#!/bin/sh\necho x >/pwned-%s\n' "$p" >root/$d/$p
            chmod 755 root/$d/$p
        done
    done
    for p in libnss_files.so.2 libnss_compat.so.2 libnss_trojan.so.2 libc.so.6 libgcc_s.so.1 libisal.so.2; do
        cp "$(command -v busybox)" root/lib/x86_64-linux-gnu/$p
        cp "$(command -v busybox)" root/usr/lib/x86_64-linux-gnu/$p
    done
    printf 'passwd: trojan files\ngroup: trojan files\nhosts: trojan\n' >root/etc/nsswitch.conf
    echo /lib/x86_64-linux-gnu/libnss_trojan.so.2 >root/etc/ld.so.preload
    mkdir -p root/etc/cdi && echo '{}' >root/etc/cdi/x.json
}
# What goes on with the work of a verb that reads or writes layers.
layers() { echo "execve(\"${DEWAR%/*}/../libexec/dewar/dewar-layers\""; }
# traced COMMAND...: what was executed and what was mapped to be executed, by whatever process.
traced() {
    strace -f -qq -y -e trace=execve,mmap,openat -o trace "$DEWAR" "$@" >out 2>err </dev/null
    rc=$?
    # Programs: ours, and what the container was asked to run (inside.sh and what that runs).
    grep -E 'execve\(' trace | grep -v ENOENT | grep -vF -e "execve(\"$DEWAR\"" -e "$(layers)" |
        grep -vE 'execve\("(/inside(\.sh)?|/dev/\.dewar-init|/bin/(sh|true|busybox))"' >bad || true
    # Libraries: of the host's folders only, never through the store or the root of the image.
    grep -E 'mmap\(.*PROT_EXEC.*[0-9]+</' trace | grep -vE '[0-9]+</(usr/)?lib(64|32)?/' >>bad || true
    grep -E 'PROT_EXEC.*(store/|layers/|libnss|trojan)' trace >>bad || true
    # By an absolute path only the C library's own machinery opens these; layers are read as data.
    grep -E 'openat\(AT_FDCWD[^,]*, "/[^"]*(libnss|nsswitch|ld\.so\.preload)[^"]*",.* = [0-9]' trace >>bad || true
    [ ! -s bad ] || { echo "dewar $*:" >&2; cut -c1-200 bad | head >&2; return 1; }
    return $rc
}

@test "A11: programs and libraries of an image are neither executed nor loaded outside of it" {
    need_root # traced, newuidmap has no privilege
    need_program strace
    new_root
    trojans
    printf '#!/bin/sh\nexit 0\n' >root/inside && chmod 755 root/inside
    pack trojan:1
    traced run --rm -q --network none trojan:1 /inside
    traced run --rm -q --network none -u user --init trojan:1 /inside
    traced run --rm -q --network host -u user:extra -w /home/user -v "$PWD:/v" trojan:1 /inside
    printf 'root\ntrace\n*.tar*\nout\nerr\nbad\n' >.dockerignore
    BASE=trojan:1 one 'RUN /inside' 'USER user' 'RUN ["/inside"]' 'WORKDIR /w' 'COPY --chown=user:extra Dockerfile /d' \
        'RUN --mount=type=cache,target=/c --mount=type=bind,target=/b /inside'
    traced build -q --no-cache -t trojan:2 .
    grep -q 'execve("/inside"' trace # the twin: inside it runs
    for form in gzip zstd none; do
        traced save --compress $form -o a.tar trojan:2 || traced save -o a.tar trojan:2
        dewar rmi trojan:2 >/dev/null
        traced load -i a.tar
    done
    tar -C root -c . | xz -0 >r.tar.xz
    traced image import r.tar.xz trojan:3
    tar -C root -cJf sub.tar.xz etc
    echo '!sub.tar.xz' >>.dockerignore
    BASE=trojan:1 one 'ADD sub.tar.xz /x/'
    traced build -q .
    traced history trojan:2
    traced inspect trojan:2
    [ -z "$(find . -xdev -name 'pwned-*')" ]
}

# --- binds that are written to (A15) -------------------------------------------------------------------
@test "A15: what a step writes to a bind mount is nowhere afterwards" {
    echo before >file
    mark=mark-$RANDOM-$RANDOM
    one "RUN --mount=type=bind,target=/m,rw echo $mark | tr a-z A-Z >/m/new; cat /m/new >/m/file; rm /m/Dockerfile; ls /m >&2" \
        'RUN --mount=type=bind,target=/m ls /m >/seen; cat /m/file >>/seen'
    cp Dockerfile ../Dockerfile.saved
    try dewar build -q .
    ok
    id=$output
    same before "$(cat file)"
    cmp Dockerfile ../Dockerfile.saved
    [ ! -e new ]
    try R "$id" cat /seen
    ok && has before && lacks new && lacks "${mark^^}" || return 1
    ! grep -rq "${mark^^}" "$DEWAR_STORE" "$DEWAR_RUN" 2>/dev/null || return 1
}

# --- the key holds what a step can see (A16) -----------------------------------------------------------
@test "A16: owner and mode of a secret, a cache and a bind are in the key" {
    echo s >secret
    last=''
    seen=' '
    for m in type=secret,id=s type=secret,id=s,mode=0444 type=secret,id=s,uid=7 type=secret,id=s,gid=7 \
        type=secret,id=s,mode=0444,env=V type=bind,target=/run/secrets type=bind,target=/run/secrets,rw \
        type=cache,target=/c,mode=0700 type=cache,target=/c,uid=9 type=cache,target=/c,gid=9 \
        type=tmpfs,target=/c type=tmpfs,target=/c,size=1m; do
        one "RUN --mount=$m od -N8 -tx1 /dev/urandom >/n; ls -ln /run/secrets >>/n 2>&1 || true"
        try dewar build -q --secret id=s,src=secret .
        ok
        [[ $seen != *" $output "* ]] || { echo "$m was taken from the cache" >&2; return 1; }
        seen+="$output "
        try dewar build -q --secret id=s,src=secret .
        ok # the twin: the same again is a hit
        [[ $seen == *" $output "* ]] || { echo "$m was not remembered" >&2; return 1; }
    done
}

# --- the caller's environment (B10) --------------------------------------------------------------------
@test "B10: variables without a value in an image's config take nothing from the caller" {
    need_program python3
    new_root
    pack plain:1 --change 'ENV GOOD=1'
    dewar save -o in.tar plain:1
    mkdir a && tar -xf in.tar -C a
    python3 - <<'END'
import hashlib, json, os
os.chdir('a')
m = json.load(open('manifest.json'))
path = m[0]['Config']
c = json.load(open(path))
c['config']['Env'] += ['AWS_SECRET', '*', '=x', '', 'SENTINEL', 'LD_PRELOAD']
text = json.dumps(c).encode()
hexa = hashlib.sha256(text).hexdigest()
new = os.path.join(os.path.dirname(path), hexa + ('.json' if path.endswith('.json') else ''))
open(new, 'wb').write(text)
m[0]['Config'] = new
m[0]['RepoTags'] = ['evil:1']
json.dump(m, open('manifest.json', 'w'))
for extra in ('index.json', 'oci-layout'):
    if os.path.exists(extra): os.remove(extra)
END
    tar -C a -cf out.tar .
    try dewar load -q -i out.tar
    if [ "$status" != 0 ]; then return 0; fi # refused is as good
    export AWS_SECRET=leaked SENTINEL=leaked
    try R evil:1 sh -c 'env; tr "\0" "\n" </proc/1/environ'
    ok && lacks leaked && has GOOD=1 || return 1
    BASE=evil:1 one 'RUN env >/env; tr "\0" "\n" </proc/1/environ >>/env; grep GOOD=1 /env'
    try dewar build -q .
    ok
    try R "$output" cat /env
    ok && lacks leaked || return 1
    ! dewar inspect "$(build_id)" | grep -q leaked || return 1
}

# --- secrets that stay behind (F1) ---------------------------------------------------------------------
@test "F1: a secret is in no file, record, history or command line; an env file and a build argument neither" {
    s=Sentinel$RANDOM$RANDOM$RANDOM
    printf '%s-file' "$s" >../secret
    printf 'TOKEN=%s-envfile\n' "$s" >../env
    export FROM_ENV=$s-env ARGUMENT=$s-arg
    hits() {
        ! grep -raq "$s" "$DEWAR_STORE" "$DEWAR_RUN" 2>/dev/null || { grep -rac "$s" "$DEWAR_STORE" "$DEWAR_RUN" | grep -v ':0$' >&2; return 1; }
    }
    one 'ARG ARGUMENT' 'RUN --mount=type=secret,id=a --mount=type=secret,id=b,env=B test "$(cat /run/secrets/a)" != "$B" && test -n "$ARGUMENT"' \
        'RUN --mount=type=secret,id=a,target=/deep/secret --mount=type=cache,target=/c cat /deep/secret | wc -c >/c/n; for i in 1 2 3 4 5 6; do sleep 0.2; done; exit 3'
    "$DEWAR" build --progress plain --secret id=a,src=../secret --secret id=b,env=FROM_ENV --build-arg ARGUMENT . >log 2>&1 3>&- &
    pid=$!
    for _ in $(seq 20); do
        ! grep -aqs "$s" /proc/[0-9]*/cmdline || { echo "on a command line" >&2; return 1; }
        sleep 0.05
    done
    wait $pid || true
    ! grep -q "$s" log || return 1
    hits
    sed -i 's/exit 3/true/' Dockerfile
    dewar build -q --secret id=a,src=../secret --secret id=b,env=FROM_ENV --build-arg ARGUMENT -t kept:1 . >/dev/null
    hits
    ! dewar history --no-trunc kept:1 | grep -q "$s" || return 1
    ! dewar inspect kept:1 | grep -q "$s" || return 1
    dewar save -o all.tar kept:1
    ! grep -aq "$s" all.tar || return 1
    try R --env-file ../env $IMG sh -c 'test -n "$TOKEN"'
    ok # the twin: it did arrive
    for _ in $(seq 200); do # the monitor frees the record when the command has ended
        [ -n "$(ls -A "$DEWAR_STORE/trash")" ] || break
        sleep 0.05
    done
    hits
}

# --- users and restrictions of steps (D2, D10) ---------------------------------------------------------
@test "D2: the groups of a step are those of its user, no more and no fewer" {
    one 'RUN echo x >/neg; chgrp extra /neg; chmod 0604 /neg; mkdir -m 777 /o; id -G >/o/root' 'USER user' \
        'RUN id -G >/o/user; cat /neg >/o/neg 2>/dev/null; true' 'USER 1234' 'RUN id -G >/o/1234; cat /neg >/o/neg1234' 'USER 1000:55' 'RUN id -G >/o/55'
    try dewar build -q .
    ok
    try R "$output" sh -c 'cd /o; for f in root user 1234 55 neg neg1234; do echo $f=$(cat $f); done'
    ok
    same "$output" $'root=0\nuser=1000 10 1001\n1234=0\n55=55\nneg=\nneg1234=x'
}

@test "B8: a user in a million groups is refused in time; twin: one in a thousand groups" {
    new_root
    for n in 600000 1000; do # 9 MB of them, below the cap
        seq 100000 $((100000 + n)) | sed 's/.*/::&:user/' >root/etc/group
        pack groups:$n
        try timeout 10 "$DEWAR" run --rm -q --network none -u user groups:$n id -G
        if [ $n = 1000 ]; then ok; else fails 125 groups; fi
    done
}

@test "D10: a step whose restrictions cannot be set does not run" {
    need_root # traced, newuidmap has no privilege
    need_program strace
    one 'USER 1000:1000' 'RUN echo star""ted'
    for call in seccomp capset setresuid setresgid setgroups; do
        try strace -f -qq -o /dev/null -e inject=$call:error=EPERM "$DEWAR" build --no-cache --progress plain .
        fails 1
        [[ $stderr != *started* ]] || { echo "$call failed and it ran" >&2; return 1; }
    done
    for call in seccomp setresuid setresgid; do
        try strace -f -qq -o /dev/null -e inject=$call:retval=0 "$DEWAR" build --no-cache --progress plain .
        fails 1
        [[ $stderr != *started* ]] || { echo "$call was not done and it ran" >&2; return 1; }
    done
    try strace -f -qq -o /dev/null -e trace=none "$DEWAR" build --no-cache --progress plain .
    ok
    [[ $stderr == *started* ]]
}
