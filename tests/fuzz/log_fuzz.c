// SPDX-License-Identifier: Apache-2.0
// A container's log. The first byte chooses: either the rest is two log files as they are found on
// disk, and the reader gives exactly the records that a parser of each file alone finds; or it is
// what a program says, in bites, and comes back byte for byte out of files that are rotated often.
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/own.h"
#include "record/log.h"

#define SIZE_MAX_CASE 200000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int top = -1; // a folder that is made once and emptied for each case

static void remove_top(void)
{
    struct err ignored;
    char path[64], name[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", top);
    ssize_t n = readlink(path, name, sizeof name - 1);
    name[n > 0 ? n : 0] = '\0';
    fs_remove_tree(top, "log", &ignored);
    rmdir(name);
}

static void begin(void)
{
    struct err e = {0};
    if (top < 0) {
        char name[] = "/tmp/log-fuzz.XXXXXX";
        if (!mkdtemp(name) || (top = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) abort();
        atexit(remove_top);
    }
    fs_remove_tree(top, "log", &e);
    if (mkdirat(top, "log", 0700) != 0) abort();
}

static void put(const char *name, struct sv text)
{
    own(fd) int fd = openat(top, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n) abort();
}

static void note(struct str *out, const struct record_log_entry *rec)
{
    str_addf(out, "%d %d %lld %zu:", rec->stream, rec->partial, (long long)rec->time_ns,
             rec->text.n);
    str_add(out, rec->text);
}

// What is in one file, and a record that was printed again is the same one.
static void parse_all(enum record_log_driver driver, struct sv text, struct str *out)
{
    own(str) struct str store = {0};
    while (text.n) {
        struct record_log_entry rec;
        bool ok = false;
        size_t n = record_log_parse(driver, text, &store, &rec, &ok);
        if (n > text.n) abort();
        if (n == 0) return;
        text = sv_from(text, n);
        if (!ok) continue;
        if (rec.stream != LOG_STDOUT && rec.stream != LOG_STDERR) abort();
        note(out, &rec);
    }
}

static void read_all(enum record_log_driver driver, struct str *out, struct str *bytes)
{
    struct err e = {0};
    struct record_log_entry rec;
    struct record_log_reader opened;
    if (record_log_reader_open(&opened, driver, top, &e) < 0) abort();
    own(record_log_reader) struct record_log_reader r = opened;
    while (record_log_reader_next(&r, &rec, &e) > 0) {
        note(out, &rec);
        str_add(bytes, rec.text);
    }
}

static void as_found(enum record_log_driver driver, struct sv data)
{
    own(str) struct str want = {0}, got = {0}, bytes = {0};
    struct err e = {0};
    size_t half = data.n / 2;
    put("log/container.log.1", sv_part(data, 0, half));
    put("log/container.log", sv_from(data, half));
    parse_all(driver, sv_part(data, 0, half), &want);
    parse_all(driver, sv_from(data, half), &want);
    read_all(driver, &got, &bytes);
    if (got.n != want.n || (got.n && memcmp(got.p, want.p, got.n) != 0)) abort();
    // The tail is the end of the same, whatever number is asked for.
    struct record_log_entry rec;
    struct record_log_reader opened;
    if (record_log_reader_open(&opened, driver, top, &e) < 0) abort();
    own(record_log_reader) struct record_log_reader r = opened;
    uint64_t lines = data.n ? (uint8_t)data.p[0] : 0, n = 0;
    if (record_log_reader_tail(&r, lines, &e) < 0) abort();
    while (record_log_reader_next(&r, &rec, &e) > 0) n++;
    if (n > lines) abort();
}

static void as_written(enum record_log_driver driver, struct sv data)
{
    own(str) struct str all = {0}, got = {0};
    struct err e = {0};
    struct record_log_options o = {.driver = driver, .max_size = 4096, .max_file = 1000};
    struct record_log_writer w;
    if (record_log_writer_open(&w, &o, top, &e) < 0) abort();
    size_t bite = data.n ? 1 + (uint8_t)data.p[0] * 7u : 1;
    for (struct sv rest = data; rest.n;) {
        size_t n = rest.n < bite ? rest.n : bite;
        if (record_log_writer_add(&w, LOG_STDOUT, sv_part(rest, 0, n), 1686355200123456789, &e) < 0)
            abort();
        rest = sv_from(rest, n);
    }
    if (record_log_writer_flush(&w, 1686355200123456789, &e) < 0) abort();
    record_log_writer_close(&w);
    read_all(driver, &all, &got);
    // JSON has no way to say a byte that is not UTF-8.
    if (driver == LOG_JSON && !sv_is_utf8(data)) return;
    if (got.n != data.n || (got.n && memcmp(got.p, data.p, got.n) != 0)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > SIZE_MAX_CASE) return 0;
    enum record_log_driver driver = data[0] & 1 ? LOG_LOCAL : LOG_JSON;
    struct sv rest = {(const char *)data + 1, size - 1};
    begin();
    if (data[0] & 2)
        as_written(driver, rest);
    else
        as_found(driver, rest);
    return 0;
}
