// SPDX-License-Identifier: Apache-2.0
// Instructions that only change the image's config: ENV, LABEL, ARG, EXPOSE, USER, WORKDIR, VOLUME,
// STOPSIGNAL, MAINTAINER, HEALTHCHECK, CMD, ENTRYPOINT, SHELL, ONBUILD.
#include <stdlib.h>

#include "base/num.h"
#include "base/own.h"
#include "base/signals.h"
#include "build/instr.h"
#include "build/instr_internal.h"

void build_pair_fini(struct build_pair *v)
{
    free(v->key);
    free(v->value);
    v->key = v->value = NULL;
}

void build_pairs_fini(struct build_pairs *v)
{
    vec_each(p, &v->v) build_pair_fini(p);
    vec_fini(&v->v);
}

static int expand_pair(const struct build_instr *in, const char *key, const char *value,
                       const struct build_expand *x, struct build_pair *out, struct err *e)
{
    struct build_pair p = {0};
    int rc = build_instr_expand(x, key, &p.key, e);
    if (rc == 0 && value) rc = build_instr_expand(x, value, &p.value, e);
    if (rc == 0 && !*p.key) rc = err_set(e, ERR_INPUT, "a name in %s is empty", in->def->name);
    if (rc < 0) {
        build_pair_fini(&p);
        return -1;
    }
    *out = p;
    return 0;
}

int build_instr_arg(const struct build_instr *in, size_t word, const struct build_expand *x,
                    const struct map *given, struct build_pair *out, struct err *e)
{
    struct sv text = sv_of(in->words.p[word]);
    own(free) char *key = sv_dup(sv_cut(&text, '='));
    const char *by_hand = given ? map_get(given, key) : NULL;
    char *value = by_hand ? str_dup(by_hand) : NULL;
    if (!by_hand && text.p && build_instr_expand(x, text.p, &value, e) < 0) return -1;
    *out = (struct build_pair){take_ptr(key), value};
    return 0;
}

int build_instr_pairs(const struct build_instr *in, const struct build_expand *x,
                      struct build_pairs *out, struct err *e)
{
    struct build_pairs all = {0};
    bool arg = in->def->id == BUILD_ARG;
    for (size_t i = 0; i < in->words.n; i += arg ? 1 : 2) {
        struct build_pair p = {0};
        int rc = arg ? build_instr_arg(in, i, x, NULL, &p, e)
                     : expand_pair(in, in->words.p[i], in->words.p[i + 1], x, &p, e);
        if (rc < 0) {
            build_pairs_fini(&all);
            return -1;
        }
        vec_push(&all.v, p);
    }
    *out = all;
    return 0;
}

// EXPOSE

static int bad_port(struct sv spec, const char *why, struct err *e)
{
    err_set(e, ERR_INPUT, "'%.*s' is no port: %s", (int)spec.n, spec.p, why);
    return err_hint(e, "write EXPOSE 8888, 8888/udp or 8000-8010");
}

static bool port_range(struct sv text, uint64_t *lo, uint64_t *hi)
{
    struct sv last = text;
    struct sv first = sv_cut(&last, '-');
    if (!num_u64_max(first, 65535, lo)) return false;
    *hi = *lo;
    if (!last.p) return true;
    return num_u64_max(last, 65535, hi) && *hi >= *lo;
}

// "[ip:][host:]port[-port][/proto]": an address and a host port are read over, as Docker does.
static int add_ports(struct sv spec, struct map *ports, struct err *e)
{
    uint64_t lo = 0, hi = 0;
    long colon = sv_rfind(spec, ':');
    struct sv proto = sv_from(spec, (size_t)(colon + 1));
    struct sv port = sv_cut(&proto, '/');
    if (port.n == 0) return bad_port(spec, "the number is missing", e);
    if (!proto.p || proto.n == 0) proto = SV("tcp");
    static const char *const known[] = {"tcp", "udp", "sctp"};
    const char *name = NULL;
    for (size_t i = 0; i < 3; i++)
        if (sv_eq_nocase(proto, sv_of(known[i]))) name = known[i];
    if (!name) return bad_port(spec, "the protocol must be tcp, udp or sctp", e);
    if (!port_range(port, &lo, &hi))
        return bad_port(spec, "numbers go from 0 to 65535, a range upwards", e);
    for (uint64_t p = lo; p <= hi; p++) {
        char key[32];
        snprintf(key, sizeof key, "%05u/%s", (unsigned)p, name);  // sorts by number
        map_set(ports, key, NULL);
    }
    return 0;
}

