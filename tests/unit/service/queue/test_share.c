/* Who is next: priorities, tenants' shares, bounds, pauses, and what people are told about their place. */
#include "tests/support/queue_fixture.h"

#include "base/clock.h"

/* Enqueues `count` jobs of a tenant, each of so many frames. */
static void put_many(const char *tenant, int count, int64_t frames)
{
    for (int i = 0; i < count; i++) {
        struct manifest m;
        fill_manifest(&m, tenant, "demo");
        m.video.frames = frames;
        put_manifest(queue, &m, NULL);
    }
}

/* Claims until nothing is left; the first letters of the tenants in order. */
static void expect_order(const char *want)
{
    char got[128] = "";
    struct queue_lease lease;
    for (size_t n = 0; n + 1 < sizeof got && claim_as(queue, "w", LEASE_MS, &lease) == 1; n++) {
        struct job j;
        get_job(lease.job_id, &j);
        got[n] = j.tenant[0];
        job_free(&j);
    }
    assert_string_equal(got, want);
}

static void tenants_take_turns_by_weight(void **state)
{
    struct err e = {0};
    (void)state;
    assert_int_equal(queue_shares(queue, &(struct queue_share){"c", 2, 0}, 1, &e), 0);
    put_many("a", 20, 1);
    put_many("b", 3, 1);
    put_many("c", 6, 1);
    expect_order("abccabccabcc"
                 "aaaaaaaaaaaaaaaaa");
}

static void a_long_job_costs_its_tenant_more_turns(void **state)
{
    (void)state;
    put_many("a", 2, 300);
    put_many("b", 6, 100);
    expect_order("abbbabbb");
}

static void a_tenant_that_comes_late_neither_waits_nor_catches_up(void **state)
{
    struct queue_lease lease;
    (void)state;
    put_many("a", 8, 1);
    for (int i = 0; i < 4; i++)
        claim(&lease);
    put_many("b", 3, 1);
    expect_order("bababaa");
}

static void a_tenant_at_its_bound_lets_others_by(void **state)
{
    struct queue_lease first, lease;
    enum queue_end end;
    struct err e = {0};
    (void)state;
    assert_int_equal(queue_shares(queue, &(struct queue_share){"a", 1, 1}, 1, &e), 0);
    put_many("a", 2, 1);
    put_many("b", 1, 1);
    claim(&first);
    claim(&lease);
    assert_int_equal(claim_as(queue, "w", LEASE_MS, &lease), 0);
    assert_int_equal(queue_release(queue, &first, &end, &e), 0);
    assert_int_equal(claim_as(queue, "w", LEASE_MS, &lease), 1);
}

static void high_priority_goes_first_and_equals_in_order_of_arrival(void **state)
{
    static const int priorities[] = {5, 0, 9, 5, 9};
    static const int order[] = {2, 4, 0, 3, 1};
    char ids[5][ID_SIZE];
    struct queue_lease lease;
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct manifest m;
        fill_manifest(&m, "t", "demo");
        m.priority = priorities[i];
        put_manifest(queue, &m, ids[i]);
    }
    for (int i = 0; i < 5; i++) {
        claim(&lease);
        assert_string_equal(lease.job_id, ids[order[i]]);
    }
}

static void a_job_that_waited_comes_back_to_its_old_place(void **state)
{
    char first[ID_SIZE], second[ID_SIZE];
    struct queue_lease lease;
    struct queue_reaped reaped;
    enum queue_end end;
    struct err e = {0}, why = {.code = ERR_internal};
    (void)state;
    put_job("t", first);
    put_job("t", second);
    claim(&lease);
    assert_int_equal(queue_fail(queue, &lease, &why, &end, &e), 0);
    clock_sleep_ms(5);
    reap(&reaped);
    claim(&lease);
    assert_string_equal(lease.job_id, first);
}

static void a_paused_pool_gives_nothing_until_it_is_resumed(void **state)
{
    struct queue_lease lease;
    struct queue_depth d[4];
    int count = 0;
    struct err e = {0};
    (void)state;
    assert_int_equal(queue_pause(queue, "demo", true, &e), -1);
    assert_int_equal(e.code, ERR_pool_not_found);
    put_many("t", 1, 1);
    assert_int_equal(queue_pause(queue, "demo", true, &e), 0);
    assert_int_equal(claim_as(queue, "w", LEASE_MS, &lease), 0);
    assert_int_equal(queue_depths(queue, d, 4, &count, &e), 0);
    assert_true(count == 1 && d[0].paused && d[0].queued == 1);
    assert_int_equal(queue_pause(queue, "demo", false, &e), 0);
    claim(&lease);
}

static void a_worker_serves_only_its_pools(void **state)
{
    static const char *const pools[] = {"big", "demo"};
    char other[ID_SIZE];
    struct manifest m;
    struct queue_lease lease;
    struct err e = {0};
    (void)state;
    fill_manifest(&m, "t", "big");
    put_manifest(queue, &m, other);
    assert_int_equal(claim_as(queue, "w", LEASE_MS, &lease), 0);
    assert_int_equal(queue_claim(queue, "w", "n", pools, 2, LEASE_MS, 0, &lease, &e), 1);
    assert_string_equal(lease.job_id, other);
}

