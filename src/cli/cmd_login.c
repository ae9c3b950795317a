// SPDX-License-Identifier: Apache-2.0
// Commands about a registry as a whole: login, logout, search. They talk to the registry client; a
// password goes to it through a pipe and is never part of an argument, the environment or a
// message.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "cli/commands.h"
#include "codec/json.h"
#include "image/remote.h"

#define HUB "docker.io"
#define PASSWORD_MAX ((size_t)32 << 10) // fits into a pipe
#define ANSWER_MAX ((size_t)4 << 20)

// What a person types for a registry: "host:port", "https://host", and Hub's old URL.
static int parse_server(const char *text, struct oci_ref *out, struct err *e)
{
    struct sv host = sv_of(text);
    if (sv_find(host, '@') >= 0) { // nothing of it is shown: it may be a password
        err_set(e, ERR_INPUT, "the name of a registry holds no user and no password");
        return err_hint(e, "give the user with -u; the password is asked for");
    }
    if (sv_starts(host, "https://")) host = sv_from(host, 8);
    if (sv_starts(host, "http://")) host = sv_from(host, 7);
    static const char *const tails[] = {"/v1/", "/v2/", "/v1", "/v2", "/"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        if (!sv_ends(host, tails[i])) continue;
        host.n -= strlen(tails[i]);
        break;
    }
    struct err mine = {0};
    own(free) char *name = str_fmt("%.*s/x", (int)(host.n < 300 ? host.n : 300), host.p);
    bool slash = host.n && sv_find(host, '/') >= 0;
    bool parsed =
        !slash && oci_ref_parse(sv_of(name), out, &mine) == 0 && strcmp(out->name, "x") == 0;
    if (!parsed && !slash && (sv_eqz(host, HUB) || sv_eqz(host, "index.docker.io")))
        parsed = oci_ref_parse(SV("x"), out, &mine) == 0;
    if (parsed) return 0;
    err_set(e, ERR_INPUT, "'%s' is not the name of a registry", text);
    return err_hint(e, "write host or host:port; a name without a dot needs a port");
}

// --- login --------------------------------------------------------------------------------------

struct login {
    const char *user, *password;
    bool from_stdin, tls_verify;
};
#define AT(member) .offset = OPT_AT(struct login, member)
static const struct opt login_options[] = {
    {"password", 'p', OPT_TEXT, AT(password), .arg = "PASSWORD",
     .help = "The password; others can see it here, so better leave it out"},
    {"password-stdin", 0, OPT_BOOL, AT(from_stdin), .help = "Read the password from stdin"},
    {.name = "tls-verify", CLI_OPT_TLS(struct login, tls_verify)},
    {"username", 'u', OPT_TEXT, AT(user), .arg = "USER", .help = "The user's name"},
};
#undef AT

// To the end of stdin; one line end at the end is not part of it.
static int read_password(struct secret *out, struct err *e)
{
    own(free) char *buf = mem_alloc(PASSWORD_MAX + 2);
    size_t n = 0;
    ssize_t got;
    while ((got = read(STDIN_FILENO, buf + n, PASSWORD_MAX + 2 - n)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) break;
        n += (size_t)got;
        if (n == PASSWORD_MAX + 2) break;
    }
    if (n && buf[n - 1] == '\n') n--;
    if (n && buf[n - 1] == '\r') n--;
    int rc = got < 0 ? err_sys(e, "read the password from stdin") : 0;
    if (rc == 0 && n > PASSWORD_MAX)
        rc = err_set(e, ERR_LIMIT, "the password is longer than %zu bytes", PASSWORD_MAX);
    if (rc == 0) *out = (struct secret){sv_dup((struct sv){buf, n}), n};
    explicit_bzero(buf, PASSWORD_MAX + 2);
    return rc;
}

static int check_login(const struct login *o, struct err *e)
{
    if (o->password && o->from_stdin)
        return err_set(e, ERR_INPUT, "--password and --password-stdin exclude each other");
    if (o->from_stdin && !(o->user && o->user[0]))
        return err_set(e, ERR_INPUT, "--password-stdin needs --username");
    if (o->from_stdin || (o->password && o->user && o->user[0]) || isatty(STDIN_FILENO)) return 0;
    err_set(e, ERR_INPUT, "cannot ask for a user and a password: stdin is not a terminal");
    return err_hint(e, "use --username NAME --password-stdin");
}

