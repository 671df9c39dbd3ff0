/* Every edge of the state machine, those that are allowed and those that are not, through the real scripts. */
#include "tests/support/queue_fixture.h"

#include "base/clock.h"

/* Sets the time at which something becomes due: in the past, or far away. */
static void set_due(const char *set, const char *id, const char *score)
{
    char reply[64];
    const char *words[] = {"ZADD", set, "XX", score, id};
    redis_ask(&redis, reply, sizeof reply, 5, words);
}

/* Brings a new job into a state; the lease is the last one it had. */
static void job_in(enum job_state state, char id[ID_SIZE], struct queue_lease *lease)
{
    struct err e = {0}, why = {.code = ERR_internal, .detail = "x"};
    enum queue_end end;
    enum queue_cancel canceled;
    struct queue_result r;
    struct queue_reaped reaped;
    struct manifest m;
    *lease = (struct queue_lease){0};
    fill_manifest(&m, "t", "demo");
    m.max_attempts = state == JOB_FAILED ? 1 : 3;
    m.start_deadline_ms = state == JOB_EXPIRED ? 1 : 0;
    put_manifest(queue, &m, id);
    if (state == JOB_WAITING || state == JOB_RUNNING || state == JOB_SUCCEEDED || state == JOB_FAILED)
        claim(lease);
    if (state == JOB_WAITING || state == JOB_FAILED)
        assert_int_equal(queue_fail(queue, lease, &why, &end, &e), 0);
    if (state == JOB_SUCCEEDED) {
        result_of(&r, "aa");
        assert_int_equal(queue_complete(queue, lease, &r, &end, &e), 0);
    }
    if (state == JOB_CANCELED)
        assert_int_equal(queue_cancel(queue, id, "test", &canceled, &e), 0);
    if (state == JOB_EXPIRED)
        reap(&reaped);
    if (state == JOB_PURGED) {
        assert_int_equal(queue_cancel(queue, id, "test", &canceled, &e), 0);
        assert_int_equal(queue_delete(queue, id, 60000, &e), 0);
    }
    assert_int_equal(state_of(id), state);
    if (lease->job_id[0] == '\0') { /* a lease that never was */
        snprintf(lease->job_id, sizeof lease->job_id, "%s", id);
        lease->epoch = 1;
    }
}

/* Does `event` to a job and returns whether the queue accepted it. */
static bool do_event(enum job_event event, const char *id, const struct queue_lease *lease)
{
    struct err e = {0}, ours = {.code = ERR_internal}, theirs = {.code = ERR_media_truncated};
    enum queue_end end = QUEUE_END_LOST;
    enum queue_cancel canceled = QUEUE_CANCEL_TERMINAL;
    struct queue_result r;
    struct queue_lease other;
    struct queue_reaped reaped = {0};
    result_of(&r, "bb");
    switch (event) {
    case JOB_EV_CLAIM:
        return claim_as(queue, "w2", LEASE_MS, &other) == 1 && strcmp(other.job_id, id) == 0;
    case JOB_EV_COMPLETE:
        return queue_complete(queue, lease, &r, &end, &e) == 0 && end == QUEUE_ENDED;
    case JOB_EV_FAIL_RETRY:
        return queue_fail(queue, lease, &ours, &end, &e) == 0 && end == QUEUE_ENDED;
    case JOB_EV_FAIL_FINAL:
        return queue_fail(queue, lease, &theirs, &end, &e) == 0 && end == QUEUE_ENDED;
    case JOB_EV_RELEASE:
        return queue_release(queue, lease, &end, &e) == 0 && end == QUEUE_ENDED;
    case JOB_EV_LOST:
        set_due("{q}:lease", id, "1");
        reap(&reaped);
        return reaped.lost == 1;
    case JOB_EV_PROMOTE:
        set_due("{q}:delayed", id, "1");
        reap(&reaped);
        return reaped.promoted == 1;
    case JOB_EV_CANCEL:
        return queue_cancel(queue, id, "test", &canceled, &e) == 0 && canceled != QUEUE_CANCEL_TERMINAL;
    case JOB_EV_CANCELED: {
        bool asked = queue_cancel(queue, id, "test", &canceled, &e) == 0 && canceled == QUEUE_CANCEL_ASKED;
        return asked && queue_canceled(queue, lease, &end, &e) == 0 && end == QUEUE_ENDED;
    }
    case JOB_EV_EXPIRE: {
        char reply[64];
        const char *due[] = {"ZADD", "{q}:deadline", "1", id};
        redis_ask(&redis, reply, sizeof reply, 4, due);
        reap(&reaped);
        return reaped.expired == 1;
    }
    case JOB_EV_RETRY:
        return queue_retry(queue, id, &e) == 0;
    case JOB_EV_PURGE:
        return queue_delete(queue, id, 60000, &e) == 0;
    }
    return false;
}

