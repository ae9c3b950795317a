// SPDX-License-Identifier: Apache-2.0
// The instructions of a Dockerfile, one row each: how the line is read, what the builder expands,
// which flags there are. Help, completion and errors are made from these rows.
#include "build/dockerfile.h"

#define END {NULL, BUILD_FLAG_TEXT, false, NULL}

static const struct build_flag_def no_flags[] = {END};
static const struct build_flag_def from_flags[] = {
    {"platform", BUILD_FLAG_TEXT, true, "os/arch[/variant] of the image"},
    END,
};
static const struct build_flag_def run_flags[] = {
    {"mount", BUILD_FLAG_LIST, true, "type=bind|cache|secret|ssh|tmpfs,target=PATH,..."},
    {"network", BUILD_FLAG_TEXT, false, "default, none or host"},
    {"security", BUILD_FLAG_TEXT, false, "sandbox or insecure"},
    {"device", BUILD_FLAG_LIST, false, "a CDI device"},
    END,
};
static const struct build_flag_def copy_flags[] = {
    {"from", BUILD_FLAG_TEXT, false, "stage, image or named context to copy from"},
    {"chown", BUILD_FLAG_TEXT, true, "user[:group] of what is copied"},
    {"chmod", BUILD_FLAG_TEXT, true, "mode of what is copied, octal or symbolic"},
    {"link", BUILD_FLAG_BOOL, false, "make a layer that does not depend on those below"},
    {"parents", BUILD_FLAG_BOOL, false, "keep the folders that lead to a source"},
    {"exclude", BUILD_FLAG_LIST, false, "leave out what matches, as .dockerignore does"},
    END,
};
static const struct build_flag_def add_flags[] = {
    {"chown", BUILD_FLAG_TEXT, true, "user[:group] of what is added"},
    {"chmod", BUILD_FLAG_TEXT, true, "mode of what is added, octal or symbolic"},
    {"link", BUILD_FLAG_BOOL, false, "make a layer that does not depend on those below"},
    {"exclude", BUILD_FLAG_LIST, false, "leave out what matches, as .dockerignore does"},
    {"checksum", BUILD_FLAG_TEXT, true, "sha256:HEX that the source must have"},
    {"unpack", BUILD_FLAG_BOOL, false, "unpack archives; the default for local ones"},
    {"keep-git-dir", BUILD_FLAG_BOOL, false, "keep .git of a git source"},
    END,
};
static const struct build_flag_def health_flags[] = {
    {"interval", BUILD_FLAG_TEXT, false, "time between two checks, default 30s"},
    {"timeout", BUILD_FLAG_TEXT, false, "time one check may take, default 30s"},
    {"start-period", BUILD_FLAG_TEXT, false, "failures do not count for so long, default 0s"},
    {"start-interval", BUILD_FLAG_TEXT, false, "time between checks in the start period"},
    {"retries", BUILD_FLAG_TEXT, false, "failures in a row that make unhealthy, default 3"},
    END,
};

// In the order of enum build_instr_id.
static const struct build_instr_def table[BUILD_INSTR_COUNT] = {
    {BUILD_ADD, "ADD", BUILD_FORM_WORDS_OR_JSON, true, true, add_flags,
     "ADD [flags] SOURCE... DEST", "copy files, and unpack local archives"},
    {BUILD_ARG, "ARG", BUILD_FORM_QUOTED_WORDS, true, false, no_flags, "ARG NAME[=DEFAULT]...",
     "a variable of the build, set by --build-arg"},
    {BUILD_CMD, "CMD", BUILD_FORM_REST_OR_JSON, false, false, no_flags,
     "CMD [\"program\", \"arg\"] | CMD command", "what a container runs when nothing else is said"},
    {BUILD_COPY, "COPY", BUILD_FORM_WORDS_OR_JSON, true, true, copy_flags,
     "COPY [flags] SOURCE... DEST", "copy files from the context, a stage or an image"},
    {BUILD_ENTRYPOINT, "ENTRYPOINT", BUILD_FORM_REST_OR_JSON, false, false, no_flags,
     "ENTRYPOINT [\"program\", \"arg\"] | ENTRYPOINT command",
     "the program that a container always runs"},
    {BUILD_ENV, "ENV", BUILD_FORM_PAIRS, true, false, no_flags, "ENV NAME=VALUE...",
     "environment of later steps and of containers"},
    {BUILD_EXPOSE, "EXPOSE", BUILD_FORM_WORDS, true, false, no_flags, "EXPOSE PORT[/tcp|/udp]...",
     "ports that the program listens on"},
    {BUILD_FROM, "FROM", BUILD_FORM_WORDS, true, false, from_flags,
     "FROM [--platform=P] IMAGE [AS NAME]", "begin a stage on an image, a stage or scratch"},
    {BUILD_HEALTHCHECK, "HEALTHCHECK", BUILD_FORM_HEALTH, false, false, health_flags,
     "HEALTHCHECK [flags] CMD command | HEALTHCHECK NONE", "how to see that a container is well"},
    {BUILD_LABEL, "LABEL", BUILD_FORM_PAIRS, true, false, no_flags, "LABEL NAME=VALUE...",
     "notes kept in the image"},
    {BUILD_MAINTAINER, "MAINTAINER", BUILD_FORM_REST, false, false, no_flags, "MAINTAINER NAME",
     "author of the image (deprecated: use a LABEL)"},
    {BUILD_ONBUILD, "ONBUILD", BUILD_FORM_SUB, false, false, no_flags, "ONBUILD INSTRUCTION",
     "an instruction for builds on top of this image"},
    {BUILD_RUN, "RUN", BUILD_FORM_REST_OR_JSON, false, true, run_flags,
     "RUN [flags] command | RUN [\"program\", \"arg\"]", "run a command and keep what it wrote"},
    {BUILD_SHELL, "SHELL", BUILD_FORM_REST_OR_JSON, false, false, no_flags,
     "SHELL [\"program\", \"arg\"]", "the shell of later commands"},
    {BUILD_STOPSIGNAL, "STOPSIGNAL", BUILD_FORM_REST, true, false, no_flags, "STOPSIGNAL SIGNAL",
     "the signal that stops a container"},
    {BUILD_USER, "USER", BUILD_FORM_REST, true, false, no_flags, "USER NAME[:GROUP]",
     "user of later steps and of containers"},
    {BUILD_VOLUME, "VOLUME", BUILD_FORM_WORDS_OR_JSON, true, false, no_flags, "VOLUME PATH...",
     "paths whose data live outside the container"},
    {BUILD_WORKDIR, "WORKDIR", BUILD_FORM_REST, true, false, no_flags, "WORKDIR PATH",
     "working directory of later steps and of containers"},
};

const struct build_instr_def *build_instr_table_find(struct sv name)
{
    for (size_t i = 0; i < BUILD_INSTR_COUNT; i++)
        if (sv_eq_nocase(name, sv_of(table[i].name))) return &table[i];
    return NULL;
}

const struct build_instr_def *build_instr_table_get(enum build_instr_id id)
{
    return &table[id];
}
