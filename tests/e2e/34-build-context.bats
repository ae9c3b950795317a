# SPDX-License-Identifier: Apache-2.0
# Where a build takes its files from and where the result goes; what a person is told when it fails.
load helpers

test_setup() { ctx; }
small() { printf 'FROM scratch\nCOPY . /\n' >Dockerfile; }
# names [arguments]: what a build of ctx puts into the image, on one line.
names() { dewar build -q -o type=tar,dest=- "${@:-.}" | tar -t | LC_ALL=C sort | xargs; }

# --- .dockerignore --------------------------------------------------------------------------------
@test ".dockerignore: patterns, exceptions, order, comments and the Dockerfile itself" {
    small
    mkdir -p a/b/c && touch a/x.log a/b/x.log a/b/keep.log a/b/c/f top.log 'sp ace'
    printf '%s\n' '# comment' 'Dockerfile' '.dockerignore' '/top.log' '  a/b/*.log  ' '!a/b/keep.log' '' 'a/b/c' >.dockerignore
    same 'a/ a/b/ a/b/keep.log a/x.log sp ace' "$(names)"
    printf '%s\n' '*' '!a/b/c/f' >.dockerignore
    same 'a/ a/b/ a/b/c/ a/b/c/f' "$(names)"
    printf '%s\n' '**/*.log' '!**/keep.*' '*ace' 'Dockerfile*' '.d*' >.dockerignore
    same 'a/ a/b/ a/b/c/ a/b/c/f a/b/keep.log' "$(names)"
    printf '%s\n' '!' >.dockerignore
    try dewar build -q .
    fails 1 .dockerignore
}
@test "DOCKERFILE.dockerignore beside the Dockerfile beats the one of the context" {
    mkdir sub && touch a b
    printf 'FROM scratch\nCOPY . /\n' >sub/My.Dockerfile
    printf 'a\nsub\n.dockerignore\n' >.dockerignore
    printf 'b\nsub\n.dockerignore\n' >sub/My.Dockerfile.dockerignore
    same a "$(names -f sub/My.Dockerfile .)"
    rm sub/My.Dockerfile.dockerignore
    same b "$(names -f sub/My.Dockerfile .)"
}
@test "a wildcard and --from do not see or do not care for what is ignored" {
    touch a.txt b.txt && echo a.txt >.dockerignore
    printf 'FROM scratch\nCOPY *.txt /\n' >Dockerfile
    same b.txt "$(names)"
}

# --- the Dockerfile -------------------------------------------------------------------------------
@test "names that are looked for, and what is said when there is none" {
    try dewar build -q .
    fails 1 'no Dockerfile'
    err_has -f
    printf 'FROM scratch\nLABEL n=lower\n' >dockerfile
    dewar build -q . >/dev/null
    printf 'FROM scratch\nLABEL n=upper\n' >Dockerfile
    same upper "$(dewar inspect -f '{{index .Config.Labels "n"}}' "$(build_id)")"
}
@test "a missing context, a file for a context, a folder for a file" {
    small
    try dewar build -q "$WORK/none"
    fails 1 none
    try dewar build -q Dockerfile
    fails 1 -f
    mkdir d
    try dewar build -q -f d .
    fails 1 "'d'"
    try dewar build -q -f none .
    fails 1 "'none'"
    try dewar build -q a b
    [ "$status" != 0 ]
}
@test "-f is relative to the caller; one that only the context has is hinted at" {
    mkdir c && printf 'FROM scratch\nLABEL a=b\n' >c/My
    dewar build -q -f c/My c >/dev/null
    try dewar build -q -f My c
    fails 1 "'My'"
    err_has c/My
}
@test "no context argument means the current folder, and says so" {
    small
    try dewar build -t here:1 -f Dockerfile
    ok
    err_has 'no context'
}
@test "a Dockerfile with a BOM, CR LF and no newline at the end; an empty one is an error" {
    printf '\xef\xbb\xbfFROM scratch\r\nLABEL a=b \\\r\n c=d' >Dockerfile
    same '{"a":"b","c":"d"}' "$(dewar inspect -f '{{json .Config.Labels}}' "$(build_id)")"
    : >Dockerfile
    try dewar build -q .
    fails 1 Dockerfile
    printf '# only\n\n' >Dockerfile
    try dewar build -q .
    fails 1 Dockerfile
}
@test "# syntax= fetches nothing" {
    printf '# syntax=docker/dockerfile:1.7-labs\nFROM scratch\nLABEL a=b\n' >Dockerfile
    build_id
}

