/* limit.h - how much a key may do at once: requests per minute (the generic cell rate algorithm), event streams.
 *
 * Requests are counted here, where they come, so that no answer waits for Redis; what was counted is told to the other
 * apis through Redis twice a second (limit_collect, limit_adopt). A key that floods several apis at once may so get up
 * to a minute's worth from each, and then waits until that is paid back: over minutes its rate is that of one key.
 * While Redis is away each api counts for itself. Streams are counted per process: what they cost is its memory. Any
 * thread. */
#ifndef LONGANIM_API_LIMIT_H
#define LONGANIM_API_LIMIT_H

#include "queue/queue.h"

#include <stdbool.h>
#include <stdint.h>

struct limit;

struct limit *limit_new(void);
void limit_free(struct limit *l);

struct limit_state {
    int64_t quota;         /* requests of a full minute */
    int64_t remaining;     /* that may come at once now */
    int64_t reset_s;       /* until all of them may */
    int64_t retry_after_s; /* when refused */
};

/* May this tenant do one more request at now_us (monotonic)? Counts it if so. per_minute (> 0): so many in the long
 * run, and as many at once; it may change from call to call. */
bool limit_take(struct limit *l, const char *tenant, int64_t per_minute, int64_t now_us, struct limit_state *out);

/* What other apis have to hear and may have to say: tenants that did something lately, at most `max` a call, all of
 * them in turn. How many. */
int limit_collect(struct limit *l, int64_t now_us, struct queue_rate *out, int max);
/* What became of it: told (with ahead_us filled in), or not, to be told next time. */
void limit_adopt(struct limit *l, int64_t now_us, const struct queue_rate *list, int count, bool told);

/* One more event stream of this tenant, unless it has `max` (0 = no bound) already. */
bool limit_hold(struct limit *l, const char *tenant, int64_t max);
void limit_let_go(struct limit *l, const char *tenant);

#endif
