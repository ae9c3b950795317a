// SPDX-License-Identifier: Apache-2.0
// Typed instructions: what the solver gets, as tables of one line in, one line out.
#include "harness.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/own.h"
#include "build/instr.h"

static const char *lookup(void *arg, const char *name)
{
    static const char *const env[][2] = {
        {"A", "one"}, {"P", "8080"}, {"SP", "a b"}, {"PORTS", "1 2/udp"}, {"D", "/data"},
        {"EMPTY", ""}, {"URL", "https://x/y"}, {"ID", "npm"},
    };
    (void)arg;
    for (size_t i = 0; i < sizeof env / sizeof *env; i++)
        if (strcmp(env[i][0], name) == 0) return env[i][1];
    return NULL;
}

static const struct build_expand x = {.get = lookup};

static int one(const char *text, struct build_instr *in, struct err *e)
{
    memset(in, 0, sizeof *in);
    return build_dockerfile_parse_one(sv_of(text), '\\', "Dockerfile", 1, in, e);
}

struct line_case {
    const char *in, *out;  // out begins with '!': the error block has this text
};

typedef int shower(const struct build_instr *in, struct str *out, struct err *e);

static void run_table(const struct line_case *rows, size_t n, shower *show)
{
    unsigned bad = 0;
    for (size_t i = 0; i < n; i++) {
        struct err e = {0};
        own(build_instr) struct build_instr in;
        own(str) struct str s = {0};
        int rc = one(rows[i].in, &in, &e);
        if (rc == 0) rc = show(&in, &s, &e);
        if (rc < 0) {
            str_clear(&s);
            err_print(&e, &s);
        }
        bool wrong = rows[i].out[0] == '!';
        bool good = wrong ? rc < 0 && strstr(str_z(&s), rows[i].out + 1)
                          : rc == 0 && strcmp(str_z(&s), rows[i].out) == 0;
        if (good) continue;
        bad++;
        print_error("%s\n wanted %s\n got    %s\n", rows[i].in, rows[i].out, str_z(&s));
    }
    assert_int_equal(bad, 0);
}
#define TABLE(rows, show) run_table(rows, sizeof rows / sizeof *rows, show)

// FROM

static int show_from(const struct build_instr *in, struct str *out, struct err *e)
{
    struct build_from v = {0};
    if (build_instr_from(in, &x, &v, e) < 0) return -1;
    str_addf(out, "%s|%s|%s", v.image, v.platform ? v.platform : "-", v.name ? v.name : "-");
    build_from_fini(&v);
    return 0;
}

static void from_lines(void **state)
{
    static const struct line_case rows[] = {
        {"FROM debian", "debian|-|-"},
        {"FROM debian:$A AS Base.2-x_y", "debian:one|-|base.2-x_y"},
        {"FROM --platform=linux/$A x", "x|linux/one|-"},
        {"FROM ${U:-scratch}", "scratch|-|-"},
        {"FROM \"x\"", "x|-|-"},
        {"FROM $U", "!is empty once"},
        {"FROM --platform=$U x", "!is empty once"},
        {"FROM ${}", "!followed by a name"},
    };
    (void)state;
    TABLE(rows, show_from);
}

// RUN

static void show_mount(const struct build_mount *m, struct str *out)
{
    str_addf(out, "[%s", build_mount_type_name(m->type));
    if (m->from) str_addf(out, " from=%s", m->from);
    if (m->source) str_addf(out, " src=%s", m->source);
    if (m->target) str_addf(out, " dst=%s", m->target);
    if (m->id) str_addf(out, " id=%s", m->id);
    if (m->env) str_addf(out, " env=%s", m->env);
    str_addf(out, " %s", m->read_only ? "ro" : "rw");
    if (m->required) str_addz(out, " required");
    if (m->type == BUILD_MOUNT_CACHE) str_addf(out, " %s", build_sharing_name(m->sharing));
    if (m->mode) str_addf(out, " %o", m->mode);
    if (m->has_uid || m->has_gid) str_addf(out, " %u:%u", m->uid, m->gid);
    if (m->size) str_addf(out, " size=%llu", (unsigned long long)m->size);
    str_addz(out, "]");
}

