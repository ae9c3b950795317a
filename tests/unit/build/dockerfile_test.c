// SPDX-License-Identifier: Apache-2.0
// The Dockerfile reader as tables: text in; instructions in a short form, or the error, out.
// Short form: NAME [--flag]... 'word'... {heredoc=body}... @first-last, J before a JSON form,
// sub-instructions in parentheses, instructions joined by "; ".
#include "harness.h"

#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "build/dockerfile.h"

static void show(const struct build_instr *in, struct str *out, bool lines)
{
    str_addz(out, in->def->name);
    vec_each(f, &in->flags)
    {
        str_addf(out, " [--%s", f->def->name);
        str_addf(out, f->bare ? "]" : "=%s]", f->value);
    }
    if (in->json) str_addz(out, " J");
    for (size_t i = 0; i < in->words.n; i++) str_addf(out, " '%s'", in->words.p[i]);
    if (in->sub) {
        str_addz(out, " (");
        show(in->sub, out, false);
        str_addz(out, ")");
    }
    vec_each(h, &in->heredocs)
    {
        str_addf(out, " {%s%s%s=%s}", h->strip_tabs ? "-" : "", h->expand ? "" : "!", h->name,
                 h->body);
    }
    if (lines) str_addf(out, " @%u-%u", in->first_line, in->last_line);
}

struct parse_case {
    const char *in, *out;
};

