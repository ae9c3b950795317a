# SPDX-License-Identifier: Apache-2.0
# The registry client alone (libexec/dewar/dewar-registry), driven by tests/tools/transfer.c. What
# pull and push make of it is tested elsewhere, and what bad registries do in attack/registry.bats.
load helpers
load registry
NO_IMAGE=1

file_setup() {
    registry_layout "$BATS_FILE_TMPDIR/layout"
    head -c 9000000 /dev/urandom >"$BATS_FILE_TMPDIR/big"
    head -c 1000 /dev/urandom >"$BATS_FILE_TMPDIR/small"
    : >"$BATS_FILE_TMPDIR/empty"
}
test_setup() {
    local place
    for place in "$(dirname "$DEWAR")/../libexec/dewar" "$(dirname "$DEWAR")/../registry"; do
        [ ! -x "$place/dewar-registry" ] || HELPER=$place/dewar-registry
    done
    [ -n "${HELPER:-}" ] || skip "dewar was built without libcurl"
    TRANSFER=${TOOLS:-$TESTS_DIR/../build/tests/tools}/transfer
    [ -x "$TRANSFER" ] || TRANSFER=$TESTS_DIR/../build/tests/tools/transfer
    export HOME=$WORK/home DEWAR_REGISTRY_STALL=5
    unset XDG_CONFIG_HOME XDG_RUNTIME_DIR DOCKER_CONFIG REGISTRY_AUTH_FILE
    mkdir -p "$HOME/.docker"
    ln -s "$BATS_FILE_TMPDIR"/{big,small,empty} .
}
T() { "$TRANSFER" --helper "$HELPER" "$@"; }
digest() { echo "sha256:$(sha256sum <"$1" | cut -d' ' -f1)"; }
size() { stat -Lc %s "$1"; }
blob() { echo "digest=$(digest "$1") size=$(size "$1") fd=${2:-$1}"; }
document() { # NAME: a manifest of small
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":1000},"layers":[],"annotations":{"x":"%s"}}' "$(digest small)" "$1" >"$1.json"
}
login() { # NAME PASSWORD [HOST]
    printf '{"auths":{"%s":{"auth":"%s"}}}' "${3:-$REGISTRY}" "$(printf '%s:%s' "$1" "$2" | base64 -w0)" >"$HOME/.docker/config.json"
}
trust() { # HOST FOLDER: believe its CA
    mkdir -p "$HOME/.docker/certs.d"
    cp -r "$2" "$HOME/.docker/certs.d/$1"
}
without() { # TEXT FILE
    if grep -q "$1" "$2"; then return 1; fi
}
asked() { # PATTERN: requests that the scripted registry saw, as "METHOD PATH" lines
    jq -r '"\(.method) \(.path)"' "${EVIL_LOG}" | grep -cE "$1" || true
}

@test "blobs and manifests go out and come back with the same bytes, whatever guards the registry" {
    local variant
    for variant in plain tls htpasswd tls+token; do
        registry_start "$variant"
        [ -z "$REGISTRY_CERTS" ] || trust "$REGISTRY" "$REGISTRY_CERTS"
        [ -z "$REGISTRY_USER" ] || login "$REGISTRY_USER" "$REGISTRY_PASSWORD"
        document one
        # shellcheck disable=SC2046
        T blob-put "$REGISTRY/a/b" $(blob big) , blob-put "$REGISTRY/a/b" $(blob small) , \
            blob-put "$REGISTRY/a/b" $(blob empty) >out
        without found out
        # shellcheck disable=SC2046
        T manifest-put "$REGISTRY/a/b:x" fd=one.json , blob-put "$REGISTRY/a/b" $(blob big) , \
            blob-put "$REGISTRY/a/c" $(blob big) mount=a/b >out
        same "$(grep -c 'done found' out)" 2
        # shellcheck disable=SC2046
        T manifest-get "$REGISTRY/a/b:x" fd=one.back , blob-get "$REGISTRY/a/c" $(blob big big.back) , \
            blob-get "$REGISTRY/a/b" $(blob empty empty.back) hashed , \
            manifest-get "$REGISTRY/a/b@$(digest one.json)" fd=two.back >out
        cmp one.json one.back
        cmp one.json two.back
        cmp big big.back
        grep -q "type=application/vnd.oci.image.manifest.v1+json" out
        registry_stop
        rm -rf "$HOME/.docker/config.json" ./*.back
    done
}

@test "what is there and what is not" {
    registry_start
    document one
    # shellcheck disable=SC2046
    T blob-put "$REGISTRY/a" $(blob small) >out || { cat out; false; }
    T manifest-put "$REGISTRY/a:x" fd=one.json >out
    T manifest-head "$REGISTRY/a:x" , manifest-head "$REGISTRY/a:y" , blob-head "$REGISTRY/a" "digest=$(digest small)" , \
        blob-head "$REGISTRY/a" "digest=$(digest big)" , manifest-head "$REGISTRY/a@$(digest one.json)" >out
    same "$(sort out | sed 's/digest.*//' | tr '\n' ' ')" "1 done found  2 done size=0 3 done found  4 done size=0 5 done found  "
    same "$(registry_requests GET '/v2/.*')" 0
    grep -q "^1 .*digest=$(digest one.json) size=$(size one.json)" out
    T manifest-delete "$REGISTRY/a@$(digest one.json)" >out
    T manifest-head "$REGISTRY/a:x" >out
    without found out
}