static int show_run(const struct build_instr *in, struct str *out, struct err *e)
{
    struct build_run v = {0};
    if (build_instr_run(in, &x, &v, e) < 0) return -1;
    vec_each(m, &v.mounts) show_mount(m, out);
    if (v.network) str_addf(out, "net=%s ", build_network_name(v.network));
    if (v.insecure) str_addz(out, "insecure ");
    if (v.exec_form) {
        for (size_t i = 0; i < v.argv.n; i++) str_addf(out, "'%s'", v.argv.p[i]);
    } else if (v.script) {
        str_addf(out, "script %s: %s", v.script_name, v.script);
    } else {
        str_addz(out, v.shell);
    }
    if (strcmp(v.shown, in->rest) != 0) str_addf(out, " # %s", v.shown);
    build_run_fini(&v);
    return 0;
}

static void run_lines(void **state)
{
    static const struct line_case rows[] = {
        {"RUN a $A 'b'", "a $A 'b'"},
        {"RUN [\"a\", \"$A\"]", "'a''$A'"},
        {"RUN --network=none a", "net=none a"},
        {"RUN --network=host a", "net=host a"},
        {"RUN --network=default a", "a"},
        {"RUN --network=bridge a", "!default, none or host"},
        {"RUN --security=insecure a", "insecure a"},
        {"RUN --security=sandbox a", "a"},
        {"RUN --security=2 a", "!sandbox or insecure"},
        {"RUN --device=nvidia.com/gpu=all a", "!not possible yet"},
        {"RUN <<E\na\nb\nE", "a\nb\n # <<E (a...)"},
        {"RUN <<-E\n\ta\nE", "a\n # <<-E (a)"},
        {"RUN <<'E'\n$A\nE", "$A\n # <<'E' ($A)"},
        {"RUN <<E\n#!/usr/bin/python\nx\nE",
         "script E: #!/usr/bin/python\nx\n # <<E (#!/usr/bin/python...)"},
        {"RUN <<a/../b\n#!/bin/sh\na/../b", "script script: #!/bin/sh\n # <<a/../b (#!/bin/sh)"},
        {"RUN cat <<E >/x\na\nE", "cat <<E >/x\na\nE # cat <<E >/x (a)"},
        {"RUN cat <<A <<B\n1\nA\n2\nB", "cat <<A <<B\n1\nA\n2\nB # cat <<A <<B (1)"},
    };
    (void)state;
    TABLE(rows, show_run);
}

