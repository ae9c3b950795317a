# SPDX-License-Identifier: Apache-2.0
# Repositories and addresses that want more than files to be copied: options in names, folders that
# lead out, hooks, filters, settings, submodules by other ways, trees without end. Each with its legal
# twin.
load ../e2e/helpers

test_setup() {
    need_program git
    export GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_CONFIG_GLOBAL=/dev/null
    export GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org
    mkdir "$WORK/canary"
    echo precious >"$WORK/canary/file"
    CANARY=$(tree_hash "$WORK/canary")
    R=$WORK/repo
    mkdir -p "$R/real" && git -C "$R" init -q -b main
    printf 'FROM scratch\nCOPY . /\n' | tee "$R/Dockerfile" >"$R/real/Dockerfile"
    echo inside >"$R/real/f"
    save
    # What an attack would make.
    export PWNED=$WORK/pwned
    printf '#!/bin/sh\ntouch %s\n' "$PWNED" >"$WORK/evil" && chmod 755 "$WORK/evil"
}
save() { git -C "$R" add -A && git -C "$R" commit -q --allow-empty -m x; }
untouched() {
    same "$CANARY" "$(tree_hash "$WORK/canary")"
    [ ! -e "$PWNED" ] || { echo "something was executed" >&2; return 1; }
}
# Adds a tree with these lines of `git mktree`, which checks no names, as a commit on branch evil.
evil_tree() {
    local tree
    tree=$(git -C "$R" mktree) && git -C "$R" branch -f evil "$(git -C "$R" commit-tree -m evil "$tree")"
}
blob() { git -C "$R" hash-object -w --stdin; }

@test "a folder behind '#' cannot leave the repository" {
    ln -s / "$R/root"
    ln -s ../.. "$R/up"
    ln -s "$WORK/canary" "$R/can"
    ln -s real "$R/legal"
    ln -s ../repo/real "$R/roundabout"
    save
    for folder in root up can root/etc roundabout; do
        try dewar build -q -o out "file://$R#:$folder"
        fails 1 'leads out of the repository'
    done
    for folder in .. real/../.. /../x; do
        try dewar build -q -o out "file://$R#:$folder"
        fails 1 "with '..'"
    done
    [ ! -e out ]
    dewar build -q -o out "file://$R#:legal"
    same inside "$(cat out/f)"
    untouched
}

@test "a ref or an address is never read as an option of git or ssh" {
    for ref in "--upload-pack=touch $PWNED" "--upload-pack=$WORK/evil" "-u$WORK/evil" '-c' "--exec=$WORK/evil"; do
        try dewar build -q "file://$R#$ref"
        fails 1 'no branch, tag or commit'
        ctx
        printf 'FROM scratch\nADD ["git://127.0.0.1:1/x#%s", "/"]\n' "$ref" >Dockerfile
        try dewar build -q .
        fails 1
        [[ $stderr == *'no branch, tag or commit'* || $stderr == *'a blank'* ]]
    done
    for url in "ext::sh -c touch% $PWNED" "ext::$WORK/evil" 'fd::0' "ssh://-oProxyCommand=$WORK/evil/x" \
        "git@-oProxyCommand=$WORK/evil:x" "file://$R" "$R"; do
        ctx
        printf 'FROM scratch\nADD ["%s", "/"]\n' "$url" >Dockerfile
        try dewar build -q .
        fails 1
        try dewar build -q --build-context "x=$url#--upload-pack=$WORK/evil" .
        fails 1
    done
    git -C "$R" branch -q feature/-x_1.2
    dewar build -q "file://$R#feature/-x_1.2" >/dev/null
    untouched
}

