#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Corners in which people and programs notice the difference: exit codes, and what is null, empty or
# missing in answers.
load helpers

@test "a wrong flag is 125, a wrong number of words is 1, and so is a wrong value" {
    while read -r code words; do
        # shellcheck disable=SC2086
        try dewar $words
        same "$status $words" "$code $words" || return 1
    done <<'EOF'
125 rm --bogus
125 run --bogus
125 images --digests=maybe
125 logs --tail
1 run
1 create
1 rm
1 exec
1 exec x
1 logs
1 logs a b
1 images a b
1 tag a
1 version now
1 volume create a b
1 ps extra
1 ps --filter bogus=1
1 ps --filter status=bogus
1 ps --filter health=bogus
1 ps --filter exited=x
1 images --format {{.Nope}}
1 ps --format {{
1 images --filter bogus=1
1 volume ls --filter dangling=bogus
1 container prune -f --filter bogus=1
1 update nobody
1 start -a a b
64 inspect -f {{ busybox:test
1 inspect -f {{.Nope}} busybox:test
EOF
}

@test "CPUs that the machine does not have are refused, and so are shares that mean nothing" {
    cpus=$(getconf _NPROCESSORS_ONLN)
    try dewar run --rm --network none --cpus $((cpus + 1)) $IMG true
    fails 125 "Range of CPUs is from 0.01 to $cpus.00, as there are only $cpus CPUs available"
    try dewar run --rm --network none --cpus 0.001 $IMG true
    fails 125 "Range of CPUs"
    for shares in 1 262145; do
        try dewar run --rm --network none --cpu-shares $shares $IMG true
        fails 125 "--cpu-shares must lie between"
    done
    if is_root; then
        try dewar run --rm -q --network none --cpus "$cpus" --cpu-shares 2 $IMG echo on
        ok && same "$output" on || return 1
    fi
}

@test "inspect: names of capabilities, --tmpfs as it was typed, nothing as Go shows it" {
    dewar create -q --name full --network none --cap-add net_admin --cap-add cap_mknod --cap-drop ALL --tmpfs /t --tmpfs /u:size=1m \
        --mount type=tmpfs,dst=/m $IMG true >/dev/null
    same "$(dewar inspect -f '{{json .HostConfig.CapAdd}}{{json .HostConfig.CapDrop}}' full)" '["CAP_NET_ADMIN","CAP_MKNOD"]["ALL"]'
    same "$(dewar inspect -f '{{json .HostConfig.Tmpfs}}' full)" '{"/t":"","/u":"size=1m"}'
    same "$(dewar inspect -f '{{range .Mounts}}{{.Type}}:{{.Destination}};{{end}}' full)" 'tmpfs:/m;'
    same "$(dewar inspect -f '{{.State.Health}} {{.HostConfig.PidsLimit}} {{.Config.Labels.x}}' full)" '<nil> <nil> <no value>'
    dewar rm full >/dev/null
}

@test "a volume without labels and options has null for them" {
    dewar volume create plain >/dev/null
    same "$(dewar volume inspect plain | jq -c '.[0]|[.Labels,.Options]')" '[null,null]'
    same "$(dewar inspect --format json plain | jq -c '.[0]|[.Labels,.Options]')" '[null,null]'
    same "$(dewar volume inspect -f '{{.Options}}|{{index .Labels "x"}}|{{len .Labels}}' plain)" 'map[]||0'
    dewar volume create --label a=b full >/dev/null
    same "$(dewar volume inspect -f '{{json .Labels}}' full)" '{"a":"b"}'
    dewar volume rm plain full >/dev/null
}

@test "containers are no tasks of a cluster" {
    dewar create -q --name box --network none $IMG true >/dev/null
    same "$(dewar ps -aq --filter is-task=false | wc -l)" 1
    same "$(dewar ps -aq --filter is-task=true)" ""
    dewar rm box >/dev/null
}

@test "a probe that takes too long says how long it may take" {
    id=$(dewar run -q -d --network none --health-cmd 'sleep 30' --health-interval 200ms --health-timeout 1s500ms --health-retries 1 $IMG sleep 100)
    for _ in $(seq 100); do [ "$(dewar inspect -f '{{.State.Health.Status}}' "$id")" = unhealthy ] && break; sleep 0.1; done
    same "$(dewar inspect -f '{{(index .State.Health.Log 0).ExitCode}} {{(index .State.Health.Log 0).Output}}' "$id")" \
        "-1 Health check exceeded timeout (1.5s)"
    dewar rm -f "$id" >/dev/null
}