static int ask_user(const struct login *o, char out[256], struct err *e)
{
    own(secret) struct secret typed = {0};
    if (!(o->user && o->user[0])) {
        if (cli_ask("Username: ", false, &typed, e) < 0) return -1;
    }
    struct sv user = typed.p ? sv_trim((struct sv){typed.p, typed.n}) : sv_of(o->user);
    if (user.n == 0) return err_set(e, ERR_INPUT, "the user name is empty");
    if (user.n > 255) return err_set(e, ERR_LIMIT, "the user name is longer than 255 bytes");
    memcpy(out, user.p, user.n);
    out[user.n] = '\0';
    return 0;
}

static int get_password(struct cli *c, const struct login *o, struct secret *out, struct err *e)
{
    if (o->password) {
        // It stands in our argument list, which every user of the machine can read: cleared there
        // as soon as we have it, though that may be too late.
        struct sv given = sv_of(o->password);
        *out = (struct secret){sv_dup(given), given.n};
        explicit_bzero((char *)(uintptr_t)o->password, given.n);
        event_warn(&c->sink, "a password on the command line can be seen by others; "
                             "use --password-stdin");
        return 0;
    }
    return o->from_stdin ? read_password(out, e) : cli_ask("Password: ", true, out, e);
}

static int send_login(struct engine *en, struct transfer_request *q, const struct secret *password,
                      struct transfer_reply *out, struct err *e)
{
    own(image_remote) struct image_remote *r = NULL;
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int rd = ends[0];
    own(fd) int wr = ends[1];
    if (fs_write_all(wr, password->p, password->n, e) < 0) return -1; // a pipe holds more
    close(take_fd(wr));
    if (image_remote_open(en, &r, e) < 0) return -1;
    return image_remote_ask(r, q, rd, NULL, NULL, out, e);
}

static int run_login(struct cli *c, const void *options, struct err *e)
{
    const struct login *o = options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(secret) struct secret password = {0};
    struct transfer_request q = {.op = TRANSFER_LOGIN, .flags = TRANSFER_INSECURE};
    struct transfer_reply done = {0};
    if (o->tls_verify) q.flags = 0;
    if (parse_server(c->argc ? c->argv[0] : HUB, &q.ref, e) < 0 || check_login(o, e) < 0) return -1;
    if (ask_user(o, q.user, e) < 0 || get_password(c, o, &password, e) < 0) return -1;
    if (password.n == 0) return err_set(e, ERR_INPUT, "the password is empty");
    if (cli_engine(c, &en, e) < 0 || send_login(&en, &q, &password, &done, e) < 0) return -1;
    done.url[sizeof done.url - 1] = '\0';
    if (done.found) {
        event_warn(&c->sink, "the password is kept as plain text in %s", done.url);
        event_info(&c->sink,
                   "a credential helper keeps it safer: docs/registries.md, section login");
    } else {
        event_info(&c->sink, "the password is kept by %s", done.url);
    }
    str_addz(&c->out, "Login Succeeded\n");
    return 0;
}

const struct cli_cmd cli_cmd_login = {
    .path = "login",
    .usage = "[SERVER]",
    .help = "Log in to a registry",
    .more =
        "Tries the name and the password at the registry (docker.io when none is given) and keeps\n"
        "them where docker, podman and skopeo find them too: in the file or the credential helper\n"
        "that ~/.docker/config.json names. Without -u and a password both are asked for.",
    .examples = "dewar login\n"
                "dewar login -u ada registry.example:5000\n"
                "dewar login -u ada --password-stdin ghcr.io < token.txt",
    CLI_OPTIONS(login_options, struct login),
    .max_words = 1,
    .family = CLI_DOCKER,
    .run = run_login,
};

// --- logout -------------------------------------------------------------------------------------

static int run_logout(struct cli *c, const void *options, struct err *e)
{
    (void)options;
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(image_remote) struct image_remote *r = NULL;
    struct transfer_request q = {.op = TRANSFER_LOGOUT};
    struct transfer_reply done = {0};
    if (parse_server(c->argc ? c->argv[0] : HUB, &q.ref, e) < 0 || cli_engine(c, &en, e) < 0 ||
        image_remote_open(&en, &r, e) < 0 || image_remote_ask(r, &q, -1, NULL, NULL, &done, e) < 0)
        return -1;
    str_addf(&c->out, done.found ? "Removing login credentials for %s\n" : "Not logged in to %s\n",
             q.ref.host);
    return 0;
}

