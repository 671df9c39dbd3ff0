/* GET into a file that survives breaks of the connection and of the program: see http_download in http.h. */
#include "base/http.h"

#include "base/clock.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADERS_MAX = 16, ETAG_BYTES = 256 };

struct download {
    const struct http_request *request;
    struct http_response *response;
    char part[FS_PATH_MAX], etag_path[FS_PATH_MAX];
    int fd;
    int64_t offset;   /* bytes kept from before this request */
    int64_t received; /* by this request */
    bool begun;
    struct err error;
};

static int fail(struct download *d, const char *verb, const char *path)
{
    return err_set(&d->error, errno == ENOSPC || errno == EDQUOT ? ERR_storage_full : ERR_internal, "cannot %s %s: %s",
                   verb, path, strerror(errno));
}

/* With the first byte it is known whether the server goes on (206) or starts anew (200). */
static int begin(struct download *d)
{
    char etag[ETAG_BYTES];
    d->begun = true;
    if (d->response->status == 206)
        return 0;
    d->offset = 0;
    if (ftruncate(d->fd, 0) != 0)
        return fail(d, "empty", d->part);
    unlink(d->etag_path);
    if (!http_header(d->response, "etag", etag, sizeof etag) || etag[0] != '"')
        return 0; /* not resumable, still downloadable */
    return fs_write_atomic(d->etag_path, etag, strlen(etag), &d->error);
}

static int on_data(void *user, const char *data, size_t size)
{
    struct download *d = user;
    if (!d->begun && begin(d) != 0)
        return -1;
    if (fs_write_all(d->fd, data, size) != 0)
        return fail(d, "write", d->part);
    d->received += (int64_t)size;
    return 0;
}

static int on_progress(void *user, int64_t sent, int64_t to_send, int64_t received, int64_t to_receive)
{
    const struct download *d = user;
    (void)received;
    if (!d->request->on_progress)
        return 0;
    return d->request->on_progress(d->request->user, sent, to_send, d->offset + d->received,
                                   to_receive > 0 ? d->offset + to_receive : 0);
}

/* The ETag of what lies in the part file, or "" after throwing it away. */
static void load_part(struct download *d, char etag[ETAG_BYTES])
{
    struct buf b;
    struct stat st;
    buf_init(&b, ETAG_BYTES - 1);
    etag[0] = '\0';
    d->offset = 0;
    if (fstat(d->fd, &st) == 0 && st.st_size > 0 && fs_read(d->etag_path, &b, NULL) == 0 && b.size > 0) {
        memcpy(etag, b.data, b.size + 1);
        d->offset = st.st_size;
    }
    buf_free(&b);
}

static int one_request(struct http *h, struct download *d, struct buf *problem, struct err *e)
{
    char etag[ETAG_BYTES], range[64], if_range[ETAG_BYTES + 16];
    const char *headers[HEADERS_MAX + 1] = {0};
    int count = 0;
    struct http_request r = *d->request;
    for (const char *const *line = r.headers; line && *line && count < HEADERS_MAX - 2; line++)
        headers[count++] = *line;
    load_part(d, etag);
    if (d->offset > 0) {
        snprintf(range, sizeof range, "Range: bytes=%lld-", (long long)d->offset);
        snprintf(if_range, sizeof if_range, "If-Range: %s", etag);
        headers[count++] = range;
        headers[count++] = if_range;
    }
    d->begun = false;
    d->received = 0;
    d->error = (struct err){0};
    r.method = "GET";
    r.headers = headers;
    r.on_data = on_data;
    r.on_progress = on_progress;
    r.user = d;
    r.out = NULL;
    r.problem = problem;
    if (http_do(h, &r, d->response, e) != 0) {
        if (d->error.code && e)
            *e = d->error;
        return -1;
    }
    if (!d->begun && d->response->status == 200 && begin(d) != 0) {
        if (e)
            *e = d->error;
        return -1;
    }
    return 0;
}

static int keep(struct download *d, const char *path, struct err *e)
{
    if (fsync(d->fd) != 0 || rename(d->part, path) != 0) {
        fail(d, "finish", path);
        if (e)
            *e = d->error;
        return -1;
    }
    unlink(d->etag_path);
    return 0;
}

int http_download(struct http *h, const struct http_request *r, const char *path, int tries, struct http_response *out,
                  struct buf *problem, struct err *e)
{
    struct download d = {.request = r, .response = out, .fd = -1};
    int result = -1, idle = 0;
    if (snprintf(d.part, sizeof d.part, "%s.part", path) >= (int)sizeof d.part ||
        snprintf(d.etag_path, sizeof d.etag_path, "%s.part.etag", path) >= (int)sizeof d.etag_path)
        return err_set(e, ERR_internal, "path too long: %.200s", path);
    d.fd = open(d.part, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (d.fd < 0)
        return err_set(e, ERR_internal, "cannot create %s: %s", d.part, strerror(errno));
    while (result != 0) {
        struct err why = {0};
        if (one_request(h, &d, problem, &why) == 0) {
            if (out->status == 416 && d.offset > 0) {
                /* More is kept than the server has: start anew, once. */
                unlink(d.etag_path);
                if (idle++ == 0)
                    continue;
            }
            result = out->status == 200 || out->status == 206 ? keep(&d, path, e) : 0;
            break;
        }
        idle = d.received > 0 ? 0 : idle + 1;
        if (idle >= tries || why.code == ERR_none || d.error.code) {
            if (e)
                *e = why;
            break;
        }
        clock_sleep_ms(idle * 200);
    }
    close(d.fd);
    if (result != 0 || (out->status != 200 && out->status != 206)) {
        struct stat st;
        if (stat(d.part, &st) == 0 && st.st_size == 0)
            unlink(d.part);
    }
    return result;
}
