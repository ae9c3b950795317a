# SPDX-License-Identifier: Apache-2.0
# Reproducible images, in the corners that 36-reproducible.bats leaves: the clock and its options,
# what RUN can see of the machine, what is scrubbed, and what --check-repro says.
load helpers

test_setup() {
    ctx
    mkdir d && echo x >d/f && ln -s f d/l
    {
        echo FROM busybox:test
        echo 'COPY d /d'
        echo 'WORKDIR /w'
        echo 'RUN echo made > /w/made; mkdir -p /w/deep/er; touch /w/deep/er/empty'
        echo 'ADD t.tar /t/'
    } >Dockerfile
    mkdir t && echo t >t/t && tar -cf t.tar --mtime=@86400 -C t t
}
# Another store, so that nothing comes from the cache.
fresh() (
    fresh_store "$(mktemp -d "$BATS_TEST_TMPDIR/s.XXXXXX")"
    import_image >&2
    "$@"
)
fresh_id() { fresh dewar build -q "${@:-.}"; }
times() { dewar build -q -o type=tar,dest=- "$@" . | tar -tv --full-time; }
base_time() { date -u -d "$(dewar inspect -f '{{.Created}}' busybox:test)" +%s; }
at() { date -u -d "@$1" +'%F %T'; }

@test "the i-th step has the base's time and i seconds" {
    base=$(base_time)
    touch -d '2040-01-01 UTC' d/f
    out=$(times)
    grep -q "$(at $((base + 1))).* d/f" <<<"$out"
    grep -q "$(at $((base + 2))).* w/$" <<<"$out" || grep -q "$(at $((base + 3))).* w/$" <<<"$out"
    grep -q "$(at $((base + 3))).* w/made" <<<"$out"
    grep -q '1970-01-02.* t/t' <<<"$out" # older than the step: kept
    same "$(date -u -d @$((base + 4)) +%FT%TZ)" "$(dewar inspect -f '{{.Created}}' "$(build_id)")"
}
@test "a file that a command dates into the past keeps that, one in the future is brought back" {
    { echo FROM busybox:test; echo 'RUN touch -d @1000 /past && touch -d @4000000000 /future && ln -s x /link'; } >Dockerfile
    out=$(times)
    grep -q '1970-01-01 00:16:40.* past' <<<"$out"
    grep -q "$(at $(($(base_time) + 1))).* future" <<<"$out"
    grep -q "$(at $(($(base_time) + 1))).* link" <<<"$out"
}
@test "files of the base are never touched" {
    want=$(dewar save busybox:test | tar -xO --wildcards '*/layer.tar' 2>/dev/null | tar -t 2>/dev/null | wc -l)
    one=$(dewar inspect -f '{{index .RootFS.Layers 0}}' busybox:test)
    id=$(build_id)
    same "$one" "$(dewar inspect -f '{{index .RootFS.Layers 0}}' "$id")"
}
@test "FROM scratch starts in 1980" {
    printf 'FROM scratch\nCOPY d /\n' >Dockerfile
    grep -q '1980-01-01 00:00:01.* f' <<<"$(times)"
}
@test "--timestamp, SOURCE_DATE_EPOCH as variable and as argument mean the same" {
    one=$(fresh_id --timestamp=1500000000 .)
    same "$one" "$(SOURCE_DATE_EPOCH=1500000000 fresh_id)"
    same "$one" "$(fresh_id --build-arg SOURCE_DATE_EPOCH=1500000000 .)"
    differ "$one" "$(fresh_id --timestamp=1500000001 .)"
    differ "$one" "$(fresh_id)"
    out=$(times --timestamp=1500000000)
    ! grep -E ' (d/f|w/made|w/)$' <<<"$out" | grep -v '2017-07-14 02:40:00' || return 1
    for bad in x -1 1.5 99999999999999999999; do
        try dewar build -q --timestamp="$bad" .
        [ "$status" != 0 ] || { echo "$bad"; return 1; }
    done
}
@test "--timestamp=git takes the last commit's time" {
    need_program git
    try dewar build -q --timestamp=git .
    fails 1 git
    git init -q . && GIT_COMMITTER_DATE='1400000000 +0200' git -c user.name=x -c user.email=x@x commit -q --allow-empty -m x
    printf 'FROM scratch\nCOPY d /\n' >Dockerfile
    grep -q '2014-05-13 16:53:20.* f' <<<"$(times --timestamp=git)"
}
@test "--timestamps=now is the wall clock" {
    before=$(date +%s)
    id=$(build_id --timestamps=now .)
    created=$(date -u -d "$(dewar inspect -f '{{.Created}}' "$id")" +%s)
    [ "$created" -ge "$before" ]
    grep -q "$(date -u +%Y-).* d/f" <<<"$(times --timestamps=now)"
}
@test "on another day the image is the same" {
    one=$(fresh_id)
    if command -v faketime >/dev/null; then
        same "$one" "$(fresh faketime -f '+400d' "$DEWAR" build -q .)"
    fi
    find . -exec touch -h -d '2011-11-11' {} +
    same "$one" "$(fresh_id)"
    find . -exec touch -h -d '2039-11-11' {} +
    same "$one" "$(fresh_id)"
}
@test "host name, user name, pid and environment of the builder do not show in RUN" {
    printf 'FROM busybox:test\nRUN hostname > /h; uname -n >> /h; env | sort > /e; id > /i; umask > /u; pwd > /p; cat /proc/self/mountinfo | wc -l > /m; echo $$ > /pid; ulimit -c > /dev/null\n' >Dockerfile
    one=$(fresh_id)
    dewar build -q -o out .
    ! grep -qx "$(hostname)" out/h || [ "$(hostname)" = localhost ]
    grep -qx PYTHONHASHSEED=0 out/e && grep -q '^SOURCE_DATE_EPOCH=' out/e
    same 0022 "$(cat out/u)"
    rm -rf out
    umask 077
    same "$one" "$(FOO=bar TZ=Asia/Tokyo LC_ALL=C fresh_id)"
}
@test "what RUN sees of the host under each network: names, hosts and resolv.conf" {
    cat >hosts <<'END'
127.0.0.1 localhost
10.9.8.7 secret.corp.example
END
    { echo FROM busybox:test
        echo 'RUN cat /etc/hosts >/default; cat /etc/resolv.conf >/resolv; hostname >/name; cat /etc/hostname >/file'
        echo 'RUN --network=host cat /etc/hosts >/host'
        echo 'RUN --network=none cat /etc/hosts >/none; cat /etc/resolv.conf >/empty; ls /sys/class/net >/interfaces'; } >Dockerfile
    if is_root; then
        unshare -m sh -c 'mount --bind hosts /etc/hosts && exec "$DEWAR" build -q -o out .' >/dev/null
    else
        dewar build -q -o out .
    fi
    ! grep -q corp out/default out/host out/none || return 1
    same "$(cat out/default)" "$(cat out/host)"
    same "$(cat out/default)" "$(cat out/none)"
    grep -q '^127.0.0.1.*localhost' out/none && grep -q '^127.*build$' out/none || return 1
    same "$(cat /etc/resolv.conf)" "$(cat out/resolv)"
    same '' "$(cat out/empty)"
    same lo "$(cat out/interfaces)"
    same 'build build' "$(cat out/name out/file | paste -sd' ')"
}
@test "the order in which files were made does not matter" {
    printf 'FROM scratch\nCOPY m /m\n' >Dockerfile
    mkdir m && for i in $(seq 200); do echo "$i" >m/$i; done
    one=$(fresh_id)
    rm -r m && mkdir m && for i in $(seq 200 -1 1); do echo "$i" >m/$i; done
    same "$one" "$(fresh_id)"
}
@test "folders, sizes and links of the disk do not show" {
    printf 'FROM busybox:test\nRUN mkdir /many && cd /many && for i in $(seq 300); do touch $i; done && rm * && touch one && ln one two\n' >Dockerfile
    one=$(fresh_id)
    printf 'FROM busybox:test\nRUN mkdir /many && cd /many && for i in $(seq 300); do touch $i; done && rm * && touch one && ln one two\n' >Dockerfile
    same "$one" "$(fresh_id)"
}
@test "scrub list: what a RUN writes there is left out, what COPY puts there stays" {
    { echo FROM busybox:test; echo 'COPY d/f /var/log/dpkg.log'
        echo 'RUN mkdir -p /var/log/apt /var/cache/ldconfig && date +%s%N > /var/log/apt/history.log && date +%N > /var/cache/ldconfig/aux-cache && date +%N > /var/log/alternatives.log && date +%N >> /var/log/dpkg.log && echo kept > /var/log/other.log'; } >Dockerfile
    one=$(fresh_id)
    same "$one" "$(fresh_id)"
    dewar build -q -o "$WORK/out" .
    same x "$(cat "$WORK/out/var/log/dpkg.log")"
    same kept "$(cat "$WORK/out/var/log/other.log")"
    [ ! -e "$WORK/out/var/log/apt/history.log" ] && [ ! -e "$WORK/out/var/log/alternatives.log" ] || return 1
    dewar build -q --no-scrub -o "$WORK/all" .
    [ -e "$WORK/all/var/log/apt/history.log" ] && [ -e "$WORK/all/var/cache/ldconfig/aux-cache" ] || return 1
    differ x "$(cat "$WORK/all/var/log/dpkg.log")"
}
@test "removing a scrubbed file is kept" {
    { echo FROM busybox:test; echo 'COPY d/f /var/log/dpkg.log'; echo 'RUN rm /var/log/dpkg.log'; } >Dockerfile
    dewar build -q -o "$WORK/out" .
    [ ! -e "$WORK/out/var/log/dpkg.log" ]
}
@test "--check-repro: equal builds say so, differences are named with their step" {
    try dewar build --check-repro .
    ok
    has reproducible
    printf 'FROM busybox:test\nRUN mkdir /x && cat /proc/sys/kernel/random/uuid > /x/random; echo fine > /x/fine\nRUN [ $(cat /x/random | cut -c1) = - ] || touch /x/same\n' >Dockerfile
    try dewar build --check-repro .
    [ "$status" = 1 ]
    has /x/random
    lacks '/x/fine:'
    has 'mkdir /x'
}
@test "one job and many give the same image" {
    { for s in a b c; do printf 'FROM busybox:test AS %s\nRUN sleep 0.%s; echo %s > /%s\n' $s $((RANDOM % 4)) $s $s; done
        echo FROM busybox:test; for s in c a b; do echo "COPY --from=$s /$s /"; done; } >Dockerfile
    one=$(fresh_id --jobs 1 .)
    same "$one" "$(fresh_id --jobs 8 .)"
}