# --- stdin ----------------------------------------------------------------------------------------
@test "- is a Dockerfile without a context, -f - one with it" {
    touch f
    id=$(printf 'FROM scratch\nLABEL a=stdin\n' | dewar build -q -)
    same stdin "$(dewar inspect -f '{{index .Config.Labels "a"}}' "$id")"
    run --separate-stderr dewar build -q - < <(printf 'FROM scratch\nCOPY f /\n')
    fails 1 "'f'"
    printf 'FROM scratch\nCOPY f /\n' | dewar build -q -f - -o out .
    [ -e out/f ]
    run --separate-stderr dewar build -q -f - - <<<'FROM scratch'
    [ "$status" != 0 ]
    run --separate-stderr dewar build -q - </dev/null
    fails 1 stdin
}
@test "- takes a tar in every compression, with .dockerignore and -f" {
    small
    mkdir d && echo x >d/f && touch ignored && printf 'ignored\nDocker*\nOther\n.d*\n' >.dockerignore
    printf 'FROM scratch\nCOPY d/f /other\n' >Other
    tar -cf "$WORK/c.tar" .
    gzip -k "$WORK/c.tar" && xz -k "$WORK/c.tar" && bzip2 -k "$WORK/c.tar"
    files="c.tar c.tar.gz c.tar.xz c.tar.bz2"
    if command -v zstd >/dev/null; then zstd -q "$WORK/c.tar" && files+=" c.tar.zst"; fi
    for f in $files; do
        same 'd/ d/f' "$(dewar build -q -o type=tar,dest=- - <"$WORK/$f" | tar -t | xargs)" || { echo "$f"; return 1; }
    done
    same other "$(dewar build -q -f Other -o type=tar,dest=- - <"$WORK/c.tar.gz" | tar -t | xargs)"
    same "$(build_id)" "$(dewar build -q - <"$WORK/c.tar.gz")"
    head -c 300 "$WORK/c.tar.gz" >"$WORK/cut"
    run --separate-stderr dewar build -q - <"$WORK/cut"
    fails 1 stdin
    store_is_clean
}

# --- named contexts -------------------------------------------------------------------------------
@test "a named context beats a stage and an image and has its own .dockerignore" {
    mkdir n && touch n/yes n/no && printf 'no\n.d*\n' >n/.dockerignore
    printf 'FROM busybox:test AS n\nRUN false\nFROM scratch\nCOPY --from=n . /\n' >Dockerfile
    same yes "$(names --build-context n=n .)"
    printf 'FROM base\nLABEL a=b\n' >Dockerfile
    same yes "$(names --build-context base=n .)"
    dewar tag busybox:test some:thing
    printf 'FROM base\nRUN test -e /bin/busybox\n' >Dockerfile
    build_id --build-context base=docker-image://some:thing .
    for bad in n =x n= http://x; do
        try dewar build -q --build-context "$bad" .
        [ "$status" != 0 ]
    done
    try dewar build -q --build-context n=none .
    fails 1 none
}

