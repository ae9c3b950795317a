// SPDX-License-Identifier: Apache-2.0
// `--change` of import: single Dockerfile instructions that only set config. The Dockerfile language
// itself lives in the build room, above this one; here nothing is expanded and nothing continues.
#include <strings.h>

#include "base/num.h"
#include "base/own.h"
#include "image/import.h"

static int bad(struct err *e, const char *line, const char *why)
{
    return err_set(e, ERR_USAGE, "invalid change '%s': %s", line, why);
}

// Words with quotes and backslashes taken away.
static int split_words(struct sv text, const char *line, struct strv *out, struct err *e)
{
    own(str) struct str word = {0};
    char quote = 0;
    bool open = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\\' && quote != '\'' && i + 1 < text.n) {
            str_addc(&word, text.p[++i]);
            open = true;
        } else if (quote ? c == quote : c == '"' || c == '\'') {
            quote = quote ? 0 : c;
            open = true;
        } else if (!quote && (c == ' ' || c == '\t')) {
            if (open) strv_add(out, str_z(&word));
            str_clear(&word);
            open = false;
        } else {
            str_addc(&word, c);
            open = true;
        }
    }
    if (quote) return bad(e, line, "a quote is not closed");
    if (open) strv_add(out, str_z(&word));
    return 0;
}

// ["a", "b"]: 1 and the list; 0 when it is not that form.
static int json_list(struct sv text, struct strv *out)
{
    struct err e = {0};
    own(codec_json) struct codec_json *j = NULL;
    if (text.n == 0 || text.p[0] != '[') return 0;
    if (codec_json_parse(text, "change", &j, &e) < 0) return 0;
    if (codec_json_type(j) != CODEC_JSON_ARRAY) return 0;
    for (size_t i = 0; i < codec_json_len(j); i++) {
        if (codec_json_type(codec_json_at(j, i)) != CODEC_JSON_TEXT) return 0;
    }
    for (size_t i = 0; i < codec_json_len(j); i++) {
        strv_take(out, sv_dup(codec_json_text(codec_json_at(j, i))));
    }
    return 1;
}

static void command(struct sv text, struct strv *out)
{
    strv_fini(out);
    *out = (struct strv){0};
    if (json_list(text, out)) return;
    strv_add(out, "/bin/sh");
    strv_add(out, "-c");
    strv_take(out, sv_dup(text));
}

static int set_cmd(struct oci_image *im, struct sv text, const char *line, struct err *e)
{
    (void)line, (void)e;
    command(text, &im->cmd);
    im->has_cmd = true;
    return 0;
}

static int set_entrypoint(struct oci_image *im, struct sv text, const char *line, struct err *e)
{
    (void)line, (void)e;
    command(text, &im->entrypoint);
    im->has_entrypoint = true;
    return 0;
}

static void put_pair(struct oci_image *im, bool label, const char *key, const char *value)
{
    if (label) {
        im->labels.free_value = free;
        map_set(&im->labels, key, str_dup(value));
    } else {
        oci_env_set(&im->env, key, value);
    }
}

// "K=V K2=V2", or the old "K rest of the line".
static int pairs(struct oci_image *im, bool label, struct sv text, const char *line, struct err *e)
{
    own(strv) struct strv words = {0};
    if (split_words(text, line, &words, e) < 0) return -1;
    if (words.n == 0) return bad(e, line, "it needs a name and a value");
    if (!strchr(words.p[0], '=')) {
        if (words.n < 2) return bad(e, line, "it must have the form NAME=VALUE");
        struct sv rest = sv_trim(sv_from(text, strcspn(text.p, " \t")));
        own(free) char *value = sv_dup(rest);
        put_pair(im, label, words.p[0], value);
        return 0;
    }
    for (size_t i = 0; i < words.n; i++) {
        char *eq = strchr(words.p[i], '=');
        if (!eq || eq == words.p[i]) return bad(e, line, "every word must have the form NAME=VALUE");
        *eq = '\0';
        put_pair(im, label, words.p[i], eq + 1);
    }
    return 0;
}

static int set_env(struct oci_image *im, struct sv text, const char *line, struct err *e)
{
    return pairs(im, false, text, line, e);
}

static int set_label(struct oci_image *im, struct sv text, const char *line, struct err *e)
{
    return pairs(im, true, text, line, e);
}

static bool valid_port(struct sv text)
{
    uint64_t a = 0;
    uint64_t b = 0;
    struct sv rest = text;
    struct sv first = sv_cut(&rest, '-');
    if (!num_u64_max(first, 65535, &a)) return false;
    return !rest.p || (num_u64_max(rest, 65535, &b) && b >= a);
}

