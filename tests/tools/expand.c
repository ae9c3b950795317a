// SPDX-License-Identifier: Apache-2.0
// expand [-e K=V]... [--escape C] [--words] [--heredoc]: one case a line on stdin; prints its
// expansion, or with --words the words as a JSON array, or "error: ...". A result with newlines is
// printed as it is.
#include <stdio.h>

#include "base/own.h"
#include "build/expand.h"
#include "codec/json.h"
#include "tool.h"

struct setup {
    struct strv env;  // K=V
    char escape;
    bool words, heredoc;
};

static const char *get(void *arg, const char *name)
{
    const struct setup *s = arg;
    size_t n = strlen(name);
    for (size_t i = s->env.n; i-- > 0;) {  // the last one wins
        const char *kv = s->env.p[i];
        if (strncmp(kv, name, n) == 0 && kv[n] == '=') return kv + n + 1;
        if (strcmp(kv, name) == 0) return "";
    }
    return NULL;
}

static void run_case(const struct setup *s, const struct build_expand *x, struct sv line)
{
    struct err e = {0};
    own(str) struct str out = {0};
    own(strv) struct strv words = {0};
    int rc = s->words     ? build_expand_words(x, line, &words, &e)
             : s->heredoc ? build_expand_heredoc(x, line, &out, &e)
                          : build_expand_word(x, line, &out, &e);
    if (rc < 0) {
        str_clear(&out);
        str_addz(&out, "error: ");
        tool_one_line(&e, &out);
    } else if (s->words) {
        struct codec_json *j = codec_json_new_strv(&words);
        codec_json_print(j, &out);
        codec_json_free(j);
    }
    fwrite(str_z(&out), 1, out.n, stdout);
    putchar('\n');
}

static int usage(void)
{
    fprintf(stderr, "usage: expand [-e K=V]... [--escape C] [--words] [--heredoc]\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct setup s = {.escape = '\\'};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-e") == 0 && i + 1 < argc) strv_add(&s.env, argv[++i]);
        else if (strcmp(argv[i], "--escape") == 0 && i + 1 < argc) s.escape = argv[++i][0];
        else if (strcmp(argv[i], "--words") == 0) s.words = true;
        else if (strcmp(argv[i], "--heredoc") == 0) s.heredoc = true;
        else return usage();
    }
    own(str) struct str text = {0};
    if (tool_read_file("-", &text) < 0) return 1;
    struct build_expand x = {.get = get, .arg = &s, .escape = s.escape};
    struct sv rest = str_sv(&text);
    while (rest.n > 0) {
        run_case(&s, &x, sv_cut(&rest, '\n'));
        if (!rest.p) break;
    }
    strv_fini(&s.env);
    return 0;
}