@test "an address without --ssh goes nowhere by ssh" {
    ctx
    printf 'FROM scratch\nADD git@127.0.0.1:a/b.git /\n' >Dockerfile
    # Neither an agent of the environment nor a program for ssh counts.
    GIT_SSH_COMMAND=$WORK/evil GIT_SSH=$WORK/evil SSH_AUTH_SOCK=$WORK/sock try dewar build -q .
    fails 1 'no ssh agent was given'
    err_has '--ssh default'
    need_program python3
    python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$WORK/sock"
    GIT_SSH_COMMAND=$WORK/evil GIT_SSH=$WORK/evil try dewar build -q --ssh "default=$WORK/sock" .
    fails 1 'git@127.0.0.1'
    untouched
}

@test "settings, hooks and filters of repositories and people run nothing" {
    printf '* filter=evil diff=evil merge=evil ident\n' >"$R/.gitattributes"
    printf '[core]\n\tfsmonitor = %s\n[filter "evil"]\n\tsmudge = %s\n\tprocess = %s\n' \
        "$WORK/evil" "$WORK/evil" "$WORK/evil" >"$R/.gitconfig"
    save
    for hook in post-checkout post-index-change reference-transaction pre-auto-gc post-merge \
        upload-pack post-update; do
        cp "$WORK/evil" "$R/.git/hooks/$hook"
    done
    for key in core.fsmonitor core.sshCommand core.askPass core.gitProxy uploadpack.packObjectsHook \
        filter.evil.smudge filter.evil.process credential.helper diff.external core.pager; do
        git -C "$R" config "$key" "$WORK/evil"
    done
    git -C "$R" config core.hooksPath "$R/.git/hooks"
    # As the repository itself, as the folder where dewar is called, as the person's own settings.
    cp "$R/.git/config" "$HOME/.gitconfig"
    cd "$R"
    GIT_CONFIG_GLOBAL=$HOME/.gitconfig GIT_DIR=$R/.git GIT_EXEC_PATH=$WORK GIT_EXTERNAL_DIFF=$WORK/evil \
        GIT_ASKPASS=$WORK/evil GIT_PROXY_COMMAND=$WORK/evil GIT_TEMPLATE_DIR=$R/.git \
        GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.fsmonitor GIT_CONFIG_VALUE_0=$WORK/evil \
        dewar build -q -o "$WORK/out" "file://$R#main:real"
    rm "$HOME/.gitconfig"
    same inside "$(cat "$WORK/out/f")"
    untouched
}

@test "a tree with a .git of its own is refused, .github and .gitignore are names like others" {
    config=$(printf '[core]\n\tfsmonitor = %s\n' "$WORK/evil" | blob)
    hook=$(blob <"$WORK/evil")
    hooks=$(printf '100755 blob %s\tpost-checkout\n' "$hook" | git -C "$R" mktree)
    inner=$(printf '100644 blob %s\tconfig\n040000 tree %s\thooks\n' "$config" "$hooks" | git -C "$R" mktree)
    for name in .git .GIT .Git 'git~1'; do
        printf '040000 tree %s\t%s\n' "$inner" "$name" | evil_tree
        ctx
        printf 'FROM scratch\nADD --keep-git-dir %s /\n' x >Dockerfile
        try dewar build -q -o out "file://$R#evil"
        fails 1 'invalid path'
    done
    for name in '..' '.' 'a/b'; do
        printf '100644 blob %s\t%s\n' "$config" "$name" | evil_tree 2>/dev/null || continue
        try dewar build -q -o out "file://$R#evil"
        fails 1
    done
    mkdir "$R/.github"
    touch "$R/.github/x" "$R/.gitignore"
    save
    dewar build -q -o out2 "file://$R"
    [ -e out2/.github/x ]
    [ -e out2/.gitignore ]
    untouched
}

