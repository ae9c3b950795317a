# SPDX-License-Identifier: Apache-2.0
# The Dockerfile language as a build sees it: which words are expanded against what, what becomes of
# heredocs, and what --call says. The tables of cases are in tests/unit/build.
load helpers

test_setup() { ctx; }
# Builds ctx and prints one field of the image.
field() {
    dewar build -q -t lang "${@:2}" . >/dev/null && dewar inspect --format "{{json $1}}" lang
}

@test "all words of one instruction see the environment before it" {
    dockerfile <<'END'
FROM scratch
ENV a=1
ENV a=2 b=$a
ENV c=$a
END
    run field .Config.Env
    has '"a=2","b=1","c=2"'
}

@test "a build argument wins over the default, the default over the global value" {
    dockerfile <<'END'
ARG g=global
ARG d=global
FROM scratch
ARG g
ARG d=default
ARG h=${nope:?not needed when given}
LABEL all="$g $d $h"
END
    run field .Config.Labels --build-arg h=hand
    has '"all":"global default hand"'
    try dewar build -q .
    fails 1 'not needed when given'
    err_has 'Dockerfile:6'
}

@test "words before the first FROM see those before them on the same line" {
    dockerfile <<'END'
ARG a=x b=$a-y
FROM scratch
ARG b
LABEL v=$b
END
    run field .Config.Labels
    has '"v":"x-y"'
}

