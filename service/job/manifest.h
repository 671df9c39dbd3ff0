/* manifest.h - what was asked: the immutable record of a job in the store, written before the queue knows it.
 * Redis is an index over these. Pure: JSON in, struct out. Schema: docs/formats.md. */
#ifndef LONGANIM_JOB_MANIFEST_H
#define LONGANIM_JOB_MANIFEST_H

#include "base/trace.h"
#include "job/job.h"
#include "job/params.h"

#define MANIFEST_REFERENCES_MAX 4
#define MANIFEST_SIZE_MAX (1 << 20)

struct manifest_file {
    char key[256];              /* in the store */
    char sha256[HASH_HEX_SIZE]; /* of the bytes as uploaded */
    int64_t bytes;
    char name[128];        /* the client's file name, sanitised; for messages only */
    char container[16];    /* "mp4", "zip", "png", … as probed */
    int32_t width, height; /* as shown: rotation and sample aspect applied */
    int64_t frames;
    int32_t fps_num, fps_den;
    bool variable_rate, has_alpha, has_audio;
};

struct manifest {
    char id[ID_SIZE];
    char tenant[64], pool[64];
    int64_t created_ms;
    int32_t priority, max_attempts;
    int64_t deadline_ms, start_deadline_ms; /* wall; 0 = none */
    struct job_params params;
    struct manifest_file video;
    struct manifest_file references[MANIFEST_REFERENCES_MAX];
    int reference_count;
    struct manifest_file palette, timesheet; /* key "" = none; of these only key, hash, size and name are kept */
    char idempotency_key[256];
    char fingerprint[HASH_HEX_SIZE];
    char trace_parent[64];
    char trace_state[TRACE_STATE_SIZE]; /* of the caller's tracing systems; handed on, never read */
};

void manifest_init(struct manifest *m);
void manifest_free(struct manifest *m);
json_t *manifest_json(const struct manifest *m);                               /* new reference */
int manifest_parse(struct manifest *out, const json_t *object, struct err *e); /* internal when broken */

/* What the job object shows as "input"; new reference. */
json_t *manifest_input_json(const struct manifest *m);

/* SHA-256 over the parameters (call before a seed is drawn and before the model's values are filled in) and the hashes
 * of all files: what makes two requests the same request. Into m->fingerprint. */
void manifest_fingerprint(struct manifest *m);

/* Every object of a job lies under "v1/<tenant>/<yyyymmdd>/<job>/", the day being that of created_ms. */
#define MANIFEST_KEY_MAX 256
void manifest_prefix(const struct manifest *m, char out[MANIFEST_KEY_MAX]); /* with the final slash */

/* prefix + name, where prefix is that of manifest_key (".../manifest.json"). 0, or -1 when it does not fit. */
int manifest_sibling(const char *manifest_key, const char *name, char out[MANIFEST_KEY_MAX]);

/* Splits a key "v1/<tenant>/<day>/<job>/<name>": the job's id, the length of the prefix with its final slash, and the
 * name. -1 when it is not of that form. */
int manifest_split_key(const char *key, char out_id[ID_SIZE], size_t *out_prefix_length, const char **out_name);

#endif