static void every_edge_of_the_table_holds_and_no_other(void **state)
{
    for (int from = 0; from < JOB_STATE_COUNT; from++) {
        for (int event = 0; event < JOB_EVENT_COUNT; event++) {
            char id[ID_SIZE];
            struct queue_lease lease;
            int to = job_next((enum job_state)from, (enum job_event)event);
            assert_int_equal(flush(state), 0);
            job_in((enum job_state)from, id, &lease);
            set_due("{q}:delayed", id, "9999999999999");
            bool done = do_event((enum job_event)event, id, &lease);
            /* A repeat of what has happened to this very attempt is fine; it changes nothing. */
            bool repeat = (from == JOB_WAITING || from == JOB_FAILED) &&
                          (event == JOB_EV_FAIL_RETRY || event == JOB_EV_FAIL_FINAL);
            if (done != (to >= 0) && !repeat)
                fail_msg("%s in state %s was %s", job_event_name((enum job_event)event),
                         job_state_name((enum job_state)from), done ? "accepted" : "refused");
            enum job_state now = state_of(id);
            /* A cancel that is refused by the "canceled" case may still have canceled a queued job: its own edge. */
            bool promoted = event == JOB_EV_LOST && now == JOB_QUEUED; /* the wait is up to 1 ms here */
            if (event != JOB_EV_CANCELED && event != JOB_EV_EXPIRE && !promoted)
                assert_int_equal(now, to >= 0 ? to : from);
            no_drift();
        }
    }
}

static void repeating_an_end_is_answered_as_the_first_time(void **state)
{
    char id[ID_SIZE];
    struct queue_lease lease;
    struct queue_result r, other;
    enum queue_end end;
    struct err e = {0}, why = {.code = ERR_internal};
    struct job j;
    (void)state;
    job_in(JOB_RUNNING, id, &lease);
    result_of(&r, "aa");
    result_of(&other, "bb");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(queue_complete(queue, &lease, &r, &end, &e), 0);
        assert_int_equal(end, QUEUE_ENDED);
    }
    assert_int_equal(queue_complete(queue, &lease, &other, &end, &e), 0);
    assert_int_equal(end, QUEUE_END_LOST);
    assert_int_equal(queue_fail(queue, &lease, &why, &end, &e), 0);
    assert_int_equal(end, QUEUE_END_LOST);
    get_job(id, &j);
    assert_string_equal(j.result_sha256, "aa");
    assert_int_equal(j.result_frames, 8);
    assert_string_equal(j.error_code, "");
    job_free(&j);
}

static void a_zombie_can_do_nothing_to_its_successors_job(void **state)
{
    char id[ID_SIZE];
    struct queue_lease zombie, heir;
    struct queue_result r;
    struct queue_segment s = {.n = 0, .key = "seg/0", .sha256 = "s0", .bytes = 1, .frames = 4, .epoch = 1};
    enum queue_order order;
    enum queue_end end;
    enum queue_segment_put put;
    struct err e = {0}, why = {.code = ERR_internal};
    (void)state;
    job_in(JOB_RUNNING, id, &zombie);
    assert_true(do_event(JOB_EV_LOST, id, &zombie));
    assert_true(do_event(JOB_EV_PROMOTE, id, &zombie) || state_of(id) == JOB_QUEUED);
    assert_int_equal(claim_as(queue, "w2", LEASE_MS, &heir), 1);
    assert_string_equal(heir.job_id, id);
    assert_int_equal(heir.epoch, zombie.epoch + 1);
    assert_int_equal(heir.attempt, 2);
    result_of(&r, "zz");
    assert_int_equal(queue_beat(queue, &zombie, LEASE_MS, NULL, &order, &e), 0);
    assert_int_equal(order, QUEUE_LOST);
    assert_int_equal(queue_segment_commit(queue, &zombie, "plan", &s, &put, &e), 0);
    assert_int_equal(put, QUEUE_SEGMENT_LOST);
    assert_int_equal(queue_complete(queue, &zombie, &r, &end, &e), 0);
    assert_int_equal(end, QUEUE_END_LOST);
    assert_int_equal(queue_fail(queue, &zombie, &why, &end, &e), 0);
    assert_int_equal(end, QUEUE_END_LOST);
    assert_int_equal(queue_release(queue, &zombie, &end, &e), 0);
    assert_int_equal(end, QUEUE_END_LOST);
    assert_int_equal(queue_canceled(queue, &zombie, &end, &e), 0);
    assert_int_equal(end, QUEUE_END_LOST);
    assert_int_equal(state_of(id), JOB_RUNNING);
    result_of(&r, "hh");
    assert_int_equal(queue_complete(queue, &heir, &r, &end, &e), 0);
    assert_int_equal(end, QUEUE_ENDED);
    no_drift();
}

