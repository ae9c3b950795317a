// SPDX-License-Identifier: Apache-2.0
// Refs. One file a name, replaced by rename, with a checksum as its last line:
//
//   dewar-ref 1
//   ref docker.io/library/debian:bookworm        ("-" for an untagged image)
//   manifest sha256:...
//   image sha256:...
//   remote sha256:...                            (only when a registry has it under this name)
//   set 1700000000000000000                      (wall clock, nanoseconds)
//   sum <sha256 of the lines above>
//
// Writers take turns through a flock on refs/ that is held for milliseconds; readers take no lock.
// Pointing a name elsewhere writes the untagged entry of the old image first, then the name, so a
// crash between leaves one entry too many, never one too few; entries of images that have a name
// are not shown, and go when they are met by a writer.
#include "store/ref.h"

#include <errno.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "store/internal.h"

#define REF_MAGIC "dewar-ref 1\n"
#define REF_MAX 4096
#define UNTAGGED "_untagged"
#define DEPTH_MAX 130

void store_refs_fini(struct store_refs *v)
{
    vec_fini(v);
}

static bool untagged(const struct oci_ref *r)
{
    return r->name[0] == '\0';
}

// --- the file -----------------------------------------------------------------------------------

static void print_file(const struct store_ref *r, struct str *out)
{
    str_addz(out, REF_MAGIC "ref ");
    if (untagged(&r->ref)) {
        str_addc(out, '-');
    } else {
        oci_ref_print_full(&r->ref, out);
    }
    str_addf(out, "\nmanifest sha256:%s\nimage sha256:%s\n", r->manifest.hex, r->image.hex);
    if (oci_digest_is_set(&r->remote)) str_addf(out, "remote sha256:%s\n", r->remote.hex);
    str_addf(out, "set %jd\n", (intmax_t)r->set_ns);
    char sum[CODEC_SHA256_HEX];
    codec_sha256_of(str_sv(out), sum);
    str_addf(out, "sum %s\n", sum);
}

static bool line_value(struct sv *rest, const char *key, struct sv *out)
{
    struct sv line = sv_cut(rest, '\n');
    if (!rest->p || !sv_starts(line, key)) return false;
    *out = sv_from(line, strlen(key));
    return true;
}

static bool parse_file(struct sv text, struct store_ref *out)
{
    struct store_ref r = {0};
    struct err e = {0};
    struct sv ref, manifest, image, remote, set, sum;
    char want[CODEC_SHA256_HEX];
    if (!sv_starts(text, REF_MAGIC)) return false;
    struct sv rest = sv_from(text, sizeof REF_MAGIC - 1);
    if (!line_value(&rest, "ref ", &ref) || !line_value(&rest, "manifest ", &manifest) ||
        !line_value(&rest, "image ", &image)) {
        return false;
    }
    bool has_remote = sv_starts(rest, "remote ");
    if (has_remote && (!line_value(&rest, "remote ", &remote) ||
                       oci_digest_parse(remote, &r.remote, &e) < 0)) {
        return false;
    }
    if (!line_value(&rest, "set ", &set)) return false;
    size_t body = (size_t)(rest.p - text.p);
    if (!line_value(&rest, "sum ", &sum) || rest.n != 0) return false;
    codec_sha256_of(sv_part(text, 0, body), want);
    if (!sv_eqz(sum, want) || !num_i64(set, &r.set_ns)) return false;
    if (oci_digest_parse(manifest, &r.manifest, &e) < 0) return false;
    if (oci_digest_parse(image, &r.image, &e) < 0) return false;
    if (!sv_eqz(ref, "-") && oci_ref_parse(ref, &r.ref, &e) < 0) return false;
    *out = r;
    return true;
}

// --- where a ref lies ---------------------------------------------------------------------------

struct place {
    char folder[800];  // below the store
    char name[160];
};