# --- hints ----------------------------------------------------------------------------------------
@test "a file in another folder: did you mean" {
    mkdir docker && touch docker/environment.yml
    printf 'FROM scratch\nADD environment.yml /\n' >Dockerfile
    try dewar build -q .
    fails 1 "'environment.yml'"
    err_has 'did you mean'
    err_has ./docker/environment.yml
    err_has Dockerfile:2
}
@test "a misspelt file: did you mean" {
    mkdir -p conf && touch conf/requirements.txt conf/other requirements.in
    printf 'FROM scratch\nCOPY conf/requirments.txt /\n' >Dockerfile
    try dewar build .
    fails 1 "did you mean './conf/requirements.txt'?"
    printf 'FROM scratch\nCOPY Requirements.IN /\n' >Dockerfile
    try dewar build .
    fails 1 "did you mean './requirements.in'?"
    printf 'FROM scratch\nCOPY unlike /\n' >Dockerfile
    try dewar build .
    fails 1 "'unlike' is not in the build context"
    ! grep -q 'did you mean' <<<"$stderr" || return 1
}
@test "a file that .dockerignore leaves out: which line" {
    touch raw.csv && printf '# data\n\n*.csv\n' >.dockerignore
    printf 'FROM scratch\nCOPY raw.csv /\n' >Dockerfile
    try dewar build -q .
    fails 1 raw.csv
    err_has '.dockerignore'
    err_has 'line 3'
    mkdir data && touch data/x && echo data >.dockerignore
    printf 'FROM scratch\nCOPY data/x /\n' >Dockerfile
    try dewar build -q .
    fails 1 data/x
    err_has 'line 1'
}
@test "unknown instructions, flags and images have hints" {
    printf 'FROM scratch\nCOYP a b\n' >Dockerfile
    try dewar build -q .
    fails 1 Dockerfile:2
    err_has COPY
    printf 'FROM scratch\nCOPY --chwon=1 a b\n' >Dockerfile
    try dewar build -q .
    fails 1 Dockerfile:2
    err_has chown
    printf 'FROM nosuch:image\n' >Dockerfile
    try dewar build -q .
    fails 1 nosuch
    err_has Dockerfile:1
    err_has hint
    printf 'RUN true\n' >Dockerfile
    try dewar build -q .
    fails 1 Dockerfile:1
    err_has FROM
}
@test "what programs say is turned into advice" {
    for pair in 'Do you want to continue? [Y/n] Abort.|-y' 'error: externally-managed-environment|PEP 668' \
        'E: Unable to locate package x|apt-get update' 'E: The repository does not have a Release file|old-releases'; do
        printf 'FROM busybox:test\nRUN echo "%s"; exit 100\n' "${pair%|*}" >Dockerfile
        try dewar build .
        fails 1 "${pair#*|}"
        err_has 'Dockerfile:2'
    done
}
@test "the excerpt shows the lines around, marks the step and gives the output's end" {
    printf 'FROM busybox:test\nENV A=1\nRUN echo before && \\\n    false\nENV B=2\n' >Dockerfile
    for kind in plain auto; do
        try dewar build --progress $kind .
        fails 1 '>>> RUN echo before'
        err_has '3 |'
        err_has before
    done
    try dewar build -q .
    fails 1 '>>> RUN'
}

