// SPDX-License-Identifier: Apache-2.0
// layer-apply STORE ARCHIVE...: unpacks archives as the layers of one image, bottom first, and prints
// for each its diff id, and whether it is open or closed. Then come the entries of the merged tree,
// as a container would see them. With --kept the archives are kept as blobs, without it the layers'
// recipes are replayed into the digest. Tables of evil and of legal archives are run through this.
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "codec/tar.h"
#include "store/layer.h"

static int drop(void *arg, const void *p, size_t n, struct err *e)
{
    (void)p, (void)e;
    *(uint64_t *)arg += n;
    return 0;
}

static int add(struct engine *en, struct store_tmp *tmp, const char *file, bool keep,
               struct store_layer *layers, size_t n, struct err *e)
{
    char name[32];
    uint64_t bytes = 0;
    own(fd) int fd = fs_open(file, O_RDONLY, 0, e);
    struct store_layer_put put = {.src = codec_source_fd(&fd), .keep_blob = keep};
    snprintf(name, sizeof name, "layer-%zu", n);
    if (fd < 0 || store_layer_unpack(en, tmp, name, &put, e) < 0 ||
        store_layer_publish(en, tmp, name, layers, n, &layers[n], e) < 0 ||
        store_layer_write_tar(en, &layers[n], (struct codec_sink){drop, &bytes}, e) < 0)
        return err_wrap(e, "layer '%s'", file);
    if (bytes != layers[n].tar_size)
        return err_set(e, ERR_INTERNAL, "the archive has %llu bytes, was said to have %llu",
                       (unsigned long long)bytes, (unsigned long long)layers[n].tar_size);
    printf("layer %s %s\n", layers[n].diff_id.hex, layers[n].open ? "open" : "closed");
    return 0;
}

// The merged tree goes through a pipe of our own making: tar in memory, then its entries as text.
static int collect(void *arg, const void *p, size_t n, struct err *e)
{
    (void)e;
    str_add(arg, (struct sv){p, n});
    return 0;
}

static ssize_t from_str(void *arg, void *buf, size_t n, struct err *e)
{
    struct sv *rest = arg;
    (void)e;
    if (n > rest->n) n = rest->n;
    memcpy(buf, rest->p, n);
    *rest = sv_from(*rest, n);
    return (ssize_t)n;
}

static const char letters[] = "fdlhcbp";

static int print_tree(struct engine *en, const struct store_layer *layers, size_t n, struct err *e)
{
    struct store_overlay o = {.layers = layers, .n = n};
    own(fd) int mount = store_overlay_open(en, &o, e);
    own(str) struct str tar = {.max = (size_t)1 << 30};
    if (mount < 0) return -1;
    own(fd) int dir = fs_open_dir(mount, ".", e);
    struct store_tar_options opt = {.newest = INT64_MAX};
    if (dir < 0 || store_tar_tree(dir, &opt, (struct codec_sink){collect, &tar}, e) < 0) return -1;
    own(codec_tar_reader) struct codec_tar_reader *r = NULL;
    struct sv rest = str_sv(&tar);
    if (codec_tar_reader_open((struct codec_source){from_str, &rest}, NULL, &r, e) < 0) return -1;
    for (;;) {
        const struct codec_tar_entry *t;
        int rc = codec_tar_next(r, &t, e);
        if (rc <= 0) return rc;
        char head[41] = "";
        ssize_t got = t->type == CODEC_TAR_FILE ? codec_tar_read(r, head, 40, e) : 0;
        if (got < 0) return -1;
        own(str) struct str line = {0};
        str_addf(&line, "%c %04o %llu:%llu %lld ", letters[t->type], t->mode,
                 (unsigned long long)t->uid, (unsigned long long)t->gid, (long long)t->mtime);
        str_add_escaped(&line, sv_of(t->name));
        if (t->link) str_addz(&line, " -> ");
        if (t->link) str_add_escaped(&line, sv_of(t->link));
        if (got) str_addz(&line, " = ");
        str_add_escaped(&line, (struct sv){head, (size_t)got});
        for (size_t i = 0; i < t->xattrs.n; i++) str_addf(&line, " +%s", t->xattrs.p[i].name);
        printf("%s\n", str_z(&line));
    }
}

static int run(int argc, char **argv, struct err *e)
{
    struct engine en;
    struct store_tmp tmp = STORE_TMP_NONE;
    bool keep = argc > 1 && strcmp(argv[1], "--kept") == 0;
    argc -= keep;
    argv += keep;
    if (argc < 3 || argc > 100) return err_set(e, ERR_USAGE, "layer-apply [--kept] STORE ARCHIVE...");
    own(free) char *run_dir = str_fmt("%s/run", argv[1]);
    struct engine_options opt = {.store = argv[1], .run = run_dir};
    struct store_layer layers[100];
    if (engine_open(&en, &opt, e) < 0) return -1;
    int rc = engine_enter(&en, e) < 0 || store_tmp_open(&en, &tmp, e) < 0 ? -1 : 0;
    for (int i = 2; rc == 0 && i < argc; i++)
        rc = add(&en, &tmp, argv[i], keep, layers, (size_t)i - 2, e);
    if (rc == 0) rc = print_tree(&en, layers, (size_t)argc - 2, e);
    store_tmp_close(&en, &tmp);
    struct err swept = {0};
    if (rc == 0) rc = store_sweep(&en, NULL, e);
    else store_sweep(&en, NULL, &swept);
    engine_close(&en);
    return rc;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    own(str) struct str text = {0};
    if (run(argc, argv, &e) >= 0) return 0;
    err_print(&e, &text);
    fputs(str_z(&text), stderr);
    return 1;
}
