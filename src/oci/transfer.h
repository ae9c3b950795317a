// SPDX-License-Identifier: Apache-2.0
// What the registry client (the helper program `dewar-registry`, room registry/) is asked, and what
// it answers. HTTP and TLS never enter the main program: image/remote.h starts the helper and talks
// to it over a SOCK_SEQPACKET pair, one struct per packet, at most one descriptor beside it. Both
// ends come from one build, so the structs travel as they are; `version` guards against a mix.
//
// Life of a request: REQUEST -> any number of PROGRESS -> one DONE or FAILED, all with its `id`.
// Requests run side by side; the helper ends when the socket is closed. Content never travels in
// packets: the request brings a file, and the helper writes it there or reads it from there.
#pragma once

#include <stdint.h>

#include "base/err.h"
#include "oci/digest.h"
#include "oci/ref.h"

#define TRANSFER_VERSION 2U
#define TRANSFER_URL 4096
#define TRANSFER_TYPE 256 // a media type
#define TRANSFER_AUTHORIZATION 4096
#define TRANSFER_VALIDATOR 512

// name, what it does; `fd` is the descriptor that comes with the request
#define TRANSFER_OPS(X)                                                                            \
    X(MANIFEST_GET, "get the manifest")       /* ref -> fd (empty file); type, digest, size */     \
    X(MANIFEST_HEAD, "look up the manifest")  /* ref -> type, digest, size; found */               \
    X(MANIFEST_PUT, "push the manifest")      /* ref (no tag: by digest), type, fd -> digest */    \
    X(MANIFEST_DELETE, "delete the manifest") /* ref with digest */                                \
    X(BLOB_GET, "download")                   /* ref, digest, size, offset, fd */                  \
    X(BLOB_HEAD, "look up the blob")          /* ref, digest -> found, size */                     \
    X(BLOB_PUT, "upload")    /* ref, digest, size, from, fd -> found (no upload) */                \
    X(TAGS, "list the tags") /* ref -> fd: one per line */                                         \
    X(SEARCH, "search")      /* url = term, size = how many (0: 25), ref.host -> fd: JSON */       \
    X(LOGIN, "log in")       /* ref.host, user, fd: the password, to its end */                    \
                             /* -> url: where it is kept, found: as plain text */                  \
    X(LOGOUT, "log out")     /* ref.host -> found */                                               \
    X(URL_GET, "fetch")   /* url, digest or unset, authorization, validator, fd ->
                             digest, size, url, type, name, time, validator; found: not changed */

enum transfer_op {
#define TRANSFER_ENUM(name, text) TRANSFER_##name,
    TRANSFER_OPS(TRANSFER_ENUM)
#undef TRANSFER_ENUM
        TRANSFER_OP_COUNT,
};
const char *transfer_op_text(enum transfer_op op);

struct transfer_request {
    uint32_t version;
    uint32_t id; // chosen by the asker, not 0
    enum transfer_op op;
    struct oci_ref ref;
    struct oci_digest digest; // BLOB_*: what the bytes must hash to; URL_GET: the same when set
    uint64_t size;   // BLOB_GET: exactly so many; URL_GET: at most so many (0: the engine's cap)
    uint64_t offset; // BLOB_GET: this many verified-later bytes are in the file already (resume)
    char type[TRANSFER_TYPE];
    char from[256]; // BLOB_PUT: a repository on the same host that may have it (mount); "" none
    char user[256];
    char url[TRANSFER_URL];
    char authorization[TRANSFER_AUTHORIZATION]; // URL_GET: the header's value; a secret; "" none
    char validator[TRANSFER_VALIDATOR];         // URL_GET: what an earlier answer gave; "" none
    uint32_t flags;
};
#define TRANSFER_INSECURE 1U  // --tls-verify=false: http and unknown certificates for this host
#define TRANSFER_ANONYMOUS 2U // send no credentials
#define TRANSFER_HASHED 4U    // BLOB_GET: the reader hashes; check the size only
// BLOB_GET: somebody reads the file while it grows, and tells by its offset (lseek; the open file
// description is shared) how far they have come. No more than TRANSFER_AHEAD bytes are fetched
// ahead of them, and what lies behind them leaves the page cache as soon as it is on disk.
#define TRANSFER_PACED 8U
#define TRANSFER_AHEAD ((uint64_t)16 << 20)

enum transfer_answer {
    TRANSFER_PROGRESS, // `size` bytes of `total` so far; BLOB_GET: they are in the file
    TRANSFER_NOTICE,   // text for a person: "retrying in 2 s: 503"
    TRANSFER_DONE,
    TRANSFER_FAILED, // err
    TRANSFER_ANSWER_COUNT,
};

struct transfer_reply {
    uint32_t id;
    enum transfer_answer answer;
    bool found; // see the table above
    struct oci_digest digest;
    uint64_t size;
    uint64_t total;
    int64_t time; // URL_GET: Last-Modified, seconds; INT64_MIN when not said
    char type[TRANSFER_TYPE];
    char validator[TRANSFER_VALIDATOR]; // URL_GET: a header line that asks for changes; "" none
    char name[256];         // URL_GET: from Content-Disposition; "" none
    char url[TRANSFER_URL]; // NOTICE: the text; URL_GET: where redirects ended
    struct err err;
};

// A packet each; pass_fd -1: none. -1 with *e when the other side is gone (ERR_INTERNAL).
int transfer_send_request(int sock, const struct transfer_request *r, int pass_fd, struct err *e);
int transfer_send_reply(int sock, const struct transfer_reply *r, struct err *e);
// 1 a packet, 0 the other side closed. *out_fd: the descriptor that came along, or -1.
int transfer_receive_request(int sock, struct transfer_request *out, int *out_fd, struct err *e);
int transfer_receive_reply(int sock, struct transfer_reply *out, struct err *e);
