# SPDX-License-Identifier: Apache-2.0
# Every instruction of the Dockerfile language and its corner cases, as seen in the resulting image.
load helpers

test_setup() { ctx; }
# conf TEMPLATE: a field of the image that the last build made.
conf() { dewar inspect --format "$1" "$ID"; }
json() { conf "{{json .Config.$1}}"; }
make() { ID=$(build_id "$@"); }
# files: the names in the image (or the arguments of build), "mode uid:gid size name -> link".
listing() { dewar build -q -o type=tar,dest=- "${@:-.}" | tar -tv --numeric-owner -f - | awk '{ $4 = ""; $5 = ""; print }' | tr -s ' '; }
inside() { dewar run --rm --network none "$ID" "$@"; }

# --- ARG and ENV ----------------------------------------------------------------------------------
@test "an ARG before FROM is seen in FROM alone, and in a stage that asks for it" {
    dockerfile <<'END'
ARG BASE=busybox:test
ARG V=global
FROM $BASE
ENV before=[$V]
ARG V
ENV after=[$V]
END
    make
    same '[]' "$(conf '{{range .Config.Env}}{{println .}}{{end}}' | sed -n 's/^before=//p')"
    same '[global]' "$(conf '{{range .Config.Env}}{{println .}}{{end}}' | sed -n 's/^after=//p')"
}
@test "a value comes from --build-arg, then the stage's default, then the global one" {
    dockerfile <<'END'
ARG A=global
FROM busybox:test
ARG A=stage
LABEL a=$A
END
    make && same '{"a":"stage"}' "$(json Labels)"
    make --build-arg A=given . && same '{"a":"given"}' "$(json Labels)"
    make --build-arg A= . && same '{"a":""}' "$(json Labels)"
}
@test "ENV wins over an ARG of the same name, in RUN and in expansion" {
    dockerfile <<'END'
FROM busybox:test
ENV A=env
ARG A=arg
RUN test "$A" = env
LABEL a=$A
END
    make --build-arg A=given .
    same '{"a":"env"}' "$(json Labels)"
}
@test "an unset ARG is not in the environment of RUN" {
    dockerfile <<'END'
FROM busybox:test
ARG A
ARG B=
RUN test -z "${A+set}" && test -n "${B+set}"
END
    make
}
@test "stage ARGs are inherited by FROM of that stage and not by others" {
    dockerfile <<'END'
FROM busybox:test AS one
ARG A=1
FROM one
RUN test "$A" = 1
LABEL a=$A
END
    make && same '{"a":"1"}' "$(json Labels)"
    dockerfile <<'END'
FROM busybox:test AS one
ARG A=1
FROM busybox:test
RUN test -z "${A+x}"
COPY --from=one /etc/passwd /p
END
    make
}
@test "the words of one instruction see the environment before it" {
    dockerfile <<'END'
FROM scratch
ENV a=1
ENV a=2 b=$a
END
    make
    conf '{{range .Config.Env}}{{println .}}{{end}}' | grep -x b=1
}
@test "proxy arguments reach RUN undeclared and stay out of image, history and key" {
    dockerfile <<'END'
FROM busybox:test
RUN echo "$HTTP_PROXY" > /dev/null; test -n "$HTTP_PROXY"
END
    make --build-arg HTTP_PROXY=http://user:hunter2@p:1 .
    first=$ID
    make --build-arg HTTP_PROXY=http://other:1 .
    same "$first" "$ID"
    ! dewar inspect "$ID" | grep hunter2 || return 1
    ! dewar history --no-trunc "$ID" | grep hunter2 || return 1
}
@test "platform arguments must be declared inside a stage" {
    dockerfile <<'END'
FROM --platform=$BUILDPLATFORM busybox:test
LABEL undeclared=[$TARGETARCH]
ARG TARGETARCH
ARG TARGETPLATFORM
LABEL declared=[$TARGETARCH] platform=$TARGETPLATFORM
END
    make
    same '[]' "$(conf '{{index .Config.Labels "undeclared"}}')"
    [ "$(conf '{{index .Config.Labels "declared"}}')" != '[]' ]
    [[ $(conf '{{index .Config.Labels "platform"}}') == linux/* ]]
}
@test "expansion operators work in every instruction that expands" {
    dockerfile <<'END'
FROM busybox:test
ARG n=v1.2.3
ENV a=${n#v} b=${n%.*} c=${none:-d} d=${n:+set} e=${n/1/9} f=\$n g='$n' h="${none-x}"
WORKDIR /w/${n}
USER ${none:-1000}
EXPOSE ${none:-80}/tcp 90-92/UDP
VOLUME /v/$n
STOPSIGNAL ${none:-SIGINT}
LABEL l=$n
COPY ${none:-f} ./$n/
END
    echo x >f
    make
    env=$(conf '{{range .Config.Env}}{{println .}}{{end}}')
    for want in a=1.2.3 b=v1.2 c=d d=set e=v9.2.3 'f=$n' 'g=$n' h=x; do grep -qxF "$want" <<<"$env"; done
    same /w/v1.2.3 "$(conf '{{.Config.WorkingDir}}')"
    same 1000 "$(conf '{{.Config.User}}')"
    same '{"80/tcp":{},"90/udp":{},"91/udp":{},"92/udp":{}}' "$(json ExposedPorts)"
    same '{"/v/v1.2.3":{}}' "$(json Volumes)"
    same SIGINT "$(conf '{{.Config.StopSignal}}')"
    inside cat /w/v1.2.3/v1.2.3/f
}
@test "an undeclared build argument warns and nothing more" {
    printf 'FROM scratch\nLABEL a=b\n' >Dockerfile
    try dewar build -q --build-arg NOPE=1 .
    ok
}

# --- config ---------------------------------------------------------------------------------------
@test "CMD and ENTRYPOINT: forms, clearing and the last one" {
    printf 'FROM busybox:test\nCMD ["a"]\nENTRYPOINT ["e"]\n' >Dockerfile
    make && same '["a"]' "$(json Cmd)" && same '["e"]' "$(json Entrypoint)"
    make -t base:cmd .
    printf 'FROM base:cmd\nENTRYPOINT ["f"]\n' >Dockerfile
    make && same '["f"]' "$(json Entrypoint)"
    [[ $(json Cmd) == null || $(json Cmd) == '[]' ]]
    printf 'FROM base:cmd\nENTRYPOINT []\nCMD echo $HOME\n' >Dockerfile
    make && [[ $(json Entrypoint) == null || $(json Entrypoint) == '[]' ]]
    same '["/bin/sh","-c","echo $HOME"]' "$(json Cmd)"
    printf 'FROM scratch\nCMD ["x"]\nCMD y\nCMD [ "z", "1" ]\n' >Dockerfile
    make && same '["z","1"]' "$(json Cmd)"
    printf "FROM scratch\nCMD ['x']\n" >Dockerfile
    make && same '["/bin/sh","-c","['"'x'"']"]' "$(json Cmd)"
}
@test "CMD and ENTRYPOINT with nothing behind them are an empty command of the shell, [] is none" {
    printf 'FROM scratch\nCMD\n' >Dockerfile
    make && same '["/bin/sh","-c",""]' "$(json Cmd)"
    printf 'FROM scratch\nSHELL ["/s", "-x"]\nENTRYPOINT\n' >Dockerfile
    make && same '["/s","-x",""]' "$(json Entrypoint)"
    printf 'FROM scratch\nCMD ["a"]\nCMD []\n' >Dockerfile
    make && [[ $(json Cmd) == null || $(json Cmd) == '[]' ]]
    # An empty CMD is one of this stage all the same.
    printf 'FROM busybox:test\nCMD ["a"]\n' >Dockerfile
    make -t base:cmd .
    printf 'FROM base:cmd\nCMD []\nENTRYPOINT ["e"]\n' >Dockerfile
    make && [[ $(json Cmd) == null || $(json Cmd) == '[]' ]]
    printf 'FROM busybox:test\nCMD\n' >Dockerfile
    make -t empty:cmd .
    dewar run --rm -q --network none empty:cmd
}
@test "SHELL holds for later shell forms and is kept" {
    dockerfile <<'END'
FROM busybox:test
SHELL ["/bin/sh", "-ec"]
RUN false; true || :
END
    try dewar build -q .
    [ "$status" != 0 ]
    dockerfile <<'END'
FROM busybox:test
CMD one
SHELL ["/bin/sh", "-xc"]
ENTRYPOINT two
END
    make
    same '["/bin/sh","-c","one"]' "$(json Cmd)"
    same '["/bin/sh","-xc","two"]' "$(json Entrypoint)"
    same '["/bin/sh","-xc"]' "$(json Shell)"
}
@test "HEALTHCHECK in every form, NONE, and inheritance" {
    printf 'FROM scratch\nHEALTHCHECK --interval=5s --timeout=1m --retries=2 --start-period=3s CMD test x\n' >Dockerfile
    make -t health:1 .
    same '["CMD-SHELL","test x"]' "$(conf '{{json .Config.Healthcheck.Test}}')"
    same 5000000000 "$(conf '{{json .Config.Healthcheck.Interval}}')"
    same 2 "$(conf '{{json .Config.Healthcheck.Retries}}')"
    printf 'FROM health:1\nLABEL a=b\n' >Dockerfile
    make && same '["CMD-SHELL","test x"]' "$(conf '{{json .Config.Healthcheck.Test}}')"
    printf 'FROM health:1\nHEALTHCHECK NONE\n' >Dockerfile
    make && same '["NONE"]' "$(conf '{{json .Config.Healthcheck.Test}}')"
    printf 'FROM scratch\nHEALTHCHECK --interval=1us CMD ["x"]\n' >Dockerfile
    try dewar build -q .
    fails 1 Dockerfile:2
}
@test "LABEL, MAINTAINER, STOPSIGNAL, VOLUME and USER are in the config; the old ENV form too" {
    dockerfile <<'END'
FROM scratch
MAINTAINER Jane <j@example.org>
LABEL "a b"="c d" x='y z' multi="one \
two"
ENV legacy the whole rest = here
VOLUME ["/a", "/b"]
USER me:us
END
    make
    same 'Jane <j@example.org>' "$(conf '{{.Author}}')"
    same 'c d' "$(conf '{{index .Config.Labels "a b"}}')"
    same 'one two' "$(conf '{{index .Config.Labels "multi"}}')"
    conf '{{range .Config.Env}}{{println .}}{{end}}' | grep -qx 'legacy=the whole rest = here'
    same '{"/a":{},"/b":{}}' "$(json Volumes)"
    same me:us "$(conf '{{.Config.User}}')"
    printf 'FROM scratch\nSTOPSIGNAL SIGNOPE\n' >Dockerfile
    try dewar build -q .
    fails 1 SIGNOPE
    printf 'FROM scratch\nVOLUME [""]\n' >Dockerfile
    try dewar build -q .
    fails 1 Dockerfile:2
}
@test "PATH gets its default where the base has none, and config is inherited" {
    printf 'FROM scratch\nLABEL a=b\n' >Dockerfile
    make
    conf '{{range .Config.Env}}{{println .}}{{end}}' | grep -qx PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
}
@test "data written below a VOLUME afterwards stays" {
    printf 'FROM busybox:test\nVOLUME /data\nRUN mkdir -p /data && echo kept > /data/f\n' >Dockerfile
    listing | grep ' data/f'
}
@test "labels of the command line are set" {
    printf 'FROM scratch\nLABEL a=file\n' >Dockerfile
    make --label a=cli --label b=x=y .
    same '{"a":"cli","b":"x=y"}' "$(json Labels)"
}

# --- WORKDIR and USER -----------------------------------------------------------------------------
@test "WORKDIR accumulates, is made 0755 and belongs to the current user" {
    dockerfile <<'END'
FROM busybox:test
WORKDIR /a
WORKDIR b
USER user
WORKDIR ../c/d
RUN test "$(pwd)" = /a/c/d
END
    make
    same '/a/c/d' "$(conf '{{.Config.WorkingDir}}')"
    same '755 0:0' "$(inside stat -c '%a %u:%g' /a/b)"
    same '755 1000:1000' "$(inside stat -c '%a %u:%g' /a/c/d)"
}
@test "WORKDIR / makes no layer and one that is there changes nothing" {
    printf 'FROM busybox:test\nWORKDIR /\nWORKDIR /etc\n' >Dockerfile
    make
    same "$(dewar inspect --format '{{len .RootFS.Layers}}' busybox:test)" "$(conf '{{len .RootFS.Layers}}')"
}
@test "WORKDIR through a symbolic link of the image stays in the image" {
    printf 'FROM busybox:test\nRUN ln -s /home /h && ln -s / /r\nWORKDIR /h/x\nWORKDIR /r/y\nRUN echo "$(pwd -P)" > /where\n' >Dockerfile
    make
    same /y "$(inside cat /where)"
    inside test -d /home/x
}
@test "USER takes names, numbers and groups; groups of /etc/group apply" {
    dockerfile <<'END'
FROM busybox:test
USER user
RUN test "$(id -u):$(id -g)" = 1000:1000 && id -G | grep -w 1001 && id -G | grep -w 10
USER 4321
RUN test "$(id -u):$(id -g)" = 4321:0
USER 1000:bin
RUN test "$(id -u):$(id -g)" = 1000:2
END
    make
    printf 'FROM busybox:test\nUSER nosuch\nRUN true\n' >Dockerfile
    try dewar build -q .
    fails 1 nosuch
    err_has Dockerfile:3
}

# --- RUN ------------------------------------------------------------------------------------------
@test "RUN: exec form, shell form, stdin closed, no terminal, working folder" {
    dockerfile <<'END'
FROM busybox:test
RUN ["/bin/sh", "-c", "echo exec > /one"]
RUN test "$(cat)" = "" && ! test -t 0 && ! test -t 1
RUN cd /tmp && pwd > /two
END
    make
    same exec "$(inside cat /one)"
    same /tmp "$(inside cat /two)"
}
@test "files of the engine never land in a layer" {
    printf 'FROM busybox:test\nRUN cat /etc/hosts /etc/resolv.conf /etc/hostname >/dev/null; touch /mine\n' >Dockerfile
    names=$(dewar build -q -o type=tar,dest=- . | tar -t)
    ! grep -E '^etc/(hosts|resolv.conf|hostname)$' <<<"$names" || return 1
    ! grep -E '^(dev|proc|sys)/.' <<<"$names" || return 1
    grep -x mine <<<"$names"
}
@test "a failing command ends the build with its line and status" {
    printf 'FROM busybox:test\nRUN true\nRUN echo last words; exit 42\n' >Dockerfile
    try dewar build .
    fails 1 Dockerfile:3
    err_has 42
    err_has 'last words'
}
@test "RUN heredocs: a script, an interpreter, a reassembled line, several documents" {
    dockerfile <<'END'
FROM busybox:test
ARG A=arg
RUN <<EOF
echo "one $A" > /one
false
echo two >> /one
EOF
RUN <<'EOF' cat > /quoted
$A
EOF
RUN <<-EOF
	#!/bin/cat
	shebang
	EOF
RUN cat > /a <<A && cat > /b <<B
in a
A
in b
B
RUN <<EOF /bin/sh -e
echo given > /given
EOF
END
    make
    same $'one arg\ntwo' "$(inside cat /one)"
    same '$A' "$(inside cat /quoted)"
    same 'in a' "$(inside cat /a)"
    same 'in b' "$(inside cat /b)"
    same given "$(inside cat /given)"
}
@test "COPY heredocs: names, expansion, owner and mode" {
    dockerfile <<'END'
FROM busybox:test
ARG A=arg
COPY <<one <<"two" /d/
$A "quoted"
one
$A
two
COPY --chmod=600 --chown=1000 <<EOF /f
text
EOF
END
    make
    same 'arg "quoted"' "$(inside cat /d/one)"
    same '$A' "$(inside cat /d/two)"
    same '644 0:0' "$(inside stat -c '%a %u:%g' /d/one)"
    same '600 1000:1000' "$(inside stat -c '%a %u:%g' /f)"
}
@test "RUN --network=none has no network but lo" {
    printf 'FROM busybox:test\nRUN --network=none test "$(ls /sys/class/net)" = lo\n' >Dockerfile
    make
}
@test "RUN removes what lies below with whiteouts, and a folder made anew is opaque" {
    dockerfile <<'END'
FROM busybox:test
RUN mkdir /d && touch /d/old /gone
RUN rm -r /d /gone && mkdir /d && touch /d/new
END
    make
    same new "$(inside ls /d)"
    ! inside test -e /gone || return 1
}
@test "a name that would remove a file wherever the layer is unpacked is refused" {
    for line in 'RUN mkdir /d && touch /d/.wh.passwd' 'COPY .wh.x /' 'RUN mkdir /.wh..wh..opq'; do
        touch .wh.x
        printf 'FROM busybox:test\n%s\n' "$line" >Dockerfile
        try dewar build -q .
        fails 1 Dockerfile:2 && err_has "a name that begins with '.wh.'" && err_has 'hint: give it another name' || return 1
    done
    # legal twin: names that only look alike
    printf 'FROM busybox:test\nRUN touch /.whale /x.wh.y /.WH.z\n' >Dockerfile
    dewar build -q -o out .
    [ -e out/.whale ] && [ -e out/x.wh.y ] && [ -e out/.WH.z ] || return 1
    store_is_clean
}
@test "nothing changed means no layer" {
    printf 'FROM busybox:test\nRUN true\nRUN touch /tmp/x && rm /tmp/x\nRUN chmod 1777 /tmp\n' >Dockerfile
    make
    same "$(dewar inspect --format '{{len .RootFS.Layers}}' busybox:test)" "$(conf '{{len .RootFS.Layers}}')"
}

# --- stages ---------------------------------------------------------------------------------------
@test "unused stages never run, and --target stops early" {
    dockerfile <<'END'
FROM busybox:test AS bad
RUN exit 1
FROM busybox:test AS Good
LABEL s=good
FROM bad
END
    make --target GOOD .
    same '{"s":"good"}' "$(json Labels)"
    make --target 1 .
    same '{"s":"good"}' "$(json Labels)"
    try dewar build -q --target nosuch .
    fails 1 nosuch
    err_has good
}
@test "stages that do not depend on each other run side by side" {
    dockerfile <<'END'
FROM busybox:test AS a
RUN --mount=type=cache,id=meet,target=/m,sharing=shared touch /m/a; for i in $(seq 100); do test -e /m/b && exit 0; sleep 0.1; done; exit 1
FROM busybox:test AS b
RUN --mount=type=cache,id=meet,target=/m,sharing=shared touch /m/b; for i in $(seq 100); do test -e /m/a && exit 0; sleep 0.1; done; exit 1
FROM scratch
COPY --from=a /etc/passwd /a
COPY --from=b /etc/passwd /b
END
    make
}
@test "a name given twice means the last one, and a stage shadows an image" {
    dockerfile <<'END'
FROM busybox:test AS x
RUN echo 1 > /f
FROM busybox:test AS x
RUN echo 2 > /f
FROM scratch AS busybox
COPY --from=x /f /f
FROM busybox
END
    dewar build -q -o type=local,dest=out .
    same 2 "$(cat out/f)"
}
@test "COPY --from takes an index, an image and a named context; a later stage is an error" {
    mkdir named && echo named >named/f
    dockerfile <<'END'
FROM busybox:test
RUN echo zero > /f
FROM scratch
COPY --from=0 /f /zero
COPY --from=busybox:test /etc/passwd /image
COPY --from=ctx f /named
END
    dewar build -q -o type=local,dest=out --build-context ctx=named .
    same zero "$(cat out/zero)"
    same named "$(cat out/named)"
    grep -q root out/image
    printf 'FROM scratch\nCOPY --from=late /f /f\nFROM busybox:test AS late\n' >Dockerfile
    try dewar build -q --target 0 .
    fails 1 late
    printf 'FROM scratch\nARG X=a\nCOPY --from=$X /f /f\n' >Dockerfile
    try dewar build -q .
    fails 1 Dockerfile:3
}
@test "ONBUILD runs in the child, right after FROM, and not in grandchildren" {
    dockerfile <<'END'
FROM busybox:test
ONBUILD COPY f /onbuild
ONBUILD RUN echo ran >> /log
ONBUILD ENV T=$U
END
    echo x >f
    make -t on:build .
    same '["COPY f /onbuild","RUN echo ran \u003e\u003e /log","ENV T=$U"]' "$(json OnBuild | sed 's/>/\\u003e/g')"
    printf 'FROM on:build\nRUN test -e /onbuild && cat /log > /seen\n' >Dockerfile
    make -t on:child .
    same ran "$(inside cat /seen)"
    [[ $(json OnBuild) == null || $(json OnBuild) == '[]' ]]
    printf 'FROM on:child\nRUN wc -l < /log > /n\n' >Dockerfile
    make
    same 1 "$(inside cat /n)"
    printf 'FROM scratch\nONBUILD ONBUILD RUN x\n' >Dockerfile
    try dewar build -q .
    fails 1 Dockerfile:2
}
@test "FROM scratch with a command says what is missing" {
    printf 'FROM scratch\nRUN true\n' >Dockerfile
    try dewar build -q .
    fails 1 Dockerfile:2
    err_has /bin/sh
}

# --- COPY -----------------------------------------------------------------------------------------
tree() {
    mkdir -p d/sub
    echo 1 >d/one
    echo 2 >d/sub/two
    ln -s one d/link
    ln -s /nowhere d/dangling
    echo f >f
    chmod 640 f
}
@test "COPY: a folder gives its contents, a file goes where the slash says" {
    tree
    dockerfile <<'END'
FROM busybox:test
COPY d /into
COPY d/ /slash/
COPY f /file
COPY f /folder/
COPY f /etc
COPY d f /both/
WORKDIR /w
COPY f rel/
COPY f .
COPY f dot/.
END
    make
    same $'dangling\nlink\none\nsub' "$(inside ls /into)"
    same $'dangling\nlink\none\nsub' "$(inside ls /slash)"
    for f in /file /folder/f /etc/f /both/f /w/rel/f /w/f /w/dot/f; do same f "$(inside cat $f)"; done
    same '640 0:0' "$(inside stat -c '%a %u:%g' /file)"
    same '755 0:0' "$(inside stat -c '%a %u:%g' /folder)"
    same one "$(inside readlink /into/link)"
    same /nowhere "$(inside readlink /into/dangling)"
}
@test "COPY: an explicit link is followed, also through folders, and stays inside" {
    tree
    ln -s d dir
    ln -s ../../../../etc/passwd up
    mkdir etc && echo mine >etc/passwd
    printf 'FROM scratch\nCOPY d/link /a\nCOPY dir /dir\nCOPY dir/one /b\nCOPY up /up\nCOPY ../../f /clamped\nCOPY /f /abs\n' >Dockerfile
    dewar build -q -o out .
    same 1 "$(cat out/a)" && same 1 "$(cat out/b)" && same 1 "$(cat out/dir/one)" || return 1
    [ ! -L out/a ] && [ ! -L out/dir ] || return 1
    same mine "$(cat out/up)"
    same f "$(cat out/clamped)" && same f "$(cat out/abs)" || return 1
}
@test "COPY: a link that is followed keeps its name, also when a wildcard or a linked folder finds it" {
    mkdir -p d real/sub && echo 1 >real.1 && ln -s real.1 la && echo in >d/f && ln -s d ld && ln -s gone lz
    ln -s ../../real.1 real/sub/lr && ln -s real/sub via
    printf 'FROM scratch\nCOPY la /one/\nCOPY l* /two/\nCOPY l[a] /three\nCOPY via/l* /four/\nCOPY via/lr /five/\n' >Dockerfile
    printf 'COPY --parents la l[d] /six/\nCOPY . /whole/\n' >>Dockerfile
    dewar build -q -o out .
    same la "$(ls out/one)" && same 1 "$(cat out/one/la)" && [ ! -L out/one/la ] || return 1
    same 'f la lz' "$(ls out/two | xargs)"
    [ ! -L out/two/la ] && [ ! -L out/two/f ] && same gone "$(readlink out/two/lz)" || return 1
    same 1 "$(cat out/three)"
    same lr "$(ls out/four)" && same 1 "$(cat out/four/lr)" && same lr "$(ls out/five)" || return 1
    same real.1 "$(readlink out/six/la)" && same d "$(readlink out/six/ld)" || return 1
    same real.1 "$(readlink out/whole/la)"
    # The same from a stage, where only what is asked for is looked at.
    dockerfile <<'END'
FROM busybox:test AS a
RUN mkdir -p /usr/lib /opt && ln -s usr/lib /lib && echo so >/opt/x.1 && ln -s ../../opt/x.1 /lib/libx && touch /lib/liby
FROM scratch
COPY --from=a /lib/lib* /t/
COPY --from=a /lib/libx /u/
END
    rm -rf out
    dewar build -q -o out .
    same 'libx liby' "$(ls out/t | xargs)"
    same so "$(cat out/t/libx)" && same so "$(cat out/u/libx)" || return 1
    printf 'FROM scratch\nCOPY lz /t\n' >Dockerfile
    try dewar build -q .
    fails 1 "it is a link, and '/gone', which it leads to, is not there"
}
@test "COPY, ADD and WORKDIR go through links of the image to what is not there yet, and to files" {
    mkdir d && echo 1 >f && echo 2 >d/g && tar -cf t.tar d
    dockerfile <<'END'
FROM busybox:test
RUN ln -s /not/there /ln && ln -s ../../../../up /etc/up && echo old >/orig && ln -s orig /fl && mkdir /z && ln -s orig /z/f
COPY f /ln/x
COPY f /etc/up/
COPY d /ln/d
ADD t.tar /ln
COPY f /fl
COPY f /z/
COPY <<h /ln/
text
h
WORKDIR /ln/w
RUN pwd >p
END
    make
    same 1 "$(inside cat /not/there/x)"
    same 1 "$(inside cat /up/f)"
    same 2 "$(inside cat /not/there/d/g)"
    same text "$(inside cat /not/there/h)"
    same /not/there/w "$(inside cat /not/there/w/p)"
    same orig "$(inside readlink /fl)" && same 1 "$(inside cat /orig)" || return 1
    try inside readlink /z/f
    fails 1
}
@test "a context's own folder gives nothing to the image, its mode as little as its attributes" {
    ctx
    printf 'FROM busybox:test\nCOPY . /t\nCOPY ./ /u/\n' >Dockerfile
    chmod 755 . && a=$(build_id)
    chmod 700 . && b=$(build_id)
    same "$a" "$b"
    same "drwxr-xr-x" "$(dewar run --network none --rm "$b" ls -ld /t | cut -c1-10)"
    setfattr -n user.x -v y . || return 0
    same "$a" "$(build_id)"
}
@test "attributes of folders, modes of kept parents and of half-excluded folders are part of the key" {
    ctx
    mkdir -p d/e && touch d/e/keep d/e/drop
    printf 'FROM scratch\nCOPY --exclude=e --exclude=!e/keep d /t/\n' >Dockerfile
    a=$(build_id) && chmod 700 d/e && b=$(build_id) && differ "$a" "$b" || return 1
    printf 'FROM scratch\nCOPY --parents d/e/keep /t/\n' >Dockerfile
    a=$(build_id) && chmod 711 d/e && b=$(build_id) && differ "$a" "$b" || return 1
    dewar build -q -o ../out .
    same 711 "$(stat -c %a ../out/t/d/e)"
    printf 'FROM scratch\nCOPY --exclude=e --exclude=!e/no d /t/\n' >Dockerfile
    dewar build -q -o ../out2 .
    [ ! -e ../out2/t/e ]
    setfattr -n user.x -v y d/e || skip "no user attributes here"
    printf 'FROM scratch\nCOPY d /t/\n' >Dockerfile
    a=$(build_id) && setfattr -n user.x -v z d/e && differ "$a" "$(build_id)"
}
@test "COPY: wildcards match names, no match is nothing, a missing file is an error" {
    tree
    touch 'a[b]' ab1 ab2 cd
    printf 'FROM scratch\nCOPY ab? /w/\nCOPY a[[]b] /odd/\nCOPY nothing* /none/\nCOPY f /f\n' >Dockerfile
    dewar build -q -o out .
    same $'ab1\nab2' "$(ls out/w)"
    [ -e 'out/odd/a[b]' ]
    [ ! -e out/none ] || [ -z "$(ls out/none)" ]
    printf 'FROM scratch\nCOPY nothing /none/\n' >Dockerfile
    try dewar build -q .
    fails 1 nothing
    err_has Dockerfile:2
}
@test "COPY: several sources need a folder, a folder over a file and a file over a folder fail" {
    tree
    printf 'FROM busybox:test\nCOPY f d/one /x\n' >Dockerfile
    try dewar build -q .
    fails 1 "'/x/'"
    printf 'FROM busybox:test\nCOPY d /etc/passwd\n' >Dockerfile
    try dewar build -q .
    fails 1 /etc/passwd
    mkdir -p e/passwd && touch e/passwd/x
    printf 'FROM busybox:test\nCOPY e /etc/\n' >Dockerfile
    try dewar build -q .
    fails 1 passwd
    mkdir g && touch g/sub
    printf 'FROM scratch\nCOPY d /x/\nCOPY g /x/\n' >Dockerfile
    try dewar build -q .
    fails 1 sub
}
@test "COPY: a linked folder of the image is a destination" {
    tree
    printf 'FROM busybox:test\nCOPY f /var/run/f\nCOPY d /var/run/\n' >Dockerfile
    make
    same f "$(inside cat /run/f)"
    same 1 "$(inside cat /run/one)"
    same ../run "$(inside readlink /var/run)"
}
@test "COPY: a link and a file replace each other" {
    mkdir one two
    ln -s target one/x && echo file >one/y
    echo file >two/x && ln -s target two/y
    printf 'FROM scratch\nCOPY one /d/\nCOPY two /d/\n' >Dockerfile
    dewar build -q -o out .
    [ ! -L out/d/x ] && same file "$(cat out/d/x)" || return 1
    same target "$(readlink out/d/y)"
}
@test "COPY --chown and --chmod: names of the image, numbers, octal and symbolic modes" {
    tree
    dockerfile <<'END'
FROM busybox:test
USER user
COPY f /plain
COPY --chown=user f /name
COPY --chown=user:bin f /group
COPY --chown=55 f /number
COPY --chown=55:66 d /tree
COPY --chmod=4711 f /octal
COPY --chmod=u=rwX,go=rX d /symbolic
END
    make
    owner() { inside stat -c '%u:%g' "$1"; }
    same 0:0 "$(owner /plain)"
    same 1000:1000 "$(owner /name)"
    same 1000:2 "$(owner /group)"
    same 55:55 "$(owner /number)"
    same 55:66 "$(owner /tree/sub/two)"
    same 55:66 "$(owner /tree/sub)"
    same 4711 "$(inside stat -c %a /octal)"
    same 755 "$(inside stat -c %a /symbolic/sub)"
    same 644 "$(inside stat -c %a /symbolic/one)"
    printf 'FROM busybox:test\nCOPY --chown=nosuch f /x\n' >Dockerfile
    try dewar build -q .
    fails 1 nosuch
    printf 'FROM busybox:test\nCOPY --chmod=99999 f /x\n' >Dockerfile
    try dewar build -q .
    fails 1 99999
}
@test "COPY --from keeps owners, modes, times, hard links and attributes" {
    dockerfile <<'END'
FROM busybox:test AS a
RUN mkdir /t && echo x > /t/f && chown 7:8 /t/f && chmod 2755 /t/f && ln /t/f /t/g && touch -d @1000 /t/f
FROM busybox:test
COPY --from=a /t /t
END
    make
    same '2755 7:8 2 1000' "$(inside stat -c '%a %u:%g %h %Y' /t/f)"
    same "$(inside stat -c %i /t/f)" "$(inside stat -c %i /t/g)"
}
@test "COPY keeps user attributes and hard links of the context" {
    need_program setfattr attr
    echo x >f
    setfattr -n user.mime -v text f 2>/dev/null || skip "no user attributes here"
    mkdir h && cp --preserve=xattr f h/a && ln h/a h/b
    printf 'FROM scratch\nCOPY f h /d/\n' >Dockerfile
    dewar build -q -o type=tar,dest=out.tar .
    python3 - <<'PY' 2>/dev/null || tar --xattrs -tvvf out.tar | grep -q 'user.mime'
import tarfile
t = tarfile.open('out.tar')
assert t.getmember('d/f').pax_headers['SCHILY.xattr.user.mime'] == 'text'
assert t.getmember('d/b').islnk()
PY
}
@test "COPY --link does not follow links of the base and hits when the base changes" {
    tree
    printf 'FROM busybox:test\nRUN echo 1 > /v\nCOPY --link f /var/run/f\n' >Dockerfile
    make
    inside test ! -L /var/run
    same f "$(inside cat /var/run/f)"
    printf 'FROM busybox:test\nRUN echo 2 > /v\nCOPY --link f /var/run/f\n' >Dockerfile
    try dewar build --progress plain .
    ok
    grep -E 'COPY --link' <<<"$stderr" | grep -qi cached || grep -A1 'COPY --link' <<<"$stderr" | grep -qi cached
}
@test "COPY --parents keeps the path, below /./ if there" {
    mkdir -p a/b/c && echo x >a/b/c/x && echo y >a/y
    printf 'FROM scratch\nCOPY --parents a/b/c/x a/y /p/\nCOPY --parents a/./b/c/x /q/\nCOPY --parents **/x /r/\nCOPY --parents a/b /s/\n' >Dockerfile
    dewar build -q -o out .
    [ -e out/p/a/b/c/x ] && [ -e out/p/a/y ] || return 1
    [ -e out/q/b/c/x ] && [ ! -e out/q/a ] || return 1
    [ -e out/r/a/b/c/x ]
    [ -e out/s/a/b/c/x ]
}
@test "COPY --exclude leaves out, in folders and among wildcards" {
    mkdir -p d/e && touch d/a.txt d/b.md d/e/c.md d/e/d.txt x.md y.txt
    printf 'FROM scratch\nCOPY --exclude=*.md --exclude=*/*.md d /one/\nCOPY --exclude=**/*.md d /two/\nCOPY --exclude=*.md *.md *.txt /three/\n' >Dockerfile
    dewar build -q -o out .
    same $'a.txt\ne' "$(ls out/one)"
    same d.txt "$(ls out/one/e)"
    same d.txt "$(ls out/two/e)"
    same y.txt "$(ls out/three)"
}
@test "COPY of an empty folder makes it, with its mode" {
    mkdir -m 700 empty
    printf 'FROM scratch\nCOPY empty /e/\n' >Dockerfile
    dewar build -q -o type=tar,dest=out.tar .
    tar -tvf out.tar | grep -q '^drwx------.* e/$'
}
@test "COPY: sockets are left out and a named pipe does not hang the build" {
    mkfifo pipe
    printf 'FROM scratch\nCOPY . /\n' >Dockerfile
    try timeout 20 "$DEWAR" build -q -o type=tar,dest=- .
    ok
}
@test "strange names survive" {
    touch -- 'a b' $'new\nline' '-dash' 'ü' '#h' '$x'
    printf 'FROM scratch\nCOPY . /d/\nCOPY ["a b", "/spaced file"]\nCOPY \\$x /dollar\n' >Dockerfile
    dewar build -q -o out .
    for f in 'a b' $'new\nline' '-dash' 'ü' '#h' '$x'; do [ -e "out/d/$f" ]; done
    [ -e 'out/spaced file' ] && [ -e out/dollar ] || return 1
}

# --- ADD ------------------------------------------------------------------------------------------
@test "ADD unpacks archives by content, whatever they are called, and COPY does not" {
    mkdir t && echo in >t/f && ln -s f t/l
    tar -cf plain.tar -C t . && gzip -k plain.tar && mv plain.tar.gz gz.dat
    tar -cJf x.tar.xz -C t . && tar -cjf b.tbz -C t .
    printf 'FROM scratch\nADD plain.tar /plain/\nADD gz.dat /gz\nADD x.tar.xz /xz/\nADD b.tbz /bz/\nCOPY plain.tar /copied\nADD t/f /f\n' >Dockerfile
    if command -v zstd >/dev/null; then
        tar -cf - -C t . | zstd -q >z.tar && echo 'ADD z.tar /zst/' >>Dockerfile
    fi
    dewar build -q -o out .
    for d in plain gz xz bz; do same in "$(cat out/$d/f)" && same f "$(readlink out/$d/l)"; done
    ! command -v zstd >/dev/null || same in "$(cat out/zst/f)"
    [ -f out/copied ]
    same in "$(cat out/f)"
}
@test "ADD of an archive: the last header of a folder counts, and folders have their attributes" {
    python3 - <<'END'
import io, tarfile
t = tarfile.open("t.tar", "w", format=tarfile.PAX_FORMAT)
def add(name, kind=tarfile.DIRTYPE, mode=0o755, **more):
    i = tarfile.TarInfo(name)
    i.type, i.mode = kind, mode
    for key, value in more.items():
        setattr(i, key, value)
    t.addfile(i, io.BytesIO(b""))
add("a", mode=0o700, uid=5)
add("a/f", tarfile.REGTYPE, 0o644)
add("b/c", mode=0o750)
add("a", mode=0o711, uid=6, pax_headers={"SCHILY.xattr.user.k": "v"})
add("b", mode=0o500)
END
    printf 'FROM scratch\nADD t.tar /\n' >Dockerfile
    dewar build -q -o type=tar,dest=o.tar .
    same 'drwx--x--x 6/0 a/ dr-x------ 0/0 b/ drwxr-x--- 0/0 b/c/' \
        "$(tar --numeric-owner -tvf o.tar | awk '/^d/ && $6 != "./" { print $1, $2, $6 }' | sed 's, \./, ,' | sort -k3 | xargs)"
    touch probe && setfattr -n user.k -v v probe 2>/dev/null || skip "no user attributes here"
    same v "$(python3 -c 'import tarfile
print([m.pax_headers.get("SCHILY.xattr.user.k") for m in tarfile.open("o.tar") if m.name.strip("./") == "a"][0])')"
}
@test "ADD of something that only looks like an archive copies it" {
    printf '\037\213 not gzip' >fake.tar.gz
    echo text >x.tar
    printf 'FROM scratch\nADD x.tar /\n' >Dockerfile
    dewar build -q -o out .
    same text "$(cat out/x.tar)"
}
@test "ADD --unpack=false keeps an archive whole" {
    mkdir t && touch t/f && tar -cf a.tar -C t .
    printf 'FROM scratch\nADD --unpack=false a.tar /a.tar\n' >Dockerfile
    dewar build -q -o out .
    [ -f out/a.tar ]
}
