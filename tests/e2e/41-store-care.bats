# SPDX-License-Identifier: Apache-2.0
# Cleaning up while things go wrong.
load helpers

deny_syscall() {
    local tool
    tool=$(dirname "$DEWAR")/../../tests/tools/deny-syscall
    [ -x "$tool" ] || tool=$TESTS_DIR/../build/tests/tools/deny-syscall
    [ -x "$tool" ] || skip "deny-syscall is not built beside the program"
    "$tool" "$@"
}

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
