# SPDX-License-Identifier: Apache-2.0
# bats file_tags=run
# Namespaces of other containers and of the host: --pid, --ipc, --uts. As root and as an ordinary user,
# who enters the other container's user namespace for it.
load helpers

R() { dewar run --rm -q --network none "$@"; }
D() { dewar run -d -q --network none "$@"; }
ns() { readlink "/proc/self/ns/$1"; }
wait_for() {
    for _ in $(seq 200); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done
    echo "waited in vain for: $*" >&2
    return 1
}
test_teardown() { dewar ps -aq | xargs -r "$DEWAR" rm -f >/dev/null 2>&1 || true; }

@test "the modes that need nobody else" {
    for kind in pid ipc uts; do
        try R --$kind host $IMG readlink /proc/self/ns/$kind
        ok && same "$output" "$(ns $kind)" || return 1
        try R --$kind private $IMG readlink /proc/self/ns/$kind
        ok && differ "$output" "$(ns $kind)" || return 1
    done
    try R --ipc shareable $IMG readlink /proc/self/ns/ipc
    ok && differ "$output" "$(ns ipc)" || return 1
    same "$(R --uts host $IMG hostname)" "$(hostname)"
}

@test "the host's IPC comes with its /dev/shm, and none has neither" {
    local f
    f=$(mktemp /dev/shm/dewar-test.XXXXXX)
    echo here >"$f"
    try R --ipc host $IMG cat "$f"
    rm -f "$f"
    ok && same "$output" here || return 1
    try R --ipc host $IMG sh -c 'touch /dev/shm/x-dewar && rm /dev/shm/x-dewar; grep -c " /dev/shm .*nosuid,nodev,noexec" /proc/mounts'
    ok && same "$output" 1 || return 1
    try R --ipc none $IMG sh -c 'grep -c " /dev/shm " /proc/mounts; readlink /proc/self/ns/ipc'
    same "${lines[0]}" 0
    differ "${lines[1]}" "$(ns ipc)"
}

@test "--pid container:NAME sees and signals the processes of another container" {
    try R --pid container:nobody $IMG true
    fails 125 "No such container: nobody"
    D --name first $IMG sleep 4242
    try R --pid container:first $IMG ps
    ok && has "sleep 4242" || return 1
    try R --log-driver json-file --pid container:first $IMG sh -c 'echo $$; exit 6'
    fails 6
    [ "$output" -gt 1 ]
    # A container that joined can be joined, entered and started again.
    D --name second --pid container:first $IMG sleep 4343
    try R --pid container:second $IMG ps
    ok && has "sleep 4242" && has "sleep 4343" || return 1
    try dewar exec second ps
    ok && has "sleep 4242" || return 1
    dewar restart -t 0 second
    try dewar exec second ps
    ok && has "sleep 4242" && has "sleep 4343" || return 1
    dewar kill first
    same "$(timeout 10 "$DEWAR" wait first)" 137
    try R --pid container:first $IMG true
    fails 125 "not running"
}

@test "a container that is started anew is joined anew" {
    D --name donor $IMG sleep 4242
    D --name guest --pid container:donor $IMG sleep 4343
    dewar stop -t 0 donor guest && dewar start donor
    dewar start guest
    try dewar exec guest ps
    ok && has "sleep 4242" || return 1
}

@test "--ipc container:NAME shares /dev/shm and queues of a shareable container" {
    D --name closed $IMG sleep 60
    try R --ipc container:closed $IMG true
    fails 125 "non-shareable IPC" && err_has "--ipc shareable" || return 1
    D --name open --ipc shareable --shm-size 3m $IMG sh -c 'echo mine >/dev/shm/f; exec sleep 60'
    wait_for dewar exec open test -s /dev/shm/f
    try R --ipc container:open $IMG sh -c 'cat /dev/shm/f; echo yours >/dev/shm/g; readlink /proc/self/ns/ipc
        grep -c " /dev/mqueue mqueue" /proc/mounts; df -k /dev/shm | tail -1 | tr -s " " | cut -d" " -f2'
    ok && same "${lines[0]} ${lines[2]} ${lines[3]}" "mine 1 3072" || return 1
    same "${lines[1]}" "$(dewar exec open readlink /proc/self/ns/ipc)"
    same "$(dewar exec open cat /dev/shm/g)" yours
    try R --ipc container:open --sysctl kernel.msgmax=9000 $IMG true
    fails 125 "it shares another container's IPC"
    same "$(dewar inspect -f '{{.HostConfig.IpcMode}}' open)" shareable
}

