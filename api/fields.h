/* fields.h - values of header fields: ranges, entity tags, preferences, digests, seconds. Pure; no allocation.
 * Texts are NUL-terminated and may be NULL where a missing field has a meaning. */
#ifndef LONGANIM_API_FIELDS_H
#define LONGANIM_API_FIELDS_H

#include "base/err.h"
#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fields_range { RANGE_WHOLE, RANGE_PART, RANGE_UNSATISFIABLE };

/* RFC 9110 14.2. Malformed values, other units and several ranges mean the whole representation. */
enum fields_range fields_range(const char *value, int64_t size, int64_t *out_first, int64_t *out_last);

/* Does If-None-Match (a list, "*", weak tags allowed) name this strong tag (quotes included)? */
bool fields_none_match(const char *value, const char *tag);

/* Does If-Range allow a part? True when missing; a date or a weak tag never does. */
bool fields_if_range(const char *value, const char *tag);

/* Prefer: seconds of wait=N, clamped to max; -1 when there is no (usable) wait. RFC 7240. */
int64_t fields_prefer_wait(const char *value, int64_t max_s);

/* Content-Digest or Repr-Digest: the SHA-256 as 64 hex digits. 1 = there, 0 = no sha-256 in it, -1 = malformed
 * (bad_header, naming `field`). RFC 9530. */
int fields_digest(const char *value, const char *field, char out[HASH_HEX_SIZE], struct err *e);

/* tus: "sha256 <base64>". 0, or -1 (bad_header). */
int fields_tus_checksum(const char *value, char out[HASH_HEX_SIZE], struct err *e);

/* A whole number of seconds, 1 to max. bad_header naming `field`. */
int fields_seconds(const char *value, const char *field, int64_t max_s, int64_t *out, struct err *e);

/* A non-negative whole number without sign, at most 18 digits: 0, or -1. */
int fields_number(const char *text, int64_t *out);

/* Media type without parameters, lower case, into out; "" when missing or too long. */
void fields_media_type(const char *value, char *out, size_t size);

/* Does Accept-Encoding (NULL = not sent) allow gzip? */
bool fields_accepts_gzip(const char *accept_encoding);

/* Is this what a page named as its neighbour? NULL is fine. params_invalid naming the query parameter. */
int fields_cursor(const char *cursor, const char *parameter, struct err *e);

#endif
