# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Registries for tests; load it after helpers. What is started in file_setup serves the file and ends
# with it, what is started in a test ends with the test; registry_stop ends one before that.
#
#   registry_start [VARIANT] [NAME]  a docker-registry (see tests/tools/registry): plain, tls, htpasswd,
#                   token, or words joined by +; sets and exports $NAME (default REGISTRY: localhost:PORT),
#                   $NAME_CA, $NAME_CERTS, $NAME_USER, $NAME_PASSWORD, $NAME_LOG, $NAME_DIR, $NAME_TOKENS
#   registry_stop [NAME]
#   registry_layout DIR [SEED]  an OCI folder DIR:latest, a runnable image of busybox and two layers of 1.4 and 0.3 MB;
#                   another SEED gives other upper layers
#   registry_seed REPO[:TAG] [NAME] [SEED]  puts that image there by skopeo, with the bytes it has
#   registry_requests METHOD PATTERN [NAME]  how many such requests the registry has answered
#   front_start BACKEND [WORDS] [NAME]  nginx with TLS and HTTP/2 before a registry (see tests/tools/front): $NAME
#                   (default FRONT), $NAME_CERTS, $NAME_CLIENT, $NAME_LOG
#   evil_start SCRIPT [NAME]    a scripted registry (see tests/tools/evilreg.py): $NAME (default EVIL),
#                   $NAME_LOG, $NAME_PID, ...

TOOLS_DIR=$TESTS_DIR/tools

# Without a runtime folder it looks into /run/containers, which root may have made for itself alone.
skopeo() { XDG_RUNTIME_DIR=$HOME command skopeo "$@"; }

# The process that a registry lives as long as is this shell: the file's, or the test's.
_registry_eval() {
    local out name
    out=$("$@") || return 1
    eval "$out"
    while IFS='=' read -r name _; do export "${name?}"; done <<<"$out"
}
registry_start() {
    need_program docker-registry docker-registry
    need_program htpasswd apache2-utils
    need_program openssl openssl
    local name=${2:-REGISTRY} dir
    dir=$(mktemp -d "${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR}/registry.XXXXXX") || return 1
    _registry_eval "$TOOLS_DIR/registry" start "$dir" "${1:-plain}" --name "$name" --owner $$
}
registry_stop() {
    local pid=${1:-REGISTRY}_PID
    [ -z "${!pid:-}" ] || "$TOOLS_DIR/registry" stop "${!pid}"
}

# Writes a blob of stdin into the layout $1; prints its digest.
_layout_blob() {
    local part=$1/part digest
    cat >"$part"
    digest=$(sha256sum <"$part")
    mv "$part" "$1/blobs/sha256/${digest%% *}"
    echo "sha256:${digest%% *}"
}
_layout_tar() { tar -C "$1" --sort=name --format=gnu --mtime=@1000000000 --numeric-owner --owner=0 --group=0 -c .; }
registry_layout() {
    local dir=$1 seed=${2:-one} work size digest diffs='' layers='' tar=$BATS_RUN_TMPDIR/rootfs-$(id -u).tar
    local media=application/vnd.oci.image config
    work=$(mktemp -d "${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR}/layout.XXXXXX")
    mkdir -p "$dir/blobs/sha256" "$work/1/etc" "$work/2/data"
    [ -e "$tar" ] || rootfs_tar "$tar"
    echo "$seed" >"$work/1/etc/seed"
    # Content that does not compress, so that faults at a byte have bytes to be at.
    # The second layer is large enough to be pushed in parts.
    openssl enc -aes-128-ctr -pass "pass:$seed" -nosalt -in /dev/zero 2>/dev/null | head -c 1700000 >"$work/all"
    head -c 300000 "$work/all" >"$work/2/data/random"
    tail -c 1400000 "$work/all" >"$work/1/etc/random"
    _layout_tar "$work/1" >"$work/1.tar"
    _layout_tar "$work/2" >"$work/2.tar"
    local one
    for one in "$tar" "$work/1.tar" "$work/2.tar"; do
        diffs+="${diffs:+,}\"sha256:$(sha256sum <"$one" | cut -d' ' -f1)\""
        digest=$(gzip -n <"$one" | _layout_blob "$dir")
        size=$(stat -c %s "$dir/blobs/sha256/${digest#*:}")
        layers+="${layers:+,}{\"mediaType\":\"$media.layer.v1.tar+gzip\",\"digest\":\"$digest\",\"size\":$size}"
    done
    config=$(printf '{"created":"2001-09-09T01:46:40Z","architecture":"amd64","os":"linux","config":{"Cmd":["cat","/etc/seed"],"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":[%s]}}' \
        "$diffs" | _layout_blob "$dir")
    size=$(stat -c %s "$dir/blobs/sha256/${config#*:}")
    digest=$(printf '{"schemaVersion":2,"mediaType":"%s.manifest.v1+json","config":{"mediaType":"%s.config.v1+json","digest":"%s","size":%s},"layers":[%s]}' \
        "$media" "$media" "$config" "$size" "$layers" | _layout_blob "$dir")
    size=$(stat -c %s "$dir/blobs/sha256/${digest#*:}")
    printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s.manifest.v1+json","digest":"%s","size":%s,"annotations":{"org.opencontainers.image.ref.name":"latest"}}]}' \
        "$media" "$digest" "$size" >"$dir/index.json"
    echo '{"imageLayoutVersion":"1.0.0"}' >"$dir/oci-layout"
    rm -rf "$work"
}

registry_seed() {
    need_program skopeo skopeo
    local to=$1 name=${2:-REGISTRY} seed=${3:-one} layout user certs password
    layout=$BATS_RUN_TMPDIR/layout-$(id -u)-$seed
    [ -e "$layout" ] || { rm -rf "$layout.part" && registry_layout "$layout.part" "$seed" && mv "$layout.part" "$layout"; } || return 1
    user=${name}_USER certs=${name}_CERTS password=${name}_PASSWORD
    local -a how=(--dest-tls-verify=false)
    [ -z "${!certs:-}" ] || how=(--dest-cert-dir "${!certs}")
    [ -z "${!user:-}" ] || how+=(--dest-creds "${!user}:${!password}")
    # A user of their own: no configuration, no cache outside the test's folder.
    skopeo copy --insecure-policy -q "${how[@]}" "oci:$layout:latest" "docker://${!name}/$to"
}

registry_requests() {
    local log=${3:-REGISTRY}_LOG
    grep -cE "\"$1 $2 HTTP/" "${!log}" || true
}

front_start() {
    PATH=$PATH:/usr/sbin need_program nginx
    need_program openssl openssl
    local dir
    dir=$(mktemp -d "${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR}/front.XXXXXX") || return 1
    _registry_eval "$TOOLS_DIR/front" start "$dir" "$1" "${2:-}" --name "${3:-FRONT}" --owner $$
}

evil_start() {
    need_program openssl openssl
    local dir
    dir=$(mktemp -d "${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR}/evil.XXXXXX") || return 1
    _registry_eval "$TOOLS_DIR/evilreg.py" start "$dir" "$1" --name "${2:-EVIL}" --owner $$
}
