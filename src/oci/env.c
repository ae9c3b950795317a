// SPDX-License-Identifier: Apache-2.0
// Environment lists as images carry them: "K=V" texts whose order is part of the image's bytes.
#include "oci/image.h"

static long find_key(const struct strv *env, const char *key)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < env->n; i++) {
        if (strncmp(env->p[i], key, n) == 0 && env->p[i][n] == '=') return (long)i;
    }
    return -1;
}

void oci_env_set(struct strv *env, const char *key, const char *value)
{
    char *text = str_fmt("%s=%s", key, value);
    long i = find_key(env, key);
    if (i < 0) {
        strv_take(env, text);
        return;
    }
    free(env->p[i]);
    env->p[i] = text;
}

const char *oci_env_get(const struct strv *env, const char *key)
{
    long i = find_key(env, key);
    return i < 0 ? NULL : env->p[i] + strlen(key) + 1;
}

void oci_env_del(struct strv *env, const char *key)
{
    long i = find_key(env, key);
    if (i < 0) return;
    free(env->p[i]);
    memmove(&env->p[i], &env->p[i + 1], (env->n - (size_t)i - 1) * sizeof *env->p);
    env->n--;
}