static void run_mounts(void **state)
{
    static const struct line_case rows[] = {
        // bind
        {"RUN --mount=target=/x a", "[bind src=/ dst=/x ro]a"},
        {"RUN --mount=type=bind,source=a/b,target=/x a", "[bind src=/a/b dst=/x ro]a"},
        {"RUN --mount=type=bind,src=../../etc,dst=/x a", "[bind src=/etc dst=/x ro]a"},
        {"RUN --mount=type=bind,src=/a/../..,destination=x a", "[bind src=/ dst=x ro]a"},
        {"RUN --mount=type=bind,target=/x,rw a", "[bind src=/ dst=/x rw]a"},
        {"RUN --mount=type=bind,target=/x,readonly=false a", "[bind src=/ dst=/x rw]a"},
        {"RUN --mount=type=bind,target=/x,rw=false a", "[bind src=/ dst=/x ro]a"},
        {"RUN --mount=type=BIND,TARGET=/x a", "[bind src=/ dst=/x ro]a"},
        {"RUN --mount=from=stage,target=/x a", "[bind from=stage src=/ dst=/x ro]a"},
        {"RUN --mount=target=$D/$A a", "[bind src=/ dst=/data/one ro]a"},
        {"RUN --mount='\"target=/a,b\"' a", "[bind src=/ dst=/a,b ro]a"},
        {"RUN --mount=type=bind a", "!needs target="},
        {"RUN --mount=target=/ a", "!cannot be put at '/'"},
        {"RUN --mount=target=/x/.. a", "!cannot be put at '/'"},
        {"RUN --mount=target=$U a", "!needs target="},
        {"RUN --mount=from=$A,target=/x a", "!cannot use variables"},
        {"RUN --mount=from=,target=/x a", "!from is empty"},
        {"RUN --mount=target=/x,mode=0755 a", "!no option 'mode'"},
        {"RUN --mount=target=/x,uid=1 a", "!no option 'uid'"},
        {"RUN --mount=target=/x,required a", "!no option 'required'"},
        {"RUN --mount=target=/x,size=5 a", "!no option 'size'"},
        {"RUN --mount=target=/x,bind-propagation=rshared,suid a", "!no option 'bind-propagation'"},
        {"RUN --mount=type=bnd,target=/x a", "!did you mean bind?"},
        {"RUN --mount=type=9,target=/x a", "!bind, cache, secret, ssh, tmpfs"},
        {"RUN --mount=targt=/x a", "!did you mean target?"},
        {"RUN --mount=target a", "!has no value"},
        {"RUN --mount= a", "!is empty"},
        {"RUN --mount=target=/x,ro=maybe a", "!true or false"},
        {"RUN --mount='target=/a\"b' a", "!quote in the middle"},
        // cache
        {"RUN --mount=type=cache,target=/c a", "[cache src=/ dst=/c id=/c rw shared 755]a"},
        {"RUN --mount=type=cache,target=/c/../d/ a", "[cache src=/ dst=/d id=/d rw shared 755]a"},
        {"RUN --mount=type=cache,target=/c,id=../../x,sharing=locked,mode=700,uid=5,gid=6 a",
         "[cache src=/ dst=/c id=../../x rw locked 700 5:6]a"},
        {"RUN --mount=type=cache,target=/c,id=$ID,sharing=PRIVATE a",
         "[cache src=/ dst=/c id=npm rw private 755]a"},
        {"RUN --mount=type=cache,target=/c,from=s,source=d,ro a",
         "[cache from=s src=/d dst=/c id=/c ro shared 755]a"},
        {"RUN --mount=type=cache a", "!needs target="},
        {"RUN --mount=type=cache,target=/c,sharing=all a", "!no sharing mode"},
        {"RUN --mount=target=/c,sharing=locked a", "!no option 'sharing'"},
        {"RUN --mount=type=cache,target=/c,mode=99 a", "!no octal mode"},
        {"RUN --mount=type=cache,target=/c,uid=-1 a", "!no number"},
        // secret
        {"RUN --mount=type=secret,id=t a", "[secret dst=/run/secrets/t id=t ro 400]a"},
        {"RUN --mount=type=secret,target=/a/t a", "[secret dst=/a/t id=t ro 400]a"},
        {"RUN --mount=type=secret,source=t a", "[secret dst=/run/secrets/t id=t ro 400]a"},
        {"RUN --mount=type=secret,id=a/t,required a",
         "[secret dst=/run/secrets/t id=a/t ro required 400]a"},
        {"RUN --mount=required=true,type=secret,id=t a",
         "[secret dst=/run/secrets/t id=t ro required 400]a"},
        {"RUN --mount=type=secret,id=t,env=TOKEN a", "[secret id=t env=TOKEN ro 400]a"},
        {"RUN --mount=type=secret,id=t,env=T,target=/t a", "[secret dst=/t id=t env=T ro 400]a"},
        {"RUN --mount=type=secret,id=t,uid=7,mode=0440 a",
         "[secret dst=/run/secrets/t id=t ro 440 7:0]a"},
        {"RUN --mount=type=secret a", "!needs id= or target="},
        {"RUN --mount=type=secret,id=a,source=b a", "!not both"},
        {"RUN --mount=type=secret,id=a,from=b a", "!no option 'from'"},
        {"RUN --mount=type=secret,id=a,env=B=C a", "!no name of a variable"},
        {"RUN --mount=target=/x,env=B a", "!no option 'env'"},
        // ssh, tmpfs
        {"RUN --mount=type=ssh a", "[ssh id=default ro 600]a"},
        {"RUN --mount=type=ssh,id=k,target=/s,required,mode=666 a",
         "[ssh dst=/s id=k ro required 666]a"},
        {"RUN --mount=type=tmpfs,target=/t a", "[tmpfs src=/ dst=/t rw]a"},
        {"RUN --mount=type=tmpfs,target=/t,size=64m a", "[tmpfs src=/ dst=/t rw size=67108864]a"},
        {"RUN --mount=type=tmpfs,target=/t,size=x a", "!in --mount"},
        {"RUN --mount=type=tmpfs a", "!needs target="},
        {"RUN --mount=target=/a --mount=type=tmpfs,target=/b c",
         "[bind src=/ dst=/a ro][tmpfs src=/ dst=/b rw]c"},
    };
    (void)state;
    TABLE(rows, show_run);
}

