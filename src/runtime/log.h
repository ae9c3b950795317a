// SPDX-License-Identifier: Apache-2.0
// A container's log. Files containers/<id>/log/container.log, the newest, then container.log.1 and
// so on, at most max-file of them and each up to max-size: by default 5 of 20 MB.
//   json-file  {"log":"text\n","stream":"stdout","time":"2023-06-10T00:00:00.000000000Z"} a record
//   local      "<ns> <o|e><F|P> <length>\n" and that many bytes: no escaping, half the work
// A record is one line of output, or 16 KiB of a longer one (json: no "\n" at its end; local: P),
// or what stood there without an end when the stream ended. Bytes of a terminal are stdout.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/str.h"
#include "runtime/state.h"

#define LOG_LINE 16384 // bytes of a record
#define LOG_NAME "container.log"

enum log_driver { LOG_JSON, LOG_LOCAL, LOG_NONE, LOG_DRIVER_COUNT };
const char *log_driver_name(enum log_driver d);
struct log_options {
    enum log_driver driver;
    uint64_t max_size; // 0: no end
    unsigned max_file;
};
// ERR_USAGE for drivers and options that are not known.
int log_options_read(const struct runtime_config *c, struct log_options *out, struct err *e);

// --- writing: the monitor ----------------------------------------------------------------------
enum { LOG_STDOUT, LOG_STDERR, LOG_STREAMS };
struct log_writer {
    struct log_options options;
    int dir; // containers/<id>/log
    int fd;  // -1: none, or writing failed
    uint64_t size;
    bool failed;                  // said once
    struct str part[LOG_STREAMS]; // a line that has no end yet
    struct str out;
    struct str stamp; // the last time as text
    int64_t stamp_ns;
};
// `dir`: containers/<id>. A log that cannot be written is no reason not to run: *e says why.
int log_writer_open(struct log_writer *w, const struct log_options *o, int dir, struct err *e);
// ERR_SYSTEM once when the disk is full and the like; later bytes are tried again.
int log_writer_add(struct log_writer *w, int stream, struct sv bytes, int64_t now_ns,
                   struct err *e);
// What stands there without an end; the stream is over.
int log_writer_flush(struct log_writer *w, int64_t now_ns, struct err *e);
void log_writer_close(struct log_writer *w);

// --- reading ------------------------------------------------------------------------------------
struct log_record {
    int stream;
    bool partial; // the line goes on in the next record
    int64_t time_ns;
    struct sv text; // with its "\n" unless partial or the last one
};
struct log_reader {
    enum log_driver driver;
    int dir; // containers/<id>/log; owned
    int fd;  // the file being read; -1: none yet
    bool newest;
    struct str buf, text;
    size_t at;
};
int log_reader_open(struct log_reader *r, enum log_driver driver, int container_dir, struct err *e);
// Behind all but the last n lines.
int log_reader_tail(struct log_reader *r, uint64_t lines, struct err *e);
// 1 a record, 0 nothing more for now (call again when the file grew): a torn last record waits for
// its end. A damaged record is skipped to the next one that can be read.
int log_reader_next(struct log_reader *r, struct log_record *out, struct err *e);
// How much of a file of `size` bytes are whole records; what follows is a torn one.
uint64_t log_reader_whole(enum log_driver driver, int fd, uint64_t size);
void log_reader_close(struct log_reader *r);
static inline void own_log_reader(struct log_reader *r)
{
    log_reader_close(r);
}
// One record from the beginning of `text`: bytes used; 0 not whole yet; *ok false: damaged, skip
// them.
size_t log_record_parse(enum log_driver driver, struct sv text, struct str *store,
                        struct log_record *out, bool *ok);
void log_record_print(enum log_driver driver, const struct log_record *rec, struct str *out);
