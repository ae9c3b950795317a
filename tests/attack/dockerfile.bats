# SPDX-License-Identifier: Apache-2.0
# Dockerfiles that want more than a build may give: mount options that reach the host, ids that are
# paths, modes that switch the sandbox off, bombs. Each with its legal twin.
load ../e2e/helpers

test_setup() {
    ctx
    mkdir "$WORK/canary"
    echo precious >"$WORK/canary/file"
    echo inside >file
    CANARY=$(tree_hash "$WORK/canary")
}
canary_unchanged() { same "$CANARY" "$(tree_hash "$WORK/canary")"; }
run_line() {
    printf 'FROM busybox:test\n%s\n' "$1" >Dockerfile
    try dewar build -q .
}

@test "a bind mount's source stays in the context" {
    ln -s "$WORK/canary" out
    run_line 'RUN --mount=type=bind,source=../canary,target=/m cat /m/file'
    fails 1
    run_line 'RUN --mount=type=bind,source=/../../../../../etc,target=/m cat /m/passwd'
    fails 1
    run_line 'RUN --mount=type=bind,source=out,target=/m cat /m/file'
    fails 1
    run_line 'RUN --mount=type=bind,source=/,target=/m test "$(cat /m/file)" = inside'
    ok
    canary_unchanged
}

@test "writes to a bind mount reach neither the context nor the canary" {
    run_line 'RUN --mount=type=bind,source=file,target=/m/file,rw echo changed > /m/file'
    same inside "$(cat file)"
    run_line 'RUN --mount=type=bind,target=/m touch /m/new'
    fails 1
    [ ! -e new ]
    canary_unchanged
}

@test "mount options are a known set, nothing is handed through" {
    local option
    for option in bind-propagation=rshared,suid propagation=shared options=suid o=bind dev exec \
        'target=/y,bind-propagation=rprivate'; do
        run_line "RUN --mount=type=bind,target=/x,$option true"
        fails 1 'Dockerfile:2'
    done
    run_line 'RUN --mount=type=bind,target=/ true'
    fails 1 "cannot be put at '/'"
    run_line 'RUN --mount=type=bind,target=/x,readonly true'
    ok
}

@test "a cache id is a name, never a path" {
    run_line 'RUN --mount=type=cache,id=../../../../../../../../../../../tmp/evil-cache,target=/c touch /c/x'
    ok
    [ ! -e /tmp/evil-cache ]
    run_line 'RUN --mount=type=cache,id=../../../../../../../../../../../tmp/evil-cache,target=/d test -e /c/x || test -e /d/x'
    ok
    canary_unchanged
}

@test "a mount target that is a link is followed inside the new root only" {
    run_line "RUN ln -s $WORK/canary /link && ln -s ../../../../../../$WORK/canary /up"
    ok
    printf 'RUN --mount=type=tmpfs,target=/link/sub touch /link/sub/x\nRUN --mount=type=tmpfs,target=/up/sub touch /up/sub/x\n' >>Dockerfile
    try dewar build -q .
    canary_unchanged
}

@test "a Dockerfile alone cannot switch the sandbox off" {
    local mode
    for mode in insecure 1 2 INSECURE unconfined ''; do
        run_line "RUN --security=$mode grep -q Seccomp /proc/self/status"
        fails 1
    done
    run_line 'RUN --security=sandbox grep -Eq "^Seccomp:[[:space:]]*2" /proc/self/status'
    ok
    run_line 'RUN --network=container:x true'
    fails 1 'default, none or host'
    run_line 'RUN --network=none true'
    ok
}

@test "a heredoc's name is a file name" {
    printf 'FROM busybox:test\nCOPY <<../../evil /d/\nx\n../../evil\n' >Dockerfile
    try dewar build -q .
    fails 1 'no file name'
    printf 'FROM busybox:test\nRUN <<../../evil\n#!/bin/sh\ntouch /made\n../../evil\nRUN test -e /made\n' >Dockerfile
    try dewar build -q .
    ok
    canary_unchanged
}

