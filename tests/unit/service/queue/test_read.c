/* What people read: jobs, pages, events, webhooks; idempotency keys, models, locks. */
#include "tests/support/queue_fixture.h"

#include "base/clock.h"
#include "base/json.h"

static void a_job_reads_back_as_its_manifest_said(void **state)
{
    struct manifest m;
    struct job j;
    struct queue_lease lease;
    struct job_progress p = {.stage = "diffusion",
                             .fraction_ppm = 420000,
                             .segments_done = 5,
                             .segments_total = 12,
                             .step = 14,
                             .steps = 30,
                             .frames_done = 240,
                             .eta_low_ms = 100,
                             .eta_high_ms = 200};
    enum queue_order order;
    struct err e = {0};
    char id[ID_SIZE];
    (void)state;
    fill_manifest(&m, "studio", "demo");
    m.priority = 7;
    m.deadline_ms = clock_wall_ms() + 60000;
    m.params.has_seed = true;
    m.params.seed = INT64_MAX;
    snprintf(m.params.prompt, sizeof m.params.prompt, "na\xC3\xAFve \"quotes\"\n");
    json_put_str(m.params.tags, "shot", "12");
    snprintf(m.trace_parent, sizeof m.trace_parent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    put_manifest(queue, &m, id);
    claim(&lease);
    assert_int_equal(queue_beat(queue, &lease, LEASE_MS, &p, &order, &e), 0);
    get_job(id, &j);
    assert_string_equal(j.tenant, "studio");
    assert_int_equal(j.priority, 7);
    assert_true(j.deadline_ms > clock_wall_ms());
    assert_true(j.started_ms >= j.queued_ms && j.queued_ms > j.created_ms);
    assert_non_null(strstr(j.params_text, "\"seed\":9223372036854775807"));
    assert_non_null(strstr(j.params_text, "na\xC3\xAFve \\\"quotes\\\"\\n"));
    assert_string_equal(j.tags_text, "{\"shot\":\"12\"}");
    assert_int_equal(j.progress.fraction_ppm, 420000);
    assert_string_equal(j.progress.stage, "diffusion");
    assert_int_equal(j.progress.frames_done, 240);
    assert_true(j.progress.eta_high_ms == 200 && j.progress_at_ms >= j.started_ms);
    json_t *object = job_json(&j, "");
    assert_non_null(json_object_get(object, "trace_id"));
    assert_string_equal(json_string_value(json_object_get(object, "state")), "running");
    json_decref(object);
    job_free(&j);
}

static void small_steps_within_a_second_are_no_events(void **state)
{
    struct job_progress p = {.stage = "diffusion", .fraction_ppm = 100000};
    struct queue_lease lease;
    enum queue_order order;
    struct err e = {0};
    struct job j;
    char id[ID_SIZE];
    (void)state;
    put_job("t", id);
    claim(&lease);
    queue_beat(queue, &lease, LEASE_MS, &p, &order, &e);
    get_job(id, &j);
    int64_t version = j.version;
    job_free(&j);
    p.fraction_ppm += 5000; /* half a percent */
    queue_beat(queue, &lease, LEASE_MS, &p, &order, &e);
    get_job(id, &j);
    assert_int_equal(j.version, version);
    assert_int_equal(j.progress.fraction_ppm, 100000); /* one version, one content */
    job_free(&j);
    p.fraction_ppm += 5000;
    queue_beat(queue, &lease, LEASE_MS, &p, &order, &e);
    get_job(id, &j);
    assert_int_equal(j.version, version + 1);
    assert_int_equal(j.progress.fraction_ppm, 110000);
    job_free(&j);
}

/* ---- pages ---- */

enum { LISTED = 7 };
static char listed[LISTED][ID_SIZE];

static void put_listed(void)
{
    for (int i = 0; i < LISTED; i++) {
        struct manifest m;
        fill_manifest(&m, i == 3 ? "other" : "t", "demo");
        json_put_str(m.params.tags, "parity", i % 2 ? "odd" : "even");
        put_manifest(queue, &m, listed[i]);
        clock_sleep_ms(2); /* ids are in order by the millisecond */
    }
}

/* The numbers of the jobs on a page. */
static void page_of(struct queue_filter *f, struct queue_page *page, char out[64])
{
    struct err e = {0};
    size_t used = 0;
    out[0] = '\0';
    if (queue_list(queue, f, page, &e) != 0)
        fail_msg("list: %s", e.detail);
    for (int i = 0; i < page->count; i++)
        for (int n = 0; n < LISTED; n++)
            if (strcmp(page->jobs[i].id, listed[n]) == 0)
                used += (size_t)snprintf(out + used, 64 - used, "%d", n);
}

static void pages_go_forward_and_back_without_gaps(void **state)
{
    struct queue_filter f = {.tenant = "t", .state = -1, .limit = 2};
    struct queue_page page;
    char got[64], cursor[64];
    (void)state;
    put_listed();
    page_of(&f, &page, got);
    assert_string_equal(got, "65");
    assert_string_equal(page.prev, "");
    memcpy(cursor, page.next, sizeof cursor);
    queue_page_free(&page);
    f.cursor = cursor;
    page_of(&f, &page, got);
    assert_string_equal(got, "42");
    char back[64];
    memcpy(back, page.prev, sizeof back);
    memcpy(cursor, page.next, sizeof cursor);
    queue_page_free(&page);
    page_of(&f, &page, got);
    assert_string_equal(got, "10");
    assert_string_equal(page.next, "");
    memcpy(cursor, page.prev, sizeof cursor);
    queue_page_free(&page);
    f.backward = true;
    page_of(&f, &page, got);
    assert_string_equal(got, "42");
    assert_string_equal(page.prev, back);
    assert_string_not_equal(page.next, "");
    memcpy(cursor, page.prev, sizeof cursor);
    queue_page_free(&page);
    page_of(&f, &page, got);
    assert_string_equal(got, "65");
    assert_string_equal(page.prev, "");
    queue_page_free(&page);
}

static void pages_are_filtered_by_state_tag_and_tenant(void **state)
{
    struct queue_filter f = {.tenant = "t", .state = -1, .limit = 100, .ascending = true};
    struct queue_page page;
    struct queue_lease lease;
    char got[64];
    (void)state;
    put_listed();
    page_of(&f, &page, got);
    assert_string_equal(got, "012456");
    assert_string_equal(page.next, "");
    queue_page_free(&page);
    f.tag_key = "parity";
    f.tag_value = "even";
    page_of(&f, &page, got);
    assert_string_equal(got, "0246");
    queue_page_free(&page);
    claim(&lease); /* the other tenant's */
    claim(&lease);
    f.state = JOB_RUNNING;
    page_of(&f, &page, got);
    assert_string_equal(got, "0");
    queue_page_free(&page);
    f = (struct queue_filter){.state = -1, .limit = 100};
    page_of(&f, &page, got);
    assert_string_equal(got, "6543210");
    queue_page_free(&page);
    struct err e = {0};
    f.cursor = "nonsense";
    assert_int_equal(queue_list(queue, &f, &page, &e), -1);
    assert_int_equal(e.code, ERR_params_invalid);
}

/* ---- events ---- */

static void every_change_is_an_event_with_its_version(void **state)
{
    static const char *const types[] = {"state", "state", "segment", "cancel", "state"};
    struct queue_event events[16];
    struct queue_segment s = {.n = 0, .key = "k", .sha256 = "s", .epoch = 1};
    struct queue_lease lease;
    enum queue_segment_put put;
    enum queue_cancel canceled;
    enum queue_end end;
    bool reset = true;
    char id[ID_SIZE], other[ID_SIZE];
    struct err e = {0};
    (void)state;
    put_job("t", id);
    claim(&lease);
    put_job("t", other);
    assert_int_equal(queue_segment_commit(queue, &lease, "p", &s, &put, &e), 0);
    assert_int_equal(queue_cancel(queue, id, "user", &canceled, &e), 0);
    assert_int_equal(queue_cancel(queue, id, "user", &canceled, &e), 0); /* asked already: no event */
    assert_int_equal(queue_canceled(queue, &lease, &end, &e), 0);
    assert_int_equal(queue_job_events(queue, id, "", events, 16, &reset, &e), 5);
    assert_false(reset);
    for (int i = 0; i < 5; i++) {
        assert_string_equal(events[i].type, types[i]);
        assert_string_equal(events[i].job_id, id);
        assert_int_equal(events[i].version, i + 1);
    }
    char third[40];
    memcpy(third, events[2].id, sizeof third);
    assert_int_equal(queue_job_events(queue, id, third, events, 16, &reset, &e), 2);
    assert_false(reset);
    assert_string_equal(events[0].type, "cancel");
    assert_int_equal(queue_job_events(queue, id, "1-1", events, 16, &reset, &e), 5);
    assert_true(reset);
    assert_int_equal(queue_job_events(queue, id, "", events, 2, &reset, &e), 2);
    /* The stream of all jobs has the same ids. */
    struct queue_event all[16];
    assert_int_equal(queue_events(queue, "0", 0, all, 16, &e), 6);
    assert_string_equal(all[3].id, third);
    assert_string_equal(all[2].job_id, other);
    assert_int_equal(queue_events(queue, all[5].id, 0, all, 16, &e), 0);
}

static void following_the_stream_waits_for_what_comes(void **state)
{
    struct queue_event events[4];
    struct err e = {0};
    int64_t before_ms = clock_mono_ms();
    (void)state;
    assert_int_equal(queue_events(queue, "$", 50, events, 4, &e), 0);
    assert_true(clock_mono_ms() - before_ms >= 45);
    pid_t pid = fork();
    if (pid == 0) {
        struct manifest m;
        struct queue *q = NULL;
        enum queue_enqueued how;
        char other[ID_SIZE];
        clock_sleep_ms(50);
        fill_manifest(&m, "t", "demo");
        _exit(queue_new(&q, redis.url, &e) != 0 ||
              queue_enqueue(q, &m, "k", &(struct queue_quota){.queued = 10}, 1000, &how, other, &e) != 0);
    }
    assert_int_equal(queue_events(queue, "$", 5000, events, 4, &e), 1);
    assert_string_equal(events[0].type, "state");
    waitpid(pid, NULL, 0);
}

/* ---- segments ---- */

static void the_first_segment_of_a_number_wins_and_a_new_plan_starts_over(void **state)
{
    struct queue_lease lease;
    struct queue_segment s = {.n = 11,
                              .key = "seg/11",
                              .sha256 = "aa",
                              .bytes = 5,
                              .state_key = "ckpt/11",
                              .state_sha256 = "bb",
                              .state_bytes = 6,
                              .first_frame = 99,
                              .frames = 9,
                              .epoch = 1};
    struct queue_segment *back;
    enum queue_segment_put put;
    int count;
    struct err e = {0};
    struct job j;
    char id[ID_SIZE];
    (void)state;
    put_job("t", id);
    claim(&lease);
    assert_int_equal(queue_segment_commit(queue, &lease, "plan", &s, &put, &e), 0);
    assert_int_equal(put, QUEUE_SEGMENT_NEW);
    assert_int_equal(queue_segment_commit(queue, &lease, "plan", &s, &put, &e), 0);
    assert_int_equal(put, QUEUE_SEGMENT_SAME);
    strcpy(s.sha256, "zz");
    assert_int_equal(queue_segment_commit(queue, &lease, "plan", &s, &put, &e), 0);
    assert_int_equal(put, QUEUE_SEGMENT_KEPT_FIRST);
    s.n = 2;
    s.state_key[0] = s.state_sha256[0] = '\0';
    assert_int_equal(queue_segment_commit(queue, &lease, "plan", &s, &put, &e), 0);
    assert_int_equal(queue_segments(queue, id, "plan", &back, &count, &e), 0);
    assert_int_equal(count, 2);
    assert_int_equal(back[0].n, 2);
    assert_string_equal(back[0].state_key, "");
    assert_string_equal(back[1].sha256, "aa");
    assert_string_equal(back[1].state_key, "ckpt/11");
    assert_true(back[1].first_frame == 99 && back[1].frames == 9 && back[1].state_bytes == 6 && back[1].epoch == 1);
    free(back);
    assert_int_equal(queue_segments(queue, id, "another plan", &back, &count, &e), 0);
    assert_int_equal(count, 0);
    free(back);
    assert_int_equal(queue_segment_commit(queue, &lease, "plan 2", &s, &put, &e), 0);
    assert_int_equal(queue_segments(queue, id, NULL, &back, &count, &e), 0);
    assert_int_equal(count, 1);
    free(back);
    get_job(id, &j);
    assert_int_equal(j.progress.segments_done, 1);
    job_free(&j);
}

/* ---- idempotency ---- */

static void one_key_makes_one_job(void **state)
{
    enum queue_idem idem;
    enum queue_enqueued how;
    char id[ID_SIZE] = "", fingerprint[HASH_HEX_SIZE] = "", other[ID_SIZE] = "";
    struct manifest m, second;
    struct err e = {0};
    (void)state;
    assert_int_equal(queue_idem_reserve(queue, "t", "k e|y", "h1", 1000, &idem, id, fingerprint, &e), 0);
    assert_int_equal(idem, QUEUE_IDEM_RESERVED);
    assert_int_equal(queue_idem_reserve(queue, "t", "k e|y", "h1", 1000, &idem, id, fingerprint, &e), 0);
    assert_int_equal(idem, QUEUE_IDEM_RESERVED);
    assert_int_equal(queue_idem_reserve(queue, "t", "k e|y", "h2", 1000, &idem, id, fingerprint, &e), 0);
    assert_int_equal(idem, QUEUE_IDEM_IN_PROGRESS);
    assert_int_equal(queue_idem_reserve(queue, "other", "k e|y", "h2", 1000, &idem, id, fingerprint, &e), 0);
    assert_int_equal(idem, QUEUE_IDEM_RESERVED);
    assert_int_equal(queue_idem_release(queue, "t", "k e|y", "h2", &e), 0); /* not the holder */
    assert_int_equal(queue_idem_reserve(queue, "t", "k e|y", "h2", 1000, &idem, id, fingerprint, &e), 0);
    assert_int_equal(idem, QUEUE_IDEM_IN_PROGRESS);
    fill_manifest(&m, "t", "demo");
    strcpy(m.idempotency_key, "k e|y");
    manifest_fingerprint(&m);
    assert_int_equal(queue_enqueue(queue, &m, "k", &(struct queue_quota){.queued = 10}, 60000, &how, other, &e), 0);
    assert_int_equal(how, QUEUE_NEW);
    assert_int_equal(queue_idem_release(queue, "t", "k e|y", "h1", &e), 0); /* too late */
    assert_int_equal(queue_idem_reserve(queue, "t", "k e|y", "h2", 1000, &idem, id, fingerprint, &e), 0);
    assert_int_equal(idem, QUEUE_IDEM_REPLAY);
    assert_string_equal(id, m.id);
    assert_string_equal(fingerprint, m.fingerprint);
    fill_manifest(&second, "t", "demo");
    strcpy(second.idempotency_key, "k e|y");
    assert_int_equal(queue_enqueue(queue, &second, "k", &(struct queue_quota){.queued = 10}, 60000, &how, other, &e),
                     0);
    assert_int_equal(how, QUEUE_KEY_TAKEN);
    assert_string_equal(other, m.id);
    assert_int_equal(queue_enqueue(queue, &m, "k", &(struct queue_quota){.queued = 10}, 60000, &how, other, &e), 0);
    assert_int_equal(how, QUEUE_DUPLICATE);
    manifest_free(&m);
    manifest_free(&second);
    no_drift();
}

static void a_reservation_ends_by_release_or_by_time(void **state)
{
    enum queue_idem idem;
    char id[ID_SIZE], fingerprint[HASH_HEX_SIZE];
    struct err e = {0};
    (void)state;
    assert_int_equal(queue_idem_reserve(queue, "t", "k", "h1", 60000, &idem, id, fingerprint, &e), 0);
    assert_int_equal(queue_idem_release(queue, "t", "k", "h1", &e), 0);
    assert_int_equal(queue_idem_reserve(queue, "t", "k", "h2", 30, &idem, id, fingerprint, &e), 0);
    assert_int_equal(idem, QUEUE_IDEM_RESERVED);
    clock_sleep_ms(40);
    assert_int_equal(queue_idem_reserve(queue, "t", "k", "h3", 60000, &idem, id, fingerprint, &e), 0);
    assert_int_equal(idem, QUEUE_IDEM_RESERVED);
}

/* ---- webhooks ---- */

static void count_lines(void *user, const char *text)
{
    (void)text;
    ++*(int *)user;
}

static void copy_hook(void *user, const char *hook_id, const char *text)
{
    snprintf(user, 64, "%s=%s", hook_id, text);
}

static void an_end_is_delivered_to_every_endpoint_until_it_is_done(void **state)
{
    struct queue_delivery d, again;
    enum queue_cancel canceled;
    struct err e = {0};
    char id[ID_SIZE], seen[64] = "";
    int lines = 0;
    (void)state;
    assert_int_equal(queue_hook_put(queue, "t", "hook1", "{\"url\":1}", &e), 0);
    queue_hooks(queue, "t", copy_hook, seen, &e);
    assert_string_equal(seen, "hook1={\"url\":1}");
    put_job("t", id);
    assert_int_equal(queue_hook_claim(queue, 60000, &d, &e), 0);
    assert_int_equal(queue_cancel(queue, id, "user", &canceled, &e), 0);
    assert_int_equal(queue_hook_claim(queue, 60000, &d, &e), 1);
    assert_string_equal(d.hook_id, "hook1");
    assert_string_equal(d.job_id, id);
    assert_string_equal(d.tenant, "t");
    assert_string_equal(d.text, "{\"url\":1}");
    assert_int_equal(d.tries, 0);
    assert_int_equal(queue_hook_claim(queue, 60000, &again, &e), 0); /* held */
    assert_int_equal(queue_hook_done(queue, &d, 0, "503", &e), 0);
    assert_int_equal(queue_hook_claim(queue, 60000, &again, &e), 1);
    assert_int_equal(again.tries, 1);
    assert_string_equal(again.id, d.id);
    assert_int_equal(queue_hook_done(queue, &again, -1, "200", &e), 0);
    assert_int_equal(queue_hook_claim(queue, 60000, &again, &e), 0);
    assert_int_equal(queue_hook_log(queue, "t", "hook1", count_lines, &lines, &e), 0);
    assert_int_equal(lines, 2);
    assert_int_equal(queue_hook_send(queue, "t", "hook1", id, &e), 0);
    assert_int_equal(queue_hook_claim(queue, 10, &again, &e), 1);
    clock_sleep_ms(15);
    assert_int_equal(queue_hook_claim(queue, 10, &again, &e), 1); /* its holder died */
    assert_int_equal(queue_hook_send(queue, "other", "hook1", id, &e), -1);
    assert_int_equal(e.code, ERR_webhook_not_found);
    assert_int_equal(queue_hook_delete(queue, "t", "hook1", &e), 0);
    assert_int_equal(queue_hook_delete(queue, "t", "hook1", &e), -1);
    clock_sleep_ms(15);
    assert_int_equal(queue_hook_claim(queue, 10, &again, &e), 0); /* gone with its endpoint */
}

/* ---- models, locks ---- */

static void models_are_those_of_living_workers(void **state)
{
    json_t *models;
    struct err e = {0};
    (void)state;
    assert_int_equal(queue_announce(queue, "w1", "{\"demo\":{\"steps\":4}}", 60000, &e), 0);
    assert_int_equal(queue_announce(queue, "w2", "{\"big\":{\"steps\":50}}", 20, &e), 0);
    assert_int_equal(queue_models(queue, &models, &e), 0);
    assert_int_equal(json_object_size(models), 2);
    json_decref(models);
    clock_sleep_ms(30);
    assert_int_equal(queue_models(queue, &models, &e), 0);
    assert_int_equal(json_object_size(models), 1);
    assert_non_null(json_object_get(models, "demo"));
    json_decref(models);
}

static void a_lock_has_one_owner_until_it_is_given_back_or_ends(void **state)
{
    bool got;
    struct err e = {0};
    (void)state;
    assert_int_equal(queue_lock(queue, "upload", "me", 60000, &got, &e), 0);
    assert_true(got);
    assert_int_equal(queue_lock(queue, "upload", "me", 60000, &got, &e), 0);
    assert_true(got);
    assert_int_equal(queue_lock(queue, "upload", "you", 60000, &got, &e), 0);
    assert_false(got);
    assert_int_equal(queue_unlock(queue, "upload", "you", &e), 0);
    assert_int_equal(queue_lock(queue, "upload", "you", 60000, &got, &e), 0);
    assert_false(got);
    assert_int_equal(queue_unlock(queue, "upload", "me", &e), 0);
    assert_int_equal(queue_lock(queue, "upload", "you", 20, &got, &e), 0);
    assert_true(got);
    clock_sleep_ms(30);
    assert_int_equal(queue_lock(queue, "upload", "me", 20, &got, &e), 0);
    assert_true(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_job_reads_back_as_its_manifest_said, flush),
        cmocka_unit_test_setup(small_steps_within_a_second_are_no_events, flush),
        cmocka_unit_test_setup(pages_go_forward_and_back_without_gaps, flush),
        cmocka_unit_test_setup(pages_are_filtered_by_state_tag_and_tenant, flush),
        cmocka_unit_test_setup(every_change_is_an_event_with_its_version, flush),
        cmocka_unit_test_setup(following_the_stream_waits_for_what_comes, flush),
        cmocka_unit_test_setup(the_first_segment_of_a_number_wins_and_a_new_plan_starts_over, flush),
        cmocka_unit_test_setup(one_key_makes_one_job, flush),
        cmocka_unit_test_setup(a_reservation_ends_by_release_or_by_time, flush),
        cmocka_unit_test_setup(an_end_is_delivered_to_every_endpoint_until_it_is_done, flush),
        cmocka_unit_test_setup(models_are_those_of_living_workers, flush),
        cmocka_unit_test_setup(a_lock_has_one_owner_until_it_is_given_back_or_ends, flush),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
