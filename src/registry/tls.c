// SPDX-License-Identifier: Apache-2.0
#include "registry/tls.h"

#include <curl/curl.h>
#include <stdlib.h>

#include "base/fs.h"
#include "base/num.h"
#include "base/own.h"
#include "base/str.h"
#include "base/vec.h"

#define CERTS_MAX ((size_t)8 << 20)
#define SYSTEM_BUNDLE "/etc/ssl/certs/ca-certificates.crt"
#define SYSTEM_FOLDER "/etc/ssl/certs"

static const char *env(const char *key)
{
    const char *z = getenv(key);
    return z && z[0] ? z : NULL;
}

// NULL: the system's own, said or not.
static const char *other_than(const char *key, const char *usual)
{
    const char *z = env(key);
    return z && strcmp(z, usual) != 0 ? z : NULL;
}

static int add_file(const char *dir, const char *name, struct str *out, struct err *e)
{
    own(str) struct str path = {0};
    own(str) struct str pem = {0};
    str_addf(&path, "%s%s%s", dir, dir[0] ? "/" : "", name);
    if (fs_read_at(AT_FDCWD, str_z(&path), CERTS_MAX, &pem, e) < 0) return -1;
    str_add(out, str_sv(&pem));
    str_addc(out, '\n');
    return 0;
}

static int set_client(CURL *easy, const char *dir, const struct strv *names, const char *cert,
                      struct err *e)
{
    own(str) struct str key = {0};
    own(str) struct str path = {0};
    str_add(&key, sv_part(sv_of(cert), 0, strlen(cert) - 5));
    str_addz(&key, ".key");
    if (strv_find(names, str_z(&key)) < 0) {
        err_set(e, ERR_INPUT, "'%s/%s' has no '%s' beside it", dir, cert, str_z(&key));
        return err_hint(e, "a client certificate is a pair of NAME.cert and NAME.key");
    }
    str_addf(&path, "%s/%s", dir, cert);
    curl_easy_setopt(easy, CURLOPT_SSLCERT, str_z(&path));
    str_clear(&path);
    str_addf(&path, "%s/%s", dir, str_z(&key));
    curl_easy_setopt(easy, CURLOPT_SSLKEY, str_z(&path));
    return 0;
}

// "4042bcee.0"
static bool is_hash_name(struct sv n)
{
    if (n.n != 10 || !sv_ends(n, ".0")) return false;
    for (size_t i = 0; i < 8; i++)
        if (!strchr("0123456789abcdef", n.p[i])) return false;
    return true;
}

bool tls_is_hashed(void)
{
    struct err ignored;
    own(strv) struct strv names = {0};
    if (fs_list(AT_FDCWD, SYSTEM_FOLDER, &names, &ignored) < 0) return false;
    vec_each(name, &names) if (is_hash_name(sv_of(*name))) return true;
    return false;
}

// A list of CAs in memory is instead of the system's file, and beside the system's folder.
static int set_folder(CURL *easy, const struct tls_wish *w, struct err *e)
{
    own(strv) struct strv names = {0};
    own(str) struct str pem = {.max = 4 * CERTS_MAX};
    const char *dir = w->ca_dir;
    int shows = 0;
    if (fs_list(AT_FDCWD, dir, &names, e) < 0) return -1;
    vec_each(name, &names)
    {
        struct sv n = sv_of(*name);
        if (sv_ends(n, ".crt") && add_file(dir, *name, &pem, e) < 0) return -1;
        if (!w->show_client || !sv_ends(n, ".cert")) continue;
        if (set_client(easy, dir, &names, *name, e) < 0) return -1;
        shows = 1;
    }
    if (pem.n == 0) return shows;
    const char *file = other_than("SSL_CERT_FILE", SYSTEM_BUNDLE);
    if (!file && !w->hashed && fs_exists(AT_FDCWD, SYSTEM_BUNDLE)) file = SYSTEM_BUNDLE;
    if (file && add_file("", file, &pem, e) < 0) return -1;
    if (str_check(&pem, e) < 0) return err_wrap(e, "read the certificates in '%s'", dir);
    struct curl_blob blob = {.data = pem.p, .len = pem.n, .flags = CURL_BLOB_COPY};
    curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &blob);
    return shows;
}

int tls_set_up(void *easy, const struct tls_wish *w, struct err *e)
{
    const char *file = other_than("SSL_CERT_FILE", SYSTEM_BUNDLE);
    const char *folder = other_than("SSL_CERT_DIR", SYSTEM_FOLDER);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, w->unverified ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, w->unverified ? 0L : 2L);
    if (file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, file);
    else if (w->hashed && !folder)
        curl_easy_setopt(easy, CURLOPT_CAINFO, NULL);
    if (folder || w->hashed)
        curl_easy_setopt(easy, CURLOPT_CAPATH, folder ? folder : SYSTEM_FOLDER);
    return w->ca_dir && w->ca_dir[0] ? set_folder(easy, w, e) : 0;
}

// What servers say about a client's certificate, missing ones too (RFC 8446, section 6).
static bool is_about_client(uint64_t alert)
{
    return (alert >= 41 && alert <= 46) || alert == 48 || alert == 116;
}

bool tls_client_refused(struct sv said)
{
    uint64_t number;
    static const char incoming[] = "(IN), TLS alert,";
    own(free) char *text = sv_dup(said);
    long open = sv_rfind(said, '('), end = sv_rfind(said, ')');
    return strstr(text, incoming) && open >= 0 && end > open &&
           num_u64(sv_part(said, (size_t)open + 1, (size_t)(end - open - 1)), &number) &&
           is_about_client(number & 0xff);
}
