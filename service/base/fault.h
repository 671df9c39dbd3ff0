/* fault.h - named points at which a test lets a program die, stop or fail.
 *
 * LONGANIM_FAULT="<point>:<die|stall|error>[:<nth>][@<file>]": at the nth passing of the point (1 = the first) the
 * process kills itself, stops itself (SIGSTOP; whoever tests wakes it), or the call that holds the point fails. With a
 * file it happens once in all: the file is made at that moment, and where it exists nothing happens, so that the
 * fault does not follow a program through its restarts. It needs LONGANIM_FAULT_ENABLE=1 beside it; without that a
 * program that is told of a fault does not start. All points: fault_table.h.
 * Costs when off: one load and one branch at a point. Any thread. */
#ifndef LONGANIM_BASE_FAULT_H
#define LONGANIM_BASE_FAULT_H

#include "base/err.h"

#include <stdbool.h>

extern bool fault__armed; /* set once, before there are threads */
int fault__pass(const char *point);

/* Non-zero when the call that holds this point must fail. */
static inline int fault(const char *point)
{
    return __builtin_expect(fault__armed, 0) ? fault__pass(point) : 0;
}

/* The same with an error filled in: -1. */
static inline int fault_err(const char *point, enum err_code code, struct err *e)
{
    return fault(point) ? err_set(e, code, "fault injected at %s", point) : 0;
}

/* Reads the setting ("" = no fault). params_invalid: not enabled, no such point (with the nearest), no such action. */
int fault_arm(const char *setting, bool enabled, struct err *e);

/* Calls fn with every point and what it is. */
void fault_each(void (*fn)(void *user, const char *point, const char *doc), void *user);

#endif
