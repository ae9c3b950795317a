// SPDX-License-Identifier: Apache-2.0
// What a program writes goes from its pipes (or pty) to the log and to everybody attached. The
// monitor reads no more of a stream than all attached have taken, so a slow terminal slows the
// program, as any pipe does; but one that takes nothing at all for RELAY_PATIENCE is left behind
// and gets no more. The starter of a foreground container is its pipeline and is waited for.
#pragma once

#include "record/log.h"
#include "record/message.h"

#define RELAY_PATIENCE ((int64_t)2 * 1000 * 1000 * 1000)
#define RELAY_PIPE 65536   // what a pipe holds
#define RELAY_CHUNK 262144 // what it holds while it has been seen full: each time it was costs a wake-up
#define RELAY_PEERS 256

struct relay_peer {
    int sock;
    int out[LOG_STREAMS];     // write ends of its pipes; -1: not attached to that
    size_t done[LOG_STREAMS]; // bytes of the stream's buffer that it has
    int64_t stuck_since;      // 0: not
    bool starter;
    bool attached;
    bool waits, waits_any, stops; // for ENDED; for EXITED too; for the answer to STOP
};
struct relay {
    int in; // write end of the program's stdin, or the pty's master; -1: none
    bool tty, in_once;
    struct {
        int fd; // read end; with a terminal only the first one, a copy of `in`; -1: at its end
        struct str buf;
        bool wide; // the pipe holds RELAY_CHUNK
    } stream[LOG_STREAMS];
    struct {
        struct relay_peer *p;
        size_t n;
        size_t cap;
    } peers;
    char *chunk; // what was read last; NULL: nothing for a while
    struct record_log_writer log;
};

// Makes pipes for a program without a terminal; io gets its ends. `interactive`: stdin is one.
struct sandbox_stdio;
int relay_pipes(struct relay *r, bool interactive, struct sandbox_stdio *io, struct err *e);
// A new connection. Its number stays only until the next relay_sweep.
struct relay_peer *relay_add(struct relay *r, int sock);
// Makes the pipes of one who wants `want` (MESSAGE_OUT | ...); fds get what it must be sent: stdin
// or the pty's master, stdout, stderr, as the returned MESSAGE_ bits say.
int relay_attach(struct relay *r, struct relay_peer *p, int want, int fds[MESSAGE_FDS],
                 struct err *e);
void relay_detach(struct relay_peer *p);
void relay_close_outputs(struct relay *r);
void relay_sweep(struct relay *r);                    // forgets peers whose socket is -1
bool relay_hungry(const struct relay *r, int stream); // may be read: nobody is behind
// Reads once from a stream, logs, and hands out. `all`: until nothing is there, whoever is behind.
void relay_read(struct relay *r, int stream, bool all, struct err *log_err);
void relay_flush(struct relay *r, int64_t now_ns); // hands out what some do not have yet
bool relay_behind(const struct relay *r, const struct relay_peer *p, int stream);
void relay_shrink(struct relay *r); // gives back memory that is not in use now
bool relay_idle(const struct relay *r); // everybody has everything
void relay_close_program(struct relay *r);
