/* The queue, the manifests and the objects held against each other. Nothing is changed here but by ledger_repair. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 100, SECOND_LOOK_MS = 300 };

static const struct {
    const char *name;
    bool repairable;
    const char *doc;
} kinds[LEDGER_FINDING_COUNT] = {
#define FINDING_ROW(name, repairable, doc) [LEDGER_FINDING_##name] = {#name, repairable, doc},
    LEDGER_FINDINGS(FINDING_ROW)
#undef FINDING_ROW
};

const char *ledger_finding_name(enum ledger_finding_kind kind)
{
    return kinds[kind].name;
}

bool ledger_finding_repairable(enum ledger_finding_kind kind)
{
    return kinds[kind].repairable;
}

struct audit {
    const struct ledger *l;
    int64_t before_ms; /* what is younger is not looked at */
    void (*fn)(void *user, const struct ledger_finding *f);
    void *user;
    struct ledger_audited found;
    json_t *seen; /* ids with a manifest in the store */
};

static void tell(struct audit *a, enum ledger_finding_kind kind, const char *job, const char *key, const char *detail)
{
    struct ledger_finding f = {kind, job, key, detail[0] ? detail : kinds[kind].doc};
    a->found.findings++;
    a->fn(a->user, &f);
}

/* ---- one job ---- */

static bool is_old(const struct audit *a, const struct ledger_folder *f, const char *name)
{
    for (int i = 0; i < f->count; i++)
        if (strcmp(f->keys[i].key + strlen(f->prefix), name) == 0)
            return f->keys[i].modified_ms <= a->before_ms;
    return false;
}

static bool has_key(const struct ledger_folder *f, const char *key)
{
    return strncmp(key, f->prefix, strlen(f->prefix)) == 0 && ledger__folder_has(f, key + strlen(f->prefix));
}

static int check_inputs(struct audit *a, const struct ledger_folder *f, const struct job *j, struct err *e)
{
    struct manifest m;
    struct err why = {0};
    char key[MANIFEST_KEY_MAX];
    if (manifest_sibling(f->prefix, LEDGER_MANIFEST, key) != 0)
        return err_set(e, ERR_internal, "key too long: %.200s", f->prefix);
    if (ledger_read_manifest(a->l, key, &m, &why) != 0) {
        if (why.code != ERR_internal && why.code != ERR_job_not_found)
            return err_set(e, why.code, "%s", why.detail);
        tell(a, LEDGER_FINDING_manifest_missing, j->id, key, why.detail);
        return 0;
    }
    const struct manifest_file *files[3 + MANIFEST_REFERENCES_MAX] = {&m.video, &m.palette, &m.timesheet};
    for (int i = 0; i < m.reference_count; i++)
        files[3 + i] = &m.references[i];
    for (int i = 0; i < 3 + m.reference_count; i++)
        if (files[i]->key[0] && !has_key(f, files[i]->key))
            tell(a, LEDGER_FINDING_input_missing, j->id, files[i]->key, "");
    manifest_free(&m);
    return 0;
}

static int check_objects(struct audit *a, const struct ledger_folder *f, const struct job *j, struct err *e)
{
    struct queue_segment *segments = NULL;
    int count = 0;
    if (queue_segments(a->l->queue, j->id, NULL, &segments, &count, e) != 0)
        return -1;
    for (int i = 0; i < count; i++)
        if (!has_key(f, segments[i].key))
            tell(a, LEDGER_FINDING_segment_missing, j->id, segments[i].key, "");
    for (int i = 0; i < f->count; i++)
        if (f->keys[i].modified_ms <= a->before_ms && ledger__is_waste(f, j, segments, count, f->keys[i].key))
            tell(a, LEDGER_FINDING_unreferenced, j->id, f->keys[i].key, "");
    free(segments);
    return 0;
}