static void a_waiting_worker_wakes_when_work_comes(void **state)
{
    static const char *const pools[] = {"demo"};
    struct queue_lease lease;
    struct err e = {0};
    int64_t before_ms = clock_mono_ms();
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct manifest m;
        struct queue *q = NULL;
        enum queue_enqueued how;
        char other[ID_SIZE];
        clock_sleep_ms(100);
        fill_manifest(&m, "t", "demo");
        _exit(queue_new(&q, redis.url, &e) != 0 ||
              queue_enqueue(q, &m, "k", &(struct queue_quota){.queued = 10}, 1000, &how, other, &e) != 0);
    }
    assert_int_equal(queue_claim(queue, "w", "n", pools, 1, LEASE_MS, 5000, &lease, &e), 1);
    assert_in_range(clock_mono_ms() - before_ms, 90, 900);
    waitpid(pid, NULL, 0);
    before_ms = clock_mono_ms();
    assert_int_equal(queue_claim(queue, "w", "n2", pools, 1, LEASE_MS, 150, &lease, &e), 0);
    assert_in_range(clock_mono_ms() - before_ms, 140, 1500);
}

static void the_place_in_the_queue_counts_those_before(void **state)
{
    char mine[3][ID_SIZE];
    struct job j;
    (void)state;
    for (int i = 0; i < 3; i++)
        put_job("me", mine[i]);
    for (int i = 0; i < 3; i++) {
        get_job(mine[i], &j);
        assert_int_equal(j.queue_position, i + 1);
        job_free(&j);
    }
    put_many("other", 2, 1);
    get_job(mine[2], &j);
    assert_int_equal(j.queue_position, 5); /* two of the other tenant have their turn before */
    job_free(&j);
}

static void the_quota_counts_what_is_queued_and_waiting(void **state)
{
    struct manifest m;
    enum queue_enqueued how;
    char other[ID_SIZE];
    struct err e = {0};
    (void)state;
    put_many("t", 2, 1);
    fill_manifest(&m, "t", "demo");
    assert_int_equal(queue_enqueue(queue, &m, "k", &(struct queue_quota){.queued = 2}, 1000, &how, other, &e), -1);
    assert_int_equal(e.code, ERR_quota_queued);
    assert_int_equal(queue_enqueue(queue, &m, "k", &(struct queue_quota){.queued = 3}, 1000, &how, other, &e), 0);
    manifest_free(&m);
    no_drift();
}

static void the_quota_counts_the_bytes_of_inputs_segments_results_and_uploads(void **state)
{
    struct queue_quota quota = {.stored_bytes = 1000};
    struct queue_usage usage;
    struct manifest m;
    enum queue_enqueued how;
    char other[ID_SIZE];
    struct err e = {0};
    (void)state;
    assert_int_equal(queue_upload_count(queue, "t", "u1", 700, INT64_MAX / 1000000, 1000, &e), 0);
    assert_int_equal(queue_upload_count(queue, "t", "u2", 301, INT64_MAX / 1000000, 1000, &e), -1);
    assert_int_equal(e.code, ERR_quota_storage);
    assert_int_equal(queue_upload_count(queue, "t", "gone", 300, 1, 1000, &e), 0); /* expired long ago */
    fill_manifest(&m, "t", "demo");
    m.video.bytes = 300;
    m.references[0].bytes = 1;
    m.reference_count = 1;
    assert_int_equal(queue_enqueue(queue, &m, "k", &quota, 1000, &how, other, &e), -1);
    assert_int_equal(e.code, ERR_quota_storage);
    assert_int_equal(queue_upload_forget(queue, "t", "u1", &e), 0);
    assert_int_equal(queue_enqueue(queue, &m, "k", &quota, 1000, &how, other, &e), 0);
    assert_int_equal(queue_usage(queue, "t", &usage, &e), 0);
    assert_int_equal(usage.stored_bytes, 301);
    assert_int_equal(usage.queued, 1);
    no_drift();

    struct queue_lease lease;
    claim(&lease);
    struct queue_segment segment = {.n = 0,
                                    .key = "s",
                                    .sha256 = "5",
                                    .bytes = 40,
                                    .state_key = "c",
                                    .state_sha256 = "6",
                                    .state_bytes = 2,
                                    .frames = 1};
    enum queue_segment_put put;
    assert_int_equal(queue_segment_commit(queue, &lease, "plan", &segment, &put, &e), 0);
    assert_int_equal(queue_segment_commit(queue, &lease, "plan", &segment, &put, &e), 0);
    assert_int_equal(queue_usage(queue, "t", &usage, &e), 0);
    assert_int_equal(usage.stored_bytes, 343);
    segment.bytes = 10;
    assert_int_equal(queue_segment_commit(queue, &lease, "other plan", &segment, &put, &e), 0);
    assert_int_equal(queue_usage(queue, "t", &usage, &e), 0);
    assert_int_equal(usage.stored_bytes, 313);
    struct queue_result result = {.key = "r", .sha256 = "7", .content_type = "video/mp4", .bytes = 500, .frames = 1};
    enum queue_end end;
    assert_int_equal(queue_complete(queue, &lease, &result, &end, &e), 0);
    assert_int_equal(queue_usage(queue, "t", &usage, &e), 0);
    assert_int_equal(usage.stored_bytes, 813);
    no_drift();
    assert_int_equal(queue_delete(queue, m.id, 1000, &e), 0);
    assert_int_equal(queue_usage(queue, "t", &usage, &e), 0);
    assert_int_equal(usage.stored_bytes, 0);
    manifest_free(&m);
    no_drift();
}