static void place_of(const struct store_ref *r, struct place *p)
{
    if (untagged(&r->ref)) {
        snprintf(p->folder, sizeof p->folder, "refs/" UNTAGGED);
        snprintf(p->name, sizeof p->name, "%s", r->image.hex);
        return;
    }
    bool tagged = r->ref.tag[0] != '\0';
    snprintf(p->folder, sizeof p->folder, "refs/%s/%s/%s", r->ref.host, r->ref.name,
             tagged ? "_tags" : "_digests");
    snprintf(p->name, sizeof p->name, "%s", tagged ? r->ref.tag : r->ref.digest.hex);
}

// Makes the folders of `path` below the store, each synced into the one above it.
static int make_folders(struct engine *en, const char *path, int *out_fd, struct err *e)
{
    own(fd) int at = fs_open_dir(en->store_fd, ".", e);
    if (at < 0) return -1;
    struct sv rest = sv_of(path);
    while (rest.p) {
        own(free) char *part = sv_dup(sv_cut(&rest, '/'));
        if (mkdirat(at, part, 0700) == 0) {
            if (fs_sync_dir(at, e) < 0) return -1;
        } else if (errno != EEXIST) {
            return err_sys(e, "make folder '%s' of '%s'", part, path);
        }
        int next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0) return err_sys(e, "open folder '%s' of '%s'", part, path);
        close(at);
        at = next;
    }
    *out_fd = take_fd(at);
    return 0;
}

// 1 read, 0 absent or damaged, -1 neither is known: the garbage collection must never take a file that
// could not be opened (no descriptor left, an error of the disk) for one that is not there.
static int read_place(struct engine *en, const struct place *p, struct store_ref *out, bool *damaged,
                      struct err *e)
{
    char path[1000];
    struct err bad = {0};
    own(str) struct str text = {0};
    snprintf(path, sizeof path, "%s/%s", p->folder, p->name);
    *damaged = false;
    own(fd) int fd = openat(en->store_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) return 0;
    if (fd < 0 && errno != ELOOP) return err_sys(e, "open '%s' in the store", path);
    *damaged = fd < 0 || fs_read_fd(fd, REF_MAX, &text, &bad) < 0 || !parse_file(str_sv(&text), out);
    return *damaged ? 0 : 1;
}

// --- writing ------------------------------------------------------------------------------------

static int lock_refs(struct engine *en, struct err *e)
{
    own(fd) int fd = fs_open_dir(en->store_fd, "refs", e);
    if (fd < 0 || fs_lock(fd, LOCK_EX, e) < 0) return -1;
    return take_fd(fd);
}

static int write_ref(struct engine *en, const struct store_ref *r, struct err *e)
{
    struct place p;
    own(fd) int folder = -1;
    own(str) struct str text = {0};
    place_of(r, &p);
    if (make_folders(en, p.folder, &folder, e) < 0) return -1;
    print_file(r, &text);
    return fs_atomic_write(folder, p.name, str_sv(&text), 0600, e);
}