// COPY and ADD

static int show_copy(const struct build_instr *in, struct str *out, struct err *e)
{
    struct build_copy v = {0};
    if (build_instr_copy(in, &x, &v, e) < 0) return -1;
    for (size_t i = 0; i < v.sources.n; i++) str_addf(out, "'%s' ", v.sources.p[i]);
    vec_each(i, &v.inlines) str_addf(out, "{%s=%s} ", i->name, i->data);
    str_addf(out, "-> %s", v.dest);
    if (v.from) str_addf(out, " from=%s", v.from);
    if (v.chown) str_addf(out, " chown=%s", v.chown);
    if (v.chmod) str_addf(out, " chmod=%s", v.chmod);
    if (v.link) str_addz(out, " link");
    if (v.parents) str_addz(out, " parents");
    vec_each(p, &v.excludes.patterns) str_addf(out, " -%s%s", p->keep ? "!" : "", p->text);
    if (v.checksum) str_addf(out, " sum=%.10s", v.checksum);
    if (v.has_unpack) str_addf(out, " unpack=%d", v.unpack);
    if (v.keep_git_dir) str_addz(out, " keep-git");
    build_copy_fini(&v);
    return 0;
}

static void copy_lines(void **state)
{
    static const struct line_case rows[] = {
        {"COPY a b", "'a' -> b"},
        {"COPY a b/ $D/", "'a' 'b/' -> /data/"},
        {"COPY $SP /x", "'a b' -> /x"},
        {"COPY [\"a b\", \"$D\"]", "'a b' -> /data"},
        {"COPY --from=Base a b", "'a' -> b from=Base"},
        {"COPY --chown=$A:$A --chmod=0755 a b", "'a' -> b chown=one:one chmod=0755"},
        {"COPY --chown=$U --chmod=$U a b", "'a' -> b"},
        {"COPY --chmod=u+x,g-w a b", "'a' -> b chmod=u+x,g-w"},
        {"COPY --link --parents a b", "'a' -> b link parents"},
        {"COPY --link=false a b", "'a' -> b"},
        {"COPY --exclude=*.$A --exclude=!k a b", "'a' -> b -*.$A -!k"},
        {"COPY <<E /x\nhi $A \"q\" \\$A\nE", "{E=hi one \"q\" $A\n} -> /x"},
        {"COPY <<'E' /x\nhi $A\nE", "{E=hi $A\n} -> /x"},
        {"COPY <<-E /x\n\t\thi\n\tE", "{E=hi\n} -> /x"},
        {"COPY <<a.txt c <<b.txt /x/\n1\na.txt\n2\nb.txt", "'c' {a.txt=1\n} {b.txt=2\n} -> /x/"},
        {"ADD --unpack=false --keep-git-dir a.tar b", "'a.tar' -> b unpack=0 keep-git"},
        {"ADD --checksum=sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef a "
         "b",
         "'a' -> b sum=sha256:012"},
        {"COPY --from=$A a b", "!cannot use variables"},
        {"COPY --from= a b", "!--from is empty"},
        {"COPY --chmod=9 a b", "!no file mode"},
        {"COPY --chmod=10000 a b", "!no file mode"},
        {"COPY --chmod=u+z a b", "!no file mode"},
        {"COPY --exclude=[ a b", "!in --exclude"},
        {"COPY a <<E\n1\nE", "!as its destination"},
        {"COPY <<../e /x/\n1\n../e", "!no file name"},
        {"COPY 'a b", "!single quote"},
        {"ADD https://x/y /z", "'https://x/y' -> /z"},
        {"ADD git@github.com:a/b.git /z", "'git@github.com:a/b.git' -> /z"},
        {"ADD https://github.com/a/b.git#-main /z", "!no branch, tag or commit"},
        {"ADD file:///a/b.git /z", "!cannot name"},
        {"ADD [\"https://x/a b\", \"/z\"]", "!a blank"},
        {"ADD --checksum=0123456789 https://x/y.git /z", "'https://x/y.git' -> /z sum=0123456789"},
        {"ADD --checksum=012345 https://x/y.git /z", "!no checksum"},
        {"COPY https://x/y /z", "!does not take the URL"},
        {"ADD --checksum=md5:0 a b", "!no checksum"},
        {"ADD --checksum=sha256:00 a b c/", "!single source"},
    };
    (void)state;
    TABLE(rows, show_copy);
}

