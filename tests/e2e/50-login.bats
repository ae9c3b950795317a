# SPDX-License-Identifier: Apache-2.0
# Who we are for a registry: login, logout, what is kept where, and that docker, podman and skopeo
# understand what dewar wrote and dewar what they wrote.
load helpers
load registry

NO_IMAGE=1

file_setup() {
    registry_start htpasswd
    SECRET=$REGISTRY_PASSWORD
    export SECRET
}
test_setup() {
    export HOME=$WORK/home XDG_RUNTIME_DIR=$WORK/xdg
    CONFIG=$HOME/.docker/config.json
    mkdir -p "$HOME" "$XDG_RUNTIME_DIR"
    chmod 700 "$XDG_RUNTIME_DIR"
    unset DOCKER_CONFIG REGISTRY_AUTH_FILE
    unset -f skopeo # the harness's, with a place of its own for credentials; here it is the matter
}
# Podman without root leaves a process behind that holds its namespaces.
test_teardown() {
    local pid=$WORK/xdg/libpod/tmp/pause.pid
    [ ! -e "$pid" ] || kill "$(<"$pid")"
}
login() { run --separate-stderr dewar login -u "$REGISTRY_USER" --password-stdin "$@" <<<"$SECRET"; }
# The registry answers only those who are logged in.
reach() { try dewar search "${1:-$REGISTRY}/none"; }

# A helper that keeps each server in a file below $HOME/keys.
helper() {
    mkdir -p "$HOME/bin" "$HOME/.docker"
    cat >"$HOME/bin/docker-credential-keep" <<'EOF'
#!/bin/sh
mkdir -p "$HOME/keys"
name() { printf %s "$1" | tr / _; }
case $1 in
get)
    read -r server
    [ -f "$HOME/keys/$(name "$server")" ] || { echo "credentials not found in native keychain"; exit 1; }
    cat "$HOME/keys/$(name "$server")"
    ;;
store)
    all=$(cat)
    server=${all#*ServerURL\":\"}
    server=${server%%\"*}
    printf %s "$all" >"$HOME/keys/$(name "$server")"
    ;;
erase)
    read -r server
    rm "$HOME/keys/$(name "$server")"
    ;;
esac
EOF
    chmod 755 "$HOME/bin/docker-credential-keep"
    PATH=$HOME/bin:$PATH
    echo '{"credsStore": "keep"}' >"$CONFIG"
}