static const struct parse_case good[] = {
    // lines, comments, continuation
    {"FROM a", "FROM 'a' @1-1"},
    {"FROM a\n", "FROM 'a' @1-1"},
    {"from a", "FROM 'a' @1-1"},
    {"FrOm a", "FROM 'a' @1-1"},
    {"\n\nFROM a\n\n", "FROM 'a' @3-3"},
    {"  \tFROM  a  ", "FROM 'a' @1-1"},
    {"\xef\xbb\xbf" "FROM a", "FROM 'a' @1-1"},
    {"FROM a\r\nRUN b\r\n", "FROM 'a' @1-1; RUN 'b' @2-2"},
    {"RUN a \\\r\n  b\r\n", "RUN 'a   b' @1-2"},
    {"# c\nFROM a", "FROM 'a' @2-2"},
    {"  # c\nFROM a", "FROM 'a' @2-2"},
    {"FROM a # c", NULL},  // five words
    {"RUN a # c", "RUN 'a # c' @1-1"},
    {"RUN a \\\n b", "RUN 'a  b' @1-2"},
    {"RUN a\\\nb", "RUN 'ab' @1-2"},
    {"RUN a \\  \t\n b", "RUN 'a  b' @1-2"},
    {"RUN a \\\n# c\n b", "RUN 'a  b' @1-3"},
    {"RUN a \\\n  # c\n b", "RUN 'a  b' @1-3"},
    {"RUN a \\\n# c \\\n b", "RUN 'a  b' @1-3"},
    {"RUN a \\\n\n b", "RUN 'a  b' @1-3"},
    {"RUN a \\\n  \t\n b", "RUN 'a  b' @1-3"},
    {"RUN a \\\n", "RUN 'a' @1-1"},
    {"RUN a \\", "RUN 'a' @1-1"},
    {"RUN a \\\\\nRUN b", "RUN 'a \\\\' @1-1; RUN 'b' @2-2"},
    {"RUN a \\\\\\\nRUN b", "RUN 'a \\\\\\' @1-1; RUN 'b' @2-2"},
    {"RUN a \\ x\nRUN b", "RUN 'a \\ x' @1-1; RUN 'b' @2-2"},
    {"RUN a \\\n b \\\n c\nRUN d", "RUN 'a  b  c' @1-3; RUN 'd' @4-4"},
    {"RUN \\\n a", "RUN 'a' @1-2"},
    {"\\\nRUN a", "RUN 'a' @1-2"},
    {"RUN a\n\tRUN b", "RUN 'a' @1-1; RUN 'b' @2-2"},
    {"RUN\ta", "RUN 'a' @1-1"},
    {"RUN a\x0c", "RUN 'a' @1-1"},
    // directives
    {"# escape=`\nRUN a `\n b", "RUN 'a  b' @2-3"},
    {"# escape=`\nRUN a \\\nRUN b", "RUN 'a \\' @2-2; RUN 'b' @3-3"},
    {"#escape=`\nRUN a `\n b", "RUN 'a  b' @2-3"},
    {"# ESCAPE = ` \nRUN a `\n b", "RUN 'a  b' @2-3"},
    {"# escape=\\\nRUN a \\\n b", "RUN 'a  b' @2-3"},
    {"# syntax=x\n# escape=`\nRUN a `\n b", "RUN 'a  b' @3-4"},
    {"# c\n# escape=`\nRUN a \\\n b", "RUN 'a  b' @3-4"},
    {"\n# escape=`\nRUN a \\\n b", "RUN 'a  b' @3-4"},
    {"# foo=bar\n# escape=`\nRUN a \\\n b", "RUN 'a  b' @3-4"},
    {"RUN x\n# escape=`\nRUN a \\\n b", "RUN 'x' @1-1; RUN 'a  b' @3-4"},
    {"# escape\n# escape=`\nRUN a \\\n b", "RUN 'a  b' @3-4"},
    {"# syntax=docker/dockerfile:1.7-labs\nFROM a", "FROM 'a' @2-2"},
    {"# check=skip=all;error=true\nFROM a", "FROM 'a' @2-2"},
    // flags
    {"RUN --mount=type=bind,target=/x a", "RUN [--mount=type=bind,target=/x] 'a' @1-1"},
    {"RUN --mount=a --mount=b c", "RUN [--mount=a] [--mount=b] 'c' @1-1"},
    {"RUN --network=none --security=sandbox c",
     "RUN [--network=none] [--security=sandbox] 'c' @1-1"},
    {"RUN a --mount=x", "RUN 'a --mount=x' @1-1"},
    {"RUN -- --mount=x", "RUN '--mount=x' @1-1"},
    {"RUN --network=none -- --x", "RUN [--network=none] '--x' @1-1"},
    {"RUN --mount=\"type=bind,target=/a b\" c", "RUN [--mount=type=bind,target=/a b] 'c' @1-1"},
    {"RUN --mount='a b' c", "RUN [--mount=a b] 'c' @1-1"},
    {"RUN --mount=a\\ b c", "RUN [--mount=a b] 'c' @1-1"},
    {"RUN --mount=a \\\n --mount=b c", "RUN [--mount=a] [--mount=b] 'c' @1-2"},
    {"COPY --link a b", "COPY [--link] 'a' 'b' @1-1"},
    {"COPY --link=false a b", "COPY [--link=false] 'a' 'b' @1-1"},
    {"COPY --link=TRUE a b", "COPY [--link=true] 'a' 'b' @1-1"},
    {"COPY --from=x --chown=a:b --chmod=755 a b",
     "COPY [--from=x] [--chown=a:b] [--chmod=755] 'a' 'b' @1-1"},
    {"COPY --exclude=a --exclude=b a b", "COPY [--exclude=a] [--exclude=b] 'a' 'b' @1-1"},
    {"COPY --from= a b", "COPY [--from=] 'a' 'b' @1-1"},
    {"FROM --platform=$BUILDPLATFORM a AS b", "FROM [--platform=$BUILDPLATFORM] 'a' 'AS' 'b' @1-1"},
    {"ADD --checksum=sha256:x --keep-git-dir --unpack=false a b",
     "ADD [--checksum=sha256:x] [--keep-git-dir] [--unpack=false] 'a' 'b' @1-1"},
    {"RUN -x a", "RUN '-x a' @1-1"},
    // exec and shell form
    {"CMD [\"a\", \"b c\"]", "CMD J 'a' 'b c' @1-1"},
    {"CMD [\"a\"] ", "CMD J 'a' @1-1"},
    {"CMD   [ \"a\" ,\"b\" ]", "CMD J 'a' 'b' @1-1"},
    {"CMD []", "CMD J @1-1"},
    {"CMD [\"\"]", "CMD J '' @1-1"},
    {"CMD", "CMD @1-1"},
    {"CMD ['a', 'b']", "CMD '['a', 'b']' @1-1"},
    {"CMD [\"a\",]", "CMD '[\"a\",]' @1-1"},
    {"CMD [\"a\"", "CMD '[\"a\"' @1-1"},
    {"CMD [a]", "CMD '[a]' @1-1"},
    {"CMD [\"a\"] b", "CMD '[\"a\"] b' @1-1"},
    {"CMD [\"\\u0041\\n\"]", "CMD J 'A\n' @1-1"},
    {"CMD [ -x /a ] && b", "CMD '[ -x /a ] && b' @1-1"},
    {"CMD a \"b c\" 'd'", "CMD 'a \"b c\" 'd'' @1-1"},
    {"RUN [\"a\", \\\n \"b\"]", "RUN J 'a' 'b' @1-2"},
    {"RUN --network=none [\"a\"]", "RUN [--network=none] J 'a' @1-1"},
    {"ENTRYPOINT [\"/bin/bash\"]", "ENTRYPOINT J '/bin/bash' @1-1"},
    {"ENTRYPOINT []", "ENTRYPOINT J @1-1"},
    {"ENTRYPOINT a b", "ENTRYPOINT 'a b' @1-1"},
    {"SHELL [\"/bin/bash\", \"-c\"]", "SHELL J '/bin/bash' '-c' @1-1"},
    {"COPY [\"a b\", \"c\"]", "COPY J 'a b' 'c' @1-1"},
    {"COPY --from=x [\"a\", \"c\"]", "COPY [--from=x] J 'a' 'c' @1-1"},
    {"ADD [\"a\",\"b\",\"c/\"]", "ADD J 'a' 'b' 'c/' @1-1"},
    {"VOLUME [\"/a\", \"/b\"]", "VOLUME J '/a' '/b' @1-1"},
    {"VOLUME /a /b", "VOLUME '/a' '/b' @1-1"},
    {"COPY [a b] c", "COPY '[a' 'b]' 'c' @1-1"},
    {"HEALTHCHECK NONE", "HEALTHCHECK 'NONE' @1-1"},
    {"HEALTHCHECK none", "HEALTHCHECK 'none' @1-1"},
    {"HEALTHCHECK CMD a b", "HEALTHCHECK 'CMD' 'a b' @1-1"},
    {"HEALTHCHECK --retries=3 CMD [\"a\"]", "HEALTHCHECK [--retries=3] J 'CMD' 'a' @1-1"},
    {"HEALTHCHECK --interval=5m --timeout=3s \\\n  CMD curl -f x || exit 1",
     "HEALTHCHECK [--interval=5m] [--timeout=3s] 'CMD' 'curl -f x || exit 1' @1-2"},
    // pairs
    {"ENV a=b", "ENV 'a' 'b' @1-1"},
    {"ENV a=b c=d", "ENV 'a' 'b' 'c' 'd' @1-1"},
    {"ENV a b", "ENV 'a' 'b' @1-1"},
    {"ENV a b c=d  e ", "ENV 'a' 'b c=d  e' @1-1"},
    {"ENV a  \"b\"", "ENV 'a' '\"b\"' @1-1"},
    {"ENV a=", "ENV 'a' '' @1-1"},
    {"ENV a=\"\"", "ENV 'a' '\"\"' @1-1"},
    {"ENV a=\"b c\" d='e f'", "ENV 'a' '\"b c\"' 'd' ''e f'' @1-1"},
    {"ENV a=b\\ c d=e", "ENV 'a' 'b\\ c' 'd' 'e' @1-1"},
    {"ENV a=b=c", "ENV 'a' 'b=c' @1-1"},
    {"ENV a=\"b\\\"c\" d=e", "ENV 'a' '\"b\\\"c\"' 'd' 'e' @1-1"},
    {"ENV a='b\\' d=e", "ENV 'a' ''b\\'' 'd' 'e' @1-1"},
    {"ENV a=b \\\n    c=d", "ENV 'a' 'b' 'c' 'd' @1-2"},
    {"ENV a=b \\\n    # x\n    c=d", "ENV 'a' 'b' 'c' 'd' @1-3"},
    {"ENV a=$x", "ENV 'a' '$x' @1-1"},
    {"LABEL a.b=c \"d e\"=f", "LABEL 'a.b' 'c' '\"d e\"' 'f' @1-1"},
    {"LABEL a b c", "LABEL 'a' 'b c' @1-1"},
    {"ARG a", "ARG 'a' @1-1"},
    {"ARG a=1 b c=\"x y\"", "ARG 'a=1' 'b' 'c=\"x y\"' @1-1"},
    {"ARG a=", "ARG 'a=' @1-1"},
    // the rest of the line
    {"WORKDIR /a b", "WORKDIR '/a b' @1-1"},
    {"WORKDIR \"/a b\"", "WORKDIR '\"/a b\"' @1-1"},
    {"USER a:b", "USER 'a:b' @1-1"},
    {"MAINTAINER A B <c@d>", "MAINTAINER 'A B <c@d>' @1-1"},
    {"STOPSIGNAL SIGTERM", "STOPSIGNAL 'SIGTERM' @1-1"},
    {"EXPOSE 80 443/tcp", "EXPOSE '80' '443/tcp' @1-1"},
    {"EXPOSE 80\t 81", "EXPOSE '80' '81' @1-1"},
    {"FROM a AS b", "FROM 'a' 'AS' 'b' @1-1"},
    {"FROM a as B", "FROM 'a' 'as' 'B' @1-1"},
    // ONBUILD
    {"ONBUILD RUN a", "ONBUILD (RUN 'a') @1-1"},
    {"ONBUILD copy --from=x a b", "ONBUILD (COPY [--from=x] 'a' 'b') @1-1"},
    {"ONBUILD CMD [\"a\"]", "ONBUILD (CMD J 'a') @1-1"},
    {"ONBUILD RUN <<E\nx\nE\nRUN b", "ONBUILD (RUN '<<E') {E=x\n} @1-3; RUN 'b' @4-4"},
    {"ONBUILD ENV a=b", "ONBUILD (ENV 'a' 'b') @1-1"},
    // heredocs
    {"RUN <<E\nx\nE", "RUN '<<E' {E=x\n} @1-3"},
    {"RUN <<E\nE", "RUN '<<E' {E=} @1-2"},
    {"RUN <<E\n a \\\n # b\n\nE\nRUN c", "RUN '<<E' {E= a \\\n # b\n\n} @1-5; RUN 'c' @6-6"},
    {"RUN <<'E'\nx\nE", "RUN '<<'E'' {!E=x\n} @1-3"},
    {"RUN <<\"E\"\nx\nE", "RUN '<<\"E\"' {!E=x\n} @1-3"},
    {"RUN <<E\"O\"F\nx\nEOF", "RUN '<<E\"O\"F' {!EOF=x\n} @1-3"},
    {"RUN <<-E\n\tx\n\tE\n", "RUN '<<-E' {-E=\tx\n} @1-3"},
    {"RUN <<-E\n  x\n\t\tE\n", "RUN '<<-E' {-E=  x\n} @1-3"},
    {"RUN <<E\n E\nE \nE", "RUN '<<E' {E= E\nE \n} @1-4"},
    {"RUN <<E\r\nx\r\nE\r\n", "RUN '<<E' {E=x\r\n} @1-3"},
    {"RUN <<A <<B\n1\nA\n2\nB", "RUN '<<A <<B' {A=1\n} {B=2\n} @1-5"},
    {"RUN cat <<E > /x && y\n1\nE", "RUN 'cat <<E > /x && y' {E=1\n} @1-3"},
    {"RUN 3<<E cat\n1\nE", "RUN '3<<E cat' {E=1\n} @1-3"},
    {"RUN cat <<E>/x\n1\nE>/x", "RUN 'cat <<E>/x' {E>/x=1\n} @1-3"},
    {"RUN a \\\n <<E\n1\nE", "RUN 'a  <<E' {E=1\n} @1-4"},
    {"RUN a<<E", "RUN 'a<<E' @1-1"},
    {"RUN a <<<E", "RUN 'a <<<E' @1-1"},
    {"RUN a << E", "RUN 'a << E' @1-1"},
    {"RUN echo \"<<E\"", "RUN 'echo \"<<E\"' @1-1"},
    {"RUN echo '<<E'", "RUN 'echo '<<E'' @1-1"},
    {"RUN echo $((1<<2))", "RUN 'echo $((1<<2))' @1-1"},
    {"RUN echo it's <<E", "RUN 'echo it's <<E' @1-1"},  // quotes do not balance
    {"RUN [\"a\", \"<<E\"]", "RUN J 'a' '<<E' @1-1"},
    {"CMD <<E", "CMD '<<E' @1-1"},
    {"ENV a=<<E", "ENV 'a' '<<E' @1-1"},
    {"COPY <<a <<b /x/\n1\na\n2\nb", "COPY '<<a' '<<b' '/x/' {a=1\n} {b=2\n} @1-5"},
    {"COPY <<\"a b\" /x/\n1\na b", "COPY '<<\"a' 'b\"' '/x/' {!a b=1\n} @1-3"},
    {"ADD --chown=a <<E x /d/\n1\nE", "ADD [--chown=a] '<<E' 'x' '/d/' {E=1\n} @1-3"},
    {"RUN <<$E\n1\n$E", "RUN '<<$E' {$E=1\n} @1-3"},
};

