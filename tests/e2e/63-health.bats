#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=life
# Health probes: run by the monitor, inside the container, with what the image or the person says.
load helpers

D() { dewar run --network none -d "$@"; }
health() { grep -o '"health":"[a-z]*"' "$DEWAR_RUN/containers/$1/state" | cut -d'"' -f4; }
wait_health() {
    for _ in $(seq 200); do [ "$(health "$1")" = "$2" ] && return; sleep 0.05; done
    echo "wanted $2, it is $(health "$1")" >&2
    return 1
}
test_teardown() {
    local id
    for id in $(ls "$DEWAR_STORE/containers"); do
        [ "$id" = names ] || dewar rm -f -v "$id" >/dev/null
    done
}
loop='trap "touch /ok" USR1; trap "rm /ok" USR2; while :; do sleep 0.05; done'

@test "a probe makes a container healthy, unhealthy after its retries, and healthy again" {
    id=$(D --health-cmd 'echo probed; test -e /ok' --health-interval 200ms --health-retries 2 $IMG sh -c "$loop")
    same "$(health "$id")" starting
    wait_health "$id" unhealthy
    dewar kill -s USR1 "$id"
    wait_health "$id" healthy
    dewar kill -s USR2 "$id"
    wait_health "$id" unhealthy
    grep -q '"ExitCode":1,"Output":"probed\\n"' "$DEWAR_STORE/containers/$id/health"
    [ "$(grep -o '"ExitCode"' "$DEWAR_STORE/containers/$id/health" | wc -l)" -le 5 ]
    same "$(grep "$id" "$DEWAR_RUN/events" | grep -o '"Action":"health_status: [a-z]*"' | cut -d' ' -f2 | tr -d '"' | tr '\n' ' ')" \
        "unhealthy healthy unhealthy "
}

@test "failures in the start period do not count, a timeout does" {
    id=$(D --health-cmd false --health-interval 100ms --health-start-interval 100ms --health-start-period 1h --health-retries 1 $IMG sleep 100)
    sleep 1
    same "$(health "$id")" starting
    id=$(D --health-cmd 'sleep 50' --health-interval 100ms --health-timeout 200ms --health-retries 1 $IMG sleep 100)
    wait_health "$id" unhealthy
    grep -q "exceeded timeout (" "$DEWAR_STORE/containers/$id/health"
}

@test "what has ended is healthy no more, however it ended" {
    id=$(D --health-cmd true --health-interval 200ms $IMG sh -c "$loop")
    wait_health "$id" healthy
    dewar stop -t 0 "$id" >/dev/null
    same "$(dewar inspect -f '{{.State.Health.Status}}' "$id")" unhealthy
    same "$(dewar ps -aq --filter health=healthy)" ""
    dewar start "$id" >/dev/null
    wait_health "$id" healthy
    kill -KILL "$(dewar inspect -f '{{.State.Pid}}' "$id")" "$(grep -o '"monitor":[0-9]*' "$DEWAR_RUN/containers/$id/state" | cut -d: -f2)"
    for _ in $(seq 100); do
        [ "$(dewar inspect -f '{{.State.Status}}' "$id")" = running ] || break
        sleep 0.05
    done
    same "$(dewar inspect -f '{{.State.Status}} {{.State.Health.Status}}' "$id")" "exited unhealthy"
}

@test "the image's HEALTHCHECK counts, and --no-healthcheck switches it off" {
    ctx
    dockerfile <<EOT
FROM $IMG
ENV WANT=right
HEALTHCHECK --interval=200ms --retries=1 CMD test "\$WANT" = right
CMD sleep 100
EOT
    dewar build -q -t checked . >/dev/null
    id=$(D checked)
    wait_health "$id" healthy
    id=$(D -e WANT=wrong checked)
    wait_health "$id" unhealthy
    id=$(D --no-healthcheck checked)
    sleep 0.5
    same "$(health "$id")" ""
    try D --no-healthcheck --health-cmd true checked
    fails 125 "--no-healthcheck conflicts"
    try D --health-interval 1us --health-cmd true checked
    fails 125 "at least 1ms"
}

@test "a probe that is made of /proc/self/exe cannot write the program (A1)" {
    before=$(sha256sum "$DEWAR")
    ctx
    printf '#!/proc/self/exe\n' >evil
    chmod +x evil
    dockerfile <<EOT
FROM $IMG
COPY evil /evil
HEALTHCHECK --interval=100ms --retries=3 CMD ["/evil"]
CMD sh -c 'while :; do for f in /proc/[0-9]*/exe; do echo pwned >\$f; done; done 2>/dev/null'
EOT
    dewar build -q -t evil . >/dev/null
    id=$(D evil)
    wait_health "$id" unhealthy
    sleep 1
    same "$(sha256sum "$DEWAR")" "$before"
}
