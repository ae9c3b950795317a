# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016 # programs for `bash -c` expand their own variables
# The command line itself: names, help, mistakes, exit codes, where text goes. Needs no image.
load helpers

export NO_IMAGE=1

@test "every command of the table answers --help and has a manual page" {
    dewar help --man-list >pages
    [ "$(wc -l <pages)" -gt 15 ]
    while read -r page words; do
        # shellcheck disable=SC2086
        [ -z "$words" ] || dewar $words --help >help.txt
        [ -z "$words" ] || grep -q '^Usage:  dewar' help.txt
        [ -z "$words" ] || grep -q '^Examples:' help.txt
        # shellcheck disable=SC2086
        dewar help --man $words >"$page.1"
        grep -q '^.SH NAME' "$page.1"
        if command -v groff >/dev/null; then
            groff -man -Tutf8 -ww "$page.1" >/dev/null 2>warnings
            [ ! -s warnings ] || { cat "$page.1" warnings >&2; false; }
        fi
    done <pages
}

@test "help is a result and goes to stdout with status 0" {
    try dewar
    ok
    has "Usage:  dewar"
    try dewar --help
    ok
    try dewar help image import
    ok
    has "REPOSITORY[:TAG]"
    try dewar image
    ok
    has "Manage images"
    [ -z "$stderr" ]
}

