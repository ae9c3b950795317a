#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=run,slow
# kill -9 in the middle of `run`: the next command works, and nothing is left of what was killed. A
# sample here; KILL_POINTS="1 2 3 ..." widens it.
load helpers

@test "run killed at any system call leaves nothing for the next command to trip over" {
    need_program strace
    for call in mkdirat mknodat openat clone3 sendmsg renameat unlinkat write fsmount move_mount flock \
        socketpair fsconfig recvmsg close setsid sendto; do
        for at in ${KILL_POINTS:-1 2 4}; do
            strace -f -qq -o /dev/null -e "inject=$call:signal=KILL:when=$at" "$DEWAR" run --rm -q \
                --network none --name victim -v /anon $IMG true >/dev/null 2>&1 || true
            try timeout 20 "$DEWAR" run --rm -q --network none --name victim $IMG echo fine
            ok && same "$output" fine || return 1
            left=$(find "$DEWAR_STORE/containers" "$DEWAR_STORE/volumes" "$DEWAR_RUN/containers" \
                -mindepth 1 -maxdepth 1 ! -name names)
            same "$call $at: $left" "$call $at: "
            same "$(ls "$DEWAR_STORE/containers/names")" ""
        done
    done
    dewar system prune -f >/dev/null
    same "$(ls "$DEWAR_STORE/trash")" ""
}

@test "the program dies with a killed monitor, whoever it runs as" {
    local user i
    for user in 0 1000 0:1000; do
        mkfifo life  # whose reader sees the end of file when the program is gone
        chmod 777 .
        dewar run --rm -q --network none -u "$user" -v ./:/w $IMG \
            sh -c 'echo up >/w/up; exec sleep 30' >life 2>/dev/null 3>&- &
        client=$!
        exec 8<life
        for i in $(seq 100); do [ -e up ] && break || sleep 0.1; done
        program=$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$DEWAR_RUN"/containers/*/state)
        [ -e up ] && [ -n "$program" ] || return 1
        kill -9 "$(ps -o ppid= -p "$program" | tr -d ' ')"
        timeout 5 cat <&8
        exec 8<&-
        rm -f up life
        wait "$client" || true # by id: bats has a child of its own for the time limit
    done
}
