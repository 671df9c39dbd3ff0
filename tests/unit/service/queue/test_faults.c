/* What the network and the server can do to the queue: lost replies, forgotten scripts, restarts, stalls. */
#include "tests/support/lossy_proxy.h"
#include "tests/support/queue_fixture.h"

#include "base/clock.h"

#include <stdatomic.h>

static void a_claim_whose_reply_was_lost_is_given_again_to_the_same_nonce(void **state)
{
    static const char *const pools[] = {"demo"};
    char first[ID_SIZE], second[ID_SIZE];
    struct lossy_proxy proxy;
    struct queue_lease lease, again;
    struct err e = {0};
    (void)state;
    put_job("t", first);
    put_job("t", second);
    assert_int_equal(lossy_start(&proxy, redis.socket, 0), 0);
    struct queue *q = open_queue(proxy.url);
    assert_int_equal(queue_ping(q, &e), 0);
    assert_int_equal(queue_claim(q, "w", "warm-up", pools, 1, LEASE_MS, 0, &lease, &e), 1);
    atomic_store(&proxy.lose_one_in, 1);
    /* Both the try and its repeat are lost; the job is claimed all the same. */
    assert_int_equal(queue_claim(q, "w", "nonce-2", pools, 1, LEASE_MS, 0, &again, &e), -1);
    assert_int_equal(e.code, ERR_dependency_redis);
    assert_int_equal(state_of(second), JOB_RUNNING);
    atomic_store(&proxy.lose_one_in, 0);
    assert_int_equal(queue_claim(q, "w", "nonce-2", pools, 1, LEASE_MS, 0, &again, &e), 1);
    assert_string_equal(again.job_id, second);
    assert_int_equal(again.epoch, 1);
    assert_int_equal(again.attempt, 1);
    assert_int_equal(queue_claim(q, "w", "nonce-3", pools, 1, LEASE_MS, 0, &again, &e), 0);
    queue_free(q);
    lossy_stop(&proxy);
    no_drift();
}

static void one_lost_reply_is_healed_without_the_caller_noticing(void **state)
{
    struct lossy_proxy proxy;
    struct err e = {0};
    (void)state;
    assert_int_equal(lossy_start(&proxy, redis.socket, 1), 0);
    struct queue *q = open_queue(proxy.url);
    int before = 0;
    for (int i = 0; i < 40; i++) {
        struct manifest m;
        char id[ID_SIZE];
        enum queue_cancel canceled;
        fill_manifest(&m, "t", "demo");
        atomic_store(&proxy.lose_one_in, i % 2 ? 4 : 0);
        before = atomic_load(&proxy.lost);
        char other[ID_SIZE];
        enum queue_enqueued how;
        /* With at most one loss the answer is what it would have been. */
        int failed = queue_enqueue(q, &m, "key", &(struct queue_quota){.queued = 1000}, 1000, &how, other, &e);
        if (failed == 0)
            assert_int_equal(how, QUEUE_NEW);
        else
            assert_true(atomic_load(&proxy.lost) - before >= 2);
        memcpy(id, m.id, ID_SIZE);
        manifest_free(&m);
        if (failed)
            continue;
        before = atomic_load(&proxy.lost);
        if (queue_cancel(q, id, "x", &canceled, &e) == 0)
            assert_int_equal(canceled, QUEUE_CANCEL_DONE);
        else
            assert_true(atomic_load(&proxy.lost) - before >= 2);
        before = atomic_load(&proxy.lost);
        if (queue_delete(q, id, 1000, &e) != 0)
            assert_true(atomic_load(&proxy.lost) - before >= 2 || e.code == ERR_job_not_terminal);
    }
    assert_true(atomic_load(&proxy.lost) > 5);
    queue_free(q);
    lossy_stop(&proxy);
    no_drift();
}

/* ---- the random walk ---- */

enum { WALKERS = 4, STEPS = 1700, JOBS_MAX = 2000 };

static struct walk {
    char ids[JOBS_MAX][ID_SIZE];
    char won[JOBS_MAX][HASH_HEX_SIZE]; /* the result whose completion was acknowledged */
    bool accepted[JOBS_MAX];
    atomic_int count, failures, wins;
} walk;

struct walker {
    struct queue *q;
    struct queue_lease lease;
    bool working;
    int number;
    unsigned seed;
};

static int job_number(const char *id)
{
    int count = atomic_load(&walk.count);
    for (int i = 0; i < count && i < JOBS_MAX; i++)
        if (strcmp(walk.ids[i], id) == 0)
            return i;
    return -1;
}

