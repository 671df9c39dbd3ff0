#include "upload.h"

#include "app.h"
#include "stats.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { RING_BYTES = 1 << 20 };

struct upload {
    struct app *app;
    struct taker taker; /* touched by the spool thread only, once scheduled */
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
    struct taker taker;
    struct upload *u;

    if (r->route->take(r, &taker, e))
        return -1;
    u = calloc(1, sizeof *u);
    if (!u || (u->ring = malloc(RING_BYTES)) == NULL)
        abort();
    u->app = r->app;
    u->taker = taker;
    u->req = r;
    pthread_mutex_init(&u->lock, NULL);
    r->upload = u;
    /* What must be taken hold of (a key, a lock) is so before the body has come. */
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
    struct taker taker = u->taker;
    struct req *r = u->req;
    struct err e = u->error;
    bool failed = u->failed;

    upload_free(u);
    if (failed)
        req_done_problem(r, &e);
    else
        taker.finish(taker.user, r, w);
    taker.close(taker.user, false, w);
}

/* One piece of the ring, outside the lock: the loop thread only adds behind it. */
static void eat(struct upload *u, const char *data, size_t size, struct worker *w)
{
    struct err e = {0};
    int rc = 0;

    if (!u->begun)
        rc = u->taker.begin(u->taker.user, w, &e);
    u->begun = true;
    if (rc == 0 && size > 0)
        rc = u->taker.feed(u->taker.user, data, size, w, &e);
    if (rc == 0)
        return;
    u->taker.refuse(u->taker.user, w);
    pthread_mutex_lock(&u->lock);
    u->failed = true;
    u->error = e;
    pthread_mutex_unlock(&u->lock);
}

static void drain(void *arg, struct worker *w)
{
    struct upload *u = arg;
    bool gone;

    pthread_mutex_lock(&u->lock);
    for (;;) {
        size_t size = u->used < RING_BYTES - u->first ? u->used : RING_BYTES - u->first;
        if (!u->req)
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
    gone = !u->failed;
    pthread_mutex_unlock(&u->lock);
    u->taker.close(u->taker.user, gone, w);
    upload_free(u);
}
