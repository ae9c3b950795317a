// SPDX-License-Identifier: Apache-2.0
// One root file system archive becomes one layer. Two processes: this one decompresses, reads the
// headers (for the newest time, and to edit) and passes the bytes on through a pipe; a worker
// unpacks and hashes them.
// When the worker fails the pipe breaks here, and the worker's own error is the one that is told.
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "base/own.h"
#include "base/proc.h"
#include "image/internal.h"
#include "store/lock.h"

#define CHUNK ((size_t)256 * 1024)

struct unpack_arg {
    struct engine *en;
    struct store_tmp *tmp;
    const char *name;
    int read_fd;
    int write_fd;
};

static int unpack_worker(void *arg, struct err *e)
{
    struct unpack_arg *a = arg;
    close(a->write_fd);  // or the end of the stream would never come
    const struct store_layer_put put = {.src = codec_source_fd(&a->read_fd)};
    return store_layer_unpack(a->en, a->tmp, a->name, &put, e);
}

static ssize_t read_unzipped(void *arg, void *buf, size_t n, struct err *e)
{
    return codec_unzip_read(arg, buf, n, e);
}

struct codec_source image_rootfs_unzipped(struct codec_unzip *u)
{
    return (struct codec_source){.read = read_unzipped, .arg = u};
}

struct feed {
    int fd;
    bool broken;  // the worker is gone: its error counts, not ours
};

static int feed_write(void *arg, const void *p, size_t n, struct err *e)
{
    struct feed *f = arg;
    if (fs_write_all(f->fd, p, n, e) == 0) return 0;
    f->broken = e->sys == EPIPE;
    return -1;
}

static int feed_seen(void *arg, const void *p, size_t n, bool content, struct err *e)
{
    (void)content;
    return feed_write(arg, p, n, e);
}

static void note(struct image_rootfs *r, const struct codec_tar_entry *t)
{
    r->entries++;
    if (t->mtime > r->newest) r->newest = t->mtime;
}

static int pass_plain(struct image_rootfs *r, struct codec_source src, struct feed *f, struct err *e)
{
    const struct codec_tar_seen seen = {.bytes = feed_seen, .arg = f};
    own(codec_tar_reader) struct codec_tar_reader *reader = NULL;
    const struct codec_tar_entry *t = NULL;
    int rc = 0;
    if (codec_tar_reader_open(src, &seen, &reader, e) < 0) return -1;
    while ((rc = codec_tar_next(reader, &t, e)) == 1) note(r, t);
    return rc;
}

static int copy_content(struct codec_tar_reader *reader, struct codec_tar_writer *w, char *buf,
                        struct err *e)
{
    while (true) {
        ssize_t n = codec_tar_read(reader, buf, CHUNK, e);
        if (n <= 0) return (int)n;
        if (codec_tar_write_data(w, buf, (size_t)n, e) < 0) return -1;
    }
}

static int pass_edited(struct image_rootfs *r, struct codec_source src, struct feed *f,
                       struct err *e)
{
    own(codec_tar_reader) struct codec_tar_reader *reader = NULL;
    own(free) char *buf = mem_alloc(CHUNK);
    own(str) struct str content = {0};
    const struct codec_tar_entry *t = NULL;
    struct codec_tar_writer w;
    int rc = 0;
    codec_tar_writer_init(&w, (struct codec_sink){.write = feed_write, .arg = f});
    if (codec_tar_reader_open(src, NULL, &reader, e) < 0) return -1;
    while ((rc = codec_tar_next(reader, &t, e)) == 1) {
        struct codec_tar_entry edited = *t;
        str_clear(&content);
        enum image_rootfs_edit what = r->edit(r->arg, &edited, &content);
        if (what == IMAGE_ROOTFS_DROP) continue;
        if (what == IMAGE_ROOTFS_REPLACE) edited.size = content.n;
        note(r, &edited);
        if (codec_tar_write_entry(&w, &edited, e) < 0) return -1;
        if (what == IMAGE_ROOTFS_REPLACE) {
            if (codec_tar_write_data(&w, str_z(&content), content.n, e) < 0) return -1;
        } else if (edited.type == CODEC_TAR_FILE && copy_content(reader, &w, buf, e) < 0) {
            return -1;
        }
    }
    return rc < 0 ? -1 : codec_tar_write_end(&w, e);
}