@test "an error names the registry, the repository, the name and the cause" {
    registry_start
    try T manifest-get "$REGISTRY/a/b:nope" fd=out
    fails 1
    has "cannot get the manifest of '$REGISTRY/a/b:nope'"
    has "answered 404 Not Found: manifest unknown"
    try T blob-get "$REGISTRY/a/b" "digest=$(digest big)" size=9 fd=out
    has "cannot download $(digest big) from '$REGISTRY/a/b'"
    unset https_proxy HTTPS_PROXY all_proxy ALL_PROXY
    try T manifest-get "nobody.invalid/x:1" fd=out
    has "Could not resolve host: nobody.invalid"
    has "is the name 'nobody.invalid' spelled right"
    registry_stop
    try T manifest-get "$REGISTRY/a/b:x" fd=out
    has "Failed to connect to localhost"
    lacks retrying
}

@test "an unknown certificate is an error, with a way out; TLS is not given up for it" {
    registry_start tls
    try T manifest-get "$REGISTRY/a:x" fd=out
    fails 1
    has "certificate"
    has "certs.d/$REGISTRY"
    same "$(grep -c '"GET' "$REGISTRY_LOG")" 0
    try T manifest-get "$REGISTRY/a:x" fd=out insecure
    has "manifest unknown"
    SSL_CERT_FILE=$REGISTRY_CA try T manifest-get "$REGISTRY/a:x" fd=out
    has "manifest unknown"
}

@test "log in: tried first, kept as a refresh token where there are tokens; log out" {
    local variant
    printf wrong >wrong
    for variant in htpasswd tls+token; do
        registry_start "$variant"
        [ -z "$REGISTRY_CERTS" ] || trust "$REGISTRY" "$REGISTRY_CERTS"
        printf %s "$REGISTRY_PASSWORD" >right
        try T login "$REGISTRY/x" "user=$REGISTRY_USER" fd=wrong
        fails 1
        has "cannot log in to '$REGISTRY'"
        has "check the user's name"
        [ ! -e "$HOME/.docker/config.json" ]
        T login "$REGISTRY/x" "user=$REGISTRY_USER" fd=right >out
        grep -q "done found .*config.json" out
        if [ "$variant" = htpasswd ]; then
            same "$(jq -r '.auths[].auth' "$HOME/.docker/config.json" | base64 -d)" "$REGISTRY_USER:$REGISTRY_PASSWORD"
        else
            same "$(jq -r '.auths[].auth' "$HOME/.docker/config.json" | base64 -d)" "$REGISTRY_USER:"
        fi
        # shellcheck disable=SC2046
        T blob-put "$REGISTRY/a" $(blob small) >out || { cat out; false; }
        T logout "$REGISTRY/x" >out
        grep -q "done found" out
        T logout "$REGISTRY/x" >out
        without found out
        # shellcheck disable=SC2046
        try T blob-put "$REGISTRY/a" $(blob big)
        fails 1
        has "dewar login $REGISTRY"
        registry_stop
        rm "$HOME/.docker/config.json"
    done
}

