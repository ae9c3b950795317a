// SPDX-License-Identifier: Apache-2.0
// Build checks as a table: a Dockerfile, and the rules that speak up ("Rule:line ...").
#include "harness.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "build/check.h"
#include "build/outline.h"

struct check_case {
    const char *in, *out;
};

static const struct check_case cases[] = {
    {"FROM a\nRUN b\nCMD [\"c\"]", ""},
    {"FROM a AS Base", "StageNameCasing:1"},
    {"FROM a as base", "FromAsCasing:1"},
    {"from a as base", ""},
    {"from a AS base", "FromAsCasing:1"},
    {"FROM a\nRUN b \\\n\n c", "NoEmptyContinuation:3"},
    {"FROM a\nrun b\nUSER c", "ConsistentInstructionCasing:2"},
    {"from a\nrun b\nUSER c", "ConsistentInstructionCasing:3"},
    {"FROM a\nRun b", "ConsistentInstructionCasing:2"},
    {"from a\nuser b", ""},
    {"FROM a AS x\nFROM a AS X", "DuplicateStageName:2 StageNameCasing:2"},
    {"FROM a AS scratch", "ReservedStageName:1"},
    {"FROM a AS context", "ReservedStageName:1"},
    {"FROM a\nCMD b", "JSONArgsRecommended:2"},
    {"FROM a\nENTRYPOINT b", "JSONArgsRecommended:2"},
    {"FROM a\nENTRYPOINT []", ""},
    {"FROM a\nSHELL [\"/bin/bash\",\"-c\"]\nCMD b", ""},
    {"FROM a AS x\nSHELL [\"s\"]\nFROM x\nCMD b", ""},
    {"FROM a\nMAINTAINER b", "MaintainerDeprecated:2"},
    {"FROM $x", "InvalidDefaultArgInFrom:1 UndefinedArgInFrom:1"},
    {"ARG x=a\nFROM $x", ""},
    {"ARG x\nFROM a:$x", "InvalidDefaultArgInFrom:2"},
    {"ARG x\nFROM a:${x:-b}", ""},
    {"ARG x=a\nARG y=$x:b\nFROM $y", ""},
    {"FROM --platform=$BUILDPLATFORM a", ""},
    {"FROM --platform=$BUILDPLATFORMS a", "UndefinedArgInFrom:1"},
    {"FROM --platform=$TARGETPLATFORM a", "RedundantTargetPlatform:1"},
    {"FROM --platform=linux/amd64 a", "FromPlatformFlagConstDisallowed:1"},
    {"FROM scratch\nCOPY $x /", "UndefinedVar:2"},
    {"FROM scratch\nCOPY ${x:-y} /", ""},
    {"FROM scratch\nARG x\nCOPY $x /", ""},
    {"FROM scratch\nENV x=1\nCOPY $x /", ""},
    {"FROM scratch\nENV x=1 y=$z", "UndefinedVar:2"},
    {"FROM scratch\nENV PATH=/x:$PATH", ""},
    {"FROM scratch\nARG HTTP\nENV a=$HTTP_PROXY", ""},
    {"FROM scratch\nCOPY --chown=$x a b", "UndefinedVar:2"},
    {"FROM scratch\nCOPY <<E /x\n$x\nE", "UndefinedVar:2"},
    {"FROM scratch\nCOPY <<'E' /x\n$x\nE", ""},
    {"FROM scratch\nRUN echo $x", ""},
    {"FROM scratch AS b\nENV x=1\nFROM b\nCOPY $x /", ""},
    {"FROM scratch AS b\nENV x=1\nFROM scratch\nCOPY $x /", "UndefinedVar:4"},
    {"FROM debian\nCOPY $CONDA_DIR /", ""},  // the image may set it
    {"FROM debian\nARG VERSION\nCOPY $VERSOIN /", "UndefinedVar:3"},
    {"FROM known\nCOPY $FROM_IMAGE $NOT_THERE /", "UndefinedVar:2"},
    {"FROM a\nWORKDIR b", "WorkdirRelativePath:2"},
    {"FROM a\nWORKDIR /b\nWORKDIR c", ""},
    {"FROM a AS x\nWORKDIR /b\nFROM x\nWORKDIR c", ""},
    {"FROM a\nWORKDIR $HOME/x", ""},
    {"FROM a\nCMD [\"b\"]\nCMD [\"c\"]", "MultipleInstructionsDisallowed:2"},
    {"FROM a\nCMD [\"b\"]\nFROM a\nCMD [\"c\"]", ""},
    {"FROM a\nHEALTHCHECK NONE\nHEALTHCHECK CMD b", "MultipleInstructionsDisallowed:2"},
    {"FROM a\nENTRYPOINT [\"b\"]\nENTRYPOINT [\"c\"]\nENTRYPOINT [\"d\"]",
     "MultipleInstructionsDisallowed:2 MultipleInstructionsDisallowed:3"},
    {"FROM a\nENV b c", "LegacyKeyValueFormat:2"},
    {"FROM a\nLABEL b c", "LegacyKeyValueFormat:2"},
    {"FROM a\nENV API_TOKEN=x", "SecretsUsedInArgOrEnv:2"},
    {"FROM a\nARG db_password", "SecretsUsedInArgOrEnv:2"},
    {"FROM a\nARG SSH_PUBLIC_KEY", ""},
    {"FROM a\nENV KEYBOARD=us TOKENS=1", ""},
    {"FROM a\nLABEL token=x", ""},
    {"FROM a\nCOPY secret.txt .", "CopyIgnoredFile:2"},
    {"FROM a\nCOPY ./d/ .", "CopyIgnoredFile:2"},
    {"FROM a\nCOPY k /x", ""},
    {"FROM a\nCOPY *.txt /x", ""},
    {"FROM a\nCOPY --from=b secret.txt /x", ""},
    {"FROM a\nEXPOSE 80/TCP", "ExposeProtoCasing:2"},
    {"FROM a\nEXPOSE 1:2", "ExposeInvalidFormat:2"},
    {"FROM a\nEXPOSE 80/tcp $p", ""},
    {"# bar\nFROM a AS foo", ""},
    {"# check=experimental=all\n# bar\nFROM a AS foo", "InvalidDefinitionDescription:3"},
    {"# check=experimental=all\n# foo bar\nFROM a AS foo", ""},
    {"# check=experimental=InvalidDefinitionDescription\nFROM a\n# x\nARG b",
     "InvalidDefinitionDescription:4"},
    {"# check=skip=all\nFROM a AS Base\nCMD b", ""},
    {"# check=skip=StageNameCasing, jsonargsrecommended\nFROM a AS Base\nCMD b", ""},
    {"# check=skip=StageNameCasing\nFROM a AS Base\nCMD b", "JSONArgsRecommended:3"},
    {"# check=error=true\nFROM a\nCMD [\"b\"]", ""},
    {"# check=error=true\nFROM a\nCMD b", "JSONArgsRecommended:3 error"},
    {"# check=skip=JSONArgsRecommended;error=true\nFROM a\nCMD b", ""},
};

