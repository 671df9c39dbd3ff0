/* All jobs: the folders of the store compared with what the queue knows. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXPIRE_BATCH = 64, RECONCILE_AGE_MS = 30000, LOCK_MS = 10000 };

/* ---- reconcile ---- */

static int64_t newest_of(const struct ledger_folder *f)
{
    int64_t newest = 0;
    for (int i = 0; i < f->count; i++)
        if (f->keys[i].modified_ms > newest)
            newest = f->keys[i].modified_ms;
    return newest;
}

/* The record of the end: end.json, or else that of the last attempt that was about to succeed. "" = none. */
static void find_record(const struct ledger_folder *f, char out[STORE_KEY_MAX])
{
    size_t prefix = strlen(f->prefix);
    long long best = -1, epoch;
    out[0] = '\0';
    for (int i = 0; i < f->count; i++) {
        const char *name = f->keys[i].key + prefix;
        int used = 0;
        if (strcmp(name, LEDGER_END) == 0) {
            memcpy(out, f->keys[i].key, STORE_KEY_MAX);
            return;
        }
        if (sscanf(name, "out/e%18lld/" LEDGER_END "%n", &epoch, &used) == 1 && used > 0 && name[used] == '\0' &&
            epoch > best) {
            best = epoch;
            memcpy(out, f->keys[i].key, STORE_KEY_MAX);
        }
    }
}

/* 1 = restored, 0 = there is nothing to restore from. */
static int restore(const struct ledger *l, const struct ledger_folder *f, const struct manifest *m,
                   const char *manifest_key, struct err *e)
{
    struct ledger_record record;
    char key[STORE_KEY_MAX];
    json_t *object;
    enum queue_enqueued how;
    find_record(f, key);
    if (key[0] == '\0')
        return 0;
    if (ledger__read(l, key, &object, e) != 0)
        return -1;
    int result = ledger__record_parse(&record, object, e);
    json_decref(object);
    if (result != 0)
        return -1;
    struct job *j = &record.job;
    struct ledger_hooks due = {.count = 0};
    text_copy(j->manifest_key, sizeof j->manifest_key, manifest_key);
    const char *result_name = strlen(j->result_key) > strlen(f->prefix) ? j->result_key + strlen(f->prefix) : "";
    if (j->state == JOB_SUCCEEDED && !ledger__folder_has(f, result_name))
        result = 0; /* the result is not there: better run it again */
    else
        result = ledger__hooks_due(l, f, j, &due, e) == 0 &&
                         queue_restore(l->queue, m, j, record.segments, record.segment_count, due.list, due.count,
                                       l->idem_keep_ms, &how, e) == 0
                     ? 1
                     : -1;
    ledger__record_free(&record);
    return result;
}

struct reconciling {
    struct ledger_found found;
    int64_t before_ms; /* manifests written after that are left alone */
};

static int bury(const struct ledger *l, const struct ledger_folder *f, struct reconciling *r, struct err *e)
{
    int64_t left_ms = newest_of(f) + l->tombstone_ms - clock_wall_ms();
    if (left_ms <= 0)
        return 0;
    r->found.buried++;
    return queue_bury(l->queue, f->id, f->tenant, left_ms, e);
}

static int requeue(const struct ledger *l, const struct manifest *m, const char *manifest_key, struct reconciling *r,
                   struct err *e)
{
    struct store_info info;
    struct err why = {0};
    enum queue_enqueued how;
    enum queue_cancel canceled;
    if (fault_err("ledger.reconcile.found", ERR_dependency_redis, e) != 0 ||
        queue_recover(l->queue, m, manifest_key, l->idem_keep_ms, &how, e) != 0)
        return -1;
    r->found.requeued += how == QUEUE_NEW;
    log_event(LOG_INFO, "ledger.requeued", "job", "s", m->id, NULL);
    /* Whoever wrote the manifest may have given up and taken it back meanwhile. */
    if (how != QUEUE_NEW || store_stat(l->store, manifest_key, &info, &why) == 0 || why.code != ERR_job_not_found)
        return 0;
    if (queue_cancel(l->queue, m->id, "ledger", &canceled, e) != 0 || canceled != QUEUE_CANCEL_DONE)
        return e && e->code ? -1 : 0;
    return queue_delete(l->queue, m->id, 1000, e);
}

