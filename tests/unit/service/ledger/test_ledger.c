/* The store as the memory behind Redis: a real Redis that is emptied, a folder store that is not. */
#include "tests/support/ledger_fixture.h"

#include "base/fault.h"

#include <sys/wait.h>

static void until_the_store_was_asked_nobody_says_that_a_job_is_unknown(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX], replay[ID_SIZE], fingerprint[HASH_HEX_SIZE];
    struct queue_filter f = {.state = -1, .limit = 10};
    struct queue_page page;
    enum queue_cancel canceled;
    enum queue_idem idem;
    struct job j;
    (void)state;
    accept_one(id, key);
    assert_int_equal(lose_everything(), 0);
    for (int i = 0; i < 6; i++) {
        struct err e = {0};
        int result = i == 0   ? queue_get(queue, id, &j, &e)
                     : i == 1 ? queue_cancel(queue, id, "x", &canceled, &e)
                     : i == 2 ? queue_retry(queue, id, &e)
                     : i == 3 ? queue_delete(queue, id, 1000, &e)
                     : i == 4 ? queue_list(queue, &f, &page, &e)
                              : queue_idem_reserve(queue, "t", "k", "h", 1000, &idem, replay, fingerprint, &e);
        assert_int_equal(result, -1);
        assert_int_equal(e.code, ERR_dependency_redis);
    }
    struct ledger_found found;
    struct err e = {0};
    char generation[96] = "";
    assert_int_equal(ledger_check(&ledger, generation, &found, &e), 1);
    assert_int_equal(state_of(id), JOB_QUEUED);
    assert_int_equal(queue_get(queue, "j0_01JABCDEFGHJKMNPQRSTVWXYZ0", &j, &e), -1);
    assert_int_equal(e.code, ERR_job_not_found);
}

static void fifty_accepted_jobs_survive_the_loss_of_redis(void **state)
{
    char ids[50][ID_SIZE], key[MANIFEST_KEY_MAX], replay[ID_SIZE], fingerprint[HASH_HEX_SIZE];
    struct ledger_found found;
    struct queue_lease lease;
    enum queue_idem idem;
    struct err e = {0};
    struct job j;
    (void)state;
    for (int i = 0; i < 50; i++) {
        struct manifest m;
        fill_manifest(&m, "studio", "demo");
        m.priority = i % 10;
        m.params.steps = 1 + i;
        snprintf(m.idempotency_key, sizeof m.idempotency_key, "key-%d", i);
        manifest_fingerprint(&m);
        memcpy(ids[i], m.id, ID_SIZE);
        accept(&m, key);
        manifest_free(&m);
    }
    claim(&lease); /* one is at work when it happens */
    lose_redis(&found);
    assert_int_equal(found.manifests, 50);
    assert_int_equal(found.requeued, 50);
    for (int i = 0; i < 50; i++) {
        char want[64];
        get_job(ids[i], &j);
        assert_int_equal(j.state, JOB_QUEUED);
        assert_int_equal(j.priority, i % 10);
        snprintf(want, sizeof want, "\"steps\":%d", 1 + i);
        assert_non_null(strstr(j.params_text, want));
        job_free(&j);
    }
    OK(queue_idem_reserve(queue, "studio", "key-7", "holder", 1000, &idem, replay, fingerprint, &e));
    assert_int_equal(idem, QUEUE_IDEM_REPLAY);
    assert_string_equal(replay, ids[7]);
}

static void a_worker_of_the_time_before_the_loss_is_fenced_off(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    struct queue_lease zombie, heir;
    struct ledger_found found;
    enum queue_order order;
    struct err e = {0};
    struct job j;
    (void)state;
    accept_one(id, key);
    claim(&zombie);
    get_job(id, &j);
    int64_t version = j.version;
    job_free(&j);
    lose_redis(&found);
    get_job(id, &j);
    assert_true(j.version > version);
    job_free(&j);
    claim(&heir);
    assert_string_equal(heir.job_id, id);
    assert_true(heir.epoch > zombie.epoch + 1000);
    OK(queue_beat(queue, &zombie, LEASE_MS, NULL, &order, &e));
    assert_int_equal(order, QUEUE_LOST);
}