@test "one token serves requests that come at the same time" {
    registry_start token
    login "$REGISTRY_USER" "$REGISTRY_PASSWORD"
    local i words=()
    for i in 1 2 3 4 5 6 7 8; do words+=(manifest-head "$REGISTRY/a/b:$i" ","); done
    T "${words[@]}" >out
    same "$(wc -l <"$REGISTRY_TOKENS")" 1
    same "$(jq -r '.scopes[]' "$REGISTRY_TOKENS")" repository:a/b:pull
}

@test "tags come over several pages; search falls back to the catalogue" {
    registry_start
    local i words=()
    document one
    # shellcheck disable=SC2046
    T blob-put "$REGISTRY/team/app" $(blob small) >out || { cat out; false; }
    for i in 1 2 3 4 5; do words+=(manifest-put "$REGISTRY/team/app:v$i" fd=one.json ","); done
    T "${words[@]}" >out
    T tags "$REGISTRY/team/app" fd=tags , search "$REGISTRY/x" url=APP fd=found , search "$REGISTRY/x" url=zzz fd=none >out
    same "$(sort tags | tr '\n' ' ')" "v1 v2 v3 v4 v5 "
    same "$(jq -r '.results[].name' found)" team/app
    same "$(jq -r '.num_results' none)" 0
    evil_start "{\"images\":\"$BATS_FILE_TMPDIR/layout\",\"rules\":[
        {\"on\":\"tags\",\"headers\":{\"Link\":\"</v2/a/tags/list?n=1&last=b>; rel=\\\"next\\\"\"},\"times\":1}]}"
    T tags "$EVIL/a" fd=tags2 >out
    same "$(sort -u tags2)" latest
    same "$(wc -l <tags2)" 2
}

@test "tags: the next page at another host is not asked for" {
    evil_start "{\"images\":\"$BATS_FILE_TMPDIR/layout\",\"rules\":[
        {\"on\":\"tags\",\"headers\":{\"Link\":\"<{other}/v2/a/tags/list>; rel=\\\"next\\\"\"}}]}"
    try T tags "$EVIL/a" fd=tags
    fails 1
    same "$(jq -r 'select(.door != "main") | .path' "$EVIL_LOG")" ""
}

@test "a download goes on where it broke off, by range or without" {
    local layer size
    layer=$(jq -r '.layers[-1].digest' "$BATS_FILE_TMPDIR/layout/blobs/sha256/$(jq -r '.manifests[0].digest[7:]' "$BATS_FILE_TMPDIR/layout/index.json")")
    size=$(size "$BATS_FILE_TMPDIR/layout/blobs/sha256/${layer#*:}")
    local rule
    for rule in '{"on":"blob_get","truncate":150000,"times":2}' \
        '{"on":"blob_get","truncate":150000,"times":1},{"on":"blob_get","no_range":true}' \
        '{"on":"blob_get","truncate":150000,"times":1},{"on":"blob_get","range":"bytes 0-99/100","times":1}' \
        "{\"on\":\"blob_get\",\"truncate\":150000,\"times\":1},{\"on\":\"blob_get\",\"range\":\"bytes 100-$((size - 1))/$size\",\"times\":1}" \
        '{"on":"blob_get","reset":150000,"times":1},{"on":"blob_get","status":416,"times":1}'; do
        evil_start "{\"images\":\"$BATS_FILE_TMPDIR/layout\",\"rules\":[$rule]}"
        T blob-get "$EVIL/a" "digest=$layer" "size=$size" fd=got >out || { cat out; false; }
        cmp got "$BATS_FILE_TMPDIR/layout/blobs/sha256/${layer#*:}"
        [ "$(asked 'GET /v2/a/blobs')" -ge 2 ]
        rm got
    done
    # And where an earlier run stopped.
    head -c 100000 "$BATS_FILE_TMPDIR/layout/blobs/sha256/${layer#*:}" >got
    T blob-get "$EVIL/a" "digest=$layer" "size=$size" offset=100000 fd=got >out || { cat out; false; }
    cmp got "$BATS_FILE_TMPDIR/layout/blobs/sha256/${layer#*:}"
    { printf x; head -c 99999 /dev/zero; } >got
    try T blob-get "$EVIL/a" "digest=$layer" "size=$size" offset=100000 fd=got
    fails 1
    has "sent bytes that hash to"
}

@test "progress is never ahead of the file, and comes at the first bytes" {
    registry_start
    # shellcheck disable=SC2046
    T blob-put "$REGISTRY/a" $(blob big) >out
    # shellcheck disable=SC2046
    T --progress --tail got blob-get "$REGISTRY/a" $(blob big got) hashed >out
    grep -q '^1 progress [1-9]' out
    without ahead out
    cmp got big
}

@test "a paced download stays near its reader, however late that one comes" {
    registry_start
    head -c 60000000 /dev/zero >large
    # shellcheck disable=SC2046
    T blob-put "$REGISTRY/a" $(blob large) >out
    # The reader sleeps longer than a download may stall.
    # shellcheck disable=SC2046
    DEWAR_REGISTRY_STALL=1 T --reader 2500 blob-get "$REGISTRY/a" $(blob large back) hashed paced >out
    cmp large back
    local ahead
    ahead=$(sed -n 's/^reader ahead=//p' out)
    [ "$ahead" -ge 8000000 ] && [ "$ahead" -le 20000000 ] || { cat out; false; }
    # Without that wish nobody is waited for.
    # shellcheck disable=SC2046
    T --reader 2500 blob-get "$REGISTRY/a" $(blob large again) hashed >out
    same "$(sed -n 's/^reader ahead=//p' out)" 60000000
}

@test "a connection that is lost because its reader is late costs no try" {
    local digest
    head -c 17000000 /dev/urandom >large
    mkdir -p slow/blobs/sha256
    digest=$(digest large)
    mv large "slow/blobs/sha256/${digest#*:}"
    echo '{"manifests":[]}' >slow/index.json
    ln -s "slow/blobs/sha256/${digest#*:}" large
    # Each time some bytes come, fewer than what makes a try worth it.
    evil_start "{\"images\":\"$PWD/slow\",\"rules\":[{\"on\":\"blob_get\",\"reset\":16800000,\"times\":1},
        {\"on\":\"blob_get\",\"impatient\":[30000,0.4],\"times\":6}]}"
    # shellcheck disable=SC2046
    DEWAR_REGISTRY_RETRIES=2 T --reader 20 --crawl 400 blob-get "$EVIL/a" $(blob large got) hashed paced >out || { cat out; false; }
    cmp large got
    same "$(jq -r 'select(.kind == "blob_get") | .sent' "$EVIL_LOG" | grep -c '^30000$')" 6
    # What an earlier run left is read before the registry is asked for more.
    local begin
    evil_start "{\"images\":\"$PWD/slow\"}"
    head -c 16990000 large >got
    begin=$(date +%s%N)
    # shellcheck disable=SC2046
    T --reader 1500 blob-get "$EVIL/a" $(blob large got) offset=16990000 hashed paced >out
    cmp large got
    [ "$(jq -r --argjson b "$begin" 'select(.kind == "blob_get") | .time * 1000 - $b / 1000000 | floor' "$EVIL_LOG")" -ge 1400 ]
    # A registry that has no such excuse is given up on as ever.
    evil_start "{\"images\":\"$PWD/slow\",\"rules\":[{\"on\":\"blob_get\",\"reset\":20000}]}"
    # shellcheck disable=SC2046
    DEWAR_REGISTRY_RETRIES=2 try T blob-get "$EVIL/a" $(blob large again) hashed paced
    fails 1
    has 'gave up after 3 tries'
}

@test "a download outlives the tokens that it was begun with" {
    local rules='' part='{"on":"blob_get","truncate":100000,"times":1},' again i
    again='{"on":"blob_get","status":401,"headers":{"WWW-Authenticate":"Bearer realm=\"{main}/token\",service=\"evil\""},"times":1},'
    for i in 1 2 3 4; do rules+=$part$again; done
    mkdir -p four/blobs/sha256
    cp -L big "four/blobs/sha256/$(sha256sum <big | cut -d' ' -f1)"
    echo '{"manifests":[]}' >four/index.json
    evil_start "{\"images\":\"$PWD/four\",\"auth\":\"token\",\"rules\":[{\"on\":\"blob_get\",\"after\":0,\"times\":1},${rules%,}]}"
    # shellcheck disable=SC2046
    T blob-get "$EVIL/a" $(blob big got) >out || { cat out; false; }
    cmp big got
    same "$(asked 'GET /token' | grep -c .)" 1
    [ "$(asked 'GET /token')" -ge 5 ]
}

@test "an upload goes on where it broke off" {
    evil_start '{"rules":[{"on":"upload_patch","refuse":3000000,"times":1}]}'
    # shellcheck disable=SC2046
    T blob-put "$EVIL/a" $(blob big) >out
    same "$(asked '^POST ')" 1
    [ "$(asked '^GET .*uploads')" -ge 1 ]
    grep -q retrying out
    # shellcheck disable=SC2046
    T blob-get "$EVIL/a" $(blob big got) >out
    cmp got big
}

@test "an upload that the registry forgot begins again; a closed one is found" {
    evil_start '{"rules":[{"on":"upload_patch","refuse":3000000,"times":1},{"on":"upload_get","status":404}]}'
    # shellcheck disable=SC2046
    T blob-put "$EVIL/a" $(blob big) >out
    same "$(asked '^POST ')" 2
    evil_start '{"rules":[{"on":"upload_put","hangup":true,"times":1}]}'
    # shellcheck disable=SC2046
    T blob-put "$EVIL/a" $(blob big) , blob-put "$EVIL/a" $(blob small) >out || { cat out; false; }
    # shellcheck disable=SC2046
    T blob-get "$EVIL/a" $(blob big got) , blob-get "$EVIL/a" $(blob small got2) >out
    cmp got big
    cmp got2 small
}

@test "a registry that takes only small uploads gets chunks" {
    evil_start '{"rules":[{"on":"upload_patch","status":413,"times":1}]}'
    # shellcheck disable=SC2046
    T blob-put "$EVIL/a" $(blob big) >out
    grep -q "4 MiB at a time" out
    [ "$(asked '^PATCH ')" -ge 4 ]
    # shellcheck disable=SC2046
    T blob-get "$EVIL/a" $(blob big got) >out
    cmp got big
}

@test "a registry without PATCH gets the blob in one PUT" {
    evil_start '{"rules":[{"on":"upload_patch","status":405}]}'
    # shellcheck disable=SC2046
    T blob-put "$EVIL/a" $(blob big) >out
    # shellcheck disable=SC2046
    T blob-get "$EVIL/a" $(blob big got) >out
    cmp got big
}

@test "a token that is refused amid a push is replaced" {
    evil_start '{"auth":"token","rules":[{"on":"upload_patch","status":401,"times":1,
        "headers":{"WWW-Authenticate":"Bearer realm=\"{main}/token\",service=\"evil\",error=\"invalid_token\""}}]}'
    login tester Sesame-47-open "$EVIL"
    # shellcheck disable=SC2046
    T blob-put "$EVIL/a" $(blob big) >out
    [ "$(asked '^(GET|POST) /token')" -ge 2 ]
}