@test "what a shareable container puts on /dev/shm is not followed out of it" {
    need_root
    D --name bad --ipc shareable --cap-add SYS_ADMIN --security-opt seccomp=unconfined $IMG \
        sh -c 'umount -l /dev/shm && rmdir /dev/shm && ln -s / /dev/shm && sleep 60'
    wait_for dewar exec bad test -L /dev/shm
    try R --ipc container:bad $IMG true
    fails 125 "is not a tmpfs of its own"
    D --name worse --ipc shareable --cap-add SYS_ADMIN --security-opt seccomp=unconfined $IMG \
        sh -c 'mount -t proc proc /dev/shm && sleep 60'
    wait_for dewar exec worse test -e /dev/shm/self
    try R --ipc container:worse $IMG true
    fails 125 "is not a tmpfs of its own"
    D --name linked --ipc shareable --cap-add SYS_ADMIN --security-opt seccomp=unconfined $IMG \
        sh -c 'umount -l /dev/shm && rmdir /dev/shm && ln -s /dev /dev/shm; exec sleep 60'
    wait_for dewar exec linked test -L /dev/shm
    try R --ipc container:linked $IMG true # a tmpfs it is, but another one
    fails 125 "is not a tmpfs of its own"
}

@test "--uts container:NAME has the other one's name" {
    D --name named --hostname called-so $IMG sleep 60
    try R --uts container:named $IMG sh -c 'hostname; cat /etc/hostname; readlink /proc/self/ns/uts'
    ok && same "${lines[*]:0:2}" "called-so called-so" || return 1
    same "${lines[2]}" "$(dewar exec named readlink /proc/self/ns/uts)"
    try R --uts container:named --hostname other $IMG true
    fails 125 "conflicting options: hostname and the UTS mode"
    try R --uts host --hostname other $IMG true
    fails 125 "conflicting options"
}

@test "several namespaces of one container at once, and of one that shares the host's" {
    D --name all --ipc shareable $IMG sleep 4242
    try R --pid container:all --ipc container:all --uts container:all $IMG sh -c 'ps; touch /dev/shm/x'
    ok && has "sleep 4242" || return 1
    D --name hosts --pid host --ipc host --uts host $IMG sleep 60
    try R --pid container:hosts --ipc container:hosts --uts container:hosts $IMG sh -c "for n in pid ipc uts; do readlink /proc/self/ns/\$n; done"
    ok && same "$output" "$(ns pid)"$'\n'"$(ns ipc)"$'\n'"$(ns uts)" || return 1
}

@test "containers with ids of their own can be joined, and what cannot work is one error" {
    need_user
    D --name mapped --userns keep-id:uid=1000,gid=1000 --ipc shareable $IMG sleep 4242
    try R --pid container:mapped --ipc container:mapped $IMG sh -c 'ps; touch /dev/shm/x; stat -c %u /dev/shm/x'
    ok && has "sleep 4242" || return 1
    try R --ipc container:mapped --userns nomap $IMG sh -c 'ls /dev/shm'
    ok && same "$output" x || return 1
    try R --pid container:mapped --userns keep-id:uid=1000,gid=1000 $IMG true
    fails 125 "contradict each other"
    D --name lone $IMG sleep 60
    try R --pid container:mapped --uts container:lone $IMG true
    fails 125 "is in another user namespace" && err_has "hint:" || return 1
}

@test "wrong modes name what is right" {
    for mode in "pid bogus" "pid shareable" "ipc container:" "uts none" "ipc containe:x"; do
        # shellcheck disable=SC2086
        set -- $mode
        try R "--$1" "$2" $IMG true
        fails 125 "invalid value '$2' for --$1" && err_has "host or container:NAME" || return 1
    done
}
