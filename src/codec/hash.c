// SPDX-License-Identifier: Apache-2.0
// SHA-256 through OpenSSL's low-level functions: they are what the static library offers without
// its provider machinery, and they choose SHA-NI by themselves.
#define OPENSSL_API_COMPAT 0x10101000L
#include "codec/hash.h"

#include <errno.h>
#include <openssl/sha.h>
#include <unistd.h>

#define LARGE 4096

// Looks for SHA-NI, once. OpenSSL has it called before main; where dewar is linked with musl that is put
// off (base/musl/musl.h), and a short text is hashed before the processor has answered.
#if defined(__x86_64__)
void OPENSSL_cpuid_setup(void);
#else
#define OPENSSL_cpuid_setup() ((void)0)
#endif

_Static_assert(sizeof(SHA256_CTX) <= sizeof(struct codec_sha256), "the state must fit");

static SHA256_CTX *ctx(struct codec_sha256 *h)
{
    return (SHA256_CTX *)(void *)&h->state;
}

void codec_sha256_init(struct codec_sha256 *h)
{
    SHA256_Init(ctx(h));
}

void codec_sha256_add(struct codec_sha256 *h, const void *p, size_t n)
{
    if (n >= LARGE) OPENSSL_cpuid_setup();
    SHA256_Update(ctx(h), p, n);
}

void codec_sha256_addz(struct codec_sha256 *h, const char *z)
{
    codec_sha256_add(h, z, strlen(z) + 1);
}

void codec_sha256_addu(struct codec_sha256 *h, uint64_t v)
{
    unsigned char b[8];
    for (int i = 0; i < 8; i++) b[i] = (unsigned char)(v >> (8 * i));
    codec_sha256_add(h, b, sizeof b);
}

void codec_sha256_end(struct codec_sha256 *h, char hex[CODEC_SHA256_HEX])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char md[32];
    SHA256_Final(md, ctx(h));
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digits[md[i] >> 4];
        hex[2 * i + 1] = digits[md[i] & 15];
    }
    hex[64] = '\0';
}

void codec_sha256_of(struct sv data, char hex[CODEC_SHA256_HEX])
{
    struct codec_sha256 h;
    codec_sha256_init(&h);
    codec_sha256_add(&h, data.p, data.n);
    codec_sha256_end(&h, hex);
}

int codec_sha256_fd(int fd, uint64_t *out_size, char hex[CODEC_SHA256_HEX], struct err *e)
{
    struct codec_sha256 h;
    static char buf[128 * 1024];
    uint64_t total = 0;
    codec_sha256_init(&h);
    for (;;) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_sys(e, "read");
        if (n == 0) break;
        codec_sha256_add(&h, buf, (size_t)n);
        total += (uint64_t)n;
    }
    codec_sha256_end(&h, hex);
    if (out_size) *out_size = total;
    return 0;
}
