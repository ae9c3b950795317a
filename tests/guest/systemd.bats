#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Control groups where systemd gives them out: an ordinary user asks the manager of their session over
# the user bus, an OCI runtime with --systemd-cgroup that of the system. Runs in the guest of
# tests/guest/run --systemd.
load ../e2e/helpers

TOP=/sys/fs/cgroup
ID=4242
wait_for() {
    for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
    echo "waited in vain for: $*" >&2
    return 1
}

# A user with a manager of their own, as after a login; what the test does stays outside of it, as the
# shell of an ssh session does.
file_setup() {
    [ "$(cat /proc/1/comm)" = systemd ] || { echo "not the guest" >&2; return 1; }
    useradd -m -u $ID -s /bin/bash guest
    grep -q ^guest: /etc/subuid || echo guest:300000:65536 | tee -a /etc/subuid >>/etc/subgid
    mkdir -p -m 755 /run/user
    install -d -m 700 -o guest /run/user/$ID
    cat >/run/systemd/system/guest-user.service <<END
[Unit]
DefaultDependencies=no
[Service]
User=guest
Slice=user.slice
Type=notify
Delegate=pids memory cpu
Environment=XDG_RUNTIME_DIR=/run/user/$ID DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$ID/bus HOME=/home/guest
ExecStart=/lib/systemd/systemd --user --unit=dbus.socket
END
    systemctl daemon-reload
    systemctl start guest-user.service
    as_guest dbus-send --session --dest=org.freedesktop.DBus --print-reply / org.freedesktop.DBus.GetId
    install -m 644 "$BATS_RUN_TMPDIR/rootfs-0.tar" /tmp/guest.tar
    guest import /tmp/guest.tar user:1
}
as_guest() {
    # The store on a tmpfs: an overlay cannot lie on an overlay.
    env -i PATH="$PATH" HOME=/home/guest XDG_RUNTIME_DIR=/run/user/$ID DEWAR_STORE=/tmp/guest-store \
        DEWAR_RUN=/run/user/$ID/dewar setpriv --reuid $ID --regid $ID --clear-groups "$@"
}
guest() { as_guest "$DEWAR" "$@"; }
group_of() { sed -n 's/.*"cgroup":"\([^"]*\)".*/\1/p' "/run/user/$ID/dewar/containers/$1/state"; }
scopes() { find $TOP -name '*.scope' ! -name init.scope; }
# systemd removes a scope when it hears that the last process has left it, a moment after we did: waited for, but not
# long. A scope of systemd-run's own, whose program is killed, takes as long (0.1 to 0.3 seconds in the emulator).
no_scope() { [ -z "$(scopes)" ]; }
HOG='exec awk "BEGIN { x = 0123456789; for (;;) x = x x }"'

