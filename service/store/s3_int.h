/* s3_int.h - what the files of the S3 store share: settings, one signed request with its repeats, answers in XML. */
#ifndef LONGANIM_STORE_S3_INT_H
#define LONGANIM_STORE_S3_INT_H

#include "base/http.h"
#include "store/s3_sign.h"
#include "store/store.h"

#include <pthread.h>

#define S3_CLIENTS_MAX 32

struct s3 {
    struct s3_keys keys;
    char bucket[64], prefix[128]; /* the prefix ends in a slash, or is "" */
    char base[512];               /* "http://host:port" */
    char host[300];               /* "host:port" */
    char base_path[128];          /* "" or "/path" of the endpoint */
    pthread_mutex_t lock;
    struct http *idle[S3_CLIENTS_MAX]; /* guarded by lock; connections between requests */
    int idle_count;                    /* guarded by lock */
};

/* One request. Everything is sent again at a repeat, so sinks must be able to start over: `out` is emptied, `restart`
 * (may be NULL) is called before each try. */
struct s3_call {
    const char *method;
    const char *key; /* without the store's prefix; NULL = the bucket */
    struct s3_pair query[8];
    int query_count;
    struct s3_pair headers[6]; /* signed */
    int header_count;
    const void *body;
    size_t body_size;
    const char *body_path;
    int64_t body_offset, body_bytes;
    const char *payload_sha256; /* of the body; NULL = there is none */
    struct buf *out;            /* the answer's body, of any status */
    int (*on_data)(void *user, const char *data, size_t size);
    int (*restart)(void *user, struct err *e);
    void *user;
};

/* Sends until an answer came that is worth having: 2xx, 3xx, or 4xx but 408 and 429. Trouble on the way, 5xx and
 * answers torn apart are tried again a few times, with growing pauses. 0 = an answer is in *response (what it means is
 * the caller's business, s3__refused helps), -1 = dependency_storage. `problem` gets the body of an error (may be
 * NULL). */
int s3__do(struct s3 *s, const struct s3_call *c, struct http_response *response, struct buf *problem, struct err *e);

/* -1 with the error that an answer which is not 2xx stands for. */
int s3__refused(const struct http_response *response, const struct buf *body, const char *key, struct err *e);

/* "/bucket/prefix/key". -1 when it does not fit. */
int s3__path(const struct s3 *s, const char *key, char *out, size_t size);

/* Answers in XML are small and flat; these find elements by name and know nothing of attributes or namespaces. */
struct s3_span {
    const char *text;
    size_t size;
};
/* The content of the first <name>…</name> in *in, which is moved behind it. */
bool s3__xml_next(struct s3_span *in, const char *name, struct s3_span *out);
/* The same as text, entities undone; false (out = "") when there is none or it does not fit. */
bool s3__xml_text(struct s3_span in, const char *name, char *out, size_t size);

/* Uploads in parts. Ends with the object there, or with no upload left open as far as the server can be reached. */
int s3__put_multipart(struct s3 *s, const char *key, const char *path, int64_t bytes, const char *sha256,
                      struct err *e);
/* Ends uploads that were begun longer than age_ms ago. */
int s3__abort_stale(struct s3 *s, int64_t age_ms, int *out_removed, struct err *e);

#endif
