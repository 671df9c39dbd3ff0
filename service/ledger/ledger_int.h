/* ledger_int.h - what the files of this folder share. */
#ifndef LONGANIM_LEDGER_LEDGER_INT_H
#define LONGANIM_LEDGER_LEDGER_INT_H

#include "ledger/ledger.h"

#define LEDGER_MANIFEST "manifest.json"
#define LEDGER_END "end.json"
#define LEDGER_TOMBSTONE "tombstone.json"

/* How a job ended, as end.json keeps it. */
struct ledger_record {
    struct job job;
    struct queue_segment *segments; /* owned */
    int segment_count;
};
void ledger__record_free(struct ledger_record *r);
json_t *ledger__record_json(const struct ledger_record *r);                               /* new reference */
int ledger__record_parse(struct ledger_record *out, const json_t *object, struct err *e); /* internal when broken */

/* Reads a JSON object out of the store; job_not_found, internal. New reference. */
int ledger__read(const struct ledger *l, const char *key, json_t **out, struct err *e);
int ledger__write(const struct ledger *l, const char *key, json_t *take, struct err *e);

/* The keys of one job's folder, with their times. */
struct ledger_key {
    char key[STORE_KEY_MAX];
    int64_t modified_ms;
};
struct ledger_folder {
    char id[ID_SIZE], tenant[64], prefix[STORE_KEY_MAX];
    struct ledger_key *keys; /* owned */
    int count, capacity;
};
void ledger__folder_free(struct ledger_folder *f);
void ledger__folder_add(struct ledger_folder *f, const char *key, int64_t modified_ms);
/* Is there an object of that name below the prefix? */
bool ledger__folder_has(const struct ledger_folder *f, const char *name);
/* Lists one folder anew. */
int ledger__folder_read(const struct ledger *l, const char *manifest_key, struct ledger_folder *out, struct err *e);

/* Calls fn for every job's folder, and for what lies beside them (id ""), until it returns non-zero. */
typedef int (*ledger_folder_fn)(const struct ledger *l, const struct ledger_folder *f, void *user, struct err *e);
int ledger__each_folder(const struct ledger *l, ledger_folder_fn fn, void *user, struct err *e);

/* May this object of the folder go, as far as the job and its committed segments are concerned? */
bool ledger__is_waste(const struct ledger_folder *f, const struct job *j, const struct queue_segment *segments,
                      int count, const char *key);

/* Removes what has no purpose in the state that the job is in, as far as it was written before `before_ms`; adds to
 * *removed. */
int ledger__tidy(const struct ledger *l, const struct ledger_folder *f, const struct job *j, int64_t before_ms,
                 int *removed, struct err *e);
/* Ends a deletion: the manifest first, then everything but the tombstone. */
int ledger__clear(const struct ledger *l, const struct ledger_folder *f, int *removed, struct err *e);

/* hooks.c: endpoints that the store knows, before any job comes back whose end they are to hear of. */
int ledger__restore_hooks(const struct ledger *l, struct err *e);
struct ledger_hooks {
    char list[QUEUE_HOOKS_MAX][40];
    int count;
};
/* Those that have not been told of the end of this job, of whose folder nothing else is known. */
int ledger__hooks_due(const struct ledger *l, const struct ledger_folder *f, const struct job *j,
                      struct ledger_hooks *out, struct err *e);
/* The job will end once more. */
int ledger__untell_all(const struct ledger *l, const char *manifest_key, struct err *e);

/* pause.c: pools that were held back are so again, before any of their jobs comes back. */
#define LEDGER_POOLS_MAX 256
int ledger__restore_pauses(const struct ledger *l, struct err *e);

#endif