static int parse(const char *text, struct build_file *f, struct err *e)
{
    memset(f, 0, sizeof *f);
    return build_dockerfile_parse(sv_of(text), "Dockerfile", f, e);
}

static void dockerfiles_are_read_as_buildkit_reads_them(void **state)
{
    (void)state;
    unsigned bad = 0;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct err e = {0};
        own(build_file) struct build_file f;
        own(str) struct str s = {0};
        if (parse(good[i].in, &f, &e) < 0) {
            if (!good[i].out) continue;
            str_addf(&s, "error: %s", err_cause(&e));
        }
        vec_each(in, &f.instrs)
        {
            if (s.n) str_addz(&s, "; ");
            show(in, &s, true);
        }
        if (good[i].out && strcmp(str_z(&s), good[i].out) == 0) continue;
        bad++;
        print_error("--\n%s\nwanted %s\ngot    %s\n", good[i].in, good[i].out, str_z(&s));
    }
    assert_int_equal(bad, 0);
}

// Errors: a part of the printed block.
static const struct parse_case wrong[] = {
    {"", "holds no instructions"},
    {"\n\n# c\n", "holds no instructions"},
    {"FRM a", "did you mean FROM?"},
    {"FROM a\nCPOY a b", "Dockerfile:2: CPOY a b"},
    {"FROM a\nCPOY a b", "did you mean COPY?"},
    {"FROM a\nRUN x\napt-get install y", "end line 2 with '\\'"},
    {"# escape=`\nFROM a\nRUN x\n&& y", "end line 3 with '`'"},
    {"XYZZY", "unknown instruction 'XYZZY'"},
    {"\\\n", "continued line holds no instruction"},
    {"# escape=x\nFROM a", "neither \\ nor `"},
    {"# escape=`\n# escape=`\nFROM a", "Dockerfile:2"},
    {"# syntax=a\n# syntax=b\nFROM a", "given twice"},
    {"# check=a\n# check=b\nFROM a", "given twice"},
    {"COPY --frm=x a b", "did you mean --from?"},
    {"COPY --zzz=x a b", "it has --from, --chown"},
    {"ENV --x=y a=b", "ENV takes no flags"},
    {"COPY --from a b", "write --from=VALUE"},
    {"COPY --chown=a --chown=b a b", "'--chown' is given twice"},
    {"COPY --link=x a b", "true or false"},
    {"COPY --link= a b", "true or false"},
    {"COPY --From=x a b", "no flag '--From'"},
    {"RUN --mount a", "needs a value"},
    {"CMD [1]", "item 1"},
    {"CMD [\"a\", null]", "item 2"},
    {"CMD [\"a\", [\"b\"]]", "only texts"},
    {"RUN [\"a\", 5]", "double quotes"},
    {"COPY [\"a\", 5]", "only texts"},
    {"HEALTHCHECK CMD [5]", "only texts"},
    {"SHELL /bin/bash -c", "only the JSON form"},
    {"SHELL ['a']", "only the JSON form"},
    {"SHELL []", "at least one word"},
    {"SHELL", "at least one word"},
    {"ENV", "NAME=VALUE"},
    {"ENV a", "write ENV a=VALUE"},
    {"ENV a=b c", "'c' has no '='"},
    {"ENV =b", "no name before '='"},
    {"LABEL a", "needs a name and a value"},
    {"LABEL a=b c", "write LABEL NAME=VALUE"},
    {"ARG", "ARG needs a name"},
    {"ARG =b", "no name before '='"},
    {"COPY", "a source and a destination"},
    {"COPY a", "only one is given"},
    {"ADD a", "only one is given"},
    {"COPY []", "a source and a destination"},
    {"COPY \\\n", "a source and a destination"},
    {"RUN", "needs a command"},
    {"RUN --network=none", "needs a command"},
    {"EXPOSE", "needs a value"},
    {"USER", "needs a value"},
    {"WORKDIR", "needs a value"},
    {"VOLUME", "needs a value"},
    {"VOLUME []", "needs a value"},
    {"STOPSIGNAL", "needs a value"},
    {"MAINTAINER", "needs a value"},
    {"FROM", "needs an image"},
    {"FROM a b", "one or three words"},
    {"FROM a AS", "one or three words"},
    {"FROM a AS b c", "one or three words"},
    {"FROM a IS b", "where 'AS' belongs"},
    {"FROM a AS 1b", "'1b' is no stage name"},
    {"FROM a AS b/c", "no stage name"},
    {"FROM a AS b$c", "no stage name"},
    {"HEALTHCHECK", "CMD or NONE"},
    {"HEALTHCHECK CMD", "a command behind CMD"},
    {"HEALTHCHECK CMD []", "a command behind CMD"},
    {"HEALTHCHECK NONE x", "nothing more"},
    {"HEALTHCHECK FOO x", "not 'FOO'"},
    {"HEALTHCHECK --interval CMD x", "needs a value"},
    {"ONBUILD", "needs an instruction"},
    {"ONBUILD ONBUILD RUN x", "ONBUILD ONBUILD"},
    {"ONBUILD FROM x", "not allowed behind ONBUILD"},
    {"ONBUILD maintainer x", "not allowed behind ONBUILD"},
    {"ONBUILD RN x", "did you mean RUN?"},
    {"RUN <<E\nx", "'E' of line 1 is never closed"},
    {"RUN <<E\nx\n E", "no blanks before"},
    {"COPY <<A <<B /x\n1\nB\n", "'A' of line 1"},
    {"RUN <<E", "never closed"},
};

