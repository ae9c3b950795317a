# SPDX-License-Identifier: Apache-2.0
# How dewar and a registry come together: certificates of both sides, HTTP/2, proxies, bodies that
# nobody wants, helpers that take their time.
load helpers
load registry

file_setup() { registry_layout "$BATS_FILE_TMPDIR/layout"; }
test_setup() {
    export HOME=$WORK/home DEWAR_REGISTRY_STALL=5
    unset XDG_CONFIG_HOME XDG_RUNTIME_DIR DOCKER_CONFIG REGISTRY_AUTH_FILE
    mkdir -p "$HOME/.docker"
}
# certs HOST FOLDER: what certs.d has for this registry.
certs() {
    mkdir -p "$HOME/.docker/certs.d"
    rm -rf "$HOME/.docker/certs.d/$1"
    cp -r "$2" "$HOME/.docker/certs.d/$1"
}
helper() { # NAME: the script on stdin becomes a credential helper for all registries
    mkdir -p "$HOME/bin"
    cat >"$HOME/bin/docker-credential-$1"
    chmod 755 "$HOME/bin/docker-credential-$1"
    PATH=$HOME/bin:$PATH
    printf '{"credsStore":"%s"}' "$1" >"$HOME/.docker/config.json"
}

@test "--tls-verify=false is taken wherever a registry is named" {
    need_program skopeo
    registry_start tls
    registry_seed lib/x:1
    local name=$REGISTRY/lib/x:1 raw
    raw=$(skopeo inspect --raw --cert-dir "$REGISTRY_CERTS" "docker://$name" | sha256sum)
    try dewar image inspect --raw "docker://$name"
    fails 1 "--tls-verify=false"
    same "$(dewar image inspect --raw --tls-verify=false "docker://$name" | sha256sum)" "$raw"
    same "$(dewar inspect --raw --tls-verify=false "docker://$name" | sha256sum)" "$raw"
    try dewar image copy "docker://$name" oci:out:x
    fails 1 "--tls-verify=false"
    dewar image copy --tls-verify=false "docker://$name" oci:out:x
    dewar image copy --tls-verify=false oci:out:x "docker://$REGISTRY/lib/copy:1"
    try dewar manifest create "$REGISTRY/lib/list" "$name"
    fails 1 "--tls-verify=false"
    dewar manifest create --tls-verify=false "$REGISTRY/lib/list" "$name"
    dewar manifest push --tls-verify=false --purge "$REGISTRY/lib/list"
    same "$(dewar manifest inspect --tls-verify=false "$REGISTRY/lib/list" | jq '.manifests | length')" 1
    same "$(dewar run --rm --network none --tls-verify=false "$name")" one
    dewar rmi "$name" >/dev/null
    printf 'FROM %s\nRUN true\n' "$name" >Dockerfile
    try dewar build -q .
    fails 1 "--tls-verify=false"
    dewar build -q --tls-verify=false --push -t "$REGISTRY/lib/built:1" .
    dewar lock --tls-verify=false >/dev/null
    try dewar verify
    fails 1 ""
    has unreachable
    dewar verify --tls-verify=false
    dewar build -q -o type=registry,name="$REGISTRY/lib/built:2",registry.insecure=true --tls-verify=false .
    dewar pull -q --tls-verify=false "$REGISTRY/lib/built:2"
    try dewar push "$REGISTRY/lib/built:1"
    fails 1 "--tls-verify=false"
    dewar push -q --tls-verify=false "$REGISTRY/lib/built:1"
    try dewar pull -a "$REGISTRY/lib/built"
    fails 1 "--tls-verify=false"
    same "$(dewar pull -a -q --tls-verify=false "$REGISTRY/lib/built" | wc -l)" 2
    try dewar search "$REGISTRY/lib"
    fails 1 "--tls-verify=false"
    try dewar search --tls-verify=false "$REGISTRY/lib"
    ok && has lib/built || return 1
    registry_start tls+htpasswd CLOSED
    try dewar login -u "$CLOSED_USER" -p "$CLOSED_PASSWORD" "$CLOSED"
    fails 1 "--tls-verify=false"
    try dewar login --tls-verify=false -u "$CLOSED_USER" -p "$CLOSED_PASSWORD" "$CLOSED"
    ok
}

