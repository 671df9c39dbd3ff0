/* key.h - one API key: what it may do and how much of it. Only the hash of a secret is ever kept. Pure; any thread. */
#ifndef LONGANIM_API_KEY_H
#define LONGANIM_API_KEY_H

#include "base/err.h"
#include "base/hash.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { SCOPE_SUBMIT = 1, SCOPE_READ = 2, SCOPE_ADMIN = 4, SCOPE_ALL = 7 };

#define KEY_ID_MAX 40
#define KEY_SECRETS_MAX 2

/* How much one key may have. 0 = no bound; in a struct key -1 = as the defaults say. */
struct key_limits {
    int64_t rate_per_minute; /* requests */
    int64_t queued;          /* jobs queued or waiting: one more is refused */
    int64_t running;         /* jobs at once: more wait in the queue */
    int64_t stored_bytes;    /* inputs, segments, results and uploads: more are refused */
    int64_t streams;         /* event streams at once, at each api: more are refused */
    int64_t weight;          /* share of the workers, 1 = as everyone */
};
#define KEY_LIMITS_DEFAULT ((struct key_limits){-1, -1, -1, -1, -1, -1})

/* Every limit that `l` leaves open is that of `defaults`. */
struct key_limits key_limits_or(const struct key_limits *l, const struct key_limits *defaults);

struct key_secret {
    char sha256[HASH_HEX_SIZE];
    int64_t expires_ms; /* wall; 0 = with the key */
};

struct key {
    char id[KEY_ID_MAX + 1]; /* the tenant */
    unsigned scopes;
    int64_t created_ms, expires_ms, revoked_ms; /* wall; 0 = not known, never, not */
    struct key_limits limits;
    struct key_secret secrets[KEY_SECRETS_MAX]; /* two while one takes over from the other */
    int secret_count;
};

bool key_id_valid(const char *id);
const char *key_scope_name(unsigned scope); /* of one bit */

/* A line of the key file: `id sha256hex scope[,scope] [expiry] [name=value …]`, or `* name=value …` for the limits of
 * keys that say nothing. 1 = a key, 2 = limits for all (in out->limits), 0 = blank or a comment, -1 = wrong. The line
 * is cut up. */
int key_parse_line(char *line, struct key *out);

/* As the store keeps it, and back (internal when broken). New reference. */
json_t *key_json(const struct key *k);
int key_parse(struct key *out, const json_t *object, struct err *e);

/* What may be asked for: scopes, expires_at, limits of a JSON object, each optional, onto *k. params_invalid naming the
 * member; `id` is left to the caller. */
int key_apply(struct key *k, const json_t *object, struct err *e);

/* As the API shows it; source is "file" or "api". New reference. */
json_t *key_show(const struct key *k, const char *source, const struct key_limits *defaults);
json_t *key_limits_json(const struct key_limits *l);

#define KEY_SECRET_SIZE 128
/* Draws a secret, `la_<id>_<64 hex digits>`, and puts its hash in front of the others; these end at old_until_ms
 * (wall). */
void key_draw_secret(struct key *k, int64_t old_until_ms, char out[KEY_SECRET_SIZE]);

#endif