static int check_job(struct audit *a, const struct ledger_folder *f, const struct job *j, struct err *e)
{
    bool terminal = job_state_terminal(j->state), ended = ledger__folder_has(f, LEDGER_END);
    if (terminal && !ended && j->finished_ms <= a->before_ms)
        tell(a, LEDGER_FINDING_end_missing, j->id, "", "");
    if (!terminal && ended && is_old(a, f, LEDGER_END))
        tell(a, LEDGER_FINDING_end_stale, j->id, "", "");
    if (j->state == JOB_SUCCEEDED && !has_key(f, j->result_key))
        tell(a, LEDGER_FINDING_result_missing, j->id, j->result_key, "");
    if (!terminal && check_inputs(a, f, j, e) != 0)
        return -1;
    return check_objects(a, f, j, e);
}

/* ---- one folder ---- */

static void all_unreferenced(struct audit *a, const struct ledger_folder *f, const char *detail)
{
    for (int i = 0; i < f->count; i++)
        if (f->keys[i].modified_ms <= a->before_ms)
            tell(a, LEDGER_FINDING_unreferenced, f->id, f->keys[i].key, detail);
}

static int check_buried(struct audit *a, const struct ledger_folder *f, struct err *e)
{
    enum queue_knows known;
    if (!is_old(a, f, LEDGER_TOMBSTONE))
        return 0;
    if (queue_knows(a->l->queue, f->id, &known, e) != 0)
        return -1;
    if (known == QUEUE_KNOWN)
        tell(a, LEDGER_FINDING_not_buried, f->id, "", "");
    else if (f->count > 1)
        tell(a, LEDGER_FINDING_not_cleared, f->id, f->prefix, "");
    return 0;
}

static int check_folder(const struct ledger *l, const struct ledger_folder *f, void *user, struct err *e)
{
    struct audit *a = user;
    struct err why = {0};
    struct job j;
    a->found.objects += f->count;
    if (f->id[0] == '\0') {
        all_unreferenced(a, f, "it belongs to no job");
        return 0;
    }
    a->found.folders++;
    if (ledger__folder_has(f, LEDGER_TOMBSTONE))
        return check_buried(a, f, e);
    bool has_manifest = ledger__folder_has(f, LEDGER_MANIFEST);
    if (has_manifest)
        json_put_bool(a->seen, f->id, true);
    if (queue_get(l->queue, f->id, &j, &why) != 0) {
        if (why.code != ERR_job_not_found)
            return err_set(e, why.code, "%s", why.detail);
        if (!has_manifest)
            all_unreferenced(a, f, "of a creation that was never finished");
        else if (is_old(a, f, LEDGER_MANIFEST))
            tell(a, LEDGER_FINDING_unknown_job, f->id, "", "");
        return 0;
    }
    int result = 0;
    if (j.state == JOB_PURGED)
        all_unreferenced(a, f, "of a job that was deleted");
    else
        result = check_job(a, f, &j, e);
    job_free(&j);
    return result;
}

/* ---- everything ---- */

/* It may have been deleted since the page was read. */
static int check_deleted(struct audit *a, const struct job *j, struct err *e)
{
    enum queue_knows known;
    if (queue_knows(a->l->queue, j->id, &known, e) != 0)
        return -1;
    if (known == QUEUE_KNOWN)
        tell(a, LEDGER_FINDING_manifest_missing, j->id, j->manifest_key, "");
    return 0;
}

/* Jobs of the queue that were in no folder: asked for one by one, because they may be younger than the listing. */
static int check_known(struct audit *a, struct err *e)
{
    struct queue_filter filter = {.state = -1, .limit = PAGE, .ascending = true};
    char cursor[64] = "";
    int result = 0;
    do {
        struct queue_page page;
        filter.cursor = cursor;
        if (queue_list(a->l->queue, &filter, &page, e) != 0)
            return -1;
        for (int i = 0; i < page.count && result == 0; i++) {
            const struct job *j = &page.jobs[i];
            struct store_info info;
            struct err why = {0};
            a->found.jobs++;
            if (json_object_get(a->seen, j->id) || store_stat(a->l->store, j->manifest_key, &info, &why) == 0)
                continue;
            if (why.code != ERR_job_not_found)
                result = err_set(e, why.code, "%s", why.detail);
            else
                result = check_deleted(a, j, e);
        }
        memcpy(cursor, page.next, sizeof cursor);
        queue_page_free(&page);
    } while (result == 0 && cursor[0]);
    return result;
}

