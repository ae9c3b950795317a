# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The life of a detached container from create to rm, in one chain: killed is whoever makes the call,
# the commands, the monitor, init before it executes the program, a program of exec.
leave=1
number=1$(printf %s "$WORK" | cksum | cut -c1-6) # how long ours sleeps, and how it is told from others
prepare() { import_busybox; }
chain() {
    local limit=''
    [ "$(id -u)" != 0 ] || limit='-m 64m --pids-limit 20'
    # shellcheck disable=SC2016 # for the inner shell
    printf '%s' 'd=$1 n=$2; shift 2
        rm -f cid
        "$d" create --name victim --cidfile cid --network none --stop-timeout 0 '"$limit"' -v /anon -i \
            busybox:test sleep "$n" >/dev/null &&
        "$d" start victim >/dev/null &&
        "$d" exec victim sh -c "echo inside" >said &&
        "$d" restart -t 0 victim >/dev/null &&
        "$d" stop -t 0 victim >/dev/null &&
        "$d" rm -v victim >/dev/null'
}
operation() { op=(sh -c "$(chain)" life "$DEWAR" "$number"); }
program() { grep -lsa "^sleep.$number" /proc/[0-9]*/cmdline || true; }
groups_left() {
    [ ! -s cid ] || find /sys/fs/cgroup -maxdepth 4 -name "dewar-$(cut -c1-32 cid)*" 2>/dev/null
}
# Says it that it runs, then it runs, and says it that it does not, then nothing of it is there.
true_now() {
    local pid
    pid=$(dewar inspect --type container --format '{{.State.Running}} {{.State.Pid}}' victim 2>/dev/null || echo gone)
    case $pid in
    true*) [ "$(program)" = "/proc/${pid#true }/cmdline" ] ;;
    *) [ -z "$(program)" ] ;;
    esac
}
truth() {
    local i
    for i in $(seq 60); do # what a kill orphans needs a moment to end
        ! true_now || return 0
        sleep 0.05
    done
    dewar inspect --type container --format '{{json .State}}' victim >&2 || true
    echo "the program: $(program)" >&2
    return 1
}
recover() {
    [ -z "$(dewar ps -aq)" ] || dewar rm -f -v victim >/dev/null
    [ -z "$(program)$(groups_left)" ] || { echo "left: $(program) $(groups_left)" >&2; return 1; }
}
verify() {
    [ "$(cat said)" = inside ]
    [ -z "$(dewar ps -aq)$(dewar volume ls -q)$(program)$(groups_left)" ]
}
undo() { rm -f said cid; }
