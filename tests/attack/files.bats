#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=attack,run
# What a running container tries while its files are copied: cp, export, diff and commit (A10, A11:
# CVE-2018-15664, CVE-2019-14271, CVE-2019-10152, CVE-2026-41568, CVE-2026-42306 and their kind), each
# with its legal twin.
load ../e2e/helpers

PROBE=${TOOLS:-$(dirname "$DEWAR")/../../tests/tools}/probe
EACH=${ATTACK_SECONDS:-4} # seconds
dewar() { timeout 20 "$DEWAR" "$@"; } # nothing may wait for ever

# In the container /x/a and /x/b change places all the time: a folder with a file, and a link to the
# canary. At the canary's path the container has files of its own: what a link may lead to.
test_setup() {
    CANARY=$BATS_TEST_TMPDIR/canary
    mkdir -p "$CANARY/sub"
    echo secret >"$CANARY/file"
    echo secret >"$CANARY/sub/file"
    BEFORE=$(tree_hash "$CANARY")
    mkdir payload && echo payload >payload/file && echo payload >payload/new
}
test_teardown() {
    dewar rm -f box >/dev/null 2>&1 || true
    [ "$(tree_hash "$CANARY")" = "$BEFORE" ] || { echo "the canary changed" >&2; return 1; }
}
# swapper LINK: the container. What /x/b is a link to.
swapper() {
    dewar run -d --network none --name box -v "$PROBE:/probe:ro" "$IMG" sh -c \
        "mkdir -p /x/a/sub $CANARY/sub; echo honest >/x/a/file; echo honest >/x/a/sub/file; echo decoy >$CANARY/file; echo decoy >$CANARY/sub/file; ln -s $1 /x/b; : >/ready; exec /probe exchange /x a b 0" >/dev/null
    for _ in $(seq 200); do
        dewar exec box test -e /ready && return 0
        sleep 0.05
    done
    return 1
}
# during FUNCTION: again and again for some seconds; $turns is how often. Its commands may fail, but
# none hangs.
during() {
    local end=$((SECONDS + EACH))
    turns=0
    while [ $SECONDS -lt $end ]; do
        "$1" >/dev/null 2>>errors || [ $? != 124 ] || return 1
        turns=$((turns + 1))
    done
    : "$turns"
}
no_secret() {
    ! grep -rq secret "$@" || { echo "the canary's content came out" >&2; return 1; }
}

@test "A10: cp into a folder that changes places with a link to the host" {
    local link
    for link in "$CANARY" "../../../../../../../../../..$CANARY" "/proc/1/root$CANARY" "/proc/self/root$CANARY"; do
        swapper "$link"
        in_all() {
            dewar cp payload/file box:/x/a/file
            dewar cp payload/. box:/x/a
            dewar cp -a payload box:/x/a/sub
            tar -C payload -cf - . | dewar cp - box:/x/a/sub
            tar --transform 's,^\.,x/a/sub,' -C payload -cf - ./new | dewar cp - box:/
        }
        EACH=2 during in_all
        [ "$turns" -gt 1 ]
        same "$(tree_hash "$CANARY")" "$BEFORE" || return 1
        dewar rm -f box >/dev/null
    done
}

@test "A10: cp out of a folder that changes places with a link to the host" {
    local link
    for link in "$CANARY" "../../../../../../../../../..$CANARY" "/proc/1/root$CANARY"; do
        swapper "$link"
        out_all() {
            dewar cp box:/x/a/file "out/file.$RANDOM"
            dewar cp box:/x/a "out/a.$RANDOM"
            dewar cp -L box:/x/b "out/b.$RANDOM"
            dewar cp box:/x/a/. - | tar -xO >"out/tar.$RANDOM"
        }
        mkdir -p out
        EACH=2 during out_all
        [ "$turns" -gt 1 ]
        [ -n "$(ls out)" ]
        no_secret out
        dewar rm -f box >/dev/null
    done
}

@test "A10: a link that came out is not written through by the next copy to the same place" {
    swapper "$CANARY"
    mkdir out
    again() { dewar cp box:/x/. out; }
    during again
    [ "$turns" -gt 3 ]
    # The honest answer to a link where a folder comes is an error.
    ln -sfn "$CANARY" out/fixed
    dewar rm -f box >/dev/null
    dewar run --network none --name box -q $IMG sh -c 'mkdir -p /y/fixed; echo x >/y/fixed/file; echo x >/y/fixed/new'
    try dewar cp box:/y/. out
    fails 1 "cannot overwrite non-directory"
    same "$(ls "$CANARY")" $'file\nsub'
}

