// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"

struct place {
    char dir[64];
    char old[4096];
    int fds;
};

static int count_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d)) n++;
    if (d) closedir(d);
    return n;
}

int harness_setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    if (!p || !getcwd(p->old, sizeof p->old)) return -1;
    snprintf(p->dir, sizeof p->dir, "/tmp/dewar-unit-XXXXXX");
    p->fds = count_fds();
    if (!mkdtemp(p->dir) || chdir(p->dir) != 0) return -1;
    *state = p;
    return 0;
}

static int drop(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

int harness_teardown(void **state)
{
    struct place *p = *state;
    int bad = 0;
    if (chdir(p->old) != 0) bad = 1;
    nftw(p->dir, drop, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (count_fds() != p->fds) {
        print_error("test left %d descriptors open\n", count_fds() - p->fds);
        bad = 1;
    }
    if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD) {
        print_error("test left a child process behind\n");
        bad = 1;
    }
    free(p);
    return bad;
}

void harness_ok(int rc, const struct err *e, const char *call, const char *file, int line)
{
    if (rc >= 0) return;
    struct str s = {0};
    err_print(e, &s);
    print_error("%s failed: %s\n", call, str_z(&s));
    str_fini(&s);
    _fail(file, line);
}

void harness_fails(int rc, struct err *e, const char *text, const char *file, int line)
{
    struct str s = {0};
    err_print(e, &s);
    if (rc >= 0 || !strstr(str_z(&s), text)) {
        print_error("wanted a failure with '%s', got rc %d and: %s\n", text, rc, str_z(&s));
        str_fini(&s);
        _fail(file, line);
    }
    str_fini(&s);
    err_clear(e);
}