static void the_third_lost_worker_ends_the_job_as_poison(void **state)
{
    char id[ID_SIZE];
    struct queue_lease lease;
    struct queue_reaped reaped;
    struct job j;
    (void)state;
    put_job("t", id);
    for (int loss = 1; loss <= 3; loss++) {
        claim(&lease);
        set_due("{q}:lease", id, "1");
        reap(&reaped);
        assert_int_equal(reaped.lost, loss < 3);
        assert_int_equal(reaped.poisoned, loss == 3);
        clock_sleep_ms(3);
        reap(&reaped);
    }
    get_job(id, &j);
    assert_int_equal(j.state, JOB_FAILED);
    assert_string_equal(j.error_code, "poison");
    assert_int_equal(j.worker_losses, 3);
    assert_int_equal(j.attempt, 3);
    job_free(&j);
    no_drift();
}

static void a_job_whose_fault_is_ours_is_tried_max_attempts_times(void **state)
{
    char id[ID_SIZE];
    struct queue_lease lease;
    enum queue_end end;
    struct queue_reaped reaped;
    struct err e = {0}, why = {.code = ERR_nan_output, .detail = "not a number at step 3"};
    struct job j;
    (void)state;
    put_job("t", id);
    for (int attempt = 1; attempt <= 3; attempt++) {
        claim(&lease);
        assert_int_equal(lease.attempt, attempt);
        assert_int_equal(queue_fail(queue, &lease, &why, &end, &e), 0);
        assert_int_equal(state_of(id), attempt < 3 ? JOB_WAITING : JOB_FAILED);
        clock_sleep_ms(6);
        reap(&reaped);
    }
    get_job(id, &j);
    assert_string_equal(j.error_code, "nan_output");
    assert_string_equal(j.error_detail, "not a number at step 3");
    job_free(&j);
}

static void storage_trouble_uses_up_no_attempts(void **state)
{
    char id[ID_SIZE];
    struct queue_lease lease;
    enum queue_end end;
    struct queue_reaped reaped;
    struct err e = {0}, why = {.code = ERR_storage_full};
    (void)state;
    put_job("t", id);
    for (int i = 0; i < 5; i++) {
        claim(&lease);
        assert_int_equal(lease.attempt, 1);
        assert_int_equal(queue_fail(queue, &lease, &why, &end, &e), 0);
        assert_int_equal(state_of(id), JOB_WAITING);
        clock_sleep_ms(20);
        reap(&reaped);
    }
}

static void out_of_memory_is_tried_once_more_with_less(void **state)
{
    char id[ID_SIZE];
    struct queue_lease lease;
    enum queue_end end;
    struct queue_reaped reaped;
    struct err e = {0}, why = {.code = ERR_gpu_oom};
    (void)state;
    put_job("t", id);
    claim(&lease);
    assert_false(lease.low_memory);
    assert_int_equal(queue_fail(queue, &lease, &why, &end, &e), 0);
    clock_sleep_ms(3);
    reap(&reaped);
    claim(&lease);
    assert_true(lease.low_memory);
    assert_int_equal(queue_fail(queue, &lease, &why, &end, &e), 0);
    assert_int_equal(state_of(id), JOB_FAILED);
}

static void a_released_job_is_next_and_has_lost_no_attempt(void **state)
{
    char first[ID_SIZE], second[ID_SIZE];
    struct queue_lease lease;
    enum queue_end end;
    struct err e = {0};
    (void)state;
    put_job("t", first);
    put_job("t", second);
    claim(&lease);
    assert_string_equal(lease.job_id, first);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(queue_release(queue, &lease, &end, &e), 0);
        assert_int_equal(end, QUEUE_ENDED);
    }
    claim(&lease);
    assert_string_equal(lease.job_id, first);
    assert_int_equal(lease.attempt, 1);
    assert_int_equal(lease.epoch, 2);
}

