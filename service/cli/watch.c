#include "cli/commands.h"
#include "cli/remote.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/sse.h"

#include <stdio.h>
#include <string.h>

enum { POLL_MS = 1000, OUTAGE_MS = 60000, STREAM_STALL_MS = 45000 /* three of the server's pings */ };

struct watch {
    struct remote *r;
    const char *id;
    struct cli_progress progress;
    struct sse sse;
    json_t *ended; /* the job object in its final state; owned */
};

static bool terminal(const json_t *job)
{
    return json_is_true(json_object_get(job, "terminal"));
}

static void show(struct watch *w, const json_t *job)
{
    struct cli_state s;
    remote_state(job, &s);
    cli_progress_show(&w->progress, &s);
}

static int on_event(void *user, const struct sse_event *event)
{
    struct watch *w = user;
    json_t *job = json_parse(event->data, strlen(event->data), ERR_internal, NULL);
    const char *id = "";
    if (json_is_object(job) && json_opt_str(job, "id", &id, NULL) == 0 && strcmp(id, w->id) == 0) {
        show(w, job);
        if (terminal(job))
            w->ended = json_incref(job);
    }
    json_decref(job);
    return w->ended || cli_interrupted();
}

static int on_data(void *user, const char *data, size_t size)
{
    struct watch *w = user;
    return sse_feed(&w->sse, data, size, on_event, w);
}

static int on_tick(void *user, int64_t sent, int64_t to_send, int64_t received, int64_t to_receive)
{
    (void)user;
    (void)sent;
    (void)to_send;
    (void)received;
    (void)to_receive;
    return cli_interrupted();
}

/* Listens until the stream ends, for whatever reason; polling goes on where it broke. */
static void listen_events(struct watch *w)
{
    struct http_request q;
    struct http_response response;
    struct buf problem;
    char url[1024], last[200];
    const char *headers[] = {"Accept: text/event-stream", w->r->headers[0], NULL, NULL};
    buf_init(&problem, 64 << 10);
    remote_prepare(w->r, &q, url, "GET", "/jobs/%s/events", w->id);
    if (w->sse.id[0] && snprintf(last, sizeof last, "Last-Event-ID: %s", w->sse.id) < (int)sizeof last)
        headers[w->r->headers[0] ? 2 : 1] = last;
    q.headers = headers;
    q.on_data = on_data;
    q.on_progress = on_tick;
    q.problem = &problem;
    q.user = w;
    q.stall_ms = STREAM_STALL_MS;
    (void)http_do(w->r->http, &q, &response, NULL); /* what became of the job is asked next, by a plain GET */
    buf_free(&problem);
}

/* One GET; 1 = ended, 0 = not yet, -1 = the server says no (e), or has been away too long. */
static int poll_once(struct watch *w, int64_t *away_since_ms, struct err *e)
{
    json_t *job = NULL;
    if (remote_job(w->r, w->id, &job, e) != 0) {
        if (e->code != ERR_overloaded && err_info(e->code)->http_status < 500)
            return -1;
        if (*away_since_ms == 0)
            *away_since_ms = clock_mono_ms();
        return clock_mono_ms() - *away_since_ms > OUTAGE_MS ? -1 : 0;
    }
    *away_since_ms = 0;
    show(w, job);
    if (!terminal(job)) {
        json_decref(job);
        return 0;
    }
    json_decref(w->ended);
    w->ended = job;
    return 1;
}

int cli_follow(struct remote *r, const char *id)
{
    struct watch w = {.r = r, .id = id};
    struct err e = {0};
    int64_t away_since_ms = 0;
    int got = 0, status = CLI_INTERRUPTED;
    cli_progress_init(&w.progress);
    sse_init(&w.sse);
    while (!cli_interrupted()) {
        got = poll_once(&w, &away_since_ms, &e);
        if (got == 0)
            listen_events(&w);
        if (got != 0 || w.ended)
            break;
        clock_sleep_ms(POLL_MS);
    }
    cli_progress_clear(&w.progress);
    if (w.ended) {
        status = remote_verdict(w.ended);
        if (!w.progress.bar)
            cli_print_json(json_incref(w.ended));
    } else if (got < 0) {
        cli_complain(&e);
        status = remote_exit_of(&e);
    }
    json_decref(w.ended);
    sse_free(&w.sse);
    return status;
}

int cli_watch(int argc, char **argv)
{
    struct cli_args a;
    struct remote r;
    struct err e = {0};
    const struct cli_usage usage = {
        .name = "watch",
        .positional = "ID",
        .text =
            "Follows a job to its end, with a progress bar on a terminal and JSON lines elsewhere. The exit status is\n"
            "that of the job: 0 succeeded, 1 failed or canceled, 3 its input was refused. Interrupting the watch does\n"
            "not touch the job.",
        .config = CONFIG_REMOTE,
        .min_rest = 1,
        .max_rest = 1,
    };
    int status = cli_args(&a, &usage, argc, argv);
    if (status < 0 && remote_open(&r, &a.config, &e) != 0) {
        cli_complain(&e);
        status = CLI_USAGE;
    } else if (status < 0) {
        cli_catch_interrupts();
        status = cli_follow(&r, a.rest[0]);
        remote_close(&r);
    }
    cli_args_free(&a);
    return status;
}
