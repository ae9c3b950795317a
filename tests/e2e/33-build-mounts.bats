# SPDX-License-Identifier: Apache-2.0
# RUN --mount: every type with every option, and what must never remain of them.
load helpers

test_setup() { ctx; }
teardown_sockets() { [ -z "${AGENT:-}" ] || kill "$AGENT" 2>/dev/null || :; }
test_teardown() { teardown_sockets; }
build() { try dewar build --progress plain "$@"; }
# one LINE...: a Dockerfile of the test image and these lines.
one() { { echo FROM busybox:test; printf '%s\n' "$@"; } >Dockerfile; }

# --- bind -----------------------------------------------------------------------------------------
@test "bind is the default type, from the context, read-only, and leaves nothing" {
    mkdir d && echo x >d/f
    one 'RUN --mount=target=/m,source=d cat /m/f > /seen && ! touch /m/g 2>/dev/null && ! echo y > /m/f 2>/dev/null'
    dewar build -q -o out .
    same x "$(cat out/seen)"
    [ ! -e out/m ]
    same x "$(cat d/f)"
}
@test "bind: the whole context, one file, a relative target, dst and src" {
    mkdir d && echo x >d/f
    one 'WORKDIR /w' \
        'RUN --mount=type=bind,target=. test -e /w/d/f && cat d/f > /one' \
        'RUN --mount=type=bind,src=d/f,dst=/tmp/file cat /tmp/file > /two' \
        'RUN --mount=type=bind,source=/d/../d/,destination=sub cat sub/f > /three'
    dewar build -q -o out .
    same xxx "$(cat out/one out/two out/three | tr -d '\n')"
    [ ! -e out/w/sub ] && [ ! -e out/w/d ] || return 1
}
@test "bind rw: writes are seen by the step and discarded" {
    mkdir d && echo x >d/f
    before=$(tree_hash d)
    one 'RUN --mount=source=d,target=/m,rw echo y > /m/f && rm -f /m/gone && touch /m/new && cat /m/f > /seen' \
        'RUN --mount=source=d,target=/m,readwrite cat /m/f > /later; ! test -e /m/new'
    dewar build -q -o out .
    same y "$(cat out/seen)"
    same x "$(cat out/later)"
    same "$before" "$(tree_hash d)"
    ! grep -rqsx y "$DEWAR_STORE/tmp" 2>/dev/null || return 1
}
@test "bind from a stage, an image and a named context" {
    mkdir n && echo named >n/f
    { echo 'FROM busybox:test AS a'; echo 'RUN mkdir /d && echo stage > /d/f && chown 5:6 /d/f'
        echo FROM busybox:test
        echo 'RUN --mount=from=a,source=/d,target=/m cat /m/f > /one && stat -c %u:%g /m/f > /owner && ! touch /m/x 2>/dev/null'
        echo 'RUN --mount=from=a,source=/d/f,target=/file cat /file > /two'
        echo 'RUN --mount=from=busybox:test,target=/m test -e /m/etc/passwd'
        echo 'RUN --mount=from=named,target=/m cat /m/f > /three'
        echo 'RUN --mount=from=a,target=/m,rw echo changed > /m/d/f'
        echo 'RUN --mount=from=a,source=/d,target=/m cat /m/f > /four'; } >Dockerfile
    dewar build -q -o out --build-context named=n .
    same stage "$(cat out/one)" && same 5:6 "$(cat out/owner)" && same stage "$(cat out/two)" || return 1
    same named "$(cat out/three)" && same stage "$(cat out/four)" || return 1
}
@test "bind: a source that is not there, and / as a target, are errors with their line" {
    one 'RUN --mount=source=nope,target=/m true'
    build .
    fails 1 nope
    err_has Dockerfile:2
    one 'RUN --mount=source=.,target=/ true'
    build .
    fails 1 "'/'"
    one 'RUN --mount=type=bind true'
    build .
    fails 1 Dockerfile:2
}
@test "bind: a source is a name, not a pattern" {
    mkdir 'd[1]' d1 && echo right >'d[1]/f' && echo wrong >d1/f
    one 'RUN --mount=source=d[1],target=/m test "$(cat /m/f)" = right'
    build .
    ok
    one 'RUN --mount=source=*,target=/m true'
    build .
    fails 1 "'*'"
}
@test "bind: what .dockerignore leaves out is not there" {
    mkdir d && echo x >d/f && echo s >d/secret && echo d/secret >.dockerignore
    one 'RUN --mount=source=d,target=/m test -e /m/f && ! test -e /m/secret'
    build -q .
    ok
}
@test "stubs made for targets are gone, folders that were there stay" {
    echo x >f
    one 'RUN mkdir /have' 'RUN --mount=type=tmpfs,target=/have/a/b/c --mount=source=f,target=/have/d/file --mount=type=cache,target=/var/tmp/c true'
    dewar build -q -o out .
    [ -d out/have ] && [ -z "$(ls out/have)" ] || return 1
    [ -d out/var/tmp ] && [ -z "$(ls out/var/tmp)" ] || return 1
}
@test "a mount over files of the image hides them for the step only" {
    one 'RUN mkdir /d && echo below > /d/f' 'RUN --mount=type=tmpfs,target=/d test -z "$(ls /d)" && touch /d/x' 'RUN test "$(ls /d)" = f'
    build -q .
    ok
}
@test "options of another type, unknown ones and bad values are errors" {
    for m in type=nope,target=/m type=tmpfs,target=/m,uid=1 type=bind,source=.,target=/m,mode=1 \
        type=bind,source=.,target=/m,required type=cache,target=/m,sharing=often type=cache \
        type=secret type=tmpfs,target=/m,size=x type=cache,target=/m,mode=9 type=bind,source=.,target=/m,bogus=1 \
        type=cache,target=/m,uid=-1 type=bind,source=.,target=/m,propagation=rshared,suid; do
        one "RUN --mount=$m true"
        build -q .
        fails 1 Dockerfile:2 || { echo "with $m" >&2; return 1; }
    done
}