static void after_an_accepted_cancel_no_result_becomes_visible(void **state)
{
    char id[ID_SIZE];
    struct queue_lease lease;
    struct queue_result r;
    enum queue_cancel canceled;
    enum queue_order order;
    enum queue_end end;
    struct err e = {0}, why = {.code = ERR_internal};
    struct job j;
    (void)state;
    job_in(JOB_RUNNING, id, &lease);
    assert_int_equal(queue_canceled(queue, &lease, &end, &e), 0);
    assert_int_equal(end, QUEUE_END_LOST); /* nobody asked */
    assert_int_equal(queue_cancel(queue, id, "user", &canceled, &e), 0);
    assert_int_equal(canceled, QUEUE_CANCEL_ASKED);
    assert_int_equal(queue_beat(queue, &lease, LEASE_MS, NULL, &order, &e), 0);
    assert_int_equal(order, QUEUE_CANCEL);
    result_of(&r, "aa");
    assert_int_equal(queue_complete(queue, &lease, &r, &end, &e), 0);
    assert_int_equal(end, QUEUE_END_CANCELED);
    assert_int_equal(queue_fail(queue, &lease, &why, &end, &e), 0);
    assert_int_equal(end, QUEUE_END_CANCELED);
    assert_int_equal(queue_release(queue, &lease, &end, &e), 0);
    assert_int_equal(end, QUEUE_END_CANCELED);
    get_job(id, &j);
    assert_int_equal(j.state, JOB_RUNNING);
    assert_true(j.cancel_requested);
    job_free(&j);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(queue_canceled(queue, &lease, &end, &e), 0);
        assert_int_equal(end, QUEUE_ENDED);
    }
    assert_int_equal(queue_cancel(queue, id, "user", &canceled, &e), 0);
    assert_int_equal(canceled, QUEUE_CANCEL_TERMINAL);
    no_drift();
}

static void a_canceled_job_whose_worker_dies_is_canceled(void **state)
{
    char id[ID_SIZE];
    struct queue_lease lease;
    struct queue_reaped reaped;
    enum queue_cancel canceled;
    struct err e = {0};
    (void)state;
    job_in(JOB_RUNNING, id, &lease);
    assert_int_equal(queue_cancel(queue, id, "user", &canceled, &e), 0);
    set_due("{q}:lease", id, "1");
    reap(&reaped);
    assert_int_equal(reaped.canceled, 1);
    assert_int_equal(state_of(id), JOB_CANCELED);
    no_drift();
}

static void deadlines_end_what_waits_and_tell_what_runs(void **state)
{
    struct manifest m;
    char late[ID_SIZE], running[ID_SIZE], started[ID_SIZE];
    struct queue_lease lease, other;
    struct queue_reaped reaped;
    enum queue_order order;
    enum queue_end end;
    struct err e = {0}, why = {.code = ERR_deadline_exceeded};
    struct job j;
    (void)state;
    int64_t now_ms = clock_wall_ms();
    fill_manifest(&m, "t", "demo");
    m.deadline_ms = now_ms + 150;
    put_manifest(queue, &m, running);
    claim(&lease);
    fill_manifest(&m, "t", "demo");
    m.start_deadline_ms = now_ms + 150;
    put_manifest(queue, &m, started);
    claim(&other);
    assert_string_equal(other.job_id, started);
    fill_manifest(&m, "t", "demo");
    m.start_deadline_ms = now_ms + 150;
    put_manifest(queue, &m, late);
    clock_sleep_ms(170);
    reap(&reaped);
    assert_int_equal(reaped.expired, 1);
    assert_int_equal(reaped.overdue, 1);
    get_job(late, &j);
    assert_int_equal(j.state, JOB_EXPIRED);
    assert_string_equal(j.error_code, "deadline_exceeded");
    assert_true(j.finished_ms > 0 && j.expires_ms > j.finished_ms);
    job_free(&j);
    assert_int_equal(queue_beat(queue, &other, LEASE_MS, NULL, &order, &e), 0);
    assert_int_equal(order, QUEUE_GO_ON); /* it did start in time */
    assert_int_equal(queue_beat(queue, &lease, LEASE_MS, NULL, &order, &e), 0);
    assert_int_equal(order, QUEUE_DEADLINE);
    assert_int_equal(queue_fail(queue, &lease, &why, &end, &e), 0);
    assert_int_equal(state_of(running), JOB_FAILED);
    no_drift();
}