static void what_had_ended_is_there_as_it_was_and_does_not_run_again(void **state)
{
    char good[ID_SIZE], bad[ID_SIZE], stopped[ID_SIZE], gone[ID_SIZE], key[MANIFEST_KEY_MAX];
    struct ledger_found found;
    struct queue_lease lease;
    struct queue_segment *segments;
    enum queue_cancel canceled;
    struct err e = {0};
    struct job before, after;
    int count;
    (void)state;
    succeed(good, key);
    fail_job(bad, key);
    accept_one(stopped, key);
    OK(queue_cancel(queue, stopped, "user", &canceled, &e));
    OK(ledger_settle(&ledger, stopped, &e));
    succeed(gone, key);
    OK(ledger_delete(&ledger, gone, &e));
    get_job(good, &before);
    lose_redis(&found);
    assert_int_equal(found.restored, 3);
    assert_int_equal(found.buried, 1);
    assert_int_equal(found.requeued, 0);
    get_job(good, &after);
    assert_int_equal(after.state, JOB_SUCCEEDED);
    assert_string_equal(after.result_key, before.result_key);
    assert_string_equal(after.result_sha256, before.result_sha256);
    assert_int_equal(after.result_frames, before.result_frames);
    assert_true(after.version >= before.version);
    assert_true(after.finished_ms == before.finished_ms && after.expires_ms == before.expires_ms);
    assert_string_equal(after.input_text, before.input_text);
    job_free(&before);
    job_free(&after);
    OK(queue_segments(queue, good, NULL, &segments, &count, &e));
    assert_int_equal(count, 2);
    assert_int_equal(segments[1].first_frame, 4);
    free(segments);
    get_job(bad, &after);
    assert_int_equal(after.state, JOB_FAILED);
    assert_string_equal(after.error_code, "media_truncated");
    job_free(&after);
    assert_int_equal(state_of(stopped), JOB_CANCELED);
    assert_int_equal(state_of(gone), JOB_PURGED);
    assert_int_equal(claim_as(queue, "w", LEASE_MS, &lease), 0);
}

static void a_success_that_redis_had_no_time_to_hear_of_counts(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    struct queue_lease lease;
    struct queue_result r;
    struct ledger_found found;
    struct err e = {0};
    (void)state;
    accept_one(id, key);
    claim(&lease);
    work(&lease, &r);
    OK(ledger_success(&ledger, &lease, &r, &e));
    lose_redis(&found);
    assert_int_equal(found.restored, 1);
    assert_int_equal(state_of(id), JOB_SUCCEEDED);
    OK(store_delete(store, r.key, &e)); /* … but not without its result */
    lose_redis(&found);
    assert_int_equal(found.requeued, 1);
}

static void after_the_end_only_what_has_a_purpose_is_kept(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    struct queue_lease lease;
    struct queue_result r;
    enum queue_end end;
    struct err e = {0};
    (void)state;
    accept_one(id, key);
    put_beside(key, "out/e0/old.mp4");
    put_beside(key, "seg/00000.e0.zz.mkv");
    claim(&lease);
    work(&lease, &r);
    OK(ledger_success(&ledger, &lease, &r, &e));
    OK(queue_complete(queue, &lease, &r, &end, &e));
    OK(ledger_settle(&ledger, id, &e));
    expect_folder(
        key,
        "ckpt/00000.e1.bb.bin ckpt/00001.e1.bb.bin end.json in/video.mp4 manifest.json out/e1/cc.mp4 out/e1/end.json "
        "out/e1/receipt.json seg/00000.e1.aa.mkv seg/00001.e1.aa.mkv ");
    OK(ledger_delete(&ledger, id, &e));
    expect_folder(key, "tombstone.json ");
    assert_int_equal(ledger_delete(&ledger, id, &e), -1);
    assert_int_equal(e.code, ERR_job_purged);
}