static void step_enqueue(struct walker *w, struct err *e)
{
    static const char *const tenants[] = {"a", "b", "c"};
    struct manifest m;
    enum queue_enqueued how;
    char other[ID_SIZE];
    int n = atomic_fetch_add(&walk.count, 1);
    if (n >= JOBS_MAX)
        return;
    fill_manifest(&m, tenants[rand_r(&w->seed) % 3], "demo");
    m.priority = rand_r(&w->seed) % 10;
    memcpy(walk.ids[n], m.id, ID_SIZE);
    walk.accepted[n] = queue_enqueue(w->q, &m, "key", &(struct queue_quota){.queued = 1000}, 1000, &how, other, e) == 0;
    manifest_free(&m);
}

static void step_end(struct walker *w, struct err *e)
{
    struct err ours = {.code = ERR_internal}, theirs = {.code = ERR_media_unreadable};
    struct queue_result r;
    enum queue_end end = QUEUE_END_LOST;
    char sha[HASH_HEX_SIZE];
    int n = job_number(w->lease.job_id);
    snprintf(sha, sizeof sha, "%s-%lld", w->lease.job_id, (long long)w->lease.epoch);
    result_of(&r, sha);
    w->working = false;
    switch (rand_r(&w->seed) % 6) {
    case 0:
        queue_fail(w->q, &w->lease, &ours, &end, e);
        break;
    case 1:
        queue_fail(w->q, &w->lease, &theirs, &end, e);
        break;
    case 2:
        queue_release(w->q, &w->lease, &end, e);
        break;
    case 3:
        break; /* the worker dies: the lease ends by itself */
    default:
        if (queue_complete(w->q, &w->lease, &r, &end, e) == 0 && end == QUEUE_ENDED && n >= 0) {
            atomic_fetch_add(&walk.wins, 1);
            if (walk.won[n][0] && strcmp(walk.won[n], sha) != 0)
                atomic_fetch_add(&walk.failures, 1); /* two results of one job were visible */
            snprintf(walk.won[n], sizeof walk.won[n], "%s", sha);
        }
    }
    if (end == QUEUE_END_CANCELED)
        queue_canceled(w->q, &w->lease, &end, e);
}

static void step_work(struct walker *w, struct err *e)
{
    struct job_progress p = {.stage = "diffusion", .fraction_ppm = rand_r(&w->seed) % 1000000};
    struct queue_segment s = {.n = rand_r(&w->seed) % 4, .key = "k", .sha256 = "s", .epoch = w->lease.epoch};
    enum queue_segment_put put;
    enum queue_order order;
    switch (rand_r(&w->seed) % 4) {
    case 0:
        queue_beat(w->q, &w->lease, 10, &p, &order, e);
        break;
    case 1:
        queue_segment_commit(w->q, &w->lease, "plan", &s, &put, e);
        break;
    default:
        step_end(w, e);
    }
}

static void step_api(struct walker *w, struct err *e)
{
    int count = atomic_load(&walk.count);
    const char *id = walk.ids[rand_r(&w->seed) % (unsigned)(count < JOBS_MAX ? count : JOBS_MAX)];
    struct queue_filter f = {.tenant = "a", .state = (int)(rand_r(&w->seed) % 5) - 1, .limit = 5};
    struct queue_page page;
    struct queue_reaped reaped;
    enum queue_cancel canceled;
    struct job j;
    switch (rand_r(&w->seed) % 6) {
    case 0:
        queue_cancel(w->q, id, "user", &canceled, e);
        break;
    case 1:
        queue_retry(w->q, id, e);
        break;
    case 2:
        if (queue_list(w->q, &f, &page, e) == 0)
            queue_page_free(&page);
        break;
    case 3:
        if (queue_get(w->q, id, &j, e) == 0)
            job_free(&j);
        break;
    default:
        queue_reap(w->q, 20, &reaped, e);
    }
}

/* claim_as fails the test on an error, which is no business of a thread that loses replies on purpose. */
static int claim_quietly(struct walker *w)
{
    static const char *const pools[] = {"demo"};
    char nonce[33];
    struct err e;
    id_random_hex(nonce, 16);
    return queue_claim(w->q, w->number % 2 ? "odd" : "even", nonce, pools, 1, 10, 0, &w->lease, &e);
}

static void *walk_about(void *user)
{
    struct walker *w = user;
    for (int i = 0; i < STEPS; i++) {
        struct err e = {0};
        int what = rand_r(&w->seed) % 8;
        if (what == 0)
            step_enqueue(w, &e);
        else if (what < 6 && !w->working)
            w->working = claim_quietly(w) == 1;
        else if (what < 6)
            step_work(w, &e);
        else if (atomic_load(&walk.count) > 0)
            step_api(w, &e);
        if (e.code == ERR_internal) {
            print_message("%s\n", e.detail);
            atomic_fetch_add(&walk.failures, 1);
        }
    }
    return NULL;
}

