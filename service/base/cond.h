/* cond.h - condition variables whose timeouts go by the monotonic clock, so that setting the time wakes nobody. What
 * else holds is pthread's. */
#ifndef LONGANIM_BASE_COND_H
#define LONGANIM_BASE_COND_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

void cond_init(pthread_cond_t *c); /* pthread_cond_destroy ends it */

/* The moment `ms` from now, for pthread_cond_timedwait on such a variable. */
struct timespec cond_after_ms(int64_t ms);

/* One wait of at most `ms`; woken for whatever reason, the caller looks for itself. */
void cond_wait_ms(pthread_cond_t *c, pthread_mutex_t *locked, int64_t ms);

#endif
