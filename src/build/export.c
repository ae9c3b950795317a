// SPDX-License-Identifier: Apache-2.0
// The end of a build: an image in the store with its names, or files somewhere else.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/output.h"
#include "base/own.h"
#include "build/annotation.h"
#include "build/cacheexport.h"
#include "build/cacheimport.h"
#include "build/internal.h"
#include "codec/json.h"
#include "image/archive.h"
#include "image/image.h"
#include "image/registry.h"

static int write_tar(struct build_job *job, const struct build_state *s, int fd, struct err *e);

static int sink_write(void *arg, const void *p, size_t n, struct err *e)
{
    return fs_write_all(*(int *)arg, p, n, e);
}

static int open_view(struct build_job *job, const struct build_state *s, struct err *e)
{
    if (s->layers.n == 0) {
        if (mkdirat(job->tmp.fd, "empty", 0755) != 0 && errno != EEXIST)
            return err_sys(e, "make an empty root");
        return fs_open_dir(job->tmp.fd, "empty", e);
    }
    struct store_overlay o = {.layers = s->layers.p, .n = s->layers.n};
    return store_overlay_open(job->en, &o, e);
}

static int write_tar(struct build_job *job, const struct build_state *s, int fd, struct err *e)
{
    own(fd) int view = open_view(job, s, e);
    if (view < 0) return -1;
    own(fd) int readable = fs_open_dir(view, ".", e);
    if (readable < 0) return -1;
    struct store_tar_options opt = {.newest = INT64_MAX};
    return store_tar_tree(readable, &opt, (struct codec_sink){sink_write, &fd}, e);
}

// Files for the caller: theirs, not 0:0 of the image, as `docker build -o` does.
static int write_local(struct build_job *job, const struct build_state *s, const char *dest,
                       struct err *e)
{
    own(fd) int view = open_view(job, s, e);
    if (view < 0) return -1;
    if (fs_mkdirs(AT_FDCWD, dest, 0755, e) < 0) return -1;
    own(fd) int into = fs_open_dir(AT_FDCWD, dest, e);
    if (into < 0) return -1;
    struct build_tree tree = {.root = {view, "the result"}};
    struct root root = {into, "the output folder"};
    struct build_copy spec = {0};
    struct build_picks picks = {0};
    struct fs_owner me = {geteuid(), getegid()};
    struct build_copy_apply opt = {.spec = &spec, .dest = "/", .owner = &me, .time = INT64_MIN};
    int rc = build_tree_scan(&tree, NULL, e);
    if (rc == 0) {
        vec_push(&picks.v, ((struct build_pick){.node = tree.nodes.p}));
        rc = build_copy_apply(&tree, &picks, &opt, &root, e);
    }
    build_picks_fini(&picks);
    build_tree_fini(&tree);
    return rc;
}

static int write_archive(struct build_job *job, const struct build_output *o,
                         const struct oci_digest *manifest, struct err *e)
{
    char id[OCI_DIGEST_TEXT];
    own(strv) struct strv names = {0};
    if (job->outs.names.n)
        strv_add_all(&names, &job->outs.names);
    else
        strv_add(&names, oci_digest_print(&job->result->image, id));
    bool out = strcmp(o->dest, "-") == 0;
    struct image_save_options save = {
        .names = &names,
        .format = o->type == BUILD_OUTPUT_DOCKER ? IMAGE_SAVE_DOCKER
                  : o->is_dir              ? IMAGE_SAVE_OCI_DIR
                                           : IMAGE_SAVE_OCI_ARCHIVE,
        .path = out ? NULL : o->dest,
        .fd = out ? STDOUT_FILENO : -1,
        .manifest = manifest,
    };
    return image_save(job->en, &save, e);
}

