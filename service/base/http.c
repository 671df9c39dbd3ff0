/* One easy handle a struct http: curl keeps its connections alive between requests. Everything is bounded: header
 * bytes, body bytes, connect time, silence. Redirects are not followed because every caller would have to decide anew
 * whether the target may be spoken to. */
#include "base/http.h"

#include "base/fs.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECT_MS = 10000, STALL_MS = 30000, EXPECT_FROM_BYTES = 1 << 20 };

struct http {
    CURL *curl;
};

/* One request on its way. */
struct exchange {
    const struct http_request *request;
    struct http_response *response;
    size_t headers_used;
    int64_t received, body_at;
    int body_fd;
    bool too_large, stopped, refused_address;
    int write_errno;
};

static void init_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
}

struct http *http_new(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    struct http *h = calloc(1, sizeof *h);
    if (!h || !(h->curl = curl_easy_init()))
        abort();
    return h;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    curl_easy_cleanup(h->curl);
    free(h);
}

/* The status line starts a new set of headers: those of an interim answer (100) do not count. */
static size_t on_header(char *data, size_t size, size_t count, void *user)
{
    struct exchange *x = user;
    struct http_response *response = x->response;
    size_t bytes = size * count, text = bytes;
    while (text > 0 && strchr("\r\n \t", data[text - 1]))
        text--;
    if (text >= 12 && strncmp(data, "HTTP/", 5) == 0) {
        char status[4] = {data[9], data[10], data[11], '\0'};
        response->status = (int)strtol(status, NULL, 10);
        x->headers_used = 0;
        response->headers[0] = '\0';
    } else if (text > 0 && x->headers_used + text + 2 <= sizeof response->headers) {
        memcpy(response->headers + x->headers_used, data, text);
        x->headers_used += text + 1;
        response->headers[x->headers_used - 1] = '\n';
        response->headers[x->headers_used] = '\0';
    }
    return bytes;
}

static size_t on_body(char *data, size_t size, size_t count, void *user)
{
    struct exchange *x = user;
    const struct http_request *r = x->request;
    size_t bytes = size * count;
    bool failed_status = x->response->status >= 300;
    x->received += (int64_t)bytes;
    if (failed_status && !r->out) {
        if (r->problem && r->problem->size + bytes <= r->problem->max)
            buf_add(r->problem, data, bytes);
    } else if (r->out) {
        x->too_large = buf_add(r->out, data, bytes) != 0;
    } else if (r->on_data) {
        x->stopped = r->on_data(r->user, data, bytes) != 0;
    } else if (r->out_fd > 0) {
        x->too_large = r->out_max_bytes > 0 && x->received > r->out_max_bytes;
        if (!x->too_large && fs_write_all(r->out_fd, data, bytes) != 0)
            x->write_errno = errno;
    }
    return x->too_large || x->stopped || x->write_errno ? 0 : bytes;
}

static size_t on_read(char *data, size_t size, size_t count, void *user)
{
    struct exchange *x = user;
    const struct http_request *r = x->request;
    int64_t total = r->body_path ? r->body_bytes : (int64_t)r->body_size, left = total - x->body_at;
    size_t bytes = size * count;
    if ((int64_t)bytes > left)
        bytes = (size_t)left;
    if (r->body_path) {
        ssize_t got = pread(x->body_fd, data, bytes, r->body_offset + x->body_at);
        if (got < 0 || (got == 0 && bytes > 0))
            return CURL_READFUNC_ABORT;
        bytes = (size_t)got;
    } else if (bytes > 0) {
        memcpy(data, (const char *)r->body + x->body_at, bytes);
    }
    x->body_at += (int64_t)bytes;
    return bytes;
}

/* curl sends the body again when a kept connection turns out to be dead. */
static int on_seek(void *user, curl_off_t offset, int origin)
{
    struct exchange *x = user;
    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_FAIL;
    x->body_at = offset;
    return CURL_SEEKFUNC_OK;
}

static int on_progress(void *user, curl_off_t to_receive, curl_off_t received, curl_off_t to_send, curl_off_t sent)
{
    struct exchange *x = user;
    x->stopped = x->stopped || x->request->on_progress(x->request->user, sent, to_send, received, to_receive) != 0;
    return x->stopped;
}