static void take_line(void *user, const char *what)
{
    json_put_bool(user, what, true);
}

/* On a busy queue numbers move while they are counted; what is told is what two looks agree on. */
static int check_queue(struct audit *a, struct err *e)
{
    json_t *first = json_object(), *second = json_object(), *value;
    const char *what;
    int drift = 0;
    int result = queue_audit(a->l->queue, take_line, first, &drift, e);
    if (result == 0 && drift > 0) {
        clock_sleep_ms(SECOND_LOOK_MS);
        result = queue_audit(a->l->queue, take_line, second, &drift, e);
    }
    if (result == 0)
        json_object_foreach(first, what, value) if (json_object_get(second, what))
            tell(a, LEDGER_FINDING_counter, "", "", what);
    json_decref(first);
    json_decref(second);
    return result;
}

int ledger_audit(const struct ledger *l, int64_t age_ms, void (*fn)(void *user, const struct ledger_finding *f),
                 void *user, struct ledger_audited *out, struct err *e)
{
    struct audit a = {.l = l, .before_ms = clock_wall_ms() - age_ms, .fn = fn, .user = user, .seen = json_object()};
    int result = -1;
    if (check_queue(&a, e) == 0 && ledger__each_folder(l, check_folder, &a, e) == 0 && check_known(&a, e) == 0) {
        *out = a.found;
        result = 0;
    }
    json_decref(a.seen);
    return result;
}

/* ---- repair ---- */

/* Everything of the job's folder is read anew: the finding may be old. */
static int clear_folder(const struct ledger *l, const char *prefix, struct err *e)
{
    struct ledger_folder folder = {0};
    char key[MANIFEST_KEY_MAX];
    int removed = 0;
    if (manifest_sibling(prefix, LEDGER_TOMBSTONE, key) != 0)
        return err_set(e, ERR_internal, "key too long: %.200s", prefix);
    int result = ledger__folder_read(l, key, &folder, e);
    if (result == 0 && ledger__folder_has(&folder, LEDGER_TOMBSTONE))
        result = ledger__clear(l, &folder, &removed, e);
    ledger__folder_free(&folder);
    return result;
}

static int remove_stale_end(const struct ledger *l, const char *id, struct err *e)
{
    struct job j;
    char key[MANIFEST_KEY_MAX];
    if (queue_get(l->queue, id, &j, e) != 0)
        return -1;
    int result = 0;
    if (!job_state_terminal(j.state) && manifest_sibling(j.manifest_key, LEDGER_END, key) == 0)
        result = store_delete(l->store, key, e);
    job_free(&j);
    return result;
}

int ledger_repair(const struct ledger *l, const struct ledger_finding *f, struct err *e)
{
    struct ledger_found found;
    int changed;
    switch (f->kind) {
    case LEDGER_FINDING_counter:
        return queue_recount(l->queue, &changed, e);
    case LEDGER_FINDING_unknown_job:
        return ledger_reconcile(l, 0, &found, e);
    case LEDGER_FINDING_end_missing:
        return ledger_settle(l, f->job, e);
    case LEDGER_FINDING_end_stale:
        return remove_stale_end(l, f->job, e);
    case LEDGER_FINDING_not_buried:
        return queue_delete(l->queue, f->job, l->tombstone_ms, e);
    case LEDGER_FINDING_not_cleared:
        return clear_folder(l, f->key, e);
    case LEDGER_FINDING_unreferenced:
        return store_delete(l->store, f->key, e);
    default:
        return 0;
    }
}