@test "a registry that demands a client certificate gets the one in its folder" {
    registry_start clients
    certs "$REGISTRY" "$REGISTRY_CLIENT"
    dewar tag "$IMG" "$REGISTRY/c/x:1"
    dewar push -q "$REGISTRY/c/x:1"
    dewar rmi "$REGISTRY/c/x:1" >/dev/null
    dewar pull -q "$REGISTRY/c/x:1"
    # Without one: what is missing and where it belongs, and no retries.
    rm "$HOME/.docker/certs.d/$REGISTRY"/client.*
    SECONDS=0
    try dewar pull "$REGISTRY/c/x:1"
    fails 1 "the server demands a client certificate"
    err_has "NAME.cert and NAME.key"
    err_has "certs.d/$REGISTRY"
    [ "$SECONDS" -lt 4 ]
    # A key is missing, and one that is another certificate's.
    cp "$REGISTRY_CLIENT/client.cert" "$HOME/.docker/certs.d/$REGISTRY/"
    try dewar pull "$REGISTRY/c/x:1"
    fails 1 "has no 'client.key' beside it"
    openssl ecparam -genkey -noout -name prime256v1 -out "$HOME/.docker/certs.d/$REGISTRY/client.key"
    try dewar pull "$REGISTRY/c/x:1"
    fails 1 "client.key"
    err_has "is the key that of the certificate beside it"
}

@test "a client certificate goes to its own registry alone" {
    registry_start
    front_start "$REGISTRY" clients
    certs "$FRONT" "$FRONT_CLIENT"
    dewar tag "$IMG" "$FRONT/c/x:1"
    dewar push -q "$FRONT/c/x:1"
    same "$(cut -d' ' -f5 "$FRONT_LOG" | sort -u)" SUCCESS
    # Another server whose authority is known, but whose folder has no client certificate.
    front_start "$REGISTRY" clients OTHER
    certs "$OTHER" "$OTHER_CERTS"
    try dewar pull "$OTHER/c/x:1"
    fails 1 "certificate"
    err_has "NAME.cert and NAME.key"
    same "$(cut -d' ' -f5 "$OTHER_LOG" | sort -u)" NONE
}

@test "HTTP/2 is spoken where the server offers it, for what comes and what goes" {
    registry_start
    front_start "$REGISTRY"
    certs "$FRONT" "$FRONT_CERTS"
    registry_layout two second
    dewar image copy oci:two:latest "docker://$FRONT/h/two:1"
    dewar pull -q "$FRONT/h/two:1"
    same "$(dewar run --rm --network none "$FRONT/h/two:1")" second
    same "$(cut -d' ' -f1 "$FRONT_LOG" | sort -u)" HTTP/2.0
    grep -q "HTTP/2.0 20[0-9] PATCH\|HTTP/2.0 20[0-9] PUT" "$FRONT_LOG"
    grep -q "HTTP/2.0 200 GET .*/blobs/" "$FRONT_LOG"
    # And the older protocol where not.
    front_start "$REGISTRY" h1 OLD
    certs "$OLD" "$OLD_CERTS"
    dewar pull -q "$OLD/h/two:1"
    same "$(cut -d' ' -f1 "$OLD_LOG" | sort -u)" HTTP/1.1
}

@test "a large body that the registry does not want is not sent" {
    head -c 9000000 /dev/urandom >big
    tar -cf big.tar big
    dewar image import big.tar refused:1 >/dev/null
    # Only the status counts, and it comes before the bytes.
    evil_start '{"rules":[{"on":"upload_patch","over":4194304,"status":403,"early":true,
        "body":"{\"errors\":[{\"code\":\"DENIED\",\"message\":\"quota\"}]}"}]}'
    dewar tag refused:1 "$EVIL/e/x:1"
    try dewar push "$EVIL/e/x:1"
    fails 1 "quota"
    jq -e 'select(.kind == "upload_patch") | .headers.expect == "100-continue"' "$EVIL_LOG"
    same "$(jq 'select(.kind == "upload_patch") | .got' "$EVIL_LOG")" 0
}