const struct cli_cmd cli_cmd_logout = {
    .path = "logout",
    .usage = "[SERVER]",
    .help = "Log out from a registry",
    .more =
        "Removes the credential for a registry (docker.io when none is given) from every file and\n"
        "credential helper that would be asked for it.",
    .examples = "dewar logout\n"
                "dewar logout registry.example:5000",
    .max_words = 1,
    .family = CLI_DOCKER,
    .run = run_logout,
};

// --- search -------------------------------------------------------------------------------------

struct search {
    const char *format;
    bool no_trunc, tls_verify;
    uint64_t limit;
    struct strv filters;
};
#define AT(member) .offset = OPT_AT(struct search, member)
static const struct opt search_options[] = {
    {"filter", 'f', OPT_LIST, AT(filters), .arg = "KEY=VALUE",
     .help = "Only these: stars=N (at least), is-official=BOOL, is-automated=BOOL"},
    {.name = "format", CLI_OPT_FORMAT(struct search, format)},
    {"limit", 0, OPT_UINT, AT(limit), .initial = "25", .help = "At most so many, 1 to 100"},
    {"no-trunc", 0, OPT_BOOL, AT(no_trunc), .help = "Do not shorten descriptions"},
    {.name = "tls-verify", CLI_OPT_TLS(struct search, tls_verify)},
};
#undef AT

static const struct cli_column search_columns[] = {
    {"NAME", "Name", false},
    {"DESCRIPTION", "Description", false},
    {"STARS", "StarCount", false},
    {"OFFICIAL", "IsOfficial", false},
    {"AUTOMATED", "IsAutomated", true},
    {NULL, NULL, false},
};

enum want {
    ANY,
    NO,
    YES,
};
struct wanted {
    uint64_t stars;
    enum want official, automated;
};

static int parse_filter(const char *text, struct wanted *out, struct err *e)
{
    struct sv value = sv_of(text);
    struct sv key = sv_cut(&value, '=');
    bool yes = value.p && (sv_eqz(value, "true") || sv_eqz(value, "1"));
    bool no = value.p && (sv_eqz(value, "false") || sv_eqz(value, "0"));
    if (sv_eqz(key, "stars") && value.p && num_u64(value, &out->stars)) return 0;
    if (sv_eqz(key, "is-official") && (yes || no)) {
        out->official = yes ? YES : NO;
        return 0;
    }
    if (sv_eqz(key, "is-automated") && (yes || no)) {
        out->automated = yes ? YES : NO;
        return 0;
    }
    err_set(e, ERR_USAGE, "invalid filter '%s'", text);
    return err_hint(e, "write stars=N, is-official=true or is-automated=true");
}

static bool fits(const struct wanted *w, int64_t stars, bool official, bool automated)
{
    if (stars < 0 ? w->stars > 0 : (uint64_t)stars < w->stars) return false;
    if (w->official != ANY && official != (w->official == YES)) return false;
    return w->automated == ANY || automated == (w->automated == YES);
}

// Descriptions hold line ends and are long; 45 characters is what people are used to.
static void add_description(struct sv text, bool whole, struct str *out)
{
    size_t characters = 0;
    for (size_t i = 0; i < text.n; i++) {
        char ch = text.p[i] == '\n' || text.p[i] == '\r' || text.p[i] == '\t' ? ' ' : text.p[i];
        if (!whole && ((unsigned char)ch & 0xc0) != 0x80 && ++characters > 44) {
            str_addz(out, "…");
            return;
        }
        str_addc(out, ch);
    }
}

static struct codec_json *found_object(const struct codec_json *one, const struct wanted *w,
                                       bool whole)
{
    own(str) struct str text = {0};
    own(str) struct str number = {0};
    int64_t stars = codec_json_int(codec_json_get(one, "star_count"));
    bool official = codec_json_bool(codec_json_get(one, "is_official"));
    bool automated = codec_json_bool(codec_json_get(one, "is_automated"));
    struct sv name = codec_json_text(codec_json_get(one, "name"));
    if (name.n == 0 || !fits(w, stars, official, automated)) return NULL;
    add_description(codec_json_text(codec_json_get(one, "description")), whole, &text);
    str_addf(&number, "%lld", (long long)stars);
    struct codec_json *j = codec_json_new_object();
    codec_json_set(j, "Name", codec_json_new_text(name));
    codec_json_set(j, "Description", codec_json_new_text(str_sv(&text)));
    codec_json_set(j, "StarCount", codec_json_new_text(str_sv(&number)));
    codec_json_set_text(j, "IsOfficial", official ? "[OK]" : "");
    codec_json_set_text(j, "IsAutomated", automated ? "[OK]" : "");
    return j;
}