static void check_job(int n)
{
    struct job j;
    struct err e = {0};
    if (queue_get(queue, walk.ids[n], &j, &e) != 0) {
        if (walk.accepted[n])
            fail_msg("an accepted job is gone: %s", e.detail);
        return;
    }
    /* A result that was acknowledged is the one that is shown. */
    if (walk.won[n][0] && (j.state != JOB_SUCCEEDED || strcmp(j.result_sha256, walk.won[n]) != 0))
        fail_msg("job %s lost its result", j.id);
    if (j.state == JOB_SUCCEEDED && j.result_sha256[0] == '\0')
        fail_msg("job %s succeeded without a result", j.id);
    job_free(&j);
}

static void a_random_walk_with_lost_replies_leaves_no_drift(void **state)
{
    static const struct queue_conf quick = {.retry_base_ms = 1, .retention_ms = 3600000, .lease_ms = 5};
    struct lossy_proxy proxies[WALKERS];
    struct walker walkers[WALKERS] = {0};
    pthread_t threads[WALKERS];
    int lost = 0;
    (void)state;
    memset(&walk, 0, sizeof walk);
    for (int i = 0; i < WALKERS; i++) {
        assert_int_equal(lossy_start(&proxies[i], redis.socket, 10 + i), 0);
        walkers[i] = (struct walker){.q = open_queue(proxies[i].url), .number = i, .seed = (unsigned)(1000 + i)};
        queue_configure(walkers[i].q, &quick);
        atomic_store(&proxies[i].lose_one_in, 40);
        assert_int_equal(pthread_create(&threads[i], NULL, walk_about, &walkers[i]), 0);
    }
    for (int i = 0; i < WALKERS; i++) {
        pthread_join(threads[i], NULL);
        queue_free(walkers[i].q);
        lossy_stop(&proxies[i]);
        lost += atomic_load(&proxies[i].lost);
    }
    print_message("%d operations, %d jobs, %d results, %d replies lost\n", WALKERS * STEPS, atomic_load(&walk.count),
                  atomic_load(&walk.wins), lost);
    assert_int_equal(atomic_load(&walk.failures), 0);
    assert_true(lost > 50);
    assert_true(atomic_load(&walk.wins) > 50);
    for (int i = 0; i < atomic_load(&walk.count) && i < JOBS_MAX; i++)
        check_job(i);
    no_drift();
}

/* ---- the server ---- */

static void forgotten_scripts_are_loaded_again(void **state)
{
    char reply[64], id[ID_SIZE];
    (void)state;
    put_job("t", id);
    redis_ask(&redis, reply, sizeof reply, 2, (const char *[]){"SCRIPT", "FLUSH"});
    assert_string_equal(reply, "OK");
    put_job("t", id);
    assert_int_equal(state_of(id), JOB_QUEUED);
}

static void a_restarted_server_is_found_again_with_everything_acknowledged(void **state)
{
    char id[ID_SIZE], before[96], after[96];
    struct queue_lease lease;
    struct err e = {0};
    (void)state;
    put_job("t", id);
    claim(&lease);
    assert_int_equal(queue_mark_reconciled(queue, &e), 0);
    assert_int_equal(queue_generation(queue, before, &e), 0);
    redis_kill(&redis);
    assert_int_equal(queue_ping(queue, &e), -1);
    assert_int_equal(e.code, ERR_dependency_redis);
    assert_int_equal(redis_launch(&redis), 0);
    assert_int_equal(queue_ping(queue, &e), 0);
    assert_int_equal(state_of(id), JOB_RUNNING);
    assert_int_equal(queue_generation(queue, after, &e), 0);
    assert_string_not_equal(before, after);
    assert_string_equal(strchr(before, ':'), strchr(after, ':')); /* the data is the same */
    no_drift();
}