# --- outputs --------------------------------------------------------------------------------------
@test "every kind of output, and the plain forms" {
    small && echo x >f
    dewar build -q -o "$WORK/out" . && same x "$(cat ../out/f)"
    dewar build -q -o type=local,dest=../out2 . && same x "$(cat ../out2/f)"
    dewar build -q --output type=tar,dest=../o.tar . && tar -tf ../o.tar | grep -x f
    dewar build -q -o - . | tar -t | grep -x f
    dewar build -q -t my:img -o type=oci,dest="$WORK/oci.tar" . && tar -tf "$WORK/oci.tar" | grep -x oci-layout
    dewar build -q -t my:img -o type=docker,dest="$WORK/docker.tar" . && tar -tf "$WORK/docker.tar" | grep -x manifest.json
    dewar build -q -t my:img -o type=docker . >../piped.tar && tar -tf ../piped.tar | grep -x manifest.json
    cmp ../docker.tar ../piped.tar
    same "$(build_id)" "$(build_id -o type=image .)"
    id=$(build_id)
    dewar rmi -f my:img >/dev/null
    same "$id" "$(dewar load -q -i "$WORK/oci.tar")"
    for bad in type=nope type=local dest=x,bogus=1 type=; do
        try dewar build -q -o "$bad" .
        [ "$status" != 0 ] || { echo "$bad"; return 1; }
    done
    store_is_clean
}
@test "local output belongs to the caller and replaces what is there" {
    printf 'FROM busybox:test\nRUN mkdir /o && echo x > /o/f && chown 55:66 /o/f && chmod 600 /o/f\nFROM scratch\nCOPY --from=0 /o /\n' >Dockerfile
    mkdir out && echo old >out/f && echo stays >out/g
    dewar build -q -o out .
    same x "$(cat out/f)" && same stays "$(cat out/g)" || return 1
    same "$(id -u):$(id -g)" "$(stat -c %u:%g out/f)"
}
@test "local output does not write through links that are in the way" {
    small && mkdir d && echo evil >d/f
    mkdir canary out && ln -s ../canary out/d
    echo canary >.dockerignore && echo out >>.dockerignore
    try dewar build -q -o out .
    [ -z "$(ls canary)" ]
}
@test "--iidfile, --metadata-file and -q tell the image ID" {
    small
    id=$(dewar build -q -t some:name --iidfile "$WORK/iid" --metadata-file "$WORK/meta" .)
    same "$id" "$(cat "$WORK/iid")"
    grep -q "\"containerimage.config.digest\": *\"$id\"" "$WORK/meta"
    grep -q '"image.name": *"[^"]*some:name"' "$WORK/meta"
    [[ $id =~ ^sha256:[0-9a-f]{64}$ ]]
    umask 077
    try dewar build --iidfile "$WORK/no/such/iid" .
    [ "$status" != 0 ]
    err_has iid
}
@test "stdout holds the result alone, whatever the progress" {
    printf 'FROM busybox:test\nRUN echo to-stdout; echo to-stderr >&2\n' >Dockerfile
    for kind in auto plain; do
        try dewar build --no-cache --progress $kind .
        ok
        same '' "$output"
    done
    try dewar build --no-cache --progress plain .
    err_has to-stdout
    err_has to-stderr
    try dewar build --no-cache -q .
    same 1 "${#lines[@]}"
    same '' "$stderr"
    run --separate-stderr dewar build --no-cache --progress rawjson .
    ok
    [[ $output$stderr == *'{'* ]]
    try dewar build --progress nope .
    fails 125 nope
}
@test "--shell-on-fail opens a shell in the failed step, with its files and mounts" {
    need_program script
    dockerfile <<'END'
FROM busybox:test AS a
RUN echo from-a >/A
FROM busybox:test
WORKDIR /here
RUN --mount=type=cache,target=/c --mount=from=a,target=/m --mount=type=secret,id=s \
    echo written >w; echo kept >/c/k; exit 9
END
    echo hush >Dockerfile.secret
    mkfifo in
    { sleep 1; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.5; ! grep -q 'a shell in its place' out || break; done
        sleep 0.5; echo 'echo "<$(pwd) $(cat w /c/k /m/A /run/secrets/s | xargs)>"; exit 3'; sleep 2; } >in &
    local code=0
    script -qec "'$DEWAR' build --no-cache --shell-on-fail --secret id=s,src=Dockerfile.secret ." /dev/null \
        <in >out 2>&1 || code=$?
    same 1 "$code"
    tr -d '\r' <out >text
    grep -F '</here written kept from-a hush>' text
    grep -F 'the command ended with status 9' text
    # While the shell had the terminal nothing was drawn over it.
    sed -n '/a shell in its place/,/<\/here/p' text >between
    ! grep -q Building between || return 1
    # A step that does not fail is what it is without the flag.
    printf 'FROM busybox:test\nRUN echo x >/x\n' >Dockerfile
    same "$(build_id)" "$(dewar build -q --no-cache --shell-on-fail .)"
    store_is_clean
}
@test "rawjson: a build that succeeds writes nothing but objects, the image and its names among them" {
    printf 'FROM busybox:test\nRUN echo ran\n' >Dockerfile
    try dewar build --no-cache --progress rawjson -t raw:1 -t raw:2 .
    ok
    jq -es '[.[].kind] | .[-1] == "end"' <<<"$stderr"
    same "$(printf 'image %s\nnamed raw:1\nnamed raw:2' "$(image_id raw:1)")" \
        "$(jq -r 'select(.kind == "info") | .text' <<<"$stderr")"
}
@test "--call takes a format" {
    printf 'FROM busybox:test AS One\nARG A=1\nCMD run\n' >Dockerfile
    try dewar build --call=check,format=json .
    ok
    jq -e '.warnings | map(.ruleName) | index("JSONArgsRecommended")' <<<"$output"
    try dewar build --call=targets,format=json .
    ok
    jq -e . <<<"$output"
    try dewar build --call=outline,format=text .
    ok
    has 'BUILD ARG'
    for bad in nope check,format=x check,json; do
        try dewar build --call="$bad" .
        fails 1 "invalid argument '$bad' for '--call'" || return 1
    done
}
@test "a network, label, platform or secret that cannot be is refused, also when every step is cached" {
    printf 'FROM busybox:test\nRUN true\n' >Dockerfile
    dewar build -q .
    try dewar build -q --network foo .
    fails 1 "--network 'foo' is unknown"
    try dewar build -q --label =x .
    fails 1 "--label '=x' has no name"
    try dewar build -q --platform linux/amd64,linux/arm64 .
    fails 1 'a build is for one platform'
    try dewar build -q --secret id=x,src=nosuch .
    fails 1 "there is no file 'nosuch'"
    try dewar build -q --add-host box .
    fails 1 "'box' is not of the form name:address"
    try dewar build -q --add-host box:1.2.3 .
    fails 1 'is not an address'
    try dewar build -q --memory 1m .
    fails 1 'at least 6MB'
    try dewar build -q --security-opt seccomp=profile.json .
    fails 1 'cannot be given to a build'
    dewar build -q --network none --label a= --label b --secret id=x,src=Dockerfile .
    dewar build -q --network host . && dewar build -q --network default . || return 1
}
@test "options of Docker's and Podman's build: taken, or refused with what to do instead" {
    printf 'FROM busybox:test\nRUN true\n' >Dockerfile
    dewar build -q --compress --rm --rm=false --force-rm --squash=false --isolation default --disable-content-trust \
        --provenance=false --sbom=false --builder default --format oci --security-opt label=disable \
        --security-opt apparmor=unconfined --security-opt no-new-privileges:true .
    for given in --squash --isolation=chroot --format=docker --provenance=true --sbom=true --attest=type=sbom \
        --cgroup-parent=x --builder=other --disable-content-trust=false; do
        try dewar build -q "$given" .
        fails 1 "${given%%=*}" && err_has hint: || { echo "$given"; return 1; }
    done
}
@test "--annotation: in the manifest that goes out, not in the image's ID" {
    printf 'FROM busybox:test\nRUN true\n' >Dockerfile
    notes() { rm -rf out.oci && dewar save --format oci-dir -o out.oci "$1" && jq -c .annotations "out.oci/blobs/sha256/$(jq -r '.manifests[0].digest' out.oci/index.json | cut -d: -f2)"; }
    plain=$(dewar build -q -t noted:1 .)
    same "$(notes noted:1)" null
    same "$(dewar build -q -t noted:1 --annotation a.b=c=d --annotation manifest:e= --annotation e=last .)" "$plain"
    same "$(notes noted:1)" '{"a.b":"c=d","e":"last"}'
    dewar build -q -t noted:2 --annotation a.b=other . >/dev/null
    same "$(notes noted:2)" '{"a.b":"other"}'
    dewar build -q --annotation k=v -o type=oci,dest=out.tar .
    mkdir t && tar -xf out.tar -C t
    same "$(jq -c .annotations "t/blobs/sha256/$(jq -r '.manifests[0].digest' t/index.json | cut -d: -f2)")" '{"k":"v"}'
    for given in a =b manifest: index:a=b 'manifest[linux/amd64]:a=b' manifest-descriptor:a=b; do
        try dewar build -q --annotation "$given" .
        fails 1 annotation && err_has hint: || { echo "$given"; return 1; }
    done
}
@test "limits of the command line reach RUN, or the error says why not" {
    printf 'FROM busybox:test\nRUN cat /sys/fs/cgroup/cpu/cpu.shares /sys/fs/cgroup/cpu.weight >/w 2>/dev/null; nproc >/n; grep Seccomp: /proc/self/status >/s; grep NoNewPrivs /proc/self/status >>/s\n' >Dockerfile
    try dewar build -q -m 64m --memory-swap 64m --cpuset-cpus 0 -c 512 -o out .
    if [ "$status" != 0 ]; then
        ! is_root || { show_try; return 1; }
        err_has hint:
        return
    fi
    same 1 "$(cat out/n)"
    printf 'FROM busybox:test\nRUN dd if=/dev/zero of=/dev/null bs=150M count=1\n' >Dockerfile
    try dewar build -q -m 32m --memory-swap 32m .
    fails 1 'out of memory'
}
@test "--security-opt: without a filter, without new rights" {
    printf 'FROM busybox:test\nRUN awk "/^Seccomp:|^NoNewPrivs:/ {print \\$2}" /proc/self/status >/s\n' >Dockerfile
    dewar build -q --no-cache -o out --security-opt seccomp=unconfined .
    same '0 0' "$(paste -sd' ' out/s)"
    dewar build -q --no-cache -o out --security-opt no-new-privileges .
    same '1 2' "$(paste -sd' ' out/s)"
}
@test "tags: several, without a tag, moved; bad ones are refused before any work" {
    printf 'FROM busybox:test\nRUN echo ran >&2\n' >Dockerfile
    dewar build -q -t a:1 -t b -t example.org:5000/c/d:e . >/dev/null
    same "$(image_id a:1)" "$(image_id b:latest)"
    same "$(image_id a:1)" "$(image_id example.org:5000/c/d:e)"
    for bad in 'A:b' 'a:' 'a b' '../x' 'a:b:c' '' "a@sha256:$(printf 0%.0s {1..64})"; do
        try dewar build --no-cache --progress plain -t "$bad" .
        [ "$status" != 0 ] || { echo "$bad"; return 1; }
        [[ $stderr != *'#2'* ]]
    done
}
@test "exit status: 125 for a wrong flag, 1 for a failed build" {
    small
    try dewar build --nope .
    fails 125 nope
    printf 'FROM busybox:test\nRUN exit 7\n' >Dockerfile
    try dewar build -q .
    fails 1
}
@test "--call=check, outline and targets read the file only" {
    printf 'FROM busybox:test as one\nARG V=1\nRUN exit 1\nFROM one AS two\n' >Dockerfile
    try dewar build --call=targets .
    ok
    has one && has two || return 1
    try dewar build --call=outline .
    ok
    has V
    try dewar build --check .
    [[ $output == *FromAsCasing* ]]
}
@test "an interrupted build leaves nothing behind" {
    printf 'FROM busybox:test\nRUN sleep 60\n' >Dockerfile
    # A shell's background command has SIGINT ignored.
    env --default-signal=INT "$DEWAR" build --progress plain . >"$WORK/log" 2>&1 3>&- &
    pid=$!
    for _ in $(seq 100); do ! grep -q 'RUN sleep' "$WORK/log" || break; sleep 0.05; done
    sleep 0.3
    kill -INT $pid
    rc=0
    wait $pid || rc=$?
    same 130 "$rc"
    ! pgrep -u "$(id -u)" -f 'sleep 60$' >/dev/null || sleep 0.5
    store_is_clean
}
@test "a killed build leaves what the next command cleans up" {
    printf 'FROM busybox:test\nRUN sleep 61\n' >Dockerfile
    "$DEWAR" build --progress plain . >"$WORK/log" 2>&1 3>&- &
    pid=$!
    for _ in $(seq 100); do ! grep -q 'RUN sleep' "$WORK/log" || break; sleep 0.05; done
    kill -KILL $pid
    wait $pid || :
    sleep 0.5
    ! pgrep -u "$(id -u)" -x -f 'sleep 61' >/dev/null || return 1
    store_is_clean
}