@test "a file from the web: bytes, size, time and name; no credentials; errors" {
    evil_start "{\"images\":\"$BATS_FILE_TMPDIR/layout\",\"rules\":[
        {\"match\":\"/file.bin\",\"on\":\"else\",\"status\":200,\"body\":\"hello\",\"headers\":{
            \"Last-Modified\":\"Thu, 01 Jan 1970 00:01:40 GMT\",\"Content-Disposition\":\"attachment; filename=\\\"../x.bin\\\"\"}},
        {\"match\":\"/moved\",\"on\":\"else\",\"redirect\":\"/file.bin\"}]}"
    login tester Sesame-47-open "$EVIL"
    T url-get - "url=http://$EVIL/moved?token=1" fd=got >out || { cat out; false; }
    same "$(cat got)" hello
    grep -q "size=5 .*name=x.bin url=http://$EVIL/file.bin time=100" out
    same "$(jq -r 'select(.headers.authorization // .headers.Authorization) | .path' "$EVIL_LOG")" ""
    T url-get - "url=http://$EVIL/file.bin" "digest=$(digest got)" fd=got >out || { cat out; false; }
    try T url-get - "url=http://$EVIL/file.bin" "digest=$(digest small)" fd=got
    fails 1
    has "hashes to '$(printf hello | sha256sum | sed 's/^/sha256:/; s/ .*//')'"
    try T url-get - "url=http://$EVIL/file.bin" size=4 fd=got
    has "larger than 4 bytes"
    try T url-get - "url=http://$EVIL/none?sig=geheim" fd=got
    has "404"
    lacks geheim
    try T url-get - "url=http://me:geheim@$EVIL/file.bin" fd=got
    fails 1
    has "user or password"
    lacks geheim
    try T url-get - "url=file:///etc/passwd" fd=got
    has "only http and https"
}

@test "a mirror is asked first, and a broken one is passed over" {
    registry_start plain
    registry_start plain MIRROR
    document one
    # shellcheck disable=SC2046
    T blob-put "$REGISTRY/a" $(blob small) , blob-put "$MIRROR/b/a" $(blob small) >out || { cat out; false; }
    T manifest-put "$REGISTRY/a:x" fd=one.json , manifest-put "$MIRROR/b/a:x" fd=one.json >out
    mkdir -p "$HOME/.config/containers"
    printf '[[registry]]\nprefix = "%s"\nlocation = "%s"\ninsecure = true\n[[registry.mirror]]\nlocation = "%s/b"\ninsecure = true\n' \
        "$REGISTRY" "$REGISTRY" "$MIRROR" >"$HOME/.config/containers/registries.conf"
    T manifest-get "$REGISTRY/a:x" fd=got >out || { cat out; false; }
    cmp got one.json
    same "$(registry_requests GET '/v2/a/manifests/x')" 0
    same "$(registry_requests GET '/v2/b/a/manifests/x' MIRROR)" 1
    registry_stop MIRROR
    # shellcheck disable=SC2046
    T manifest-get "$REGISTRY/a:x" fd=got , blob-get "$REGISTRY/a" $(blob small got2) >out
    cmp got one.json
    grep -q "the mirror .* failed" out
}

@test "the client ends with the one who asks" {
    evil_start '{"rules":[{"on":"manifest_get","mute":true}]}'
    "$TRANSFER" --helper "$HELPER" manifest-get "$EVIL/a:x" fd=out 3>&- &
    local i left=1 pid=$!
    for ((i = 0; i < 100; i++)); do
        [ "$(asked '^GET')" = 0 ] || break
        sleep 0.05
    done
    [ -n "$(pgrep -u "$(id -u)" -f "^$HELPER")" ]
    kill -9 "$pid"
    for ((i = 0; i < 100 && left; i++)); do
        left=$(pgrep -u "$(id -u)" -f "^$HELPER" || true)
        sleep 0.05
    done
    same "$left" ""
}

@test "it links what it must and nothing else" {
    same "$(readelf -d "$HELPER" | grep -o 'lib[a-z]*\.so\.[0-9]' | tr '\n' ' ')" "libcurl.so.4 libc.so.6 "
}

@test "requests that start at the same moment agree that the registry speaks plain HTTP" {
    # The second try of TLS is answered when plain HTTP has long been found to work.
    python3 - port 3>&- <<'END' &
import socket, sys, threading, time
hellos = []
def serve(conn):
    data = conn.recv(65536)
    if data[:1] == b"\x16":
        hellos.append(1)
        time.sleep(0.5 if len(hellos) > 1 else 0)
        conn.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
    elif data:
        conn.sendall(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    conn.close()
listener = socket.create_server(("127.0.0.1", 0))
open("port.part", "w").write(str(listener.getsockname()[1]))
__import__("os").rename("port.part", sys.argv[1])
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
END
    local pid=$! i
    for ((i = 0; i < 100; i++)); do [ ! -e port ] || break; sleep 0.05; done
    DEWAR_REGISTRY_RETRIES=0 T manifest-head "localhost:$(cat port)/a" , manifest-head "localhost:$(cat port)/b" >out ||
        { kill "$pid"; cat out; false; }
    kill "$pid"
    same "$(grep -c 'done size=0' out)" 2
}
