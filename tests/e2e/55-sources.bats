# SPDX-License-Identifier: Apache-2.0
# What a build takes from outside: git repositories and files behind URLs, in ADD and as contexts. The
# servers are ours, on loopback.
load helpers

# The server ends when this file's process does: its stdin is a pipe that only we hold.
start_web() {
    mkfifo "$1.hold"
    exec 8<>"$1.hold"
    "$TESTS_DIR/tools/web" "$@" <"$1.hold" >"$1.port" 3>&- 8>&- &
    WEB_PID=$!
    for _ in $(seq 200); do
        [ -s "$1.port" ] && break
        sleep 0.05
    done
    WEB=http://127.0.0.1:$(cat "$1.port")
    export WEB WEB_PID
}
file_setup() {
    export SITE=$BATS_FILE_TMPDIR/site
    mkdir -p "$SITE/git" "$SITE/files"
    start_web "$SITE"
}
file_teardown() {
    kill "$WEB_PID" 2>/dev/null || true
}
test_setup() {
    need_program git
    export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_CONFIG_GLOBAL=/dev/null
    export GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org
    export GIT_AUTHOR_DATE='2001-02-03T04:05:06Z' GIT_COMMITTER_DATE='2001-02-03T04:05:06Z'
    REPO=r$BATS_TEST_NUMBER
    URL=$WEB/git/$REPO.git
}
# repo NAME: a work tree at $WORK/NAME with some files, and a bare copy that the server has.
repo() {
    local dir=$WORK/$1
    mkdir -p "$dir/sub/deep" && git -C "$dir" init -q -b main
    printf 'FROM scratch\nCOPY . /\n' >"$dir/Dockerfile"
    echo "$1" >"$dir/name" # no two tests share a commit, or one would find the other's steps
    echo one >"$dir/a" && echo two >"$dir/sub/b" && echo three >"$dir/sub/deep/c"
    printf '#!/bin/sh\n' >"$dir/run" && chmod 755 "$dir/run" && ln -s sub/b "$dir/link"
    commit "$1" first
}
commit() {
    git -C "$WORK/$1" add -A && git -C "$WORK/$1" commit -q --allow-empty -m "$2" && publish "$1"
}
publish() {
    [ -d "$SITE/git/$1.git" ] || git init -q --bare "$SITE/git/$1.git"
    git -C "$SITE/git/$1.git" symbolic-ref HEAD refs/heads/main
    git -C "$WORK/$1" push -q --force --mirror "$SITE/git/$1.git"
}
head_of() { git -C "$WORK/$1" rev-parse "${2:-HEAD}"; }
# plain_folder NAME: the files of HEAD, without .git, in $WORK/plain.
plain_folder() {
    rm -rf "$WORK/plain"
    git clone -q "$WORK/$1" "$WORK/plain" && rm -rf "$WORK/plain/.git"
}
requests() { grep -c -- "$1" "$SITE.log" || true; }

