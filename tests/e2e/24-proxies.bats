#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=run
# The "proxies" of Docker's config.json: variables of containers, build args that no image depends on.
load helpers

test_setup() {
    unset DOCKER_HOST
    export DOCKER_CONFIG=$WORK/docker
    mkdir -p "$DOCKER_CONFIG"
}
config() { cat >"$DOCKER_CONFIG/config.json"; }
all_five() {
    config <<'END'
{"proxies": {"default": {"httpProxy": "http://ada:hunter2@p:1", "httpsProxy": "http://p:2", "ftpProxy": "http://p:3",
  "noProxy": "*.example,10.0.0.0/8", "allProxy": "socks5://p:4"}}}
END
}
# The proxy variables that a program sees, in order, in one line.
seen() { dewar run --rm -q --network none "$@" "$IMG" env | grep -i _proxy | LC_ALL=C sort | tr '\n' ' '; }

@test "each key is two variables of run and create" {
    local all='ALL_PROXY=socks5://p:4 FTP_PROXY=http://p:3 HTTPS_PROXY=http://p:2 HTTP_PROXY=http://ada:hunter2@p:1 '
    all+='NO_PROXY=*.example,10.0.0.0/8 all_proxy=socks5://p:4 ftp_proxy=http://p:3 '
    all+='http_proxy=http://ada:hunter2@p:1 https_proxy=http://p:2 no_proxy=*.example,10.0.0.0/8 '
    all_five
    same "$(seen)" "$all"
    dewar create -q --name later --network none "$IMG" env >/dev/null
    echo '{}' | config # what counts is when the container was made
    same "$(dewar start -a later | grep -i _proxy | LC_ALL=C sort | tr '\n' ' ')" "$all"
    dewar rm later
}

@test "what a person gives wins, name by name; an image's own value does not" {
    echo '{"proxies": {"default": {"httpProxy": "http://conf", "noProxy": "conf"}}}' | config
    same "$(seen -e HTTP_PROXY=mine)" 'HTTP_PROXY=mine NO_PROXY=conf http_proxy=http://conf no_proxy=conf '
    echo no_proxy=file >f
    same "$(seen --env-file f -e HTTP_PROXY=)" 'HTTP_PROXY= NO_PROXY=conf http_proxy=http://conf no_proxy=file '
    # A name alone is the caller's value, or none at all.
    same "$(http_proxy=here seen -e http_proxy -e HTTP_PROXY)" 'NO_PROXY=conf http_proxy=here no_proxy=conf '
    printf 'FROM %s\nENV http_proxy=image\n' "$IMG" | dewar build -q -t own - >/dev/null
    IMG=own
    [[ $(seen) == *' http_proxy=http://conf '* ]]
    # What the environment of the command has is no wish for the container.
    rm "$DOCKER_CONFIG/config.json"
    same "$(http_proxy=x HTTPS_PROXY=y seen)" 'http_proxy=image '
}

@test "an entry of the daemon that docker would talk to replaces the default whole" {
    config <<'END'
{"proxies": {"default": {"httpProxy": "http://default", "noProxy": "default"},
  "tcp://far:2376": {"httpProxy": "http://far"}, "unix:///var/run/docker.sock": {"ftpProxy": "http://near"}}}
END
    same "$(seen)" 'FTP_PROXY=http://near ftp_proxy=http://near '
    same "$(DOCKER_HOST=tcp://far:2376 seen)" 'HTTP_PROXY=http://far http_proxy=http://far '
    same "$(DOCKER_HOST=tcp://other:1 seen)" \
        'HTTP_PROXY=http://default NO_PROXY=default http_proxy=http://default no_proxy=default '
}

@test "a step sees them undeclared; image, history, cache key and lock do not" {
    local id
    ctx
    dockerfile <<END
FROM $IMG
RUN echo "[\$HTTP_PROXY][\$https_proxy][\$all_proxy]" >&2
END
    id=$(build_id)
    all_five
    try dewar build --progress plain .
    ok && err_has CACHED || return 1
    [[ $stderr != *hunter2* ]] || return 1
    try dewar build --no-cache --progress plain .
    ok && err_has '[http://ada:hunter2@p:1][http://p:2][socks5://p:4]' && err_has "$id" || return 1
    try dewar build --no-cache --progress plain --build-arg HTTP_PROXY=mine --build-arg https_proxy= .
    ok && err_has '[mine][][socks5://p:4]' && err_has "$id" || return 1
    [[ $stderr != *'no ARG'* ]] || return 1
    dewar history --no-trunc "$id" >history
    dewar inspect "$id" >inspect
    dewar lock --build . >/dev/null 2>&1
    grep -q "$id" dewar.lock
    run grep -l hunter2 history inspect dewar.lock
    [ -z "$output" ]
}

@test "an ARG that is declared has the value, as from --build-arg" {
    ctx
    all_five
    printf 'FROM %s\nARG http_proxy=default\nLABEL p=$http_proxy\n' "$IMG" | dockerfile
    same "$(dewar inspect --format '{{.Config.Labels.p}}' "$(build_id)")" http://ada:hunter2@p:1
    same "$(dewar inspect --format '{{.Config.Labels.p}}' "$(build_id --build-arg http_proxy=mine .)")" mine
}

@test "other shapes are no proxies: a warning at most" {
    local text
    for text in '{}' '[]' '{"proxies": null}' '{"proxies": []}' '{"proxies": {"default": "x"}}' \
        '{"proxies": {"default": {"httpProxy": ""}}}' '{"proxies": {"default": {"HTTPPROXY": "x"}}}'; do
        echo "$text" | config
        try dewar run --rm -q --network none "$IMG" env
        ok && lacks _proxy && same "$stderr" '' || { echo "$text"; return 1; }
    done
    echo '{"proxies": {"default": {"httpProxy": 7, "ftpProxy": "http://p"}}}' | config
    try dewar run --rm -q --network none "$IMG" env
    ok && has ftp_proxy=http://p && lacks http_proxy && err_has "'httpProxy'" || return 1
    echo '{"proxies": ' | config
    try dewar run --rm -q --network none "$IMG" env
    ok && err_has 'not used' && err_has config.json || return 1
}
