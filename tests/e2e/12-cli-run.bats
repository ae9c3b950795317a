# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016 # programs for `sh -c` expand their own variables
# What the command line does for run and build: flags as Docker reads them, exit codes, streams.
load helpers

r() { try dewar run --rm --network none "$@"; }

@test "flags stop at the image, bundled letters work, -- ends them" {
    r -i busybox:test echo --rm -t --nope
    ok
    same "$output" "--rm -t --nope"
    r -w/tmp -eA=1 -e B=2 --env=C=3 busybox:test sh -c 'echo $PWD $A $B $C'
    same "$output" "/tmp 1 2 3"
    r -- busybox:test echo hi
    same "$output" "hi"
    r --rm=true --init=false busybox:test echo hi
    ok
}

@test "exit codes are the program's, or 125, 126, 127" {
    r busybox:test sh -c 'exit 42'
    fails 42
    r busybox:test nosuchprogram
    fails 127
    r busybox:test /etc/passwd
    fails 126
    r --nope busybox:test true
    fails 125 "unknown flag: '--nope'"
    r nosuch:image true
    fails 125
    try dewar run
    fails 1 "needs at least 1 argument"
}

@test "programs inside begin with no signal ignored" {
    r busybox:test grep SigIgn /proc/self/status
    same "$output" $'SigIgn:\t0000000000000000'
    run --separate-stderr bash -c 'trap "" PIPE; "$DEWAR" run --rm --network none busybox:test grep SigIgn /proc/self/status'
    same "$output" $'SigIgn:\t0000000000000000'
}

@test "a flag behind the image is explained when the program fails" {
    r busybox:test ls --env-file x
    [ "$status" != 0 ]
    err_has "go before the image"
}

@test "build -q prints the image ID and nothing else" {
    ctx
    dockerfile <<'END'
FROM busybox:test
RUN echo noise
END
    try dewar build -q .
    ok
    [[ $output =~ ^sha256:[0-9a-f]{64}$ ]]
    [ -z "$stderr" ]
}

@test "progress goes to stderr in each of its forms" {
    ctx
    dockerfile <<'END'
FROM busybox:test
RUN echo noise; echo more >&2
END
    try dewar build --no-cache --progress plain .
    ok
    [ -z "$output" ]
    err_has "noise"
    [[ $stderr =~ '#'[0-9]+' '[0-9.]+' noise' ]]
    try dewar build --no-cache --progress rawjson .
    ok
    grep '^{' <<<"$stderr" | python3 -c 'import json, sys
kinds = [json.loads(line)["kind"] for line in sys.stdin]
assert "start" in kinds and "line" in kinds and kinds[-1] == "end", kinds'
    try dewar build --progress tty .
    fails 1 "not a terminal"
    BUILDKIT_PROGRESS=quiet try dewar build --no-cache .
    [[ $stderr != *noise* ]]
}

@test "the live picture ends with the cursor shown, also when the build is killed" {
    need_program script util-linux
    ctx
    dockerfile <<'END'
FROM busybox:test
RUN echo before; sleep 5
END
    cat >run-and-kill <<END
$DEWAR build --no-cache . &
sleep 2
kill -KILL \$!
wait
sleep 1
END
    TERM=xterm script -qec "sh run-and-kill" out </dev/null >/dev/null || true
    # the last word on the cursor is "show"
    [[ $(grep -ao $'\033\[?25[lh]' out | tail -n 1) == *h ]]
    grep -q canceled out
}

@test "a build that is told to end puts the terminal right before it does" {
    need_program script util-linux
    ctx
    dockerfile <<'END'
FROM busybox:test
RUN echo before; sleep 5
END
    cat >run-and-end <<END
$DEWAR build --no-cache . &
sleep 2
kill -TERM \$!
wait \$!
echo status \$?
END
    TERM=xterm script -qec "sh run-and-end" out </dev/null >/dev/null || true
    grep -q "status 143" out
    sed -n '/status 143/q;p' out | grep -q canceled # said before the shell went on
    [[ $(grep -ao $'\033\[?25[lh]' out | tail -n 1) == *h ]]
}

@test "a failed step shows its place, the end of its output and the cause" {
    ctx
    dockerfile <<'END'
FROM busybox:test
RUN echo the-last-words; exit 7
END
    try dewar build .
    fails 1
    err_has "Dockerfile:2"
    err_has "the-last-words"
    err_has ">>> RUN echo"
    err_has "7"
}
