// SPDX-License-Identifier: Apache-2.0
// The memory of file hashes. See build/memory.h.
#include "build/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"

#define MEMORY_MAGIC "dewar-files-2\n"
#define MEMORY_MAX ((size_t)512 << 20)
// Coarse kernel clocks tick every 1 to 10 ms: a file changed twice within one tick looks unchanged.
#define MEMORY_SETTLE_NS 50000000

struct record {
    uint64_t dev, ino, size;
    int64_t mtime_ns, ctime_ns;
    char hex[64];
};

struct build_memory {
    char name[80];
    struct str text;  // the file as read
    const struct record *old;
    size_t n;
    VEC(struct record) fresh;
    int64_t opened_ns;
};

static int by_inode(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    if (x->dev != y->dev) return x->dev < y->dev ? -1 : 1;
    return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static void load(struct engine *en, struct build_memory *m)
{
    struct err ignored;
    size_t head = sizeof MEMORY_MAGIC - 1 + CODEC_SHA256_HEX;
    m->text = (struct str){.max = MEMORY_MAX};
    m->old = NULL;
    m->n = 0;
    if (fs_read_at(en->store_fd, m->name, MEMORY_MAX, &m->text, &ignored) < 0) return;
    struct sv all = str_sv(&m->text);
    if (all.n < head || !sv_starts(all, MEMORY_MAGIC)) return;
    struct sv body = sv_from(all, head);
    char hex[CODEC_SHA256_HEX];
    codec_sha256_of(body, hex);
    if (memcmp(hex, all.p + sizeof MEMORY_MAGIC - 1, 64) != 0 || body.n % sizeof(struct record))
        return;
    // The records stand behind a header of odd length: move them to where they are aligned.
    memmove(m->text.p, body.p, body.n);
    m->old = (const struct record *)(const void *)m->text.p;
    m->n = body.n / sizeof(struct record);
}

int build_memory_open(struct engine *en, const struct root *root, struct build_memory **out,
                      struct err *e)
{
    struct stat st;
    if (fstat(root->fd, &st) != 0) return err_sys(e, "stat %s", root->label);
    struct build_memory *m = mem_alloc(sizeof *m);
    snprintf(m->name, sizeof m->name, "cache/files/%llx-%llx", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    m->opened_ns = clock_real_ns();
    load(en, m);
    *out = m;
    return 0;
}

static bool same(const struct record *r, const struct build_node *n)
{
    return r->size == n->size && r->mtime_ns == n->mtime_ns && r->ctime_ns == n->ctime_ns;
}

bool build_memory_find(struct build_memory *m, const struct build_node *n,
                       char hex[CODEC_SHA256_HEX])
{
    struct record key = {.dev = n->dev, .ino = n->ino};
    const struct record *r = m->n ? bsearch(&key, m->old, m->n, sizeof key, by_inode) : NULL;
    if (!r || !same(r, n)) return false;
    memcpy(hex, r->hex, 64);
    hex[64] = '\0';
    return true;
}

void build_memory_add(struct build_memory *m, const struct build_node *n,
                      const char hex[CODEC_SHA256_HEX])
{
    if (n->ctime_ns > clock_real_ns() - MEMORY_SETTLE_NS) return;
    struct record *r = vec_add(&m->fresh);
    *r = (struct record){n->dev, n->ino, n->size, n->mtime_ns, n->ctime_ns, {0}};
    memcpy(r->hex, hex, 64);
}

// Old and fresh records in one sorted array; the fresh ones win.
static void save(struct engine *en, struct build_memory *m)
{
    struct err ignored;
    str_fini(&m->text);
    load(en, m);  // another build may have written meanwhile
    VEC(struct record) all = {0};
    vec_each(f, &m->fresh) vec_push(&all, *f);
    if (all.n) qsort(all.p, all.n, sizeof *all.p, by_inode);
    size_t fresh = all.n;
    for (size_t i = 0; i < m->n; i++)
        if (!bsearch(&m->old[i], all.p, fresh, sizeof *all.p, by_inode)) vec_push(&all, m->old[i]);
    if (all.n) qsort(all.p, all.n, sizeof *all.p, by_inode);
    struct sv body = {(const char *)all.p, all.n * sizeof *all.p};
    char hex[CODEC_SHA256_HEX];
    codec_sha256_of(body, hex);
    own(str) struct str text = {.max = MEMORY_MAX};
    str_addz(&text, MEMORY_MAGIC);
    str_add(&text, (struct sv){hex, sizeof hex});
    str_add(&text, body);
    if (!text.overflow && fs_mkdirs(en->store_fd, "cache/files", 0700, &ignored) == 0)
        fs_replace(en->store_fd, m->name, str_sv(&text), 0600, &ignored);
    vec_fini(&all);
}

void build_memory_close(struct engine *en, struct build_memory *m)
{
    if (!m) return;
    if (m->fresh.n) save(en, m);
    str_fini(&m->text);
    vec_fini(&m->fresh);
    free(m);
}