/* Addresses that a stranger's URL may not lead to (IANA special-purpose registries). */
static bool special_v4(uint32_t a)
{
    static const struct {
        uint32_t net;
        int bits;
    } nets[] = {{0x00000000, 8},  {0x0A000000, 8},  {0x64400000, 10}, {0x7F000000, 8},  {0xA9FE0000, 16},
                {0xAC100000, 12}, {0xC0000000, 24}, {0xC0000200, 24}, {0xC0586300, 24}, {0xC0A80000, 16},
                {0xC6120000, 15}, {0xC6336400, 24}, {0xCB007100, 24}, {0xE0000000, 3}};
    for (size_t i = 0; i < sizeof nets / sizeof *nets; i++)
        if ((a ^ nets[i].net) >> (32 - nets[i].bits) == 0)
            return true;
    return false;
}

bool http_special_address(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return special_v4(ntohl(v4.sin_addr.s_addr));
    }
    if (address->sa_family != AF_INET6)
        return true;
    struct sockaddr_in6 v6;
    memcpy(&v6, address, sizeof v6);
    const uint8_t *b = v6.sin6_addr.s6_addr;
    /* Only global unicast 2000::/3, and there neither 6to4 and Teredo (they embed IPv4) nor documentation. Mapped
     * IPv4 and NAT64 lie outside of 2000::/3. */
    bool global = (b[0] & 0xE0) == 0x20;
    bool embeds = (b[0] == 0x20 && b[1] == 0x02) || (b[0] == 0x20 && b[1] == 0x01 && b[2] < 0x02);
    bool documentation = b[0] == 0x20 && b[1] == 0x01 && b[2] == 0x0D && b[3] == 0xB8;
    return !global || embeds || documentation;
}

static curl_socket_t on_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct exchange *x = user;
    (void)purpose;
    if (x->request->public_only && http_special_address(&address->addr)) {
        x->refused_address = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static curl_mime *make_parts(CURL *curl, const struct http_request *r)
{
    curl_mime *mime = curl_mime_init(curl);
    for (int i = 0; mime && i < r->part_count; i++) {
        const struct http_part *p = &r->parts[i];
        curl_mimepart *part = curl_mime_addpart(mime);
        CURLcode ok = part ? curl_mime_name(part, p->name) : CURLE_OUT_OF_MEMORY;
        if (ok == CURLE_OK)
            ok = p->path ? curl_mime_filedata(part, p->path) : curl_mime_data(part, p->text, CURL_ZERO_TERMINATED);
        if (ok == CURLE_OK && p->file_name)
            ok = curl_mime_filename(part, p->file_name);
        if (ok == CURLE_OK && p->content_type)
            ok = curl_mime_type(part, p->content_type);
        if (ok != CURLE_OK) {
            curl_mime_free(mime);
            mime = NULL;
        }
    }
    return mime;
}

static bool sends_body(const struct http_request *r)
{
    return r->body || r->body_path || strcmp(r->method, "POST") == 0 || strcmp(r->method, "PUT") == 0 ||
           strcmp(r->method, "PATCH") == 0;
}

static void set_transport(CURL *c, const struct http_request *r, struct exchange *x, char *text)
{
    int64_t stall_ms = r->stall_ms > 0 ? r->stall_ms : STALL_MS;
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, text);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_PROXY, "");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "longanim");
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 128 * 1024L);
    curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, 256 * 1024L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(r->connect_ms > 0 ? r->connect_ms : CONNECT_MS));
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)r->total_ms);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)((stall_ms + 999) / 1000));
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, x);
    /* An address that was checked once must be checked for every request. */
    curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, r->public_only ? 1L : 0L);
    if (r->unix_socket)
        curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, r->unix_socket);
}

static void set_exchange(CURL *c, const struct http_request *r, struct exchange *x, curl_mime *mime)
{
    curl_easy_setopt(c, CURLOPT_URL, r->url);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, x);
    if (mime) {
        curl_easy_setopt(c, CURLOPT_MIMEPOST, mime);
    } else if (sends_body(r)) {
        curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(c, CURLOPT_READDATA, x);
        curl_easy_setopt(c, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(c, CURLOPT_SEEKDATA, x);
        curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE,
                         (curl_off_t)(r->body_path ? r->body_bytes : (int64_t)r->body_size));
    }
    if (strcmp(r->method, "HEAD") == 0)
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    else
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
    if (r->on_progress) {
        curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(c, CURLOPT_XFERINFODATA, x);
    }
}

/* Scheme and host only: paths may hold ids, queries may hold signatures. */
static int host_length(const char *url)
{
    const char *host = strstr(url, "://");
    return host ? (int)(host + 3 - url + (int)strcspn(host + 3, "/?")) : 0;
}