@test "a repository as the context gives the image that the same files in a folder give" {
    repo "$REPO"
    plain_folder "$REPO"
    want=$(build_id "$WORK/plain")
    same "$want" "$(build_id "$URL")"
    same "$want" "$(build_id "file://$WORK/$REPO")"
    (umask 077 && same "$want" "$(dewar build -q --no-cache "$URL#main")")
    fresh_store "$WORK/other"
    same "$want" "$(build_id "$URL#$(head_of "$REPO")")"
    remove_tree "$WORK/other"
}

@test "a context's folder, Dockerfile and ignore file are found in the repository" {
    repo "$REPO"
    printf 'FROM scratch\nCOPY . /in\n' >"$WORK/$REPO/sub/Dockerfile"
    printf 'FROM scratch\nCOPY . /other\n' >"$WORK/$REPO/sub/deep/Other"
    echo deep/c >"$WORK/$REPO/sub/.dockerignore"
    echo b >"$WORK/$REPO/sub/deep/Other.dockerignore"
    commit "$REPO" more
    dewar build -q -o out "$URL#main:sub"
    [ -e out/in/b ]
    [ ! -e out/in/deep/c ]
    [ ! -e out/in/a ]
    dewar build -q -o out2 -f deep/Other "$URL#:sub"
    [ ! -e out2/other/b ]
    [ -e out2/other/deep/c ]
    printf 'FROM scratch\nCOPY a /mine\n' | dewar build -q -o out3 -f - "$URL"
    same one "$(cat out3/mine)"
    try dewar build -q "$URL#:nowhere"
    fails 1 "open the folder 'nowhere'"
    try dewar build -q "$URL#:a"
    fails 1 'ENOTDIR'
}

@test "refs are branches, tags, whole commits; of a branch and a tag the branch" {
    repo "$REPO"
    first=$(head_of "$REPO")
    git -C "$WORK/$REPO" tag -a -m v1 v1
    git -C "$WORK/$REPO" tag both
    echo second >"$WORK/$REPO/a"
    git -C "$WORK/$REPO" checkout -q -b both
    commit "$REPO" second
    get() { rm -rf out
    dewar build -q -o out "$URL#$1" >/dev/null
    cat out/a; }
    same one "$(get v1)"
    same one "$(get refs/tags/both)"
    same second "$(get both)"
    same second "$(get refs/heads/both)"
    same one "$(get "$first")"
    same one "$(get '')"
    rm -rf out
    dewar build -q -o out "$URL?tag=both&subdir=/"
    same one "$(cat out/a)"
    try dewar build -q "$URL#${first:0:12}"
    fails 1 'no branch and no tag'
    err_has 'all its 40 digits'
    try dewar build -q "$WEB/git/none.git"
    fails 1 "$WEB/git/none.git"
    try dewar build -q "$URL#$(printf %040d 7)"
    fails 1 'has no commit'
}

@test "ADD of a repository copies its files with plain modes and without .git" {
    repo "$REPO"
    ctx
    printf 'FROM scratch\nADD %s /src\nADD %s#main:sub /sub/\n' "$URL" "$URL" >Dockerfile
    (umask 077 && dewar build -q -o out .)
    [ ! -e out/src/.git ]
    same '644 755 755 777' "$(cd out/src && stat -c %a a run sub link | xargs)" || return 1
    same sub/b "$(readlink out/src/link)"
    same 'b deep' "$(ls out/sub | xargs)"
    same one "$(cat out/src/a)"
    # All times are the step's.
    same 315532801 "$(stat -c %Y out/src/sub/deep/c)"
}

@test "ADD of a repository gives one image ID on every machine, with .git too" {
    repo "$REPO"
    ctx
    printf 'FROM scratch\nADD --keep-git-dir %s /src\n' "$URL" >Dockerfile
    first=$(build_id)
    fresh_store "$WORK/other"
    same "$first" "$(umask 077 && build_id)" || return 1
    dewar build -q -o out .
    remove_tree "$WORK/other"
    [ -z "$(git -C out/src -c safe.directory='*' status --porcelain)" ]
    same "$(head_of "$REPO")" "$(git -C out/src -c safe.directory='*' rev-parse HEAD)"
    same "$URL" "$(git -C out/src -c safe.directory='*' config remote.origin.url)"
}

@test "a branch is asked for in every build, a whole commit never" {
    repo "$REPO"
    ctx
    printf 'FROM scratch\nADD %s#main /\n' "$URL" >Dockerfile
    dewar build -q -o out .
    same one "$(cat out/a)"
    fetches=$(requests "POST /git/$REPO.git/git-upload-pack")
    same "$(build_id)" "$(build_id)"
    # Only refs were listed: nothing came a second time.
    [ "$(requests "GET /git/$REPO.git/info/refs")" -ge 3 ]
    try dewar build .
    ok
    [[ $stderr == *CACHED* || $stderr == *cached* ]]
    old=$(head_of "$REPO")
    echo new >"$WORK/$REPO/a"
    commit "$REPO" new
    dewar build -q -o out .
    same new "$(cat out/a)"
    [ "$(requests "POST /git/$REPO.git/git-upload-pack")" -gt "$fetches" ]
    printf 'FROM scratch\nADD %s#%s /\n' "$URL" "$old" >Dockerfile
    before=$(requests "/git/$REPO.git")
    dewar build -q --no-cache -o out .
    same one "$(cat out/a)"
    same "$before" "$(requests "/git/$REPO.git")"
}

@test "stages side by side get the same commit and ask once" {
    repo "$REPO"
    ctx
    printf 'FROM scratch AS a\nADD %s /\nFROM scratch AS b\nADD %s /\nFROM scratch\nCOPY --from=a /a /x\nCOPY --from=b /a /y\n' \
        "$URL" "$URL" >Dockerfile
    dewar build -q . >/dev/null
    # Once for the branch and once to fetch.
    same 2 "$(requests "GET /git/$REPO.git/info/refs")"
}

@test "--checksum of a repository is its commit, or how that begins" {
    repo "$REPO"
    ctx
    commit=$(head_of "$REPO")
    for sum in "$commit" "${commit:0:7}"; do
        printf 'FROM scratch\nADD --checksum=%s %s /\n' "$sum" "$URL" >Dockerfile
        dewar build -q . >/dev/null
    done
    printf 'FROM scratch\nADD --checksum=0123456789 %s /\n' "$URL" >Dockerfile
    try dewar build -q .
    fails 1 "is commit $commit, and 0123456789 was asked for"
    printf 'FROM scratch\nADD --checksum=sha256:%064d %s /\n' 1 "$URL" >Dockerfile
    try dewar build -q .
    fails 1 'is no commit'
    printf 'FROM scratch\nADD --checksum=%s Dockerfile /\n' "$commit" >Dockerfile
    try dewar build -q .
    fails 1 'is for URLs and git repositories'
    printf 'FROM scratch\nADD --keep-git-dir Dockerfile /\n' >Dockerfile
    try dewar build -q .
    fails 1 'is for git repositories'
}

@test "ADD mixes files of the context, repositories and heredocs, in their order" {
    repo "$REPO"
    ctx
    echo local >a
    echo mine >z
    printf 'FROM scratch\nADD a z %s <<here.txt /all/\ninline\nhere.txt\n' "$URL" >Dockerfile
    dewar build -q -o out .
    same one "$(cat out/all/a)"
    same mine "$(cat out/all/z)"
    same inline "$(cat out/all/here.txt)"
    printf 'FROM scratch\nADD %s a z /all/\n' "$URL" >Dockerfile
    dewar build -q -o out2 .
    same local "$(cat out2/all/a)"
    printf 'FROM scratch\nADD --chown=5:6 --chmod=600 --exclude=sub %s /x\n' "$URL" >Dockerfile
    dewar build -q -o type=tar,dest=out.tar .
    tar --numeric-owner -tvf out.tar >list
    grep -q -- '-rw------- 5/6 .* x/a$' list
    [ -z "$(grep x/sub list)" ]
}

@test "submodules come along, at the commit that the repository names" {
    repo "$REPO"
    repo "$REPO-lib"
    git -C "$WORK/$REPO" -c protocol.file.allow=always submodule --quiet add "$SITE/git/$REPO-lib.git" lib/x
    git -C "$WORK/$REPO" config -f .gitmodules submodule.lib/x.url "../$REPO-lib.git"
    commit "$REPO" submodule
    echo later >"$WORK/$REPO-lib/a"
    commit "$REPO-lib" later
    dewar build -q -o out "$URL"
    same one "$(cat out/lib/x/a)"
    [ ! -e out/lib/x/.git ]
}

@test "--build-context takes a repository" {
    repo "$REPO"
    ctx
    printf 'FROM scratch\nCOPY --from=src a /a\nADD --link %s#main:sub /s\n' "$URL" >Dockerfile
    dewar build -q --build-context "src=$URL#main" -o out .
    same one "$(cat out/a)"
    same two "$(cat out/s/b)"
    try dewar build -q --build-context "src=$URL#-x" .
    fails 1 'no branch, tag or commit'
}

@test "a damaged copy of a repository is made again" {
    repo "$REPO"
    ctx
    printf 'FROM scratch\nADD %s#%s /\n' "$URL" "$(head_of "$REPO")" >Dockerfile
    want=$(build_id)
    find "$DEWAR_STORE/cache/git" -path '*/objects/*' -type f -exec sh -c 'chmod u+w "$1"; : >"$1"' _ {} \;
    same "$want" "$(dewar build -q --no-cache .)"
    dewar system prune --all --force >/dev/null
    [ -z "$(ls "$DEWAR_STORE/cache/git" 2>/dev/null)" ] || { ls "$DEWAR_STORE/cache/git"; false; }
}

@test "--timestamp=git is the time of a git context's commit" {
    repo "$REPO"
    dewar build -q --timestamp=git -t t:1 "$URL"
    same 2001-02-03T04:05:06Z "$(dewar inspect --format '{{.Created}}' t:1)"
}

@test "a token is a secret of the build and goes to the repository's host alone" {
    repo "$REPO"
    ctx
    mkdir -p "$WORK/site/git"
    cp -r "$SITE/git/$REPO.git" "$WORK/site/git/"
    (
        start_web "$WORK/site" --user x-access-token:word
        trap 'kill $WEB_PID' EXIT
        printf 'FROM scratch\nADD %s/git/%s.git /\n' "$WEB" "$REPO" >Dockerfile
        try dewar build -q .
        fails 1 'GIT_AUTH_TOKEN'
        export TOKEN=word
        dewar build -q --secret id=GIT_AUTH_TOKEN,env=TOKEN -o out .
        same one "$(cat out/a)"
        # In the URL of a context, and of this host only.
        dewar build -q "http://x-access-token:word@${WEB#http://}/git/$REPO.git" >/dev/null
        dewar build -q --no-cache --secret "id=GIT_AUTH_TOKEN.${WEB#http://},env=TOKEN" . >/dev/null
        printf 'FROM scratch\nADD http://%s /\n' "localhost:${WEB##*:}/git/$REPO.git" >Dockerfile
        try dewar build -q --secret "id=GIT_AUTH_TOKEN.${WEB#http://},env=TOKEN" .
        fails 1 GIT_AUTH_TOKEN
        [ -z "$(grep -rl word "$DEWAR_STORE/cache/git")" ]
    )
}

@test "a repository that was renamed on its host is found, one on another host is not followed" {
    repo "$REPO"
    ctx
    line "ADD $WEB/moved/301/${WEB#http://}/git/$REPO.git#main /"
    dewar build -q -o out .
    same one "$(cat out/a)"
    dewar build -q --no-cache . >/dev/null
    # localhost is another host than 127.0.0.1.
    line "ADD http://localhost:${WEB##*:}/moved/302/${WEB#http://}/git/$REPO.git /"
    try dewar build -q .
    fails 1 'sends elsewhere'
}

@test "git:// works too, and is asked through a copy the second time" {
    repo "$REPO"
    ctx
    [ -x "$(git --exec-path)/git-daemon" ] || skip 'needs git-daemon'
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    git daemon --base-path="$SITE/git" --export-all --listen=127.0.0.1 --port="$port" --reuseaddr 3>&- 2>/dev/null &
    pid=$!
    for _ in $(seq 100); do
        if git ls-remote "git://127.0.0.1:$port/$REPO.git" >/dev/null 2>&1; then break; fi
        sleep 0.05
    done
    printf 'FROM scratch\nADD git://127.0.0.1:%s/%s.git#main /\n' "$port" "$REPO" >Dockerfile
    dewar build -q -o out .
    kill $pid
    wait $pid || true
    same one "$(cat out/a)"
    try dewar build -q .
    fails 1 "asking 'git://127.0.0.1:$port/$REPO.git#main'"
}

@test "git over ssh uses the agent of --ssh, and only hosts that are known" {
    need_program sshd openssh-server
    need_program ssh-agent openssh-client
    repo "$REPO"
    ctx
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    mkdir -p "$WORK/ssh" "$HOME/.ssh"
    chmod 700 "$WORK/ssh"
    ssh-keygen -q -t ed25519 -N '' -f "$WORK/ssh/host"
    ssh-keygen -q -t ed25519 -N '' -f "$WORK/ssh/key"
    cp "$WORK/ssh/key.pub" "$WORK/ssh/authorized"
    printf '%s\n' "HostKey $WORK/ssh/host" "AuthorizedKeysFile $WORK/ssh/authorized" 'UsePAM no' 'StrictModes no' \
        "PidFile $WORK/ssh/pid" 'PasswordAuthentication no' "SetEnv GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*" \
        >"$WORK/ssh/config"
    ! is_root || mkdir -p /run/sshd
    "$(command -v sshd)" -D -f "$WORK/ssh/config" -o "ListenAddress=127.0.0.1:$port" >"$WORK/ssh/log" 2>&1 3>&- 8>&- &
    sshd=$!
    eval "$(ssh-agent -a "$WORK/ssh/agent" 3>&- 8>&-)" >/dev/null
    ssh-add -q "$WORK/ssh/key"
    agent=$SSH_AUTH_SOCK
    unset SSH_AUTH_SOCK
    for _ in $(seq 100); do
        if ssh-keyscan -p "$port" 127.0.0.1 >"$WORK/ssh/known" 2>/dev/null && [ -s "$WORK/ssh/known" ]; then break; fi
        sleep 0.05
    done
    line "ADD ssh://$(id -un)@127.0.0.1:$port$SITE/git/$REPO.git#main /"
    rm -f "$HOME/.ssh/known_hosts"
    try dewar build -q --ssh "default=$agent" .
    stranger=$status$stderr
    cp "$WORK/ssh/known" "$HOME/.ssh/known_hosts"
    try dewar build -q -o out --ssh "default=$agent" .
    known=$status$stderr
    try dewar build -q --no-cache -o out3 --ssh "default=$WORK/ssh/key" .
    file=$status$stderr
    try dewar build -q --no-cache -o out2 .
    without=$status$stderr
    kill $sshd "$SSH_AGENT_PID"
    [[ $stranger == 1*known_hosts* ]]
    same 0 "$known"
    same one "$(cat out/a)"
    same 0 "$file"
    same one "$(cat out3/a)"
    [[ $without == 1*'no ssh agent was given'* ]]
}

# --- URLs ---------------------------------------------------------------------------------------
# page NAME TEXT: a file of the server, unlike any other test's.
page() { printf '%s %s\n' "$BATS_TEST_NUMBER" "$2" >"$SITE/files/$1"; }
line() { printf '%s\n' 'FROM scratch' "$@" >Dockerfile; }

@test "ADD of a URL makes a file of mode 600, called as the URL says, with the step's time" {
    ctx
    page 'f 1.txt' hello
    touch -d 2020-01-01 "$SITE/files/f 1.txt"
    line "ADD $WEB/files/f%201.txt /d/" "ADD --chmod=644 --chown=3:4 $WEB/files/f%201.txt?x=1 /e"
    (umask 0 && dewar build -q -o type=tar,dest=out.tar .)
    tar --numeric-owner --full-time -tvf out.tar >list
    grep -q -- '-rw------- 0/0 .* 1980-01-01 00:00:01 .*d/f 1.txt$' list
    grep -q -- '-rw-r--r-- 3/4 .* 1980-01-01 00:00:02 .*e$' list
    same "$(cat "$SITE/files/f 1.txt")" "$(tar -xOf out.tar ./e 2>/dev/null || tar -xOf out.tar e)"
}

@test "without a name in the URL the server's counts, and a destination that is a file needs none" {
    ctx
    page x hello
    # The path ends in a slash.
    line "ADD $WEB/files/x/?disposition=y /d/" "ADD $WEB/files/x/ /z"
    dewar build -q -o out .
    [ -f out/d/y ]
    [ -f out/z ]
    line "ADD $WEB/files/x/ /d/"
    try dewar build -q .
    fails 1 'says what the file is called'
    line "ADD $WEB/files/x/?disposition=..%2f..%2fevil /d/"
    try dewar build -q -o out2 .
    [ ! -e evil ]
    [ -z "$(find out2 -name evil -not -path out2/d/evil 2>/dev/null)" ]
}

@test "a URL is asked in every build, and its step is cached by content" {
    ctx
    page f one
    line "ADD $WEB/files/f /f"
    first=$(build_id)
    touch -d 1999-01-01 "$SITE/files/f"
    n=$(requests "GET /files/f ")
    same "$first" "$(build_id)"
    same $((n + 1)) "$(requests "GET /files/f ")"
    page f two
    dewar build -q -o out .
    same "$(cat "$SITE/files/f")" "$(cat out/f)"
    fresh_store "$WORK/other"
    page f one
    same "$first" "$(build_id)"
    remove_tree "$WORK/other"
}

@test "with --checksum what is here is not asked for, and other bytes are refused by both names" {
    ctx
    page f sum
    sum=$(sha256sum <"$SITE/files/f" | cut -d' ' -f1)
    line "ADD --checksum=sha256:$sum $WEB/files/f /f"
    dewar build -q . >/dev/null
    page f changed
    n=$(requests "GET /files/f ")
    dewar build -q --no-cache -o out .
    same "$n" "$(requests "GET /files/f ")"
    same "$BATS_TEST_NUMBER sum" "$(cat out/f)"
    new=$(sha256sum <"$SITE/files/f" | cut -d' ' -f1)
    # Another URL with the same digest is another question.
    line "ADD --checksum=sha256:$sum $WEB/files/f?again /f"
    try dewar build -q .
    fails 1 "is sha256:$new, and sha256:$sum was asked for"
    line "ADD --checksum=0123456789 $WEB/files/f /f"
    try dewar build -q .
    fails 1 'is no digest of a file'
    line "ADD --checksum=sha256:$sum $WEB/files/f $WEB/files/f /f/"
    try dewar build -q .
    fails 1 'single source'
}

@test "what is kept of a URL is hashed again, and fetched again when it is damaged" {
    ctx
    page f keep
    sum=$(sha256sum <"$SITE/files/f" | cut -d' ' -f1)
    line "ADD --checksum=sha256:$sum $WEB/files/f /f"
    want=$(build_id)
    echo damaged >"$(find "$DEWAR_STORE/cache/urls" -name "$sum")"
    same "$want" "$(dewar build -q --no-cache .)"
    dewar builder prune --all --force >/dev/null
    [ -z "$(ls "$DEWAR_STORE/cache/urls" 2>/dev/null)" ]
}

@test "archives behind URLs stay whole unless --unpack asks for their files" {
    ctx
    mkdir t
    echo in >t/f
    tar -C t --owner=7 --group=8 --mtime=@1000 -czf "$SITE/files/t$BATS_TEST_NUMBER.tgz" f
    page plain text
    url=$WEB/files/t$BATS_TEST_NUMBER.tgz
    line "ADD $url /a/" "ADD --unpack=false $url /b/" "ADD --unpack $url /c/" \
        "ADD --unpack=true $WEB/files/plain /d/" "ADD --unpack --chown=1:2 $url /e/"
    dewar build -q -o type=tar,dest=out.tar .
    tar --numeric-owner --full-time -tvf out.tar >list
    for want in "a/t$BATS_TEST_NUMBER.tgz" "b/t$BATS_TEST_NUMBER.tgz" d/plain; do grep -q "[ /]$want\$" list; done
    grep -q '7/8 .* 1970-01-01 00:16:40 .*c/f$' list
    grep -q '1/2 .*e/f$' list
}

@test "an archive behind a URL is a context like the folder it was made of, a Dockerfile has an empty one" {
    ctx
    mkdir -p t/sub
    echo x >t/f
    echo y >t/ignored
    echo ignored >t/.dockerignore
    printf 'FROM scratch\nCOPY . /\n' >t/Dockerfile
    printf 'FROM scratch\nCOPY f /only\n' >t/sub/Other
    want=$(build_id t)
    for z in tar tar.gz tar.xz; do
        tar -C t -caf "$SITE/files/ctx.$z" .
        same "$want" "$(build_id "$WEB/files/ctx.$z")"
    done
    dewar build -q -o out -f sub/Other "$WEB/files/ctx.tar"
    same x "$(cat out/only)"
    [ ! -e out/f ]
    printf 'FROM scratch\nCOPY <<n /n\nhello\nn\n' >"$SITE/files/Df"
    dewar build -q -o out2 "$WEB/files/Df"
    same hello "$(cat out2/n)"
    printf 'FROM scratch\nCOPY f /f\n' >"$SITE/files/Df2"
    try dewar build -q "$WEB/files/Df2"
    fails 1 "'f' is not in"
    printf 'FROM scratch\nCOPY --from=a f /a\n' >Dockerfile
    dewar build -q --build-context "a=$WEB/files/ctx.tar" -o out3 .
    same x "$(cat out3/a)"
    try dewar build -q --build-context "a=$WEB/files/Df" .
    fails 1 'neither an archive nor a repository'
    : >"$SITE/files/empty"
    try dewar build -q "$WEB/files/empty"
    fails 1 'is empty'
}

@test "a URL that is not there, breaks off or redirects within its host says so or works" {
    ctx
    page f here
    line "ADD $WEB/files/none /f"
    try dewar build -q .
    fails 1 404
    err_has Dockerfile:2
    line "ADD $WEB/to?302=/files/f /f"
    dewar build -q -o out .
    same "$(cat "$SITE/files/f")" "$(cat out/f)"
    line "ADD http://me:word@${WEB#http://}/files/f /f"
    try dewar build -q .
    fails 1 'a login in the URL'
    [[ $stderr != *'cause: '*word* ]]
    store_is_clean
}

@test "a build killed while it fetches leaves nothing that the next one trips over" {
    repo "$REPO"
    ctx
    head -c 3000000 /dev/urandom >"$WORK/$REPO/big"
    head -c 3000000 /dev/urandom >"$SITE/files/big"
    commit "$REPO" big
    line "ADD $URL /r" "ADD $WEB/files/big /big"
    for delay in 0.01 0.02 0.04 0.06 0.09 0.13 0.2 0.3; do
        remove_tree "$DEWAR_STORE/cache"
        "$DEWAR" build -q . >/dev/null 2>&1 3>&- &
        pid=$!
        sleep $delay
        kill -9 $pid 2>/dev/null || true
        wait $pid 2>/dev/null || true
        dewar build -q -o out . >/dev/null
        cmp "$SITE/files/big" out/big
        cmp "$WORK/$REPO/big" out/r/big
        rm -rf out
    done
    store_is_clean
}

# --- files behind URLs, again -----------------------------------------------------------------------
@test "a URL is downloaded again when it has changed, and only then" {
    local kind url before
    for kind in etag=strong modified=1; do
        echo one >"$SITE/files/f$BATS_TEST_NUMBER"
        touch -d '2001-01-01' "$SITE/files/f$BATS_TEST_NUMBER"
        url="$WEB/files/f$BATS_TEST_NUMBER?$kind"
        printf 'FROM scratch\nADD %s /f\n' "$url" >Dockerfile
        first=$(build_id)
        before=$(requests "^304 /files/f$BATS_TEST_NUMBER?$kind")
        try dewar build --iidfile "$WORK/iid" .
        ok
        err_has "not changed"
        same "$(cat "$WORK/iid")" "$first"
        same "$(requests "^304 /files/f$BATS_TEST_NUMBER?$kind")" "$((before + 1))"
        same "$(build_id)" "$first"
        # Another file of the same size.
        echo two >"$SITE/files/f$BATS_TEST_NUMBER"
        touch -d '2002-01-01' "$SITE/files/f$BATS_TEST_NUMBER"
        rm -rf out
        dewar build -q -o out .
        same two "$(cat out/f)"
        differ "$(build_id)" "$first"
    done
    # What is kept was damaged: it is asked for anew, and without a condition.
    rm -rf out
    find "$DEWAR_STORE/cache/urls" -type f -regex '.*/[0-9a-f]*' -exec sh -c 'echo x >"$1"' _ {} \;
    dewar build -q --no-cache -o out .
    same two "$(cat out/f)"
}

@test "a file that changed just now, and a weak ETag, are no proof" {
    for kind in etag=weak modified=1; do
        echo one >"$SITE/files/f$BATS_TEST_NUMBER"
        printf 'FROM scratch\nADD %s /f\n' "$WEB/files/f$BATS_TEST_NUMBER?$kind" >Dockerfile
        build_id >/dev/null
        build_id >/dev/null
        same "$(requests "^304 /files/f$BATS_TEST_NUMBER?$kind")" 0
    done
    # Nobody asked for it.
    printf 'FROM scratch\nADD %s /f\n' "$WEB/status/304" >Dockerfile
    try dewar build -q .
    fails 1 304
}

@test "a token goes to its own host, in a header, and is kept nowhere" {
    local host=${WEB#http://} other token=Sesame-token-81 way
    echo guarded >"$SITE/files/f$BATS_TEST_NUMBER"
    printf 'FROM scratch\nADD %s /f\n' "$WEB/files/f$BATS_TEST_NUMBER?bearer=$token" >Dockerfile
    try dewar build -q .
    fails 1 401
    err_has "--secret id=HTTP_AUTH_TOKEN_$host,env=VARIABLE"
    echo "$token" >"$WORK/token"
    printf 'Bearer %s\n' "$token" >"$WORK/header"
    for way in "id=HTTP_AUTH_TOKEN_$host,src=$WORK/token" "id=HTTP_AUTH_TOKEN_${host%:*},src=$WORK/token" \
        "id=HTTP_AUTH_HEADER_$host,src=$WORK/header" "id=HTTP_AUTH_HEADER_${host%:*},src=$WORK/header"; do
        rm -rf out
        dewar build -q --no-cache -o out --secret "$way" . || return 1
        same guarded "$(cat out/f)"
    done
    try grep -r "$token" "$DEWAR_STORE/refs" "$DEWAR_STORE/cache" "$DEWAR_STORE/blobs" "$DEWAR_STORE/tmp"
    differ 0 "$status"
    # Another host is nobody's: not by a name of its own, not by a redirect.
    try dewar build -q --secret "id=HTTP_AUTH_TOKEN_example.org,src=$WORK/token" .
    fails 1 401
    other=localhost:${host##*:}
    printf 'FROM scratch\nADD %s /f\n' "$WEB/moved/302/$other/files/f$BATS_TEST_NUMBER" >Dockerfile
    dewar build -q --secret "id=HTTP_AUTH_TOKEN_$host,src=$WORK/token" . >/dev/null
    requests "GET /moved/302/$other/files/f$BATS_TEST_NUMBER Bearer $token" | grep -qx 1
    requests "GET /files/f$BATS_TEST_NUMBER -" | grep -qx 1
    # Not in the clear over a network, and not a second header.
    printf 'FROM scratch\nADD http://192.0.2.77/f /f\n' >Dockerfile
    try dewar build -q --secret "id=HTTP_AUTH_TOKEN_192.0.2.77,src=$WORK/token" .
    fails 1 "is not sent over plain http"
    printf 'a\nX-Other: b\n' >"$WORK/token"
    printf 'FROM scratch\nADD %s /f\n' "$WEB/files/f$BATS_TEST_NUMBER" >Dockerfile
    try dewar build -q --secret "id=HTTP_AUTH_TOKEN_$host,src=$WORK/token" .
    fails 1 "more than a line"
}

@test "downloads are steps with a progress of their own" {
    head -c 3000000 /dev/urandom >"$SITE/files/f$BATS_TEST_NUMBER"
    repo "$REPO"
    printf 'FROM scratch\nADD %s /f\nADD %s /g\n' "$WEB/files/f$BATS_TEST_NUMBER" "$URL#main" >Dockerfile
    try dewar build --progress rawjson .
    ok
    grep "^{" <<<"$stderr" >events
    jq -se 'map(select(.kind == "start" and (.name | startswith("download http")))) | length == 1' events
    jq -se 'map(select(.kind == "progress" and .done == 3000000)) | length > 0' events
    jq -se 'map(select(.kind == "start" and (.name | startswith("fetch ")))) | length == 1' events
    try dewar build --progress plain .
    [[ $stderr == *"download $WEB/files"* ]]
}