@test "a Dockerfile that is a link stays inside the repository" {
    printf 'FROM scratch\nCOPY file /stolen\n' >"$WORK/canary/Dockerfile"
    CANARY=$(tree_hash "$WORK/canary")
    ln -sf "$WORK/canary/Dockerfile" "$R/Dockerfile"
    save
    try dewar build -q "file://$R"
    fails 1
    ln -sf ../canary/Dockerfile "$R/Dockerfile"
    save
    try dewar build -q "file://$R"
    fails 1
    ln -sf "$WORK/canary" "$R/can"
    printf 'FROM scratch\nCOPY can/file /stolen\n' >"$R/Other"
    save
    try dewar build -q -o out -f Other "file://$R"
    fails 1
    ln -sf /etc/passwd "$R/.dockerignore"
    save
    ln -sf real/Dockerfile "$R/Dockerfile"
    rm "$R/.dockerignore"
    save
    dewar build -q -o out "file://$R"
    same inside "$(cat out/real/f)"
    untouched
}

@test "a submodule comes only by https or by its repository's own way, and to its own place" {
    git init -q --bare "$WORK/lib.git"
    git -C "$R" push -q "$WORK/lib.git" main
    commit=$(git -C "$R" rev-parse main)
    for url in "ext::sh -c touch% $PWNED" "$WORK/lib.git" "file://$WORK/lib.git" "-u$WORK/evil" \
        "--upload-pack=$WORK/evil" 'http://127.0.0.1:1/x' 'ssh://127.0.0.1/x'; do
        git -C "$R" config -f .gitmodules submodule.m.path m
        git -C "$R" config -f .gitmodules submodule.m.url "$url"
        git -C "$R" add .gitmodules
        git -C "$R" update-index --add --cacheinfo "160000,$commit,m"
        git -C "$R" commit -q -m sub
        try dewar build -q -o out "file://$R"
        fails 1 "in the submodule 'm'"
    done
    # A link where the submodule goes would lead elsewhere: a tree cannot have both.
    modules=$(printf '[submodule "m"]\n\tpath = d/m\n\turl = ../lib.git\n' | blob)
    link=$(printf '%s' "$WORK/canary" | blob)
    sub=$(printf '160000 commit %s\tm\n' "$commit" | git -C "$R" mktree --missing)
    printf '100644 blob %s\t.gitmodules\n120000 blob %s\td\n040000 tree %s\td\n' "$modules" "$link" "$sub" |
        evil_tree
    try dewar build -q -o out "file://$R#evil"
    [ ! -e "$WORK/canary/m" ]
    untouched
    git -C "$R" config -f .gitmodules submodule.m.url ../lib.git
    git -C "$R" add .gitmodules
    git -C "$R" commit -q -m legal
    dewar build -q -o out3 "file://$R"
    same inside "$(cat out3/m/real/f)"
    untouched
}

@test "a tree that names more files than a disk holds ends soon" {
    id=$(printf x | blob) kind=100644 what=blob
    # Ten levels of ten are 10^10 files.
    for level in $(seq 10); do
        id=$(for i in 0 1 2 3 4 5 6 7 8 9; do printf '%s %s %s\tf%s\n' "$kind" "$what" "$id" "$i"; done |
            git -C "$R" mktree)
        kind=040000 what=tree
        [ "$level" != 3 ] || thousand=$id
    done
    printf '040000 tree %s\ta\n' "$id" | evil_tree
    try timeout 100 "$DEWAR" build -q "file://$R#evil"
    fails 1 'printed more than'
    [ "$(du -sm "$DEWAR_STORE/tmp" | cut -f1)" -lt 50 ]
    docker=$(printf 'FROM scratch\nCOPY . /\n' | blob)
    printf '100644 blob %s\tDockerfile\n040000 tree %s\ta\n' "$docker" "$thousand" | evil_tree
    dewar build -q -o out "file://$R#evil"
    same 1000 "$(find out/a -type f | wc -l)"
}