@test "login keeps the credential for its user alone and says where" {
    reach
    fails 1 "401"
    login "$REGISTRY"
    ok
    same "Login Succeeded" "$output"
    err_has "kept as plain text in '$CONFIG'"
    err_has "credential helper"
    same 600 "$(stat -c %a "$CONFIG")"
    same 700 "$(stat -c %a "$HOME/.docker")"
    reach
    ok
    try dewar logout "$REGISTRY"
    ok
    same "Removing login credentials for $REGISTRY" "$output"
    reach
    fails 1 "401"
    try dewar logout "$REGISTRY"
    ok
    same "Not logged in to $REGISTRY" "$output"
}
@test "the registry can be named as an address" {
    login "http://$REGISTRY/v2/"
    ok
    reach
    ok
    [[ $(<"$CONFIG") == *"\"$REGISTRY\""* ]]
}
@test "a password that the registry does not take is not kept" {
    login "$REGISTRY"
    ok
    before=$(<"$CONFIG")
    run --separate-stderr dewar login -u "$REGISTRY_USER" --password-stdin "$REGISTRY" <<<"Wrong-word-1"
    fails 1 "401"
    [[ $stderr != *Wrong-word-1* ]]
    same "$before" "$(<"$CONFIG")"
}
@test "a password comes with or without a line end" {
    for end in '' '\n' '\r\n'; do
        run --separate-stderr dewar login -u "$REGISTRY_USER" --password-stdin "$REGISTRY" < <(printf "%s$end" "$SECRET")
        ok
    done
    run --separate-stderr dewar login -u "$REGISTRY_USER" --password-stdin "$REGISTRY" < <(printf '%s\n\n' "$SECRET")
    fails 1 "401"
    run --separate-stderr dewar login -u "$REGISTRY_USER" --password-stdin "$REGISTRY" </dev/null
    fails 1 "the password is empty"
    run --separate-stderr dewar login -u "$REGISTRY_USER" --password-stdin "$REGISTRY" < <(head -c 100000 /dev/zero | tr '\0' x)
    fails 1 "longer than"
}
@test "wrong ways to log in are told apart" {
    try dewar login "$REGISTRY"
    fails 1 "stdin is not a terminal"
    err_has "--password-stdin"
    try dewar login -u a -p b --password-stdin "$REGISTRY"
    fails 1 "exclude each other"
    try dewar login --password-stdin "$REGISTRY"
    fails 1 "needs --username"
    try dewar login -u "$REGISTRY_USER" -p "$SECRET" "$REGISTRY"
    ok
    err_has "can be seen by others"
    [[ $stderr != *"$SECRET"* ]]
    login "$REGISTRY/team"
    fails 1 "is not the name of a registry"
    login noport
    fails 1 "is not the name of a registry"
}
@test "on a terminal both are asked for and the password is not shown" {
    need_program python3 python3
    run "$TOOLS_DIR/type_answers.py" "Username: =$REGISTRY_USER" "Password: =$SECRET" -- "$DEWAR" login "$REGISTRY"
    ok
    has "Login Succeeded"
    has "$REGISTRY_USER"
    lacks "$SECRET"
    has "echo: on off"
    has "end: on 0"
    reach
    ok
}
@test "the terminal echoes again whatever ended the question" {
    need_program python3 python3
    local signal
    for signal in ^C SIGTERM SIGHUP SIGQUIT; do
        run "$TOOLS_DIR/type_answers.py" "Password: =!$signal" -- "$DEWAR" login -u x "$REGISTRY"
        has "echo: off"
        has "end: on -" # ended by the signal
    done
    run "$TOOLS_DIR/type_answers.py" "Password: =" -- "$DEWAR" login -u x "$REGISTRY"
    has "the password is empty"
    has "end: on 1"
    [ ! -e "$CONFIG" ]
}
@test "a credential helper keeps the password instead of the file" {
    helper
    login "$REGISTRY"
    ok
    err_has "kept by the credential helper 'docker-credential-keep'"
    [[ $stderr != *"plain text"* ]]
    [[ $(<"$CONFIG") == *"\"$REGISTRY\": {}"* ]]
    [ -e "$HOME/keys/$REGISTRY" ]
    reach
    ok
    dewar logout "$REGISTRY"
    [ ! -e "$HOME/keys/$REGISTRY" ]
    reach
    fails 1 "401"
}
@test "a registry with tokens gives one to keep instead of the password" {
    registry_start token TOKENS
    run --separate-stderr dewar login -u "$TOKENS_USER" --password-stdin "$TOKENS" <<<"$TOKENS_PASSWORD"
    ok
    [[ $(<"$CONFIG") == *'"identitytoken": "refresh-'* ]]
    [[ $(<"$CONFIG") != *"$(printf %s "$TOKENS_USER:$TOKENS_PASSWORD" | base64)"* ]]
    run --separate-stderr dewar login -u "$TOKENS_USER" --password-stdin "$TOKENS" <<<Wrong-word-2
    fails 1
    [[ $stderr != *Wrong-word-2* ]]
}
@test "a registry with a certificate of its own needs its folder" {
    registry_start tls+htpasswd TLS
    run --separate-stderr dewar login -u "$TLS_USER" --password-stdin "$TLS" <<<"$TLS_PASSWORD"
    fails 1 "certificate"
    [ ! -e "$CONFIG" ]
    mkdir -p "$HOME/.docker/certs.d/$TLS"
    cp "$TLS_CA" "$HOME/.docker/certs.d/$TLS/"
    run --separate-stderr dewar login -u "$TLS_USER" --password-stdin "$TLS" <<<"$TLS_PASSWORD"
    ok
    reach "$TLS"
    ok
    rm -r "$HOME/.docker/certs.d"
    reach "$TLS"
    fails 1 "certificate"
    run --separate-stderr dewar login --tls-verify=false -u "$TLS_USER" --password-stdin "$TLS" <<<"$TLS_PASSWORD"
    ok
}
@test "logins at the same time lose nothing" {
    local host pids=()
    for host in localhost 127.0.0.1 127.0.0.2 127.0.0.3; do
        dewar login -u "$REGISTRY_USER" --password-stdin "${REGISTRY/localhost/$host}" <<<"$SECRET" >/dev/null 2>&1 3>&- &
        pids+=($!)
    done
    for host in "${pids[@]}"; do wait "$host" || true; done  # a bare wait waits for bats as well
    same 2 "$(grep -c '"auth"' "$CONFIG")" # the registry is bound to 127.0.0.1 alone
    reach
    ok
    reach "${REGISTRY/localhost/127.0.0.1}"
    ok
}
@test "a mirror and a moved place are taken from registries.conf" {
    mkdir -p "$HOME/.config/containers"
    cat >"$HOME/.config/containers/registries.conf" <<EOF
[[registry]]
prefix = "blocked.example"
blocked = true
[[registry]]
prefix = "broken.example"
location = 5
EOF
    reach blocked.example
    fails 1 "registries.conf:4: 'location' must be a text"
    sed -i 's/= 5/= "x.example"/' "$HOME/.config/containers/registries.conf"
    reach blocked.example
    fails 1 "is blocked by $HOME/.config/containers/registries.conf:1"
}