@test "expansion bombs end in time and in bounds" {
    {
        echo 'FROM scratch'
        echo 'ENV a=0123456789012345678901234567890123456789'
        for _ in 1 2 3 4 5 6 7 8; do echo 'ENV a=$a$a$a$a$a$a$a$a'; done
    } >Dockerfile
    try timeout 20 "$DEWAR" build -q .
    fails 1 'longer than'
    {
        echo 'FROM scratch'
        printf 'ENV a='
        head -c 20000 /dev/zero | tr '\0' a
        # shellcheck disable=SC2016
        printf '\nENV b=${a//*a*a*a*a*a*a*b/x}\n'
    } >Dockerfile
    try timeout 20 "$DEWAR" build -q .
    [ "$status" != 124 ]
    { echo FROM scratch; printf 'ENV a='; for _ in $(seq 500); do printf '${x:-'; done; echo; } >Dockerfile
    try timeout 20 "$DEWAR" build -q .
    fails 1 'levels'
}

@test "a Dockerfile and an ignore file that are links out of the context are not followed out" {
    printf 'FROM scratch\nLABEL a=b\n' >"$WORK/canary/Dockerfile"
    ln -s ../canary/Dockerfile Dockerfile
    try dewar build -q .
    [ "$status" = 0 ] || fails 1
    rm Dockerfile
    printf 'FROM scratch\nCOPY file /\n' >Dockerfile
    ln -s /etc/shadow .dockerignore
    try dewar build -q .
    [[ $stderr != *root:* ]] || { show_try; return 1; }
}

@test "a step lists keys and has things signed; it changes nothing in the agent" {
    need_program ssh-agent openssh-client
    local probe=${TOOLS:-$(dirname "$DEWAR")/../../tests/tools}/probe
    eval "$(ssh-agent -a "$WORK/agent" 3>&- 8>&-)" >/dev/null
    ssh-keygen -q -t ed25519 -N '' -f "$WORK/key" && ssh-add -q "$WORK/key"
    mode=$(stat -c %a "$WORK/agent")
    cp "$probe" probe
    # 9 and 19 remove all keys, 17, 25, 20 and 26 add one, 18 removes one, 22 locks, 23 unlocks, 27
    # is an extension; 13 without its fields is refused by the agent.
    printf 'FROM busybox:test\nCOPY probe /\nRUN --mount=type=ssh /probe agent "$SSH_AUTH_SOCK" 11 9 19 17 25 20 26 18 22 23 27 1 0 255 13 11 >/said\n' >Dockerfile
    dewar build -q --ssh default -o out .
    same '12 5 5 5 5 5 5 5 5 5 5 5 5 5 5 12' "$(paste -sd' ' out/said)"
    same 1 "$(ssh-add -l | wc -l)"
    same "$mode" "$(stat -c %a "$WORK/agent")"
    kill "$SSH_AGENT_PID"
}

@test "a step that floods the agent's socket holds up itself alone, and sees nothing of who listens" {
    need_program ssh-agent openssh-client
    local probe=${TOOLS:-$(dirname "$DEWAR")/../../tests/tools}/probe
    eval "$(ssh-agent -a "$WORK/agent" 3>&- 8>&-)" >/dev/null
    cp "$probe" probe
    {
        echo 'FROM busybox:test'
        echo 'COPY probe /'
        echo 'RUN --mount=type=ssh /probe agent "$SSH_AUTH_SOCK" 11 huge >/huge; /probe agent "$SSH_AUTH_SOCK" hold 11 >/flood; /probe agent "$SSH_AUTH_SOCK" 11 >/after'
        echo 'RUN --mount=type=ssh /probe fds >/fds; ls /proc | grep -c "^[0-9]" >/processes'
    } >Dockerfile
    try timeout 60 "$DEWAR" build -q --ssh default -o out .
    ok
    [[ $(paste -sd' ' out/huge) =~ ^12\ (closed|ECONNRESET)$ ]]
    same 12 "$(cat out/flood)"
    same 12 "$(cat out/after)"
    same '0 1 2 ' "$(cat out/fds)"
    [ "$(cat out/processes)" -le 4 ]
    kill "$SSH_AGENT_PID"
}
