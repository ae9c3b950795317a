// SPDX-License-Identifier: Apache-2.0
// Only for this room: `<<EOF` words and their bodies.
#pragma once

#include "build/dockerfile.h"
#include "build/lex.h"

// 1 and *out (name, expand, strip_tabs, fd; no body) when the whole word is a heredoc, else 0.
int build_heredoc_word(struct sv word, struct build_heredoc *out, struct err *e);
// Finds the heredocs of in->original and reads their bodies from the lexer.
int build_heredoc_read(struct build_lex *lx, struct build_instr *in, struct err *e);
// The body as a program sees it: leading tabs taken off when `<<-` asked for it.
void build_heredoc_body(const struct build_heredoc *h, struct str *out);
void build_heredoc_fini(struct build_heredoc *h);