@test "the version is printed in each of the ways people ask for it" {
    for args in version --version -v; do
        try dewar $args
        ok
        has "0."
    done
    try dewar version --format '{{.Server.Version}}'
    ok
    [[ $output =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]
    try dewar version -f json
    has '"Client":{"Version":'
}

@test "an unknown command is an error with the nearest one as a hint" {
    try dewar imgaes
    fails 2 "unknown command: 'dewar imgaes'"
    err_has "did you mean 'dewar images'?"
    [ -z "$output" ]
    try dewar image frobnicate
    fails 2 "unknown command: 'dewar image frobnicate'"
}

@test "an unknown flag is status 125 in Docker's verbs and 2 in our own" {
    try dewar images --qiuet
    fails 125 "unknown flag: '--qiuet'"
    err_has "did you mean '--quiet'?"
    err_has "Run 'dewar images --help'"
    try dewar doctor --nope
    fails 2 "unknown flag: '--nope'"
    try dewar --nope
    fails 2 "unknown flag: '--nope'"
}

@test "too few and too many words are named" {
    try dewar rmi
    fails 1 "'dewar rmi' needs at least 1 argument"
    try dewar tag a
    fails 1 "'dewar tag' needs 2 arguments"
    try dewar version now
    fails 1 "'dewar version' takes no arguments, but 'now' was given"
    try dewar images a b
    fails 1 "'b' is too many"
}

@test "a wrong value names the flag and what it may be" {
    try dewar load --progress=loud -i x
    fails 125 "invalid argument 'loud' for '--progress'"
    err_has "auto, plain, tty, rawjson, quiet"
    try dewar images --digests=maybe
    fails 125 "'maybe' is not true or false"
}

@test "called as docker it answers with Docker's words and codes" {
    ln -s "$DEWAR" docker
    try ./docker --help
    ok
    has "Usage:  docker"
    try ./docker frobnicate
    fails 1 "unknown command: 'docker frobnicate'"
    try ./docker images --nope
    fails 125
}

@test "a result that cannot be written is an error, a reader that went away is not" {
    need_kernel "/dev/full" test -c /dev/full
    run --separate-stderr bash -c '"$DEWAR" help >/dev/full'
    fails 1 "No space left on device"
    run --separate-stderr bash -c '"$DEWAR" help >&-'
    fails 1 "write the result to stdout"
    run --separate-stderr bash -c '"$DEWAR" help | true; exit ${PIPESTATUS[0]}'
    [ "$status" = 0 ] || [ "$status" = 141 ]
    [ -z "$stderr" ]
}

@test "closed descriptors at start do not end up in our files" {
    run --separate-stderr bash -c '"$DEWAR" images <&- 2>&-'
    ok
    run bash -c '"$DEWAR" images >&- 2>&- <&-'
    [ "$status" = 1 ]
}

@test "colours appear on a terminal only, and not with NO_COLOR" {
    need_program script util-linux
    export TERM=xterm
    script -qec "$DEWAR nope" out </dev/null >/dev/null || true
    grep -q $'\033\[' out
    NO_COLOR=1 script -qec "$DEWAR nope" out </dev/null >/dev/null || true
    run ! grep -q $'\033\[' out
    try dewar nope
    [[ $stderr != *$'\033'* ]]
}

@test "names from the command line cannot reach the terminal raw" {
    try dewar $'im\033]0;evil\007'
    fails 2
    [[ $stderr == *'\x1b]0;evil\x07'* ]]
    try dewar images --$'\033[2J'
    fails 125
    [[ $stderr != *$'\033'* ]]
}

@test "the store is where --store, DEWAR_STORE or XDG_DATA_HOME say" {
    try dewar --store "$WORK/a" info --format '{{.DockerRootDir}}'
    ok
    same "$output" "$WORK/a"
    try dewar info --store "$WORK/b" --format '{{.DockerRootDir}}'
    same "$output" "$WORK/b"
    DEWAR_STORE=$WORK/c try dewar info --format '{{.DockerRootDir}}'
    same "$output" "$WORK/c"
}

@test "a relative XDG_DATA_HOME is ignored, and no store is made in the working directory" {
    need_user
    HOME=$WORK/home DEWAR_STORE='' XDG_DATA_HOME=rel try dewar info --format '{{.DockerRootDir}}'
    ok
    same "$output" "$WORK/home/.local/share/dewar"
    [ ! -e rel ]
}

@test "a store that cannot be made is an error that says what to do, and doctor tells it among the rest" {
    touch file
    DEWAR_STORE=$WORK/file/x try dewar ps
    fails 1 "set DEWAR_STORE to a folder of your own"
    DEWAR_STORE=$WORK/file/x try dewar doctor
    fails 1
    has "kernel"
    has "$WORK/file"
    has "set DEWAR_STORE"
}

@test "a folder of something else never becomes the store or the run folder" {
    mkdir -m 755 taken empty
    touch taken/file
    local what
    for what in --store --run-root; do
        try dewar "$what" "$WORK/taken" images
        fails 1 "is open to others and not empty"
        same "$(stat -c %a taken) $(ls taken)" "755 file"
    done
    try dewar --store "$WORK/empty" images
    ok
    same "$(stat -c %a empty)" 700
    # Opened to others by somebody since: it is closed again.
    dewar --store "$WORK/empty" --run-root "$WORK/run" volume create vol >/dev/null
    chmod 755 empty run
    try dewar --store "$WORK/empty" --run-root "$WORK/run" images
    ok
    same "$(stat -c %a empty run)" $'700\n700'
}

@test "a store of another user's is refused" {
    need_root
    mkdir other
    chown 4242 other
    try dewar --store "$WORK/other" images
    fails 1 "belongs to another user"
}

@test "completion knows commands, flags and values" {
    for shell in bash zsh fish; do
        try dewar completion "$shell"
        ok
        has "__complete"
    done
    bash -n <(dewar completion bash)
    try dewar completion tcsh
    fails 2 "no completion for the shell 'tcsh'"
    try dewar __complete -- image b
    has "bootstrap"
    try dewar __complete -- load --progress ""
    has "rawjson"
    try dewar __complete -- images --no
    has "--no-trunc"
}

@test "doctor says what this machine can do" {
    try dewar doctor
    [ "$status" = 0 ] || [ "$status" = 1 ]
    has "kernel"
    try dewar doctor --format json
    has '"Status"'
}

@test "what moves whole layers goes on as dewar-layers; without that one dewar does it itself" {
    local words format helpers
    helpers=$(dirname "$DEWAR")/../libexec/dewar
    [ -x "$helpers/dewar-layers" ] || skip "dewar is linked with the system's C library here"
    mkdir -p mine/bin mine/libexec r
    cp "$DEWAR" mine/bin/
    cp -r "$helpers" mine/libexec/
    printf '#!/bin/sh\necho "layers: $*"\n' >mine/libexec/dewar/dewar-layers
    for words in "load -i y" "build ." "pull nowhere.invalid/x" "run -q nowhere.invalid/x true" \
        "create --pull always nowhere.invalid/x:1"; do
        # shellcheck disable=SC2086
        try mine/bin/dewar $words
        ok
        same "$output" "layers: $words"
    done
    for words in ps images version "run --pull never nowhere.invalid/x true"; do
        # shellcheck disable=SC2086
        try mine/bin/dewar $words
        lacks "layers:"
    done
    rm mine/libexec/dewar/dewar-layers
    head -c 100000 /dev/urandom | base64 >r/file
    for format in gzip bzip2 xz zstd; do
        tar -C r -c . | $format >r.tar.z
        try mine/bin/dewar image import r.tar.z it:$format
        ok
    done
    same "$(mine/bin/dewar images -q --no-trunc | sort -u | wc -l)" 1
}
