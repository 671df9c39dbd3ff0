/* ledger_fixture.h - a real Redis and a folder store for a group of cmocka tests, and jobs in all states. */
#ifndef LONGANIM_TESTS_LEDGER_FIXTURE_H
#define LONGANIM_TESTS_LEDGER_FIXTURE_H

#include "tests/support/queue_fixture.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "ledger/ledger.h"

static char scratch[128];
static struct store *store;
static struct ledger ledger;

static inline int setup(void **state)
{
    char url[160];
    struct err e;
    if (group_setup(state) != 0)
        return -1;
    if (make_fast_scratch(scratch, sizeof scratch) != 0)
        return -1;
    log_init("test", LOG_ERROR);
    snprintf(url, sizeof url, "file:%s/store", scratch);
    if (store_open(&store, url, &e) != 0)
        return -1;
    ledger = (struct ledger){.queue = queue, .store = store, .idem_keep_ms = 60000, .tombstone_ms = 60000};
    return 0;
}

static inline int teardown(void **state)
{
    store_close(store);
    fs_remove_tree(scratch, NULL);
    return group_teardown(state);
}

/* Empties both. */
static inline int fresh(void **state)
{
    char path[160];
    struct err e;
    snprintf(path, sizeof path, "%s/store", scratch);
    if (fs_remove_tree(path, &e) != 0 || fs_mkdirs(path, &e) != 0)
        return -1;
    return flush(state);
}

#define OK(call) assert_ok((call), #call, &e)
static inline void assert_ok(int result, const char *call, const struct err *e)
{
    if (result < 0)
        fail_msg("%s: %s", call, e->detail);
}

/* As the api accepts a job: inputs, manifest, queue. */
static inline void accept(struct manifest *m, char key[MANIFEST_KEY_MAX])
{
    struct err e = {0};
    enum queue_enqueued how;
    char prefix[MANIFEST_KEY_MAX], other[ID_SIZE];
    manifest_prefix(m, prefix);
    OK(manifest_sibling(prefix, "in/video.mp4", m->video.key));
    OK(store_put_bytes(store, m->video.key, "video", 5, &e));
    OK(ledger_write_manifest(&ledger, m, key, &e));
    OK(queue_enqueue(queue, m, key, &(struct queue_quota){.queued = 1000}, 60000, &how, other, &e));
    assert_int_equal(how, QUEUE_NEW);
}

static inline void accept_one(char id[ID_SIZE], char key[MANIFEST_KEY_MAX])
{
    struct manifest m;
    fill_manifest(&m, "studio", "demo");
    m.max_attempts = 1;
    memcpy(id, m.id, ID_SIZE);
    accept(&m, key);
    manifest_free(&m);
}

static inline void put_beside(const char *manifest_key, const char *name)
{
    struct err e = {0};
    char key[MANIFEST_KEY_MAX];
    OK(manifest_sibling(manifest_key, name, key));
    OK(store_put_bytes(store, key, "x", 1, &e));
}

static inline bool is_beside(const char *manifest_key, const char *name)
{
    struct err e = {0};
    struct store_info info;
    char key[MANIFEST_KEY_MAX];
    OK(manifest_sibling(manifest_key, name, key));
    return store_stat(store, key, &info, &e) == 0;
}

static inline int print_key(void *user, const char *key, const struct store_info *info)
{
    (void)info;
    return buf_printf(user, "%s ", strchr(strchr(strchr(strchr(key, '/') + 1, '/') + 1, '/') + 1, '/') + 1);
}

/* The names in the job's folder. */
static inline void expect_folder(const char *manifest_key, const char *want)
{
    struct err e = {0};
    struct buf b;
    char prefix[MANIFEST_KEY_MAX];
    buf_init(&b, 65536);
    OK(manifest_sibling(manifest_key, "", prefix));
    OK(store_list(store, prefix, "", print_key, &b, &e));
    assert_string_equal(b.data ? b.data : "", want);
    buf_free(&b);
}

/* Runs the claimed job as a worker does, up to the report. */
static inline void work(const struct queue_lease *lease, struct queue_result *r)
{
    struct err e = {0};
    char name[64];
    enum queue_segment_put put;
    long long epoch = (long long)lease->epoch;
    for (int n = 0; n < 2; n++) {
        struct queue_segment s = {
            .n = n, .bytes = 1, .state_bytes = 1, .first_frame = 4 * n, .frames = 4, .epoch = lease->epoch};
        snprintf(name, sizeof name, "seg/%05d.e%lld.aa.mkv", n, epoch);
        put_beside(lease->manifest_key, name);
        OK(manifest_sibling(lease->manifest_key, name, s.key));
        snprintf(name, sizeof name, "ckpt/%05d.e%lld.bb.bin", n, epoch);
        put_beside(lease->manifest_key, name);
        OK(manifest_sibling(lease->manifest_key, name, s.state_key));
        strcpy(s.sha256, "aa");
        strcpy(s.state_sha256, "bb");
        OK(queue_segment_commit(queue, lease, "plan", &s, &put, &e));
    }
    result_of(r, "cc");
    snprintf(name, sizeof name, "out/e%lld/cc.mp4", epoch);
    put_beside(lease->manifest_key, name);
    OK(manifest_sibling(lease->manifest_key, name, r->key));
    snprintf(name, sizeof name, "out/e%lld/receipt.json", epoch);
    put_beside(lease->manifest_key, name);
}

static inline void succeed(char id[ID_SIZE], char key[MANIFEST_KEY_MAX])
{
    struct queue_lease lease;
    struct queue_result r;
    struct err e = {0};
    enum queue_end end;
    accept_one(id, key);
    claim(&lease);
    work(&lease, &r);
    OK(ledger_success(&ledger, &lease, &r, &e));
    OK(queue_complete(queue, &lease, &r, &end, &e));
    assert_int_equal(end, QUEUE_ENDED);
    OK(ledger_settle(&ledger, id, &e));
}

static inline void fail_job(char id[ID_SIZE], char key[MANIFEST_KEY_MAX])
{
    struct queue_lease lease;
    struct err e = {0}, why = {.code = ERR_media_truncated, .detail = "cut off"};
    enum queue_end end;
    accept_one(id, key);
    claim(&lease);
    OK(queue_fail(queue, &lease, &why, &end, &e));
    OK(ledger_settle(&ledger, id, &e));
}

/* What Redis loses when its disk is lost, and what ledger_check makes of it. */
static inline void lose_redis(struct ledger_found *found)
{
    struct err e = {0};
    char generation[96];
    OK(queue_generation(queue, generation, &e));
    assert_int_equal(lose_everything(), 0);
    assert_int_equal(ledger_check(&ledger, generation, found, &e), 1);
    assert_int_equal(ledger_check(&ledger, generation, found, &e), 0);
    no_drift();
}

#endif