static int set_expose(struct oci_image *im, struct sv text, const char *line, struct err *e)
{
    own(strv) struct strv words = {0};
    if (split_words(text, line, &words, e) < 0) return -1;
    for (size_t i = 0; i < words.n; i++) {
        struct sv proto = sv_of(words.p[i]);
        struct sv port = sv_cut(&proto, '/');
        if (!proto.p) proto = SV("tcp");
        bool known = sv_eqz(proto, "tcp") || sv_eqz(proto, "udp") || sv_eqz(proto, "sctp");
        if (!known || !valid_port(port)) return bad(e, line, "a port is NUMBER[/tcp|/udp|/sctp]");
        own(free) char *key =
            str_fmt("%.*s/%.*s", (int)port.n, port.p, (int)proto.n, proto.p);
        map_set(&im->exposed_ports, key, NULL);
    }
    return 0;
}

static int set_volume(struct oci_image *im, struct sv text, const char *line, struct err *e)
{
    own(strv) struct strv words = {0};
    if (!json_list(text, &words) && split_words(text, line, &words, e) < 0) return -1;
    for (size_t i = 0; i < words.n; i++) {
        if (!words.p[i][0]) return bad(e, line, "a volume's path is empty");
        map_set(&im->volumes, words.p[i], NULL);
    }
    return 0;
}

static int set_text(char **field, struct sv text)
{
    free(*field);
    *field = sv_dup(text);
    return 0;
}

static int set_user(struct oci_image *im, struct sv text, const char *line, struct err *e)
{
    (void)line, (void)e;
    return set_text(&im->user, text);
}

static int set_workdir(struct oci_image *im, struct sv text, const char *line, struct err *e)
{
    (void)line, (void)e;
    if (text.p[0] == '/') return set_text(&im->workdir, text);
    const char *base = im->workdir && im->workdir[0] ? im->workdir : "/";
    const char *slash = base[strlen(base) - 1] == '/' ? "" : "/";
    char *joined = str_fmt("%s%s%.*s", base, slash, (int)text.n, text.p);
    free(im->workdir);
    im->workdir = joined;
    return 0;
}

static int set_stop_signal(struct oci_image *im, struct sv text, const char *line, struct err *e)
{
    (void)line, (void)e;
    return set_text(&im->stop_signal, text);
}

static int add_onbuild(struct oci_image *im, struct sv text, const char *line, struct err *e)
{
    (void)line, (void)e;
    strv_take(&im->onbuild, sv_dup(text));
    return 0;
}

static int set_health(struct oci_image *im, struct sv text, const char *line, struct err *e)
{
    strv_fini(&im->health.test);
    memset(&im->health, 0, sizeof im->health);
    im->health.set = true;
    if (sv_eqz(text, "NONE")) {
        strv_add(&im->health.test, "NONE");
        return 0;
    }
    if (!sv_starts(text, "CMD ")) return bad(e, line, "it must be NONE or CMD and a command");
    struct sv cmd = sv_trim(sv_from(text, 4));
    struct strv words = {0};
    strv_add(&im->health.test, json_list(cmd, &words) ? "CMD" : "CMD-SHELL");
    if (words.n == 0) strv_take(&words, sv_dup(cmd));
    strv_add_all(&im->health.test, &words);
    strv_fini(&words);
    return 0;
}

static const struct {
    const char *name;
    int (*apply)(struct oci_image *im, struct sv text, const char *line, struct err *e);
} changes[] = {
    {"CMD", set_cmd},         {"ENTRYPOINT", set_entrypoint}, {"ENV", set_env},
    {"EXPOSE", set_expose},   {"HEALTHCHECK", set_health},    {"LABEL", set_label},
    {"ONBUILD", add_onbuild}, {"STOPSIGNAL", set_stop_signal}, {"USER", set_user},
    {"VOLUME", set_volume},   {"WORKDIR", set_workdir},
};

int image_change_apply(struct oci_image *im, const char *line, struct err *e)
{
    struct sv text = sv_trim(sv_of(line));
    size_t n = 0;
    while (n < text.n && text.p[n] != ' ' && text.p[n] != '\t') n++;
    own(free) char *rest = sv_dup(sv_trim(sv_from(text, n)));
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        if (!sv_eq_nocase(sv_part(text, 0, n), sv_of(changes[i].name))) continue;
        if (!rest[0]) return bad(e, line, "it needs a value");
        return changes[i].apply(im, sv_of(rest), line, e);
    }
    bad(e, line, "unknown instruction");
    return err_hint(e, "known are CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, "
                       "STOPSIGNAL, USER, VOLUME and WORKDIR");
}