// "localhost:5000/term" asks that registry, anything else Docker Hub.
static int parse_term(const char *text, struct transfer_request *q, struct err *e)
{
    struct sv term = sv_of(text);
    struct sv rest = term;
    struct sv first = sv_cut(&rest, '/');
    struct sv host = SV(HUB);
    own(free) char *server = NULL;
    if (rest.p &&
        (sv_find(first, '.') >= 0 || sv_find(first, ':') >= 0 || sv_eqz(first, "localhost"))) {
        host = first;
        term = rest;
    }
    if (term.n == 0 || term.n >= 256) // what the registry gets
        return err_set(e, ERR_INPUT, "a search term is 1 to 255 bytes long");
    memcpy(q->url, term.p, term.n);
    q->url[term.n] = '\0';
    server = sv_dup(host);
    return parse_server(server, &q->ref, e);
}

static int ask_search(struct cli *c, struct transfer_request *q, struct codec_json **out,
                      struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(image_remote) struct image_remote *r = NULL;
    own(str) struct str text = {0};
    struct transfer_reply done = {0};
    own(fd) int fd = memfd_create("search", MFD_CLOEXEC);
    if (fd < 0) return err_sys(e, "make a file in memory");
    if (cli_engine(c, &en, e) < 0 || image_remote_open(&en, &r, e) < 0 ||
        image_remote_ask(r, q, fd, NULL, NULL, &done, e) < 0)
        return -1;
    if (lseek(fd, 0, SEEK_SET) < 0) return err_sys(e, "lseek");
    if (fs_read_fd(fd, ANSWER_MAX, &text, e) < 0) return -1;
    own(free) char *label = str_fmt("the answer of %s", q->ref.host);
    return codec_json_parse(str_sv(&text), label, out, e);
}

static int run_search(struct cli *c, const void *options, struct err *e)
{
    const struct search *o = options;
    struct wanted w = {0};
    struct transfer_request q = {.op = TRANSFER_SEARCH, .size = o->limit};
    own(codec_json) struct codec_json *answer = NULL;
    if (!o->tls_verify) q.flags = TRANSFER_INSECURE;
    if (o->limit < 1 || o->limit > 100)
        return err_set(e, ERR_USAGE, "--limit is %llu, not 1 to 100", (unsigned long long)o->limit);
    for (size_t i = 0; i < o->filters.n; i++)
        if (parse_filter(o->filters.p[i], &w, e) < 0) return -1;
    if (parse_term(c->argv[0], &q, e) < 0 || ask_search(c, &q, &answer, e) < 0) return -1;
    const struct codec_json *results = codec_json_get(answer, "results");
    own(codec_json) struct codec_json *rows = codec_json_new_array();
    if (codec_json_type(results) != CODEC_JSON_ARRAY)
        return err_set(e, ERR_INPUT, "the answer of %s holds no results", q.ref.host);
    for (size_t i = 0; i < codec_json_len(results) && codec_json_len(rows) < o->limit; i++) {
        struct codec_json *row = found_object(codec_json_at(results, i), &w, o->no_trunc);
        if (row) codec_json_add(rows, row);
    }
    return cli_print_rows(c, rows, search_columns, o->format, e);
}

const struct cli_cmd cli_cmd_search = {
    .path = "search",
    .usage = "TERM",
    .help = "Search a registry for repositories",
    .more =
        "Asks Docker Hub, or the registry that TERM begins with. Registries that cannot search "
        "are\n"
        "asked for the list of what they have. Fields for --format: .Name .Description .StarCount\n"
        ".IsOfficial .IsAutomated.",
    .examples = "dewar search --filter is-official=true python\n"
                "dewar search --limit 5 --format '{{.Name}}' jupyter\n"
                "dewar search localhost:5000/team",
    CLI_OPTIONS(search_options, struct search),
    .min_words = 1,
    .max_words = 1,
    .family = CLI_DOCKER,
    .run = run_search,
};
