/* create_int.h - what create.c (the body) and create_job.c (the job) share. */
#ifndef LONGANIM_API_CREATE_INT_H
#define LONGANIM_API_CREATE_INT_H

#include "app.h"
#include "base/hash.h"
#include "create.h"
#include "job/manifest.h"
#include "multipart.h"
#include "spool.h"

#define CREATE_FIELDS_MAX MULTIPART_PARTS_MAX
#define CREATE_WAIT_MAX_S 60

struct field {
    char name[64];
    char *value; /* owned */
};

struct creation {
    struct app *app;
    /* from the header block */
    struct identity who;
    char idempotency_key[256]; /* "" = none */
    char holder[33];           /* names this request to the reservation */
    char trace_parent[56], trace_state[TRACE_STATE_SIZE];
    bool small;                                   /* the body comes at once */
    int64_t expected_bytes;                       /* at least so many will be stored */
    int64_t deadline_s, start_deadline_s, wait_s; /* 0 = none; wait: -1 = none */
    char repr_digest[HASH_HEX_SIZE];
    bool json;
    /* the body */
    struct multipart *multipart;
    struct hash *hash; /* of the whole body; NULL when nobody asked */
    int64_t body_bytes;
    struct buf text; /* the JSON body, or the part that is a text */
    enum { CREATE_NO_PART, CREATE_FILE_PART, CREATE_TEXT_PART } part;
    char part_name[64];
    struct spool spool;     /* the file part being written */
    int64_t file_max_bytes; /* of it */
    struct spooled video, references[MANIFEST_REFERENCES_MAX], palette, timesheet;
    int reference_count;
    struct field fields[CREATE_FIELDS_MAX];
    int field_count;
    json_t *params; /* the `params` part; NULL = none */
    /* of POST /videos, whose form may name uploads; "" = none */
    bool videos;
    char video_upload[ID_SIZE], reference_upload[ID_SIZE];
    /* the reservation */
    bool reserved, kept;
    int64_t reserved_ms;
    char replay_id[ID_SIZE], replay_fingerprint[HASH_HEX_SIZE]; /* "" = not a replay */
};

/* Two of the taker's calls; user is the creation. */
void creation_finish(void *user, struct req *r, struct worker *w);
void creation_release(void *user, struct worker *w);

/* The body is complete: closing boundary, digests. */
int create_check_body(struct creation *c, struct err *e);

/* The files that must be there. part_missing. */
int create_check_parts(const struct creation *c, struct err *e);

/* Fetches the uploads that a form of POST /videos names. */
int create_take_named(struct creation *c, struct worker *w, struct err *e);

/* Reads a JSON body and fetches the uploads that it names. bad_request, params_invalid, part_missing,
 * upload_not_found, upload_expired. */
int create_take_json(struct creation *c, struct worker *w, struct err *e);

/* Reserves the key, or learns which job has it (replay_id). idempotency_in_progress, dependency_redis. */
int create_reserve(struct creation *c, struct worker *w, struct err *e);

#endif
