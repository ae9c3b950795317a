// SPDX-License-Identifier: Apache-2.0
// What a person has set for Docker's command line in config.json ($DOCKER_CONFIG, else ~/.docker), as
// far as it means something here. Its credentials are the registry client's business.
#include <stdlib.h>

#include "base/event.h"
#include "base/own.h"
#include "cli/commands.h"
#include "codec/json.h"

// A file that is not there, or whose folder may not be entered, says nothing.
static int load(struct cli *c, struct codec_json **out)
{
    struct err bad = {0};
    const char *folder = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
    own(free) char *path = folder && folder[0] ? str_fmt("%s/config.json", folder)
                           : home && home[0]   ? str_fmt("%s/.docker/config.json", home)
                                               : NULL;
    own(str) struct str text = {0};
    if (!path || fs_read_at(AT_FDCWD, path, LIMIT_CONFIG, &text, &bad) < 0) return 0;
    if (codec_json_parse(str_sv(&text), path, out, &bad) == 0) return 1;
    event_warn(&c->sink, "not used: %s", err_cause(&bad));
    return 0;
}

char *cli_detach_keys(struct cli *c, const char *given)
{
    own(codec_json) struct codec_json *j = NULL;
    if (given) return str_dup(given);
    if (load(c, &j) == 0) return NULL;
    struct sv keys = codec_json_text(codec_json_get(j, "detachKeys"));
    return keys.n ? sv_dup(keys) : NULL;
}

// An entry for the daemon that Docker's command line would talk to stands before "default", whole.
static const struct codec_json *proxies_of(const struct codec_json *config)
{
    const char *daemon = getenv("DOCKER_HOST");
    const struct codec_json *all = codec_json_get(config, "proxies");
    const struct codec_json *own =
        codec_json_get(all, daemon && daemon[0] ? daemon : "unix:///var/run/docker.sock");
    return own ? own : codec_json_get(all, "default");
}

void cli_proxies(struct cli *c, struct strv *out)
{
    static const struct {
        const char *key, *names[2];
    } rows[] = {{"httpProxy", {"HTTP_PROXY", "http_proxy"}},
                {"httpsProxy", {"HTTPS_PROXY", "https_proxy"}},
                {"ftpProxy", {"FTP_PROXY", "ftp_proxy"}},
                {"noProxy", {"NO_PROXY", "no_proxy"}},
                {"allProxy", {"ALL_PROXY", "all_proxy"}}};
    own(codec_json) struct codec_json *j = NULL;
    if (load(c, &j) == 0) return;
    const struct codec_json *proxies = proxies_of(j);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct codec_json *value = codec_json_get(proxies, rows[i].key);
        struct sv text = codec_json_text(value);
        if (value && codec_json_type(value) != CODEC_JSON_TEXT)
            event_warn(&c->sink, "not used: '%s' of the proxies in Docker's config.json is no text",
                       rows[i].key);
        for (size_t k = 0; text.n && k < 2; k++)
            strv_take(out, str_fmt("%s=%.*s", rows[i].names[k], (int)text.n, text.p));
    }
}
