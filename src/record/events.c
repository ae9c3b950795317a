// SPDX-License-Identifier: Apache-2.0
#include "record/events.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"
#include "oci/ref.h"
#include "record/state.h"

#define LABELS_MAX 32768 // bytes of labels in an event; a container with more shows none there

// --- writing -----------------------------------------------------------------------------------

static struct codec_json *attributes_of(const struct record_brief *b, const char *const *more)
{
    struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "image", b->image);
    codec_json_set_text(j, "name", b->name);
    for (; more && more[0] && more[1]; more += 2) codec_json_set_text(j, more[0], more[1]);
    return j;
}

void record_event_brief(struct engine *en, const struct record_brief *b, const char *action,
                        const char *const *more)
{
    store_event_with(en, "container", action, b->id, attributes_of(b, more));
}

void record_event(struct engine *en, const struct record_config *c, const char *action,
                  const char *const *more)
{
    struct codec_json *j = attributes_of(&c->brief, more);
    size_t n = 0;
    vec_each (l, &c->labels) n += strlen(l->key) + strlen(l->value);
    // A label must not take the place of what the engine says.
    for (size_t i = 0; n <= LABELS_MAX && i < c->labels.n; i++)
        if (!codec_json_get(j, c->labels.p[i].key))
            codec_json_set_text(j, c->labels.p[i].key, c->labels.p[i].value);
    store_event_with(en, "container", action, c->brief.id, j);
}

// --- filters -----------------------------------------------------------------------------------

static struct sv text_of(const struct codec_json *event, const char *key)
{
    return codec_json_text(codec_json_get(event, key));
}

static const struct codec_json *attributes(const struct codec_json *event)
{
    return codec_json_get(codec_json_get(event, "Actor"), "Attributes");
}

static bool is_type(const struct codec_json *event, const char *value)
{
    return sv_eqz(text_of(event, "Type"), value);
}

static bool is_scope(const struct codec_json *event, const char *value)
{
    return sv_eqz(text_of(event, "scope"), value);
}

// Actions with more behind a colon are meant by the word alone as well.
static bool is_action(const struct codec_json *event, const char *value)
{
    static const char *const families[] = {"health_status", "exec_create", "exec_start"};
    struct sv action = text_of(event, "Action");
    if (sv_eqz(action, value)) return true;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(value, families[i]) == 0) return sv_starts(action, value);
    return false;
}

static bool names_actor(const struct codec_json *event, const char *type, const char *value)
{
    struct sv id = text_of(codec_json_get(event, "Actor"), "ID");
    return is_type(event, type) && value[0] &&
           (sv_starts(id, value) || sv_starts(text_of(attributes(event), "name"), value));
}

static bool is_container(const struct codec_json *event, const char *value)
{
    return names_actor(event, "container", value + (value[0] == '/'));
}

static bool is_volume(const struct codec_json *event, const char *value)
{
    return names_actor(event, "volume", value);
}

static bool is_network(const struct codec_json *event, const char *value)
{
    return names_actor(event, "network", value);
}

static bool is_image_text(struct sv text, const char *value)
{
    struct oci_ref ref;
    struct err ignored;
    own(str) struct str repository = {0};
    if (text.n == 0) return false;
    if (sv_eqz(text, value)) return true;
    if (sv_starts(text, "sha256:")) return strlen(value) >= 12 && sv_starts(sv_from(text, 7), value);
    if (oci_ref_parse(text, &ref, &ignored) < 0) return false;
    oci_ref_print_repository(&ref, &repository);
    return sv_eqz(str_sv(&repository), value);
}

static bool is_image(const struct codec_json *event, const char *value)
{
    bool image = is_type(event, "image");
    struct sv id = text_of(codec_json_get(event, "Actor"), "ID");
    return (image && is_image_text(id, value)) ||
           is_image_text(text_of(attributes(event), image ? "name" : "image"), value);
}

static bool has_label(const struct codec_json *event, const char *value)
{
    struct sv rest = sv_of(value), key = sv_cut(&rest, '=');
    own(free) char *name = sv_dup(key);
    const struct codec_json *have = codec_json_get(attributes(event), name);
    return have && (!rest.p || sv_eq(codec_json_text(have), rest));
}

static bool is_other(const struct codec_json *event, const char *value)
{
    (void)event, (void)value;
    return false;
}

static const struct filter {
    const char *key;
    bool (*fits)(const struct codec_json *event, const char *value);
    bool every; // all values must fit
} filters[] = {
    {"container", is_container, false}, {"event", is_action, false},
    {"image", is_image, false},         {"label", has_label, true},
    {"network", is_network, false},     {"scope", is_scope, false},
    {"type", is_type, false},           {"volume", is_volume, false},
    {"config", is_other, false},        {"daemon", is_other, false},
    {"node", is_other, false},          {"plugin", is_other, false},
    {"secret", is_other, false},        {"service", is_other, false},
};
#define FILTERS (sizeof filters / sizeof *filters)

