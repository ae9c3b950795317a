# SPDX-License-Identifier: Apache-2.0
# bats file_tags=attack,registry
# The registry client alone against what pull and push cannot show: files from the web that lead into
# this machine, proxies that want to know, answers that would fill the memory. Each has its legal twin.
load ../e2e/helpers
load ../e2e/registry
NO_IMAGE=1

test_setup() {
    local place
    for place in "$(dirname "$DEWAR")/../libexec/dewar" "$(dirname "$DEWAR")/../registry"; do
        [ ! -x "$place/dewar-registry" ] || HELPER=$place/dewar-registry
    done
    [ -n "${HELPER:-}" ] || skip "dewar was built without libcurl"
    TRANSFER=${TOOLS:-$TESTS_DIR/../build/tests/tools}/transfer
    [ -x "$TRANSFER" ] || TRANSFER=$TESTS_DIR/../build/tests/tools/transfer
    export HOME=$WORK/home TRANSFER HELPER DEWAR_REGISTRY_STALL=5 DEWAR_REGISTRY_RETRIES=0
    unset XDG_CONFIG_HOME XDG_RUNTIME_DIR DOCKER_CONFIG REGISTRY_AUTH_FILE
    mkdir -p "$HOME/.docker"
}
T() { "$TRANSFER" --helper "$HELPER" "$@"; }
# Runs a bash script where 203.0.113.7 is an address of this machine that looks like one of the
# network, and 10.9.8.7 one of a private network; here.example and corp.example are names for inside.
abroad() {
    local -a how=(unshare -n -m)
    is_root || how=(unshare -U --map-root-user -n -m)
    need_program ip iproute2
    need_kernel "network namespace" "${how[@]}" true
    export TESTS_DIR WORK
    printf '127.0.0.1 localhost here.example\n10.9.8.7 corp.example\n' >hosts
    "${how[@]}" bash -euc 'ip link set lo up
        mount --bind hosts /etc/hosts
        ip address add 203.0.113.7/32 dev lo
        ip address add 10.9.8.7/32 dev lo
        T() { "$TRANSFER" --helper "$HELPER" "$@"; }
        start() { eval "$("$TESTS_DIR/tools/evilreg.py" start "$WORK/$1" "$2" --name "$1" --owner $$)"; }
        '"$1"
}

