#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Every option of Docker's container commands is obeyed, or answered with one line that says why not.
load helpers

R() { dewar run --rm -q --network none "$@"; }
D() { dewar run -q -d --network none "$@"; }
group() { find "/sys/fs/cgroup/$1" -name "dewar-${2:0:32}" 2>/dev/null | head -1; }
# A whole disk that has a queue; limits for it hurt nobody.
disk() {
    local name
    for name in /sys/block/*; do
        name=/dev/$(basename "$name")
        [ -b "$name" ] && [[ $name != /dev/ram* ]] && echo "$name" && return
    done
    return 1
}

@test "no option of Docker's commands is unknown" {
    while read -r verb flags; do
        for flag in $flags; do
            # The second one ends it before anything is done.
            try dewar ${verb//_/ } "--$flag=1" --no-such-flag-at-all
            [ "$status" != 0 ] || return 1
            [[ $stderr != *"unknown flag: '--$flag'"* ]] || { echo "$verb --$flag: $stderr" >&2; return 1; }
        done
    done <<'EOF'
run add-host annotation attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems detach detach-keys device device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops disable-content-trust dns dns-opt dns-option dns-search domainname entrypoint env env-file expose gpus group-add health-cmd health-interval health-retries health-start-interval health-start-period health-timeout hostname init interactive io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory label label-file link link-local-ip log-driver log-opt mac-address memory memory-reservation memory-swap memory-swappiness mount name net network network-alias net-alias no-healthcheck oom-kill-disable oom-score-adj pid pids-limit platform privileged publish publish-all pull quiet read-only restart rm runtime security-opt shm-size sig-proxy stop-signal stop-timeout storage-opt sysctl tmpfs tty ulimit use-api-socket user userns uts volume volume-driver volumes-from workdir
create annotation attach cgroup-parent cpu-rt-period dns disable-content-trust io-maxiops isolation kernel-memory link-local-ip memory-swappiness oom-kill-disable runtime storage-opt use-api-socket volume-driver
start attach checkpoint checkpoint-dir detach-keys interactive
exec detach detach-keys env env-file interactive privileged tty user workdir
stop signal time timeout
restart signal time timeout
kill signal
rm force link volumes
ps all filter format last latest no-trunc quiet size
logs details follow since tail timestamps until
update blkio-weight cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems memory memory-reservation memory-swap pids-limit restart
stats all format no-stream no-trunc
cp archive follow-link quiet
commit author change message pause
export output
attach detach-keys no-stdin sig-proxy
inspect format size type
events filter format since until
container_prune filter force
volume_create availability driver group label limit-bytes opt required-bytes scope secret sharing topology-preferred topology-required type
volume_ls cluster filter format quiet
volume_inspect format
volume_rm force
volume_prune all filter force
info format
version format
system_df format verbose
system_prune all filter force volumes
EOF
}

@test "what cannot be had is one line, and nothing is made" {
    while read -r text option; do
        # shellcheck disable=SC2086
        try dewar run -q --name refused --network none $option $IMG true
        fails 125 "${text//_/ }" || return 1
    done <<'EOF'
only_'default' --isolation hyperv
only_'dewar' --runtime kata
only_'local' --volume-driver rexray -v data:/data
--storage-opt_is_not --storage-opt size=10G
--use-api-socket_is_not --use-api-socket
for_Windows_alone --cpu-count 2
for_Windows_alone --cpu-percent 2
for_Windows_alone --io-maxiops 2
for_Windows_alone --io-maxbandwidth 2
signatures --disable-content-trust=false
not_supported_yet --link-local-ip 169.254.1.1
no_stream --attach stdlog
--attach_and_--detach -d -a stdout
private_or_host --cgroupns shared
not_a_group's_path --cgroup-parent ../x
KEY=VALUE --annotation note
between_0_and_100 --memory-swappiness 101
larger_than_--cpu-rt-period --cpu-rt-period 1000 --cpu-rt-runtime 2000
not_an_address --dns example.com
not_a_domain --dns-search x/y
not_a_domain --dns-search -x
not_one_word --dns-option #
DEVICE:BYTES_a_second --device-read-bps /dev/sda
DEVICE:BYTES_a_second --device-write-bps sda:1mb
DEVICE:N_operations --device-read-iops /dev/sda:1mb
DEVICE:N_operations --device-write-iops /dev/sda:0
between_10_and_1000 --blkio-weight-device /dev/sda:5
EOF
    same "$(dewar ps -aq)" ""
    try dewar start --checkpoint c nobody
    fails 1 "checkpoints"
    try dewar run --rm --network none --kernel-memory 50m $IMG echo on
    ok && has on && err_has "--kernel-memory is ignored" || return 1
}

@test "one that is the only one may be named" {
    try R --isolation default --runtime dewar --volume-driver local -v data:/data --disable-content-trust $IMG echo on
    ok && same "$output" on || return 1
}

@test "-a chooses what is shown; the log has all of it" {
    both='echo out; echo err >&2'
    try dewar run -q --name some --network none -a stdout $IMG sh -c "$both"
    ok && same "$output/$stderr" out/ || return 1
    same "$(dewar logs some 2>&1 | sort)" $'err\nout'
    same "$(dewar inspect -f '{{.Config.AttachStdin}} {{.Config.AttachStdout}} {{.Config.AttachStderr}}' some)" "false true false"
    try dewar start -a some
    ok && same "$output/$stderr" out/err || return 1
    dewar rm some >/dev/null
    try R --attach STDERR $IMG sh -c "$both"
    ok && same "$output/$stderr" /err || return 1
    try R -a stdout -a stderr $IMG sh -c "$both; exit 3"
    fails 3 && same "$output/$stderr" out/err || return 1
    run --separate-stderr R -i -a stdin -a stdout $IMG cat <<<given
    ok && same "$output" given || return 1
}

@test "name servers, search domains and options are in resolv.conf, those of the host without them" {
    try R --dns 192.0.2.53 --dns 2001:db8::53 --dns-search example.com --dns-search lab.example.com --dns-option ndots:2 $IMG cat /etc/resolv.conf
    ok && same "$output" $'nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch example.com lab.example.com\noptions ndots:2' || return 1
    try R --network host --dns 192.0.2.53 $IMG grep nameserver /etc/resolv.conf
    ok && same "$output" "nameserver 192.0.2.53" || return 1
    try R --network host --dns-search . --dns-opt rotate $IMG cat /etc/resolv.conf
    ok && same "$(grep -c '^search\|^domain' <<<"$output")" 0 && has "options rotate" || return 1
    same "$(grep ^nameserver <<<"$output")" "$(grep ^nameserver /etc/resolv.conf)"
    dewar create -q --name dns --network none --dns 192.0.2.53 --dns-search a.b --dns-option x $IMG true >/dev/null
    same "$(dewar inspect -f '{{json .HostConfig.Dns}}{{json .HostConfig.DnsSearch}}{{json .HostConfig.DnsOptions}}' dns)" \
        '["192.0.2.53"]["a.b"]["x"]'
    dewar rm dns >/dev/null
}

@test "a missing working directory is made below a read-only root, and the root is read-only then" {
    try R --read-only -w /not/there $IMG sh -c 'pwd; touch /not/there/x'
    fails 1 "Read-only file system" && same "$output" /not/there || return 1
}

@test "a group namespace is private, or the host's; exec is in it as well" {
    try R $IMG readlink /proc/self/ns/cgroup
    differ "$output" "$(readlink /proc/self/ns/cgroup)"
    id=$(D --cgroupns host $IMG sleep 100)
    same "$(dewar exec "$id" readlink /proc/1/ns/cgroup)" "$(readlink /proc/self/ns/cgroup)"
    same "$(dewar exec "$id" readlink /proc/self/ns/cgroup)" "$(readlink /proc/self/ns/cgroup)"
    same "$(dewar inspect -f '{{.HostConfig.CgroupnsMode}}' "$id")" host
    dewar rm -f "$id" >/dev/null
}

@test "a container's group is made in the one that is asked for, and shares its limits" {
    need_root
    [ -d /sys/fs/cgroup/memory ] || skip "is about cgroup v1"
    parent=dewar-test-parent-$$
    id=$(D --cgroup-parent /$parent/sub --pids-limit 50 $IMG sleep 100)
    for controller in memory cpu pids cpuset blkio devices; do
        same "$(group $controller "$id")" "/sys/fs/cgroup/$controller/$parent/sub/dewar-${id:0:32}" || return 1
    done
    same "$(cat "$(group pids "$id")/pids.max")" 50
    same "$(dewar exec "$id" cat /proc/self/cgroup | sed -n 's/.*:pids://p')" /
    grep -q . "$(group memory "$id")/cgroup.procs"
    dewar pause "$id" >/dev/null
    same "$(dewar inspect -f '{{.State.Status}} {{.HostConfig.CgroupParent}}' "$id")" "paused /$parent/sub"
    dewar unpause "$id" >/dev/null
    dewar update -m 40m "$id" >/dev/null
    same "$(cat "$(group memory "$id")/memory.limit_in_bytes")" 41943040
    dewar rm -f "$id" >/dev/null
    same "$(find /sys/fs/cgroup -name "dewar-${id:0:32}")" ""
    echo $((20 << 20)) >/sys/fs/cgroup/memory/$parent/memory.limit_in_bytes
    try R --cgroup-parent $parent $IMG sh -c 'dd if=/dev/zero of=/dev/shm/x bs=1M count=60 2>/dev/null'
    code=$status
    find /sys/fs/cgroup -depth -type d \( -path "*/$parent" -o -path "*/$parent/*" \) -exec rmdir {} +
    same "$code" 137
}

@test "an ordinary user is told that groups of others are root's" {
    need_user
    [ -d /sys/fs/cgroup/memory ] || skip "is about cgroup v1"
    try R --cgroup-parent x $IMG true
    fails 125 "--cgroup-parent needs root"
}

@test "limits of disks, swappiness, the OOM killer and real time reach the control group" {
    need_root
    [ -d /sys/fs/cgroup/memory ] || skip "is about cgroup v1"
    id=$(D -m 64m --memory-swappiness 7 --oom-kill-disable $IMG sleep 100)
    same "$(cat "$(group memory "$id")/memory.swappiness")" 7
    grep -qx "oom_kill_disable 1" "$(group memory "$id")/memory.oom_control"
    same "$(dewar inspect -f '{{.HostConfig.MemorySwappiness}} {{.HostConfig.OomKillDisable}}' "$id")" "7 true"
    dewar rm -f "$id" >/dev/null
    # Where the groups above have no time for real-time programs, the error says so.
    if id=$(D --cpu-rt-runtime 1000 $IMG sleep 100 2>err); then
        same "$(cat "$(group cpu "$id")/cpu.rt_runtime_us")" 1000
        dewar rm -f "$id" >/dev/null
    else
        grep -q "the groups above need as much\|not to be had here" err
    fi
    disk=$(disk) || skip "there is no disk to limit"
    node=$(cat "/sys/block/$(basename "$disk")/dev")
    id=$(D --device-read-bps "$disk:1mb" --device-write-bps "$disk:2mb" --device-read-iops "$disk:30" --device-write-iops "$disk:40" $IMG sleep 100)
    for line in "read_bps 1048576" "write_bps 2097152" "read_iops 30" "write_iops 40"; do
        same "$(cat "$(group blkio "$id")/blkio.throttle.${line% *}_device")" "$node ${line#* }" || return 1
    done
    same "$(dewar inspect -f '{{json .HostConfig.BlkioDeviceReadBps}}{{json .HostConfig.BlkioDeviceWriteIOps}}' "$id")" \
        "[{\"Path\":\"$disk\",\"Rate\":1048576}][{\"Path\":\"$disk\",\"Rate\":40}]"
    dewar rm -f "$id" >/dev/null
    try R --device-read-bps /dev/null:1mb $IMG true
    fails 125 "'/dev/null' is not a disk"
    try R --device-read-bps /dev/nosuch:1mb $IMG true
    fails 125 "/dev/nosuch"
}

@test "annotations and what else is noted stands in inspect, under Docker's keys" {
    dewar create -q --name noted --network none --annotation a=b --annotation c=d=e --cgroupns private $IMG true >/dev/null
    same "$(dewar inspect -f '{{json .HostConfig.Annotations}} {{.HostConfig.CgroupnsMode}} {{.HostConfig.Runtime}}' noted)" \
        '{"a":"b","c":"d=e"} private dewar'
    dewar rm noted >/dev/null
}

@test "labels, variables and a tag stand beside each line of the log" {
    dewar run -q --name tagged --network none --label a=1 --label b=2 --label skip=3 -e MODE='fast &c' -e OTHER=x \
        --log-opt labels=a,b --log-opt env=MODE --log-opt tag='{{.Name}}/{{.ImageName}}' $IMG echo line >/dev/null
    log=$DEWAR_STORE/containers/$(dewar inspect -f '{{.Id}}' tagged)/log/container.log
    grep -q '^{"log":"line\\n","stream":"stdout","attrs":{"MODE":"fast &c","a":"1","b":"2","tag":"tagged/busybox:test"},"time":"' "$log"
    same "$(dewar logs tagged)" line
    same "$(dewar logs --details tagged)" "MODE=fast+%26c,a=1,b=2,tag=tagged%2Fbusybox%3Atest line"
    dewar rm tagged >/dev/null
    dewar run -q --name tagged --network none --label com.x.a=1 --label y=2 -e KEY_A=1 -e B=2 \
        --log-opt labels-regex='^com\.x\.' --log-opt env-regex='^KEY_' $IMG echo line >/dev/null
    same "$(dewar logs --details tagged)" "KEY_A=1,com.x.a=1 line"
    dewar rm tagged >/dev/null
    dewar run -q --name tagged --network none $IMG echo line >/dev/null
    same "$(dewar logs --details tagged)" " line"
    dewar rm tagged >/dev/null
    try R --log-opt tag='{{.Nmae}}' $IMG true
    fails 125 "--log-opt tag"
    try R --log-opt labels-regex='(' $IMG true
    fails 125 "is not an expression"
    try R --log-driver local --log-opt labels=a $IMG true
    fails 125 "unknown log opt 'labels' for local log driver"
    try R --log-opt compress=true $IMG true
    fails 125 "compress=true is not supported"
}

@test "info answers Docker's keys" {
    for key in ID Plugins.Log MemoryLimit SwapLimit CpuCfsQuota CPUSet PidsLimit OomKillDisable IPv4Forwarding \
        SystemTime LoggingDriver CgroupDriver CgroupVersion Runtimes DefaultRuntime InitBinary SecurityOptions \
        LiveRestoreEnabled Warnings DriverStatus HttpsProxy Labels Swarm.LocalNodeState; do
        try dewar info -f "{{.$key}}"
        ok || return 1
    done
    same "$(dewar info -f '{{.LoggingDriver}} {{.DefaultRuntime}} {{index .Plugins.Volume 0}}')" "json-file dewar local"
    if is_root; then
        same "$(dewar info -f '{{.CgroupDriver}}')" cgroupfs
        limit=false
        if [ -d /sys/fs/cgroup/memory ] || grep -qw memory /sys/fs/cgroup/cgroup.controllers; then limit=true; fi
        same "$(dewar info -f '{{.MemoryLimit}} {{.PidsLimit}}')" "$limit $limit"
    fi
    same "$(dewar info -f '{{json .HttpsProxy}}')" "\"$HTTPS_PROXY\""
    [[ $(dewar info -f '{{.SecurityOptions}}') == *name=seccomp* ]]
    dewar info | grep -qx 'Logging Driver: json-file'
}

@test "who reaches the memory limit is told of it" {
    need_root
    try dewar run --rm -q --network none -m 8m $IMG sh -c 'dd if=/dev/zero of=/dev/shm/x bs=1M count=60 2>/dev/null'
    fails 137 "reached its memory limit of 8MiB"
    dewar create -q --name small --network none -m 8m $IMG sh -c 'dd if=/dev/zero of=/dev/shm/x bs=1M count=60 2>/dev/null' >/dev/null
    try dewar start -a small
    fails 137 "give it more with -m"
    dewar rm small >/dev/null
    try R -m 8m $IMG sh -c 'exit 3'
    fails 3 && same "$stderr" "" || return 1
}
