// SPDX-License-Identifier: Apache-2.0
// Unpacks bytes as a layer into a throw-away store. What was unpacked must give the same archive
// again, and nothing may appear beside the store. Where the user has no id ranges only the readers run.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/own.h"
#include "codec/tar.h"
#include "store/layer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct engine en;
static char top[] = "/tmp/dewar-fuzz-XXXXXX";
static int usable = -1;

static void clean(void)
{
    struct err e = {0};
    engine_close(&en);
    fs_remove_tree(AT_FDCWD, top, &e);
}

static void start(void)
{
    struct err e = {0};
    if (!mkdtemp(top)) abort();
    own(free) char *store = str_fmt("%s/store", top);
    own(free) char *run = str_fmt("%s/run", top);
    struct engine_options opt = {.store = store, .run = run};
    if (engine_open(&en, &opt, &e) < 0) abort();
    atexit(clean);
    usable = engine_enter(&en, &e) >= 0;
}

static ssize_t from_sv(void *arg, void *buf, size_t n, struct err *e)
{
    struct sv *rest = arg;
    (void)e;
    if (n > rest->n) n = rest->n;
    if (n) memcpy(buf, rest->p, n);
    *rest = sv_from(*rest, n);
    return (ssize_t)n;
}

static ssize_t from_zip(void *arg, void *buf, size_t n, struct err *e)
{
    return codec_unzip_read(arg, buf, n, e);
}

static int drop(void *arg, const void *p, size_t n, struct err *e)
{
    (void)arg, (void)p, (void)n, (void)e;
    return 0;
}

// The readers alone, and the writer over what they gave.
static void read_only(struct sv rest, struct err *e)
{
    own(codec_unzip) struct codec_unzip *zip = NULL;
    own(codec_tar_reader) struct codec_tar_reader *tar = NULL;
    const struct codec_tar_entry *t;
    struct codec_tar_writer w;
    char buf[4096];
    if (codec_unzip_open((struct codec_source){from_sv, &rest}, 1 << 24, &zip, e) < 0) return;
    if (codec_tar_reader_open((struct codec_source){from_zip, zip}, NULL, &tar, e) < 0) return;
    codec_tar_writer_init(&w, (struct codec_sink){drop, NULL});
    while (codec_tar_next(tar, &t, e) > 0) {
        if (t->size > 1 << 20 || codec_tar_write_entry(&w, t, e) < 0) return;
        for (ssize_t n; (n = codec_tar_read(tar, buf, sizeof buf, e)) != 0;)
            if (n < 0 || codec_tar_write_data(&w, buf, (size_t)n, e) < 0) return;
    }
}

static void unpack(struct sv rest, struct err *e)
{
    struct store_tmp tmp = STORE_TMP_NONE;
    struct store_layer layer;
    struct store_layer_put put = {.src = {from_sv, &rest}};
    if (store_tmp_open(&en, &tmp, e) < 0) abort();
    if (store_layer_unpack(&en, &tmp, "l", &put, e) == 0 &&
        store_layer_publish(&en, &tmp, "l", NULL, 0, &layer, e) == 0) {
        if (store_layer_write_tar(&en, &layer, (struct codec_sink){drop, NULL}, e) < 0) {
            own(str) struct str s = {0};
            err_print(e, &s);
            fputs(str_z(&s), stderr);
            abort();  // what was taken in cannot be given back
        }
        if (store_layer_remove(&en, layer.id, e) < 0) abort();
    }
    store_tmp_close(&en, &tmp);
    struct err ignored = {0};
    if (store_sweep(&en, NULL, &ignored) < 0) abort();
    own(strv) struct strv names = {0};
    if (fs_list(AT_FDCWD, top, &names, &ignored) < 0 || names.n != 2) abort();  // run and store
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct sv input = {(const char *)data, size};
    if (usable < 0) start();
    read_only(input, &e);
    err_clear(&e);
    if (usable) unpack(input, &e);
    return 0;
}
