// SPDX-License-Identifier: Apache-2.0
// Where things are. The store and the run folder are opened once, 0700 and ours, and work goes on
// through their descriptors.
#include "base/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "base/vec.h"
#include "base/str.h"

static const char *env_or(const char *given, const char *key)
{
    if (given && given[0]) return given;
    const char *z = getenv(key);
    return z && z[0] ? z : NULL;
}

static int set_path(char *out, size_t size, const char *a, const char *b, struct err *e)
{
    int n = snprintf(out, size, "%s%s", a, b);
    if (n < 0 || (size_t)n >= size)
        return err_set(e, ERR_INPUT, "the path '%s%s' is longer than %zu bytes", a, b, size - 1);
    return 0;
}

static int default_store(const struct engine *en, char out[4096], struct err *e)
{
    if (en->ids.mode == IDMAP_ROOT) return set_path(out, 4096, "/var/lib/dewar", "", e);
    const char *z = env_or(NULL, "XDG_DATA_HOME");
    // A path that depends on the working directory is to be ignored, says the XDG specification.
    if (z && z[0] == '/') return set_path(out, 4096, z, "/dewar", e);
    z = env_or(NULL, "HOME");
    if (z) return set_path(out, 4096, z, "/.local/share/dewar", e);
    err_set(e, ERR_USAGE, "no place for the store: HOME is not set");
    return err_hint(e, "set HOME, XDG_DATA_HOME or DEWAR_STORE");
}

static int find_store(struct engine *en, const char *given, struct err *e)
{
    const char *z = env_or(given, "DEWAR_STORE");
    if (z) return set_path(en->store_path, sizeof en->store_path, z, "", e);
    return default_store(en, en->store_path, e);
}

// However it was named.
static bool is_default_store(const struct engine *en)
{
    char path[4096];
    struct err none = {0};
    struct stat mine, standard;
    if (default_store(en, path, &none) < 0) return false;
    own(fd) int fd = fs_open_dir(AT_FDCWD, path, &none);
    return fd >= 0 && fstat(en->store_fd, &mine) == 0 && fstat(fd, &standard) == 0 &&
           mine.st_dev == standard.st_dev && mine.st_ino == standard.st_ino;
}

// One store has one run folder, whoever names it how: what runs is looked up there.
static int find_run(struct engine *en, const char *given, struct err *e)
{
    const char *z = env_or(given, "DEWAR_RUN");
    if (z) return set_path(en->run_path, sizeof en->run_path, z, "", e);
    if (is_default_store(en)) {
        if (en->ids.mode == IDMAP_ROOT)
            return set_path(en->run_path, sizeof en->run_path, "/run/dewar", "", e);
        z = env_or(NULL, "XDG_RUNTIME_DIR");
        if (z && access(z, W_OK) == 0)
            return set_path(en->run_path, sizeof en->run_path, z, "/dewar", e);
    }
    return set_path(en->run_path, sizeof en->run_path, en->store_path, "/run", e);
}

static int no_folder(struct err *e)
{
    return err_hint(e, "set DEWAR_STORE to a folder of your own on a local disk");
}

// A folder that we would take from others: empty, or laid out by us (a store has blobs/, a run folder
// the log of events and, once a container ran, the boot it is of).
static bool may_be_taken(int fd)
{
    static const char *const marks[] = {"blobs", "events", "boot"};
    struct err ignored;
    struct stat st;
    own(strv) struct strv names = {0};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (fstatat(fd, marks[i], &st, AT_SYMLINK_NOFOLLOW) == 0) return true;
    return fs_list(fd, ".", &names, &ignored) == 0 && names.n == 0;
}

// Opens a private folder. One that others may write to or that is not ours is refused: files in
// it are setuid and belong to many ids.
static int open_private(const char *path, const char *what, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        if (fs_mkdirs(AT_FDCWD, path, 0700, e) < 0) {
            err_wrap(e, "making the %s", what);
            return no_folder(e);
        }
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0) {
        err_sys(e, "open the %s '%s'", what, path);
        return no_folder(e);
    }
    struct stat st;
    if (fstat(fd, &st) != 0 || st.st_uid != geteuid()) {
        close(fd);
        err_set(e, ERR_INPUT, "the %s '%s' belongs to another user", what, path);
        return err_hint(e, "set DEWAR_STORE to a folder of your own");
    }
    if (st.st_mode & 077 && !may_be_taken(fd)) {
        close(fd);
        err_set(e, ERR_INPUT, "'%s' cannot become the %s: it is open to others and not empty", path,
                what);
        return err_hint(e, "name a folder that is empty or not there yet");
    }
    if ((st.st_mode & 077) && fchmod(fd, 0700) != 0) {
        close(fd);
        return err_sys(e, "make the %s '%s' private", what, path);
    }
    return fd;
}