static void slips_get_an_error_with_line_and_hint(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct err e = {0};
        own(build_file) struct build_file f;
        int rc = parse(wrong[i].in, &f, &e);
        if (rc >= 0) print_error("no error for: %s\n", wrong[i].in);
        assert_true(rc < 0 && e.kind == ERR_INPUT);
        ASSERT_FAILS(rc, wrong[i].out);
    }
}

static void nul_bytes_and_huge_files_are_refused(void **state)
{
    (void)state;
    struct err e = {0};
    struct build_file f = {0};
    ASSERT_FAILS(build_dockerfile_parse(SV("FROM a\0b"), "D", &f, &e), "NUL");
    own(free) char *big = mem_alloc((4 << 20) + 2);
    memset(big, '#', (4 << 20) + 1);
    ASSERT_FAILS(build_dockerfile_parse(sv_of(big), "D", &f, &e), "larger than");
}

static void directives_and_warnings_are_kept(void **state)
{
    (void)state;
    struct err e = {0};
    own(build_file) struct build_file f;
    ASSERT_OK(parse("# syntax=a b\n# check=skip=all\nRUN a \\\n\n\n b\n", &f, &e));
    assert_string_equal(f.syntax, "a b");
    assert_string_equal(f.check, "skip=all");
    assert_int_equal(f.check_line, 2);
    assert_int_equal(f.warnings.n, 1);
    assert_int_equal(f.warnings.p[0].line, 5);
    assert_string_equal(f.warnings.p[0].rule, "NoEmptyContinuation");
}

