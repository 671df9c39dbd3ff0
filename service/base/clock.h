/* clock.h - time. Wall time for people and records, monotonic time for leases and timeouts. Any thread. */
#ifndef LONGANIM_BASE_CLOCK_H
#define LONGANIM_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_wall_ms(void); /* since 1970-01-01 UTC */
int64_t clock_mono_ms(void); /* never jumps; includes time spent suspended */
int64_t clock_mono_us(void); /* the same clock */
void clock_sleep_ms(int64_t ms);

/* RFC 3339, UTC, milliseconds: "2026-01-01T00:00:00.000Z"; 24 characters and a NUL. */
#define CLOCK_TEXT_SIZE 25
void clock_format(int64_t wall_ms, char out[CLOCK_TEXT_SIZE]);

/* Reads RFC 3339 (any offset, optional fraction). 0 or -1. */
int clock_parse(const char *text, int64_t *out_wall_ms);

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110). */
#define CLOCK_HTTP_SIZE 32
void clock_http_date(int64_t wall_ms, char out[CLOCK_HTTP_SIZE]);

#endif