@test "results are written into what is no regular file, never over it" {
    ctx
    printf 'FROM busybox:test\n' >Dockerfile
    ln -s /dev/null id
    ln -s /dev/null meta
    ln -s /dev/null out.tar
    try dewar build -q --iidfile id --metadata-file meta -o type=tar,dest=out.tar .
    ok
    [ -L id ] && [ -L meta ] && [ -L out.tar ] && [ -c /dev/null ] || return 1
}

@test "--build-context takes an image of an OCI layout, by tag, digest or because it is the only one" {
    ctx
    printf 'FROM busybox:test\nRUN echo one >/mark\n' | dewar build -q -t one:a - >/dev/null
    printf 'FROM busybox:test\nRUN echo two >/mark\n' | dewar build -q -t two:b - >/dev/null
    dewar save --format oci-dir -o single one:a
    dewar save --format oci-dir -o both one:a two:b
    digest=$(jq -r '.manifests[] | select(.annotations."org.opencontainers.image.ref.name" | endswith("b")) | .digest' both/index.json)
    dewar rmi -f one:a two:b >/dev/null
    printf 'FROM base\nCOPY --from=other /mark /other\n' >Dockerfile
    dewar build -q --build-context base=oci-layout://single --build-context "other=oci-layout://$PWD/both:b" -o out .
    same one "$(cat out/mark)"
    same two "$(cat out/other)"
    dewar build -q --build-context "base=oci-layout://both@$digest" --build-context other=oci-layout://both:a -o out2 .
    same two "$(cat out2/mark)"
    same one "$(cat out2/other)"
    # The layout's names do not come into the store.
    try dewar inspect one:a
    fails 1
    try dewar build -q --build-context base=oci-layout://both --build-context other=oci-layout://single .
    fails 1 'the layout has 2 images'
    try dewar build -q --build-context base=oci-layout://both:c --build-context other=oci-layout://single .
    fails 1 "no image 'c'"
    try dewar build -q --build-context base=oci-layout://nowhere .
    fails 1 nowhere
}
