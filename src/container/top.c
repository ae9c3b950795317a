// SPDX-License-Identifier: Apache-2.0
// `top`: ps runs outside, with the caller's rights, and knows nothing of containers; which of its
// lines are shown is decided by the process numbers alone.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "base/proc.h"
#include "container/procs.h"
#include "container/watch.h"
#include "record/events.h"
#include "record/state.h"

#define PS_MAX ((size_t)64 << 20)

// --- what ps is told ---------------------------------------------------------------------------

// A column that is only called PID would decide which lines are shown.
static int check_args(const struct strv *args, struct err *e)
{
    for (size_t i = 0; i < args->n; i++) {
        struct sv rest = sv_of(args->p[i]);
        while (rest.p) {
            struct sv title = sv_cut(&rest, ','), key = sv_cut(&title, '=');
            if (title.p && title.n == 0 && i + 1 < args->n) title = sv_of(args->p[i + 1]);
            bool named = title.p && sv_starts(sv_trim(title), "PID");
            if (named && !sv_eqz(sv_trim(key), "pid") && !sv_eqz(key, "-opid"))
                return err_set(e, ERR_USAGE, "specifying \"%.*s=%.*s\" is not allowed", (int)key.n,
                               key.p, (int)title.n, title.p);
        }
    }
    return 0;
}

static void add_pids(const struct container_procs *procs, struct strv *out)
{
    struct str text = {0};
    str_addz(&text, "-q");
    vec_each (p, procs) str_addf(&text, "%s%d", p == procs->p ? "" : ",", (int)p->pid);
    strv_take(out, str_take(&text));
}

// The first line that ps said on stderr.
static int ps_failed(int said, int status, struct err *e)
{
    struct err unread;
    own(str) struct str text = {0};
    own(str) struct str line = {0};
    if (lseek(said, 0, SEEK_SET) == 0) fs_read_fd(said, 65536, &text, &unread);
    struct sv rest = sv_trim(str_sv(&text));
    str_add_escaped(&line, sv_cut(&rest, '\n'));
    if (line.n) return err_set(e, ERR_INPUT, "%.300s", line.p);
    return err_set(e, ERR_INPUT, "ps ended with status %d", proc_exit_code(status));
}

// 0 with its output in *out; 1 when it ended badly.
static int run_ps(const struct strv *words, int said, struct str *out, int *out_status,
                  struct err *e)
{
    const char **argv = mem_alloc((words->n + 2) * sizeof *argv);
    argv[0] = "ps";
    for (size_t i = 0; i < words->n; i++) argv[i + 1] = words->p[i];
    const struct proc_spec spec = {
        .argv = argv, .search_path = true, .stdin_fd = PROC_NULL, .stderr_fd = said};
    str_clear(out);
    int rc = proc_read(&spec, PS_MAX, out, out_status, e);
    free(argv);
    if (rc < 0 && e->sys == ENOENT) err_hint(e, "install ps on this machine: package procps");
    return rc < 0 ? -1 : *out_status != 0;
}

static int ask_ps(const struct strv *args, const struct container_procs *procs, struct str *out,
                  struct err *e)
{
    own(strv) struct strv words = {0};
    int status = 0;
    own(fd) int said = memfd_create("ps", MFD_CLOEXEC);
    if (said < 0) return err_sys(e, "make a file in memory");
    if (args->n)
        strv_add_all(&words, args);
    else
        strv_add(&words, "-ef");
    add_pids(procs, &words);
    int rc = run_ps(&words, PROC_NULL, out, &status, e);
    if (rc <= 0) return rc;
    // Some options do not go together with -q: then it tells of all.
    free(words.p[--words.n]);
    rc = run_ps(&words, said, out, &status, e);
    return rc > 0 ? ps_failed(said, status, e) : rc;
}

// --- what ps says ------------------------------------------------------------------------------

static bool next_word(struct sv *rest, struct sv *out)
{
    *rest = sv_trim(*rest);
    size_t n = 0;
    while (n < rest->n && !strchr(" \t\v\f\r", rest->p[n])) n++;
    *out = sv_part(*rest, 0, n);
    *rest = sv_from(*rest, n);
    return n > 0;
}

static void add_row(struct sv line, size_t columns, struct strv *cells)
{
    struct sv word;
    for (size_t i = 0; i + 1 < columns; i++)
        strv_take(cells, next_word(&line, &word) ? sv_dup(word) : str_dup(""));
    strv_take(cells, sv_dup(sv_trim(line)));
}

static struct sv word_at(struct sv line, size_t index)
{
    struct sv word = {0};
    for (size_t i = 0; i <= index; i++)
        if (!next_word(&line, &word)) return (struct sv){0};
    return word;
}

int container_top_parse(struct sv text, bool (*has)(const void *arg, pid_t pid), const void *arg,
                        struct container_top *out, struct err *e)
{
    struct sv word, titles = sv_cut(&text, '\n');
    while (next_word(&titles, &word)) strv_take(&out->titles, sv_dup(word));
    long column = strv_find(&out->titles, "PID");
    if (column < 0) {
        err_set(e, ERR_INPUT, "couldn't find PID field in ps output");
        return err_hint(e, "let ps show the process numbers, as in: -o pid,comm");
    }
    bool shown = false;
    while (text.p && text.n) {
        struct sv line = sv_cut(&text, '\n');
        struct sv number = word_at(line, (size_t)column);
        uint64_t pid;
        if (number.n == 0) continue;
        if (!sv_eqz(number, "-")) { // a thread of the line before
            if (!num_u64_max(number, INT32_MAX, &pid))
                return err_set(e, ERR_INPUT, "unexpected pid '%.*s' in ps output",
                               number.n < 40 ? (int)number.n : 40, number.p);
            shown = has(arg, (pid_t)pid);
        }
        if (shown) add_row(line, out->titles.n, &out->cells);
    }
    return 0;
}

// --- the verb ----------------------------------------------------------------------------------

struct both {
    const struct container_procs *before, *after;
};

// A number that became somebody else's while ps ran was not there before, or is not after.
static bool in_both(const void *arg, pid_t pid)
{
    const struct both *b = arg;
    return container_procs_has(b->before, pid) && container_procs_has(b->after, pid);
}

int container_top(struct engine *en, const char *id, const struct strv *ps_args,
                  struct container_top *out, struct err *e)
{
    struct record_state s;
    own(record_config) struct record_config c = {0};
    own(container_procs) struct container_procs before = {0}, after = {0};
    own(str) struct str text = {.max = PS_MAX};
    struct err gone;
    if (check_args(ps_args, e) < 0 || record_sweep(en, e) < 0 ||
        record_state_load(en, id, &s, e) < 0 || record_config_load(en, id, &c, e) < 0)
        return -1;
    if (s.status == RECORD_RESTARTING)
        return err_set(e, ERR_CONFLICT,
                       "Container %s is restarting, wait until the container is running", id);
    if (s.status != RECORD_RUNNING && s.status != RECORD_PAUSED)
        return err_set(e, ERR_CONFLICT, "container %s is not running", id);
    if (container_procs_find(&c, &s, &before, e) < 0) return -1;
    if (ask_ps(ps_args, &before, &text, e) < 0) return -1;
    // When it has ended meanwhile, what ps saw is the last that there is to see.
    bool ended = container_procs_find(&c, &s, &after, &gone) < 0;
    const struct both b = {&before, ended ? &before : &after};
    if (container_top_parse(str_sv(&text), in_both, &b, out, e) < 0) return -1;
    record_event(en, &c, "top", NULL);
    return 0;
}
