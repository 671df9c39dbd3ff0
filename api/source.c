#include "source.h"

#include "base/buf.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct source {
    pthread_mutex_t lock;
    int refs;
    size_t max;
    void (*wants)(void *user);
    void (*gone)(void *user);
    void *user;
    /* guarded by lock */
    struct buf data;
    size_t taken; /* of data, already sent */
    bool ended, broken, detached, suspended;
    const struct source_ops *ops;
    void *connection;
};

struct source *source_new(size_t max_bytes, void (*wants)(void *user), void (*gone)(void *user), void *user)
{
    struct source *s = calloc(1, sizeof *s);

    if (!s)
        abort();
    pthread_mutex_init(&s->lock, NULL);
    s->refs = 1;
    s->max = max_bytes;
    s->wants = wants;
    s->gone = gone;
    s->user = user;
    buf_init(&s->data, max_bytes);
    return s;
}

struct source *source_ref(struct source *s)
{
    __atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
    return s;
}

void source_unref(struct source *s)
{
    if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (s->gone)
        s->gone(s->user);
    buf_free(&s->data);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Under the lock, so that a detach in the reader's thread cannot free the connection in between. */
static void wake_locked(struct source *s)
{
    if (!s->suspended)
        return;
    s->suspended = false;
    s->ops->resume(s->connection);
}

static void compact_locked(struct source *s)
{
    size_t rest = s->data.size - s->taken;

    if (s->taken == 0)
        return;
    if (rest > 0)
        memmove(s->data.data, s->data.data + s->taken, rest);
    s->data.size = rest;
    s->taken = 0;
    /* An idle stream keeps no memory: a thousand of them wait most of the time. */
    if (rest == 0)
        buf_free(&s->data);
}

int source_write(struct source *s, const void *data, size_t size)
{
    int rc = -1;

    pthread_mutex_lock(&s->lock);
    if (!s->detached && !s->ended) {
        compact_locked(s);
        if (s->data.size + size <= s->max && buf_add(&s->data, data, size) == 0)
            rc = 0;
        else
            s->ended = true;
        wake_locked(s);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

void source_end(struct source *s, bool broken)
{
    pthread_mutex_lock(&s->lock);
    s->ended = true;
    s->broken = s->broken || broken;
    wake_locked(s);
    pthread_mutex_unlock(&s->lock);
}

bool source_closed(struct source *s)
{
    pthread_mutex_lock(&s->lock);
    bool closed = s->detached || s->ended;
    pthread_mutex_unlock(&s->lock);
    return closed;
}

size_t source_room(struct source *s)
{
    pthread_mutex_lock(&s->lock);
    size_t room = s->max - (s->data.size - s->taken);
    pthread_mutex_unlock(&s->lock);
    return room;
}

void source_attach(struct source *s, const struct source_ops *ops, void *connection)
{
    pthread_mutex_lock(&s->lock);
    s->ops = ops;
    s->connection = connection;
    pthread_mutex_unlock(&s->lock);
}

ssize_t source_read(struct source *s, char *out, size_t size)
{
    ssize_t got;
    size_t waiting;
    bool more;

    pthread_mutex_lock(&s->lock);
    waiting = s->data.size - s->taken;
    if (waiting > 0 && !s->broken) {
        got = (ssize_t)(waiting < size ? waiting : size);
        memcpy(out, s->data.data + s->taken, (size_t)got);
        s->taken += (size_t)got;
        if (s->taken == s->data.size)
            compact_locked(s);
    } else if (s->ended) {
        got = s->broken ? SOURCE_BROKEN : SOURCE_END;
    } else {
        got = SOURCE_WAIT;
        s->suspended = true;
        s->ops->suspend(s->connection);
    }
    more = s->wants && !s->ended && s->data.size - s->taken < s->max / 2;
    pthread_mutex_unlock(&s->lock);
    if (more)
        s->wants(s->user);
    return got;
}

void source_detach(struct source *s)
{
    pthread_mutex_lock(&s->lock);
    s->detached = true;
    s->suspended = false;
    s->connection = NULL;
    buf_free(&s->data);
    s->taken = 0;
    pthread_mutex_unlock(&s->lock);
}