@test "operators, quotes and cuts work in every expanded instruction" {
    dockerfile <<'END'
FROM scratch
ENV V=1.2.3 P="80 53/udp"
ENV major=${V%%.*} dashed=${V//./-} none=${U:-"a b"} set=${V:+yes}
WORKDIR /srv/${major}
USER ${U:-app}:${U2:-grp}
EXPOSE $P
VOLUME ["/data/$major"]
STOPSIGNAL SIG${U:-INT}
END
    run field .Config
    has '"major=1","dashed=1-2-3","none=a b","set=yes"'
    has '"WorkingDir":"/srv/1"'
    has '"User":"app:grp"'
    has '"53/udp":{}'
    has '"80/tcp":{}'
    has '"/data/1":{}'
    has '"StopSignal":"SIGINT"'
}

@test "CMD, ENTRYPOINT and HEALTHCHECK keep their dollars" {
    dockerfile <<'END'
FROM scratch
ENV A=b
ENTRYPOINT ["/e", "$A"]
CMD echo $A
HEALTHCHECK --interval=5s CMD test $A
END
    run field .Config
    has '"Entrypoint":["/e","$A"]'
    has '"Cmd":["/bin/sh","-c","echo $A"]'
    has '"CMD-SHELL","test $A"'
}

@test "heredocs: copied with variables, run as one script, run by their own program" {
    dockerfile <<'END'
FROM busybox:test
ENV A=value
COPY <<plain.txt <<"raw.txt" /d/
"$A" \$A
plain.txt
$A
raw.txt
RUN <<EOF
set -e
x=shell
echo "$x $A" > /d/run.txt
EOF
RUN <<EOF
#!/bin/cat
this is no shell
EOF
RUN cat <<EOF > /d/cat.txt && echo more >> /d/cat.txt
$A
EOF
RUN cat /d/plain.txt /d/raw.txt /d/run.txt /d/cat.txt > /d/all && stat -c %a /d/plain.txt >> /d/all
END
    dewar build -q -o type=local,dest=out . >/dev/null
    run cat out/d/all
    same "$output" "$(printf '%s\n' '"value" $A' '$A' 'shell value' value more 644)"
}

@test "ONBUILD runs in the child and not in the grandchild" {
    dockerfile <<'END'
FROM busybox:test AS base
ONBUILD COPY <<EOF /on
made
EOF
ONBUILD ENV on=1
FROM base AS child
RUN test "$(cat /on)" = made && test "$on" = 1 && rm /on
FROM child
RUN test ! -e /on
END
    try dewar build -q .
    ok
}

@test "the escape directive moves continuation and quoting to the backtick" {
    printf '# escape=`\r\nFROM scratch\r\nLABEL a=C:\\dir `\r\n  b=x` y\r\n' >Dockerfile
    run field .Config.Labels
    has '"a":"C:\\dir"'
    has '"b":"x y"'
}

@test "a syntax line fetches nothing" {
    dockerfile <<'END'
# syntax=registry.invalid/nothing:1
FROM scratch
LABEL a=b
END
    try dewar build -q .
    ok
}

@test "what --from says is looked at before a registry is asked and before a step runs" {
    for from in '$x' '$X' '${X:-y}' 7 1; do
        printf 'ARG x=busybox\nFROM busybox:test\nRUN echo ran-$((40+2))\nCOPY --from=%s /bin /b\n' "$from" >Dockerfile
        try dewar build .
        fails 1 'Dockerfile:4' || return 1
        [[ $stderr == *'cannot use variables'* || $stderr == *"there is no stage $from above"* ]] || return 1
        [[ $stderr != *ran-42* && $stderr != *pulling* ]] || return 1
        printf 'ARG x=busybox\nFROM busybox:test\nRUN echo ran-$((40+2))\nRUN --mount=from=%s,target=/x true\n' \
            "$from" >Dockerfile
        try dewar build .
        fails 1 'Dockerfile:4' || return 1
        [[ $stderr != *ran-42* && $stderr != *pulling* ]] || return 1
    done
}

@test "errors name the file, the line and the way out" {
    printf 'FROM scratch\nRUN true &&\napt-get install x\n' >Dockerfile
    try dewar build -q .
    fails 1 'Dockerfile:3'
    err_has "end line 2 with '\\'"
    printf 'FROM scratch\nCOPY --form=x a b\n' >Dockerfile
    try dewar build -q .
    fails 1 'did you mean --from?'
    printf 'FROM scratch\nCOPY --from=$x a b\n' >Dockerfile
    try dewar build -q .
    fails 1 'cannot use variables'
    printf 'RUN true\nFROM scratch\n' >Dockerfile
    try dewar build -q .
    fails 1 'Dockerfile:1'
    printf 'FROM scratch\nCOPY https://example.com/x /x\n' >Dockerfile
    try dewar build -q .
    fails 1 'write ADD instead'
    printf 'FROM busybox:test\nRUN --mount=type=bind,target=/x,bind-propagation=rshared true\n' >Dockerfile
    try dewar build -q .
    fails 1 "no option 'bind-propagation'"
}

# reads TEXT: the Dockerfile FROM busybox:test and TEXT (as printf has it) leaves the file /o with this content.
reads() {
    printf "FROM busybox:test\n$1" >Dockerfile
    dewar build -q -o out . >/dev/null && same "$2" "$(cat out/o)" || { cat Dockerfile; return 1; }
}
@test "tricky lines mean what BuildKit takes them for" {
    touch 'a,b'
    reads 'RUN cat <<A \\\n  > /o\nbody\nA\n' body
    reads 'RUN 3<<EOF cat <&3 > /o\nx\nEOF\n' x
    reads 'RUN echo "<<EOF" > /o\n' '<<EOF'
    reads 'RUN cat <<A > /o && cat <<B >> /o\n1\nA\n2\nB\n' $'1\n2'
    reads 'RUN echo a > /o && \\\n   # a comment with a \\\n# another\n\techo b >> /o\n' $'a\nb'
    reads 'RUN echo a > /o && \\  \t\n  echo b >> /o \\' $'a\nb'
    reads 'ENV A=x\\\\\nRUN echo "$A" > /o\n' 'x\'
    reads 'RUN -- echo x > /o\n' x
    reads 'ENV A=1 \\\n  # c\n  B="two  words"\nRUN echo "$A$B" > /o\n' '1two  words'
    reads 'ENV "A"=\x27b c\x27"d e"f\nRUN echo "$A" > /o\n' 'b cd ef'
    reads 'RUN --mount=\x27type=bind,"source=a,b",target=/m\x27 test -e /m && echo yes > /o\n' yes
    reads 'ARG T=bind\nRUN --mount=type=$T,target=/m ls /m | grep -c , > /o\n' 1
    reads 'ENV V=a/b/c.txt\nENV R=${V#*/}:${V%%%%/*}:${V//\\//-}:$V_:${V}_\nRUN echo $R > /o\n' 'b/c.txt:a:a-b-c.txt::a/b/c.txt_'
    reads 'WORKDIR /w/x\nRUN rmdir /w/x\nRUN pwd > /o\n' /w/x
    reads 'ENV D=/x/\nWORKDIR ${D}/y/../z/\nRUN pwd > /o\n' /x/z
    reads 'USER ${U:-1000}:extra\nRUN echo $(id -u) $(id -g) > /tmp/o\nUSER 0\nRUN mv /tmp/o /o\n' '1000 1001'
}
@test "each slip shows its line with a caret and says what to do instead" {
    mkdir -p d && touch a d/x
    while IFS='|' read -r line text hint; do
        printf 'FROM busybox:test\nRUN touch /f\n%b\n' "$line" >Dockerfile
        try dewar build .
        fails 1 Dockerfile:3 && err_has "$text" && err_has "hint: $hint" && grep -q '^ *| *^' <<<"$stderr" ||
            { echo "at: $line"; return 1; }
    done <<'END'
COPY --chown=1 --chown=2 a /b|is given twice|leave one of them out
HEALTHCHECK --retries=-1 CMD x|not a number|write --retries
ONBUILD FROM x|not allowed behind ONBUILD|ONBUILD INSTRUCTION
COPY a <<EOF\nx\nEOF|as its destination|the destination stands last
COPY --from=b /x /y\nFROM scratch AS b\nCOPY --from=0 /f /|comes later|a stage takes files
COPY d /f|cannot copy a folder to '/f'|name a folder
RUN --mount=type=tmpfs,target=/t --mount=type=cache,target=/u/../t/ true|two mounts on '/t'|give each a target
RUN ["nope"]|not found in the container's PATH|is it installed
END
    printf 'FROM scratch\nARG L="a d"\nCOPY $L /e/\n' >Dockerfile
    try dewar build .
    fails 1 "'a d' is not in the build context" && err_has 'hint: a value with blanks is one name' || return 1
    printf 'FROM busybox:test AS one\nFROM scratch\nCOPY --from=one /nope /\n' >Dockerfile
    try dewar build .
    fails 1 "'nope' is not in stage 'one'"
    printf 'ARG a\n' >Dockerfile
    try dewar build .
    fails 1 "has no FROM, so there is nothing to build"
    err_has 'hint: begin a stage with FROM'
}
@test "--call=check finds slips and fails only when asked to" {
    printf 'secret*\n' >.dockerignore
    dockerfile <<'END'
FROM scratch as Base
COPY secret.txt /
CMD run
END
    try dewar build --call=check .
    ok
    has 'WARNING: StageNameCasing'
    has 'WARNING: CopyIgnoredFile'
    has 'WARNING: JSONArgsRecommended'
    has '   3 | >>> CMD run'
    sed -i '1i # check=skip=CopyIgnoredFile;error=true' Dockerfile
    try dewar build --call=check .
    fails 1
    lacks 'WARNING: CopyIgnoredFile'
    # A build of it fails as well, and runs nothing.
    try dewar build .
    fails 1 'error=true is asked for'
    err_has 'JSONArgsRecommended'
    sed -i '1s/.*/# check=skip=all;error=true/' Dockerfile
    try dewar build --call=check .
    ok
}

@test "--call=check knows the variables of an image that is in the store" {
    dockerfile <<'END'
FROM busybox:test AS known
COPY $SURELY_NOT_SET /x
END
    try dewar build --call=check .
    has 'WARNING: UndefinedVar'
    sed -i s/busybox:test/unknown:image/ Dockerfile
    try dewar build --call=check .
    lacks UndefinedVar
}

@test "--call=outline and targets list what can be asked for" {
    dockerfile <<'END'
# VERSION of the tool
ARG VERSION=1
# app is what ships
FROM scratch AS app
ARG VERSION
# test runs the tests
FROM app AS test
RUN --mount=type=secret,id=tok true
END
    try dewar build --call=targets .
    ok
    has 'is what ships'
    has 'test (default)'
    try dewar build --call=outline --target app .
    ok
    has VERSION
    lacks tok
    try dewar build --call=outline --target ap .
    fails 1 "did you mean 'app'?"
}