static int translate(const struct exchange *x, CURLcode code, const char *text, struct err *e)
{
    const struct http_request *r = x->request;
    enum err_code unreachable = r->unreachable ? r->unreachable : ERR_internal;
    const char *url = r->url, *at = strchr(url, '@');
    if (at && at < url + host_length(url))
        url = "the server";
    int length = url == r->url ? host_length(url) : (int)strlen(url);
    if (code == CURLE_OK)
        return 0;
    if (x->stopped)
        return -1;
    if (x->too_large)
        return err_set(e, unreachable, "%.*s: the answer is too large", length, url);
    if (x->write_errno)
        return err_set(e, x->write_errno == ENOSPC || x->write_errno == EDQUOT ? ERR_storage_full : ERR_internal,
                       "cannot write the answer: %s", strerror(x->write_errno));
    if (x->refused_address)
        return err_set(e, unreachable, "%.*s: the address is not a public one", length, url);
    return err_set(e, unreachable, "%.*s: %s", length, url, text[0] ? text : curl_easy_strerror(code));
}

/* NULL-terminated lines as curl wants them. curl would ask before every PUT whether it may go on and wait a second for
 * servers that do not answer that; it should do so only where much would be sent in vain. */
static struct curl_slist *make_headers(const struct http_request *r)
{
    struct curl_slist *list = NULL;
    int64_t size = r->body_path ? r->body_bytes : (int64_t)r->body_size;
    const char *const quiet[] = {size < EXPECT_FROM_BYTES && r->part_count == 0 ? "Expect:" : NULL, NULL};
    const char *const *const lists[] = {quiet, r->headers};
    for (int i = 0; i < 2; i++) {
        for (const char *const *line = lists[i]; line && *line; line++) {
            struct curl_slist *longer = curl_slist_append(list, *line);
            if (!longer)
                abort();
            list = longer;
        }
    }
    return list;
}

int http_do(struct http *h, const struct http_request *r, struct http_response *out, struct err *e)
{
    struct exchange x = {.request = r, .response = out, .body_fd = -1};
    struct curl_slist *headers = make_headers(r);
    curl_mime *mime = NULL;
    char text[CURL_ERROR_SIZE] = "";
    int result = -1;
    *out = (struct http_response){0};
    curl_easy_reset(h->curl);
    if (r->body_path && (x.body_fd = open(r->body_path, O_RDONLY | O_CLOEXEC)) < 0) {
        err_set(e, ERR_internal, "cannot open %s: %s", r->body_path, strerror(errno));
        goto out;
    }
    if (r->part_count > 0 && !(mime = make_parts(h->curl, r))) {
        err_set(e, ERR_internal, "cannot read the files to send");
        goto out;
    }
    set_transport(h->curl, r, &x, text);
    set_exchange(h->curl, r, &x, mime);
    curl_easy_setopt(h->curl, CURLOPT_HTTPHEADER, headers);
    result = translate(&x, curl_easy_perform(h->curl), text, e);
out:
    curl_easy_reset(h->curl);
    curl_mime_free(mime);
    curl_slist_free_all(headers);
    if (x.body_fd >= 0)
        close(x.body_fd);
    return result;
}

bool http_header(const struct http_response *r, const char *name, char *value, size_t size)
{
    size_t length = strlen(name);
    bool found = false;
    for (const char *line = r->headers; *line;) {
        size_t bytes = strcspn(line, "\n");
        if (bytes > length && line[length] == ':' && strncasecmp(line, name, length) == 0) {
            const char *text = line + length + 1;
            text += strspn(text, " \t");
            size_t used = (size_t)(line + bytes - text);
            found = used < size;
            if (found) {
                memcpy(value, text, used);
                value[used] = '\0';
            }
        }
        line += bytes + (line[bytes] == '\n');
    }
    return found;
}

int http_escape(char *out, size_t out_size, const char *text, bool keep_slash)
{
    static const char hex[] = "0123456789ABCDEF";
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    size_t used = 0;
    for (; *text; text++) {
        bool as_it_is = strchr(plain, *text) || (keep_slash && *text == '/');
        if (used + 4 > out_size)
            return -1;
        if (as_it_is) {
            out[used++] = *text;
        } else {
            out[used++] = '%';
            out[used++] = hex[(unsigned char)*text >> 4];
            out[used++] = hex[(unsigned char)*text & 15];
        }
    }
    out[used] = '\0';
    return 0;
}