static int make_folders(int fd, struct err *e)
{
    static const char *const folders[] = {"blobs/sha256", "layers", "refs",  "cache",
                                          "containers",   "volumes", "tmp", "trash"};
    if (fs_exists(fd, "trash")) return 0;  // made last: all are there
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        if (fs_mkdirs(fd, folders[i], 0700, e) < 0) return err_wrap(e, "laying out the store");
    return 0;
}

// engine_reopen must find the folder from any working directory.
static int make_absolute(int fd, char path[4096], struct err *e)
{
    own(str) struct str real = {0};
    if (path[0] == '/') return 0;
    if (fs_fd_path(fd, &real) < 0) return err_sys(e, "find the path of '%s'", path);
    return set_path(path, 4096, str_z(&real), "", e);
}

int engine_open(struct engine *en, const struct engine_options *opt, struct err *e)
{
    en->store_fd = en->run_fd = -1;
    if (idmap_plan(&en->ids, e) < 0) return -1;
    idmap_form(&en->ids, en->form);
    if (find_store(en, opt->store, e) < 0) return -1;
    en->store_fd = open_private(en->store_path, "store", e);
    if (en->store_fd < 0 || make_folders(en->store_fd, e) < 0) return -1;
    if (find_run(en, opt->run, e) < 0) return -1;
    en->run_fd = open_private(en->run_path, "run folder", e);
    if (en->run_fd < 0 || make_absolute(en->store_fd, en->store_path, e) < 0) return -1;
    return make_absolute(en->run_fd, en->run_path, e);
}

void engine_close(struct engine *en)
{
    if (en->store_fd > 0) close(en->store_fd);
    if (en->run_fd > 0) close(en->run_fd);
    en->store_fd = en->run_fd = -1;
}

static int reopen(int *fd, const char *path, const char *what, struct err *e)
{
    struct stat was, is;
    own(fd) int again = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (again < 0) return err_sys(e, "open the %s '%s' again", what, path);
    if (fstat(*fd, &was) != 0 || fstat(again, &is) != 0 || was.st_dev != is.st_dev ||
        was.st_ino != is.st_ino)
        return err_set(e, ERR_CONFLICT, "the %s '%s' was replaced meanwhile", what, path);
    close(*fd);
    *fd = take_fd(again);
    return 0;
}

int engine_reopen(struct engine *en, struct err *e)
{
    if (reopen(&en->store_fd, en->store_path, "store", e) < 0) return -1;
    return reopen(&en->run_fd, en->run_path, "run folder", e);
}

int engine_enter(struct engine *en, struct err *e)
{
    if (en->ids.inside) return 0;
    if (idmap_enter(&en->ids, e) < 0) return -1;
    return engine_reopen(en, e);
}

int engine_enter_in(struct engine *en, int userns_fd, struct err *e)
{
    if (en->ids.inside) return 0;
    if (idmap_enter_in(&en->ids, userns_fd, e) < 0) return -1;
    return engine_reopen(en, e);
}

int engine_helper(const char *name, char *out, size_t size, struct err *e)
{
    // bin/dewar -> libexec/dewar/NAME when installed; beside the program in a build folder.
    static const char *const places[] = {"/../libexec/dewar/", "/", "/../sandbox/",
                                         "/../registry/"};
    char self[3000];
    const char *told = getenv(ENGINE_SELF);
    ssize_t n = 0;
    if (told && told[0] == '/')
        n = snprintf(self, sizeof self, "%s", told);
    else
        n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0 || (size_t)n >= sizeof self) return err_sys(e, "find the program's own folder");
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int len = snprintf(out, size, "%s%s%s", self, places[i], name);
        if (len > 0 && (size_t)len < size && access(out, X_OK) == 0) return 0;
    }
    err_set(e, ERR_UNSUPPORTED, "the helper program '%s' is not installed", name);
    return err_hint(e, "it belongs into libexec/dewar beside bin/; run 'make install' again");
}
