/* text.h - bytes from outside that must become text: UTF-8 checked or repaired, the nearest of some names. Pure. */
#ifndef LONGANIM_BASE_TEXT_H
#define LONGANIM_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the well-formed UTF-8 sequence at `s` (1..4), or 0 when it is not one. Overlong forms, surrogates and
 * values over U+10FFFF are not well formed (RFC 3629). NUL counts as a sequence of length 1. */
size_t text_utf8_step(const char *s, size_t size);
bool text_utf8_valid(const char *s, size_t size);

/* Copies as much of `in` as fits whole characters into out (size out_size ≥ 4, always NUL-terminated). Broken bytes
 * become U+FFFD, control characters a space. Returns the length written. */
size_t text_clean(char *out, size_t out_size, const char *in);

/* Copies a string into a fixed array. 0, or -1 (out = "") when it does not fit. */
int text_copy(char *out, size_t out_size, const char *in);

/* Levenshtein distance of at most the first 63 bytes of both. */
int text_distance(const char *a, const char *b);

/* The one of names[count] nearest to `wanted`; NULL only when count is 0. */
const char *text_nearest(const char *wanted, const char *const *names, int count);

#endif
