#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# --format on everything that has it: the same language everywhere.
load helpers

file_setup() {
    dewar volume create --label a=b data >/dev/null
    dewar run -d --name web --label a=b --network none $IMG sleep 1000 >/dev/null
}
file_teardown() {
    dewar rm -f web >/dev/null
    dewar volume rm data >/dev/null
}

# command | a field whose value is a text | its heading ("-": no table)
listings() {
    cat <<'END'
images|.Repository|REPOSITORY
image ls|.Tag|TAG
history busybox:test|.Comment|COMMENT
ps|.Names|NAMES
container ls -a|.Image|IMAGE
volume ls|.Name|VOLUME NAME
system df|.Type|TYPE
doctor|.Check|CHECK
stats --no-stream|.Name|NAME
system service status|.Containers|AT BOOT
events --since 1h --until 0s|.Type|-
END
}
# What is no listing: one object, or an array of them.
values() {
    cat <<'END'
inspect web|.Name
container inspect web|.State.Status
inspect busybox:test|.Os
image inspect busybox:test|.Architecture
volume inspect data|.Name
version|.Client.Version
info|.ServerVersion
END
}

# template => what it gives, with @ for the field and $v for its value
language() {
    cat <<'END'
{{@}} => $v
{{ @ | upper }} => ${v^^}
{{lower @}} => ${v,,}
{{@ | printf "%s!"}} => $v!
{{printf "%q" @}} => "$v"
{{if eq @ "x!"}}a{{else}}b{{end}} => b
{{if ne @ "x!"}}a{{else}}b{{end}} => a
{{if and (ge (len @) 0) (not (lt (len @) 0))}}a{{end}} => a
{{if or (gt 1 2) (le 1 1)}}a{{end}} => a
{{with $x := @}}{{$x}}{{else}}none{{end}} => ${v:-none}
{{range (split (print @ "/" @) "/")}}<{{.}}>{{end}} => <${v//\//><}><${v//\//><}>
{{join (split @ "") ""}} => $v
{{len @}} => ${#v}
{{index (split (print @ "," "z") ",") 0}} => ${v%%,*}
{{truncate @ 2}} => ${v:0:2}
{{pad @ 1 1}} => ${v:+ $v }
{{title "abc"}} {{slice (print @ "xyz") 0 2}} => Abc ${w:0:2}
{{json @}} => "$v"
{{/* nothing */ -}} {{@}} => $v
END
}

each() { # function < table
    local command rest
    while IFS='|' read -r command rest; do "$1" "$command" "$rest" || return 1; done
}

@test "every listing speaks the whole language of templates" {
    one() {
        local field=${2%%|*} v w template want got
        v=$($DEWAR $1 --format "{{$field}}" | head -1) || true
        w=${v}xyz
        while IFS= read -r line; do
            template=${line%% => *} want=${line#* => }
            template=${template//@/$field}
            got=$($DEWAR $1 --format "$template" 2>&1 | head -1) || true
            want=$(eval "printf '%s' \"${want//\"/\\\"}\"")
            same "$1 $template: $got" "$1 $template: $want" || return 1
        done < <(language)
    }
    each one < <(listings)
    each one < <(values)
}

@test "every listing gives one object a line as json, and so does its template" {
    one() {
        local n
        $DEWAR $1 --format json >json.out || [ $? = 1 ]
        [ -s json.out ] || return 1
        n=$(wc -l <json.out)
        same "$1 $(jq -c type json.out | sort | uniq -c | tr -s ' ')" "$1  $n \"object\"" || return 1
        [ "${1%% *}" = stats ] || { $DEWAR $1 --format '{{json .}}' >again.out || true; }
        [ "${1%% *}" = stats ] || same "$(jq -c keys json.out)" "$(jq -c keys again.out)"
    }
    each one < <(listings)
}

@test "every listing takes a table with the headings of its columns" {
    one() {
        local field=${2%%|*} heading=${2#*|}
        if [ "$heading" = - ]; then
            try $DEWAR $1 --format "table {{$field}}"
            fails 1 "no table"
            return
        fi
        same "$($DEWAR $1 --format "table {{$field}}" | head -1)" "$heading" || return 1
        same "$($DEWAR $1 --format "table {{$field}}\t{{upper $field}}" | head -1 | awk -F '   *' '{ print $1 }')" "$heading"
    }
    each one < <(listings)
}

@test "values are an array of objects without a format, and compact as json" {
    one() {
        $DEWAR $1 --format json >json.out || return 1
        same "$1 $(wc -l <json.out)" "$1 1" || return 1
        [[ $(jq -r type json.out) == @(array|object) ]] || return 1
        $DEWAR $1 --format '{{json .}}' | jq -e 'type == "object"' >/dev/null
    }
    each one < <(values)
}

@test "a wrong template is one clear error everywhere" {
    one() {
        try $DEWAR $1 --format '{{.NoSuchFieldAtAll}}'
        [[ $status == @(1|2|64) ]] || { show_try; return 1; }
        err_has "no field '.NoSuchFieldAtAll'" || return 1
        try $DEWAR $1 --format '{{if}}'
        [[ $status == @(1|2|64) ]] || { show_try; return 1; }
        same "$output" ""
    }
    each one < <(listings)
    each one < <(values)
}

@test "info counts containers" {
    dewar create --name still --network none $IMG true >/dev/null
    same "$(dewar info --format '{{.Containers}} {{.ContainersRunning}} {{.ContainersPaused}} {{.ContainersStopped}}')" "2 1 0 1"
    dewar rm still >/dev/null
}
