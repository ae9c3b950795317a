// SPDX-License-Identifier: Apache-2.0
// `dewar top` and `dewar port`: a container's processes, and where its ports can be reached.
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/own.h"
#include "base/table.h"
#include "cli/commands.h"
#include "container/watch.h"

static int top(struct cli *c, const void *options, struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(container_top) struct container_top t = {0};
    own(strv) struct strv args = {0};
    own(table) struct table table = {0};
    char id[RECORD_ID];
    (void)options;
    for (int i = 1; i < c->argc; i++) strv_add(&args, c->argv[i]);
    if (cli_engine(c, &en, e) < 0 || record_find(&en, c->argv[0], id, e) < 0 ||
        container_top(&en, id, &args, &t, e) < 0)
        return -1;
    table_init(&table, t.titles.n);
    table.least = 20; // as Docker's
    for (size_t i = 0; i < t.titles.n; i++) table_cell(&table, t.titles.p[i]);
    for (size_t i = 0; i < t.cells.n; i++) table_cell(&table, t.cells.p[i]);
    table_print(&table, &c->out);
    return 0;
}

const struct cli_cmd cli_cmd_top = {
    .path = "top",
    .alias = (const char *const[]){"container top", NULL},
    .usage = "CONTAINER [PS OPTIONS]",
    .help = "Show the processes of a container",
    .more = "They are shown by this machine's ps (-ef unless options are given), with their numbers\n"
            "outside of the container. The container's own programs are not used.",
    .examples = "dewar top web\n"
                "dewar top web -o pid,rss,etime,args",
    .min_words = 1,
    .max_words = -1,
    .stop_at_word = true,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = top,
};

// --- port --------------------------------------------------------------------------------------

// An address of IPv6 stands in brackets.
static void add_frontend(const struct container_port *p, struct str *out)
{
    bool v6 = strchr(p->host_ip, ':') != NULL;
    str_addf(out, "%s%s%s:%u", v6 ? "[" : "", p->host_ip, v6 ? "]" : "", p->host_port);
}

static int by_port(const void *a, const void *b)
{
    const struct container_port *x = a, *y = b;
    if (x->port != y->port) return x->port < y->port ? -1 : 1;
    int c = strcmp(x->protocol, y->protocol);
    return c ? c : strcmp(x->host_ip, y->host_ip);
}

static int print_port(struct cli *c, const struct container_ports *all, const char *text,
                      struct err *e)
{
    struct sv rest = sv_of(text), number = sv_cut(&rest, '/');
    uint64_t port;
    size_t found = 0;
    if (!num_u64_max(number, 65535, &port))
        return err_set(e, ERR_INPUT, "invalid port (%.*s): not a number from 0 to 65535",
                       number.n < 40 ? (int)number.n : 40, number.p);
    vec_each (p, all) {
        if (p->port != port || !sv_eqz(rest.p ? rest : SV("tcp"), p->protocol)) continue;
        add_frontend(p, &c->out);
        str_addc(&c->out, '\n');
        found++;
    }
    if (found) return 0;
    return err_set(e, ERR_NOT_FOUND, "No public port '%.40s' published for %s", text, c->argv[0]);
}

static int port(struct cli *c, const void *options, struct err *e)
{
    own(engine) struct engine en = {.store_fd = -1, .run_fd = -1};
    own(container_ports) struct container_ports all = {0};
    char id[RECORD_ID];
    (void)options;
    if (cli_engine(c, &en, e) < 0 || record_find(&en, c->argv[0], id, e) < 0 ||
        container_ports(&en, id, &all, e) < 0)
        return -1;
    if (all.n) qsort(all.p, all.n, sizeof *all.p, by_port);
    if (c->argc == 2) return print_port(c, &all, c->argv[1], e);
    vec_each (p, &all) {
        str_addf(&c->out, "%u/%s -> ", p->port, p->protocol);
        add_frontend(p, &c->out);
        str_addc(&c->out, '\n');
    }
    return 0;
}

const struct cli_cmd cli_cmd_port = {
    .path = "port",
    .alias = (const char *const[]){"container port", NULL},
    .usage = "CONTAINER [PORT[/PROTOCOL]]",
    .help = "Show where the ports of a container can be reached",
    .examples = "dewar port web\n"
                "dewar port web 80/tcp",
    .min_words = 1,
    .max_words = 2,
    .family = CLI_DOCKER,
    .words = CLI_WORDS_CONTAINERS,
    .run = port,
};
