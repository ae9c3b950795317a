// SPDX-License-Identifier: Apache-2.0
// A container's log. Files containers/<id>/log/container.log, the newest, then container.log.1 and
// so on, at most max-file of them and each up to max-size: by default 5 of 20 MB.
//   json-file  {"log":"text\n","stream":"stdout","time":"2023-06-10T00:00:00.000000000Z"} a record;
//              with --log-opt labels=, env= or tag= also "attrs":{"key":"value"} before the time
//   local      "<ns> <o|e><F|P> <length>\n" and that many bytes: no escaping, half the work
// A record is one line of output, or 16 KiB of a longer one (json: no "\n" at its end; local: P),
// or what stood there without an end when the stream ended. Bytes of a terminal are stdout.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/engine.h"
#include "base/str.h"
#include "record/state.h"

#define LOG_LINE 16384 // bytes of a record
#define LOG_NAME "container.log"

enum record_log_driver { LOG_JSON, LOG_LOCAL, LOG_NONE, LOG_DRIVER_COUNT };
const char *record_log_driver_name(enum record_log_driver d);
struct record_log_options {
    enum record_log_driver driver;
    uint64_t max_size; // 0: no end
    unsigned max_file;
};
// ERR_USAGE for drivers and options that are not known.
int record_log_options_read(const struct record_config *c, struct record_log_options *out,
                            struct err *e);

// What labels=, env= and tag= put into every record: an object of texts as JSON; nothing where they
// name nothing. ERR_USAGE for a template or an expression that cannot be read.
int record_log_attrs(const struct record_config *c, struct str *out, struct err *e);

// --- writing: the monitor ----------------------------------------------------------------------
enum { LOG_STDOUT, LOG_STDERR, LOG_STREAMS };
struct record_log_writer {
    struct record_log_options options;
    int dir; // containers/<id>/log
    int fd;  // -1: none, or writing failed
    uint64_t size;
    bool failed;                  // said once
    struct str part[LOG_STREAMS]; // a line that has no end yet
    struct str out;
    struct log_ring *ring;        // while much is written; NULL: none
    bool ringless;                // there is none to be had
    struct str flying;            // what it is writing; `size` counts it already
    uint64_t cleaned;             // bytes of the file that were sent to disk, or were there at first
    struct str attrs;               // the caller's, once it is open: record_log_attrs
    struct str shared[LOG_STREAMS]; // text that the records of one moment share
    int64_t shared_ns[LOG_STREAMS];
};
// `dir`: containers/<id>. A log that cannot be written is no reason not to run: *e says why.
int record_log_writer_open(struct record_log_writer *w, const struct record_log_options *o, int dir,
                           struct err *e);
// ERR_SYSTEM once when the disk is full and the like; later bytes are tried again.
int record_log_writer_add(struct record_log_writer *w, int stream, struct sv bytes, int64_t now_ns,
                          struct err *e);
// What stands there without an end; the stream is over.
int record_log_writer_flush(struct record_log_writer *w, int64_t now_ns, struct err *e);
void record_log_writer_shrink(struct record_log_writer *w); // gives back memory that is not in use now
void record_log_writer_close(struct record_log_writer *w);

// --- reading ------------------------------------------------------------------------------------
struct record_log_entry {
    int stream;
    bool partial; // the line goes on in the next record
    int64_t time_ns;
    struct sv text; // with its "\n" unless partial or the last one
    struct sv attrs; // a JSON object; mostly nothing
};
struct record_log_reader {
    enum record_log_driver driver;
    int dir; // containers/<id>/log; owned
    int fd;  // the file being read; -1: none yet
    bool newest;
    struct str buf, text;
    size_t at;
};
int record_log_reader_open(struct record_log_reader *r, enum record_log_driver driver,
                           int container_dir, struct err *e);
// Behind all but the last n lines.
int record_log_reader_tail(struct record_log_reader *r, uint64_t lines, struct err *e);
// 1 a record, 0 nothing more for now (call again when the file grew): a torn last record waits for
// its end. A damaged record is skipped to the next one that can be read.
int record_log_reader_next(struct record_log_reader *r, struct record_log_entry *out,
                           struct err *e);
// How much of a file of `size` bytes are whole records; what follows is a torn one.
uint64_t record_log_reader_whole(enum record_log_driver driver, int fd, uint64_t size);
void record_log_reader_close(struct record_log_reader *r);
static inline void own_record_log_reader(struct record_log_reader *r)
{
    record_log_reader_close(r);
}
// One record from the beginning of `text`: bytes used; 0 not whole yet; *ok false: damaged, skip
// them.
size_t record_log_parse(enum record_log_driver driver, struct sv text, struct str *store,
                        struct record_log_entry *out, bool *ok);
void record_log_print(enum record_log_driver driver, const struct record_log_entry *rec,
                      struct str *out);