static int reconcile_folder(const struct ledger *l, const struct ledger_folder *f, void *user, struct err *e)
{
    struct reconciling *r = user;
    enum queue_knows known;
    struct manifest m;
    struct err why = {0};
    char manifest_key[MANIFEST_KEY_MAX];
    if (f->id[0] == '\0')
        return 0;
    bool has_manifest = ledger__folder_has(f, LEDGER_MANIFEST), buried = ledger__folder_has(f, LEDGER_TOMBSTONE);
    r->found.manifests += has_manifest;
    if (!has_manifest && !buried)
        return 0;
    if (queue_knows(l->queue, f->id, &known, e) != 0)
        return -1;
    if (known != QUEUE_UNKNOWN)
        return 0;
    if (buried)
        return bury(l, f, r, e);
    if (manifest_sibling(f->prefix, LEDGER_MANIFEST, manifest_key) != 0)
        return 0;
    for (int i = 0; i < f->count; i++)
        if (strcmp(f->keys[i].key, manifest_key) == 0 && f->keys[i].modified_ms > r->before_ms)
            return 0;
    if (ledger_read_manifest(l, manifest_key, &m, &why) == 0) {
        int done = restore(l, f, &m, manifest_key, &why);
        int result = done == 0 ? requeue(l, &m, manifest_key, r, &why) : done;
        r->found.restored += done == 1;
        manifest_free(&m);
        if (result >= 0)
            return 0;
    }
    if (why.code == ERR_job_not_found) /* deleted while we looked */
        return 0;
    if (why.code != ERR_internal)
        return err_set(e, why.code, "%s", why.detail);
    r->found.broken++;
    log_err(LOG_ERROR, "ledger.broken", f->id, &why);
    return 0;
}

int ledger_reconcile(const struct ledger *l, int64_t min_age_ms, struct ledger_found *out, struct err *e)
{
    struct reconciling r = {.before_ms = min_age_ms > 0 ? clock_wall_ms() - min_age_ms : INT64_MAX};
    /* Endpoints lie in the store, too; they are lost with Redis only. */
    if (ledger__restore_pauses(l, e) != 0 || (min_age_ms == 0 && ledger__restore_hooks(l, e) != 0) ||
        ledger__each_folder(l, reconcile_folder, &r, e) != 0 || queue_mark_reconciled(l->queue, e) != 0)
        return -1;
    *out = r.found;
    return 0;
}

int ledger_check(const struct ledger *l, char last[96], struct ledger_found *out, struct err *e)
{
    char now[96];
    if (queue_generation(l->queue, now, e) != 0)
        return -1;
    if (strcmp(now, last) == 0 && now[strlen(now) - 1] != ':')
        return 0;
    if (ledger_reconcile(l, 0, out, e) != 0 || queue_generation(l->queue, last, e) != 0)
        return -1;
    log_event(LOG_INFO, "ledger.reconciled", "manifests", "i", (int64_t)out->manifests, "requeued", "i",
              (int64_t)out->requeued, "restored", "i", (int64_t)out->restored, "buried", "i", (int64_t)out->buried,
              "broken", "i", (int64_t)out->broken, NULL);
    return 1;
}

/* ---- sweep ---- */

struct sweeping {
    struct ledger_swept swept;
    int64_t before_ms; /* what is younger is left alone */
};

/* Everything of a folder that is old enough. */
static int remove_old(const struct ledger *l, const struct ledger_folder *f, struct sweeping *s, struct err *e)
{
    for (int i = 0; i < f->count; i++) {
        if (f->keys[i].modified_ms > s->before_ms)
            continue;
        if (store_delete(l->store, f->keys[i].key, e) != 0)
            return -1;
        s->swept.removed++;
    }
    return 0;
}

static int sweep_buried(const struct ledger *l, const struct ledger_folder *f, struct sweeping *s, struct err *e)
{
    enum queue_knows known;
    struct err why = {0};
    if (queue_knows(l->queue, f->id, &known, e) != 0)
        return -1;
    /* The deletion stopped between the tombstone and the queue. */
    if (known == QUEUE_KNOWN && queue_delete(l->queue, f->id, l->tombstone_ms, &why) != 0)
        return why.code == ERR_dependency_redis ? err_set(e, why.code, "%s", why.detail) : 0;
    if (f->count > 1)
        return ledger__clear(l, f, &s->swept.removed, e);
    return newest_of(f) + l->tombstone_ms < clock_wall_ms() ? remove_old(l, f, s, e) : 0;
}

