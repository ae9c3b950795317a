// SPDX-License-Identifier: Apache-2.0
// Names of things that are not on this machine, as people write them: a git repository
// (`https://host/repo.git#branch:folder`, `git@host:repo`, `git://`, `ssh://`, `github.com/a/b`) or
// a file behind a URL. Text in, parts out; nothing is asked. Whatever is passed on to git later was
// checked here: no control characters, no word that a program could read as an option.
#pragma once

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

#define BUILD_REMOTE_MAX 4000 // bytes of a name; a request has room for 4096

enum build_remote_kind {
    BUILD_REMOTE_NONE, // a path
    BUILD_REMOTE_URL,
    BUILD_REMOTE_GIT,
};
enum build_remote_way { // how it is reached
    BUILD_REMOTE_HTTPS,
    BUILD_REMOTE_HTTP,
    BUILD_REMOTE_GITD, // git://
    BUILD_REMOTE_SSH,
    BUILD_REMOTE_FILE, // a repository of this machine
    BUILD_REMOTE_WAY_COUNT,
};
const char *build_remote_way_name(enum build_remote_way w); // "https", as git calls it

struct build_remote {
    enum build_remote_kind kind;
    enum build_remote_way way;
    char *url;           // without fragment and login: what is asked
    char *shown;         // as typed without the login: for messages, records and the lock
    char *host;          // "host[:port]", "" for a file
    struct secret login; // "user:password" of an http(s) URL, percent-decoded; n 0: none
    char *ref;           // git: branch, tag, refs/... or commit; NULL: what HEAD is
    char *subdir;        // git: cleaned, relative; NULL: the top
    char *commit;        // git: a prefix that the commit must have (?commit=); NULL
    char *name;          // URL: last component of the path, decoded; NULL when it has none
    bool keep_git_dir;   // git: asked for with ?keep-git-dir=true
};
// Where the text stands decides what it may name: only somebody at the command line may name a
// repository of this machine (file://) or write `github.com/...` without a scheme.
enum build_remote_origin {
    BUILD_REMOTE_IN_FILE,
    BUILD_REMOTE_TYPED,
};
// 1: something remote, 0: a path (*out has kind NONE), -1: refused, with the reason.
int build_remote_parse(const char *text, enum build_remote_origin origin, struct build_remote *out,
                       struct err *e);
void build_remote_fini(struct build_remote *r);
static inline void own_build_remote(struct build_remote *r)
{
    build_remote_fini(r);
}
// Whether `ref` is a whole commit id (40 or 64 lower-case hex digits).
bool build_remote_is_commit(const char *ref);
// Whether git may be asked for it: the rules of git-check-ref-format, and no leading '-'.
bool build_remote_ref_ok(struct sv ref);
// A submodule's address as its .gitmodules has it, seen from the repository that names it: "../x"
// and
// "./x" are relative to it. Only ways that keep to the parent's safety are taken (https, or the
// parent's own). Returns as build_remote_parse does.
int build_remote_submodule(const struct build_remote *parent, const char *url,
                           struct build_remote *out, struct err *e);
