#include "base/cond.h"

#include <stdlib.h>

void cond_init(pthread_cond_t *c)
{
    pthread_condattr_t monotonic;
    if (pthread_condattr_init(&monotonic) != 0 || pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(c, &monotonic) != 0)
        abort(); /* without memory only */
    pthread_condattr_destroy(&monotonic);
}

struct timespec cond_after_ms(int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + ms % 1000 * 1000000;
    t.tv_sec += ms / 1000 + ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    return t;
}

void cond_wait_ms(pthread_cond_t *c, pthread_mutex_t *locked, int64_t ms)
{
    struct timespec until = cond_after_ms(ms);
    pthread_cond_timedwait(c, locked, &until);
}