@test "a folder of root below /run does not stop a user without a runtime folder" {
    need_root
    need_kernel "mount namespace" unshare -m true
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" "$BATS_RUN_TMPDIR/test" "$WORK"
    # shellcheck disable=SC2016
    run --separate-stderr unshare -m sh -c 'mount -t tmpfs tmpfs /run && mkdir -m 700 /run/containers &&
        mkdir -m 700 "$0" && chown 65534 "$0" && unset XDG_RUNTIME_DIR && export HOME="$0" &&
        export DEWAR_STORE="$0/store" DEWAR_RUN="$0/run" &&
        exec setpriv --reuid 65534 --regid 65534 --clear-groups "$1" logout "$2"' \
        "$WORK/other" "$DEWAR" "$REGISTRY"
    ok
    same "Not logged in to $REGISTRY" "$output"
}

# --- with other programs -----------------------------------------------------------------------

@test "docker logs in with what dewar kept, and the other way round" {
    need_program docker docker.io
    export DOCKER_HOST=unix://$WORK/none DOCKER_CLI_EXPERIMENTAL=enabled
    registry_seed team/app:1
    try docker manifest inspect --insecure "$REGISTRY/team/app:1"
    fails 1
    login "$REGISTRY"
    ok
    try docker manifest inspect --insecure "$REGISTRY/team/app:1"
    ok
    try docker logout "$REGISTRY"
    reach
    fails 1 "401"
    docker login -u "$REGISTRY_USER" --password-stdin "$REGISTRY" <<<"$SECRET" >/dev/null 2>&1 ||
        skip "this docker needs its daemon to log in"
    reach
    ok
    dewar logout "$REGISTRY"
    try docker manifest inspect --insecure "$REGISTRY/team/app:1"
    fails 1
}
@test "docker and dewar share a credential helper" {
    need_program docker docker.io
    export DOCKER_HOST=unix://$WORK/none DOCKER_CLI_EXPERIMENTAL=enabled
    registry_seed team/app:1
    helper
    login "$REGISTRY"
    ok
    try docker manifest inspect --insecure "$REGISTRY/team/app:1"
    ok
}
@test "skopeo logs in with what dewar kept, and the other way round" {
    need_program skopeo skopeo
    registry_seed team/app:1
    login "$REGISTRY"
    ok
    try skopeo list-tags --tls-verify=false "docker://$REGISTRY/team/app"
    ok
    dewar logout "$REGISTRY"
    try skopeo list-tags --tls-verify=false "docker://$REGISTRY/team/app"
    fails 1
    skopeo login --tls-verify=false -u "$REGISTRY_USER" --password-stdin "$REGISTRY" <<<"$SECRET"
    [ ! -e "$CONFIG" ] || [[ $(<"$CONFIG") != *"$REGISTRY"* ]]
    reach
    ok
    # A new login goes where the old one is found.
    login "$REGISTRY"
    ok
    err_has "$XDG_RUNTIME_DIR/containers/auth.json"
    dewar logout "$REGISTRY"
    try skopeo list-tags --tls-verify=false "docker://$REGISTRY/team/app"
    fails 1
}
@test "podman logs in with what dewar kept, and the other way round" {
    need_program podman podman
    login "$REGISTRY"
    ok
    try podman login --get-login "$REGISTRY"
    [ "$status" = 0 ] || skip "podman does not work here: $stderr"
    has "$REGISTRY_USER"
    dewar logout "$REGISTRY"
    podman login --tls-verify=false -u "$REGISTRY_USER" --password-stdin "$REGISTRY" <<<"$SECRET"
    reach
    ok
}

