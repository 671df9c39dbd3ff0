#include "stats.h"

#include "base/version.h"

#include <stdio.h>
#include <string.h>

static const struct metrics_row rows[STATS_ROW_COUNT] = {
    [STATS_REQUESTS] =
        {METRICS_COUNTER, "longanim_http_requests_total", "Answered requests.", {"route", "method", "code"}, NULL},
    [STATS_DURATION] = {METRICS_HISTOGRAM,
                        "longanim_http_request_duration_seconds",
                        "Time from the request line to the last byte of the answer.",
                        {"route"},
                        NULL},
    [STATS_UPLOAD_BYTES] =
        {METRICS_COUNTER, "longanim_upload_bytes_total", "Bytes of request bodies taken in.", {NULL}, NULL},
    [STATS_ACCEPTED] =
        {METRICS_COUNTER, "longanim_jobs_accepted_total", "Jobs that this process accepted.", {"pool"}, NULL},
    [STATS_ENDED] =
        {METRICS_COUNTER, "longanim_jobs_total", "Jobs that ended, counted by the queue.", {"pool", "result"}, NULL},
    [STATS_DEPTH] = {METRICS_GAUGE, "longanim_queue_depth", "Jobs by pool and state.", {"pool", "state"}, NULL},
    [STATS_OLDEST] = {METRICS_GAUGE, "longanim_queue_oldest_seconds", "Age of the oldest queued job.", {"pool"}, NULL},
    [STATS_REAPED] = {METRICS_COUNTER, "longanim_reaped_total", "What the reaper moved on.", {"what"}, NULL},
    [STATS_REJECTED] =
        {METRICS_COUNTER, "longanim_media_rejected_total", "Uploads refused by the prober.", {"code"}, NULL},
    [STATS_WEBHOOKS] =
        {METRICS_COUNTER, "longanim_webhook_deliveries_total", "Tries to deliver webhooks.", {"result"}, NULL},
    [STATS_STREAMS] = {METRICS_GAUGE, "longanim_sse_clients", "Open event streams.", {NULL}, NULL},
    [STATS_CONNECTIONS] = {METRICS_GAUGE, "longanim_http_connections", "Open connections.", {NULL}, NULL},
    [STATS_INFLIGHT] = {METRICS_GAUGE, "longanim_http_inflight", "Requests under way.", {NULL}, NULL},
    [STATS_STARTED] = {METRICS_COUNTER, "longanim_jobs_started_total", "Jobs that were started.", {"pool"}, NULL},
    [STATS_WAIT] = {METRICS_COUNTER,
                    "longanim_queue_wait_seconds_total",
                    "How long jobs had waited when they were started.",
                    {"pool"},
                    NULL},
    [STATS_RUN] =
        {METRICS_COUNTER, "longanim_run_seconds_total", "From start to success, of all jobs.", {"pool"}, NULL},
    [STATS_SEGMENTS] = {METRICS_COUNTER, "longanim_segments_total", "Segments committed.", {"pool"}, NULL},
    [STATS_FRAMES] = {METRICS_COUNTER, "longanim_frames_total", "Frames of these.", {"pool"}, NULL},
    [STATS_RETRIES] =
        {METRICS_COUNTER, "longanim_retries_total", "Attempts that failed and are repeated.", {"pool"}, NULL},
    [STATS_LOST] = {METRICS_COUNTER, "longanim_leases_lost_total", "Leases that ran out.", {"pool"}, NULL},
    [STATS_PING] = {METRICS_GAUGE, "longanim_redis_ping_seconds", "The last round trip.", {NULL}, NULL},
    [STATS_CPU] = {METRICS_COUNTER, "process_cpu_seconds_total", "Processor time of this process.", {NULL}, NULL},
    [STATS_RESIDENT] = {METRICS_GAUGE, "process_resident_memory_bytes", "Memory of this process.", {NULL}, NULL},
    [STATS_OPEN_FDS] = {METRICS_GAUGE, "process_open_fds", "Open descriptors of this process.", {NULL}, NULL},
    [STATS_READY] = {METRICS_GAUGE, "longanim_ready", "1 when the check passes.", {"check"}, NULL},
    [STATS_BUILD] = {METRICS_GAUGE, "longanim_build_info", "1; the labels say what runs.", {"version"}, NULL},
};

struct metrics *stats_new(void)
{
    struct metrics *m = metrics_new(rows, STATS_ROW_COUNT);
    const char *version = LONGANIM_VERSION;

    metrics_set(m, STATS_BUILD, 1, &version);
    return m;
}

static const char *known_method(const char *method)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "DELETE", "PATCH", "PUT", "OPTIONS"};

    for (size_t i = 0; method && i < sizeof known / sizeof *known; i++)
        if (strcmp(method, known[i]) == 0)
            return known[i];
    return "other";
}

void stats_request(struct metrics *m, const char *route, const char *method, int status, int64_t duration_us)
{
    char code[12];

    snprintf(code, sizeof code, "%d", status);
    metrics_add(m, STATS_REQUESTS, 1, (const char *const[]){route, known_method(method), code});
    metrics_observe(m, STATS_DURATION, (double)duration_us / 1e6, &route);
}
