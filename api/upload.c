#include "upload.h"

#include "app.h"
#include "create.h"
#include "stats.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { RING_BYTES = 1 << 20 };

struct upload {
    struct app *app;
    struct creation *creation; /* touched by the spool thread only, once begun */
    bool begun;
    pthread_mutex_t lock;
    /* guarded by lock */
    struct req *req; /* NULL: the client is gone */
    char *ring;
    size_t first, used; /* where the oldest byte is, and how many there are */
    bool scheduled;     /* a spool thread works on it or will */
    bool paused;        /* the request is suspended until there is room */
    bool complete;      /* the request is suspended until it is answered */
    bool failed;
    struct err error;
};

static void drain(void *arg, struct worker *w);

static void schedule_locked(struct upload *u)
{
    if (u->scheduled)
        return;
    u->scheduled = true;
    pool_must(u->app->spool, drain, u);
}

int upload_begin(struct req *r, struct err *e)
{
    struct creation *creation;
    struct upload *u;

    if (creation_new(&creation, r, e))
        return -1;
    u = calloc(1, sizeof(*u));
    if (u == NULL || (u->ring = malloc(RING_BYTES)) == NULL)
        abort();
    u->app = r->app;
    u->creation = creation;
    u->req = r;
    pthread_mutex_init(&u->lock, NULL);
    r->upload = u;
    /* The idempotency key is reserved before the body has come, so that a second request with it is told so. */
    pthread_mutex_lock(&u->lock);
    schedule_locked(u);
    pthread_mutex_unlock(&u->lock);
    return 0;
}

static void upload_free(struct upload *u)
{
    pthread_mutex_destroy(&u->lock);
    free(u->ring);
    free(u);
}

enum upload_took upload_feed(struct upload *u, const char *data, size_t size, struct err *e)
{
    enum upload_took took = UPLOAD_TOOK;

    pthread_mutex_lock(&u->lock);
    if (u->failed) {
        *e = u->error;
        took = UPLOAD_FAILED;
    } else if (u->used + size > RING_BYTES) {
        u->paused = true;
        req_suspend(u->req);
        took = UPLOAD_FULL;
    } else {
        size_t end = (u->first + u->used) % RING_BYTES;
        size_t straight = RING_BYTES - end < size ? RING_BYTES - end : size;
        memcpy(u->ring + end, data, straight);
        memcpy(u->ring, data + straight, size - straight);
        u->used += size;
        schedule_locked(u);
    }
    pthread_mutex_unlock(&u->lock);
    if (took == UPLOAD_TOOK)
        metrics_add(u->app->metrics, STATS_UPLOAD_BYTES, (double)size, NULL);
    return took;
}

void upload_finish(struct upload *u)
{
    pthread_mutex_lock(&u->lock);
    u->complete = true;
    schedule_locked(u);
    pthread_mutex_unlock(&u->lock);
}

void upload_abandon(struct upload *u)
{
    pthread_mutex_lock(&u->lock);
    u->req = NULL;
    u->used = 0;
    schedule_locked(u);
    pthread_mutex_unlock(&u->lock);
}

/* In the slow pool: the body has been taken in whole (or refused) and the request waits for its answer. */
static void finish(void *arg, struct worker *w)
{
    struct upload *u = arg;
    struct creation *creation = u->creation;
    struct req *r = u->req;
    struct err e = u->error;
    bool failed = u->failed;

    upload_free(u);
    if (failed)
        req_done_problem(r, &e);
    else
        creation_finish(creation, r, w);
    creation_free(creation, w);
}

/* One piece of the ring, outside the lock: the loop thread only adds behind it. */
static void eat(struct upload *u, const char *data, size_t size, struct worker *w)
{
    struct err e = {0};
    int rc = 0;

    if (!u->begun)
        rc = creation_begin(u->creation, w, &e);
    u->begun = true;
    if (rc == 0 && size > 0)
        rc = creation_feed(u->creation, data, size, w, &e);
    if (rc == 0)
        return;
    creation_release(u->creation, w);
    pthread_mutex_lock(&u->lock);
    u->failed = true;
    u->error = e;
    pthread_mutex_unlock(&u->lock);
}

static void drain(void *arg, struct worker *w)
{
    struct upload *u = arg;

    pthread_mutex_lock(&u->lock);
    for (;;) {
        size_t size = u->used < RING_BYTES - u->first ? u->used : RING_BYTES - u->first;
        if (u->req == NULL)
            break;
        if (u->failed)
            size = u->used = 0;
        if (size == 0 && (u->begun || u->failed)) {
            if (u->complete) {
                pthread_mutex_unlock(&u->lock);
                pool_must(u->app->slow, finish, u);
                return;
            }
            u->scheduled = false;
            pthread_mutex_unlock(&u->lock);
            return;
        }
        pthread_mutex_unlock(&u->lock);
        eat(u, u->ring + u->first, size, w);
        pthread_mutex_lock(&u->lock);
        if (u->req) {
            u->first = (u->first + size) % RING_BYTES;
            u->used -= size;
        }
        if (u->paused && (u->used <= RING_BYTES / 2 || u->failed)) {
            u->paused = false;
            req_go_on(u->req);
        }
    }
    pthread_mutex_unlock(&u->lock);
    creation_free(u->creation, w);
    upload_free(u);
}