// A device or a pipe is written to; renaming over it would take it away from everybody.
static bool is_special(const char *path)
{
    struct err ignored;
    struct stat st;
    own(fd) int fd = fs_open(path, O_PATH, 0, &ignored);
    return fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

// A file at `dest` appears complete or not at all.
static int write_tar_file(struct build_job *job, const struct build_state *s, const char *dest,
                          struct err *e)
{
    if (strcmp(dest, "-") == 0) return write_tar(job, s, STDOUT_FILENO, e);
    own(output) struct output file = OUTPUT_NONE;
    if (output_open(dest, 0644, &file, e) < 0 || write_tar(job, s, file.fd, e) < 0) return -1;
    return output_commit(&file, e);
}

static int put_image(struct build_job *job, struct build_state *s, struct err *e)
{
    VEC(struct oci_ref) refs = {0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < job->outs.names.n; i++) {
        struct oci_ref ref;
        rc = oci_ref_parse(sv_of(job->outs.names.p[i]), &ref, e);
        oci_ref_default_tag(&ref);
        if (rc == 0) vec_push(&refs, ref);
    }
    own(codec_json) struct codec_json *notes = NULL;
    if (rc == 0) rc = build_cacheexport_inline(job, &notes, e);
    if (rc == 0) build_annotation_add(job->opt, &notes);
    struct image_put put = {.image = &s->image, .layers = s->layers.p, .refs = refs.p,
                            .refs_n = refs.n, .annotations = notes};
    struct store_ref ref;
    if (rc == 0) rc = image_put(job->en, &put, &ref, e);
    if (rc == 0) {
        job->result->image = ref.image;
        job->result->manifest = ref.manifest;
    }
    vec_fini(&refs);
    return rc;
}

// The manifest names the archives that were sent, so what a registry has is what is reported.
static int push_image(struct build_job *job, struct err *e)
{
    const struct build_outputs *o = &job->outs;
    for (size_t i = 0; o->push && i < o->names.n; i++) {
        struct image_push_options opt = {.name = o->names.p[i],
                                         .insecure = o->insecure || job->opt->insecure,
                                         .compression = o->compression,
                                         .level = o->level};
        own(image_pushed) struct image_pushed pushed = {0};
        if (image_push(job->en, &opt, &pushed, e) < 0) return -1;
        job->result->manifest = pushed.digest;
    }
    return 0;
}

static void add_labels(struct build_job *job, struct build_state *s)
{
    for (size_t i = 0; job->opt->labels && i < job->opt->labels->n; i++) {
        struct sv rest = sv_of(job->opt->labels->p[i]);
        own(free) char *key = sv_dup(sv_cut(&rest, '='));
        map_set(&s->image.labels, key, sv_dup(rest));
    }
}

static int put_report(const char *path, struct sv text, struct err *e)
{
    if (!is_special(path)) return fs_replace(AT_FDCWD, path, text, 0644, e);
    own(fd) int fd = fs_open(path, O_WRONLY, 0, e);
    if (fd < 0 || fs_write_all(fd, text.p, text.n, e) < 0) return err_wrap(e, "writing '%s'", path);
    return 0;
}

static int write_reports(struct build_job *job, struct err *e)
{
    char id[OCI_DIGEST_TEXT], manifest[OCI_DIGEST_TEXT];
    oci_digest_print(&job->result->image, id);
    if (job->opt->iidfile && put_report(job->opt->iidfile, sv_of(id), e) < 0) return -1;
    if (!job->opt->metadata_file) return 0;
    struct codec_json *j = codec_json_new_object();
    codec_json_set_text(j, "containerimage.config.digest", id);
    codec_json_set_text(j, "containerimage.digest", oci_digest_print(&job->result->manifest, manifest));
    own(str) struct str names = {0};
    for (size_t i = 0; i < job->outs.names.n; i++)
        str_addf(&names, "%s%s", names.n ? "," : "", job->outs.names.p[i]);
    if (names.n) codec_json_set_text(j, "image.name", str_z(&names));
    own(str) struct str text = {0};
    codec_json_print_pretty(j, 2, &text);
    str_addc(&text, '\n');
    codec_json_free(j);
    return put_report(job->opt->metadata_file, str_sv(&text), e);
}

int build_export(struct build_job *job, const struct build_state *given, struct err *e)
{
    own(build_state) struct build_state s;
    build_state_copy(&s, given);
    add_labels(job, &s);
    const struct build_outputs *outs = &job->outs;
    if (build_cacheimport_need(job, &job->tmp, s.layers.p, s.layers.n, e) < 0) return -1;
    if (!outs->files_only && put_image(job, &s, e) < 0) return -1;
    const struct oci_digest made = job->result->manifest; // a push may report another
    if (!outs->files_only && push_image(job, e) < 0) return -1;
    vec_each(o, &outs->v)
    {
        int rc = o->type == BUILD_OUTPUT_LOCAL  ? write_local(job, &s, o->dest, e)
                 : o->type == BUILD_OUTPUT_TAR  ? write_tar_file(job, &s, o->dest, e)
                 : o->type == BUILD_OUTPUT_IMAGE ? 0
                                                 : write_archive(job, o, &made, e);
        if (rc < 0) return err_wrap(e, "--output %s", o->text);
    }
    if (write_reports(job, e) < 0) return -1;
    return build_cacheexport_run(job, &s, e);
}