@test "A10: export and commit while folders change places; diff too" {
    swapper "$CANARY"
    all() {
        dewar export -o out.tar box && tar -xOf out.tar x >content 2>/dev/null
        dewar diff box
        dewar commit --pause=false box result:1
    }
    during all
    [ "$turns" -gt 1 ]
    dewar export -o out.tar box
    mkdir out && tar -xf out.tar -C out x
    no_secret out content
    dewar run --rm -q --network none result:1 sh -c "cat /x/a/file /x/b/file" >content 2>&1 || true
    no_secret content
    store_is_clean
}

@test "A10 twin: a bind below an absolute link of the image, a link inside, a link that is swapped for its like" {
    mkdir bound && echo bound >bound/file
    dewar run -d --network none --name box -v "$PWD/bound:/var/run/x" $IMG sh -c 'ln -s /var/run/x /abs; ln -s var/run/x /rel; sleep 300' >/dev/null
    for _ in $(seq 100); do dewar exec box test -L /rel && break; sleep 0.05; done
    local path
    for path in /var/run/x /run/x /abs /rel /abs/../x; do
        dewar cp "box:$path/file" came && same "$(cat came)" bound || return 1
        echo "in by $path" >f
        dewar cp f "box:$path/f" && same "$(cat bound/f)" "in by $path" || return 1
        dewar cp f "box:$path" && rm bound/f || return 1
    done
    # A tar of a person's own goes through the container's links, as tar in the container would.
    tar -C bound --transform 's,^,var/run/x/deep/,' -cf - file | dewar cp - box:/
    same "$(cat bound/deep/file)" bound
}

@test "A10: what is read is never a pipe that waits, a device, or another file than was looked at" {
    dewar run -d --network none --name box -v "$PROBE:/probe:ro" $IMG sh -c \
        'mkdir /x; echo honest >/x/a; mkfifo /x/b; : >/ready; exec /probe exchange /x a b 0' >/dev/null
    for _ in $(seq 100); do dewar exec box test -e /ready && break; sleep 0.05; done
    pipe() {
        rm -rf out
        dewar cp box:/x out
        [ $? != 124 ] || return 124
        dewar cp box:/x/a one
        [ $? != 124 ] || return 124
        dewar cp payload/file box:/x/a
    }
    during pipe
    [ "$turns" -gt 3 ]
    if is_root; then # nodes in a layer
        dewar rm -f box >/dev/null
        mkdir -p n/x && mknod n/x/null c 1 3 && mknod n/x/mem c 1 1
        tar -C n -cf - . | dewar image import - nodes:1 >/dev/null
        dewar create --name box --network none nodes:1 /no >/dev/null
        dewar export box | tar -tv | grep -q '^crw.* x/mem'
        try dewar cp box:/x nodes
        ok && err_has "device node" && [ ! -e nodes/mem ] && [ ! -e nodes/null ] || return 1
    fi
}

@test "A10: names and archives that lead out are refused, the same ones inside (the twins) are not" {
    dewar run -d --network none --name box $IMG sleep 300 >/dev/null
    local name
    for name in ../up ../../../../../../../../../..$CANARY/up "$CANARY/up" a/../../up; do
        tar --absolute-names --transform "s,^file\$,$name," -C payload -cf evil.tar file
        try sh -c "$DEWAR cp - box:/tmp <evil.tar"
        fails 1 "$(basename "$name")"
    done
    same "$(dewar exec box sh -c 'find / -xdev -name up | wc -l')" 0
    # Through a link that the archive itself brings: inside the container, never further.
    mkdir e && ln -s "$CANARY" e/l && tar -C e -cf evil.tar l && rm e/l && mkdir e/l && echo new >e/l/up && tar -C e -rf evil.tar l/up
    dewar exec box mkdir -p "$CANARY"
    try sh -c "$DEWAR cp - box:/tmp <evil.tar"
    ok
    same "$(dewar exec box cat "$CANARY/up")" new
    # A hard link to what is not in the archive: refused outside, found (the twin) in the container.
    link_tar() {
        python3 -c 'import sys, tarfile
t = tarfile.open(fileobj=sys.stdout.buffer, mode="w|")
i = tarfile.TarInfo("linked"); i.type = tarfile.LNKTYPE; i.linkname = sys.argv[1]; t.addfile(i)
t.close()' "$1"
    }
    link_tar "../../..$CANARY/file" >evil.tar
    try sh -c "$DEWAR cp - box:/etc <evil.tar"
    fails 1 "leads out"
    link_tar "/..$CANARY/file" >evil.tar
    try sh -c "$DEWAR cp - box:/etc <evil.tar"
    [ "$status" = 1 ]
    link_tar passwd >twin.tar
    try sh -c "$DEWAR cp - box:/etc <twin.tar"
    ok
    same "$(dewar exec box head -c 5 /etc/linked)" root:
}