static void modes_change_as_with_chmod(void **state)
{
    static const struct {
        const char *text;
        uint32_t before, after;
    } rows[] = {
        {"755", 0644, 0755},     {"0", 0644, 0},          {"4755", 0, 04755},
        {"u+x", 0644, 0744},     {"+x", 0644, 0755},      {"a+x", 0644, 0755},
        {"go-r", 0644, 0600},    {"u=rwx,go=", 0644, 0700}, {"g=u", 0740, 0770},
        {"o=g", 0750, 0755},     {"u+s", 0755, 04755},    {"g+s", 0755, 02755},
        {"+t", 0755, 01755},     {"a+X", 0644, 0644},     {"a+X", 0744, 0755},
        {"a+X", S_IFDIR | 0644, 0755}, {"u+x-w", 0644, 0544}, {"a=r", 0777, 0444},
        {"=", 0777, 0},          {"u=rw,g+w,o-r", 0644, 0660}, {"u-s", 04755, 0755},
        {"u=rx", 04755, 0555},   {"g=rx", S_IFDIR | 02755, 02755},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct err e = {0};
        uint32_t got = 0;
        ASSERT_OK(build_chmod_apply(rows[i].text, rows[i].before, &got, &e));
        if (got != rows[i].after) print_error("%s on %o: %o\n", rows[i].text, rows[i].before, got);
        assert_int_equal(got, rows[i].after);
    }
    static const char *const bad[] = {"", "x", "u", "u+", "8", "77777", "-1", "u+x,", ",", "u~x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        uint32_t got = 0;
        if (strcmp(bad[i], "u+") == 0) continue;  // an empty change is a change
        if (build_chmod_apply(bad[i], 0, &got, &e) >= 0) fail_msg("'%s' was taken", bad[i]);
    }
}

// Config

static int show_pairs(const struct build_instr *in, struct str *out, struct err *e)
{
    struct build_pairs v = {0};
    if (build_instr_pairs(in, &x, &v, e) < 0) return -1;
    vec_each(p, &v.v) str_addf(out, "%s=%s;", p->key, p->value ? p->value : "(none)");
    build_pairs_fini(&v);
    return 0;
}

static int show_list(const struct build_instr *in, struct str *out, struct err *e)
{
    own(strv) struct strv v = {0};
    int rc = in->def->id == BUILD_EXPOSE ? build_instr_expose(in, &x, &v, e)
                                         : build_instr_volume(in, &x, &v, e);
    for (size_t i = 0; i < v.n; i++) str_addf(out, "%s;", v.p[i]);
    return rc;
}

static int show_text(const struct build_instr *in, struct str *out, struct err *e)
{
    own(free) char *v = NULL;
    if (build_instr_text(in, &x, &v, e) < 0) return -1;
    str_addz(out, v);
    return 0;
}

static void pairs(void **state)
{
    static const struct line_case rows[] = {
        {"ENV a=b c=$A", "a=b;c=one;"},
        {"ENV a=\"x $A\" b='x $A' c=x\\ y", "a=x one;b=x $A;c=x y;"},
        {"ENV A=two b=$A", "A=two;b=one;"},
        {"ENV $A=x", "one=x;"},
        {"ENV a b $A \"c\"", "a=b one c;"},
        {"ENV a=", "a=;"},
        {"ENV PATH=/x:$PATH", "PATH=/x:;"},
        {"ENV $U=x", "!a name in ENV is empty"},
        {"ENV a='b", "!single quote"},
        {"LABEL \"a.b\"=\"c d\" e=f", "a.b=c d;e=f;"},
        {"LABEL a=\"x \\\n  y\"", "a=x   y;"},
        {"ARG a b=1 c=$A d=\"x y\" e=", "a=(none);b=1;c=one;d=x y;e=;"},
        {"ARG a=\"${U?need it}\"", "!U: need it"},
    };
    (void)state;
    TABLE(rows, show_pairs);
}

