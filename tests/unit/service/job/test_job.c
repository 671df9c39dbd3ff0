#include "job/job.h"
#include "job/manifest.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void a_job_only_moves_along_the_drawn_edges(void **state)
{
    int edges = 0;
    (void)state;
    for (int from = 0; from < JOB_STATE_COUNT; from++)
        for (int event = 0; event < JOB_EVENT_COUNT; event++)
            edges += job_next((enum job_state)from, (enum job_event)event) >= 0;
    assert_int_equal(edges, 18);
    assert_int_equal(job_next(JOB_QUEUED, JOB_EV_CLAIM), JOB_RUNNING);
    assert_int_equal(job_next(JOB_WAITING, JOB_EV_CLAIM), -1);
    assert_int_equal(job_next(JOB_RUNNING, JOB_EV_CANCEL), JOB_RUNNING);
    assert_int_equal(job_next(JOB_CANCELED, JOB_EV_COMPLETE), -1);
    assert_int_equal(job_next(JOB_FAILED, JOB_EV_RETRY), JOB_QUEUED);
}

static void terminal_states_only_end_in_purged_or_are_retried(void **state)
{
    (void)state;
    for (int from = 0; from < JOB_STATE_COUNT; from++) {
        if (!job_state_terminal((enum job_state)from))
            continue;
        for (int event = 0; event < JOB_EVENT_COUNT; event++) {
            int to = job_next((enum job_state)from, (enum job_event)event);
            assert_true(to == -1 || to == JOB_PURGED || (from == JOB_FAILED && to == JOB_QUEUED));
        }
    }
    for (int s = 0; s < JOB_STATE_COUNT; s++)
        assert_int_equal(job_state_by_name(job_state_name((enum job_state)s)), s);
    assert_int_equal(job_state_by_name("done"), -1);
}

static void fill_file(struct manifest_file *f, int n)
{
    snprintf(f->key, sizeof f->key, "v1/t/20261123/j/in/%d", n);
    memset(f->sha256, 'a' + n, 64);
    f->bytes = INT64_MAX;
    memset(f->name, 'n', sizeof f->name - 1);
    strcpy(f->container, "matroska");
    f->width = f->height = 16384;
    f->frames = 5000;
    f->fps_num = 24000;
    f->fps_den = 1001;
    f->has_audio = true;
}

static void fill_manifest(struct manifest *m)
{
    manifest_init(m);
    id_new_job(m->id);
    strcpy(m->tenant, "studio-a");
    strcpy(m->pool, "demo");
    m->created_ms = 1795411597123;
    m->deadline_ms = 1795411697123;
    m->params.has_seed = true;
    m->params.seed = INT64_MAX;
    fill_file(&m->video, 0);
    m->reference_count = 4;
    for (int i = 0; i < 4; i++)
        fill_file(&m->references[i], i + 1);
    strcpy(m->idempotency_key, "key \xC3\xA9");
    strcpy(m->trace_parent, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    manifest_fingerprint(m);
}

static void a_manifest_survives_being_written_and_read(void **state)
{
    struct manifest m, back;
    struct err e;
    (void)state;
    fill_manifest(&m);
    json_t *object = manifest_json(&m);
    assert_int_equal(manifest_parse(&back, object, &e), 0);
    json_t *again = manifest_json(&back);
    assert_true(json_equal(object, again));
    assert_string_equal(back.references[3].sha256, m.references[3].sha256);
    json_decref(object);
    json_decref(again);
    manifest_free(&m);
    manifest_free(&back);
}

static void a_broken_manifest_is_our_fault(void **state)
{
    static const char *const keys[] = {"format", "version", "id", "created_ms", "params", "video", "references"};
    struct manifest m, back;
    (void)state;
    fill_manifest(&m);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct err e = {0};
        json_t *object = manifest_json(&m);
        json_object_set_new(object, keys[i], json_string("j0_nonsense"));
        assert_int_equal(manifest_parse(&back, object, &e), -1);
        assert_int_equal(e.code, ERR_internal);
        json_object_del(object, keys[i]);
        assert_int_equal(manifest_parse(&back, object, &e), -1);
        json_decref(object);
    }
    manifest_free(&m);
}

static void the_fingerprint_tells_requests_apart_but_not_their_ids(void **state)
{
    struct manifest a, b;
    (void)state;
    fill_manifest(&a);
    fill_manifest(&b);
    assert_string_not_equal(a.id, b.id);
    assert_string_equal(a.fingerprint, b.fingerprint);
    b.params.priority = 6;
    manifest_fingerprint(&b);
    assert_string_not_equal(a.fingerprint, b.fingerprint);
    b.params.priority = 5;
    b.references[1].sha256[0] = '0';
    manifest_fingerprint(&b);
    assert_string_not_equal(a.fingerprint, b.fingerprint);
    manifest_free(&a);
    manifest_free(&b);
}