static int pass(struct image_rootfs *r, struct feed *f, struct err *e)
{
    own(codec_unzip) struct codec_unzip *unzip = NULL;
    r->newest = INT64_MIN;
    r->entries = 0;
    if (codec_unzip_open(r->src, LIMIT_LAYER_BYTES, &unzip, e) < 0) return -1;
    struct codec_source src = image_rootfs_unzipped(unzip);
    return r->edit ? pass_edited(r, src, f, e) : pass_plain(r, src, f, e);
}

int image_rootfs_unpack(struct engine *en, struct store_tmp *tmp, const char *name,
                        struct image_rootfs *r, struct err *e)
{
    int ends[2];
    struct proc_worker worker;
    struct err theirs = {0};
    if (pipe2(ends, O_CLOEXEC) != 0) return err_sys(e, "pipe");
    own(fd) int rd = ends[0];
    own(fd) int wr = ends[1];
    fcntl(wr, F_SETPIPE_SZ, 1 << 20);  // fewer switches between the two; refused is fine
    struct unpack_arg arg = {en, tmp, name, rd, wr};
    if (proc_worker_start(unpack_worker, &arg, &worker, e) < 0) return -1;
    close(take_fd(rd));
    struct sigaction old;
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, &old);
    struct feed f = {.fd = wr};
    int rc = pass(r, &f, e);
    sigaction(SIGPIPE, &old, NULL);
    // A half-fed worker must not take the end of the pipe for the end of the archive.
    if (rc < 0 && !f.broken) proc_kill(&worker.proc, SIGKILL);
    close(take_fd(wr));
    int done = proc_worker_wait(&worker, &theirs);
    if (rc < 0 && !f.broken) return -1;
    if (done < 0) {
        *e = theirs;
        return -1;
    }
    return rc;
}

static void complete(struct image_single *s, const struct store_layer *layer)
{
    struct oci_history h = {.created_by = str_dup(s->created_by), .comment = str_dup(s->comment)};
    int64_t newest = s->rootfs->newest > 0 ? s->rootfs->newest : 0;
    s->image->created = s->created != INT64_MIN ? s->created : newest;
    h.created = s->image->created;
    oci_image_add_layer(s->image, &layer->diff_id);
    oci_image_add_history(s->image, h);
}

static int publish(struct engine *en, struct store_tmp *tmp, struct image_single *s,
                   struct store_ref *out, struct err *e)
{
    struct store_layer layer = {0};
    int rc = image_rootfs_unpack(en, tmp, "layer", s->rootfs, e);
    // A program that failed while it wrote the archive is the cause of a bad archive.
    struct err why = {0};
    if (s->ready && s->ready(s->ready_arg, &why) < 0) {
        *e = why;
        return -1;
    }
    if (rc < 0) return -1;
    if (s->rootfs->entries == 0) {
        err_set(e, ERR_INPUT, "the archive holds no files");
        return err_hint(e, "give a tar of a root file system, compressed or not");
    }
    if (store_layer_publish(en, tmp, "layer", NULL, 0, &layer, e) < 0) return -1;
    complete(s, &layer);
    const struct image_put put = {
        .image = s->image, .layers = &layer, .refs = s->ref, .refs_n = s->ref ? 1 : 0};
    return image_put(en, &put, out, e);
}

int image_rootfs_put(struct engine *en, struct image_single *s, struct store_ref *out,
                     struct err *e)
{
    struct store_tmp tmp = STORE_TMP_NONE;
    own(fd) int lock = store_lock_shared(en, e);
    if (lock < 0 || store_tmp_open(en, &tmp, e) < 0) return -1;
    int rc = publish(en, &tmp, s, out, e);
    store_tmp_close(en, &tmp);
    return rc;
}
