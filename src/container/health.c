// SPDX-License-Identifier: Apache-2.0
#include "container/health.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "container/monitor.h"
#include "record/events.h"
#include "record/state.h"

#define SECOND ((int64_t)1000000000)

// --- rules -------------------------------------------------------------------------------------

bool health_settings(const struct record_config *c, struct oci_health *out)
{
    *out = c->health;
    if (!c->health.set || c->health.test.n < 2 || strcmp(c->health.test.p[0], "NONE") == 0)
        return false;
    if (!out->interval_ns) out->interval_ns = 30 * SECOND;
    if (!out->timeout_ns) out->timeout_ns = 30 * SECOND;
    if (!out->start_interval_ns) out->start_interval_ns = 5 * SECOND;
    if (!out->retries) out->retries = 3;
    return true;
}

void health_judge(const struct oci_health *h, int64_t since_start, bool ok, struct record_state *s)
{
    if (ok) {
        s->health_streak = 0;
        s->health = RECORD_HEALTH_HEALTHY;
        return;
    }
    if (s->health == RECORD_HEALTH_STARTING && since_start < h->start_period_ns) return;
    s->health_streak++;
    if (s->health_streak >= h->retries) s->health = RECORD_HEALTH_UNHEALTHY;
}

int64_t health_pause(const struct oci_health *h, int64_t since_start, enum record_health now)
{
    bool starting = now == RECORD_HEALTH_STARTING && since_start < h->start_period_ns;
    return starting && h->start_interval_ns < h->interval_ns ? h->start_interval_ns
                                                             : h->interval_ns;
}

// --- the monitor's part ------------------------------------------------------------------------

static void drop_probe(struct health *h)
{
    own_fd(&h->out_fd);
    h->out_fd = -1;
    h->probe = PROC_NONE;
    h->kill_at = INT64_MAX;
}

void monitor_health_begin(struct monitor *m)
{
    struct oci_health settings;
    struct health *h = &m->health;
    m->state.health = RECORD_HEALTH_NONE;
    m->state.health_streak = 0;
    codec_json_free(h->results);
    *h = (struct health){
        .probe = PROC_NONE, .out_fd = -1, .next_at = INT64_MAX, .kill_at = INT64_MAX};
    h->on = health_settings(m->config, &settings);
    if (!h->on) return;
    m->state.health = RECORD_HEALTH_STARTING;
    h->started_at = clock_mono_ns();
    h->results = codec_json_new_array();
    h->next_at = h->started_at + health_pause(&settings, 0, m->state.health);
}

// One function stands between the monitor and how a program gets into the container: the probe is
// this program again, in a copy that the container cannot write (sealed.h), and joins by itself.
static int start_probe(struct monitor *m, int out)
{
    struct err e;
    own(free) char *store = str_fmt("DEWAR_STORE=%s", m->en->store_path);
    own(free) char *run = str_fmt("DEWAR_RUN=%s", m->en->run_path);
    const char *const argv[] = {"/proc/self/exe", "container", "probe", m->record->id, NULL};
    const char *const env[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", store, run,
                               NULL};
    struct proc_spec spec = {
        .argv = argv, .env = env, .stdin_fd = PROC_NULL, .stdout_fd = out, .stderr_fd = out};
    return proc_start(&spec, &m->health.probe, &e);
}

static void note_result(struct monitor *m, int code, const char *text)
{
    struct health *h = &m->health;
    struct codec_json *row = codec_json_new_object(), *kept = codec_json_new_array();
    own(str) struct str start = {0}, end = {0}, all = {0};
    struct err ignored;
    clock_print_ns(h->began_ns, &start);
    clock_print_ns(clock_real_ns(), &end);
    codec_json_set_text(row, "Start", start.p);
    codec_json_set_text(row, "End", end.p);
    codec_json_set(row, "ExitCode", codec_json_new_int(code));
    codec_json_set(row, "Output", codec_json_new_text(text ? sv_of(text) : str_sv(&h->output)));
    size_t n = codec_json_len(h->results);
    for (size_t i = n >= HEALTH_KEPT ? n - HEALTH_KEPT + 1 : 0; i < n; i++)
        codec_json_add(kept, codec_json_copy(codec_json_at(h->results, i)));
    codec_json_add(kept, row);
    codec_json_free(h->results);
    h->results = kept;
    codec_json_print(kept, &all);
    if (!m->record->rm) fs_replace(m->record->fd, "health", str_sv(&all), 0600, &ignored);
}

