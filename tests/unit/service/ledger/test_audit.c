/* What an audit says of a healthy service, and of one where something was lost or left. */
#include "tests/support/ledger_fixture.h"

/* Findings as "kind key-or-job's-last-part " in the order they come. */
struct said {
    struct buf text;
    struct ledger_finding last;
    char job[ID_SIZE], key[STORE_KEY_MAX], detail[300];
};

static void hear(void *user, const struct ledger_finding *f)
{
    struct said *s = user;
    buf_printf(&s->text, "%s ", ledger_finding_name(f->kind));
    snprintf(s->job, sizeof s->job, "%s", f->job);
    snprintf(s->key, sizeof s->key, "%s", f->key);
    snprintf(s->detail, sizeof s->detail, "%s", f->detail);
    s->last = (struct ledger_finding){f->kind, s->job, s->key, s->detail};
}

static void audit(struct said *s, struct ledger_audited *found)
{
    struct err e = {0};
    *s = (struct said){0};
    buf_init(&s->text, 65536);
    OK(ledger_audit(&ledger, 0, hear, s, found, &e));
}

static void expect_clean(int jobs)
{
    struct said s;
    struct ledger_audited found;
    audit(&s, &found);
    assert_string_equal(s.text.data ? s.text.data : "", "");
    assert_int_equal(found.findings, 0);
    assert_int_equal(found.jobs, jobs);
    buf_free(&s.text);
}

/* Exactly this is found; repairing it leaves nothing, or (repairable false) the same. */
static void expect_one(const char *kind, const char *id)
{
    struct said s, after;
    struct ledger_audited found;
    struct err e = {0};
    audit(&s, &found);
    assert_non_null(s.text.data);
    assert_int_equal(strncmp(s.text.data, kind, strlen(kind)), 0);
    assert_int_equal(found.findings, 1);
    assert_string_equal(s.last.job, id);
    OK(ledger_repair(&ledger, &s.last, &e));
    audit(&after, &found);
    assert_int_equal(found.findings, ledger_finding_repairable(s.last.kind) ? 0 : 1);
    buf_free(&s.text);
    buf_free(&after.text);
}

static void remove_beside(const char *manifest_key, const char *name)
{
    struct err e = {0};
    char key[MANIFEST_KEY_MAX];
    OK(manifest_sibling(manifest_key, name, key));
    OK(store_delete(store, key, &e));
}

static void a_healthy_service_has_no_findings(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    struct queue_lease lease;
    struct err e = {0};
    (void)state;
    expect_clean(0);
    succeed(id, key);
    fail_job(id, key);
    succeed(id, key);
    OK(ledger_delete(&ledger, id, &e));
    accept_one(id, key);
    claim(&lease);
    accept_one(id, key);
    expect_clean(4);
}

static void what_is_lost_is_named(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    (void)state;
    succeed(id, key);
    remove_beside(key, "out/e1/cc.mp4");
    expect_one("result_missing", id);
    flush(state);
    fresh(state);
    succeed(id, key);
    remove_beside(key, "seg/00001.e1.aa.mkv");
    expect_one("segment_missing", id);
    fresh(state);
    accept_one(id, key);
    remove_beside(key, "in/video.mp4");
    expect_one("input_missing", id);
    fresh(state);
    accept_one(id, key);
    remove_beside(key, "in/video.mp4");
    remove_beside(key, "manifest.json");
    expect_one("manifest_missing", id);
}

static void what_nobody_refers_to_is_named_and_removed(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    struct err e = {0};
    (void)state;
    succeed(id, key);
    put_beside(key, "out/e7/dd.mp4");
    expect_one("unreferenced", id);
    put_beside(key, "seg/00009.e1.zz.mkv");
    expect_one("unreferenced", id);
    fresh(state);
    OK(store_put_bytes(store, "v1/studio/20261123/j0_01JABCDEFGHJKMNPQRSTVWXYZ0/in/video.mp4", "x", 1, &e));
    expect_one("unreferenced", "j0_01JABCDEFGHJKMNPQRSTVWXYZ0");
    OK(store_put_bytes(store, "v1/stray", "x", 1, &e));
    expect_one("unreferenced", "");
    expect_clean(0);
}