static void comments_above_an_instruction_belong_to_it(void **state)
{
    (void)state;
    struct err e = {0};
    own(build_file) struct build_file f;
    ASSERT_OK(parse("# syntax=x\n# old\n\n# a one\n# b two\nARG a\nARG b\n# x\n#\n# y\nFROM z\n",
                    &f, &e));
    assert_string_equal(f.instrs.p[0].comment, "a one\nb two");
    assert_string_equal(f.instrs.p[1].comment, "");
    assert_string_equal(f.instrs.p[2].comment, "y");
}

static void one_instruction_can_be_read_alone(void **state)
{
    (void)state;
    struct err e = {0};
    own(build_instr) struct build_instr in = {0};
    own(build_instr) struct build_instr none = {0};
    own(str) struct str s = {0};
    ASSERT_OK(build_dockerfile_parse_one(SV("COPY <<E /x\nhi\nE"), '\\', "image", 7, &in, &e));
    show(&in, &s, true);
    assert_string_equal(str_z(&s), "COPY '<<E' '/x' {E=hi\n} @7-7");
    ASSERT_FAILS(build_dockerfile_parse_one(SV("RUN a\nRUN b"), '\\', "image", 7, &none, &e),
                 "more than one");
    ASSERT_FAILS(build_dockerfile_parse_one(SV(""), '\\', "image", 7, &none, &e), "missing");
    ASSERT_FAILS(build_dockerfile_parse_one(SV("RN a"), '\\', "image", 7, &none, &e), "image:7");
}