static void shares_are_told_in_bulk(void **state)
{
    struct queue_share shares[250] = {{.tenant = ""}};
    struct queue_lease lease;
    struct err e = {0};
    (void)state;
    for (int i = 0; i < 250; i++) {
        snprintf(shares[i].tenant, sizeof shares[i].tenant, "t%d", i);
        shares[i].weight = 1;
        shares[i].max_running = i == 7 ? 1 : 0;
    }
    assert_int_equal(queue_shares(queue, shares, 250, &e), 0);
    put_many("t7", 2, 1);
    claim(&lease);
    assert_int_equal(claim_as(queue, "w", LEASE_MS, &lease), 0);
    shares[7].max_running = 0;
    assert_int_equal(queue_shares(queue, shares, 250, &e), 0);
    assert_int_equal(claim_as(queue, "w", LEASE_MS, &lease), 1);
}

static void depths_tell_how_much_there_is_and_how_it_went(void **state)
{
    struct queue_depth d[4];
    struct queue_lease lease;
    struct queue_result r;
    enum queue_end end;
    int count = 0;
    struct err e = {0}, why = {.code = ERR_media_truncated};
    (void)state;
    put_many("t", 4, 1);
    claim(&lease);
    result_of(&r, "aa");
    assert_int_equal(queue_complete(queue, &lease, &r, &end, &e), 0);
    claim(&lease);
    assert_int_equal(queue_fail(queue, &lease, &why, &end, &e), 0);
    claim(&lease);
    clock_sleep_ms(5);
    assert_int_equal(queue_depths(queue, d, 4, &count, &e), 0);
    assert_int_equal(count, 1);
    assert_string_equal(d[0].pool, "demo");
    assert_int_equal(d[0].queued, 1);
    assert_int_equal(d[0].running, 1);
    assert_int_equal(d[0].waiting, 0);
    assert_int_equal(d[0].succeeded, 1);
    assert_int_equal(d[0].failed, 1);
    assert_in_range(d[0].oldest_ms, 4, 5000);
}

static void remains_of_a_job_that_is_gone_block_nobody(void **state)
{
    static const char *const sets[] = {"{q}:ready:demo:t", "{q}:lease", "{q}:delayed", "{q}:deadline"};
    char reply[64];
    struct queue_lease lease;
    struct queue_reaped reaped;
    (void)state;
    put_many("t", 1, 1);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        const char *words[] = {"ZADD", sets[i], "1", "j0_01JABCDEFGHJKMNPQRSTVWXYZ0"};
        redis_ask(&redis, reply, sizeof reply, 4, words);
        assert_string_equal(reply, "1");
    }
    reap(&reaped);
    claim(&lease);
    assert_string_not_equal(lease.job_id, "j0_01JABCDEFGHJKMNPQRSTVWXYZ0");
    no_drift();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(tenants_take_turns_by_weight, flush),
        cmocka_unit_test_setup(a_long_job_costs_its_tenant_more_turns, flush),
        cmocka_unit_test_setup(a_tenant_that_comes_late_neither_waits_nor_catches_up, flush),
        cmocka_unit_test_setup(a_tenant_at_its_bound_lets_others_by, flush),
        cmocka_unit_test_setup(high_priority_goes_first_and_equals_in_order_of_arrival, flush),
        cmocka_unit_test_setup(a_job_that_waited_comes_back_to_its_old_place, flush),
        cmocka_unit_test_setup(a_paused_pool_gives_nothing_until_it_is_resumed, flush),
        cmocka_unit_test_setup(a_worker_serves_only_its_pools, flush),
        cmocka_unit_test_setup(a_waiting_worker_wakes_when_work_comes, flush),
        cmocka_unit_test_setup(the_place_in_the_queue_counts_those_before, flush),
        cmocka_unit_test_setup(the_quota_counts_what_is_queued_and_waiting, flush),
        cmocka_unit_test_setup(the_quota_counts_the_bytes_of_inputs_segments_results_and_uploads, flush),
        cmocka_unit_test_setup(shares_are_told_in_bulk, flush),
        cmocka_unit_test_setup(remains_of_a_job_that_is_gone_block_nobody, flush),
        cmocka_unit_test_setup(depths_tell_how_much_there_is_and_how_it_went, flush),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
