#include "worker/lease.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/fault.h"
#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { PROGRESS_MS = 500 /* new progress is reported this soon, whatever the beat */, RETRY_MS = 200 };

struct lease {
    struct queue *queue; /* the beating thread's own connection */
    int64_t lease_ms, beat_ms, margin_ms;
    int event_fd;
    bool failing; /* the beating thread's: the last beat did not come through; said once per change */
    pthread_t beater, fencer;

    pthread_mutex_t mutex;
    pthread_cond_t changed; /* anything below changed */
    struct {
        bool stop, held, news;
        uint64_t generation; /* of the claim: an answer to an older one is void */
        struct queue_lease lease;
        struct job_progress progress;
        bool has_progress;
        int64_t good_ms; /* mono; the lease holds at least until good_ms + lease_ms */
        enum lease_order order;
        pid_t engine;
        int64_t fences;
    } in; /* guarded by mutex */
};

static void set_order_locked(struct lease *l, enum lease_order order)
{
    if (l->in.order == order)
        return;
    l->in.order = order;
    uint64_t one = 1;
    if (write(l->event_fd, &one, sizeof one) < 0)
        log_event(LOG_DEBUG, "lease.event_full", NULL);
}

/* Waits for a change, at most until `until_ms` (mono; INT64_MAX = for ever). */
static void wait_locked(struct lease *l, int64_t until_ms)
{
    if (until_ms == INT64_MAX) {
        pthread_cond_wait(&l->changed, &l->mutex);
        return;
    }
    int64_t left = until_ms - clock_mono_ms();
    if (left > 0)
        cond_wait_ms(&l->changed, &l->mutex, left);
}

static enum lease_order order_of(enum queue_order o)
{
    switch (o) {
    case QUEUE_CANCEL:
        return LEASE_CANCEL;
    case QUEUE_DEADLINE:
        return LEASE_DEADLINE;
    case QUEUE_LOST:
        return LEASE_LOST;
    case QUEUE_GO_ON:
        break;
    }
    return LEASE_GO_ON;
}

/* One beat; the mutex is released while Redis is asked. Returns when the next one is due. */
static int64_t beat_locked(struct lease *l)
{
    struct queue_lease lease = l->in.lease;
    struct job_progress progress = l->in.progress;
    uint64_t generation = l->in.generation;
    bool has_progress = l->in.has_progress;
    l->in.news = false;
    pthread_mutex_unlock(&l->mutex);
    struct err e = {0};
    enum queue_order answer = QUEUE_GO_ON;
    int64_t sent_ms = clock_mono_ms();
    fault("worker.beat");
    int failed = queue_beat(l->queue, &lease, l->lease_ms, has_progress ? &progress : NULL, &answer, &e);
    if (failed && !l->failing)
        log_err(LOG_WARN, "lease.beat_failed", lease.job_id, &e);
    l->failing = failed != 0;
    pthread_mutex_lock(&l->mutex);
    if (!l->in.held || l->in.generation != generation)
        return 0;
    if (failed)
        return clock_mono_ms() + (l->beat_ms < RETRY_MS ? l->beat_ms : RETRY_MS);
    l->in.good_ms = sent_ms;
    if (answer == QUEUE_LOST)
        log_event(LOG_WARN, "lease.lost", "job", "s", lease.job_id, "epoch", "i", lease.epoch, NULL);
    set_order_locked(l, order_of(answer));
    pthread_cond_broadcast(&l->changed);
    return sent_ms + l->beat_ms;
}