static const char *value_for(const struct filter *f, const char *text)
{
    size_t n = strlen(f->key);
    return strncmp(text, f->key, n) == 0 && text[n] == '=' ? text + n + 1 : NULL;
}

static int check_filters(const struct strv *texts, struct err *e)
{
    for (size_t i = 0; texts && i < texts->n; i++) {
        size_t k = 0;
        while (k < FILTERS && !value_for(&filters[k], texts->p[i])) k++;
        if (k < FILTERS) continue;
        own(str) struct str all = {0};
        for (k = 0; k < FILTERS; k++) str_addf(&all, "%s%s", k ? ", " : "", filters[k].key);
        err_set(e, ERR_USAGE, "invalid filter '%s'", texts->p[i]);
        return err_hint(e, "it is KEY=VALUE; the keys are %s", str_z(&all));
    }
    return 0;
}

static bool fits(const struct strv *texts, const struct codec_json *event)
{
    for (size_t k = 0; texts && k < FILTERS; k++) {
        size_t asked = 0, fit = 0;
        for (size_t i = 0; i < texts->n; i++) {
            const char *value = value_for(&filters[k], texts->p[i]);
            if (!value) continue;
            asked++;
            fit += filters[k].fits(event, value);
        }
        if (asked && (filters[k].every ? fit < asked : fit == 0)) return false;
    }
    return true;
}

// --- the verb ----------------------------------------------------------------------------------

struct watch {
    const struct record_events_options *o;
    int (*each)(void *arg, const struct codec_json *event, struct err *e);
    void *arg;
};

static int show_line(const struct watch *w, struct sv line, struct err *e)
{
    own(codec_json) struct codec_json *event = NULL;
    struct err torn;
    if (codec_json_parse(line, "an event", &event, &torn) < 0) return 0;
    int64_t at = codec_json_int(codec_json_get(event, "timeNano"));
    if (at <= 0 || !text_of(event, "Type").n || (w->o->has_since && at < w->o->since_ns) ||
        (w->o->has_until && at > w->o->until_ns) || !fits(w->o->filters, event))
        return 0;
    return w->each(w->arg, event, e);
}

// Waits for a change of the log, the end or, at most, a second: no notice is worth waiting for
// ever, and the clock may be set.
static bool await(const struct watch *w, int inotify)
{
    char buf[4096];
    int64_t left = 1000;
    if (w->o->has_until) {
        left = (w->o->until_ns - clock_real_ns()) / 1000000 + 1;
        if (left > 1000) left = 1000;
    }
    if (left <= 0) return false;
    struct pollfd p[2] = {{.fd = inotify, .events = POLLIN}, {.fd = w->o->gone_fd}};
    if (poll(p, 2, inotify < 0 && left > 200 ? 200 : (int)left) < 0) return errno == EINTR;
    while (inotify >= 0 && read(inotify, buf, sizeof buf) > 0) continue;
    return !(p[1].revents & (POLLERR | POLLHUP));
}

static bool is_over(const struct watch *w)
{
    return w->o->has_until && clock_real_ns() >= w->o->until_ns;
}

int record_events(struct engine *en, const struct record_events_options *o,
                  int (*each)(void *arg, const struct codec_json *event, struct err *e), void *arg,
                  struct err *e)
{
    const struct watch w = {o, each, arg};
    own(store_event_reader) struct store_event_reader r = STORE_EVENT_READER_NONE;
    struct sv line;
    char path[64];
    if (check_filters(o->filters, e) < 0) return -1;
    if (o->has_since && o->has_until && o->since_ns > o->until_ns)
        return err_set(e, ERR_USAGE, "--since cannot be after --until");
    // Without one (there is a limit to them) we look now and then.
    own(fd) int inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    snprintf(path, sizeof path, "/proc/self/fd/%d", en->run_fd);
    if (inotify >= 0 && inotify_add_watch(inotify, path, IN_MODIFY | IN_CREATE | IN_MOVE) < 0) {
        close(inotify);
        inotify = -1;
    }
    if (!o->has_since && !o->has_until) store_event_skip(en, &r);
    do {
        bool over = is_over(&w);
        while (store_event_next(en, &r, &line))
            if (line.n && show_line(&w, line, e) < 0) return -1;
        if (over) return 0;
    } while (await(&w, inotify) || is_over(&w));
    return 0;
}
