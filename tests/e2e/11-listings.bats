# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016 # programs for `bash -c` expand their own variables
# Listings and inspect: Docker's columns, --format, -q, --filter, and hostile text in them.
load helpers

@test "images has Docker's columns" {
    try dewar images
    ok
    [[ ${lines[0]} =~ ^REPOSITORY\ +TAG\ +IMAGE\ ID\ +CREATED\ +SIZE$ ]]
    [[ ${lines[1]} =~ ^busybox\ +test\ +[0-9a-f]{12}\ .*\ ago\ +[0-9.]+[kM]B$ ]]
    try dewar image ls --digests --no-trunc
    [[ ${lines[0]} =~ ^REPOSITORY\ +TAG\ +DIGEST\ +IMAGE\ ID ]]
    [[ ${lines[1]} =~ \<none\>\ +sha256:[0-9a-f]{64} ]]
}

@test "images -q prints IDs, one a line, and takes a pattern" {
    try dewar images -q
    [[ $output =~ ^[0-9a-f]{12}$ ]]
    try dewar images -q --no-trunc busybox
    same "$output" "$(image_id busybox:test)"
    try dewar images -q nosuch
    ok
    [ -z "$output" ]
    try dewar images --filter reference='busy*:t?st' -q
    [ -n "$output" ]
    try dewar images --filter colour=red
    fails 1
}

@test "--format takes templates, tables and json" {
    try dewar images --format '{{.Repository}}:{{.Tag}}'
    same "$output" "busybox:test"
    try dewar images --format '{{.Repository}}\t{{.Tag}}'
    same "$output" $'busybox\ttest'
    try dewar images --format 'table {{.Tag}}\t{{.Repository}}'
    same "${lines[0]}" "TAG       REPOSITORY"
    same "${lines[1]}" "test      busybox"
    dewar images --format json >out
    [ "$(wc -l <out)" = 1 ]
    python3 -c 'import json; r = json.load(open("out")); assert r["Repository"] == "busybox", r'
    try dewar images --format '{{json .ID}}'
    [[ $output =~ ^\"[0-9a-f]{12}\"$ ]]
}

@test "a wrong template names the place and the nearest field" {
    try dewar images --format '{{.Repositry}}'
    fails 1 "did you mean '.Repository'?"
    try dewar images --format '{{.ID'
    fails 1 "'{{' has no '}}'"
    try dewar inspect -f '{{uper .Id}}' busybox:test
    fails 64 "did you mean 'upper'?"
}

@test "inspect prints an array, or what a template makes of each" {
    dewar inspect busybox:test >out.json
    python3 - <<'END'
import json
(image,) = json.load(open("out.json"))
assert image["RepoTags"] == ["busybox:test"], image
assert image["Os"] == "linux"
END
    try dewar inspect -f '{{.Id}}' busybox:test "$(image_id busybox:test)"
    same "${lines[0]}" "${lines[1]}"
    try dewar inspect -f '{{range .RepoTags}}<{{.}}>{{end}} {{len .RootFS.Layers}}' busybox:test
    same "$output" "<busybox:test> 1"
    try dewar image inspect --format '{{if .Config.Healthcheck}}yes{{else}}no{{end}}' busybox:test
    same "$output" "no"
    try dewar inspect nosuch busybox:test
    fails 1 "nosuch"
    has '"Id"'
}

@test "tag, history and rmi speak as Docker's do" {
    dewar tag busybox:test example.org:5000/other:1
    try dewar images --format '{{.Repository}} {{.Tag}}' example.org:5000/other
    same "$output" "example.org:5000/other 1"
    try dewar history busybox:test
    [[ ${lines[0]} =~ ^IMAGE\ +CREATED\ +CREATED\ BY\ +SIZE\ +COMMENT$ ]]
    try dewar history --format '{{.ID}}' -q busybox:test
    ok
    try dewar rmi example.org:5000/other:1
    same "$output" "Untagged: example.org:5000/other:1"
    try dewar rmi nosuch:1
    fails 1
    try dewar rmi -f nosuch:1
    ok
}

@test "labels with control bytes cannot reach a terminal" {
    touch file && tar -cf empty.tar file
    dewar image import -c $'LABEL evil=\x1b]0;owned\x07' -m $'hi\x1b[2J' empty.tar evil:1
    dewar history evil:1 >plain
    run ! grep -q $'\033' plain
    need_program script util-linux
    script -qec "$DEWAR inspect -f '{{.Config.Labels.evil}}' evil:1" out </dev/null >/dev/null
    run ! grep -q $'\033' out
    # to a pipe the value goes out as it is
    dewar inspect -f '{{.Config.Labels.evil}}' evil:1 | grep -q $'\033'
    dewar rmi evil:1
}

@test "questions are asked before pruning, and no means no" {
    run --separate-stderr bash -c 'echo n | "$DEWAR" image prune -a'
    ok
    err_has "WARNING!"
    [ -n "$(dewar images -q)" ]
    run --separate-stderr bash -c '"$DEWAR" system prune </dev/null'
    ok
    [ -z "$output" ]
    try dewar system prune -f
    ok
    has "Total reclaimed space:"
    [ -n "$(dewar images -q)" ]
}

@test "system df adds up, system check finds nothing wrong" {
    try dewar system df
    ok
    [[ ${lines[0]} =~ ^TYPE\ +TOTAL\ +ACTIVE\ +SIZE\ +RECLAIMABLE$ ]]
    has "Images"
    try dewar system df --format '{{.Type}}: {{.TotalCount}}'
    same "${lines[0]}" "Images: 1"
    try dewar system df -v
    has "busybox:test"
    try dewar system check
    ok
    has "0 damaged"
}

@test "image names are completed" {
    try dewar __complete -- rmi busy
    same "$output" "busybox:test"
}
