/* stats.h - the metrics of the api (docs/operations.md lists them). Any thread. */
#ifndef LONGANIM_API_STATS_H
#define LONGANIM_API_STATS_H

#include "base/metrics.h"

enum stats_row {
    STATS_REQUESTS,
    STATS_DURATION,
    STATS_UPLOAD_BYTES,
    STATS_ACCEPTED,
    STATS_DEPTH,
    STATS_OLDEST,
    STATS_ENDED,
    STATS_REAPED,
    STATS_REJECTED,
    STATS_WEBHOOKS,
    STATS_STREAMS,
    STATS_CONNECTIONS,
    STATS_INFLIGHT,
    STATS_STARTED,
    STATS_WAIT,
    STATS_RUN,
    STATS_SEGMENTS,
    STATS_FRAMES,
    STATS_RETRIES,
    STATS_LOST,
    STATS_PING,
    STATS_CPU,
    STATS_RESIDENT,
    STATS_OPEN_FDS,
    STATS_READY,
    STATS_BUILD,
    STATS_ROW_COUNT
};

struct metrics *stats_new(void);

/* route: the template, never a raw path. */
void stats_request(struct metrics *m, const char *route, const char *method, int status, int64_t duration_us);

#endif