@test "a login that runs out before a large body costs no second body" {
    head -c 9000000 /dev/urandom >big
    tar -cf big.tar big
    dewar image import big.tar refused:2 >/dev/null
    evil_start '{"auth":"basic","rules":[{"on":"upload_patch","over":4194304,"status":401,"early":true,"times":1,
        "headers":{"WWW-Authenticate":"Basic realm=\"evil\""}}]}'
    printf '{"auths":{"%s":{"auth":"%s"}}}' "$EVIL" "$(printf tester:Sesame-47-open | base64 -w0)" \
        >"$HOME/.docker/config.json"
    dewar tag refused:2 "$EVIL/e/x:1"
    try dewar push "$EVIL/e/x:1"
    same "$(jq -r 'select(.kind == "upload_patch" and .status == 401) | .got' "$EVIL_LOG")" 0
}

@test "a proxy's limit on bodies is met with parts that are not smaller than the registry allows" {
    head -c 20000000 /dev/urandom >big
    tar -cf big.tar big
    dewar image import big.tar parts:1 >/dev/null
    local min=$((5 << 20)) size
    evil_start "{\"rules\":[{\"on\":\"upload_patch\",\"over\":6000000,\"status\":413,\"early\":true},
        {\"on\":\"upload_post\",\"headers\":{\"OCI-Chunk-Min-Length\":\"$min\"}}]}"
    dewar tag parts:1 "$EVIL/p/x:1"
    dewar push -q "$EVIL/p/x:1"
    jq -r 'select(.kind == "upload_patch" and .status == 202 and (.headers["content-length"] | tonumber) > 65536) |
        .headers["content-length"]' "$EVIL_LOG" >sizes
    [ "$(wc -l <sizes)" -ge 4 ]
    # All but the last.
    for size in $(sed '$d' sizes); do [ "$size" -ge "$min" ] || return 1; done
    # What no allowed part can pass is an error, not an endless try.
    evil_start "{\"rules\":[{\"on\":\"upload_patch\",\"over\":2000000,\"status\":413,\"early\":true},
        {\"on\":\"upload_post\",\"headers\":{\"OCI-Chunk-Min-Length\":\"$min\"}}]}"
    dewar tag parts:1 "$EVIL/p/x:1"
    try dewar push -q "$EVIL/p/x:1"
    fails 1 "413"
}

@test "a foreign layer that its registry lacks is named, with a way out, and never fetched from elsewhere" {
    need_program skopeo
    local config layer size blob dir=$WORK/foreign
    fresh_store "$WORK"
    registry_layout whole foreign
    evil_start "{\"images\":\"$WORK/whole\"}" ELSE
    cp -r whole "$dir"
    blob=$(jq -r '.manifests[0].digest' whole/index.json)
    layer=$(jq -r '.layers[1].digest' "$dir/blobs/sha256/${blob#*:}")
    jq -c --arg url "http://$ELSE/v2/x/blobs/$layer" '.layers[1].urls = [$url] |
        .layers[1].mediaType = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"' \
        "$dir/blobs/sha256/${blob#*:}" >manifest
    rm "$dir/blobs/sha256/${layer#*:}"
    config=$(sha256sum <manifest | cut -d' ' -f1)
    size=$(stat -c %s manifest)
    cp manifest "$dir/blobs/sha256/$config"
    jq -c --arg d "sha256:$config" --argjson s "$size" '.manifests[0].digest = $d | .manifests[0].size = $s' \
        whole/index.json >"$dir/index.json"
    evil_start "{\"images\":\"$dir\"}"
    try dewar pull "$EVIL/f/x:latest"
    fails 1 "layer 2 of 3"
    err_has "404"
    err_has "addresses in a manifest are never followed"
    err_has "dewar load"
    same "$(wc -l <"$ELSE_LOG")" 0
    store_is_clean
    # A registry that does have it gives it, and the manifest stays as it was.
    cp "whole/blobs/sha256/${layer#*:}" "$dir/blobs/sha256/"
    evil_start "{\"images\":\"$dir\"}"
    dewar pull -q "$EVIL/f/x:latest"
    same "$(dewar image inspect --raw "$EVIL/f/x:latest" | sha256sum | cut -d' ' -f1)" "$config"
    # What is here is sent on as it came.
    evil_start '{}' THERE
    dewar tag "$EVIL/f/x:latest" "$THERE/f/x:1"
    try dewar push "$THERE/f/x:1"
    has "digest: sha256:$config"
}

@test "no_proxy knows names, ports, networks and everything" {
    local here port list want got
    here=$(hostname -I | tr ' ' '\n' | grep -m 1 -E '^[0-9.]+$') || skip "this machine has loopback alone"
    evil_start '{}' PROXY
    evil_start "{\"bind\":\"$here\",\"host\":\"$here\",\"images\":\"$BATS_FILE_TMPDIR/layout\"}"
    port=${EVIL##*:}
    export http_proxy=http://$PROXY https_proxy=http://$PROXY DEWAR_REGISTRY_RETRIES=0
    unset HTTP_PROXY HTTPS_PROXY NO_PROXY no_proxy ALL_PROXY all_proxy
    while read -r want list; do
        : >"$PROXY_LOG"
        : >"$EVIL_LOG"
        no_proxy=$list run dewar image inspect --raw --tls-verify=false "docker://$here:$port/x:latest"
        for _ in {1..60}; do # they log after they have answered
            [ ! -s "$PROXY_LOG" ] && ! grep -q manifest_get "$EVIL_LOG" || break
            sleep 0.05
        done
        got=nobody
        [ ! -s "$PROXY_LOG" ] || got=proxy
        ! grep -q manifest_get "$EVIL_LOG" || got+=+direct
        same "$want: $list" "${got#nobody+}: $list" || return 1
    done <<END
proxy
direct *
direct $here
direct a.example, $here:$port
proxy $here:1
direct ${here%.*}.0/24
direct 172.31.0.0/30,$here/32
proxy 203.0.113.0/24,$here/33
proxy 1.$here
END
    # In capitals, and the small letters before them.
    NO_PROXY=$here dewar image inspect --raw --tls-verify=false "docker://$here:$port/x:latest" >raw
    run env NO_PROXY="$here" no_proxy=x "$DEWAR" image inspect --raw --tls-verify=false "docker://$here:$port/x:latest"
    [ "$status" != 0 ]
}

@test "a credential helper that takes its time stops nobody else" {
    local place
    for place in "$(dirname "$DEWAR")/../libexec/dewar" "$(dirname "$DEWAR")/../registry"; do
        [ ! -x "$place/dewar-registry" ] || HELPER=$place/dewar-registry
    done
    registry_start htpasswd SAFE
    registry_seed lib/x:1 SAFE
    evil_start "{\"images\":\"$BATS_FILE_TMPDIR/layout\",\"rules\":[{\"on\":\"manifest_get\",\"delay\":1}]}"
    helper slow <<END
#!/bin/sh
echo "\$1" >>$WORK/asked
[ "\$1" = get ] || exit 1
sleep 4
printf '{"Username":"%s","Secret":"%s"}' '$SAFE_USER' '$SAFE_PASSWORD'
END
    # Two requests that need the login, and one whose answer comes while the helper runs.
    stdbuf -oL "${TOOLS:-$TESTS_DIR/../build/tests/tools}/transfer" --helper "$HELPER" \
        manifest-get "$SAFE/lib/x:1" fd=one , manifest-get "$SAFE/lib/x:1" fd=two , \
        manifest-get "$EVIL/lib/x:latest" fd=three |
        while read -r line; do echo "${EPOCHREALTIME%.*} $line"; done >out
    cat out
    same "$(grep -c ' done ' out)" 3
    same "$(head -n 1 out | cut -d' ' -f2-3)" "3 done"
    [ "$(($(sed -n '2s/ .*//p' out) - $(sed -n '1s/ .*//p' out)))" -ge 2 ]
    cmp one three
    cmp one two
    same "$(cat "$WORK/asked")" get # asked once, however many wait
}
