/* limit.h - requests of a key per minute: the generic cell rate algorithm. Each api counts for itself. Any thread. */
#ifndef LONGANIM_API_LIMIT_H
#define LONGANIM_API_LIMIT_H

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

#endif
