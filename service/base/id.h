/* id.h - identifiers that sort by time and cannot be guessed. Any thread. */
#ifndef LONGANIM_BASE_ID_H
#define LONGANIM_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>

/* Shard digit, then 26 characters of Crockford base 32 (48 bits of milliseconds, 80 random bits):
 * "j0_01JABCDEFGHJKMNPQRSTVWXYZ0". */
#define ID_SIZE 32
void id_new_job(char out[ID_SIZE]);
void id_new_upload(char out[ID_SIZE]); /* "u0_…" */

/* Is this text of the form that id_new_job makes? Length and alphabet only. */
bool id_is_job(const char *text);
bool id_is_upload(const char *text);

/* `bytes` random bytes as lower-case hex; out holds 2*bytes+1. Aborts when the system has no randomness. */
void id_random_hex(char *out, size_t bytes);

/* A uniformly drawn seed in 0..2^63-1. */
long long id_random_seed(void);

#endif