// Removes the file and the folders above it that became empty. Only under lock_refs.
static int remove_place(struct engine *en, const struct place *p, struct err *e)
{
    own(fd) int folder = openat(en->store_fd, p->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return errno == ENOENT ? 0 : err_sys(e, "open '%s' in the store", p->folder);
    if (unlinkat(folder, p->name, 0) != 0 && errno != ENOENT) {
        return err_sys(e, "remove ref '%s/%s'", p->folder, p->name);
    }
    if (fs_sync_dir(folder, e) < 0) return -1;
    char path[800];
    memcpy(path, p->folder, sizeof path);
    for (char *slash; (slash = strrchr(path, '/')) != NULL; *slash = '\0') {
        if (unlinkat(en->store_fd, path, AT_REMOVEDIR) != 0) break;
    }
    return 0;
}

static bool has_name(const struct store_refs *all, const struct oci_digest *image)
{
    for (size_t i = 0; i < all->n; i++) {
        if (!untagged(&all->p[i].ref) && oci_digest_eq(&all->p[i].image, image)) return true;
    }
    return false;
}

static int remove_untagged(struct engine *en, const struct oci_digest *image, struct err *e)
{
    struct store_ref r = {.image = *image};
    struct place p;
    place_of(&r, &p);
    return remove_place(en, &p, e);
}

static int set_locked(struct engine *en, const struct store_ref *want, struct err *e)
{
    struct place p;
    struct store_ref old = {0};
    bool damaged = false;
    place_of(want, &p);
    int had = read_place(en, &p, &old, &damaged, e);
    if (had < 0) return -1;
    bool moves = had == 1 && !oci_digest_eq(&old.image, &want->image);
    if (moves) {
        struct store_ref left = old;
        left.ref = (struct oci_ref){0};
        left.remote = (struct oci_digest){0};
        if (write_ref(en, &left, e) < 0) return -1;
    }
    if (write_ref(en, want, e) < 0) return -1;
    if (!untagged(&want->ref) && remove_untagged(en, &want->image, e) < 0) return -1;
    if (!moves) return 0;
    own(store_refs) struct store_refs all = {0};
    if (store_ref_list(en, &all, e) < 0) return -1;
    return has_name(&all, &old.image) ? remove_untagged(en, &old.image, e) : 0;
}

static int check_ref(const struct oci_ref *ref, struct err *e)
{
    if (ref->host[0] && ref->name[0] && (ref->tag[0] || oci_digest_is_set(&ref->digest))) return 0;
    return err_set(e, ERR_INTERNAL, "a ref needs a name and a tag or digest");
}

int store_ref_set(struct engine *en, const struct oci_ref *ref, const struct oci_digest *manifest,
                  const struct oci_digest *image, struct err *e)
{
    const struct store_ref r = {.ref = *ref, .manifest = *manifest, .image = *image};
    return store_ref_set_remote(en, &r, e);
}

int store_ref_set_remote(struct engine *en, const struct store_ref *want, struct err *e)
{
    struct store_ref r = *want;
    if (check_ref(&r.ref, e) < 0) return -1;
    if (r.ref.tag[0]) r.ref.digest.hex[0] = '\0';
    r.set_ns = clock_real_ns();
    own(fd) int lock = lock_refs(en, e);
    if (lock < 0) return -1;
    if (set_locked(en, &r, e) < 0) {
        own(str) struct str name = {0};
        oci_ref_print(&r.ref, &name);
        return err_wrap(e, "setting the name '%s'", str_z(&name));
    }
    return 0;
}

int store_ref_set_untagged(struct engine *en, const struct oci_digest *manifest,
                           const struct oci_digest *image, struct err *e)
{
    struct store_ref r = {.manifest = *manifest, .image = *image, .set_ns = clock_real_ns()};
    own(fd) int lock = lock_refs(en, e);
    if (lock < 0) return -1;
    return write_ref(en, &r, e);
}

int store_ref_remove(struct engine *en, const struct store_ref *r, struct err *e)
{
    struct place p;
    own(fd) int lock = lock_refs(en, e);
    if (lock < 0) return -1;
    place_of(r, &p);
    return remove_place(en, &p, e);
}

int store_ref_find(struct engine *en, const struct oci_ref *ref, struct store_ref *out,
                   struct err *e)
{
    struct store_ref want = {.ref = *ref};
    struct place p;
    bool damaged = false;
    if (check_ref(ref, e) < 0) return -1;
    place_of(&want, &p);
    int rc = read_place(en, &p, out, &damaged, e);
    if (damaged) {
        err_set(e, ERR_CORRUPT, "the store's file for '%s/%s' is damaged", p.folder, p.name);
        return err_hint(e, "load or build the image again, or run 'dewar system check --repair'");
    }
    return rc;
}

// --- listing ------------------------------------------------------------------------------------

struct walk {
    struct engine *en;
    store_ref_visit *visit;
    void *arg;
};

// A folder that is gone was removed just now; a file in its place is damage; anything else is an error.
static int list_folder(struct walk *w, const char *folder, struct strv *names, struct err *e)
{
    struct err bad = {0};
    if (fs_list(w->en->store_fd, folder, names, &bad) == 0) return 0;
    if (bad.sys == ENOENT) return 0;
    if (bad.sys == ENOTDIR) return w->visit(w->arg, folder, "", NULL, e);
    *e = bad;
    return -1;
}

static int visit_files(struct walk *w, const char *folder, struct err *e)
{
    own(strv) struct strv names = {0};
    if (list_folder(w, folder, &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        struct place p;
        struct store_ref r = {0};
        bool damaged = false;
        if (names.p[i][0] == '.') continue;  // half-written, by somebody who died
        snprintf(p.folder, sizeof p.folder, "%s", folder);
        if (snprintf(p.name, sizeof p.name, "%s", names.p[i]) >= (int)sizeof p.name) continue;
        int rc = read_place(w->en, &p, &r, &damaged, e);
        if (rc < 0) return -1;
        if (rc == 0 && !damaged) continue;  // removed just now
        if (!damaged) {
            struct place should;
            place_of(&r, &should);
            damaged = strcmp(should.folder, folder) != 0 || strcmp(should.name, p.name) != 0;
        }
        if (w->visit(w->arg, folder, p.name, damaged ? NULL : &r, e) < 0) return -1;
    }
    return 0;
}

static int walk_folder(struct walk *w, const char *folder, int depth, struct err *e)
{
    own(strv) struct strv names = {0};
    if (depth > DEPTH_MAX) return err_set(e, ERR_CORRUPT, "'%s' is nested too deep", folder);
    if (list_folder(w, folder, &names, e) < 0) return -1;
    for (size_t i = 0; i < names.n; i++) {
        own(free) char *sub = str_fmt("%s/%s", folder, names.p[i]);
        bool leaf = names.p[i][0] == '_';
        int rc = leaf ? visit_files(w, sub, e) : walk_folder(w, sub, depth + 1, e);
        if (rc < 0) return -1;
    }
    return 0;
}

int store_ref_walk(struct engine *en, store_ref_visit *visit, void *arg, struct err *e)
{
    struct walk w = {.en = en, .visit = visit, .arg = arg};
    return walk_folder(&w, "refs", 0, e);
}

struct lister {
    struct engine *en;
    struct store_refs *out;
};

static int list_visit(void *arg, const char *folder, const char *name, const struct store_ref *r,
                      struct err *e)
{
    struct lister *l = arg;
    (void)e;
    if (!r) {
        event_warn(&l->en->sink, "the store's file '%s/%s' is damaged and was skipped", folder,
                   name);
        return 0;
    }
    vec_push(l->out, *r);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct store_ref *x = a;
    const struct store_ref *y = b;
    int c = strcmp(x->ref.host, y->ref.host);
    if (c == 0) c = strcmp(x->ref.name, y->ref.name);
    if (c == 0) c = strcmp(x->ref.tag, y->ref.tag);
    if (c == 0) c = strcmp(x->ref.digest.hex, y->ref.digest.hex);
    return c != 0 ? c : strcmp(x->image.hex, y->image.hex);
}

int store_ref_list(struct engine *en, struct store_refs *out, struct err *e)
{
    own(store_refs) struct store_refs all = {0};
    struct lister l = {.en = en, .out = &all};
    if (store_ref_walk(en, list_visit, &l, e) < 0) return -1;
    for (size_t i = 0; i < all.n; i++) {
        if (untagged(&all.p[i].ref) && has_name(&all, &all.p[i].image)) continue;
        vec_push(out, all.p[i]);
    }
    if (out->n > 1) qsort(out->p, out->n, sizeof *out->p, by_name);
    return 0;
}

// --- resolving ----------------------------------------------------------------------------------

// The hex digits of something that may be an ID: "sha256:" is optional, 2 to 64 digits.
static struct sv id_digits(struct sv text, bool *explicit)
{
    *explicit = sv_starts(text, "sha256:");
    struct sv hex = *explicit ? sv_from(text, 7) : text;
    if (hex.n < 2 || hex.n > 64) return (struct sv){0};
    for (size_t i = 0; i < hex.n; i++) {
        if (hex.p[i] == '\0' || !strchr("0123456789abcdef", hex.p[i])) return (struct sv){0};
    }
    return hex;
}

// An ID names an image by its config digest or by its manifest digest: tools print both.
static int find_by_id(const struct store_refs *all, struct sv hex, struct store_ref *out,
                      struct err *e)
{
    const struct store_ref *hit = NULL;
    for (size_t i = 0; i < all->n; i++) {
        const struct store_ref *r = &all->p[i];
        if (strncmp(r->image.hex, hex.p, hex.n) != 0 && strncmp(r->manifest.hex, hex.p, hex.n) != 0 &&
            strncmp(r->remote.hex, hex.p, hex.n) != 0) {
            continue;
        }
        if (hit && !oci_digest_eq(&hit->image, &r->image)) {
            err_set(e, ERR_INPUT, "the image ID '%.*s' is ambiguous", (int)hex.n, hex.p);
            return err_hint(e, "sha256:%.20s and sha256:%.20s both begin so: give more digits",
                            hit->image.hex, r->image.hex);
        }
        if (!hit) hit = r;
    }
    if (!hit) return 0;
    *out = *hit;
    return 1;
}

static int find_by_digest(const struct store_refs *all, const struct oci_ref *want,
                          struct store_ref *out)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct store_ref *r = &all->p[i];
        if (strcmp(r->ref.host, want->host) != 0 || strcmp(r->ref.name, want->name) != 0) continue;
        if (!oci_digest_eq(&r->manifest, &want->digest) && !oci_digest_eq(&r->image, &want->digest) &&
            !oci_digest_eq(&r->remote, &want->digest)) {
            continue;
        }
        *out = *r;
        return 1;
    }
    return 0;
}