static bool image_env(void *arg, const char *image, struct strv *out)
{
    (void)arg;
    if (strcmp(image, "known") != 0) return false;
    strv_add(out, "FROM_IMAGE=1");
    return true;
}

static int run(const char *text, struct build_file *f, struct build_check_list *found,
               struct err *e)
{
    own(build_ignore) struct build_ignore ig = {0};
    struct build_check_options opt = {.image_env = image_env, .ignore = &ig};
    memset(f, 0, sizeof *f);
    if (build_ignore_parse(SV("secret*\nd\n"), ".dockerignore", &ig, e) < 0) return -1;
    if (build_dockerfile_parse(sv_of(text), "Dockerfile", f, e) < 0) return -1;
    return build_check_run(f, &opt, found, e);
}

static void rules_speak_up_where_they_should(void **state)
{
    (void)state;
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        own(build_file) struct build_file f;
        own(str) struct str s = {0};
        struct build_check_list found = {0};
        ASSERT_OK(run(cases[i].in, &f, &found, &e));
        vec_each(w, &found.v) str_addf(&s, "%s%s:%u", s.n ? " " : "", w->rule, w->first_line);
        if (found.is_error) str_addz(&s, " error");
        build_check_list_fini(&found);
        if (strcmp(str_z(&s), cases[i].out) == 0) continue;
        bad++;
        print_error("--\n%s\nwanted %s\ngot    %s\n", cases[i].in, cases[i].out, str_z(&s));
    }
    assert_int_equal(bad, 0);
}

static void misspelt_names_get_a_suggestion(void **state)
{
    (void)state;
    struct err e = {0};
    own(build_file) struct build_file f;
    struct build_check_list found = {0};
    ASSERT_OK(run("FROM scratch\nENV VERSION=1\nCOPY $VERSON /", &f, &found, &e));
    assert_int_equal(found.v.n, 1);
    assert_non_null(strstr(found.v.p[0].message, "did you mean $VERSION?"));
    build_check_list_fini(&found);
}

