#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The root of the mount namespace is an initramfs, which pivot_root(2) refuses: diskless nodes boot so.
load ../e2e/helpers

R() { dewar run --rm -q --network none "$@"; }

file_setup() {
    ! unshare -m pivot_root / / 2>/dev/null || { echo "not the guest" >&2; return 1; }
}

@test "a container starts and sees nothing of the outside" {
    try R $IMG sh -c 'ls /; ls /..; cat /guest-init'
    fails 1 && lacks guest-start && lacks lower && has bin || return 1
    try R $IMG sh -c 'ls /proc/1/root/; cd ../../../..; ls -a'
    ok && lacks guest-start && has bin || return 1
}

@test "the way out through an open directory is shut" {
    try R --cap-add SYS_CHROOT $IMG sh -c 'mkdir /x && chroot /x /bin/true; cd /; for i in 1 2 3 4 5; do cd ..; done; ls'
    lacks guest-start
}

@test "mounts, volumes and a build work as elsewhere" {
    mkdir d && echo mine >d/f
    try R -v "$PWD/d:/d:ro" --tmpfs /t $IMG sh -c 'cat /d/f; echo x >/t/x; ! echo y >/d/y'
    ok && has mine || return 1
    mkdir c
    printf '%s\n' "FROM $IMG" 'RUN echo built >/f' >c/Dockerfile
    try dewar build -q c
    ok
    try R "$output" cat /f
    ok && same "$output" built || return 1
}