@test "A10: setuid programs and attributes of a container do not come out as the caller's" {
    dewar run --network none --name box -q $IMG sh -c 'cp /bin/busybox /tmp/su; chmod 6755 /tmp/su; mkdir /tmp/d; chmod 2777 /tmp/d'
    dewar cp box:/tmp/su . && same "$(stat -c %a su)" 755 || return 1
    dewar cp -a box:/tmp/su kept && same "$(stat -c %a kept)" 6755
}

@test "A11: nothing of a container is executed or loaded by who looks into it" {
    need_root # traced, newuidmap has no privilege
    need_program strace
    need_program gcc
    printf '__attribute__((constructor)) void f(void) { __builtin_trap(); }\n' >t.c
    gcc -shared -fPIC -o trojan.so t.c
    dewar run -d --network none --name box $IMG sleep 300 >/dev/null
    local lib name
    for lib in libisal.so.2 libnss_files.so.2 libnss_compat.so.2 libc.so.6 libgcc_s.so.1; do
        dewar exec box mkdir -p /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu
        dewar cp trojan.so "box:/lib/x86_64-linux-gnu/$lib"
        dewar cp trojan.so "box:/usr/lib/x86_64-linux-gnu/$lib"
    done
    for name in tar gzip xz zstd newuidmap; do dewar cp -q trojan.so "box:/usr/bin/$name"; done
    tar -C payload -czf payload.tgz .
    traced() {
        strace -f -qq -e trace=execve,execveat,mmap,setns,pivot_root,openat -o trace sh -c "$1" >/dev/null 2>err || { cat err >&2; return 1; }
        # Behind setns or pivot_root a process maps no file to be executed and executes nothing.
        awk '$2 ~ /^(setns|pivot_root)\(/ { in_[$1] = 1 }
             in_[$1] && ($2 ~ /^execve(at)?\(/ || ($0 ~ /PROT_EXEC/ && $0 !~ /MAP_ANONYMOUS/) || $0 ~ /openat\(AT_FDCWD, "[^"]*\.so[.0-9]*"/)' trace >bad
        [ ! -s bad ] || { head bad >&2; return 1; }
        grep -Eq "^[0-9]+ +(setns|pivot_root)\(" trace # it did go inside
    }
    traced "$DEWAR cp box:/etc/passwd out"
    traced "$DEWAR cp payload box:/tmp/"
    traced "$DEWAR cp - box:/tmp <payload.tgz"
    traced "$DEWAR export -o out.tar box"
    dewar stop -t 0 box >/dev/null
    traced "$DEWAR cp box:/etc/passwd out"
    traced "$DEWAR cp - box:/tmp <payload.tgz"
    traced "$DEWAR export -o out.tar box"
    for name in diff commit; do
        strace -f -qq -e trace=execve -o trace "$DEWAR" $name box >/dev/null
        same "$(grep execve trace | grep -vcF -e "execve(\"$DEWAR\"" \
            -e "execve(\"${DEWAR%/*}/../libexec/dewar/dewar-layers\"")" 0 || return 1
    done
}

@test "A10: a container that makes files without end is copied in the end, or refused" {
    dewar run -d --network none --name box $IMG sh -c 'mkdir /x; i=0; while :; do i=$((i+1)); : >/x/$i; rm -f /x/$((i-50)); done' >/dev/null
    sleep 0.5
    try timeout 60 "$DEWAR" cp box:/x out
    ok
    try timeout 60 "$DEWAR" export -o out.tar box
    ok
    try timeout 60 "$DEWAR" commit --pause=false box endless:1
    ok
    # A folder deeper than descriptors reach is refused, and nothing of it is left open or hanging.
    dewar rm -f box >/dev/null
    dewar run --network none --name box -q $IMG sh -c 'mkdir /d; cd /d; i=0; while [ $i -lt 1200 ]; do mkdir d; cd d; i=$((i+1)); done'
    try timeout 60 "$DEWAR" cp box:/d deep
    fails 1 "nested deeper"
    rm -rf deep
}