static void ports_and_volumes(void **state)
{
    static const struct line_case rows[] = {
        {"EXPOSE 80", "80/tcp;"},
        {"EXPOSE 443 80 443/TCP", "80/tcp;443/tcp;"},
        {"EXPOSE 53/udp 53", "53/tcp;53/udp;"},
        {"EXPOSE 8000-8002/sctp", "8000/sctp;8001/sctp;8002/sctp;"},
        {"EXPOSE $P", "8080/tcp;"},
        {"EXPOSE $PORTS", "1/tcp;2/udp;"},
        {"EXPOSE $U", ""},
        {"EXPOSE 0", "0/tcp;"},
        {"EXPOSE 8080:80", "80/tcp;"},
        {"EXPOSE 127.0.0.1:8080:80", "80/tcp;"},
        {"EXPOSE 80/", "80/tcp;"},
        {"EXPOSE 65536", "!no port"},
        {"EXPOSE x", "!no port"},
        {"EXPOSE -1", "!no port"},
        {"EXPOSE 9-8", "!no port"},
        {"EXPOSE 80/http", "!tcp, udp or sctp"},
        {"EXPOSE /tcp", "!number is missing"},
        {"VOLUME $D \"/b\"", "/data;/b;"},
        {"VOLUME [\"/a b\"]", "/a b;"},
        {"VOLUME $U", "!no empty path"},
        {"VOLUME [\" \"]", "!no empty path"},
    };
    (void)state;
    TABLE(rows, show_list);
}

static void single_texts(void **state)
{
    static const struct line_case rows[] = {
        {"WORKDIR $D/x", "/data/x"},
        {"WORKDIR \"/a b\"", "/a b"},
        {"WORKDIR $U", ""},
        {"USER ${A}:${U:-g}", "one:g"},
        {"STOPSIGNAL SIGTERM", "SIGTERM"},
        {"STOPSIGNAL $U", "!is no signal"},
        {"STOPSIGNAL ${U:-kill}", "kill"},
        {"STOPSIGNAL 9", "9"},
        {"STOPSIGNAL 0", "!is no signal"},
        {"STOPSIGNAL 65", "!is no signal"},
        {"STOPSIGNAL SIGFOO", "!is no signal"},
        {"STOPSIGNAL SIGRTMIN+3", "SIGRTMIN+3"},
        {"MAINTAINER $A \"x\"", "$A \"x\""},
    };
    (void)state;
    TABLE(rows, show_text);
}

static int show_health(const struct build_instr *in, struct str *out, struct err *e)
{
    struct oci_health h = {0};
    if (build_instr_health(in, &h, e) < 0) return -1;
    for (size_t i = 0; i < h.test.n; i++) str_addf(out, "%s|", h.test.p[i]);
    str_addf(out, "%lld %lld %lld %lld %lld", (long long)h.interval_ns / 1000000,
             (long long)h.timeout_ns / 1000000, (long long)h.start_period_ns / 1000000,
             (long long)h.start_interval_ns / 1000000, (long long)h.retries);
    strv_fini(&h.test);
    return 0;
}