/* The worker read the job, slept, and goes on after the job was deleted. */
static void what_is_settled_while_it_is_deleted_leaves_only_the_tombstone(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    struct err e = {0};
    int status;
    (void)state;
    succeed(id, key);
    pid_t settler = fork();
    assert_true(settler >= 0);
    if (settler == 0) {
        ledger.queue = open_queue(redis.url);
        _exit(fault_arm("ledger.settle.loaded:stall", true, &e) == 0 && ledger_settle(&ledger, id, &e) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(settler, &status, WUNTRACED), settler);
    assert_true(WIFSTOPPED(status));
    OK(ledger_delete(&ledger, id, &e));
    assert_int_equal(kill(settler, SIGCONT), 0);
    assert_int_equal(waitpid(settler, &status, 0), settler);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    expect_folder(key, "tombstone.json ");
    assert_int_equal(state_of(id), JOB_PURGED);
}

static void who_is_told_of_a_deleted_job_leaves_no_note(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    struct err e = {0};
    (void)state;
    succeed(id, key);
    OK(ledger_delete(&ledger, id, &e));
    OK(ledger_hook_told(&ledger, key, "wh_one", &e));
    expect_folder(key, "tombstone.json ");
}

static void a_canceled_job_keeps_no_result(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    struct queue_lease lease;
    struct queue_result r;
    enum queue_cancel canceled;
    enum queue_end end;
    struct err e = {0};
    (void)state;
    accept_one(id, key);
    assert_int_equal(ledger_delete(&ledger, id, &e), -1);
    assert_int_equal(e.code, ERR_job_not_terminal);
    claim(&lease);
    work(&lease, &r);
    OK(queue_cancel(queue, id, "user", &canceled, &e));
    OK(queue_canceled(queue, &lease, &end, &e));
    OK(ledger_settle(&ledger, id, &e));
    expect_folder(key, "end.json in/video.mp4 manifest.json seg/00000.e1.aa.mkv seg/00001.e1.aa.mkv ");
}

static void a_retried_job_runs_again_even_after_the_loss_of_redis(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    struct ledger_found found;
    struct err e = {0};
    (void)state;
    fail_job(id, key);
    assert_true(is_beside(key, "end.json"));
    OK(ledger_retry(&ledger, id, &e));
    assert_false(is_beside(key, "end.json"));
    assert_int_equal(ledger_retry(&ledger, id, &e), -1);
    assert_int_equal(e.code, ERR_job_not_failed);
    lose_redis(&found);
    assert_int_equal(found.requeued, 1);
    assert_int_equal(state_of(id), JOB_QUEUED);
}

static void what_a_reaper_ended_is_settled_too(void **state)
{
    struct manifest m;
    struct queue_reaped reaped;
    char key[MANIFEST_KEY_MAX], id[ID_SIZE];
    int settled = 0;
    struct err e = {0};
    (void)state;
    fill_manifest(&m, "studio", "demo");
    m.start_deadline_ms = 1;
    memcpy(id, m.id, ID_SIZE);
    accept(&m, key);
    manifest_free(&m);
    reap(&reaped);
    assert_int_equal(reaped.expired, 1);
    OK(ledger_settle_all(&ledger, 10, &settled, &e));
    assert_int_equal(settled, 1);
    assert_true(is_beside(key, "end.json"));
    OK(ledger_settle_all(&ledger, 10, &settled, &e));
    assert_int_equal(settled, 0);
}

static void the_sweep_removes_what_nothing_refers_to_once_it_is_old(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX], unfinished[MANIFEST_KEY_MAX];
    struct queue_lease lease;
    struct queue_result r;
    struct ledger_swept swept;
    struct manifest m;
    struct err e = {0};
    (void)state;
    accept_one(id, key);
    put_beside(key, "out/e0/old.mp4");      /* of a lost attempt */
    put_beside(key, "seg/00000.e0.zz.mkv"); /* never committed */
    claim(&lease);
    work(&lease, &r);
    fill_manifest(&m, "studio", "demo"); /* a creation that never came to its manifest */
    manifest_prefix(&m, unfinished);
    put_beside(unfinished, "in/video.mp4");
    manifest_free(&m);
    OK(store_put_bytes(store, "uploads/u0_1/part", "x", 1, &e));
    OK(store_put_bytes(store, "v1/stray", "x", 1, &e));
    OK(ledger_sweep(&ledger, 60000, 60000, &swept, &e));
    assert_int_equal(swept.removed, 0);
    clock_sleep_ms(20);
    OK(ledger_sweep(&ledger, 10, 60000, &swept, &e));
    assert_int_equal(swept.removed, 4);
    expect_folder(
        key, "ckpt/00000.e1.bb.bin ckpt/00001.e1.bb.bin in/video.mp4 manifest.json out/e1/cc.mp4 out/e1/receipt.json "
             "seg/00000.e1.aa.mkv seg/00001.e1.aa.mkv ");
    expect_folder(unfinished, "");
    OK(ledger_sweep(&ledger, 10, 10, &swept, &e));
    assert_int_equal(swept.removed, 1);
    assert_int_equal(state_of(id), JOB_RUNNING);
}

static void of_many_programs_one_sweeps(void **state)
{
    struct ledger_swept swept;
    struct err e = {0};
    bool got;
    (void)state;
    OK(store_put_bytes(store, "v1/stray", "x", 1, &e));
    clock_sleep_ms(5);
    OK(queue_lock(queue, "sweep", "another", 60000, &got, &e));
    OK(ledger_sweep(&ledger, 1, 1, &swept, &e));
    assert_int_equal(swept.removed, 0);
    OK(queue_unlock(queue, "sweep", "another", &e));
    OK(ledger_sweep(&ledger, 1, 1, &swept, &e));
    assert_int_equal(swept.removed, 1);
}

