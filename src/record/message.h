// SPDX-License-Identifier: Apache-2.0
// What a monitor and the commands of its container say to each other: every kind stands here. One
// SOCK_SEQPACKET message is one `struct record_message`, with descriptors beside it. The starter
// has a socket pair to its monitor; everybody else connects to run/containers/<id>/sock (the folder
// is 0700, so only the container's own user comes that far).
//
// Each request is answered by MESSAGE_OK or MESSAGE_FAILED, in order; MESSAGE_STATE and
// MESSAGE_ENDED come at any time to those who asked with ATTACH or WAIT.
#pragma once

#include <stdint.h>

#include "base/err.h"

#define MESSAGE_FDS 3

enum record_message_kind {
    // from the monitor
    MESSAGE_STARTED, // to the starter: the program runs; descriptors as in ATTACH
    MESSAGE_OK,      // done; with ATTACH: [stdin or pty master] [stdout] [stderr], see `value`
    MESSAGE_FAILED,  // it is not; `err`
    MESSAGE_ENDED,   // the run is over, and no restart follows: exit code in `value`, in `extra`
                     // whether the kernel killed for want of memory
    MESSAGE_EXITED,  // the program ended, a restart follows: exit code in `value`
    MESSAGE_BEHIND,  // to an attached one that read nothing for too long: it gets no more
    // to the monitor
    MESSAGE_SIGNAL, // signal `value` to init
    MESSAGE_STOP,   // signal `value` (0: the container's own), KILL after `extra` seconds
                    // (-1: never); no restart; answered when the program has ended
    MESSAGE_PAUSE,
    MESSAGE_UNPAUSE,
    MESSAGE_ATTACH, // `value`: MESSAGE_IN | _OUT | _ERR; ENDED follows
    MESSAGE_RESIZE, // `value` rows, `extra` columns
    MESSAGE_WAIT,   // ENDED follows; `value` 1: EXITED is enough
    MESSAGE_RELOAD, // read config.json again (rename, update)
    MESSAGE_DOWN,   // the machine goes down: as STOP, and it is to be started again at boot
    MESSAGE_COUNT,
};
enum { MESSAGE_IN = 1, MESSAGE_OUT = 2, MESSAGE_ERR = 4, MESSAGE_TTY = 8 };

struct record_message {
    enum record_message_kind kind;
    int value;
    int64_t extra;
    struct err err;
};
const char *record_message_kind_name(enum record_message_kind kind);
// Up to MESSAGE_FDS descriptors, ended by -1 (fds NULL: none). -1: the other side is gone.
int record_message_send(int sock, const struct record_message *m, const int *fds);
// 1 a message, 0 end of file or rubbish, -1 nothing yet (a socket that does not block). fds gets
// those that came along, -1 behind; NULL closes them.
int record_message_receive(int sock, struct record_message *m, int fds[MESSAGE_FDS]);
// Sends a request and waits for its answer: 0, or -1 with the monitor's own error.
int record_message_ask(int sock, struct record_message *m, int fds[MESSAGE_FDS], struct err *e);