static void keys_hold_tenant_day_and_job(void **state)
{
    struct manifest m;
    char prefix[MANIFEST_KEY_MAX], key[MANIFEST_KEY_MAX], want[MANIFEST_KEY_MAX], id[ID_SIZE];
    size_t length;
    const char *name;
    (void)state;
    fill_manifest(&m);
    manifest_prefix(&m, prefix);
    snprintf(want, sizeof want, "v1/studio-a/20261123/%s/", m.id);
    assert_string_equal(prefix, want);
    snprintf(key, sizeof key, "%.200sout/e2/x.mp4", prefix);
    assert_int_equal(manifest_split_key(key, id, &length, &name), 0);
    assert_string_equal(id, m.id);
    assert_int_equal(length, strlen(prefix));
    assert_string_equal(name, "out/e2/x.mp4");
    assert_int_equal(manifest_split_key("v1/t/20261123/none/manifest.json", id, &length, &name), -1);
    assert_int_equal(manifest_split_key("uploads/a", id, &length, &name), -1);
    snprintf(key, sizeof key, "%.200smanifest.json", prefix);
    assert_int_equal(manifest_sibling(key, "end.json", want), 0);
    assert_non_null(strstr(want, "/end.json"));
    manifest_free(&m);
}

static void fill_job(struct job *j, const struct manifest *m)
{
    job_init(j);
    memcpy(j->id, m->id, sizeof j->id);
    strcpy(j->pool, "demo");
    j->created_ms = j->queued_ms = j->started_ms = m->created_ms;
    j->priority = 5;
    j->attempt = j->max_attempts = 3;
    j->version = INT64_MAX;
    strcpy(j->trace_parent, m->trace_parent);
    strcpy(j->progress.stage, "diffusion");
    j->progress.fraction_ppm = 420000;
    j->progress.eta_low_ms = 1000;
    j->progress.eta_high_ms = 3000;
    j->progress_at_ms = m->created_ms;
    json_t *params = params_json(&m->params), *input = manifest_input_json(m);
    char *text = json_text(params, false);
    job_set_text(&j->params_text, text);
    free(text);
    text = json_text(input, false);
    job_set_text(&j->input_text, text);
    free(text);
    json_decref(params);
    json_decref(input);
}

static void a_job_object_stays_under_four_kilobytes(void **state)
{
    struct manifest m;
    struct job j;
    (void)state;
    fill_manifest(&m);
    fill_job(&j, &m);
    j.state = JOB_FAILED;
    strcpy(j.error_code, "media_too_many_streams");
    memset(j.error_detail, 'd', sizeof j.error_detail - 1);
    json_t *object = job_json(&j, "");
    char *text = json_text(object, false);
    if (strlen(text) > 4096)
        fail_msg("%zu bytes: %s", strlen(text), text);
    free(text);
    json_decref(object);
    job_free(&j);
    manifest_free(&m);
}

static void a_running_job_shows_when_it_will_end(void **state)
{
    struct manifest m;
    struct job j;
    (void)state;
    fill_manifest(&m);
    fill_job(&j, &m);
    j.state = JOB_RUNNING;
    json_t *object = job_json(&j, "http://host");
    json_t *eta = json_object_get(json_object_get(object, "queue"), "eta");
    assert_string_equal(json_string_value(json_object_get(eta, "finish")), "2026-11-23T05:26:39.123Z");
    assert_string_equal(json_string_value(json_object_get(object, "trace_id")), "0af7651916cd43dd8448eb211c80319c");
    assert_true(json_is_null(json_object_get(object, "result")));
    assert_true(json_is_null(json_object_get(object, "error")));
    assert_true(json_is_null(json_object_get(object, "finished_at")));
    assert_true(json_is_false(json_object_get(object, "terminal")));
    assert_non_null(
        strstr(json_string_value(json_object_get(json_object_get(object, "urls"), "self")), "http://host/v1/jobs/j0_"));
    json_decref(object);
    job_free(&j);
    manifest_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_only_moves_along_the_drawn_edges),
        cmocka_unit_test(terminal_states_only_end_in_purged_or_are_retried),
        cmocka_unit_test(a_manifest_survives_being_written_and_read),
        cmocka_unit_test(a_broken_manifest_is_our_fault),
        cmocka_unit_test(the_fingerprint_tells_requests_apart_but_not_their_ids),
        cmocka_unit_test(keys_hold_tenant_day_and_job),
        cmocka_unit_test(a_job_object_stays_under_four_kilobytes),
        cmocka_unit_test(a_running_job_shows_when_it_will_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