static int sweep_folder(const struct ledger *l, const struct ledger_folder *f, void *user, struct err *e)
{
    struct sweeping *s = user;
    struct err why = {0};
    struct job j;
    if (f->id[0] == '\0')
        return remove_old(l, f, s, e);
    if (ledger__folder_has(f, LEDGER_TOMBSTONE))
        return sweep_buried(l, f, s, e);
    if (queue_get(l->queue, f->id, &j, &why) != 0) {
        if (why.code != ERR_job_not_found)
            return err_set(e, why.code, "%s", why.detail);
        /* A creation that was never finished. With a manifest it is the reconciler's. */
        return ledger__folder_has(f, LEDGER_MANIFEST) ? 0 : remove_old(l, f, s, e);
    }
    int result = j.state == JOB_PURGED ? ledger__clear(l, f, &s->swept.removed, e)
                                       : ledger__tidy(l, f, &j, s->before_ms, &s->swept.removed, e);
    job_free(&j);
    return result;
}

static int expire_jobs(const struct ledger *l, struct sweeping *s, struct err *e)
{
    queue_id ids[EXPIRE_BATCH];
    int count = queue_outdated(l->queue, ids, EXPIRE_BATCH, e);
    for (int i = 0; i < count; i++) {
        struct err why = {0};
        if (ledger_delete(l, ids[i], &why) == 0)
            s->swept.expired++;
        else
            log_err(LOG_WARN, "ledger.not_expired", ids[i], &why);
    }
    return count < 0 ? -1 : 0;
}

struct old_uploads {
    char keys[64][STORE_KEY_MAX];
    int count;
    int64_t before_ms;
};

static int take_upload(void *user, const char *key, const struct store_info *info)
{
    struct old_uploads *u = user;
    if (info->modified_ms <= u->before_ms)
        text_clean(u->keys[u->count++], STORE_KEY_MAX, key);
    return u->count == 64;
}

static int sweep_uploads(const struct ledger *l, int64_t age_ms, struct sweeping *s, struct err *e)
{
    struct old_uploads u = {.before_ms = clock_wall_ms() - age_ms};
    do {
        u.count = 0;
        if (store_list(l->store, "uploads/", "", take_upload, &u, e) != 0)
            return -1;
        for (int i = 0; i < u.count; i++) {
            if (store_delete(l->store, u.keys[i], e) != 0)
                return -1;
            s->swept.removed++;
        }
    } while (u.count == 64);
    return 0;
}

static int sweep_locked(const struct ledger *l, int64_t age_ms, int64_t upload_age_ms, struct sweeping *s,
                        struct err *e)
{
    if (fault_err("ledger.sweep.begun", ERR_dependency_storage, e) != 0 || expire_jobs(l, s, e) != 0 ||
        ledger_reconcile(l, RECONCILE_AGE_MS, &s->swept.found, e) != 0 ||
        ledger__each_folder(l, sweep_folder, s, e) != 0 || sweep_uploads(l, upload_age_ms, s, e) != 0)
        return -1;
    return store_sweep(l->store, age_ms, &s->swept.temporaries, e);
}

int ledger_sweep(const struct ledger *l, int64_t age_ms, int64_t upload_age_ms, struct ledger_swept *out, struct err *e)
{
    struct sweeping s = {.before_ms = clock_wall_ms() - age_ms};
    char token[33];
    bool got;
    id_random_hex(token, 16);
    if (ledger_settle_all(l, INT32_MAX, &s.swept.settled, e) != 0 ||
        queue_lock(l->queue, "sweep", token, LOCK_MS, &got, e) != 0)
        return -1;
    int result = got ? sweep_locked(l, age_ms, upload_age_ms, &s, e) : 0;
    if (got)
        queue_unlock(l->queue, "sweep", token, NULL);
    if (result == 0)
        *out = s.swept;
    return result;
}
