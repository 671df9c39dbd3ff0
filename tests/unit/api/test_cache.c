#include "api/cache.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct snapshot *put(struct cache *c, const char *id, int64_t version, enum job_state state)
{
    struct job job;

    job_init(&job);
    snprintf(job.id, sizeof(job.id), "%s", id);
    job.version = version;
    job.state = state;
    return cache_put(c, &job);
}

static int64_t seen(struct cache *c, const char *id)
{
    struct snapshot *s = cache_get(c, id);
    int64_t version = s ? s->job.version : -1;

    snapshot_unref(s);
    return version;
}

static void a_snapshot_holds_until_an_event_tells_of_a_newer_one(void **state)
{
    struct cache *c = cache_new(100);

    (void)state;
    cache_alive(c);
    snapshot_unref(put(c, "a", 3, JOB_RUNNING));
    assert_int_equal(seen(c, "a"), 3);
    cache_event(c, "a", 3);
    assert_int_equal(seen(c, "a"), 3);
    cache_event(c, "a", 4);
    assert_int_equal(seen(c, "a"), -1);
    assert_int_equal(cache_version(c, "a"), 4);
    cache_free(c);
}

static void a_slow_reader_does_not_bring_back_an_old_version(void **state)
{
    struct cache *c = cache_new(100);
    struct snapshot *s;

    (void)state;
    cache_alive(c);
    cache_event(c, "a", 5);
    s = put(c, "a", 4, JOB_RUNNING);
    assert_int_equal(s->job.version, 4);
    snapshot_unref(s);
    assert_int_equal(seen(c, "a"), -1);
    snapshot_unref(put(c, "a", 5, JOB_RUNNING));
    assert_int_equal(seen(c, "a"), 5);
    cache_free(c);
}

static void nothing_is_served_while_the_event_stream_is_silent(void **state)
{
    struct cache *c = cache_new(100);

    (void)state;
    snapshot_unref(put(c, "a", 1, JOB_SUCCEEDED));
    assert_int_equal(seen(c, "a"), -1);
    cache_alive(c);
    assert_int_equal(seen(c, "a"), 1);
    clock_sleep_ms(CACHE_FRESH_MS + 20);
    assert_int_equal(seen(c, "a"), -1);
    cache_alive(c);
    cache_flush(c);
    assert_int_equal(seen(c, "a"), -1);
    cache_free(c);
}

static void old_entries_make_room(void **state)
{
    struct cache *c = cache_new(160);
    char id[ID_SIZE];
    int kept = 0;

    (void)state;
    cache_alive(c);
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof(id), "job%d", i);
        snapshot_unref(put(c, id, 1, JOB_RUNNING));
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof(id), "job%d", i);
        cache_alive(c); /* however slow this is */
        kept += seen(c, id) == 1;
    }
    assert_in_range(kept, 100, 200);
    cache_free(c);
}

static void a_snapshot_outlives_the_cache(void **state)
{
    struct cache *c = cache_new(10);
    struct snapshot *s = put(c, "a", 7, JOB_SUCCEEDED);

    (void)state;
    cache_free(c);
    assert_string_equal(s->tag, "\"v7\"");
    assert_true(s->terminal);
    assert_int_equal(s->whole->status, 200);
    assert_int_equal(s->unchanged->status, 304);
    assert_int_equal(strlen(s->text), s->whole->size);
    snapshot_unref(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_holds_until_an_event_tells_of_a_newer_one),
        cmocka_unit_test(a_slow_reader_does_not_bring_back_an_old_version),
        cmocka_unit_test(nothing_is_served_while_the_event_stream_is_silent),
        cmocka_unit_test(old_entries_make_room),
        cmocka_unit_test(a_snapshot_outlives_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