static void a_deletion_that_stopped_half_way_is_finished(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    struct ledger_swept swept;
    struct err e = {0};
    (void)state;
    succeed(id, key);
    put_beside(key, "tombstone.json"); /* and then the power went */
    OK(ledger_sweep(&ledger, 60000, 60000, &swept, &e));
    expect_folder(key, "tombstone.json ");
    assert_int_equal(state_of(id), JOB_PURGED);
    succeed(id, key);
    OK(queue_delete(queue, id, 60000, &e)); /* the queue knew first */
    OK(ledger_sweep(&ledger, 60000, 60000, &swept, &e));
    assert_false(is_beside(key, "manifest.json"));
}

static void jobs_are_deleted_when_their_time_is_over(void **state)
{
    static const struct queue_conf brief = {.retry_base_ms = 1, .retention_ms = 1, .lease_ms = 1000};
    static const struct queue_conf usual = {.retry_base_ms = 1, .retention_ms = 3600000, .lease_ms = 1000};
    char id[ID_SIZE], key[MANIFEST_KEY_MAX];
    struct ledger_swept swept;
    struct err e = {0};
    (void)state;
    queue_configure(queue, &brief);
    succeed(id, key);
    queue_configure(queue, &usual);
    clock_sleep_ms(5);
    OK(ledger_sweep(&ledger, 60000, 60000, &swept, &e));
    assert_int_equal(swept.expired, 1);
    assert_int_equal(state_of(id), JOB_PURGED);
    expect_folder(key, "tombstone.json ");
}

static void one_broken_manifest_does_not_hide_the_others(void **state)
{
    char id[ID_SIZE], key[MANIFEST_KEY_MAX], broken[ID_SIZE], broken_key[MANIFEST_KEY_MAX];
    struct ledger_found found;
    struct err e = {0};
    (void)state;
    accept_one(broken, broken_key);
    accept_one(id, key);
    OK(store_put_bytes(store, broken_key, "{\"format\":", 10, &e));
    lose_redis(&found);
    assert_int_equal(found.broken, 1);
    assert_int_equal(found.requeued, 1);
    assert_int_equal(state_of(id), JOB_QUEUED);
}

static void a_manifest_that_was_just_written_is_its_writers(void **state)
{
    struct manifest m;
    struct ledger_swept swept;
    char key[MANIFEST_KEY_MAX];
    struct err e = {0};
    struct job j;
    (void)state;
    fill_manifest(&m, "studio", "demo");
    OK(ledger_write_manifest(&ledger, &m, key, &e));
    OK(ledger_sweep(&ledger, 60000, 60000, &swept, &e));
    assert_int_equal(queue_get(queue, m.id, &j, &e), -1);
    manifest_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(until_the_store_was_asked_nobody_says_that_a_job_is_unknown, fresh),
        cmocka_unit_test_setup(fifty_accepted_jobs_survive_the_loss_of_redis, fresh),
        cmocka_unit_test_setup(a_worker_of_the_time_before_the_loss_is_fenced_off, fresh),
        cmocka_unit_test_setup(what_had_ended_is_there_as_it_was_and_does_not_run_again, fresh),
        cmocka_unit_test_setup(a_success_that_redis_had_no_time_to_hear_of_counts, fresh),
        cmocka_unit_test_setup(after_the_end_only_what_has_a_purpose_is_kept, fresh),
        cmocka_unit_test_setup(what_is_settled_while_it_is_deleted_leaves_only_the_tombstone, fresh),
        cmocka_unit_test_setup(who_is_told_of_a_deleted_job_leaves_no_note, fresh),
        cmocka_unit_test_setup(a_canceled_job_keeps_no_result, fresh),
        cmocka_unit_test_setup(a_retried_job_runs_again_even_after_the_loss_of_redis, fresh),
        cmocka_unit_test_setup(what_a_reaper_ended_is_settled_too, fresh),
        cmocka_unit_test_setup(the_sweep_removes_what_nothing_refers_to_once_it_is_old, fresh),
        cmocka_unit_test_setup(of_many_programs_one_sweeps, fresh),
        cmocka_unit_test_setup(a_deletion_that_stopped_half_way_is_finished, fresh),
        cmocka_unit_test_setup(jobs_are_deleted_when_their_time_is_over, fresh),
        cmocka_unit_test_setup(one_broken_manifest_does_not_hide_the_others, fresh),
        cmocka_unit_test_setup(a_manifest_that_was_just_written_is_its_writers, fresh),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
