#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=attack
# A password is known to its owner and its registry: it must not show in arguments, environments,
# logs, messages or files that others can read, and no name in a configuration or on the command line
# may steer what is run or where it goes. Each with its legal twin.
load ../e2e/helpers
load ../e2e/registry

NO_IMAGE=1

file_setup() {
    registry_start htpasswd
    # From here on no process of ours has it in its environment.
    printf '%s' "$REGISTRY_PASSWORD" >"$BATS_FILE_TMPDIR/secret"
    unset REGISTRY_PASSWORD
}
test_setup() {
    export HOME=$WORK/home XDG_RUNTIME_DIR=$WORK/xdg
    CONFIG=$HOME/.docker/config.json
    mkdir -p "$HOME/bin" "$HOME/.docker" "$XDG_RUNTIME_DIR"
    unset DOCKER_CONFIG REGISTRY_AUTH_FILE REGISTRY_PASSWORD
    SECRET=$(<"$BATS_FILE_TMPDIR/secret")
    CODED=$(printf %s "$REGISTRY_USER:$SECRET" | base64)
}
login() { run --separate-stderr dewar "${DEBUG[@]}" login -u "$REGISTRY_USER" --password-stdin "$REGISTRY" <"$BATS_FILE_TMPDIR/secret"; }
DEBUG=()
# A credential helper of the given name and body (get, store and erase come in $1).
helper() {
    printf '#!/bin/sh\n%s\n' "$2" >"$HOME/bin/docker-credential-$1"
    chmod 755 "$HOME/bin/docker-credential-$1"
    PATH=$HOME/bin:$PATH
}

# What a helper does to look at itself and at those who started it, up to dewar, when a password is
# stored: arguments and environment to $HOME/seen, programs to $HOME/programs.
SPY='in=$(cat)
    case $1 in store) ;; *) echo "credentials not found in native keychain"; exit 1;; esac
    printf %s "$in" >"$HOME/kept"
    p=$$
    for generation in 1 2 3; do
        tr "\0" " " <"/proc/$p/cmdline" >>"$HOME/seen"
        tr "\0" "\n" <"/proc/$p/environ" >>"$HOME/environ"
        tr "\0" "\n" <"/proc/$p/cmdline" | head -n 2 | tr "\n" " " >>"$HOME/programs"
        p=$(awk "/^PPid/ { print \$2 }" "/proc/$p/status")
    done 2>/dev/null
    exit 0'

