#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=life
# What comes back after a boot, and the hook that sees to it.
load helpers

D() { dewar run -d --network none "$@" >/dev/null; }
status_of() { dewar inspect -f '{{.State.Status}}' "$1"; }
id_of() { dewar inspect -f '{{.Id}}' "$1"; }
test_teardown() { dewar ps -aq | xargs -r "$DEWAR" rm -f -v >/dev/null; }
# The machine loses its power: no process is left, nor what ends with the boot.
reboot() {
    local id state
    for state in "$DEWAR_RUN"/containers/*/state; do
        kill -9 "$(sed -n 's/.*"monitor":\([0-9]*\).*/\1/p' "$state")"
    done
    sleep 0.5
    rm -rf "$DEWAR_RUN"
    for id in "$DEWAR_STORE"/containers/*/state; do
        sed -i 's/"boot":"[^"]*"/"boot":"00000000-0000-0000-0000-000000000000"/' "$id"
    done
}

@test "after a reboot comes back what should, and what was stopped stays down" {
    D --name a-up --restart always $IMG sleep 1000
    D --name a-stopped --restart always $IMG sleep 1000
    D --name u-up --restart unless-stopped $IMG sleep 1000
    D --name u-stopped --restart unless-stopped $IMG sleep 1000
    D --name f-up --restart on-failure $IMG sleep 1000
    D --name f-done --restart on-failure $IMG true
    D --name plain $IMG sleep 1000
    dewar create --name never --restart always --network none $IMG sleep 1000 >/dev/null
    D --rm --name gone $IMG sleep 1000
    dewar stop -t 0 a-stopped u-stopped >/dev/null
    dewar wait f-done >/dev/null
    reboot
    same "$(status_of a-up)" exited
    try dewar system service status --format '{{.Containers}}'
    same "$output" "a-up,a-stopped,u-up,f-up"
    try dewar system service start
    ok && same "$output" $'a-up\na-stopped\nu-up\nf-up' || return 1
    for name in a-up a-stopped u-up f-up; do same "$name $(status_of $name)" "$name running"; done
    for name in u-stopped f-done plain; do same "$name $(status_of $name)" "$name exited"; done
    same "$(status_of never)" created
    same "$(dewar ps -a --format '{{.Names}}' | grep -cx gone)" 0
    try dewar system service start # what runs is left alone
    ok && same "$output" "" || return 1
}

@test "a machine that goes down stops all in good order, and starts them again" {
    D --name polite --restart unless-stopped -v "$PWD:/out" $IMG \
        sh -c 'trap "echo bye >/out/said; exit 0" TERM; while :; do sleep 0.05; done'
    D --name deaf --restart unless-stopped --stop-timeout 1 $IMG sleep 1000
    D --name plain --stop-timeout 1 $IMG sleep 1000
    sleep 0.3
    try timeout 30 "$DEWAR" system service stop
    ok
    same "$(cat said)" bye
    same "$(dewar ps -q)" ""
    same "$(dewar inspect -f '{{.State.ExitCode}}' polite)" 0
    same "$(dewar inspect -f '{{.State.ExitCode}}' deaf)" 137
    dewar inspect -f '{{.State.Error}}' deaf | grep -q "machine went down"
    rm -rf "$DEWAR_RUN"
    try dewar system service start
    ok && same "$output" $'polite\ndeaf' || return 1
    dewar stop -t 0 deaf >/dev/null
    try timeout 30 "$DEWAR" system service stop
    ok
    try dewar system service start
    same "$output" polite # the other one a person stopped
}

@test "one that cannot be started does not keep the others down" {
    mkdir there
    D --name broken --restart always -v "$PWD/there:/data" $IMG sleep 1000
    D --name fine --restart always $IMG sleep 1000
    reboot
    rmdir there
    try dewar system service start
    fails 1 "starting 'broken'" && same "$output" fine || return 1
    mkdir there
}

@test "enable writes a unit that systemd understands, disable takes it away" {
    mkdir root
    is_root && unit=/etc/systemd/system/dewar.service || unit=$HOME/.config/systemd/user/dewar.service
    is_root && wants=multi-user.target.wants || wants=default.target.wants
    try dewar system service status --root "$PWD/root"
    fails 1 && [[ ${lines[1]} == false* ]] || return 1
    try dewar system service enable --root "$PWD/root"
    ok && same "$output" "$PWD/root$unit" || return 1
    is_root || err_has "enable-linger"
    same "$(stat -c %a "root$unit")" 644
    same "$(readlink "root${unit%/*}/$wants/dewar.service")" ../dewar.service
    grep -q "^ExecStart=-\"$DEWAR\" --store \"$DEWAR_STORE\" --run-root \"$DEWAR_RUN\" system service start$" "root$unit"
    try dewar system service status --root "$PWD/root" --format '{{.Enabled}} {{.Unit}}'
    ok && same "$output" "true $PWD/root$unit" || return 1
    dewar system service enable --root "$PWD/root" >/dev/null 2>&1 # again
    try dewar --store "$PWD/other" system service status --root "$PWD/root"
    ok && err_has "another program or store" || return 1
    if command -v systemd-analyze >/dev/null; then
        systemd-analyze verify --man=no "root$unit" 2>verify
        same "$(grep -c dewar.service verify)" 0
    fi
    try dewar system service disable --root "$PWD/root"
    ok && same "$output" "$PWD/root$unit" || return 1
    same "$(find root ! -type d)" ""
    try dewar system service disable --root "$PWD/root"
    ok && same "$output" "" || return 1
}

@test "names with blanks and signs stand as they are in unit and crontab" {
    store="$PWD/a b%c\$d\"e'f"
    mkdir -p root "$store"
    try "$DEWAR" --store "$store" system service enable --root "$PWD/root"
    ok
    unit=$output
    grep -qF "RequiresMountsFor=\"$PWD/a b%%c\$d\\\"e'f\"" "$unit"
    grep -qF -- "--store \"$PWD/a b%%c\$\$d\\\"e'f\"" "$unit"
    if command -v systemd-analyze >/dev/null; then
        systemd-analyze verify --man=no "$unit" 2>verify
        same "$(grep -c dewar.service verify)" 0
    fi
    [ ! -d /run/systemd/system ] || skip "this machine has systemd: no line for cron"
    try "$DEWAR" --store "$store" system service enable
    ok
    same "${output%% *}" @reboot
    # cron takes the backslash before a percent sign away, and sh reads the rest
    line=${output#@reboot }
    same "$(eval "printf '%s\n' ${line//\\%/%}" | sed -n 3p)" "$store"
}

@test "a link in a foreign root leads nowhere outside" {
    mkdir -p root/etc outside
    is_root || skip "the user's own folder is not in a foreign root"
    ln -s "$PWD/outside" root/etc/systemd
    try dewar system service enable --root "$PWD/root"
    same "$(find outside -mindepth 1)" ""
    # the legal twin: a link that stays inside
    rm root/etc/systemd
    mkdir root/usr
    ln -s /usr root/etc/systemd
    try dewar system service enable --root "$PWD/root"
    ok && [ -f root/usr/system/dewar.service ] || return 1
}

@test "without systemd the line for cron is printed" {
    [ ! -d /run/systemd/system ] || skip "this machine has systemd"
    try dewar system service enable
    ok && err_has "crontab" || return 1
    same "$output" "@reboot $DEWAR --store $DEWAR_STORE --run-root $DEWAR_RUN system service start"
}

@test "wrong words are named" {
    try dewar system service
    fails 2 "needs"
    try dewar system service begin
    fails 2 "unknown word 'begin'"
    try dewar system service enable --root relative
    fails 2 "absolute path"
}