@test "C2: a file from the web cannot lead into this machine or its network" {
    abroad '
    start INNER "{\"rules\":[{\"on\":\"else\",\"status\":200,\"body\":\"inner secret\"}]}"
    start EVIL "{\"host\":\"203.0.113.7\",\"bind\":\"203.0.113.7\",\"rules\":[]}"
    port=${INNER#*:} host=${EVIL%:*}
    for to in 127.0.0.1 localhost 2130706433 0x7f.1 017700000001 0.0.0.0 "[::1]" "[::ffff:127.0.0.1]" \
        "[::ffff:7f00:1]" 127.0.0.1. 10.9.8.7 169.254.169.254 here.example corp.example; do
        start OUTER "{\"host\":\"203.0.113.7\",\"bind\":\"203.0.113.7\",\"rules\":[
            {\"on\":\"else\",\"redirect\":\"http://$to:$port/x\"}]}"
        if T url-get - "url=http://$OUTER/file" fd=got >out; then
            echo "was sent to $to:" >&2
            exit 1
        fi
        ! grep -q secret got || exit 1
        grep -qE "refused|not a|resolve" out || { echo "$to: $(cat out)" >&2; exit 1; }
    done
    [ ! -s "$INNER_LOG" ] || { cat "$INNER_LOG" >&2; exit 1; }
    # The twins: a person may name such an address, and the network may lead to the network.
    T url-get - "url=http://$INNER/file" fd=got >out
    [ "$(cat got)" = "inner secret" ]
    start FAR "{\"host\":\"203.0.113.7\",\"bind\":\"203.0.113.7\",\"rules\":[
        {\"on\":\"else\",\"status\":200,\"body\":\"far\"}]}"
    start OUTER "{\"host\":\"203.0.113.7\",\"bind\":\"203.0.113.7\",\"rules\":[
        {\"on\":\"else\",\"redirect\":\"http://$FAR/x\"}]}"
    T url-get - "url=http://$OUTER/file" fd=got2 >out
    [ "$(cat got2)" = far ]
    '
}

@test "C2: the same when it goes on through a host on this machine" {
    abroad '
    start INNER "{\"rules\":[{\"on\":\"else\",\"status\":200,\"body\":\"inner\"}]}"
    start FAR "{\"host\":\"203.0.113.7\",\"bind\":\"203.0.113.7\",\"rules\":[
        {\"on\":\"else\",\"redirect\":\"http://$INNER/x\"}]}"
    start NEAR "{\"rules\":[{\"on\":\"else\",\"redirect\":\"http://$FAR/x\"}]}"
    if T url-get - "url=http://$NEAR/file" fd=got >out; then exit 1; fi
    grep -q "refused to be sent to .localhost" out
    [ ! -s "$INNER_LOG" ]
    # The twin: this machine may send us on within itself.
    start NEAR "{\"rules\":[{\"on\":\"else\",\"redirect\":\"http://$INNER/x\"}]}"
    T url-get - "url=http://$NEAR/file" fd=got >out
    [ "$(cat got)" = inner ]
    '
}

@test "C1: a proxy of the environment carries the connection and sees no password" {
    abroad '
    cat >proxy.py <<END
import socket, sys, threading
log = open("proxy.log", "a", buffering=1)
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    b.close()
def serve(conn):
    head = b""
    while b"\r\n\r\n" not in head:
        head += conn.recv(65536)
    log.write(head.decode().replace("\r\n", " | ") + "\n")
    host, port = head.split()[1].decode().rsplit(":", 1)
    far = socket.create_connection((host, int(port)))
    conn.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
    threading.Thread(target=pump, args=(far, conn), daemon=True).start()
    pump(conn, far)
listener = socket.create_server(("127.0.0.1", 0))
open("part", "w").write(str(listener.getsockname()[1]))
__import__("os").rename("part", "port")
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
END
    python3 proxy.py 3>&- &
    trap "kill $!" EXIT
    while [ ! -e port ]; do sleep 0.05; done
    start EVIL "{\"host\":\"203.0.113.7\",\"bind\":\"203.0.113.7\",\"tls\":\"good\",\"auth\":\"basic\",\"rules\":[
        {\"on\":\"manifest_head\",\"http10\":true}]}" # so that each request makes a connection
    export SSL_CERT_FILE=$EVIL_CA https_proxy=http://localhost:$(cat port)
    unset no_proxy NO_PROXY
    printf "{\"auths\":{\"%s\":{\"auth\":\"%s\"}}}" "$EVIL" "$(printf tester:Sesame-47-open | base64 -w0)" >"$HOME/.docker/config.json"
    T manifest-head "$EVIL/a:x" >out
    grep -q "done size=0" out
    [ "$(grep -c "^CONNECT 203.0.113.7:" proxy.log)" = 2 ]
    ! grep -qi authorization proxy.log || exit 1
    jq -e "select(.headers.authorization // .headers.Authorization)" "$EVIL_LOG" >/dev/null
    # The twin: who is excepted is spoken to directly.
    rm proxy.log; : >proxy.log
    no_proxy=203.0.113.0/24 T manifest-head "$EVIL/a:x" >out
    [ ! -s proxy.log ]
    '
}

@test "B5: endless answers to many requests at once leave the memory small" {
    evil_start '{"rules":[{"on":["manifest_get","tags","else"],"status":200,"endless":"chunked"}]}'
    local i words=() peak
    for i in 1 2 3 4 5 6 7 8; do
        words+=(manifest-get "$EVIL/a:$i" "fd=m$i" "," tags "$EVIL/a$i" "fd=t$i" "," search "$EVIL/x" "url=$i" "fd=s$i" ","
            url-get - "url=http://$EVIL/file$i" "fd=u$i" size=1000000 ",")
    done
    if /usr/bin/env python3 - "$TRANSFER" --helper "$HELPER" "${words[@]}" >out <<'END'; then return 1; fi
import os, resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
END
    peak=$(sed -n 's/^peak //p' out)
    same "$(grep -c ' failed ' out)" 32
    [ "$peak" -lt $((128 << 10)) ] || { echo "$peak KiB" >&2; false; }
    for i in m1 t1 u1; do [ "$(stat -c %s "$i")" -le 1000000 ]; done
}

@test "F1: no password in arguments, environment, messages or files but its own" {
    evil_start '{"auth":"token","rules":[{"on":"manifest_get","status":503}]}'
    printf '{"auths":{"%s":{"auth":"%s"}}}' "$EVIL" "$(printf tester:Sesame-47-open | base64 -w0)" >"$HOME/.docker/config.json"
    DEWAR_REGISTRY_RETRIES=3 "$TRANSFER" --helper "$HELPER" manifest-get "$EVIL/a:x" fd=got >out 2>err 3>&- &
    local pid=$! i child=''
    for ((i = 0; i < 100; i++)); do
        child=$(pgrep -P "$pid" || true)
        [ -z "$child" ] || [ "$(jq -r .path "$EVIL_LOG" | grep -c manifests)" -lt 2 ] || break
        sleep 0.05
    done
    [ -n "$child" ]
    { tr '\0' '\n' <"/proc/$child/cmdline"; is_root && tr '\0' '\n' <"/proc/$child/environ"; } >seen 2>/dev/null || true
    # It is not to be read by others of the same user either: it keeps no core and no open /proc.
    is_root || [ ! -r "/proc/$child/environ" ]
    wait "$pid" || true
    [ -s seen ]
    local secret
    secret=$(printf tester:Sesame-47-open | base64 -w0)
    if grep -rlE "Sesame-47|$secret|good-" seen out err got; then return 1; fi
}