static void the_first_from_comes_before_all_but_arg(void **state)
{
    (void)state;
    struct err e = {0};
    own(build_file) struct build_file a, b, c;
    ASSERT_OK(parse("ARG x\nFROM a\nRUN b", &a, &e));
    ASSERT_OK(build_dockerfile_check_order(&a, &e));
    ASSERT_OK(parse("ARG x\nRUN a\nFROM b", &b, &e));
    ASSERT_FAILS(build_dockerfile_check_order(&b, &e), "Dockerfile:2");
    ASSERT_OK(parse("ARG x", &c, &e));
    ASSERT_FAILS(build_dockerfile_check_order(&c, &e), "no FROM");
}

static void excerpts_mark_the_lines(void **state)
{
    (void)state;
    struct err e = {0};
    own(build_file) struct build_file f;
    own(str) struct str s = {0};
    ASSERT_OK(parse("FROM a\nRUN b \\\n  c\nRUN d\nRUN e\nRUN f\n", &f, &e));
    build_dockerfile_excerpt(&f, 2, 3, NULL, &s);
    assert_string_equal(str_z(&s), "Dockerfile:2\n"
                                   "   1 |     FROM a\n"
                                   "   2 | >>> RUN b \\\n"
                                   "   3 | >>>   c\n"
                                   "   4 |     RUN d\n"
                                   "   5 |     RUN e\n");
}