static void a_job_past_its_deadline_is_not_given_to_a_worker(void **state)
{
    struct manifest m;
    char late[ID_SIZE], next[ID_SIZE];
    struct queue_lease lease;
    (void)state;
    fill_manifest(&m, "t", "demo");
    m.start_deadline_ms = 1;
    put_manifest(queue, &m, late);
    put_job("t", next);
    claim(&lease);
    assert_string_equal(lease.job_id, next);
    assert_int_equal(state_of(late), JOB_EXPIRED);
    no_drift();
}

static void retry_starts_a_failed_job_anew(void **state)
{
    char id[ID_SIZE];
    struct queue_lease lease;
    struct err e = {0};
    struct job j;
    (void)state;
    job_in(JOB_FAILED, id, &lease);
    assert_int_equal(queue_retry(queue, id, &e), 0);
    get_job(id, &j);
    assert_int_equal(j.state, JOB_QUEUED);
    assert_int_equal(j.attempt, 0);
    assert_string_equal(j.error_code, "");
    assert_int_equal(j.finished_ms, 0);
    job_free(&j);
    assert_int_equal(queue_retry(queue, id, &e), -1);
    assert_int_equal(e.code, ERR_job_not_failed);
    claim(&lease);
    assert_int_equal(lease.epoch, 2);
    no_drift();
}

static void a_deleted_job_leaves_a_tombstone_that_refuses_its_id(void **state)
{
    char id[ID_SIZE], other[ID_SIZE];
    struct queue_lease lease;
    struct manifest m;
    enum queue_enqueued how;
    enum queue_cancel canceled;
    struct err e = {0};
    struct job j;
    (void)state;
    job_in(JOB_SUCCEEDED, id, &lease);
    assert_int_equal(queue_delete(queue, id, 60000, &e), 0);
    get_job(id, &j);
    assert_int_equal(j.state, JOB_PURGED);
    assert_string_equal(j.tenant, "t");
    job_free(&j);
    assert_int_equal(queue_delete(queue, id, 60000, &e), -1);
    assert_int_equal(e.code, ERR_job_purged);
    assert_int_equal(queue_cancel(queue, id, "x", &canceled, &e), -1);
    assert_int_equal(e.code, ERR_job_purged);
    fill_manifest(&m, "t", "demo");
    memcpy(m.id, id, ID_SIZE);
    assert_int_equal(queue_enqueue(queue, &m, "k", &(struct queue_quota){.queued = 10}, 1000, &how, other, &e), 0);
    assert_int_equal(how, QUEUE_DUPLICATE);
    manifest_free(&m);
    assert_int_equal(queue_get(queue, "j0_01JABCDEFGHJKMNPQRSTVWXYZ0", &j, &e), -1);
    assert_int_equal(e.code, ERR_job_not_found);
    no_drift();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_edge_of_the_table_holds_and_no_other, flush),
        cmocka_unit_test_setup(repeating_an_end_is_answered_as_the_first_time, flush),
        cmocka_unit_test_setup(a_zombie_can_do_nothing_to_its_successors_job, flush),
        cmocka_unit_test_setup(the_third_lost_worker_ends_the_job_as_poison, flush),
        cmocka_unit_test_setup(a_job_whose_fault_is_ours_is_tried_max_attempts_times, flush),
        cmocka_unit_test_setup(storage_trouble_uses_up_no_attempts, flush),
        cmocka_unit_test_setup(out_of_memory_is_tried_once_more_with_less, flush),
        cmocka_unit_test_setup(a_released_job_is_next_and_has_lost_no_attempt, flush),
        cmocka_unit_test_setup(after_an_accepted_cancel_no_result_becomes_visible, flush),
        cmocka_unit_test_setup(a_canceled_job_whose_worker_dies_is_canceled, flush),
        cmocka_unit_test_setup(deadlines_end_what_waits_and_tell_what_runs, flush),
        cmocka_unit_test_setup(a_job_past_its_deadline_is_not_given_to_a_worker, flush),
        cmocka_unit_test_setup(retry_starts_a_failed_job_anew, flush),
        cmocka_unit_test_setup(a_deleted_job_leaves_a_tombstone_that_refuses_its_id, flush),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