# --- search ------------------------------------------------------------------------------------

@test "search lists what a registry without a search has" {
    need_program skopeo skopeo
    registry_seed found/one:1
    registry_seed other/two:1
    login "$REGISTRY"
    ok
    try dewar search "$REGISTRY/found"
    ok
    has "NAME"
    has "found/one"
    lacks "other/two"
    try dewar search --format '{{.Name}}' "$REGISTRY/one"
    same "found/one" "$output"
    try dewar search --format json "$REGISTRY/one"
    has '"Name":"found/one"'
}
@test "search shows what a registry finds, filtered and shortened" {
    local long="A very long description, with
two lines and more words than fit into a column of a table"
    cat >search.json <<EOF
{"rules": [{"match": "^/v1/search", "status": 200, "body": $(printf '%s' '{"results": [
    {"name": "a/low", "description": "short", "star_count": 3, "is_official": false},
    {"name": "b/high", "description": "LONG", "star_count": 1200, "is_official": true},
    {"name": "c/evil", "description": "\u001b[31mred", "star_count": -1}]}' |
        L=$long python3 -c 'import json,os,sys; print(json.dumps(sys.stdin.read().replace("LONG", os.environ["L"].replace("\n", "\\n"))))')}]}
EOF
    evil_start search.json
    try dewar search "$EVIL/x"
    ok
    [[ ${lines[0]} =~ ^NAME\ +DESCRIPTION\ +STARS\ +OFFICIAL ]]
    [[ ${lines[1]} =~ ^a/low\ +short\ +3 ]]
    [[ ${lines[2]} =~ ^b/high\ +"A very long description, with two lines and …"\ +1200\ +"[OK]" ]]
    try dewar search --no-trunc "$EVIL/x"
    has "a column of a table"
    try dewar search --filter stars=4 --format '{{.Name}}' "$EVIL/x"
    same b/high "$output"
    try dewar search --filter is-official=false --limit 1 --format '{{.Name}} {{.StarCount}}' "$EVIL/x"
    same "a/low 3" "$output"
    try dewar search --limit 0 "$EVIL/x"
    fails 1 "not 1 to 100"
    try dewar search --filter colour=red "$EVIL/x"
    fails 1 "invalid filter 'colour=red'"
    run on_tty "$DEWAR" search "$EVIL/x"
    [[ $output != *$'\e[31m'* ]]
    [[ $output == *c/evil* ]]
}
