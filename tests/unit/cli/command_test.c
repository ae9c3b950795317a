// SPDX-License-Identifier: Apache-2.0
// The table of commands is walked: what help, manual pages and completion need is there for each.
#include <ctype.h>
#include <string.h>

#include "base/own.h"
#include "cli/internal.h"
#include "harness.h"

static void each_command_has_help_and_an_example(void **state)
{
    (void)state;
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_cmd *cmd = cli_commands[i];
        print_message("# %s\n", cmd->path);
        assert_true(cmd->path[0] && cmd->usage && cmd->run);
        assert_true(isupper((unsigned char)cmd->help[0]));
        assert_true(cmd->help[strlen(cmd->help) - 1] != '.');
        assert_non_null(strstr(cmd->examples, "dewar"));
        assert_true(cmd->max_words < 0 || cmd->min_words <= cmd->max_words);
        assert_true((cmd->options_n > 0) == (cmd->options_size > 0));
        for (size_t k = 0; k < i; k++) assert_ptr_not_equal(cmd, cli_commands[k]);
    }
}

static void each_option_can_be_told_from_the_others(void **state)
{
    (void)state;
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_cmd *cmd = cli_commands[i];
        for (size_t k = 0; k < cmd->options_n; k++) {
            const struct opt *o = &cmd->options[k];
            print_message("# %s --%s\n", cmd->path, o->name);
            assert_true(strlen(o->name) > 1 && o->name[0] != '-');
            assert_true(o->help && o->help[0]);
            assert_true(o->help[strlen(o->help) - 1] != '.');
            assert_true(o->offset < cmd->options_size);
            assert_true(o->type != OPT_ENUM || o->choices);
            for (size_t m = 0; m < k; m++) {
                assert_string_not_equal(o->name, cmd->options[m].name);
                assert_true(!o->letter || o->letter != cmd->options[m].letter);
            }
        }
    }
}

static void each_name_leads_to_its_command(void **state)
{
    (void)state;
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_cmd *cmd = cli_commands[i];
        for (size_t k = 0; k == 0 || (cmd->alias && cmd->alias[k - 1]); k++) {
            char *words[8];
            int n = 0, used;
            struct sv rest = sv_of(k == 0 ? cmd->path : cmd->alias[k - 1]);
            while (rest.p) words[n++] = sv_dup(sv_cut(&rest, ' '));
            words[n] = str_dup("more");
            assert_ptr_equal(cli_find(n + 1, words, &used), cmd);
            assert_int_equal(used, n);
            if (n > 1) assert_non_null(cli_find_group(words[0]));
            while (n >= 0) free(words[n--]);
        }
    }
}

static void each_defaults_are_values_of_their_options(void **state)
{
    (void)state;
    for (size_t i = 0; cli_commands[i]; i++) {
        const struct cli_cmd *cmd = cli_commands[i];
        struct err e = {0};
        own(free) void *options = mem_alloc(cmd->options_size);
        const struct opt_table table = {cmd->options, cmd->options_n};
        ASSERT_OK(opt_defaults(&table, options, &e));
        opt_fini(&table, options);
    }
}

static void each_has_a_help_page_and_a_manual_page(void **state)
{
    (void)state;
    const struct cli c = {.program = "dewar"};
    for (size_t i = 0; cli_commands[i]; i++) {
        own(str) struct str help = {0};
        own(str) struct str man = {0};
        cli_help_command(&c, cli_commands[i], 80, &help);
        cli_man_command(cli_commands[i], &man);
        assert_non_null(strstr(help.p, "Usage:  dewar "));
        assert_non_null(strstr(help.p, "\nExamples:\n"));
        assert_non_null(strstr(man.p, ".SH EXAMPLES"));
        for (size_t k = 0; k < cli_commands[i]->options_n; k++) {
            own(free) char *flag = str_fmt("--%s", cli_commands[i]->options[k].name);
            if (!cli_commands[i]->options[k].hidden) assert_non_null(strstr(help.p, flag));
        }
    }
}

static void wrong_names_lead_to_the_nearest(void **state)
{
    (void)state;
    int used;
    char *words[] = {(char[]){"imgaes"}, NULL};
    assert_null(cli_find(1, words, &used));
    assert_string_equal(cli_nearest("imgaes"), "images");
    assert_string_equal(cli_nearest("hsitory"), "history");
    assert_null(cli_nearest("qqqqqq"));
}

RUN_TESTS("cli/command", TEST(each_command_has_help_and_an_example),
          TEST(each_option_can_be_told_from_the_others), TEST(each_name_leads_to_its_command),
          TEST(each_defaults_are_values_of_their_options),
          TEST(each_has_a_help_page_and_a_manual_page), TEST(wrong_names_lead_to_the_nearest))