static void conclude(struct monitor *m, int code, const char *text)
{
    struct oci_health settings;
    struct health *h = &m->health;
    enum record_health before = m->state.health;
    int64_t now = clock_mono_ns();
    drop_probe(h);
    note_result(m, code, text);
    str_fini(&h->output);
    if (!health_settings(m->config, &settings)) {
        h->on = false;
        return;
    }
    health_judge(&settings, now - h->started_at, code == 0, &m->state);
    h->next_at = now + health_pause(&settings, now - h->started_at, m->state.health);
    monitor_note(m);
    if (m->state.health == before) return;
    own(free) char *action = str_fmt("health_status: %s", record_health_name(m->state.health));
    record_event(m->en, m->config, action, NULL);
}

static void begin_probe(struct monitor *m)
{
    struct oci_health settings;
    struct health *h = &m->health;
    int ends[2];
    h->next_at = INT64_MAX;
    if (!health_settings(m->config, &settings)) return;
    h->began_ns = clock_real_ns();
    h->timed_out = false;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        conclude(m, -1, "no pipe for the probe's output");
        return;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    int rc = start_probe(m, ends[1]);
    close(ends[1]);
    h->out_fd = ends[0];
    if (rc < 0)
        conclude(m, -1, "the probe could not be started");
    else
        h->kill_at = clock_mono_ns() + settings.timeout_ns;
}

static void read_output(struct health *h)
{
    char buf[4096];
    for (;;) {
        ssize_t n = h->out_fd < 0 ? 0 : read(h->out_fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            own_fd(&h->out_fd);
            h->out_fd = -1;
            return;
        }
        size_t room = h->output.n < HEALTH_OUTPUT ? HEALTH_OUTPUT - h->output.n : 0;
        str_add(&h->output, (struct sv){buf, (size_t)n < room ? (size_t)n : room});
    }
}

// With the time as Go writes it: 1m30s, 1.5s, 500ms.
static void conclude_late(struct monitor *m)
{
    own(str) struct str text = {0};
    struct oci_health h;
    health_settings(m->config, &h);
    int64_t ms = h.timeout_ns / 1000000;
    str_addz(&text, "Health check exceeded timeout (");
    if (ms >= 3600000) str_addf(&text, "%lldh", (long long)(ms / 3600000));
    if (ms >= 60000) str_addf(&text, "%lldm", (long long)(ms / 60000 % 60));
    if (ms < 1000)
        str_addf(&text, "%lldms)", (long long)ms);
    else
        str_addf(&text, "%gs)", (double)(ms % 60000) / 1000);
    conclude(m, -1, str_z(&text));
}

void monitor_health_turn(struct monitor *m, bool ended)
{
    struct health *h = &m->health;
    struct err ignored;
    int status = 0;
    int64_t now;
    if (!h->on) return;
    read_output(h);
    now = clock_mono_ns();
    if (h->probe.fd >= 0 && !ended && now >= h->kill_at && !h->timed_out) {
        h->timed_out = true;
        h->kill_at = INT64_MAX;
        proc_kill(&h->probe, SIGKILL);
    }
    if (h->probe.fd >= 0 && ended) {
        int rc = proc_wait(&h->probe, &status, &ignored);
        if (h->timed_out)
            conclude_late(m);
        else
            conclude(m, rc < 0 ? -1 : proc_exit_code(status), NULL);
    } else if (h->probe.fd < 0 && now >= h->next_at && m->alive) {
        if (m->state.status == RECORD_RUNNING)
            begin_probe(m);
        else
            h->next_at = now + SECOND; // paused: it would only time out
    }
}

void monitor_health_end(struct monitor *m)
{
    struct health *h = &m->health;
    struct err ignored;
    int status;
    if (h->probe.fd >= 0) {
        proc_kill(&h->probe, SIGKILL);
        proc_wait(&h->probe, &status, &ignored);
    }
    drop_probe(h);
    str_fini(&h->output);
    // Nobody looks any more, as Docker's inspect has it: whoever waits for "healthy" must not find it.
    if (h->on) m->state.health = RECORD_HEALTH_UNHEALTHY;
    h->on = false;
    h->next_at = INT64_MAX;
}
