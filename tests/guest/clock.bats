#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The clock is set while containers run: forwards and back by years, as a machine without a battery
# does at its first contact with a time server. Runs in the guest of tests/guest/run.
load ../e2e/helpers

D() { dewar run -d -q --network none "$@"; }
file_setup() {
    grep -q root_way= /proc/cmdline || { echo "not the guest" >&2; return 1; }
}
test_teardown() { date -s "@$((START + SECONDS))" >/dev/null; }
test_setup() { START=$(date +%s) SECONDS=0; }
wait_for() {
    for _ in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done
    echo "waited in vain for: $*" >&2
    return 1
}
value() { dewar inspect --type container --format "{{$2}}" "$1"; }
set_clock() { date -s "@$(($(date +%s) + $1))" >/dev/null; }
YEARS=$((5 * 365 * 86400))

@test "restarts, probes, stops and uptime do not care what the clock says" {
    again=$(D --restart always $IMG sh -c 'sleep 0.2; exit 3')
    well=$(D --health-cmd 'cat /well' --health-interval 500ms --health-retries 1 --health-timeout 20s $IMG sh -c ': >/well; sleep 1000')
    wait_for eval '[ "$(value "$well" .State.Health.Status)" = healthy ]'
    for step in $YEARS -$YEARS -$YEARS $YEARS; do
        set_clock "$step"
        before=$(value "$again" .RestartCount)
        more() { [ "$(value "$again" .RestartCount)" -gt "$before" ]; }
        wait_for more
        dewar exec "$well" rm /well
        wait_for eval '[ "$(value "$well" .State.Health.Status)" = unhealthy ]'
        dewar exec "$well" touch /well
        wait_for eval '[ "$(value "$well" .State.Health.Status)" = healthy ]'
        try dewar ps --format '{{.ID}} {{.Status}}' --no-trunc
        ok && lacks year && lacks - || return 1
        has "$well Up " || return 1
        # A stop takes as long as it was told to, and no longer.
        [ "$step" -gt 0 ] || continue
        deaf=$(D $IMG sh -c 'trap "" TERM; echo up; while :; do sleep 1; done')
        wait_for grep -q up "$DEWAR_STORE/containers/$deaf/log/container.log"
        (sleep 1; set_clock "-$step"; sleep 1; set_clock "$step") &
        stepper=$!
        timeout 60 "$DEWAR" stop -t 4 "$deaf"
        wait $stepper
        dewar rm "$deaf"
    done
    dewar rm -f "$again" "$well"
}

@test "a log over a clock that was set back hides nothing" {
    id=$(D --name steps $IMG sh -c 'echo first; while [ ! -e /go ]; do usleep 100000; done; echo second; sleep 1000')
    wait_for grep -q first "$DEWAR_STORE/containers/$id/log/container.log"
    now=$(date +%s)
    timeout 100 "$DEWAR" logs -f "$id" >followed 2>&1 3>&- &
    follower=$!
    set_clock -$YEARS
    dewar exec "$id" touch /go
    wait_for grep -q second "$DEWAR_STORE/containers/$id/log/container.log"
    same "$(dewar logs "$id")" $'first\nsecond'
    same "$(dewar logs --tail 1 "$id")" second
    same "$(dewar logs --since $((now - 3600)) "$id")" first
    same "$(dewar logs --until $((now - 3600)) "$id")" second
    same "$(dewar logs --since 10m "$id")" $'first\nsecond'
    dewar stop -t 0 "$id"
    wait $follower
    same "$(cat followed)" $'first\nsecond'
    dewar rm "$id"
}

@test "what is made before a step back can be listed, filtered and pruned after it" {
    old=$(dewar create --network none $IMG true)
    set_clock -$YEARS
    new=$(dewar create --network none $IMG true)
    try dewar ps -a
    ok && lacks - && lacks "years ago" || return 1
    dewar system check
    dewar container prune -f --filter until=1h
    dewar ps -aq --no-trunc | grep -q "$new"
    dewar rm "$old" "$new"
    dewar system prune -f
}
