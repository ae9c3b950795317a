# SPDX-License-Identifier: Apache-2.0
# dewar.lock: images, URLs and repositories written down once, taken from there, and looked at again.
# shellcheck disable=SC2154
load helpers
load registry

start_web() {
    mkfifo "$1.hold"
    exec 8<>"$1.hold"
    "$TESTS_DIR/tools/web" "$@" <"$1.hold" >"$1.port" 3>&- 8>&- &
    WEB_PID=$!
    for _ in $(seq 200); do
        [ ! -s "$1.port" ] || break
        sleep 0.05
    done
    WEB=http://127.0.0.1:$(cat "$1.port")
    export WEB WEB_PID
}
file_setup() {
    registry_start
    registry_seed me/base:1
    registry_seed me/tools:latest REGISTRY two
    export SITE=$BATS_FILE_TMPDIR/site
    mkdir -p "$SITE/git" "$SITE/files"
    start_web "$SITE"
}
file_teardown() { kill "$WEB_PID" 2>/dev/null || true; }
test_setup() {
    need_program git
    export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_CONFIG_GLOBAL=/dev/null
    export GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org
    fresh_store "$BATS_TEST_TMPDIR"
    BASE=$REGISTRY/me/base:1 TOOLS_IMAGE=$REGISTRY/me/tools
    FILE=$WEB/files/f$BATS_TEST_NUMBER
    GIT=$WEB/git/r$BATS_TEST_NUMBER.git
    echo "one $BATS_TEST_NUMBER" >"$SITE/files/f$BATS_TEST_NUMBER"
    mkdir "$WORK/r"
    git -C "$WORK/r" init -q -b main
    echo "first $BATS_TEST_NUMBER" >"$WORK/r/a"
    publish
    ctx
}
test_teardown() { remove_tree "$DEWAR_STORE" "$DEWAR_RUN"; }
publish() {
    git -C "$WORK/r" add -A
    git -C "$WORK/r" commit -q --allow-empty -m x
    [ -d "$SITE/git/r$BATS_TEST_NUMBER.git" ] || git init -q --bare -b main "$SITE/git/r$BATS_TEST_NUMBER.git"
    git -C "$WORK/r" push -q --mirror "$SITE/git/r$BATS_TEST_NUMBER.git"
}
digest_of() { skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$1"; }
lines() { printf '%s\n' "$@" >Dockerfile; }
# A Dockerfile with one of everything.
everything() {
    lines "FROM $BASE AS base" 'ARG NAME=f' "FROM scratch" "ADD $FILE /file" "ADD $GIT#main /git" \
        "COPY --from=$TOOLS_IMAGE /bin/busybox /tool" 'COPY --from=base /etc/passwd /passwd' 'COPY . /ctx'
}
# Everything outside is something else now.
move_everything() {
    registry_seed me/base:1 REGISTRY two
    registry_seed me/tools:latest
    echo "two $BATS_TEST_NUMBER" >"$SITE/files/f$BATS_TEST_NUMBER"
    echo "second $BATS_TEST_NUMBER" >"$WORK/r/a"
    publish
}
# As the next test expects it.
move_back() {
    registry_seed me/base:1
    registry_seed me/tools:latest REGISTRY two
}
asked() { wc -l <"$REGISTRY_LOG"; }
status_of() { dewar verify --format '{{.Name}} {{.Status}}' "${@:2}" 2>/dev/null | grep -F "$1 " | tail -n 1 | sed 's/.* //'; }

@test "a lock has digests, checksums and commits, and the same lock is the same bytes" {
    everything
    try dewar lock
    ok
    err_has 'wrote dewar.lock'
    same "$(digest_of "$BASE")" "$(jq -r --arg n "$BASE" '.images[$n].digest' dewar.lock)"
    same "$(digest_of "$TOOLS_IMAGE")" "$(jq -r --arg n "$TOOLS_IMAGE:latest" '.images[$n].digest' dewar.lock)"
    same "sha256:$(sha256sum <"$SITE/files/f$BATS_TEST_NUMBER" | cut -d' ' -f1)" \
        "$(jq -r --arg n "$FILE" '.urls[$n].digest' dewar.lock)"
    same "$(git -C "$WORK/r" rev-parse main)" "$(jq -r --arg n "$GIT#main" '.git[$n].commit' dewar.lock)"
    same "$(image_id "$BASE")" "$(jq -r --arg n "$BASE" '.images[$n].platforms[].image' dewar.lock)"
    same 1 "$(jq .version dewar.lock)"
    [ -n "$(jq -r .compressor dewar.lock)" ]
    # Keys in order, two blanks, one end of line.
    jq -S --indent 2 . dewar.lock | cmp - dewar.lock
    cp dewar.lock before
    fresh_store "$WORK/other"
    rm dewar.lock
    dewar lock >/dev/null
    cmp before dewar.lock
    remove_tree "$WORK/other"
}

@test "a locked build takes what the lock has, and asks for no name" {
    everything
    dewar lock >/dev/null
    want=$(dewar build -q --locked .)
    move_everything
    # Here: from the store, without a question to anybody.
    before=$(asked)
    web=$(wc -l <"$SITE.log")
    same "$want" "$(dewar build -q --locked --no-cache .)"
    same "$before" "$(asked)"
    same "$web" "$(wc -l <"$SITE.log")"
    # Elsewhere: by digest and commit.
    fresh_store "$WORK/other"
    rm "$SITE/files/f$BATS_TEST_NUMBER"
    try dewar build -q --locked .
    fails 1 404
    echo "one $BATS_TEST_NUMBER" >"$SITE/files/f$BATS_TEST_NUMBER"
    same "$want" "$(dewar build -q --locked .)"
    [ -z "$(tail -n +$((before + 1)) "$REGISTRY_LOG" | grep -E '/manifests/(1|latest) ')" ]
    try dewar build .
    ok
    err_has "'$BASE' is not what dewar.lock has"
    err_has "'$GIT#main' is not what dewar.lock has"
    remove_tree "$WORK/other"
    move_back
}

@test "what the lock lacks is named in one error, with the way out" {
    lines 'FROM scratch' 'COPY Dockerfile /'
    dewar lock >/dev/null
    lines "FROM $BASE" "COPY --from=$TOOLS_IMAGE /bin /b"
    try dewar build -q --locked .
    fails 1 "dewar.lock lacks '$BASE', '$TOOLS_IMAGE:latest'"
    err_has 'dewar lock'
    lines 'FROM scratch' "ADD $FILE /f" 'FROM scratch' "ENV X=$WEB" "ADD $GIT#main /g" "ADD \$X/files/f$BATS_TEST_NUMBER?2 /h"
    try dewar build -q --locked .
    fails 1 "dewar.lock lacks '$GIT#main', '$FILE?2'"
    # The stage that is not needed is not asked about.
    [[ $stderr != *"'$FILE'"* ]]
    try dewar build -q --locked --build-context "x=$GIT" .
    fails 1 "lacks '$GIT'"
    rm dewar.lock
    try dewar build -q --locked .
    fails 1 "there is no lock 'dewar.lock'"
    err_has 'dewar lock'
}

@test "a source that names its own digest needs no lock" {
    sum=$(sha256sum <"$SITE/files/f$BATS_TEST_NUMBER" | cut -d' ' -f1)
    commit=$(git -C "$WORK/r" rev-parse main)
    lines "FROM scratch" "ADD --checksum=sha256:$sum $FILE /f" "ADD $GIT#$commit /g" \
        "COPY --from=$REGISTRY/me/base@$(digest_of "$BASE") /etc/passwd /p"
    echo '{"version": 1}' >dewar.lock
    dewar build -q --locked -o out .
    same "one $BATS_TEST_NUMBER" "$(cat out/f)"
    [ -s out/p ]
}

@test "a --checksum that is not the lock's ends a locked build, until it is locked anew" {
    local was is
    was=$(sha256sum <"$SITE/files/f$BATS_TEST_NUMBER" | cut -d' ' -f1)
    lines "FROM scratch" "ADD --checksum=sha256:$was $FILE /f"
    dewar lock >/dev/null
    dewar build -q --locked .
    # Somebody brings the Dockerfile up to date, and forgets the lock.
    echo new >"$SITE/files/f$BATS_TEST_NUMBER"
    is=$(sha256sum <"$SITE/files/f$BATS_TEST_NUMBER" | cut -d' ' -f1)
    lines "FROM scratch" "ADD --checksum=sha256:$is $FILE /f"
    try dewar build -q --locked .
    fails 1 "dewar.lock has sha256:$was for '$FILE', and --checksum asks for sha256:$is"
    err_has "dewar lock"
    dewar build -q .
    dewar lock >/dev/null
    dewar build -q --locked .
}

@test "lock keeps what it has, --update asks again, what is unused goes" {
    everything
    dewar lock >/dev/null
    cp dewar.lock before
    move_everything
    dewar lock >/dev/null
    cmp before dewar.lock
    try dewar lock --update "$BASE" --update "$GIT#main" --format '{{.Change}} {{.Name}}'
    ok
    has "changed $BASE"
    has "changed $GIT#main"
    has "kept $FILE"
    has "kept $TOOLS_IMAGE:latest"
    same "$(digest_of "$BASE")" "$(jq -r --arg n "$BASE" '.images[$n].digest' dewar.lock)"
    dewar lock --update all >/dev/null
    same "$(digest_of "$TOOLS_IMAGE")" "$(jq -r --arg n "$TOOLS_IMAGE:latest" '.images[$n].digest' dewar.lock)"
    lines 'FROM scratch' 'COPY Dockerfile /'
    try dewar lock
    ok
    has dropped
    same 0 "$(jq '(.images | length) + (.git | length) + (.urls | length)' dewar.lock)"
    move_back
}

@test "verify tells what is the same, has moved, is gone, is not locked, is not used" {
    everything
    dewar lock >/dev/null
    try dewar verify
    ok
    same 4 "$(grep -c '^same ' <<<"$output")"
    move_everything
    try dewar verify
    fails 1
    same 4 "$(grep -c '^moved ' <<<"$output")"
    has 'the registry still has the locked image'
    rm "$SITE/files/f$BATS_TEST_NUMBER"
    mv "$SITE/git/r$BATS_TEST_NUMBER.git" "$WORK/away.git"
    same gone "$(status_of "$FILE")"
    same gone "$(status_of "$GIT#main")"
    mv "$WORK/away.git" "$SITE/git/r$BATS_TEST_NUMBER.git"
    lines "FROM $BASE" "ADD $GIT#main /g" "ADD $GIT#other /o"
    echo "one $BATS_TEST_NUMBER" >"$SITE/files/f$BATS_TEST_NUMBER"
    same unused "$(status_of "$FILE")"
    same unlocked "$(status_of "$GIT#other")"
    move_back
    lines "FROM $BASE"
    try dewar verify --format json
    fails 1
    same "$GIT#main moved" "$(jq -rs '.[] | select(.Status == "moved") | .Name + " " + .Status' <<<"$output")"
}

@test "verify exits with 0, 1 and 2, and needs a lock" {
    lines "FROM $BASE"
    try dewar verify
    fails 1 'there is no lock'
    dewar lock >/dev/null
    try dewar verify
    ok
    try dewar verify --nonsense
    fails 2 nonsense
    try dewar lock a b
    fails 2
    lines "FROM scratch" "ADD http://127.0.0.1:1/x /x"
    printf '{"version": 1, "urls": {"http://127.0.0.1:1/x": {"digest": "sha256:%064d", "size": 1}}}' 1 >dewar.lock
    try timeout 100 "$DEWAR" verify
    fails 1
    has unreachable
    echo '{"version": 7}' >dewar.lock
    try dewar verify
    fails 1 'later dewar'
    try dewar build -q --locked .
    fails 1 'later dewar'
}

@test "lock --build records the image, verify --rebuild compares with it" {
    everything
    try dewar lock --build
    ok
    id=$(jq -r '.results[].image' dewar.lock)
    same "$id" "$(dewar build -q --locked .)"
    err_has "image $id"
    try dewar verify --rebuild
    ok
    same 'same result' "$(grep result <<<"$output" | awk '{print $1, $2}')"
    # The lock is no part of what it describes.
    dewar build -q --locked -o out .
    [ ! -e out/ctx/dewar.lock ]
    echo new >file
    try dewar verify --rebuild
    fails 1
    has 'the files of the context are others'
    rm file
    # A step that is not reproducible.
    lines "FROM $BASE" 'RUN cat /proc/sys/kernel/random/uuid >/u'
    dewar lock >/dev/null
    try dewar verify --rebuild
    fails 1
    has 'two builds gave two images'
    err_has /u
    dewar lock --build >/dev/null
    try dewar verify --rebuild
    fails 1
    has 'the same context and sources gave another image'
}

@test "results of other arguments, stages and times stand side by side, and secrets stay out" {
    lines "FROM $BASE AS one" 'ARG TOKEN' 'RUN echo $TOKEN | sha256sum >/t' 'FROM one AS two' 'COPY Dockerfile /'
    dewar lock --build >/dev/null
    dewar lock --build --build-arg TOKEN=verysecret --target one >/dev/null
    SOURCE_DATE_EPOCH=1000000000 dewar lock --build >/dev/null
    same 3 "$(jq '.results | length' dewar.lock)"
    [ -z "$(grep verysecret dewar.lock)" ]
    try dewar verify --rebuild --build-arg TOKEN=verysecret --target one
    ok
    has ' one args:'
}

@test "an image that no registry has is locked by its ID" {
    import_image local:1
    lines 'FROM local:1'
    dewar lock >/dev/null
    id=$(image_id local:1)
    same "$id" "$(jq -r '.images["local:1"].platforms[].image' dewar.lock)"
    same null "$(jq -r '.images["local:1"].digest' dewar.lock)"
    want=$(dewar build -q --locked .)
    dewar tag "$(dewar build -q - <<<'FROM local:1
LABEL other=1')" local:1
    same "$want" "$(dewar build -q --locked .)"
    same moved "$(status_of local:1)"
    dewar rmi -f local:1 >/dev/null
    dewar rmi -f "$id" >/dev/null 2>&1 || true
    dewar rmi -f "$want" >/dev/null 2>&1 || true
    dewar builder prune --all --force >/dev/null
    try dewar build -q --locked .
    fails 1 'which is not in the store'
}

@test "each Dockerfile has its own lock, and a lock can be named" {
    mkdir sub
    lines "FROM $BASE"
    mv Dockerfile sub/Dockerfile
    lines "FROM $TOOLS_IMAGE"
    mv Dockerfile sub/Dockerfile.two
    dewar lock -f sub/Dockerfile >/dev/null
    dewar lock -f sub/Dockerfile.two . >/dev/null
    same "$BASE" "$(jq -r '.images | keys[]' sub/dewar.lock)"
    same "$TOOLS_IMAGE:latest" "$(jq -r '.images | keys[]' sub/Dockerfile.two.lock)"
    dewar lock --lock-file elsewhere.json sub >/dev/null
    cmp elsewhere.json sub/dewar.lock
    dewar build -q --locked --lock-file elsewhere.json -f sub/Dockerfile . >/dev/null
    try dewar lock - <sub/Dockerfile
    fails 1
    # Of a repository: the lock in it counts, and there is no place to write one.
    cp sub/Dockerfile sub/dewar.lock "$WORK/r/"
    publish
    dewar build -q --locked "$GIT" >/dev/null
    try dewar lock "$GIT"
    fails 2 'name one with --lock-file'
    dewar lock --lock-file mine.lock "$GIT" >/dev/null
    cmp mine.lock sub/dewar.lock
}

@test "a context that is a repository is locked when it has a name" {
    lines 'FROM scratch' 'COPY --from=src a /a'
    dewar lock --build-context "src=$GIT#main" >/dev/null
    same "$(git -C "$WORK/r" rev-parse main)" "$(jq -r --arg n "$GIT#main" '.git[$n].commit' dewar.lock)"
    echo "later $BATS_TEST_NUMBER" >"$WORK/r/a"
    publish
    dewar build -q --locked --build-context "src=$GIT#main" -o out .
    same "first $BATS_TEST_NUMBER" "$(cat out/a)"
}

@test "a lock that somebody changed does not get other bytes in" {
    everything
    dewar lock >/dev/null
    fresh_store "$WORK/other"
    sed -i "s/\"digest\": \"sha256:$(sha256sum <"$SITE/files/f$BATS_TEST_NUMBER" | cut -c1-8)/\"digest\": \"sha256:00000000/" dewar.lock
    try dewar build -q --locked .
    fails 1 'was asked for'
    dewar lock --update all >/dev/null
    jq --arg n "$BASE" --arg d "sha256:$(printf %064d 5)" '.images[$n].platforms[].image = $d' dewar.lock >l
    mv l dewar.lock
    fresh_store "$WORK/third"
    try dewar build -q --locked .
    fails 1 'is another image than'
    remove_tree "$WORK/other" "$WORK/third"
}

# An index of two images: ours, and one that says it is for another machine.
several() { # NAME
    local dir=$WORK/arm
    registry_layout "$dir" arm
    local m c
    m=$(jq -r '.manifests[0].digest' "$dir/index.json")
    c=$(jq -r '.config.digest' "$dir/blobs/sha256/${m#*:}")
    jq -c '.architecture = "s390x"' "$dir/blobs/sha256/${c#*:}" >"$WORK/config"
    local id size
    id=$(sha256sum <"$WORK/config" | cut -d' ' -f1) size=$(stat -c %s "$WORK/config")
    cp "$WORK/config" "$dir/blobs/sha256/$id"
    jq -c --arg d "sha256:$id" --argjson s "$size" '.config.digest = $d | .config.size = $s' \
        "$dir/blobs/sha256/${m#*:}" >"$WORK/manifest"
    id=$(sha256sum <"$WORK/manifest" | cut -d' ' -f1) size=$(stat -c %s "$WORK/manifest")
    cp "$WORK/manifest" "$dir/blobs/sha256/$id"
    jq -c --arg d "sha256:$id" --argjson s "$size" '.manifests[0].digest = $d | .manifests[0].size = $s' \
        "$dir/index.json" >"$WORK/index" && mv "$WORK/index" "$dir/index.json"
    dewar image copy --progress plain "oci:$dir:latest" "docker://$1-s390x" 2>/dev/null
    dewar manifest create "$1" "$BASE" "$1-s390x" >/dev/null
    dewar manifest push --purge "$1" >/dev/null
}
@test "one lock for several platforms, in any order, and each of them later" {
    need_program skopeo
    local name=$REGISTRY/me/several:1 ours
    several "$name"
    lines "FROM $name" "ADD $FILE /file" 'RUN true'
    ours=linux/$(dewar info --format '{{.Architecture}}' | sed 's/x86_64/amd64/;s/aarch64/arm64/')
    [ "$ours" = linux/amd64 ] || skip "the images of this test are for amd64"
    dewar lock --platform linux/amd64,linux/s390x >/dev/null
    same "linux/amd64 linux/s390x" "$(jq -r --arg n "$name" '.images[$n].platforms | keys | join(" ")' dewar.lock)"
    same "$(digest_of "$name")" "$(jq -r --arg n "$name" '.images[$n].digest' dewar.lock)"
    same 1 "$(jq '.urls | length' dewar.lock)"
    jq -S --indent 2 . dewar.lock | cmp - dewar.lock
    # The store's name is this machine's image, whatever came last in the list.
    same amd64 "$(dewar image inspect -f '{{.Architecture}}' "$name")"
    mv dewar.lock first
    fresh_store "$WORK/other"
    dewar lock --platform linux/s390x,linux/amd64 >/dev/null
    cmp first dewar.lock
    same amd64 "$(dewar image inspect -f '{{.Architecture}}' "$name")"
    rm dewar.lock
    dewar lock --platform linux/s390x >/dev/null
    dewar lock --platform linux/amd64 >/dev/null
    cmp first dewar.lock
    remove_tree "$WORK/other"
    # A locked build takes its own; one for the other platform is not run here.
    dewar build -q --locked .
    try dewar build -q --locked --platform linux/s390x .
    differ 0 "$status"
    err_has "cannot build for 'linux/s390x'"
    try dewar verify --platform linux/s390x
    ok
    # What is wrong with the list.
    cp dewar.lock before
    try dewar lock --platform linux/amd64,nonsense/
    differ 0 "$status"
    err_has "nonsense/"
    try dewar lock --platform linux/amd64,linux/riscv64
    differ 0 "$status"
    err_has "for the platform linux/riscv64"
    try dewar lock --build --platform linux/amd64,linux/s390x
    differ 0 "$status"
    err_has "--build makes one image"
    cmp before dewar.lock
}