@test "a user's limits lie in a scope of their manager, and everything of the container with them" {
    id=$(guest run -d -q --network none -m 32m --memory-swap 32m --pids-limit 40 user:1 sleep 1000)
    group=$(group_of "$id")
    [[ $group == /user.slice/guest-user.service/*/dewar-${id:0:32}.scope/dewar-${id:0:32} ]]
    same "$(cat "$TOP$group/memory.max" "$TOP$group/pids.max")" $'33554432\n40'
    # The limits are the container's; systemd adds none of its own around them.
    same "$(cat "$TOP${group%/*}/pids.max" "$TOP${group%/*}/memory.max")" $'max\nmax'
    same "$(wc -l <"$TOP$group/cgroup.procs")" 1
    # A program of exec comes from a group that is not the user's: the manager lets it in.
    same "$(guest exec "$id" sh -c 'cat /proc/self/cgroup; cat /sys/fs/cgroup/pids.max')" $'0::/\n40'
    guest update -m 16m --memory-swap 16m --cpus 0.5 "$id"
    same "$(cat "$TOP$group/memory.max" "$TOP$group/cpu.max")" $'16777216\n50000 100000'
    guest pause "$id"
    grep -qx 'frozen 1' "$TOP$group/cgroup.events"
    guest unpause "$id"
    try guest exec "$id" sh -c "$HOG"
    same "$status" 137
    guest stop -t 0 "$id"
    same "$(guest inspect --type container --format '{{.State.OOMKilled}}' "$id")" true
    guest rm "$id"
    wait_for no_scope
}

@test "pause and update of a container that was started without a group make one" {
    id=$(guest run -d -q --network none user:1 sh -c 'sleep 1000 & sleep 1000')
    same "$(group_of "$id")" ""
    guest pause "$id"
    group=$(group_of "$id")
    [[ $group == *.scope/dewar-* ]]
    same "$(wc -l <"$TOP$group/cgroup.procs")" 2
    guest unpause "$id"
    guest update --pids-limit 44 "$id"
    same "$(cat "$TOP$group/pids.max")" 44
    kill -9 "$(sed -n 's/.*"monitor":\([0-9]*\).*/\1/p' "/run/user/$ID/dewar/containers/$id/state")"
    guest rm -f "$id"
    wait_for no_scope
}

@test "what the manager does not give away is named; without a bus the error says how to get one" {
    try guest run --rm -q --network none --cpuset-cpus 0 user:1 true
    fails 125 "'cpuset' is not available"
    try as_guest env -u XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS=unix:path=/nowhere \
        "$DEWAR" run --rm -q --network none -m 32m user:1 true
    fails 125 "'memory' is not available"
    wait_for no_scope
}

bundle() {
    rm -f b/config.json
    mkdir -p b/rootfs && (cd b && tar -C rootfs -xf "$BATS_RUN_TMPDIR/rootfs-0.tar" && dewar oci spec &&
        jq ".linux.cgroupsPath = \"$1\" | .process.terminal = false | .process.args = [\"sleep\", \"1000\"] |
            .linux.resources.memory.limit = 33554432 | .linux.resources.pids.limit = 40" config.json >c && mv c config.json)
}
oci() { timeout 60 "$DEWAR" oci --root "$WORK/state" --systemd-cgroup "$@"; }
# Without our pipes in it.
make() { oci create "$@" </dev/null >out 2>&1 3>&- || { cat out >&2; return 1; }; }
test_teardown() {
    local id
    for id in $(dewar oci --root "$WORK/state" list -q 2>/dev/null); do dewar oci --root "$WORK/state" delete -f "$id"; done
    for id in $(guest ps -aq); do guest rm -f "$id"; done
}

# property NAME...: what systemd says of the scope, one a line.
property() { systemctl show dewar-one.scope "${@/#/--property=}" | sort; }

@test "an OCI container with --systemd-cgroup has its scope, slice and limits, and leaves none" {
    bundle guests.slice:dewar:one
    jq '.linux.resources.memory += {reservation: 16777216, swap: 50331648} | .linux.resources.cpu = {shares: 512,
        quota: 25500, period: 100000, cpus: "0", mems: "0"}' b/config.json >c && mv c b/config.json
    before=$(cat /proc/self/cgroup)
    make --bundle b --pid-file pid one
    group=/guests.slice/dewar-one.scope/container
    same "$(cat "/proc/$(cat pid)/cgroup")" "0::$group"
    same "$(cat /proc/self/cgroup)" "$before"
    same "$(ls -d $TOP/guests.slice/dewar-one.scope/*/)" "$TOP$group/"
    same "$(cat $TOP$group/memory.max $TOP$group/pids.max)" $'33554432\n40'
    # The scope has them too, as properties: systemd shows them, and knows them when it reads all anew.
    local all=(MemoryMax MemoryLow MemorySwapMax TasksMax CPUWeight CPUQuotaPerSecUSec CPUQuotaPeriodUSec AllowedCPUs AllowedMemoryNodes)
    local want=$'AllowedCPUs=0\nAllowedMemoryNodes=0\nCPUQuotaPerSecUSec=260ms\nCPUQuotaPeriodUSec=100ms\nCPUWeight=20\nMemoryLow=16777216\nMemoryMax=33554432\nMemorySwapMax=16777216\nTasksMax=40'
    same "$(property "${all[@]}")" "$want"
    systemctl daemon-reload
    same "$(property "${all[@]}")" "$want"
    same "$(cat $TOP${group%/*}/pids.max $TOP${group%/*}/memory.max $TOP${group%/*}/cpu.max $TOP$group/cpu.max)" \
        $'40\n33554432\n26000 100000\n25500 100000'
    same "$(systemctl show -P Slice dewar-one.scope) $(systemctl show -P Description dewar-one.scope)" \
        "guests.slice container one"
    oci start one
    same "$(oci exec one cat /proc/self/cgroup)" "0::/"
    oci update --pids-limit 50 --memory 67108864 --cpu-quota -1 one
    same "$(cat $TOP$group/pids.max)" 50
    same "$(property TasksMax MemoryMax CPUQuotaPerSecUSec)" $'CPUQuotaPerSecUSec=infinity\nMemoryMax=67108864\nTasksMax=50'
    oci update --memory-swap 83886080 one # the sum; memory alone is as it was
    same "$(cat $TOP$group/memory.swap.max) $(property MemorySwapMax)" "16777216 MemorySwapMax=16777216"
    systemctl daemon-reload
    same "$(cat $TOP${group%/*}/pids.max $TOP$group/pids.max)" $'50\n50'
    jq -n '{memory: {limit: 1000000, checkBeforeUpdate: true}}' >small
    try oci update -r small one
    [ "$status" = 1 ] || [ "$(cat $TOP$group/memory.current)" -le 1000000 ]
    same "$(oci events --stats one | jq '.data.cpu.usage.total > 0')" true
    oci pause one
    grep -qx 'frozen 1' $TOP$group/cgroup.events
    oci resume one
    oci kill one KILL
    stopped() { oci state one | grep -q '"stopped"'; }
    wait_for stopped
    oci delete one
    wait_for no_scope
    ! systemctl status dewar-one.scope || return 1
}

@test "a path that names no scope is refused, and a name that is taken is said to be" {
    for path in /a/b 'x:y' 'x.slice:p:../../n' 'noslice:p:n' 'a.slice:p:n:m'; do
        bundle "$path"
        try make --bundle b --pid-file pid bad
        fails 1 cgroupsPath
        [ ! -e state/bad ]
    done
    bundle ::
    make --bundle b one
    bundle system.slice::one
    try make --bundle b two
    fails 1 "already"
    same "$(ls state | grep -v '^\.')" one
    oci delete --force one
    wait_for no_scope
}
