# SPDX-License-Identifier: Apache-2.0
# The registries that other tests stand on do what they are asked: a fault that never happens would
# make its test pass for nothing. curl and skopeo look.
load helpers
load registry
NO_IMAGE=1

file_setup() { registry_layout "$BATS_FILE_TMPDIR/layout"; }
ask() { curl -sS --max-time 10 -o body -D head "$@"; }
# breaks CODE ARGUMENTS: curl ends with this error.
breaks() {
    local want=$1 code=0
    shift
    ask "$@" 2>err || code=$?
    same "$code" "$want"
}
status() { head -n 1 head | cut -d' ' -f2; }
gone() {
    local i
    for ((i = 0; i < 100; i++)); do
        [[ $(ps -o stat= -p "$1") == [^Z]* ]] || return 0
        sleep 0.05
    done
    return 1
}

@test "a registry serves what skopeo put there, with TLS and passwords or tokens" {
    local variant
    for variant in plain tls+htpasswd tls+token; do
        registry_start "$variant"
        registry_seed lib/x:1
        local -a as=(--src-tls-verify=false)
        [ "$variant" = plain ] || as=(--src-cert-dir "$REGISTRY_CERTS" --src-creds "$REGISTRY_USER:$REGISTRY_PASSWORD")
        skopeo copy --insecure-policy -q "${as[@]}" "docker://$REGISTRY/lib/x:1" "oci:$WORK/out-$variant:x"
        same "$(jq -r '.manifests[0].digest' "out-$variant/index.json")" \
            "$(jq -r '.manifests[0].digest' "$BATS_FILE_TMPDIR/layout/index.json")"
        same "$(registry_requests PUT /v2/lib/x/manifests/1)" 1
        [ "$variant" = plain ] || {
            run skopeo inspect --cert-dir "$REGISTRY_CERTS" --creds tester:wrong "docker://$REGISTRY/lib/x:1"
            [ "$status" != 0 ]
        }
        registry_stop
        gone "$REGISTRY_PID"
    done
}

@test "a registry ends with its owner" {
    local pid
    pid=$(bash -c '"$1" start "$2" plain --owner $$ | sed -n "s/^REGISTRY_PID=//p"; kill -9 $$' sh \
        "$TOOLS_DIR/registry" "$WORK/r" 2>/dev/null) || true
    [ -n "$pid" ]
    gone "$pid"
}

@test "the scripted registry is an honest one without a script" {
    evil_start '{"tls":"good","auth":"token"}'
    export SSL_CERT_FILE=$EVIL_CA
    skopeo copy --insecure-policy -q --dest-creds tester:Sesame-47-open "oci:$BATS_FILE_TMPDIR/layout:latest" "docker://$EVIL/a/b:new"
    skopeo copy --insecure-policy -q --src-creds tester:Sesame-47-open "docker://$EVIL/a/b:new" "oci:$WORK/out:x"
    same "$(jq -r '.manifests[0].digest' out/index.json)" \
        "$(jq -r '.manifests[0].digest' "$BATS_FILE_TMPDIR/layout/index.json")"
    run skopeo inspect "docker://$EVIL/a/b:new" --creds tester:wrong
    [ "$status" != 0 ]
}

@test "its faults happen" {
    local rules='{"on":"tags","match":"/short/","truncate":5}, {"on":"tags","match":"/reset/","reset":5},
        {"on":"tags","match":"/once/","status":503,"times":1}, {"on":"tags","match":"/bomb/","header_bytes":50000},
        {"on":"tags","match":"/away/","redirect":"{other}{path}"}, {"on":"tags","match":"/flip/","flip":0},
        {"on":"tags","match":"/cut/","chunked":true,"truncate":9}, {"on":"tags","match":"/edit/","edit":{"tags.0":-1}},
        {"on":"tags","match":"/stall/","stall":3}, {"on":"tags","match":"/quiet/","hangup":true}'
    evil_start "{\"images\":\"$BATS_FILE_TMPDIR/layout\",\"rules\":[$rules]}"
    local url=http://$EVIL/v2
    ask "$url/fine/tags/list"
    same "$(jq -r '.tags[0]' body)" latest
    breaks 18 "$url/short/tags/list"
    same "$(stat -c %s body)" 5
    breaks 56 "$url/reset/tags/list"
    ask "$url/once/tags/list"
    same "$(status)" 503
    ask "$url/once/tags/list"
    same "$(status)" 200
    ask "$url/bomb/tags/list"
    [ "$(stat -c %s head)" -gt 50000 ]
    ask -L "$url/away/tags/list"
    same "$(jq -r '[.door, .status] | join(" ")' "$EVIL_LOG" | tail -n 2)" $'main 307\nother 200'
    ask "$url/flip/tags/list"
    [[ $(cat body) == z* ]]
    breaks 18 "$url/cut/tags/list"
    ask "$url/edit/tags/list"
    same "$(jq -r '.tags[0]' body)" -1
    breaks 28 --max-time 1 "$url/stall/tags/list"
    same "$(stat -c %s body)" 3
    breaks 52 "$url/quiet/tags/list"
    ask "http://127.0.0.1:$EVIL_CANARY/x"
    same "$(tail -n 1 "$EVIL_LOG" | jq -r .door)" canary
    same "$(jq -r 'select(.event == "bug")' "$EVIL_LOG")" ''
}
