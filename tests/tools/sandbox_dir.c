// SPDX-License-Identifier: Apache-2.0
// Runs a program in the sandbox with a plain folder as its root, without store or image:
// sandbox-dir [-t] [-n] [-r] [-u USER] [-w DIR] [-i] ROOT PROGRAM [ARG...]. -n: no_new_privs.
// -N: the host's network, -p: privileged, -c CAP: add, -v SRC:DST, -S: without seccomp
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/sandbox.h"

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif

static int report(const struct err *e)
{
    own(str) struct str text = {0};
    err_print(e, &text);
    fputs(str_z(&text), stderr);
    return e->kind == ERR_NO_PROGRAM ? 127 : e->kind == ERR_NOT_EXEC ? 126 : 125;
}

static void add_volume(struct sandbox_spec *s, const char *text)
{
    struct sv rest = sv_of(text), src = sv_cut(&rest, ':');
    struct sandbox_mount *m = vec_add(&s->mounts);
    m->source = sv_dup(src);
    m->target = sv_dup(rest);
    m->source_fd = -1;
}

static bool read_options(int argc, char **argv, struct sandbox_spec *s)
{
    int c;
    while ((c = getopt(argc, argv, "+tnriNpSu:w:c:v:")) != -1) {
        if (c == 't') s->tty = true;
        if (c == 'n') s->no_new_privs = true;
        if (c == 'r') s->readonly = true;
        if (c == 'i') s->init = true;
        if (c == 'N') s->net = SANDBOX_NET_HOST;
        if (c == 'p') s->privileged = true;
        if (c == 'S') s->seccomp_off = true;
        if (c == 'u') s->user = str_dup(optarg);
        if (c == 'w') s->workdir = str_dup(optarg);
        if (c == 'c') strv_add(&s->cap_add, optarg);
        if (c == 'v') add_volume(s, optarg);
        if (c == '?') return false;
    }
    return optind + 1 < argc;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    own(engine) struct engine en = {0};
    struct engine_options none = {0};
    own(sandbox_spec) struct sandbox_spec s = {.home_env = true};
    if (!read_options(argc, argv, &s)) return 2;
    if (engine_open(&en, &none, &e) < 0 || engine_enter(&en, &e) < 0) return report(&e);
    s.rootfs_fd = open_tree(AT_FDCWD, argv[optind], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (s.rootfs_fd < 0) {
        perror(argv[optind]);
        return 125;
    }
    for (int i = optind + 1; i < argc; i++) strv_add(&s.args, argv[i]);
    struct sandbox box;
    struct sandbox_stdio io = {0, 1, 2};
    int status;
    if (sandbox_start(&en, &s, &io, NULL, &box, &e) < 0) return report(&e);
    char buf[4096];
    for (ssize_t n; box.pty_fd >= 0 && (n = read(box.pty_fd, buf, sizeof buf)) > 0;)
        if (write(1, buf, (size_t)n) < 0) break;
    if (sandbox_wait(&box, &status, NULL, &e) < 0) return report(&e);
    return status;
}