static void what_is_young_is_left_alone(void **state)
{
    struct said s = {0};
    struct ledger_audited found;
    struct err e = {0};
    (void)state;
    OK(store_put_bytes(store, "v1/stray", "x", 1, &e));
    buf_init(&s.text, 65536);
    OK(ledger_audit(&ledger, 60000, hear, &s, &found, &e));
    assert_int_equal(found.findings, 0);
    buf_free(&s.text);
}

static void ends_that_one_side_does_not_know_are_named_and_settled(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    (void)state;
    succeed(id, key);
    remove_beside(key, "end.json");
    expect_one("end_missing", id);
    assert_true(is_beside(key, "end.json"));
    fresh(state);
    accept_one(id, key);
    put_beside(key, "end.json");
    expect_one("end_stale", id);
    assert_false(is_beside(key, "end.json"));
}

static void half_done_deletions_are_named_and_finished(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    struct err e = {0};
    (void)state;
    succeed(id, key);
    OK(ledger_delete(&ledger, id, &e));
    put_beside(key, "in/video.mp4");
    expect_one("not_cleared", id);
    fresh(state);
    fail_job(id, key);
    put_beside(key, "tombstone.json");
    struct said s;
    struct ledger_audited found;
    audit(&s, &found);
    assert_string_equal(s.text.data, "not_buried ");
    OK(ledger_repair(&ledger, &s.last, &e));
    buf_free(&s.text);
    expect_one("not_cleared", id);
}

static void a_manifest_that_the_queue_forgot_is_named_and_put_back(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    (void)state;
    accept_one(id, key);
    flush(state);
    expect_one("unknown_job", id);
    assert_int_equal(state_of(id), JOB_QUEUED);
}

/* Every set and counter that a crash of Redis' disk or a hand with redis-cli may break. */
static void counters_and_indexes_are_made_anew_from_the_jobs(void **state)
{
    static const char *const damage[][6] = {
        {"HSET", "{q}:pool:demo", "queued", "17", "running", "-3"},
        {"HSET", "{q}:tenant:studio", "waiting", "4", "queued", "0"},
        {"DEL", "{q}:idx:*:any", "{q}:idx:studio:queued", "{q}:ready:demo:studio", "{q}:flows:demo", "{q}:x"},
        {"DEL", "{q}:lease", "{q}:term", "{q}:delayed", "{q}:pool:demo", "{q}:tenant:studio"},
        {"ZADD", "{q}:lease", "1", "ghost", "2", "phantom"},
        {"ZADD", "{q}:ready:demo:studio", "1", "ghost", "2", "phantom"},
        {"ZADD", "{q}:idx:studio:failed", "0", "ghost", "0", "phantom"},
        {"ZADD", "{q}:flows:demo", "0", "ghost", "0", "phantom"},
    };
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        char id[ID_SIZE], key[MANIFEST_KEY_MAX], reply[64];
        struct queue_lease lease;
        struct err e = {0};
        int changed = 0;
        fresh(state);
        succeed(id, key);
        accept_one(id, key);
        claim(&lease);
        accept_one(id, key);
        OK(queue_recount(queue, &changed, &e));
        assert_int_equal(changed, 0);
        redis_ask(&redis, reply, sizeof reply, 6, (const char **)(uintptr_t)damage[i]);
        OK(queue_recount(queue, &changed, &e));
        assert_true(changed > 0);
        no_drift();
        OK(queue_recount(queue, &changed, &e));
        assert_int_equal(changed, 0);
        claim(&lease); /* what was queued can be had */
        assert_string_equal(lease.job_id, id);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_healthy_service_has_no_findings, fresh),
        cmocka_unit_test_setup(what_is_lost_is_named, fresh),
        cmocka_unit_test_setup(what_nobody_refers_to_is_named_and_removed, fresh),
        cmocka_unit_test_setup(what_is_young_is_left_alone, fresh),
        cmocka_unit_test_setup(ends_that_one_side_does_not_know_are_named_and_settled, fresh),
        cmocka_unit_test_setup(half_done_deletions_are_named_and_finished, fresh),
        cmocka_unit_test_setup(a_manifest_that_the_queue_forgot_is_named_and_put_back, fresh),
        cmocka_unit_test_setup(counters_and_indexes_are_made_anew_from_the_jobs, fresh),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
