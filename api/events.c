/* events.c - a job's events as a stream.
 *
 *        open ──▶ PAGING ── nothing left ──▶ LIVE ── terminal ──▶ end
 *                   ▲  (a page of retained      │
 *                   │   events at a time)       │ backlog full, or Redis could not be asked
 *                   └───────────────────────────┘
 * Events come out of the queue's stream in pages until the reader has caught up; then the watch's thread hands them
 * over as they happen. A client that reads too slowly falls back to paging instead of filling memory, and whoever
 * misses what the queue no longer keeps is told so by `event: reset`. Every event has the stream's id and the job. */
#include "events.h"

#include "app.h"
#include "jobs.h"
#include "source.h"

#include "base/clock.h"
#include "base/text.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BACKLOG_BYTES = 1 << 17,
    PAGE_EVENTS = 32,
    PING_MS = 15000,
};

struct stream {
    struct app *app;
    struct source *source;
    char job_id[ID_SIZE];
    char tenant[KEY_ID_MAX + 1]; /* whose stream this is */
    pthread_mutex_t lock;
    /* guarded by lock */
    int refs;
    bool paging; /* a pool thread has it, or waits for the reader */
    bool queued; /* a pool thread has it */
    bool news;   /* events came meanwhile */
    bool over;   /* the last event is sent: end at the next tick */
    bool ended;
    char last_id[40]; /* of the last event sent; "" = none */
    int64_t said_ms;  /* when anything was last written */
};