# --- tmpfs ----------------------------------------------------------------------------------------
@test "tmpfs is empty, writable, in memory, sized and gone afterwards" {
    one 'RUN --mount=type=tmpfs,target=/t,size=1m grep -q " /t tmpfs" /proc/mounts && touch /t/x && ! dd if=/dev/zero of=/t/big bs=64k count=64 2>/dev/null' \
        'RUN ! test -e /t'
    build .
    ok
}

# --- cache ----------------------------------------------------------------------------------------
@test "cache persists across builds and stages, is not in the layer and is owned as asked" {
    one 'RUN --mount=type=cache,target=/c echo one > /c/f' 'RUN --mount=type=cache,target=/c/ cat /c/f > /seen' \
        'RUN --mount=type=cache,target=/o,id=other,uid=7,gid=8,mode=0711 stat -c "%u:%g %a" /o > /owner' \
        'RUN --mount=type=cache,target=/d,id=default stat -c "%u:%g %a" /d > /default' \
        'RUN --mount=type=cache,target=/c,ro ! touch /c/g 2>/dev/null'
    dewar build -q -o out .
    same one "$(cat out/seen)"
    same '7:8 711' "$(cat out/owner)"
    same '0:0 755' "$(cat out/default)"
    [ ! -e out/c ]
    one 'RUN --mount=type=cache,target=/elsewhere,id=/c cat /elsewhere/f > /seen'
    rm -r out && dewar build -q -o out .
    same one "$(cat out/seen)"
}
@test "cache from a stage is filled once, also with one job" {
    { echo 'FROM busybox:test AS seed'; echo 'RUN sleep 0.2; mkdir /s && echo seeded > /s/f'
        echo FROM busybox:test; echo 'RUN --mount=type=cache,from=seed,source=/s,target=/c,id=seeded cat /c/f > /r && echo mine > /c/f'
        echo 'RUN --mount=type=cache,from=seed,source=/s,target=/c,id=seeded cat /c/f > /r2'; } >Dockerfile
    timeout 60 "$DEWAR" build -q --jobs 1 -o out .
    same seeded "$(cat out/r)"
    same mine "$(cat out/r2)"
}
@test "sharing: locked steps take turns, private ones get folders of their own" {
    par() {
        { for s in a b c; do echo "FROM busybox:test AS $s"; echo "RUN --mount=type=cache,id=$2,target=/c,sharing=$1 $3 > /r"; done
            echo FROM scratch; for s in a b c; do echo "COPY --from=$s /r /$s"; done; } >Dockerfile
        rm -rf out && dewar build -q --jobs 3 --no-cache -o out .
    }
    par locked lk 'n=$(cat /c/n 2>/dev/null || echo 0); sleep 0.3; echo $((n+1)) > /c/n; cat /c/n'
    same '1 2 3' "$(cat out/a out/b out/c | sort | xargs)"
    par private pr 'n=$(cat /c/n 2>/dev/null || echo 0); sleep 0.5; echo $((n+1)) > /c/n; cat /c/n'
    same '1 1 1' "$(cat out/a out/b out/c | sort | xargs)"
}
@test "builds that run at the same time share one cache mount" {
    for i in 1 2 3 4; do
        mkdir b$i && printf 'FROM busybox:test\nRUN --mount=type=cache,id=many,target=/c echo %s > /c/%s && sleep 0.2 && ls /c | wc -l > /n\n' $i $i >b$i/Dockerfile
    done
    for i in 1 2 3 4; do dewar build -q b$i >id$i & pids+=" $!"; done
    for p in $pids; do wait "$p"; done
    one 'RUN --mount=type=cache,id=many,target=/c ls /c > /all'
    dewar build -q -o out .
    same '1 2 3 4' "$(xargs <out/all)"
    store_is_clean
}

