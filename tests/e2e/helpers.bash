# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What every end-to-end and attack test stands on. A file of tests starts with
#
#     load ../e2e/helpers          # or: load helpers
#
# and gets, per file: a store and a run folder of its own, the image busybox:test in it, and a folder
# $WORK that is empty at the start of each test and current. The suite runs twice, as root and as an
# ordinary user, with the same files; a test that needs one of the two says so with need_root or
# need_user, and one that needs more says what: need_program, need_kernel.
#
#   $DEWAR      the program under test (default: build/src/cli/dewar of this tree)
#   $IMG        busybox:test, a small image whose every applet is a link to one static busybox
#   dewar ...   runs the program
#   try ...     like bats' run with stderr apart: $status, $output (stdout), $stderr, $lines
#   ctx         makes $WORK/ctx current, for a build; dockerfile <<EOF writes its Dockerfile
#   build_id    builds ctx (or the arguments) quietly and prints the image ID
#   on_tty TEXT... runs a shell command on a terminal and prints what it showed, CRs removed
#   deny_syscall ... makes one call of a command fail, or be its last; see tests/tools/deny-syscall.c
#   rounds N ALL prints 1 .. N, or 1 .. ALL in a check with --full
#   ok, fails N [text], has TEXT, lacks TEXT, same A B    assertions about the last `try`
#
# A file that needs more set-up defines file_setup / file_teardown, test_setup / test_teardown.

bats_require_minimum_version 1.5.0
export LC_ALL=C.UTF-8 IMG=busybox:test
TESTS_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export TESTS_DIR
: "${DEWAR:=$TESTS_DIR/../build/src/cli/dewar}"
DEWAR=$(realpath "$DEWAR")
export DEWAR

dewar() { "$DEWAR" "$@"; }

is_root() { [ "$(id -u)" = 0 ]; }
need_root() { is_root || skip "needs root"; }
need_user() { ! is_root || skip "is about ordinary users"; }
need_program() { command -v "$1" >/dev/null || skip "needs the program $1${2:+ (package $2)}"; }
# need_kernel "a mount of type x" command...: skips when the command fails.
need_kernel() {
    local what=$1
    shift
    "$@" >/dev/null 2>&1 || skip "this kernel or machine has no $what"
}
# Runs a command as another, unprivileged user (root only); its HOME is a fresh folder.
as_other() {
    local home
    home=$(mktemp -d "$BATS_TEST_TMPDIR/home.XXXXXX")
    chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" 2>/dev/null || true
    chown "${OTHER_ID:-65534}:${OTHER_ID:-65534}" "$home"
    HOME=$home setpriv --reuid "${OTHER_ID:-65534}" --regid "${OTHER_ID:-65534}" --clear-groups "$@"
}

# script(1) types an end-of-file character of its own when its input ends, and the terminal may echo
# it: so its input is a pipe that nobody closes. The exit code is the command's.
on_tty() {
    local code=0 dir
    dir=$(mktemp -d "$BATS_TEST_TMPDIR/tty.XXXXXX")
    mkfifo "$dir/in"
    script -qec "$*" /dev/null <>"$dir/in" >"$dir/out" || code=$?
    tr -d '\r' <"$dir/out"
    return "$code"
}

# tests/tools/deny-syscall; it follows with ptrace, so what has privileges keeps them for root only.
deny_syscall() {
    local tool
    tool=${TOOLS:-$(dirname "$DEWAR")/../../tests/tools}/deny-syscall
    [ -x "$tool" ] || tool=$TESTS_DIR/../build/tests/tools/deny-syscall
    [ -x "$tool" ] || skip "deny-syscall is not built beside the program"
    ASAN_OPTIONS=detect_leaks=0 timeout 60 "$tool" "$@"
}

# Runs a command as root of a user namespace with all ids of the user: unshare(1) takes one range alone.
with_own_ids() {
    local go pid file map=() n
    go=$(mktemp -u "$BATS_RUN_TMPDIR/go.XXXXXX")
    mkfifo "$go"
    # shellcheck disable=SC2016 # its own arguments
    unshare -U sh -c 'read -r _ <"$0" && exec "$@"' "$go" "$@" 3>&- &
    pid=$!
    while [ "$(readlink "/proc/$pid/ns/user")" = "$(readlink /proc/self/ns/user)" ]; do sleep 0.01; done
    for file in uid gid; do
        map=(0 "$([ $file = uid ] && id -u || id -g)" 1) n=1
        while IFS=: read -r _ first count; do
            map+=("$n" "$first" "$count") n=$((n + count))
        done < <(grep "^$(id -un):" "/etc/sub$file")
        "new${file}map" "$pid" "${map[@]}" || break
    done
    timeout 10 sh -c 'echo >"$0"' "$go"
    rm -f "$go"
    wait "$pid"
}

# Removes a tree of ours that may hold files of mapped ids, which only a user namespace may touch.
remove_tree() {
    chmod -R u+rwX "$@" 2>/dev/null || true
    rm -rf "$@" 2>/dev/null && return 0
    is_root || with_own_ids rm -rf "$@" 2>/dev/null || true
    [ ! -e "$1" ]
}