static void health_checks(void **state)
{
    static const struct line_case rows[] = {
        {"HEALTHCHECK NONE", "NONE|0 0 0 0 0"},
        {"HEALTHCHECK CMD a b", "CMD-SHELL|a b|0 0 0 0 0"},
        {"HEALTHCHECK cmd [\"a\", \"b\"]", "CMD|a|b|0 0 0 0 0"},
        {"HEALTHCHECK --interval=1m30s --timeout=5s --start-period=1s --start-interval=2s "
         "--retries=5 CMD a", "CMD-SHELL|a|90000 5000 1000 2000 5"},
        {"HEALTHCHECK --interval=0s --retries=0 CMD a", "CMD-SHELL|a|0 0 0 0 0"},
        {"HEALTHCHECK --interval=1us CMD a", "!less than 1ms"},
        {"HEALTHCHECK --interval=x CMD a", "!in --interval"},
        {"HEALTHCHECK --timeout=5 CMD a", "!in --timeout"},
        {"HEALTHCHECK --interval=-5s CMD a", "!less than 1ms"},
        {"HEALTHCHECK --retries=-1 CMD a", "!--retries"},
        {"HEALTHCHECK --retries=x CMD a", "!--retries"},
    };
    (void)state;
    TABLE(rows, show_health);
}

static int show_onbuild(const struct build_instr *in, struct str *out, struct err *e)
{
    own(free) char *v = NULL;
    if (build_instr_onbuild(in, &v, e) < 0) return -1;
    str_addz(out, v);
    return 0;
}

static void onbuild_keeps_the_text(void **state)
{
    static const struct line_case rows[] = {
        {"ONBUILD RUN a  $A", "RUN a  $A"},
        {"onbuild  COPY --from=x a b", "COPY --from=x a b"},
        {"ONBUILD RUN <<-E\n\ta\n\tE", "RUN <<-E\n\ta\nE"},
        {"ONBUILD RUN a \\\n  b", "RUN a   b"},
    };
    (void)state;
    TABLE(rows, show_onbuild);
}

static void commands_say_which_form_they_had(void **state)
{
    (void)state;
    struct err e = {0};
    own(build_instr) struct build_instr in;
    own(build_instr) struct build_instr none;
    struct build_command c = {0}, d = {0};
    ASSERT_OK(one("CMD a b", &in, &e));
    ASSERT_OK(build_instr_command(&in, &c, &e));
    assert_true(!c.json && c.words.n == 1);
    ASSERT_OK(one("ENTRYPOINT []", &none, &e));
    ASSERT_OK(build_instr_command(&none, &d, &e));
    assert_true(d.json && d.words.n == 0);
    build_command_fini(&c);
    build_command_fini(&d);
}

static void global_args_can_be_read_word_by_word(void **state)
{
    (void)state;
    struct err e = {0};
    own(build_instr) struct build_instr in;
    struct build_pair p = {0};
    ASSERT_OK(one("ARG a=1 b=$A", &in, &e));
    ASSERT_OK(build_instr_arg(&in, 1, &x, NULL, &p, &e));
    assert_string_equal(p.key, "b");
    assert_string_equal(p.value, "one");
    build_pair_fini(&p);
}

static void a_default_is_read_only_without_a_build_argument(void **state)
{
    (void)state;
    struct err e = {0};
    own(build_instr) struct build_instr in;
    own(map) struct map given = {0};
    struct build_pair p = {0};
    ASSERT_OK(one("ARG a=${U:?no} $A=1 b", &in, &e));
    ASSERT_FAILS(build_instr_arg(&in, 0, &x, NULL, &p, &e), "U: no");
    map_set(&given, "a", (void *)(uintptr_t)"by hand");
    ASSERT_OK(build_instr_arg(&in, 0, &x, &given, &p, &e));
    assert_string_equal(p.value, "by hand");
    build_pair_fini(&p);
    ASSERT_OK(build_instr_arg(&in, 1, &x, &given, &p, &e));
    assert_string_equal(p.key, "$A");
    build_pair_fini(&p);
    ASSERT_OK(build_instr_arg(&in, 2, &x, &given, &p, &e));
    assert_null(p.value);
    build_pair_fini(&p);
}

RUN_TESTS("build/instr", TEST(from_lines), TEST(run_lines), TEST(run_mounts), TEST(copy_lines),
          TEST(modes_change_as_with_chmod), TEST(pairs), TEST(ports_and_volumes),
          TEST(single_texts), TEST(health_checks),
          TEST(onbuild_keeps_the_text), TEST(commands_say_which_form_they_had),
          TEST(global_args_can_be_read_word_by_word),
          TEST(a_default_is_read_only_without_a_build_argument))
