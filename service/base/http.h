/* http.h - the only owner of libcurl: one request with timeouts and ceilings. Used by the S3 store, webhooks, traces
 * and the command line. No redirects are followed, no proxies are used, only http and https are spoken.
 *
 * Threads: a struct http is one connection cache and belongs to one thread at a time.
 * Errors: http_do returns 0 when a complete answer of any status came. Otherwise -1 with the code that the request
 * names in `unreachable`, or what a callback set. The answer so far is then void. */
#ifndef LONGANIM_BASE_HTTP_H
#define LONGANIM_BASE_HTTP_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http;
struct http *http_new(void); /* aborts when memory is out */
void http_free(struct http *h);

/* Called several times a second and at the end; a total of 0 is not known. Non-zero ends the request with -1. */
typedef int (*http_progress_fn)(void *user, int64_t sent, int64_t to_send, int64_t received, int64_t to_receive);

/* One part of a multipart/form-data body: a file or a text. */
struct http_part {
    const char *name;
    const char *path; /* the file; NULL: `text` */
    const char *text;
    const char *file_name;    /* NULL = the last component of path; texts have none */
    const char *content_type; /* NULL = by curl */
};

struct http_request {
    const char *method; /* "GET", "PUT", … */
    const char *url;
    const char *unix_socket;    /* NULL = TCP */
    const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */

    /* The body: at most one of these. */
    const void *body;
    size_t body_size;
    const char *body_path; /* body_bytes bytes of this file from body_offset */
    int64_t body_offset, body_bytes;
    const struct http_part *parts;
    int part_count;

    /* Where the answer's body goes: at most one; none = dropped. out_fd and on_data get only bodies of success (status
     * below 300), others go to `problem` (as much as its ceiling allows; NULL = dropped). */
    struct buf *out; /* its ceiling bounds it */
    struct buf *problem;
    int out_fd;                                                /* used when > 0 */
    int64_t out_max_bytes;                                     /* of out_fd; 0 = no bound */
    int (*on_data)(void *user, const char *data, size_t size); /* non-zero ends the request with -1, e untouched */
    http_progress_fn on_progress;                              /* the same */
    void *user;

    int64_t connect_ms;        /* 0 = 10,000 */
    int64_t total_ms;          /* 0 = none */
    int64_t stall_ms;          /* no byte in either direction for so long ends it; 0 = 30,000 */
    bool public_only;          /* refuse private, loopback, link-local and other special addresses (SSRF) */
    enum err_code unreachable; /* 0 = internal */
};

struct http_response {
    int status;
    char headers[8192]; /* as received, "name: value\n" each, what does not fit is dropped */
};

int http_do(struct http *h, const struct http_request *r, struct http_response *out, struct err *e);

/* The last header of that name (any case) into value; false when there is none or it does not fit. */
bool http_header(const struct http_response *r, const char *name, char *value, size_t size);

struct sockaddr;
/* Is this an address that a stranger's URL may not lead to: private, loopback, link-local, embedded IPv4 and the like
 * (IANA special-purpose registries)? What public_only refuses. */
bool http_special_address(const struct sockaddr *address);

/* Text for a path segment or query value: everything but unreserved characters percent-encoded (RFC 3986; '/' kept
 * when keep_slash). 0, or -1 when it does not fit. */
int http_escape(char *out, size_t out_size, const char *text, bool keep_slash);

/* GETs url into path, going on after breaks: bytes go to "<path>.part", which a later call continues when the server's
 * ETag (kept in "<path>.part.etag") still matches; on success it is renamed. Gives up after `tries` requests in a row
 * that brought no byte. A status other than 200 and 206 ends with 0 and its body in `problem` (may be NULL). */
int http_download(struct http *h, const struct http_request *r, const char *path, int tries, struct http_response *out,
                  struct buf *problem, struct err *e);

#endif