static void a_bad_check_directive_is_an_error(void **state)
{
    (void)state;
    static const char *const bad[] = {"foo=bar", "error=maybe", "skip=a;x", "all"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        own(build_file) struct build_file f;
        own(str) struct str text = {0};
        struct build_check_list found = {0};
        str_addf(&text, "# check=%s\nFROM a\n", bad[i]);
        ASSERT_FAILS(run(str_z(&text), &f, &found, &e), "Dockerfile:1");
    }
}

static void findings_are_printed_with_their_lines(void **state)
{
    (void)state;
    struct err e = {0};
    own(build_file) struct build_file f;
    own(str) struct str s = {0};
    struct build_check_list found = {0};
    ASSERT_OK(run("FROM a\nCMD b\n", &f, &found, &e));
    build_check_print(&f, &found, false, &s);
    assert_non_null(strstr(str_z(&s), "1 warning has been found"));
    assert_non_null(strstr(str_z(&s), "WARNING: JSONArgsRecommended"));
    assert_non_null(strstr(str_z(&s), "   2 | >>> CMD b\n"));
    str_clear(&s);
    build_check_print(&f, &found, true, &s);
    assert_non_null(strstr(str_z(&s), "\"ruleName\": \"JSONArgsRecommended\""));
    build_check_list_fini(&found);
}

static const char *const stages = "# check=skip=all\n"
                                  "# VER version of the base\n"
                                  "ARG VER=12\n"
                                  "ARG UNUSED=1\n"
                                  "# build compiles\n"
                                  "FROM debian:$VER AS build\n"
                                  "# MODE how to compile\n"
                                  "ARG MODE=fast-$VER VER\n"
                                  "RUN --mount=type=secret,id=tok,required x\n"
                                  "FROM alpine AS tests\n"
                                  "ARG NEVER\n"
                                  "RUN --mount=type=ssh x\n"
                                  "# app is what ships\n"
                                  "FROM scratch AS app\n"
                                  "ARG LAST\n"
                                  "COPY --from=0 /a /a\n";

static int outline(const char *target, bool targets, bool json, struct str *out, struct err *e)
{
    own(build_file) struct build_file f = {0};
    if (build_dockerfile_parse(sv_of(stages), "Dockerfile", &f, e) < 0) return -1;
    return targets ? build_outline_print_targets(&f, json, out, e)
                   : build_outline_print(&f, target, json, out, e);
}

static void an_outline_lists_what_the_target_needs(void **state)
{
    (void)state;
    struct err e = {0};
    own(str) struct str s = {0};
    ASSERT_OK(outline(NULL, false, false, &s, &e));
    assert_string_equal(str_z(&s), "TARGET:        app\n"
                                   "DESCRIPTION:   is what ships\n"
                                   "\n"
                                   "BUILD ARG   VALUE     DESCRIPTION\n"
                                   "VER         12        version of the base\n"
                                   "MODE        fast-12   how to compile\n"
                                   "LAST                  \n"
                                   "\n"
                                   "SECRET    REQUIRED\n"
                                   "tok       true\n");
    str_clear(&s);
    ASSERT_OK(outline("TESTS", false, true, &s, &e));
    assert_non_null(strstr(str_z(&s), "\"name\": \"NEVER\""));
    assert_non_null(strstr(str_z(&s), "\"name\": \"default\""));
    assert_null(strstr(str_z(&s), "MODE"));
    ASSERT_FAILS(outline("biuld", false, false, &s, &e), "did you mean 'build'?");
}

static void targets_are_listed_with_descriptions(void **state)
{
    (void)state;
    struct err e = {0};
    own(str) struct str s = {0};
    ASSERT_OK(outline(NULL, true, false, &s, &e));
    assert_string_equal(str_z(&s), "TARGET          DESCRIPTION\n"
                                   "build           compiles\n"
                                   "tests           \n"
                                   "app (default)   is what ships\n");
    str_clear(&s);
    ASSERT_OK(outline(NULL, true, true, &s, &e));
    assert_non_null(strstr(str_z(&s), "\"base\": \"debian:12\""));
    assert_non_null(strstr(str_z(&s), "\"default\": true"));
}

RUN_TESTS("build/check", TEST(rules_speak_up_where_they_should),
          TEST(misspelt_names_get_a_suggestion), TEST(a_bad_check_directive_is_an_error),
          TEST(findings_are_printed_with_their_lines),
          TEST(an_outline_lists_what_the_target_needs), TEST(targets_are_listed_with_descriptions))