# The root folder that busybox:test is made of, as a tar with fixed names, owners and times.
make_rootfs() {
    local dir=$1 name
    mkdir -p "$dir"/{bin,etc,tmp,var/tmp,root,home,proc,sys,dev,usr/bin,usr/sbin,sbin,run}
    chmod 1777 "$dir/tmp" "$dir/var/tmp"
    cp "$(command -v busybox)" "$dir/bin/busybox"
    chmod 755 "$dir/bin/busybox"
    for name in $("$dir/bin/busybox" --list); do
        [ "$name" = busybox ] || ln -s busybox "$dir/bin/$name"
    done
    printf '%s\n' root:x:0:0:root:/root:/bin/sh bin:x:2:2:bin:/bin:/bin/false \
        'user:x:1000:1000:A user:/home/user:/bin/sh' nobody:x:65534:65534:nobody:/:/bin/false \
        >"$dir/etc/passwd"
    printf '%s\n' root:x:0: bin:x:2: wheel:x:10:user user:x:1000: extra:x:1001:user nogroup:x:65534: \
        >"$dir/etc/group"
    mkdir -p "$dir/home/user"
    ln -s ../run "$dir/var/run" # a link as real images have it
}
rootfs_tar() {
    local dir
    dir=$(mktemp -d "${BATS_RUN_TMPDIR:-/tmp}/rootfs.XXXXXX")
    chmod 755 "$dir"
    make_rootfs "$dir"
    chmod -R u+w "$dir"
    { tar -C "$dir" --sort=name --format=gnu --mtime=@1000000000 --numeric-owner \
        --owner=0 --group=0 --exclude=./home/user -cf "$1.part" . &&
        tar -C "$dir" --sort=name --format=gnu --mtime=@1000000000 --numeric-owner \
            --owner=1000 --group=1000 -rf "$1.part" ./home/user && mv "$1.part" "$1"; }
    rm -rf "$dir"
}

# Imports busybox:test (or the given name) into the current store.
import_image() {
    local tar=$BATS_RUN_TMPDIR/rootfs-$(id -u).tar
    [ -e "$tar" ] || rootfs_tar "$tar"
    dewar image import "$tar" "${1:-$IMG}" >/dev/null
}

# A store and run folder of its own: per file from setup_file; a test may ask for another one.
fresh_store() {
    export DEWAR_STORE=$1/store DEWAR_RUN=$1/run
}

setup_file() {
    export HOME=$BATS_FILE_TMPDIR/home XDG_DATA_HOME='' XDG_RUNTIME_DIR='' XDG_CONFIG_HOME=''
    unset XDG_DATA_HOME XDG_RUNTIME_DIR XDG_CONFIG_HOME SOURCE_DATE_EPOCH DOCKER_HOST DOCKER_CONFIG
    # No test asks a registry of the world: an image that is missing fails at once, and the same way.
    export HTTPS_PROXY=http://127.0.0.1:9 NO_PROXY=localhost,127.0.0.1
    mkdir -p "$HOME"
    fresh_store "$BATS_FILE_TMPDIR"
    [ -n "${NO_IMAGE:-}" ] || import_image
    ! declare -F file_setup >/dev/null || file_setup
}
teardown_file() {
    ! declare -F file_teardown >/dev/null || file_teardown
    remove_tree "$BATS_FILE_TMPDIR/store" "$BATS_FILE_TMPDIR/run"
}
setup() {
    umask 022
    WORK=$BATS_TEST_TMPDIR/work
    mkdir -p "$WORK"
    cd "$WORK" || return
    ! declare -F test_setup >/dev/null || test_setup
}
teardown() {
    ! declare -F test_teardown >/dev/null || test_teardown
    cd /
    remove_tree "$BATS_TEST_TMPDIR"
}

ctx() { mkdir -p "$WORK/ctx" && cd "$WORK/ctx" || return; }
dockerfile() { cat >"${1:-Dockerfile}"; }
build_id() { dewar build -q "${@:-.}"; }
image_id() { dewar inspect --format '{{.Id}}' "$1"; }

# Runs a command with stdin closed off, stdout and stderr apart.
try() { run --separate-stderr "$@" </dev/null; }

show_try() {
    printf 'status: %s\nstdout: %s\nstderr: %s\n' "${status-}" "${output-}" "${stderr-}" >&2
}
ok() {
    [ "$status" = 0 ] && return 0
    echo "wanted success" >&2
    show_try
    return 1
}
# fails N [text]: the last try ended with status N and its stderr holds text.
fails() {
    if [ "$status" = "$1" ] && { [ $# = 1 ] || [[ $stderr == *"$2"* ]]; }; then return 0; fi
    echo "wanted status $1${2+ and '$2' on stderr}" >&2
    show_try
    return 1
}
has() {
    [[ $output == *"$1"* ]] && return 0
    echo "wanted '$1' on stdout" >&2
    show_try
    return 1
}
lacks() {
    [[ $output != *"$1"* ]] && return 0
    echo "did not want '$1' on stdout" >&2
    show_try
    return 1
}
err_has() {
    # shellcheck disable=SC2154
    [[ $stderr == *"$1"* ]] && return 0
    echo "wanted '$1' on stderr" >&2
    show_try
    return 1
}
same() {
    [ "$1" = "$2" ] && return 0
    printf 'wanted the same:\n  %s\n  %s\n' "$1" "$2" >&2
    return 1
}
differ() {
    [ "$1" != "$2" ] && return 0
    printf 'wanted a difference: %s\n' "$1" >&2
    return 1
}

rounds() { if [ -n "${FULL:-}" ]; then seq "$2"; else seq "$1"; fi; }

# The whole listing and content of a folder as one hash: a canary that attacks must not change.
tree_hash() {
    (cd "$1" && find . -printf '%P %y %m %U:%G %s %l\n' | sort && find . -type f -print0 | sort -z |
        xargs -0r sha256sum) | sha256sum
}
# Nothing is left that prune does not free, and what is there is whole.
store_is_clean() {
    dewar system check >/dev/null || { echo "system check found damage" >&2; return 1; }
    dewar system prune --force --filter label=none >/dev/null || return 1
    local left
    left=$(find "$DEWAR_STORE/tmp" "$DEWAR_STORE/trash" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)
    [ "$left" = 0 ] || { echo "$left entries left under tmp/ and trash/ after prune" >&2; return 1; }
}
