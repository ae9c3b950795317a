#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=run
# A container's files from outside: cp, export, diff, commit.
load helpers

box() { dewar run -d --network none --name box "$@" >/dev/null; }
still() { dewar create --network none --name box "$@" >/dev/null; }
X() { dewar exec box "$@"; }
# Both kinds of container give the same answers: `both TEST-FUNCTION` is called once for each.
both() {
    local kind
    for kind in running stopped; do
        rm -rf ./* && dewar rm -f box >/dev/null 2>&1 || true
        if [ $kind = running ]; then box $IMG sleep 300; else still $IMG sleep 300; fi
        "$@" || { echo "with a $kind container" >&2; return 1; }
    done
}
# What a shell says inside, whether it runs or not.
inside() {
    dewar commit box box:look >/dev/null 2>&1 && dewar run --rm -q --network none box:look sh -c "$1"
}
test_teardown() {
    dewar rm -f box other >/dev/null 2>&1 || true
    dewar rmi -f box:look >/dev/null 2>&1 || true
}

# --- cp: where things go -----------------------------------------------------------------------

files_go_in() {
    echo one >one && chmod 640 one && touch -d @1000000000 one
    dewar cp one box:/tmp/new || return 1       # a name that is not there
    dewar cp one box:/tmp || return 1           # a folder
    dewar cp one box:/tmp/ || return 1
    dewar cp one box:etc/relative || return 1   # without a slash it begins at the root
    echo two >two && dewar cp two box:/tmp/one || return 1  # a file gives way
    dewar cp one box:/var/run/linked || return 1 # through a link in the image
    same "$(inside 'cd /; stat -c "%n %a %u:%g %Y" tmp/new run/linked; cat tmp/new tmp/one etc/relative')" \
        $'tmp/new 640 0:0 1000000000\nrun/linked 640 0:0 1000000000\none\ntwo\none'
}
@test "cp: a file goes to a name, into a folder, over a file, with its mode and time, as root's" { both files_go_in; }

folders_go_in() {
    mkdir -p d/sub && echo x >d/sub/x && ln -s sub d/link && ln d/sub/x d/again && chmod 710 d/sub
    dewar cp d box:/ || return 1      # "/" is there: into it
    dewar cp d box:/new || return 1   # is not: becomes it
    dewar cp d/. box:/all || return 1 # is not: the same
    dewar cp d/. box:/tmp || return 1 # the contents alone
    dewar cp d/ box:/home || return 1
    dewar cp d box:/new || return 1   # now it is there
    same "$(inside 'cd /; find d new all tmp home/d | sort; stat -c %a new/sub; readlink new/link; stat -c %h new/again')" \
        "$(printf '%s\n' all all/{again,link,sub,sub/x} d d/{again,link,sub,sub/x} home/d home/d/{again,link,sub,sub/x} \
            new new/again new/d new/d/{again,link,sub,sub/x} new/{link,sub,sub/x} tmp tmp/{again,link,sub,sub/x} 710 sub 2)"
}
@test "cp: a folder becomes what is not there and goes into what is; '/.' is its contents" { both folders_go_in; }

wrong_destinations() {
    mkdir d && echo x >d/x && echo f >f
    try dewar cp f box:/no/such
    fails 1 "Could not find the file /no/such in container box" || return 1
    try dewar cp f box:/new/
    fails 1 "no such directory" || return 1
    try dewar cp d box:/etc/passwd
    fails 1 "cannot copy directory" || return 1
    try dewar cp f box:/etc/passwd/
    fails 1 "not a directory" || return 1
    try dewar cp f/ box:/tmp
    fails 1 "Not a directory" || return 1
    try dewar cp no box:/tmp
    fails 1 "No such file" || return 1
    try dewar cp box:/no/such .
    fails 1 "Could not find the file /no/such in container box" || return 1
    try dewar cp box:/etc/passwd ./no/such
    fails 1 "directory \"$PWD/./no/\" does not exist" || return 1
    try dewar cp box:/etc f
    fails 1 "cannot copy directory" || return 1
    try dewar cp box:/etc/passwd new/
    fails 1 "no such directory" || return 1
    mkdir -p d/etc/passwd
    try dewar cp d/. box:/
    fails 1 "cannot overwrite non-directory" || return 1
    rm -r d/etc && echo f >d/etc
    try dewar cp d/. box:/
    fails 1 "cannot overwrite directory with non-directory" || return 1
    same "$(ls)" $'d\nf'
}
@test "cp: what does not fit is refused with Docker's words" { both wrong_destinations; }

files_come_out() {
    echo old >f
    dewar cp box:/etc/passwd f && same "$(head -c 5 f)" root: || return 1
    dewar cp box:/etc/passwd . && dewar cp box:etc/passwd new || return 1
    dewar cp box:/home here || return 1     # not there: becomes it
    dewar cp box:/home here || return 1     # there: into it
    dewar cp box:/var/run link || return 1  # a link is a link
    dewar cp box:/var/run/ folder || return 1
    dewar cp -L box:/var/run followed || return 1
    mkdir all && dewar cp box:/home/. all || return 1
    ln -s all to && dewar cp box:/etc/passwd to || return 1
    ln -s late dangling && dewar cp box:/etc/passwd dangling || return 1
    same "$(find . | sort)" "$(printf '%s\n' . ./all ./all/passwd ./all/user ./dangling ./f ./folder ./followed ./here \
        ./here/home ./here/home/user ./here/user ./late ./link ./new ./passwd ./to)" || return 1
    same "$(readlink link)" ../run || return 1
    same "$(stat -c %F folder followed | sort -u)" directory || return 1
    same "$(find . ! -uid "$(id -u)")" ""
}
@test "cp: files and folders come out, are the caller's, and links stay links unless -L" { both files_come_out; }

streams() {
    mkdir -p d/a && echo x >d/a/x && ln -s a d/l
    tar -C d --owner=7 --group=8 --numeric-owner -cf - . | dewar cp - box:/tmp || return 1
    tar -C d -czf - a/x | dewar cp - box:/home || return 1 # compressed, without its folder
    same "$(inside 'cd /; stat -c "%n %u:%g" tmp/a/x; cat home/a/x')" $'tmp/a/x 7:8\nx' || return 1
    same "$(dewar cp box:/tmp - | tar -t | sort)" $'tmp/\ntmp/a/\ntmp/a/x\ntmp/l' || return 1
    same "$(dewar cp box:/tmp/. - | tar -t | sort)" $'./\n./a/\n./a/x\n./l' || return 1
    same "$(dewar cp box:/etc/passwd - | tar -xO | head -c 5)" root: || return 1
    run --separate-stderr dewar cp - box:/etc/passwd <<<""
    fails 1 "must be a directory" || return 1
    run --separate-stderr dewar cp - box:/no <<<""
    fails 1 "Could not find the file /no in container box" || return 1
    run --separate-stderr dewar cp - box:/tmp <<<"this is no archive"
    fails 1 ""
}
@test "cp: '-' is a tar both ways, compressed ones are understood" { both streams; }

@test "cp: -a keeps owners" {
    echo x >f
    box $IMG sh -c 'echo y >/tmp/root; sleep 300'
    for _ in $(seq 100); do X test -s /tmp/root && break; sleep 0.05; done
    dewar cp -a f box:/tmp/f
    same "$(X stat -c %u:%g /tmp/f)" "$(id -u):$(id -g)"
    X chown 1000:1001 /tmp/root
    if is_root; then
        dewar cp -a box:/tmp/root . && same "$(stat -c %u:%g root)" 1000:1001 || return 1
    else # the container's root is the caller, and nothing can be given to others
        try dewar cp -a box:/tmp/root .
        fails 1 "leave out -a"
        dewar cp -a box:/tmp/f mine || true
        X chown 0:0 /tmp/root && dewar cp -a box:/tmp/root . && [ -O root ] || return 1
    fi
}

@test "cp: words that name no container, or two, or nothing" {
    still $IMG true
    echo x >a:b
    try dewar cp box:/a box:/b
    fails 1 "copying between containers is not supported"
    try dewar cp f g
    fails 1 "must specify at least one container source"
    try dewar cp ./a:b box:/tmp/
    ok
    try dewar cp "$PWD/a:b" box:/tmp/
    ok
    try dewar cp nobody:/x .
    fails 1 "No such container: nobody"
    try dewar cp "" box:/x
    fails 1 "source can not be empty"
    try dewar cp box:/x
    fails 1
    try dewar container cp box:/etc/passwd x
    ok && [ -s x ] || return 1
}

@test "cp: says how much on a terminal, and not with -q; a terminal gets no archive" {
    need_program script bsdutils
    still $IMG true
    echo x >f
    try on_tty "$DEWAR cp f box:/tmp/f"
    ok && has "Successfully copied" && has "to box:/tmp/f" || return 1
    try on_tty "$DEWAR cp -q f box:/tmp/f"
    ok && same "$output" "" || return 1
    try dewar cp f box:/tmp/f
    ok && same "$output$stderr" "" || return 1
    try on_tty "$DEWAR cp box:/tmp/f -"
    [ "$status" = 1 ] && has "terminal" || return 1
    try on_tty "$DEWAR export box"
    [ "$status" = 1 ] && has "terminal"
}

mounts_are_seen() {
    echo x >f && mkdir -p bind ro
    echo b >bind/b
    dewar cp f box:/vol/f || return 1
    dewar cp f box:/bind/f || return 1
    dewar cp box:/bind/b . && same "$(cat b)" b || return 1
    same "$(cat bind/f)" x || return 1
    same "$(dewar run --rm -q --network none -v kept:/v $IMG cat /v/f)" x || return 1
    try dewar cp f box:/ro/f
    fails 1 "mounted volume is marked read-only" || return 1
    same "$(ls ro)" ""
}
@test "cp: volumes and binds are seen as the container sees them, read-only ones are refused" {
    local kind mounts
    for kind in box still; do
        mkdir -p bind ro
        mounts=(-v kept:/vol -v "$PWD/bind:/bind" -v "$PWD/ro:/ro:ro")
        $kind "${mounts[@]}" $IMG sleep 300
        mounts_are_seen || return 1
        try dewar diff box
        ok && same "$output" "" || return 1 # no mount point
        dewar rm -f box >/dev/null
        rm -rf ./*
        dewar volume rm kept >/dev/null
    done
}

@test "cp: nothing is written under --read-only, except into a volume" {
    local kind
    echo x >f
    for kind in box still; do
        $kind --read-only -v kept:/vol $IMG sleep 300
        try dewar cp f box:/tmp/f
        fails 1 "container rootfs is marked read-only"
        dewar cp f box:/vol/f
        dewar cp box:/vol/f g && same "$(cat g)" x || return 1
        dewar rm -f box >/dev/null
    done
    dewar volume rm kept >/dev/null
}

@test "cp: a paused container, one that has ended, one with --rm that starts later" {
    echo x >f
    if is_root; then
        box $IMG sleep 300
        dewar pause box >/dev/null
        dewar cp f box:/tmp/f && dewar cp box:/tmp/f g && same "$(cat g)" x || return 1
        dewar unpause box >/dev/null
        dewar rm -f box >/dev/null
    fi
    dewar run --network none --name box -q $IMG sh -c 'echo late >/made'
    dewar cp box:/made . && same "$(cat made)" late || return 1
    dewar cp f box:/made
    dewar rm box >/dev/null
    still --rm $IMG cat /tmp/f
    dewar cp f box:/tmp/f
    same "$(dewar start -a box)" x
}

@test "cp: all kinds of files, odd names and large ones" {
    box $IMG sh -c 'mkdir /k; cd /k; mkfifo fifo; ln -s /no/where dangling; printf x >"$(printf "a\nb")"; dd if=/dev/urandom of=big bs=1M count=9 2>/dev/null; touch empty; mkdir none; chmod 500 none; chmod 4755 empty; : >ready; sleep 300'
    for _ in $(seq 200); do X test -e /k/ready && break; sleep 0.05; done
    timeout 60 "$DEWAR" cp box:/k .
    [ -p k/fifo ] && [ -L k/dangling ] && [ -f $'k/a\nb' ] || return 1
    same "$(stat -c %a k/none k/empty)" $'500\n755' # somebody's setuid program does not become ours
    same "$(sha256sum <k/big)" "$(X cat /k/big | sha256sum)"
    dewar cp k box:/back
    same "$(X sha256sum /back/big | cut -c-64)" "$(sha256sum <k/big | cut -c-64)"
    X test -p /back/fifo
}

ids_of_its_own() {
    dewar rm -f box >/dev/null 2>&1 || true
    box --userns "$1" --user 0 $IMG sleep 300
    echo x >f
    dewar cp f box:/tmp/f || return 1
    same "$(X stat -c %u:%g /tmp/f)" 0:0 || return 1
    X sh -c 'echo y >/tmp/y; chown 1000:1000 /tmp/y'
    same "$(dewar cp box:/tmp/y - | tar -tv --numeric-owner | cut -d' ' -f2)" 1000/1000 || return 1
    try dewar diff box
    ok && same "$output" $'C /tmp\nA /tmp/f\nA /tmp/y' || return 1
    dewar commit box own:ids >/dev/null 2>&1 || return 1
    same "$(dewar run --rm -q --network none own:ids stat -c %u:%g /tmp/y /tmp/f)" $'1000:1000\n0:0' || return 1
    dewar stop -t 0 box >/dev/null
    dewar cp f box:/tmp/g || return 1
    same "$(dewar cp box:/tmp/. - | tar -tv --numeric-owner ./y ./g | cut -d' ' -f2)" $'0/0\n1000/1000' || return 1
    same "$(dewar export box | tar -tv --numeric-owner tmp/y tmp/g etc/passwd | cut -d' ' -f2)" $'0/0\n0/0\n1000/1000'
}
@test "with ids of the container's own, owners are its own" {
    ids_of_its_own keep-id:uid=1000,gid=1000
    if is_root; then ids_of_its_own auto; else ids_of_its_own auto:size=4096 || ids_of_its_own nomap; fi
}

# --- export ------------------------------------------------------------------------------------

exports() {
    X sh -c 'echo new >/etc/new; rm /etc/group; echo v >/vol/v' 2>/dev/null || {
        echo new >n && dewar cp n box:/etc/new && dewar cp n box:/vol/v
    } || return 1
    dewar export box >a.tar && dewar export -o b.tar box || return 1
    cmp a.tar b.tar || return 1
    tar -tf a.tar >list && grep -qx etc/new list && grep -qx vol/ list || return 1
    ! grep -q '^vol/.' list && ! grep -q '\.wh\.' list || return 1
    same "$(tar -xOf a.tar etc/new)" new || return 1
    same "$(dewar image import a.tar box:flat)" "$(dewar image import b.tar box:flat)" || return 1
    same "$(dewar run --rm -q --network none box:flat cat /etc/new)" new
}
@test "export: the merged files in a canonical tar, without what volumes hold" {
    box -v kept:/vol $IMG sleep 300
    exports
    dewar rm -f box >/dev/null
    still -v kept:/vol $IMG sleep 300
    exports
    dewar rm -f box >/dev/null && dewar volume rm kept >/dev/null
}

@test "export: -o is complete or not there" {
    try dewar export -o out.tar nobody
    fails 1 "No such container: nobody"
    [ ! -e out.tar ]
    still $IMG true
    try dewar export -o no/such/out.tar box
    fails 1 "no/such"
    mkdir folder
    try dewar export -o folder box
    fails 1 "is a folder"
    [ -w /dev/full ] || return 0
    run --separate-stderr sh -c "$DEWAR export box >/dev/full"
    fails 1 ENOSPC
}

# --- diff --------------------------------------------------------------------------------------

@test "a working directory that was made is the container's, a mount point is nobody's" {
    mkdir bind
    dewar create --name here --network none -v "$PWD/bind:/mnt/deep/bind" -w /made/here $IMG true >/dev/null
    dewar start -a here
    same "$(dewar diff here)" $'A /made\nA /made/here'
    dewar create --name fixed --network none --read-only -w /made/fixed $IMG true >/dev/null
    dewar start -a fixed
    same "$(dewar diff fixed)" $'A /made\nA /made/fixed'
    dewar create --name mounted --network none -v "$PWD/bind:/work" -w /work $IMG true >/dev/null
    dewar start -a mounted
    same "$(dewar diff mounted)" ""
    dewar commit here kept >/dev/null
    same "$(dewar run --rm --network none kept sh -c 'pwd; ls -d /mnt/* 2>/dev/null')" /made/here
}

@test "diff: added, changed and deleted, a folder before what is in it" {
    mkdir -p i/a/sub i/b i/c && echo 1 >i/a/one && echo 2 >i/a/sub/two && echo 3 >i/b/three && echo 4 >i/c/four && touch i/a.txt
    printf 'FROM %s\nCOPY i /i\n' $IMG | dewar build -q -t layered -f - . >/dev/null
    still layered sh -c 'cd /i; echo x >>a/one; rm a/sub/two; rm -r b; mkdir b; echo n >b/new; rm -r c; echo file >c; chmod 700 /root; mkdir -p /n/m; echo f >/n/m/f; mkfifo /n/p; chmod 600 a.txt; cat /i/a/sub/* 2>/dev/null; ln -s x /n/l'
    try dewar diff box
    ok && same "$output" "" || return 1
    dewar start -a box >/dev/null
    try dewar diff box
    ok
    same "$output" "$(printf '%s\n' 'C /i' 'C /i/a' 'C /i/a/one' 'C /i/a/sub' 'D /i/a/sub/two' 'C /i/a.txt' \
        'C /i/b' 'A /i/b/new' 'D /i/b/three' 'C /i/c' 'D /i/c/four' 'A /n' 'A /n/l' 'A /n/m' 'A /n/m/f' 'A /n/p' 'C /root')"
    dewar commit box again >/dev/null
    dewar rm box >/dev/null
    still again true
    try dewar diff box
    ok && same "$output" "" || return 1
}

@test "diff: what was opened for writing and is as it was, or came and went, is no change" {
    box $IMG sh -c 'cp /etc/passwd /tmp/x; touch -r /etc/passwd /tmp/t; cat /tmp/x >/etc/passwd; touch -r /tmp/t /etc/passwd; rm /tmp/x /tmp/t; mkdir -p /tmp/d; rmdir /tmp/d; chmod 700 /home; chmod 755 /home; echo >/run/ready; sleep 300'
    for _ in $(seq 100); do X test -e /run/ready && break; sleep 0.05; done
    try dewar diff box
    ok && same "$output" $'C /run\nA /run/ready' || return 1
    X sh -c 'touch -r /etc/group /run/t; sed s/root/toor/ /etc/group >/run/g; cat /run/g >/etc/group; touch -r /run/t /etc/group; rm /run/t /run/g'
    try dewar diff box
    ok && same "$output" $'C /etc\nC /etc/group\nC /run\nA /run/ready' || return 1
}

@test "diff: mount points that were made for volumes are not listed, nor those below them" {
    mkdir b && touch f
    box -v kept:/new/deep/vol -v "$PWD/b:/etc/bound" -v "$PWD/f:/etc/file" --tmpfs /var/scratch $IMG sleep 300
    X sh -c 'echo x >/new/deep/vol/x; echo y >/var/scratch/y'
    try dewar diff box
    ok && same "$output" "" || return 1
    X sh -c 'echo z >/new/deep/z'
    try dewar diff box
    ok && same "$output" $'A /new\nA /new/deep\nA /new/deep/z' || return 1
    dewar commit box with:z >/dev/null 2>&1
    same "$(dewar run --rm -q --network none with:z sh -c 'find /new /etc/bound /etc/file /var/scratch 2>/dev/null')" $'/new\n/new/deep\n/new/deep/z'
    dewar rm -f box >/dev/null && dewar volume rm kept >/dev/null
}

# --- commit ------------------------------------------------------------------------------------

@test "commit: an image of the changes, with the container's config and --change" {
    printf 'FROM %s\nENV A=image B=image\nLABEL from=image\nEXPOSE 80\nVOLUME /data\nONBUILD RUN false\nUSER 1000\nENTRYPOINT ["/bin/sh"]\n' $IMG |
        dewar build -q -t conf -f - . >/dev/null
    dewar run --network none --name box -q -e B=run -e C=run --label mine=run -w /tmp -v /anon --user 0 conf -c 'echo made >/made; echo d >/data/d'
    try dewar commit -a 'A. Author' -m 'a message' -c 'ENV D=change' -c 'CMD ["-c","cat /made"]' -c 'LABEL from=change' box result:1
    ok && [[ $output =~ ^sha256:[0-9a-f]{64}$ ]] || return 1
    same "$(image_id result:1)" "$output"
    same "$(dewar inspect -f '{{json .Config.Env}} {{json .Config.Labels}} {{.Config.User}} {{.Config.WorkingDir}} {{json .Config.Entrypoint}} {{json .Config.Cmd}} {{json .Config.OnBuild}} {{json .Config.Volumes}} {{json .Config.ExposedPorts}} {{.Author}}' result:1)" \
        '["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","A=image","B=run","C=run","D=change"] {"from":"change","mine":"run"} 0 /tmp ["/bin/sh"] ["-c","cat /made"] null {"/anon":{},"/data":{}} {"80/tcp":{}} A. Author'
    same "$(dewar history --format '{{.CreatedBy}}|{{.Comment}}' result:1 | head -1)" '-c echo made >/made; echo d >/data/d|a message'
    same "$(dewar run --rm -q --network none result:1)" made
    same "$(dewar run --rm -q --network none result:1 -c 'ls /data')" ""
    try dewar commit box
    ok && dewar inspect "$output" >/dev/null || return 1
    try dewar commit -c 'RUN x' box result:2
    fails 1 "unknown instruction"
    try dewar commit box Upper/Case
    fails 1 "Upper/Case"
    try dewar commit box "x@sha256:$(printf '0%.0s' $(seq 64))"
    fails 1 "digest"
    try dewar commit nobody
    fails 1 "No such container: nobody"
}

@test "commit: deletions, replaced folders, owners, modes, links and attributes are in the layer" {
    mkdir -p i/dir && echo 1 >i/dir/one && echo 2 >i/two
    printf 'FROM %s\nCOPY i /i\n' $IMG | dewar build -q -t layered -f - . >/dev/null
    dewar run --network none --name box -q layered sh -c 'rm -r /i/dir; mkdir /i/dir; echo n >/i/dir/new; rm /i/two; echo x >/x; chown 7:8 /x; chmod 4711 /x; ln /x /y; ln -s x /l; mkfifo /p; echo same >>/etc/passwd; sed -i /same/d /etc/passwd'
    dewar commit box result:1 >/dev/null
    same "$(dewar run --rm -q --network none result:1 sh -c 'ls /i /i/dir; stat -c "%a %u:%g %h" /x; readlink /l; stat -c %F /p')" \
        $'/i:\ndir\n\n/i/dir:\nnew\n4711 7:8 2\nx\nfifo'
    store_is_clean
}

@test "commit: the same changes give the same image with SOURCE_DATE_EPOCH, and the same layer without" {
    local i ids=() layers=()
    for i in 1 2; do
        dewar run --network none --name box -q $IMG sh -c 'mkdir /d; echo x >/d/x; echo y >/d/y'
        ids+=("$(SOURCE_DATE_EPOCH=1100000000 dewar commit box)")
        dewar rm box >/dev/null
        dewar run --network none --name box -q $IMG sh -c 'echo y >/y; mkdir /d; touch -d @1050000000 /d /y'
        dewar commit box layer:$i >/dev/null
        layers+=("$(dewar inspect -f '{{json .RootFS.Layers}}' layer:$i)")
        dewar rm box >/dev/null
        sleep 1
    done
    same "${ids[0]}" "${ids[1]}"
    same "$(dewar inspect -f '{{.Created}}' "${ids[0]}")" 2004-11-09T11:33:20Z
    same "${layers[0]}" "${layers[1]}"
}

@test "commit: nothing changed makes an image without another layer" {
    still $IMG true
    dewar commit -m empty box same:1 >/dev/null
    same "$(dewar inspect -f '{{json .RootFS.Layers}}' same:1)" "$(dewar inspect -f '{{json .RootFS.Layers}}' $IMG)"
    same "$(dewar history -q same:1 | wc -l)" 2
}

@test "commit: a running container stands still meanwhile and goes on afterwards" {
    box $IMG sh -c 'i=0; while :; do i=$((i+1)); echo $i >/a; echo $i >/b; done'
    if is_root; then
        local i a b
        for i in $(seq 5); do
            dewar commit box torn:1 >/dev/null
            same "$(dewar ps -f name=box --format '{{.State}}')" running || return 1
        done
        id=$(dewar inspect -f '{{.Id}}' box)
        stops() { dewar events --since 1h --until 0s --filter "container=$id" --filter event=pause | wc -l; }
        same "$(stops)" 5
        try dewar commit --pause=false box running:1
        ok && same "$(stops)" 5 || return 1
        dewar pause box >/dev/null
        dewar commit box torn:1 >/dev/null # stays paused
        same "$(dewar ps -f name=box --format '{{.State}}')" paused
    else
        try dewar commit box running:1
        ok
        [[ $stderr == "" || $stderr == *"runs on while it is copied"* ]] || return 1
        try dewar commit --pause=false box running:1
        ok && same "$stderr" "" || return 1
        same "$(dewar ps -f name=box --format '{{.State}}')" running
    fi
}

@test "commit: a program that was paused goes on when commit is killed" {
    need_root # pauses
    box $IMG sh -c 'dd if=/dev/zero of=/big bs=1M count=300 2>/dev/null; : >/ready; sleep 300'
    local i pid state=
    for i in $(seq 200); do X test -e /ready && break; sleep 0.05; done
    "$DEWAR" commit box killed:1 >/dev/null 2>&1 &
    pid=$!
    for i in $(seq 500); do
        state=$(dewar ps -a -f name=box --format '{{.State}}')
        [ "$state" = paused ] && break
    done
    kill -9 $pid
    same "$state" paused
    for i in $(seq 100); do
        state=$(dewar ps -f name=box --format '{{.State}}')
        [ "$state" = running ] && break
        sleep 0.05
    done
    same "$state" running
    store_is_clean
}

@test "all four work on a container by its first digits, and as container verbs" {
    box $IMG sleep 300
    local id
    id=$(dewar ps -q -f name=box)
    echo x >f
    dewar container cp f "${id:0:6}:/f"
    same "$(dewar container diff "${id:0:6}")" 'A /f'
    dewar container export "${id:0:6}" | tar -t | grep -qx f
    dewar container commit "${id:0:6}" >/dev/null 2>&1
    dewar diff nobody && return 1
    true
}