int build_instr_expose(const struct build_instr *in, const struct build_expand *x,
                       struct strv *out, struct err *e)
{
    own(strv) struct strv specs = {0};
    own(map) struct map ports = {0};
    for (size_t i = 0; i < in->words.n; i++)
        if (build_expand_words(x, sv_of(in->words.p[i]), &specs, e) < 0) return -1;
    for (size_t i = 0; i < specs.n; i++)
        if (add_ports(sv_of(specs.p[i]), &ports, e) < 0) return -1;
    for (size_t i = 0; i < ports.n; i++) {
        const char *key = ports.p[i].key;
        while (key[0] == '0' && key[1] != '/') key++;
        strv_add(out, key);
    }
    return 0;
}

// USER, WORKDIR, STOPSIGNAL, MAINTAINER

int build_instr_text(const struct build_instr *in, const struct build_expand *x, char **out,
                     struct err *e)
{
    own(free) char *v = NULL;
    if (!in->def->expand) v = str_dup(in->words.p[0]);
    else if (build_instr_expand(x, in->words.p[0], &v, e) < 0) return -1;
    if (in->def->id == BUILD_STOPSIGNAL && signals_number(sv_of(v)) < 0) {
        err_set(e, ERR_INPUT, "'%s' is no signal", v);
        return err_hint(e, "write a name such as SIGTERM or a number from 1 to 64");
    }
    *out = take_ptr(v);
    return 0;
}

int build_instr_volume(const struct build_instr *in, const struct build_expand *x,
                       struct strv *out, struct err *e)
{
    struct strv all = {0};
    for (size_t i = 0; i < in->words.n; i++) {
        own(free) char *v = NULL;
        if (build_instr_expand(x, in->words.p[i], &v, e) < 0) {
            strv_fini(&all);
            return -1;
        }
        struct sv t = sv_trim(sv_of(v));
        if (t.n == 0) {
            strv_fini(&all);
            return err_set(e, ERR_INPUT, "VOLUME takes no empty path");
        }
        strv_take(&all, sv_dup(t));
    }
    strv_add_all(out, &all);
    strv_fini(&all);
    return 0;
}

// HEALTHCHECK

static int health_time(const struct build_instr *in, const char *name, int64_t *out,
                       struct err *e)
{
    const char *text = build_instr_flag(in, name);
    if (!text || !*text) return 0;
    int64_t ns = 0;
    if (num_duration(sv_of(text), &ns, e) < 0) return err_wrap(e, "in --%s", name);
    if (ns != 0 && ns < 1000000) {
        err_set(e, ERR_INPUT, "--%s is '%s', and less than 1ms is not possible", name, text);
        return err_hint(e, "write --%s=30s", name);
    }
    *out = ns;
    return 0;
}

static int health_retries(const struct build_instr *in, int64_t *out, struct err *e)
{
    const char *text = build_instr_flag(in, "retries");
    if (!text || !*text) return 0;
    if (!num_i64(sv_of(text), out) || *out < 0 || *out > INT32_MAX) {
        err_set(e, ERR_INPUT, "--retries is '%s', not a number of 0 or more", text);
        return err_hint(e, "write --retries=3");
    }
    return 0;
}

int build_instr_health(const struct build_instr *in, struct oci_health *out, struct err *e)
{
    struct oci_health h = {.set = true};
    if (health_time(in, "interval", &h.interval_ns, e) < 0 ||
        health_time(in, "timeout", &h.timeout_ns, e) < 0 ||
        health_time(in, "start-period", &h.start_period_ns, e) < 0 ||
        health_time(in, "start-interval", &h.start_interval_ns, e) < 0 ||
        health_retries(in, &h.retries, e) < 0)
        return -1;
    if (in->words.n == 1) {
        h = (struct oci_health){.set = true};
        strv_add(&h.test, "NONE");
    } else {
        strv_add(&h.test, in->json ? "CMD" : "CMD-SHELL");
        for (size_t i = 1; i < in->words.n; i++) strv_add(&h.test, in->words.p[i]);
    }
    *out = h;
    return 0;
}

// CMD, ENTRYPOINT, SHELL

void build_command_fini(struct build_command *v)
{
    strv_fini(&v->words);
    v->json = false;
}

int build_instr_command(const struct build_instr *in, struct build_command *out, struct err *e)
{
    (void)e;  // nothing can be wrong here that the reader let through
    out->json = in->json;
    strv_add_all(&out->words, &in->words);
    if (!in->json && in->words.n == 0) strv_add(&out->words, "");  // the shell gets an empty command
    return 0;
}

// ONBUILD

int build_instr_onbuild(const struct build_instr *in, char **out, struct err *e)
{
    (void)e;
    struct str s = {0};
    struct sv text = sv_trim(sv_of(in->original));
    text = sv_from(text, strlen(in->spelt));
    str_add(&s, sv_trim(text));
    vec_each(h, &in->heredocs)
    {
        str_addc(&s, '\n');
        str_add(&s, (struct sv){h->body, h->body_n});
        str_addz(&s, h->name);
    }
    *out = str_take(&s);
    return 0;
}
