#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void an_append_past_the_ceiling_fails_and_stays_failed(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 8);
    assert_int_equal(buf_add_str(&b, "12345678"), 0);
    assert_int_equal(b.size, 8);
    assert_string_equal(b.data, "12345678");
    assert_int_equal(buf_add(&b, "9", 1), -1);
    assert_null(b.data);
    assert_int_equal(buf_add(&b, "", 0), -1);
    assert_null(buf_take(&b, NULL));
    buf_free(&b);
}

static void an_empty_buffer_is_taken_as_empty_text(void **state)
{
    struct buf b;
    size_t size = 7;
    (void)state;
    buf_init(&b, 8);
    char *text = buf_take(&b, &size);
    assert_string_equal(text, "");
    assert_int_equal(size, 0);
    free(text);
}

static void formatted_text_grows_the_buffer_to_its_ceiling(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 100000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_printf(&b, "%04d;", i), 0);
    assert_int_equal(b.size, 5000);
    assert_memory_equal(b.data + 4990, "0998;0999;", 11);
    buf_reset(&b);
    assert_int_equal(b.size, 0);
    buf_free(&b);
}

static void times_are_written_and_read_as_rfc_3339(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {{"1970-01-01T00:00:00Z", 0},
                {"2026-11-23T05:26:37.123Z", 1795411597123},
                {"2026-11-23T06:26:37.1234+01:00", 1795411597123},
                {"2024-02-29T00:00:00Z", 1709164800000},
                {"1969-12-31T23:59:59.999Z", -1}};
    static const char *const bad[] = {"",
                                      "2026-11-23",
                                      "2026-13-01T00:00:00Z",
                                      "2025-02-29T00:00:00Z",
                                      "2026-11-23T25:00:00Z",
                                      "2026-11-23T05:26:37",
                                      "2026-11-23T05:26:37.Z",
                                      "2026-11-23T05:26:37Zx"};
    char text[CLOCK_TEXT_SIZE];
    int64_t ms = 0;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(clock_parse(rows[i].text, &ms), 0);
        assert_true(ms == rows[i].ms);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(clock_parse(bad[i], &ms), -1);
    clock_format(1795411597123, text);
    assert_string_equal(text, "2026-11-23T05:26:37.123Z");
    clock_format(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59.999Z");
    clock_format(INT64_MAX, text);
    assert_int_equal(strlen(text), 24);
}

static void ids_sort_by_time_and_are_recognised(void **state)
{
    char a[ID_SIZE], b[ID_SIZE], u[ID_SIZE];
    (void)state;
    id_new_job(a);
    clock_sleep_ms(3);
    id_new_job(b);
    id_new_upload(u);
    assert_true(strcmp(a, b) < 0);
    assert_true(id_is_job(a) && id_is_job(b) && id_is_upload(u));
    assert_false(id_is_job(u));
    assert_false(id_is_job("j0_01JABCDEFGHJKMNPQRSTVWXYZ"));
    assert_false(id_is_job("j0_01JABCDEFGHJKMNPQRSTVWXYZ00"));
    assert_false(id_is_job("j0_01JABCDEFGHJKMNPQRSTVWXYI0"));
    assert_true(id_is_job("j0_01JABCDEFGHJKMNPQRSTVWXYZ0"));
    for (int i = 0; i < 100; i++)
        assert_true(id_random_seed() >= 0);
}

static void hashes_match_the_published_vectors(void **state)
{
    char hex[HASH_HEX_SIZE], path[] = "/tmp/test_hash.XXXXXX";
    int64_t size = 0;
    struct err e;
    (void)state;
    hash_bytes("abc", 3, hex); /* FIPS 180-2 */
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "abc", 3), 3);
    close(fd);
    assert_int_equal(hash_file(path, hex, &size, &e), 0);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(size, 3);
    unlink(path);
    assert_int_equal(hash_file(path, hex, &size, &e), -1);
    assert_int_equal(e.code, ERR_internal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_append_past_the_ceiling_fails_and_stays_failed),
        cmocka_unit_test(an_empty_buffer_is_taken_as_empty_text),
        cmocka_unit_test(formatted_text_grows_the_buffer_to_its_ceiling),
        cmocka_unit_test(times_are_written_and_read_as_rfc_3339),
        cmocka_unit_test(ids_sort_by_time_and_are_recognised),
        cmocka_unit_test(hashes_match_the_published_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