static void stream_unref(struct stream *s)
{
    pthread_mutex_lock(&s->lock);
    bool last = --s->refs == 0;
    pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* ---- frames ---- */

static void make_frame(struct buf *frame, const char *type, const char *id, const struct snapshot *job)
{
    if (id)
        buf_printf(frame, "id: %s\n", id);
    buf_printf(frame, "event: %s\ndata: ", type);
    buf_add_str(frame, job->text);
    buf_add_str(frame, "\n\n");
}

static int say(struct stream *s, const struct buf *frame)
{
    s->said_ms = clock_mono_ms();
    return frame->failed ? -1 : source_write(s->source, frame->data, frame->size);
}

static int write_frame(struct stream *s, const char *type, const char *id, const struct snapshot *job)
{
    struct buf frame;
    int rc;

    buf_init(&frame, NEWS_FRAME_MAX_BYTES);
    make_frame(&frame, type, id, job);
    rc = say(s, &frame);
    buf_free(&frame);
    return rc;
}

static void end_locked(struct stream *s)
{
    s->ended = true;
    source_end(s->source, false);
}

/* Is this event the last one of its job? */
static bool is_last(const struct queue_event *event, const struct snapshot *job)
{
    return job->terminal && event->version >= job->job.version;
}

/* Sends a retained event and ends after the last one. Call only when there is room for a frame. */
static void send_locked(struct stream *s, const struct queue_event *event, const struct snapshot *job)
{
    text_copy(s->last_id, sizeof s->last_id, event->id);
    if (write_frame(s, event->type, event->id, job))
        s->ended = true;
    else if (is_last(event, job))
        end_locked(s);
}

/* ---- paging ---- */

static void page(void *arg, struct worker *w);

static void start_page_locked(struct stream *s)
{
    s->paging = true;
    if (s->queued || s->ended)
        return;
    s->queued = true;
    s->refs++;
    source_ref(s->source);
    pool_must(s->app->quick, page, s);
}

/* The reader has room: the next page, if one is due. */
static void wants(void *user)
{
    struct stream *s = user;

    pthread_mutex_lock(&s->lock);
    if (s->paging)
        start_page_locked(s);
    pthread_mutex_unlock(&s->lock);
}

static struct snapshot *job_now(struct stream *s, struct worker *w)
{
    struct snapshot *found = cache_get(s->app->cache, s->job_id);
    struct job job;
    struct err e;

    if (found)
        return found;
    job_init(&job);
    if (queue_get(w->queue, s->job_id, &job, &e) == 0 && job.state != JOB_PURGED)
        return cache_put(s->app->cache, &job);
    job_free(&job);
    return NULL;
}

static bool has_room(struct stream *s, const struct snapshot *job)
{
    return source_room(s->source) > strlen(job->text) + 256;
}

/* One page of retained events; returns how many the queue gave, or -1. */
static int send_page(struct stream *s, struct worker *w, const struct snapshot *job, struct queue_event *events)
{
    char after[40];
    bool reset = false;
    struct err e;
    int count;

    pthread_mutex_lock(&s->lock);
    s->news = false;
    memcpy(after, s->last_id, sizeof after);
    pthread_mutex_unlock(&s->lock);
    count = queue_job_events(w->queue, s->job_id, after, events, PAGE_EVENTS, &reset, &e);
    pthread_mutex_lock(&s->lock);
    if (reset && count >= 0 && write_frame(s, "reset", NULL, job))
        s->ended = true;
    if (reset && count == 0)
        s->last_id[0] = 0;
    for (int i = 0; i < count && !s->ended && has_room(s, job); i++)
        send_locked(s, &events[i], job);
    pthread_mutex_unlock(&s->lock);
    return count;
}

static void page(void *arg, struct worker *w)
{
    struct stream *s = arg;
    struct snapshot *job = job_now(s, w);
    struct queue_event *events = calloc(PAGE_EVENTS, sizeof *events);
    int count = -1;

    if (!events)
        abort();
    if (job)
        count = send_page(s, w, job, events);
    pthread_mutex_lock(&s->lock);
    s->queued = false;
    if (count < 0) {
        /* Redis is away, or the job is: the client comes back with its last id. */
        end_locked(s);
    } else if (count == 0 && !s->news && !s->ended) {
        s->paging = false;
        /* What was to be had has been had. A terminal job has no more to say. */
        if (job->terminal)
            end_locked(s);
    } else if (!s->ended && has_room(s, job)) {
        start_page_locked(s);
    }
    pthread_mutex_unlock(&s->lock);
    snapshot_unref(job);
    free(events);
    source_unref(s->source);
    stream_unref(s);
}

/* ---- live ---- */

/* After the last event the stream does not end at once: the words that a thousand clients wait for go out before
 * anybody's connection is wound up. */
static void tell_locked(struct stream *s, struct news *news)
{
    if (news->frame.size == 0)
        make_frame(&news->frame, news->event->type, news->event->id, news->now);
    text_copy(s->last_id, sizeof s->last_id, news->event->id);
    if (say(s, &news->frame))
        s->ended = true;
    else
        s->over = is_last(news->event, news->now);
}

static bool on_news(void *user, struct news *news)
{
    struct stream *s = user;

    pthread_mutex_lock(&s->lock);
    if (s->paging || s->ended || s->over) {
        s->news = true;
    } else if (news->now && has_room(s, news->now)) {
        tell_locked(s, news);
    } else {
        s->news = true;
        start_page_locked(s);
    }
    bool over = s->over;
    pthread_mutex_unlock(&s->lock);
    return over;
}

static bool on_tick(void *user, int64_t mono_ms)
{
    struct stream *s = user;
    bool gone = source_closed(s->source) || mono_ms == INT64_MAX;

    pthread_mutex_lock(&s->lock);
    gone = gone || s->over;
    if (!gone && mono_ms - s->said_ms >= PING_MS && source_room(s->source) > BACKLOG_BYTES / 2) {
        s->said_ms = mono_ms;
        if (source_write(s->source, ": ping\n\n", 8))
            s->ended = true;
    }
    pthread_mutex_unlock(&s->lock);
    if (!gone)
        return true;
    source_end(s->source, false);
    source_unref(s->source);
    stream_unref(s);
    return false;
}

/* ---- opening ---- */

static void on_source_gone(void *user)
{
    struct stream *s = user;

    limit_let_go(s->app->limit, s->tenant);
    stream_unref(s);
}

static const struct subscriber_ops ops = {on_news, on_tick};

/* The state at connect, when there is nothing retained that would show it. */
static int say_state(struct stream *s, struct worker *w, const struct snapshot *job)
{
    struct queue_event event;
    bool reset;
    struct err e;
    int count = queue_job_events(w->queue, s->job_id, s->last_id, &event, 1, &reset, &e);

    if (count < 0)
        return -1;
    if (count == 0 && !reset)
        return write_frame(s, "state", s->last_id[0] ? s->last_id : "0-0", job);
    return 0;
}

/* The reader's stream counts from here on; without keys there is no bound. */
static int count_stream(struct req *r, struct err *e)
{
    if (limit_hold(r->app->limit, r->who.tenant, r->who.limits.streams))
        return 0;
    return err_set(e, ERR_rate_limited, "this key may follow %lld jobs at once", (long long)r->who.limits.streams);
}

void events_open(struct req *r, struct worker *w)
{
    const char *after = req_header(r, REQ_last_event_id);
    struct snapshot *job = NULL;
    struct stream *s;
    struct answer *a;
    struct err e;

    if (!after)
        after = target_arg(&r->target, "after");
    if (jobs_read(r, w, &job, &e) || count_stream(r, &e)) {
        snapshot_unref(job);
        req_done_problem(r, &e);
        return;
    }
    s = calloc(1, sizeof *s);
    if (!s)
        abort();
    pthread_mutex_init(&s->lock, NULL);
    s->app = r->app;
    s->refs = 2; /* the source's and the subscription's */
    s->paging = true;
    s->said_ms = clock_mono_ms();
    text_copy(s->job_id, sizeof s->job_id, job->job.id);
    text_copy(s->tenant, sizeof s->tenant, r->who.tenant);
    if (after && text_copy(s->last_id, sizeof s->last_id, after))
        text_copy(s->last_id, sizeof s->last_id, "unknown");
    s->source = source_new(BACKLOG_BYTES, wants, on_source_gone, s);
    a = answer_new(200);
    answer_header(a, "Content-Type", "text/event-stream");
    answer_header(a, "Cache-Control", "no-cache");
    answer_header(a, "X-Accel-Buffering", "no");
    a->source = source_ref(s->source);
    a->length = -1;
    source_write(s->source, "retry: 3000\n\n", 13);
    if (say_state(s, w, job))
        source_end(s->source, false);
    watch_subscribe(r->app->watch, s->job_id, &ops, s);
    snapshot_unref(job);
    req_done_answer(r, a);
}