// Levenshtein distance, capped: texts here are at most a name long.
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a);
    size_t m = strlen(b);
    size_t row[257];
    if (n > 256 || m > 256) return 1000;
    for (size_t j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diag = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diag + (a[i - 1] != b[j - 1]);
            diag = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[m];
}

static void hint_for(const struct store_refs *all, const char *text, const struct oci_ref *want,
                     struct err *e)
{
    const struct store_ref *best = NULL;
    size_t best_d = 4;
    for (size_t i = 0; i < all->n; i++) {
        const struct store_ref *r = &all->p[i];
        own(str) struct str name = {0};
        if (untagged(&r->ref)) continue;
        oci_ref_print(&r->ref, &name);
        size_t d = distance(text, str_z(&name));
        if (strcmp(r->ref.host, want->host) == 0 && strcmp(r->ref.name, want->name) == 0) d = 0;
        own(str) struct str bare = {0};
        oci_ref_print_repository(&r->ref, &bare);
        size_t d2 = distance(text, str_z(&bare)) + 1;
        if (d2 < d) d = d2;
        if (d < best_d) {
            best_d = d;
            best = r;
        }
    }
    if (!best) {
        err_hint(e, "'dewar images' lists what is there; 'dewar load', 'image import' and 'image "
                    "bootstrap' bring images in");
        return;
    }
    own(str) struct str name = {0};
    oci_ref_print(&best->ref, &name);
    err_hint(e, "did you mean '%s'?", str_z(&name));
}

int store_ref_resolve(struct engine *en, const char *text, struct store_ref *out, struct err *e)
{
    struct oci_ref want = {0};
    struct err bad = {0};
    bool explicit = false;
    bool named = oci_ref_parse(sv_of(text), &want, &bad) == 0;
    oci_ref_default_tag(&want);
    bool by_digest = named && oci_digest_is_set(&want.digest);
    struct sv hex = id_digits(sv_of(text), &explicit);
    if (named && !explicit && !by_digest) {
        int rc = store_ref_find(en, &want, out, e);
        if (rc != 0) return rc;
    }
    own(store_refs) struct store_refs all = {0};
    if (store_ref_list(en, &all, e) < 0) return -1;
    if (by_digest && find_by_digest(&all, &want, out)) return 1;
    if (hex.n > 0) {
        int rc = find_by_id(&all, hex, out, e);
        if (rc != 0) return rc;
    }
    if (!named && hex.n == 0) {
        *e = bad;
        return -1;
    }
    err_set(e, ERR_NOT_FOUND, "no image '%s' in the store", text);
    hint_for(&all, text, &want, e);
    return -1;
}
