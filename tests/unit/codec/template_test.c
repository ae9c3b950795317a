// SPDX-License-Identifier: Apache-2.0
// Templates as people write them for --format: each row is a template and what it makes, or the
// error it gives.
#include "codec/template.h"

#include <string.h>

#include "base/own.h"
#include "harness.h"

static const char data[] =
    "{\"ID\":\"sha256:0123456789abcdef\",\"Name\":\"demo\",\"Size\":1536,\"Ratio\":0.5,"
    "\"Big\":1000000,\"Running\":true,\"Paused\":false,\"Nothing\":null,\"Empty\":\"\","
    "\"Tags\":[\"a:1\",\"b:2\",\"c:3\"],\"None\":[],"
    "\"Config\":{\"Env\":[\"PATH=/bin\",\"X=1\"],\"Labels\":{\"org.x\":\"y\",\"maker\":\"me\"},"
    "\"Ports\":{\"80/tcp\":[{\"HostPort\":\"8080\"}]}},"
    "\"Labels\":\"a=1,b=2\",\"Mounts\":[{\"Type\":\"bind\",\"N\":1},{\"Type\":\"tmpfs\",\"N\":2}]}";

static const struct row {
    const char *template, *want;
} rows[] = {
    // text and fields
    {"plain", "plain"},
    {"", ""},
    {"{{.ID}}", "sha256:0123456789abcdef"},
    {"{{ .Name }}-{{.Size}}", "demo-1536"},
    {"{{.Ratio}} {{.Big}} {{.Running}}", "0.5 1000000 true"},
    {"{{.Config.Env}}", "[PATH=/bin X=1]"},
    {"{{.Config.Labels}}", "map[maker:me org.x:y]"},
    {"{{.Config.Labels.maker}}", "me"},
    {"{{.Config.Labels.absent}}", "<no value>"},
    {"{{.Nothing}}", "<nil>"},
    {"{{.Nothing.absent}}", "<no value>"},
    {"{{$.Name}}", "demo"},
    {"{{.Id}} {{.name}}", "sha256:0123456789abcdef demo"}, // Go's name of a field, and JSON's
    {"{{.Config.Labels.MAKER}}", "<no value>"},            // but a map has its keys only
    {"{{(index .Mounts 1).Type}}", "tmpfs"},
    {"{{/* a comment */}}x{{- /* and another */ -}} y", "xy"},
    // trimming
    {"a  {{- .Name -}}  b", "ademob"},
    {"a {{ .Name -}}\n\n b", "a demob"},
    {"{{-3}}", "-3"},
    {"}} x", "}} x"},
    // constants
    {"{{\"a\\tb\\\"\\x41\"}}", "a\tb\"A"},
    {"{{`raw \\n`}}", "raw \\n"},
    {"{{1}} {{-2}} {{1.5}} {{true}} {{'a'}}", "1 -2 1.5 true 97"},
    // pipelines and variables
    {"{{.Name | upper}}", "DEMO"},
    {"{{.Name | printf \"%s-%d\" \"x\" 3 | len}}", "24"},
    {"{{$x := .Name}}{{$x}}{{$x = \"other\"}}{{$x}}", "demoother"},
    {"{{len (split .Labels \",\")}}", "2"},
    {"{{with $x := .Name}}{{$x}}{{end}}", "demo"},
    {"{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"},
    {"{{$x := 1}}{{if true}}{{$x := 2}}{{end}}{{$x}}", "1"},
    // conditions
    {"{{if .Running}}yes{{else}}no{{end}}", "yes"},
    {"{{if .Paused}}yes{{else}}no{{end}}", "no"},
    {"{{if .Empty}}a{{else if .None}}b{{else if .Nothing}}c{{else}}d{{end}}", "d"},
    {"{{if .NoSuchField}}a{{else}}b{{end}}", "b"},
    {"{{if .NoSuchField.Deeper}}a{{end}}", ""},
    {"{{if and .Running (eq .Name \"demo\")}}x{{end}}", "x"},
    {"{{if or .Paused .Nothing}}x{{else}}y{{end}}", "y"},
    {"{{or .Empty \"default\"}} {{and .Name .Size}}", "default 1536"},
    {"{{not .Running}} {{not .Nothing}}", "false true"},
    {"{{with .Config}}{{index .Env 0}}{{else}}none{{end}}", "PATH=/bin"},
    {"{{with .Nothing}}x{{else}}none{{end}}", "none"},
    {"{{with .Nothing}}x{{else with .Name}}{{.}}{{end}}", "demo"},
    // ranges
    {"{{range .Tags}}<{{.}}>{{end}}", "<a:1><b:2><c:3>"},
    {"{{range $i, $t := .Tags}}{{if $i}}, {{end}}{{$i}}={{$t}}{{end}}", "0=a:1, 1=b:2, 2=c:3"},
    {"{{range $k, $v := .Config.Labels}}{{$k}}:{{$v}};{{end}}", "maker:me;org.x:y;"},
    {"{{range .None}}x{{else}}empty{{end}}", "empty"},
    {"{{range .Mounts}}{{.Type}}{{$.Name}} {{end}}", "binddemo tmpfsdemo "},
    {"{{range .Tags}}{{if eq . \"b:2\"}}{{break}}{{end}}{{.}}{{end}}", "a:1"},
    {"{{range .Tags}}{{if eq . \"b:2\"}}{{continue}}{{end}}{{.}}{{end}}", "a:1c:3"},
    {"{{range $p, $c := .Config.Ports}}{{$p}}->{{(index $c 0).HostPort}}{{end}}", "80/tcp->8080"},
    // functions
    {"{{index .Config.Labels \"org.x\"}}|{{index .Config.Labels \"no\"}}|", "y||"},
    {"{{index .Tags 1}} {{index .Config.Ports \"80/tcp\" 0}}", "b:2 map[HostPort:8080]"},
    {"{{len .Tags}} {{len .Name}} {{len .Config}} {{len .None}}", "3 4 3 0"},
    {"{{slice .ID 7 19}} {{slice .Name 2}} {{slice .Tags 1 2}}", "0123456789ab mo [b:2]"},
    {"{{eq 1 1}} {{eq 1 2 3 1}} {{eq \"a\" \"b\"}} {{eq 1 1.0}} {{eq .Nothing nil}}",
     "true true false true true"},
    {"{{ne 1 2}} {{lt 1 2}} {{le 2 2}} {{gt \"b\" \"a\"}} {{ge 1 2}}", "true true true true false"},
    {"{{print 1 2 \"a\" \"b\" 3}}|{{println \"x\" 1}}|", "1 2ab3|x 1\n|"},
    {"{{json .Tags}} {{json .Name}} {{.Mounts | json}}",
     "[\"a:1\",\"b:2\",\"c:3\"] \"demo\" [{\"Type\":\"bind\",\"N\":1},{\"Type\":\"tmpfs\",\"N\":2}]"},
    {"{{json \"<&>\"}} {{json .Nothing}}", "\"<&>\" null"},
    {"{{join .Tags \", \"}}", "a:1, b:2, c:3"},
    {"{{join (split \"a.b.c\" \".\") \"/\"}} {{split \"abc\" \"\"}}", "a/b/c [a b c]"},
    {"{{lower \"ABC\"}} {{title \"hello wide world\"}}", "abc Hello Wide World"},
    {"[{{pad .Name 1 2}}] [{{pad \"\" 3 3}}]", "[ demo  ] []"},
    {"{{truncate .Name 2}} {{truncate .Name 99}}", "de demo"},
    {"{{html \"<a>\"}} {{urlquery \"a b/c\"}}", "&lt;a&gt; a+b%2Fc"},
    {"{{.Label \"b\"}}|{{.Label \"z\"}}|", "2||"},
    {"{{.Config.Labels \"maker\"}}", "me"},
    // printf
    {"{{printf \"%s|%10s|%-6s|%.2s\" .Name .Name .Name .Name}}", "demo|      demo|demo  |de"},
    {"{{printf \"%d %5d %05d %+d %x %X %o %b %c\" 42 42 -42 42 255 255 8 5 65}}",
     "42    42 -0042 +42 ff FF 10 101 A"},
    {"{{printf \"%v %v %q %t %%\" .Tags .Nothing \"a\\\"b\" true}}", "[a:1 b:2 c:3] <nil> \"a\\\"b\" true %"},
    {"{{printf \"%.2f %g %e %8.3f\" 1.5 0.25 1.0 3.14159}}", "1.50 0.25 1.000000e+00    3.142"},
    {"{{printf \"%d\" \"x\"}} {{printf \"%d\"}} {{printf \"x\" 1}}",
     "%!d(string=x) %!d(MISSING) x%!(EXTRA int=1)"},
    {"{{printf \"%*d|%x\" 4 7 \"hi\"}}", "   7|6869"},
};