# --- secret ---------------------------------------------------------------------------------------
S=hunter2-very-secret
# nowhere TEXT: it is in no file of the store, compressed or not, and in no output.
nowhere() {
    ! grep -rqs "$1" "$DEWAR_STORE" "$DEWAR_RUN" || { grep -rls "$1" "$DEWAR_STORE" >&2; return 1; }
}
@test "secret: default place, owner and mode; a target, an id, uid, gid and mode of its own" {
    echo -n "$S" >"$WORK/s"
    one 'RUN --mount=type=secret,id=s [ "$(cat /run/secrets/s)" = '"$S"' ] && stat -c "%u:%g %a" /run/secrets/s > /one' \
        'RUN --mount=type=secret,id=s,target=/etc/x/s,uid=3,gid=4,mode=0440 stat -c "%u:%g %a" /etc/x/s > /two' \
        'RUN --mount=type=secret,target=/t/s [ "$(cat /t/s)" = '"$S"' ]' \
        'RUN --mount=type=secret,id=s ! { echo x > /run/secrets/s; } 2>/dev/null'
    dewar build -q --secret id=s,src="$WORK/s" -o out .
    same '0:0 400' "$(cat out/one)"
    same '3:4 440' "$(cat out/two)"
    [ ! -e out/run/secrets ] && [ ! -e out/etc/x ] && [ ! -e out/t ] || return 1
}
@test "secret: from the environment and into it" {
    one 'RUN --mount=type=secret,id=E,env=TOKEN test "$TOKEN" = value && ! test -e /run/secrets/E' \
        'RUN --mount=type=secret,id=E,env=TOKEN,target=/f test "$TOKEN" = "$(cat /f)"' 'RUN test -z "$TOKEN"' \
        'RUN --mount=type=secret,id=other,env=O test "$O" = value'
    E=value build --secret id=E --secret id=other,env=E .
    ok
    lacks value
}
@test "secret: type=env takes the variable's name from src, from env or from the id" {
    one 'RUN --mount=type=secret,id=MINE test "$(cat /run/secrets/MINE)" = abc'
    for given in id=MINE,type=env,src=OTHER id=MINE,type=env,env=OTHER; do OTHER=abc dewar build -q --no-cache --secret $given .; done
    MINE=abc dewar build -q --no-cache --secret id=MINE,type=env .
    build --no-cache --secret id=MINE,type=env,src=NOSUCH .
    fails 1 "the variable 'NOSUCH' is not set"
}
@test "secret: optional unless required; a file or variable that is not there is an error" {
    one 'RUN --mount=type=secret,id=s ! test -e /run/secrets/s'
    build . && ok
    one 'RUN --mount=type=secret,id=s,required true'
    build .
    fails 1 "'s'"
    err_has --secret
    one 'RUN --mount=type=secret,id=s,required=true true'
    build --secret id=s,src="$WORK/none" .
    fails 1 none
    build --secret id=s,env=NO_SUCH_VARIABLE .
    fails 1 NO_SUCH_VARIABLE
    one 'RUN --mount=type=secret,id=s true'
    build --secret id=s,scr="$WORK/none" .
    [ "$status" != 0 ]
    err_has scr
    build --secret src="$WORK/none" .
    [ "$status" != 0 ]
    err_has id
}
@test "secrets are in no layer, no record, no history and no file of the store" {
    need_program strings binutils
    echo "$S" >"$WORK/s"
    one 'RUN --mount=type=secret,id=s --mount=type=secret,id=s,env=TOKEN --mount=type=cache,target=/c sha256sum /run/secrets/s | cut -c1-8 > /used; sleep 0.5'
    dewar build -q -t with:secret --secret id=s,src="$WORK/s" . &
    pid=$!
    for _ in 1 2 3 4 5 6; do nowhere "$S" || { kill $pid; return 1; }; sleep 0.1; done
    wait $pid
    nowhere "$S"
    ! dewar history --no-trunc with:secret | grep "$S" || return 1
    ! dewar inspect with:secret | grep "$S" || return 1
    ! dewar save with:secret | strings | grep "$S" || return 1
}
@test "a failing step does not leave or print its secret" {
    echo "$S" >"$WORK/s"
    one 'RUN --mount=type=secret,id=s false'
    build --secret id=s,src="$WORK/s" .
    [ "$status" = 1 ]
    [[ $stderr != *"$S"* ]]
    nowhere "$S"
    store_is_clean
}

