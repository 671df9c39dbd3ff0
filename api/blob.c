#include "blob.h"

#include "app.h"
#include "fields.h"
#include "source.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE_BYTES = 1 << 18, AHEAD_BYTES = 1 << 20, SUNSET_MS = 86400000 };

/* Feeds a source from the store, a piece at a time, when the reader has room. One piece is under way at most. */
struct pump {
    struct app *app;
    struct source *source; /* borrowed: a source whose pump works is kept by `busy` */
    char key[STORE_KEY_MAX];
    int64_t offset, end;
    atomic_bool busy; /* stays set at the end */
};

static void pump_wanted(void *user);

static void pump_piece(void *arg, struct worker *w)
{
    struct pump *p = arg;
    struct source *source = p->source;
    char *piece = malloc(PIECE_BYTES);
    int64_t size = p->end - p->offset < PIECE_BYTES ? p->end - p->offset : PIECE_BYTES, got;
    struct err e;

    (void)w;
    if (!piece)
        abort();
    got = store_read(p->app->store, p->key, p->offset, piece, (size_t)size, &e);
    if (got <= 0 || source_write(source, piece, (size_t)got)) {
        source_end(source, true);
    } else if ((p->offset += got) == p->end) {
        source_end(source, false);
    } else {
        atomic_store(&p->busy, false);
        /* The reader may have looked while we were busy, and will not look again before something comes. */
        if (source_room(source) > AHEAD_BYTES / 2)
            pump_wanted(p);
    }
    free(piece);
    source_unref(source);
}

static void pump_wanted(void *user)
{
    struct pump *p = user;

    if (atomic_exchange(&p->busy, true))
        return;
    source_ref(p->source);
    pool_must(p->app->slow, pump_piece, p);
}

static struct source *pump_start(struct app *app, const char *key, int64_t offset, int64_t length)
{
    struct pump *p = calloc(1, sizeof *p);

    if (!p)
        abort();
    p->app = app;
    snprintf(p->key, sizeof p->key, "%s", key);
    p->offset = offset;
    p->end = offset + length;
    p->source = source_new(AHEAD_BYTES, pump_wanted, free, p);
    return p->source;
}

static void describe(struct answer *a, const struct blob *b, const char *tag)
{
    answer_header(a, "ETag", "%s", tag);
    answer_header(a, "Accept-Ranges", "bytes");
    answer_header(a, "Cache-Control", "private, no-cache");
    if (b->expires_ms > 0 && b->expires_ms - clock_wall_ms() < SUNSET_MS) {
        char date[CLOCK_HTTP_SIZE];
        clock_http_date(b->expires_ms, date);
        answer_header(a, "Sunset", "%s", date);
    }
}

static struct answer *not_satisfiable(struct req *r, int64_t size)
{
    struct err e;

    err_set_field(&e, ERR_range_not_satisfiable, "Range", "the file has %lld bytes", (long long)size);
    req_problem(r, &e);
    answer_header(r->answer, "Content-Range", "bytes */%lld", (long long)size);
    return answer_ref(r->answer);
}

static struct answer *answer_part(struct req *r, const struct blob *b, const char *tag, int fd, int64_t size)
{
    const char *range = req_header(r, REQ_range);
    int64_t first = 0, last = size - 1;
    enum fields_range kind = RANGE_WHOLE;
    struct answer *a;

    if (range && fields_if_range(req_header(r, REQ_if_range), tag))
        kind = fields_range(range, size, &first, &last);
    if (kind == RANGE_UNSATISFIABLE) {
        if (fd >= 0)
            close(fd);
        return not_satisfiable(r, size);
    }
    a = answer_new(kind == RANGE_PART ? 206 : 200);
    describe(a, b, tag);
    answer_header(a, "Content-Type", "%s", b->content_type);
    answer_header(a, "X-Content-Type-Options", "nosniff");
    if (b->file_name)
        answer_header(a, "Content-Disposition", "attachment; filename=\"%s\"", b->file_name);
    if (kind == RANGE_PART)
        answer_header(a, "Content-Range", "bytes %lld-%lld/%lld", (long long)first, (long long)last, (long long)size);
    a->offset = first;
    a->length = last - first + 1;
    if (fd >= 0)
        a->fd = fd;
    else if (a->length > 0)
        a->source = pump_start(r->app, b->key, first, a->length);
    return a;
}

static int open_object(struct req *r, const struct blob *b, int *fd, int64_t *size, struct err *e)
{
    struct store_info info;
    int rc = store_open_fd(r->app->store, b->key, fd, size, e);

    if (rc == 0 && *fd < 0) {
        rc = store_stat(r->app->store, b->key, &info, e);
        *size = info.bytes;
    }
    if (rc && e->code == ERR_job_not_found)
        return err_set(e, ERR_job_purged, "the file is no longer kept");
    return rc;
}

void blob_answer(struct req *r, const struct blob *b)
{
    char tag[HASH_HEX_SIZE + 2];
    struct answer *a;
    struct err e;
    int64_t size = 0;
    int fd = -1;

    snprintf(tag, sizeof tag, "\"%s\"", b->sha256);
    if (fields_none_match(req_header(r, REQ_if_none_match), tag)) {
        a = answer_new(304);
        describe(a, b, tag);
        req_done_answer(r, a);
        return;
    }
    if (open_object(r, b, &fd, &size, &e)) {
        req_done_problem(r, &e);
        return;
    }
    req_done_answer(r, answer_part(r, b, tag, fd, size));
}