static const struct row errors[] = {
    {"{{.Nmae}}", "character 3: there is no field '.Nmae'\n  hint: did you mean '.Name'?"},
    {"{{.Qqqqqq}}", "there are .ID .Name"},
    {"{{.Name.First}}", "'.First' is asked of a plain value"},
    {"{{.Config.Labels.absent.X}}", "'.X' is asked of something that is not there"},
    {"{{Name}}", "no function is called 'Name'\n  hint: a field begins with a dot: .Name"},
    {"{{uper .Name}}", "did you mean 'upper'?"},
    {"{{.Name", "'{{' has no '}}'"},
    {"{{if .Name}}x", "this block has no {{end}}"},
    {"{{end}}", "'end' stands outside a block"},
    {"x{{else}}", "'else' stands outside a block"},
    {"{{}}", "a value is missing here"},
    {"{{.A | }}", "a value is missing here"},
    {"{{(.A}}", "')' is missing"},
    {"{{\"abc}}", "a quoted text has no end"},
    {"{{\"\\q\"}}", "unknown escape"},
    {"{{/* x }}", "a comment has no end"},
    {"{{index .Tags 9}}", "index 9 is outside a list of 3"},
    {"{{index .Name 0}}", "a text cannot be indexed"},
    {"{{slice .Name 3 2}}", "a slice ends before it begins"},
    {"{{len}}", "'len' takes 1 argument, not 0"},
    {"{{upper 1 2}}", "'upper' takes 1 argument, not 2"},
    {"{{eq .Tags 1}}", "a list cannot be compared with a number"},
    {"{{lt true false}}", "true or false has no order"},
    {"{{range .Name}}{{end}}", "range needs a list or a map"},
    {"{{$nope}}", "no variable is called '$nope'"},
    {"{{template \"x\"}}", "'template' is not supported"},
    {"{{1 2}}", "it takes no argument"},
    {"{{12ab}}", "'12ab' is no number"},
    {"{{.Name}", "unexpected '}'"},
    {"{{upper 3}}", "upper needs a text, not a number"},
};