# --- ssh ------------------------------------------------------------------------------------------
PROBE=${TOOLS:-$(dirname "$DEWAR")/../../tests/tools}/probe
# agent SOCKET: one that answers as an agent without keys does, and writes down the types it is asked.
agent() {
    need_program python3
    python3 -c '
import socket, sys, threading
def serve(c):
    f = c.makefile("rb")
    while True:
        head = f.read(4)
        if len(head) < 4: return
        body = f.read(int.from_bytes(head, "big"))
        with open(sys.argv[1] + ".log", "a") as log: print(body[0], file=log)
        answer = {11: b"\x0c\0\0\0\0", 13: b"\x0e\0\0\0\0"}.get(body[0], b"\x05")
        c.sendall(len(answer).to_bytes(4, "big") + answer)
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen(64)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()' "$1" 3>&- &
    AGENT=$!
    for _ in $(seq 50); do [ -S "$1" ] && return; sleep 0.1; done
}
@test "ssh: the agent's socket is there, with SSH_AUTH_SOCK" {
    agent "$WORK/agent"
    one 'RUN --mount=type=ssh test -S "$SSH_AUTH_SOCK" && echo "$SSH_AUTH_SOCK" > /at' \
        'RUN --mount=type=ssh,id=x,target=/s test -S /s && test "$SSH_AUTH_SOCK" = /s' 'RUN test -z "$SSH_AUTH_SOCK"'
    SSH_AUTH_SOCK=$WORK/agent dewar build -q --ssh default --ssh x="$WORK/agent" -o out .
    same /run/buildkit/ssh_agent.0 "$(cat out/at)"
    [ ! -e out/run/buildkit ] && [ ! -e out/s ] || return 1
}
@test "ssh: the step's socket has the owner and mode that are asked for, the agent's keeps its own" {
    agent "$WORK/agent"
    chmod 600 "$WORK/agent"
    before=$(stat -c '%u:%g %a' "$WORK/agent")
    cp "$PROBE" probe
    one 'COPY probe /' \
        'RUN --mount=type=ssh test "$(stat -c "%u:%g %a" "$SSH_AUTH_SOCK")" = "0:0 600" && /probe agent "$SSH_AUTH_SOCK" 11' \
        'RUN --mount=type=ssh,mode=0640,uid=1000,gid=1001,target=/run/a/s test "$(stat -c "%u:%g %a" /run/a/s)" = "1000:1001 640"' \
        'USER 1000' \
        'RUN --mount=type=ssh,uid=1000 /probe agent "$SSH_AUTH_SOCK" 11 > /tmp/mine' \
        'RUN --mount=type=ssh,mode=666 /probe agent "$SSH_AUTH_SOCK" 11 13 > /tmp/open' \
        'RUN --mount=type=ssh /probe agent "$SSH_AUTH_SOCK" 11 > /tmp/closed; test $? = 1'
    dewar build -q --ssh default="$WORK/agent" -o out .
    same 12 "$(cat out/tmp/mine)"
    same '12 14' "$(paste -sd' ' out/tmp/open)"
    same EACCES "$(cat out/tmp/closed)"
    same "$before" "$(stat -c '%u:%g %a' "$WORK/agent")"
}
@test "ssh: an agent that goes away, and one that nobody answers for, are no more than that to the step" {
    cp "$PROBE" probe
    python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$WORK/dead"
    one 'COPY probe /' 'RUN --mount=type=ssh /probe agent "$SSH_AUTH_SOCK" 11 > /said; test $? = 1'
    dewar build -q --ssh default="$WORK/dead" -o out .
    same 1 "$(grep -cE '^(closed|EPIPE|ECONNRESET)$' out/said)"
}
@test "ssh: what is no agent and no key, the same name twice and a missing socket are refused before any step" {
    agent "$WORK/agent"
    echo 'not a key' >key
    chmod 600 key
    one 'RUN false'
    build --ssh default=. .
    fails 1 'is not the socket of an agent'
    build --ssh default="$WORK/agent" --ssh default="$WORK/agent" .
    fails 1 "'default' is given twice"
    build --ssh a="$WORK/agent" --ssh b="$WORK/nosuch" .
    fails 1 nosuch
    need_program ssh-agent openssh-client
    build --ssh default=key .
    fails 1 "ssh-add takes no key from it: Error loading key \"key\""
    err_has 'not its .pub'
    build --ssh default=key,nosuch .
    fails 1 "'nosuch' is not a file"
    ssh-keygen -q -t ed25519 -N secret -f locked
    build --ssh default=locked .
    fails 1 'passphrase for locked'
    err_has 'ssh-add FILE'
    chmod 644 locked
    build --ssh default=locked .
    fails 1 'too open'
    err_has 'chmod 600'
}
@test "ssh: files of keys get an agent of their own, which ends with the build" {
    need_program ssh-agent openssh-client
    ssh-keygen -q -t ed25519 -N '' -f one
    ssh-keygen -q -t ecdsa -N '' -f two
    cp "$PROBE" probe
    one 'COPY probe /' 'RUN --mount=type=ssh /probe agent "$SSH_AUTH_SOCK" keys >/n' \
        'RUN --mount=type=ssh,id=both /probe agent "$SSH_AUTH_SOCK" keys >>/n' \
        'RUN --mount=type=ssh,id=none test -z "$SSH_AUTH_SOCK"'
    SSH_AUTH_SOCK=/nosuch dewar build -q --ssh default=one --ssh both=one,two -o out .
    same '1 2' "$(paste -sd' ' out/n)"
    local n=78$BATS_TEST_NUMBER$$
    one "RUN --mount=type=ssh sleep $n"
    "$DEWAR" build -q --ssh default=one . >log 2>&1 3>&- &
    pid=$!
    for _ in $(seq 100); do pgrep -x -f "sleep $n" >/dev/null && break; sleep 0.05; done
    family=$(family_of "$pid")
    ps -o comm= -p "$(paste -sd, <<<"$family")" | grep -qx ssh-agent
    kill -KILL "$pid"
    wait "$pid" || true
    for _ in $(seq 100); do [ -z "$(alive $family)" ] && break; sleep 0.05; done
    same '' "$(alive $family)"
}
@test "ssh: nothing of it is left when the step has ended or the build is killed" {
    agent "$WORK/agent"
    local n=77$BATS_TEST_NUMBER$$
    one 'RUN --mount=type=ssh test -S "$SSH_AUTH_SOCK"'
    dewar build -q --ssh default="$WORK/agent" .
    one "RUN --mount=type=ssh sleep $n"
    "$DEWAR" build -q --ssh default="$WORK/agent" . >log 2>&1 3>&- &
    pid=$!
    for _ in $(seq 100); do pgrep -x -f "sleep $n" >/dev/null && break; sleep 0.05; done
    family=$(family_of "$pid")
    # The step's worker, the step's first process, and who listens for it.
    [ "$(wc -w <<<"$family")" -ge 3 ] || { echo "only: $family"; return 1; }
    kill -KILL "$pid"
    wait "$pid" || true
    for _ in $(seq 100); do [ -z "$(alive $family)" ] && break; sleep 0.05; done
    same '' "$(alive $family)"
    store_is_clean
}
family_of() {
    local p
    for p in $(pgrep -P "$1"); do echo "$p"; family_of "$p"; done
}
alive() {
    local p
    for p in "$@"; do grep -qs '^State:.[^Z]' "/proc/$p/status" && echo "$p"; done
    true
}
@test "ssh: optional unless required, and an agent that is not there is an error" {
    one 'RUN --mount=type=ssh test -z "$SSH_AUTH_SOCK"'
    build . && ok
    one 'RUN --mount=type=ssh,required true'
    build .
    fails 1 --ssh
    build --ssh default="$WORK/none" .
    fails 1 none
    unset SSH_AUTH_SOCK
    one 'RUN --mount=type=ssh true'
    build --ssh default .
    fails 1 SSH_AUTH_SOCK
}

# --- limits ---------------------------------------------------------------------------------------
@test "--ulimit, --shm-size and --add-host reach RUN" {
    one 'RUN test "$(ulimit -n)" = 100 && grep -q "1.2.3.4.*there" /etc/hosts && df -k /dev/shm | grep -q " 2048 "'
    build --ulimit nofile=100:100 --shm-size 2m --add-host there:1.2.3.4 .
    ok
    build --ulimit nope=1 .
    [ "$status" != 0 ]
    err_has nope
}