static const char *explained(const char *text, const char *message, struct str *out)
{
    own(build_file) struct build_file f = {0};
    struct err e = {0};
    str_clear(out);
    if (parse(text, &f, &e) == 0) {
        err_set(&e, ERR_INPUT, "%s", message);
        err_wrap(&e, "at Dockerfile:2: ...");
    }
    build_dockerfile_explain(&f, &e, out);
    return str_z(out);
}

static void a_caret_stands_under_what_is_wrong(void **state)
{
    (void)state;
    own(str) struct str s = {0};
    // What cannot be read.
    assert_string_equal(explained("FROM a\nRUM b\n", "", &s), "Dockerfile:2\n"
                                                             "   1 |     FROM a\n"
                                                             "   2 | >>> RUM b\n"
                                                             "     |     ^^^\n");
    // What is quoted, also in a line that goes on, behind a tab, and with what a terminal obeys.
    assert_non_null(strstr(explained("FROM a\nCOPY b \\\n\tc\x1b d\n", "'c\x1b' is not here", &s),
                           "   2 | >>> COPY b \\\n"
                           "   3 | >>>     c\\x1b d\n"
                           "     |         ^^^^^\n"));
    // The beginning of what is quoted in part.
    assert_non_null(strstr(explained("FROM a\nENV b=${c:\n", "no operator in '${c:...}'", &s),
                           "     |           ^^^^\n"));
    // Nothing is quoted, or it is not there: the instruction.
    assert_non_null(strstr(explained("FROM a\n  RUN b\n", "status 3", &s), "     |       ^^^\n"));
    assert_non_null(strstr(explained("FROM a\nRUN b\n", "'x' is nowhere", &s), "     |     ^^^\n"));
    assert_non_null(strstr(explained("FROM a\nRUN b\n", "a lone ' mark", &s), "     |     ^^^\n"));
}

static void the_table_is_in_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < BUILD_INSTR_COUNT; i++) {
        const struct build_instr_def *d = build_instr_table_get((enum build_instr_id)i);
        assert_int_equal(d->id, i);
        assert_ptr_equal(build_instr_table_find(sv_of(d->name)), d);
        assert_non_null(d->flags);
        assert_true(*d->usage && *d->help);
    }
}

RUN_TESTS("build/dockerfile", TEST(dockerfiles_are_read_as_buildkit_reads_them),
          TEST(slips_get_an_error_with_line_and_hint), TEST(nul_bytes_and_huge_files_are_refused),
          TEST(directives_and_warnings_are_kept),
          TEST(comments_above_an_instruction_belong_to_it),
          TEST(one_instruction_can_be_read_alone),
          TEST(the_first_from_comes_before_all_but_arg), TEST(excerpts_mark_the_lines), TEST(a_caret_stands_under_what_is_wrong),
          TEST(the_table_is_in_order))