static int make(const char *template, struct str *out, struct err *e)
{
    own(codec_json) struct codec_json *j = NULL;
    own(codec_template) struct codec_template *t = NULL;
    if (codec_json_parse(SV(data), "data", &j, e) < 0) return -1;
    if (codec_template_parse(sv_of(template), &t, e) < 0) return -1;
    return codec_template_print(t, j, out, e);
}

static void each_template_makes_its_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        own(str) struct str out = {0};
        struct err e = {0};
        int rc = make(rows[i].template, &out, &e);
        if (rc < 0 || strcmp(str_z(&out), rows[i].want) != 0)
            print_error("%s\n  made   %s\n  wanted %s\n  (%s)\n", rows[i].template, str_z(&out),
                        rows[i].want, err_cause(&e));
        assert_int_equal(rc, 0);
        assert_string_equal(str_z(&out), rows[i].want);
    }
}

static void each_mistake_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        own(str) struct str out = {0};
        struct err e = {0};
        int rc = make(errors[i].template, &out, &e);
        if (rc == 0) print_error("%s made '%s'\n", errors[i].template, str_z(&out));
        harness_fails(rc, &e, errors[i].want, __FILE__, __LINE__);
    }
}

static void deep_nesting_is_refused(void **state)
{
    (void)state;
    struct err e = {0};
    own(str) struct str text = {0};
    own(str) struct str out = {0};
    str_addz(&text, "{{");
    for (int i = 0; i < 5000; i++) str_addc(&text, '(');
    ASSERT_FAILS(make(str_z(&text), &out, &e), "nested too deep");
    str_clear(&text);
    for (int i = 0; i < 5000; i++) str_addz(&text, "{{if 1}}");
    ASSERT_FAILS(make(str_z(&text), &out, &e), "nested too deep");
}

static void every_prefix_of_a_template_is_an_error_or_a_text(void **state)
{
    (void)state;
    static const char text[] = "{{range $i, $v := .Tags}}{{if eq $v \"a\\x41\" `b`}}"
                               "{{printf \"%-5s\" (index $.Tags 0) | upper -}} {{else if true}}"
                               "{{/* c */}}{{end}}{{else}}{{break}}{{end}}";
    for (size_t n = 0; n < sizeof text; n++) {
        own(codec_template) struct codec_template *t = NULL;
        struct err e = {0};
        own(free) char *part = sv_dup((struct sv){text, n});
        int rc = codec_template_parse((struct sv){part, n}, &t, &e);
        assert_true(rc == 0 || e.frames > 0);
    }
}

RUN_TESTS("codec/template", TEST(each_template_makes_its_text), TEST(each_mistake_is_named),
          TEST(deep_nesting_is_refused), TEST(every_prefix_of_a_template_is_an_error_or_a_text))
