// SPDX-License-Identifier: Apache-2.0
// The image config document (OCI image-spec config.md, with Docker's extension fields Healthcheck,
// OnBuild, Shell, StopTimeout, ArgsEscaped kept) and the manifest. Printing has one fixed key order,
// so an equal image gives equal bytes and with them an equal image ID.
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "base/vec.h"
#include "codec/json.h"
#include "oci/digest.h"
#include "oci/platform.h"

struct oci_health {
    bool set;
    struct strv test;  // {"NONE"}, {"CMD", ...}, {"CMD-SHELL", text}
    int64_t interval_ns, timeout_ns, start_period_ns, start_interval_ns;
    int64_t retries;
};

struct oci_history {
    int64_t created;  // seconds; INT64_MIN when absent
    char *created_by;
    char *author;
    char *comment;
    bool empty_layer;
};

struct oci_image {
    struct oci_platform platform;
    int64_t created;  // seconds; INT64_MIN when absent
    char *author;
    // config
    char *user;
    struct map exposed_ports;  // key "80/tcp", value unused
    struct strv env;           // "K=V", in order; entries without '=' were dropped on parse
    struct strv entrypoint;
    bool has_entrypoint;
    struct strv cmd;
    bool has_cmd;
    struct map volumes;  // key path
    char *workdir;
    struct map labels;  // values are heap texts
    char *stop_signal;
    int64_t stop_timeout;  // -1 when absent
    struct oci_health health;
    struct strv onbuild;
    struct strv shell;
    bool args_escaped;
    // rootfs and history
    struct oci_digest *diff_ids;
    size_t layers;
    struct oci_history *history;
    size_t histories;
};

void oci_image_init(struct oci_image *im);  // empty, host platform, created absent
void oci_image_fini(struct oci_image *im);
static inline void own_oci_image(struct oci_image *im)
{
    oci_image_fini(im);
}
int oci_image_parse(struct sv json, const char *label, struct oci_image *out, struct err *e);
void oci_image_print(const struct oci_image *im, struct str *out);
struct codec_json *oci_image_config_json(const struct oci_image *im);  // the "config" object alone
void oci_image_copy(struct oci_image *to, const struct oci_image *from);
void oci_image_add_layer(struct oci_image *im, const struct oci_digest *diff_id);
void oci_image_add_history(struct oci_image *im, struct oci_history h);  // takes its texts
const char *oci_image_env_get(const struct oci_image *im, const char *key);  // NULL: absent
// Sets or replaces K in an env list ("K=V"), keeping its place.
void oci_env_set(struct strv *env, const char *key, const char *value);
const char *oci_env_get(const struct strv *env, const char *key);
void oci_env_del(struct strv *env, const char *key);

#define OCI_TYPE_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_TYPE_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_TYPE_CONFIG "application/vnd.oci.image.config.v1+json"
#define OCI_TYPE_LAYER "application/vnd.oci.image.layer.v1.tar"
#define OCI_TYPE_LAYER_GZIP "application/vnd.oci.image.layer.v1.tar+gzip"
#define OCI_TYPE_LAYER_ZSTD "application/vnd.oci.image.layer.v1.tar+zstd"
#define DOCKER_TYPE_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define DOCKER_TYPE_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define DOCKER_TYPE_CONFIG "application/vnd.docker.container.image.v1+json"
#define DOCKER_TYPE_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"

struct oci_descriptor {
    char media_type[128];
    struct oci_digest digest;
    uint64_t size;
    bool has_platform;
    struct oci_platform platform;
    struct codec_json *annotations;  // NULL, or owned
};
struct oci_manifest {
    bool is_index;
    char media_type[128];
    struct oci_descriptor config;  // unset in an index
    struct oci_descriptor *items;  // layers, or manifests of an index
    size_t n;
    struct codec_json *annotations;  // NULL, or owned
};
void oci_manifest_fini(struct oci_manifest *m);
static inline void own_oci_manifest(struct oci_manifest *m)
{
    oci_manifest_fini(m);
}
// Refuses documents with both `layers` and `manifests`, bad digests, negative sizes.
int oci_manifest_parse(struct sv json, const char *label, struct oci_manifest *out, struct err *e);
void oci_manifest_print(const struct oci_manifest *m, struct str *out);