static void *beat_thread(void *user)
{
    struct lease *l = user;
    pthread_mutex_lock(&l->mutex);
    int64_t due_ms = 0, last_ms = 0;
    uint64_t generation = 0;
    while (!l->in.stop) {
        bool idle = !l->in.held || l->in.order == LEASE_LOST;
        if (l->in.generation != generation)
            due_ms = clock_mono_ms() + l->beat_ms;
        generation = l->in.generation;
        int64_t at_ms = due_ms;
        if (l->in.news && last_ms + PROGRESS_MS < at_ms)
            at_ms = last_ms + PROGRESS_MS;
        if (idle || clock_mono_ms() < at_ms) {
            wait_locked(l, idle ? INT64_MAX : at_ms);
            continue;
        }
        last_ms = clock_mono_ms();
        due_ms = beat_locked(l);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

static void *fence_thread(void *user)
{
    struct lease *l = user;
    pthread_mutex_lock(&l->mutex);
    while (!l->in.stop) {
        int64_t until_ms = l->in.good_ms + l->lease_ms - l->margin_ms;
        if (!l->in.held || l->in.order >= LEASE_FENCED) {
            wait_locked(l, INT64_MAX);
        } else if (clock_mono_ms() < until_ms) {
            wait_locked(l, until_ms);
        } else {
            log_event(LOG_WARN, "lease.fenced", "job", "s", l->in.lease.job_id, "epoch", "i", l->in.lease.epoch, NULL);
            if (l->in.engine > 0)
                kill(l->in.engine, SIGKILL);
            l->in.fences++;
            set_order_locked(l, LEASE_FENCED);
        }
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

int lease_start(struct lease **out, struct queue *queue, int64_t lease_ms, int64_t beat_ms, struct err *e)
{
    struct lease *l = calloc(1, sizeof *l);
    if (!l)
        abort();
    l->queue = queue;
    l->lease_ms = lease_ms;
    l->beat_ms = beat_ms < lease_ms / 3 ? beat_ms : lease_ms / 3; /* two beats may be lost */
    l->margin_ms = lease_ms / 6;
    l->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (l->event_fd < 0) {
        err_set(e, ERR_internal, "eventfd: %s", strerror(errno));
        queue_free(queue);
        free(l);
        return -1;
    }
    pthread_mutex_init(&l->mutex, NULL);
    cond_init(&l->changed);
    if (pthread_create(&l->beater, NULL, beat_thread, l) != 0 || pthread_create(&l->fencer, NULL, fence_thread, l) != 0)
        abort(); /* nothing runs yet; there is no state to save */
    *out = l;
    return 0;
}

static void lock(struct lease *l)
{
    pthread_mutex_lock(&l->mutex);
}

static void unlock(struct lease *l)
{
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mutex);
}

void lease_stop(struct lease *l)
{
    if (!l)
        return;
    lock(l);
    l->in.stop = true;
    unlock(l);
    pthread_join(l->beater, NULL);
    pthread_join(l->fencer, NULL);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->mutex);
    queue_free(l->queue);
    close(l->event_fd);
    free(l);
}

int lease_fd(const struct lease *l)
{
    return l->event_fd;
}

enum lease_order lease_order(struct lease *l)
{
    uint64_t count;
    lock(l);
    while (read(l->event_fd, &count, sizeof count) > 0) {
    }
    /* After a stop of the whole process the fence may not have run yet, but the time has passed all the same. */
    enum lease_order order = l->in.order;
    if (l->in.held && order < LEASE_FENCED && clock_mono_ms() >= l->in.good_ms + l->lease_ms - l->margin_ms)
        order = LEASE_FENCED;
    unlock(l);
    return order;
}

int64_t lease_fences(struct lease *l)
{
    lock(l);
    int64_t fences = l->in.fences;
    unlock(l);
    return fences;
}

void lease_hold(struct lease *l, const struct queue_lease *q)
{
    lock(l);
    l->in.held = true;
    l->in.generation++;
    l->in.lease = *q;
    l->in.has_progress = l->in.news = false;
    l->in.good_ms = clock_mono_ms();
    l->in.order = LEASE_GO_ON;
    unlock(l);
}

void lease_drop(struct lease *l)
{
    lock(l);
    l->in.held = false;
    l->in.generation++;
    l->in.order = LEASE_GO_ON;
    unlock(l);
}

void lease_progress(struct lease *l, const struct job_progress *p)
{
    lock(l);
    l->in.progress = *p;
    l->in.has_progress = l->in.news = true;
    unlock(l);
}

void lease_engine(struct lease *l, pid_t pid)
{
    lock(l);
    l->in.engine = pid;
    unlock(l);
}