static void after_an_outage_leases_are_left_alone_for_one_lease(void **state)
{
    static const struct queue_conf brief = {.retry_base_ms = 1, .retention_ms = 3600000, .lease_ms = 300};
    struct queue_reaped reaped;
    struct queue_lease lease;
    enum queue_order order;
    struct err e = {0};
    char id[ID_SIZE];
    (void)state;
    struct queue *q = open_queue(redis.url);
    queue_configure(q, &brief);
    put_job("t", id);
    assert_int_equal(queue_reap(q, 10, &reaped, &e), 0);
    assert_int_equal(claim_as(q, "w", 300, &lease), 1);
    clock_sleep_ms(100);
    kill(redis.pid, SIGSTOP);
    clock_sleep_ms(500);
    kill(redis.pid, SIGCONT);
    /* The lease has ended while nobody could extend it. */
    assert_int_equal(queue_reap(q, 10, &reaped, &e), 0);
    assert_int_equal(reaped.lost, 0);
    assert_int_equal(queue_beat(q, &lease, 300, NULL, &order, &e), 0);
    assert_int_equal(order, QUEUE_GO_ON);
    for (int i = 0; i < 8 && reaped.lost == 0; i++) {
        clock_sleep_ms(100);
        assert_int_equal(queue_reap(q, 10, &reaped, &e), 0);
    }
    assert_int_equal(reaped.lost, 1); /* now the worker is really gone */
    queue_free(q);
}

static void a_server_that_may_evict_is_refused(void **state)
{
    char reply[64];
    struct err e = {0};
    (void)state;
    redis_ask(&redis, reply, sizeof reply, 4, (const char *[]){"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"});
    struct queue *q = open_queue(redis.url);
    assert_int_equal(queue_ping(q, &e), -1);
    assert_int_equal(e.code, ERR_dependency_redis);
    assert_non_null(strstr(e.detail, "noeviction"));
    redis_ask(&redis, reply, sizeof reply, 4, (const char *[]){"CONFIG", "SET", "maxmemory-policy", "noeviction"});
    assert_int_equal(queue_ping(q, &e), 0);
    queue_free(q);
}

static void memory_that_ran_out_is_trouble_of_the_server(void **state)
{
    char reply[64], other[ID_SIZE];
    struct manifest m;
    enum queue_enqueued how;
    struct err e = {0};
    (void)state;
    redis_ask(&redis, reply, sizeof reply, 4, (const char *[]){"CONFIG", "SET", "maxmemory", "1"});
    fill_manifest(&m, "t", "demo");
    assert_int_equal(queue_enqueue(queue, &m, "k", &(struct queue_quota){.queued = 10}, 1000, &how, other, &e), -1);
    assert_int_equal(e.code, ERR_dependency_redis);
    redis_ask(&redis, reply, sizeof reply, 4, (const char *[]){"CONFIG", "SET", "maxmemory", "0"});
    manifest_free(&m);
}

static void a_server_that_is_not_there_is_an_error_at_once(void **state)
{
    struct err e = {0};
    (void)state;
    struct queue *q = open_queue("unix:/nonexistent/redis.sock");
    int64_t before_ms = clock_mono_ms();
    assert_int_equal(queue_ping(q, &e), -1);
    assert_int_equal(e.code, ERR_dependency_redis);
    assert_true(clock_mono_ms() - before_ms < 500);
    queue_free(q);
}

static void urls_are_checked(void **state)
{
    static const char *const bad[] = {"",
                                      "redis:/x",
                                      "unix:relative",
                                      "redis://",
                                      "redis://host:0",
                                      "redis://host:99999",
                                      "redis://host/x",
                                      "http://host",
                                      "redis://host:12x"};
    static const char *const good[] = {"redis://host", "redis://host:6380/3", "redis://user:p@ss@host/1",
                                       "redis://:pw@[::1]:1/", "unix:/tmp/x"};
    struct queue *q;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        if (queue_new(&q, bad[i], &e) == 0)
            fail_msg("%s was accepted", bad[i]);
        assert_int_equal(e.code, ERR_params_invalid);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct err e = {0};
        if (queue_new(&q, good[i], &e) != 0)
            fail_msg("%s was refused", good[i]);
        queue_free(q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_claim_whose_reply_was_lost_is_given_again_to_the_same_nonce, flush),
        cmocka_unit_test_setup(one_lost_reply_is_healed_without_the_caller_noticing, flush),
        cmocka_unit_test_setup(a_random_walk_with_lost_replies_leaves_no_drift, flush),
        cmocka_unit_test_setup(forgotten_scripts_are_loaded_again, flush),
        cmocka_unit_test_setup(a_restarted_server_is_found_again_with_everything_acknowledged, flush),
        cmocka_unit_test_setup(after_an_outage_leases_are_left_alone_for_one_lease, flush),
        cmocka_unit_test_setup(a_server_that_may_evict_is_refused, flush),
        cmocka_unit_test_setup(memory_that_ran_out_is_trouble_of_the_server, flush),
        cmocka_unit_test_setup(a_server_that_is_not_there_is_an_error_at_once, flush),
        cmocka_unit_test_setup(urls_are_checked, flush),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
