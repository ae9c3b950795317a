#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# bats file_tags=run
# Looking at containers: ps with its filters and formats, inspect.
load helpers

new() { dewar create --network none "$@" >/dev/null; }
start() { dewar run -d --network none "$@" >/dev/null; }
test_teardown() { dewar ps -aq | xargs -r "$DEWAR" rm -f >/dev/null; }

@test "ps shows what runs, ps -a also what does not, newest first" {
    start --name one $IMG sleep 100
    new --name two $IMG echo a command that is longer than that
    try dewar ps
    ok && has one && lacks two || return 1
    [[ ${lines[0]} == "CONTAINER ID   IMAGE          COMMAND       CREATED"*"STATUS"*"PORTS     NAMES" ]]
    [[ ${lines[1]} =~ ^[0-9a-f]{12}\ +busybox:test\ +\"sleep\ 100\"\ +.*ago\ +Up\ .*\ one$ ]]
    try dewar ps -a --format '{{.Names}} {{.State}} {{.Command}}'
    ok && same "$output" $'two created "echo a command that…"\none running "sleep 100"' || return 1
    try dewar ps -a --no-trunc --format '{{.Command}}' --latest
    ok && same "$output" '"echo a command that is longer than that"' || return 1
    try dewar ps -aq -n 1
    ok && [ ${#lines[@]} = 1 ] && [ ${#lines[0]} = 12 ] || return 1
    try dewar ps -q --no-trunc
    ok && [ ${#lines[0]} = 64 ] || return 1
}

@test "a command is shown as one would type it, on one line" {
    new --name quoted $IMG sh -c 'exit 3'
    same "$(dewar ps -a --format '{{.Command}}')" "\"sh -c 'exit 3'\""
    dewar rm quoted >/dev/null
    new --name lines $IMG printf $'a\nb\t"\\' x
    same "$(dewar ps -a --format '{{.Command}}')" '"printf a\nb\t\"\\ x"'
}

@test "a status says how it is and since when" {
    start --name up $IMG sleep 100
    dewar run --network none --name bad $IMG sh -c 'exit 3' || true
    dewar run --network none --name good $IMG true
    try dewar ps -a --format '{{.Names}}: {{.Status}}'
    ok && has "up: Up Less than a second" && has "bad: Exited (3) Less than a second ago" && has "good: Exited (0)" || return 1
    dewar stop -t 0 up >/dev/null
    try dewar ps -a --filter name=up --format '{{.Status}}'
    ok && has "Exited (137)" || return 1
}

@test "filters choose, of one key any and of several keys all" {
    start --name alpha --label job=x --label tier=1 -v "$PWD:/data" $IMG sleep 100
    new --name beta --label job=y $IMG true
    dewar run --network none --name gamma --label job=x $IMG sh -c 'exit 4' || true
    names() { dewar ps -a --format '{{.Names}}' "$@" | sort | tr '\n' ' '; }
    same "$(names -f label=job)" "alpha beta gamma "
    same "$(names -f label=job=x)" "alpha gamma "
    same "$(names -f label=job=x -f label=tier)" "alpha "
    same "$(names -f status=created -f status=exited)" "beta gamma "
    same "$(names -f exited=4)" "gamma "
    same "$(names -f exited=0)" ""
    same "$(names -f name=a)" "alpha beta gamma "
    same "$(names -f name=alp -f name=bet)" "alpha beta "
    same "$(names -f name=a -f status=created)" "beta "
    same "$(names -f 'name=^alpha$')" "alpha "
    same "$(names -f 'name=^/alpha$')" "alpha "
    same "$(names -f 'name=^(alpha|beta)$')" "alpha beta "
    same "$(names -f 'name=^alph$')" ""
    same "$(names -f ancestor=$IMG)" "alpha beta gamma "
    same "$(names -f ancestor=other)" ""
    same "$(names -f since=alpha)" "beta gamma "
    same "$(names -f before=gamma)" "alpha beta "
    same "$(names -f volume=/data)" "alpha "
    same "$(names -f network=none)" "alpha beta gamma "
    same "$(names -f "id=$(dewar ps -aq -f name=beta)")" "beta "
    same "$(dewar ps -q -f exited=4)" "$(dewar ps -aq -f name=gamma)"
}

@test "an image's containers are also those of images made from it; ports that images expose" {
    printf 'FROM %s\nRUN echo >/made\nEXPOSE 53/udp 80\n' $IMG >Dockerfile
    dewar build -q -t child:1 . >/dev/null
    new --name base $IMG true
    new --name child child:1 true
    names() { dewar ps -a --format '{{.Names}}' "$@" | sort | tr '\n' ' '; }
    same "$(names -f ancestor=$IMG)" "base child "
    same "$(names -f "ancestor=$(dewar images -q $IMG)")" "base child "
    same "$(names -f ancestor=child:1)" "child "
    same "$(names -f ancestor=child)" ""
    same "$(names -f expose=80)" "child "
    same "$(names -f expose=53)" ""
    same "$(names -f expose=53/udp)" "child "
    same "$(names -f publish=80)" ""
    new --name more --expose 80/tcp --expose 8080 child:1 true
    same "$(dewar inspect more | jq -c '.[0].Config.ExposedPorts|keys')" '["53/udp","80/tcp","8080/tcp"]'
    same "$(names -f expose=8080)" "more "
    dewar rm more >/dev/null
    dewar rm base child >/dev/null
    dewar rmi child:1 >/dev/null
}

@test "filters that cannot be are named, with what can" {
    try dewar ps -f 'name=('
    fails 1 "invalid filter 'name=('"
    try dewar ps -f expose=x
    fails 1 "invalid port 'x'"

    try dewar ps -f nope=1
    fails 1 "invalid filter 'nope=1'"
    has_hint() { [[ $stderr == *"$1"* ]]; }
    has_hint ancestor
    try dewar ps -f status=gone
    fails 1 "status=gone" && has_hint restarting || return 1
    try dewar ps -f exited=x
    fails 1 "not a number"
    try dewar ps -f before=nobody
    fails 1 "No such container"
}

@test "labels, mounts and sizes come with a format" {
    start --name web --label a=1 --label b=2 -v "$PWD:/data:ro" -v /anon $IMG sh -c 'head -c 100000 /dev/zero >/big; sleep 100'
    try dewar ps --format '{{.Labels}}|{{.Label "b"}}|{{.LocalVolumes}}|{{.Networks}}'
    ok && same "$output" 'a=1,b=2|2|1|none' || return 1
    try dewar ps --format 'table {{.Names}}\t{{.Mounts}}'
    ok && [[ ${lines[0]} == NAMES*MOUNTS ]] && has "${PWD:0:14}…," || return 1
    same "$(dewar ps --no-trunc --format '{{.Mounts}}' | cut -d, -f1)" "$PWD"
    for _ in $(seq 50); do
        size=$(dewar ps -s --format '{{.Size}}')
        [[ $size == 1*kB* ]] && break
        sleep 0.1
    done
    [[ $size == 1*"kB (virtual "*"MB)" ]] || { echo "$size" >&2; return 1; }
    try dewar ps --format json
    ok && same "$(jq -r .Names <<<"$output")" web || return 1
}

@test "inspect tells what was asked for and what became of it" {
    start --name web --label a=1 -e K=V -w /tmp -u 1000 --hostname h --restart on-failure:3 -v "$PWD:/data:ro" \
        --cap-drop CHOWN --read-only $IMG sleep 100
    q() { dewar inspect web | jq -cr ".[0]$1"; }
    same "$(q .Name)" /web
    same "$(q '|[.Path,.Args[]]')" '["sleep","100"]'
    same "$(q '|[.State.Status,.State.Running,.State.ExitCode]')" '["running",true,0]'
    [ "$(q .State.Pid)" -gt 1 ]
    same "$(q '.Config|[.Hostname,.User,.WorkingDir,.Image]')" '["h","1000","/tmp","busybox:test"]'
    same "$(q '.Config.Env|index("K=V")!=null')" true
    same "$(q .Config.Labels.a)" 1
    same "$(q '.HostConfig|[.NetworkMode,.ReadonlyRootfs,.CapDrop]')" '["none",true,["CAP_CHOWN"]]'
    same "$(q .HostConfig.RestartPolicy)" '{"Name":"on-failure","MaximumRetryCount":3}'
    same "$(q '.Mounts[0]|[.Type,.Source,.Destination,.RW]')" "[\"bind\",\"$PWD\",\"/data\",false]"
    same "$(dewar inspect -f '{{.State.Status}} {{index .Config.Labels "a"}}' web)" "running 1"
    dewar kill web >/dev/null
    dewar wait web >/dev/null
    same "$(q '|[.State.Status,.State.Running,.State.ExitCode,.State.Pid]')" '["exited",false,137,0]'
}

@test "inspect has every key of Docker's, also of what was not asked for" {
    new --name plain $IMG true
    q() { dewar inspect plain | jq -cr ".[0]$1"; }
    same "$(q '|[.LogPath,.ResolvConfPath,.MountLabel,.AppArmorProfile,.ExecIDs]')" '["","","","",null]'
    same "$(q '.Config|[.AttachStdin,.AttachStdout,.AttachStderr,.Volumes,.OnBuild,has("ExposedPorts")]')" \
        '[false,true,true,null,null,false]'
    same "$(q '.HostConfig|[.Dns,.Links,.Devices,.Ulimits,.BlkioWeight,.PublishAllPorts,.DeviceRequests,has("Tmpfs")]')" \
        '[[],null,[],null,0,false,null,false]'
    same "$(q '.HostConfig.MaskedPaths|index("/proc/kcore")!=null')" true
    same "$(q '.HostConfig.ReadonlyPaths|index("/proc/sysrq-trigger")!=null')" true
    same "$(q '.NetworkSettings|[.Gateway,.MacAddress,.IPPrefixLen,.Networks.none.Gateway,.Networks.none.Aliases]')" \
        '["","",0,"",null]'
    same "$(q '.State|has("Health")')" false
    same "$(dewar inspect -f '{{if .State.Health}}h{{else}}none{{end}}{{if .Config.ExposedPorts}}p{{end}}|{{.Config.StopSignal}}' plain)" 'none|'
    same "$(dewar inspect -f '{{range $n, $e := .NetworkSettings.Networks}}{{$n}}={{$e.IPAddress}}{{end}}' plain)" none=
}

@test "inspect repeats devices, limits, sysctls, tmpfs, ports and volumes as the API does" {
    printf 'FROM %s\nEXPOSE 80\nVOLUME /vol\n' $IMG >Dockerfile
    dewar build -q -t ports:1 . >/dev/null
    start --name full --device /dev/zero:/dev/zz:r --ulimit nofile=10:20 --sysctl net.ipv4.ip_forward=1 --tmpfs /t:size=1m,exec \
        -v "$PWD:/data" ports:1 sh -c 'echo out; sleep 100'
    q() { dewar inspect "${2:-full}" | jq -cr ".[0]$1"; }
    same "$(q '.HostConfig.Devices')" '[{"PathOnHost":"/dev/zero","PathInContainer":"/dev/zz","CgroupPermissions":"r"}]'
    same "$(q '.HostConfig.Ulimits')" '[{"Name":"nofile","Hard":20,"Soft":10}]'
    same "$(q '.HostConfig.Sysctls')" '{"net.ipv4.ip_forward":"1"}'
    same "$(q '.HostConfig.Tmpfs')" '{"/t":"size=1m,exec"}'
    same "$(q '.Config|[.ExposedPorts,.Volumes,.AttachStdout]')" '[{"80/tcp":{}},{"/vol":{}},false]'
    same "$(q '.Mounts[]|select(.Type=="bind").Propagation')" rprivate
    for _ in $(seq 100); do [ -s "$(q .LogPath)" ] && break; sleep 0.05; done
    grep -q '"log":"out' "$(q .LogPath)"
    dewar run -q --name opens --privileged ports:1 true
    same "$(q '.HostConfig|[.MaskedPaths,.ReadonlyPaths]' opens)" '[[],[]]'
    dewar rm -fv full opens >/dev/null
    dewar rmi ports:1 >/dev/null
}

@test "inspect -s tells what a container wrote" {
    dewar run -q --name big $IMG sh -c 'head -c 200000 /dev/zero >/big'
    same "$(dewar inspect -s big | jq '.[0]|.SizeRw>200000 and .SizeRw<1000000 and .SizeRootFs>.SizeRw+1000000')" true
    same "$(dewar inspect -f '{{if .SizeRw}}s{{else}}none{{end}}' big)" none
    same "$(dewar container inspect --size big | jq '.[0].SizeRw>200000')" true
}

@test "inspect looks for a container first and can be told what to look for" {
    dewar tag $IMG web:latest
    new --name web $IMG true
    same "$(dewar inspect -f '{{.Name}}' web)" /web
    same "$(dewar image inspect -f '{{index .RepoTags 0}}' web | tr -d ' ')" "busybox:test"
    same "$(dewar inspect --type image -f '{{.Os}}' web)" linux
    same "$(dewar container inspect -f '{{.State.Status}}' web)" created
    try dewar container inspect $IMG
    fails 1 "No such container"
    same "$output" "[]"
    try dewar inspect nobody
    fails 1 "No such object: nobody"
    dewar rmi web:latest >/dev/null
}