@test "no process has a password in its arguments or environment" {
    helper spy "$SPY"
    echo '{"credsStore": "spy"}' >"$CONFIG"
    login
    ok
    [[ $(<"$HOME/kept") == *"$SECRET"* ]] # it was there to be seen
    [[ $(<"$HOME/programs") == *docker-credential-spy*dewar-registry*"$DEWAR login"* ]]
    grep -q "^HOME=$HOME" "$HOME/environ"
    run ! grep -aqF -e "$SECRET" -e "$CODED" "$HOME/seen" "$HOME/environ"
}
@test "a password given as an argument is gone from there when others are run" {
    helper spy "$SPY"
    echo '{"credsStore": "spy"}' >"$CONFIG"
    run --separate-stderr dewar login -u "$REGISTRY_USER" -p "$SECRET" "$REGISTRY" </dev/null
    ok
    grep -qF -- "$DEWAR login -u $REGISTRY_USER -p" "$HOME/seen"
    run ! grep -aqF "$SECRET" "$HOME/seen"
}
@test "messages, logs and the store hold no password" {
    DEBUG=(-D)
    login
    ok
    [[ $output$stderr != *"$SECRET"* && $output$stderr != *"$CODED"* ]]
    run --separate-stderr dewar -D search "$REGISTRY/x" </dev/null
    ok
    [[ $output$stderr != *"$SECRET"* && $output$stderr != *"$CODED"* ]]
    run ! grep -raqF -e "$SECRET" -e "$CODED" "$DEWAR_STORE" "$DEWAR_RUN"
    grep -qF "$CODED" "$CONFIG" # the legal twin: the one place
    # A broken file is named and not quoted.
    sed -i 's/"auth": "[^"]*"/& "x"/' "$CONFIG"
    grep -qF "$CODED" "$CONFIG"
    run --separate-stderr dewar -D search "$REGISTRY/x" </dev/null
    fails 1 "$CONFIG"
    [[ $output$stderr != *"$CODED"* ]]
}
@test "other users cannot read what was kept, under any umask" {
    umask 0
    login
    ok
    same 600 "$(stat -c %a "$CONFIG")"
    chmod 666 "$CONFIG"
    login
    ok
    same 600 "$(stat -c %a "$CONFIG")"
    same config.json "$(ls -A "$HOME/.docker")"
}
@test "a name of a helper is not a path" {
    local name
    mkdir -p "$HOME/bin/docker-credential-x" "$WORK/sub"
    for place in "$HOME/bin/docker-credential-x/y" "$WORK/x" "$HOME/x" "$HOME/bin/x"; do
        printf '#!/bin/sh\ntouch "%s/ran"\n' "$WORK" >"$place"
        chmod 755 "$place"
    done
    PATH=$HOME/bin:$PATH
    for name in ../../x ../x x/y "$WORK/x" . .. '' ' ' 'x;touch ran' '$(touch ran)' '-x'; do
        printf '{"credsStore": "%s", "credHelpers": {"%s": "%s"}}' "$name" "$REGISTRY" "$name" >"$CONFIG"
        login
        [ -z "$name" ] || fails 1 "is not the name of a credential helper"
        [ ! -e ran ]
    done
    helper legal.twin_1 'cat >"$HOME/in"'
    echo '{"credsStore": "legal.twin_1"}' >"$CONFIG"
    login
    ok
    [[ $(<"$HOME/in") == *"$SECRET"* ]]
}
@test "helpers are not run from here or from a folder that all may write" {
    mkdir -m 1777 open
    for place in . open; do
        printf '#!/bin/sh\ntouch "%s/ran"\n' "$WORK" >"$place/docker-credential-planted"
        chmod 755 "$place/docker-credential-planted"
    done
    echo '{"credsStore": "planted"}' >"$CONFIG"
    PATH=:.:open:$WORK/open:$PATH login
    fails 1 "'docker-credential-planted' is not in PATH"
    [ ! -e ran ]
    chmod 755 open
    PATH=$WORK/open:$PATH login # the legal twin
    [ -e ran ]
}
@test "a registry's name holds no user, no line ends and no path" {
    local name
    for name in "u:Sesame-1@$REGISTRY" "https://u:Sesame-1@$REGISTRY/" "$REGISTRY"$'\n'"x" \
        "$REGISTRY"$'\r\nAuthorization: x' "$REGISTRY/../x" "$REGISTRY/a" '[::1' "$REGISTRY:1" ' ' ''; do
        for verb in "login -u x -p y" logout; do
            # shellcheck disable=SC2086
            try dewar $verb "$name"
            [ "$status" = 1 ] || fails 1
            [[ $stderr == *"registry"* && $stderr != *Sesame-1* ]] || fails 1 registry
        done
    done
    [ ! -e "$CONFIG" ]
    login
    ok
}
@test "a credential goes to its own registry and to no other" {
    evil_start '{"rules": [{"match": "_catalog", "status": 401, "headers": {"WWW-Authenticate": "Basic realm=\"x\""}}]}'
    login
    ok
    printf '{"auths": {"%s": {"auth": "%s"}, "http://%s.evil.example": {"auth": "%s"}}}' \
        "$REGISTRY" "$CODED" "${EVIL%:*}" "$CODED" >"$CONFIG"
    try dewar search "$EVIL/x"
    fails 1 "401"
    run ! grep -aqiF -e "$CODED" -e '"Authorization"' "$EVIL_LOG"
    try dewar search "$REGISTRY/x"
    ok
    # The legal twin: its own credential does go there.
    printf '{"auths": {"%s": {"auth": "%s"}}}' "$EVIL" "$(printf tester:Sesame-47-open | base64)" >"$CONFIG"
    try dewar search "$EVIL/x"
    grep -aqiF '"Authorization"' "$EVIL_LOG"
}
@test "a linked configuration is written through, and a fifo or a huge file does not hang" {
    mkdir dot
    ln -s "$WORK/dot/docker.json" "$CONFIG"
    echo '{"kept": 1}' >dot/docker.json
    login
    ok
    [ -L "$CONFIG" ]
    [[ $(<dot/docker.json) == *'"kept": 1'*"$CODED"* ]]
    rm "$CONFIG"
    mkfifo "$CONFIG"
    run --separate-stderr timeout 10 "$DEWAR" search "$REGISTRY/x" </dev/null
    fails 1 "is a fifo"
    rm "$CONFIG"
    truncate -s 1T "$CONFIG"
    run --separate-stderr timeout 10 "$DEWAR" search "$REGISTRY/x" </dev/null
    fails 1 "larger than the limit"
}
@test "a helper that never ends or never stops talking is bounded" {
    helper loud 'cat /dev/zero'
    echo '{"credsStore": "loud"}' >"$CONFIG"
    run --separate-stderr timeout 30 "$DEWAR" search "$REGISTRY/x" </dev/null
    fails 1 "docker-credential-loud get"
}