# --- where a URL may lead -----------------------------------------------------------------------
# Two servers in a network of their own: one at a public address, one (the canary) on loopback. The
# first sends us to the second in every spelling.
in_network() {
    need_program unshare
    need_program ip iproute2
    is_root || skip 'needs root for a network with an address of its own'
    need_kernel 'a network namespace' unshare -n true
    unshare -n bash -euc '
        ip link set lo up
        ip addr add 203.0.113.5/32 dev lo
        cd "$WORK"
        mkdir -p out-site/files in-site/files out-site/git
        echo public >out-site/files/f
        echo secret >in-site/files/f
        : >in-site.log
        mkfifo hold
        exec 8<>hold
        "$TESTS_DIR/tools/web" out-site --address 203.0.113.5 <hold >out.port 3>&- 8>&- &
        "$TESTS_DIR/tools/web" in-site <hold >in.port 3>&- 8>&- &
        for i in $(seq 200); do
            [ ! -s out.port ] || [ ! -s in.port ] || break
            sleep 0.05
        done
        OUT=http://203.0.113.5:$(cat out.port) IN=$(cat in.port)
        set +e
        '"$1"'
        kill $(jobs -p)'
}

@test "a URL of the world is not led to this machine or to the cloud's secrets" {
    export WORK
    ctx
    cd "$WORK"
    in_network '
        for to in "http://127.0.0.1:$IN/files/f" "http://localhost:$IN/files/f" "http://[::ffff:127.0.0.1]:$IN/files/f" \
            "http://2130706433:$IN/files/f" "http://0x7f000001:$IN/files/f" "http://127.1:$IN/files/f" \
            "http://0.0.0.0:$IN/files/f" "http://169.254.169.254/latest/" "file:///etc/passwd" \
            "ftp://127.0.0.1:$IN/f" "gopher://127.0.0.1:$IN/f" "dict://127.0.0.1:$IN/f" "//127.0.0.1:$IN/files/f"; do
            printf "FROM scratch\nADD %s/to?302=%s /f\n" "$OUT" "$to" >ctx/Dockerfile
            timeout 60 "$DEWAR" build -q ctx >>log 2>&1 && echo "$to" >>followed
            timeout 60 "$DEWAR" build -q "$OUT/to?302=$to" >>log 2>&1 && echo "context $to" >>followed
        done
        printf "FROM scratch\nADD %s/to?302=/files/f /f\n" "$OUT" >ctx/Dockerfile
        "$DEWAR" build -q -o twin ctx >>log 2>&1
        printf "FROM scratch\nADD http://127.0.0.1:%s/files/f /f\n" "$IN" >ctx/Dockerfile
        cp in-site.log in-site.before
        "$DEWAR" build -q -o named ctx >>log 2>&1'
    [ ! -e followed ]
    [ ! -s in-site.before ]
    # The same server may redirect within itself, and a place that the Dockerfile names is asked.
    same public "$(cat twin/f)"
    same secret "$(cat named/f)"
}

@test "a repository's address is not led anywhere else" {
    export WORK R
    ctx
    cd "$WORK"
    in_network '
        git clone -q --bare "$R" in-site/r.git
        mkdir -p in-site/git && mv in-site/r.git in-site/git/
        for code in 301 302 307 308; do
            moved=$OUT/moved/$code/127.0.0.1:$IN/git/r.git
            printf "FROM scratch\nADD %s /f\n" "$moved" >ctx/Dockerfile
            timeout 60 "$DEWAR" build -q ctx >>log 2>&1 && echo $code >>followed
            timeout 60 "$DEWAR" build -q "$moved#main" >>log 2>&1 && echo "context $code" >>followed
        done
        cp in-site.log in-site.before
        git ls-remote "$moved" >plain-git 2>&1
        timeout 60 "$DEWAR" build -q -o twin "http://127.0.0.1:$IN/git/r.git" >>log 2>&1'
    # Others go there.
    grep -q refs/heads/main plain-git
    grep -q 'sends elsewhere' log
    [ ! -e followed ]
    [ ! -s in-site.before ]
    same inside "$(cat twin/real/f)"
}
