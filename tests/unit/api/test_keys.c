#include "api/keys.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char path[] = "/tmp/longanim-keys-XXXXXX";

static void write_keys(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void write_keys(const char *format, ...)
{
    FILE *file = fopen(path, "w");
    va_list args;

    assert_non_null(file);
    va_start(args, format);
    vfprintf(file, format, args);
    va_end(args);
    fclose(file);
}

static const struct key_limits defaults = {6000, 100, 0, 0, 50, 1};

static const char *hex(const char *secret)
{
    static char out[4][HASH_HEX_SIZE];
    static int n;

    n = (n + 1) % 4;
    hash_bytes(secret, strlen(secret), out[n]);
    return out[n];
}

static void keys_are_found_by_their_hash(void **state)
{
    struct keys *keys = NULL;
    struct identity who;
    struct err e;

    (void)state;
    write_keys("# studio keys\n\nanna %s submit,read\nbert %s admin 2099-01-01T00:00:00Z # the operator\n"
               "old %s read 2020-01-01T00:00:00Z\n",
               hex("secret-a"), hex("secret-b"), hex("secret-o"));
    assert_int_equal(keys_open(&keys, path, &defaults, &e), 0);
    assert_true(keys_required(keys));
    assert_int_equal(keys_check(keys, "Bearer secret-a", &who, &e), 0);
    assert_string_equal(who.tenant, "anna");
    assert_int_equal(who.scopes, SCOPE_SUBMIT | SCOPE_READ);
    assert_int_equal(keys_check(keys, "bearer  secret-b ", &who, &e), 0);
    assert_int_equal(who.scopes, SCOPE_ADMIN);
    assert_int_equal(keys_check(keys, "Bearer secret-o", &who, &e), -1);
    assert_int_equal(e.code, ERR_key_expired);
    assert_int_equal(keys_check(keys, "Bearer secret", &who, &e), -1);
    assert_int_equal(e.code, ERR_dependency_storage); /* it may be one that was made through the API */
    keys_take_made(keys, NULL, 0);
    static const char *const bad[] = {NULL, "", "Bearer", "Bearer ", "Bearer secret", "Basic secret-a", "secret-a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_int_equal(keys_check(keys, bad[i], &who, &e), -1);
        assert_int_equal(e.code, ERR_unauthenticated);
    }
    keys_close(keys);
}

static void without_a_file_everybody_may_do_everything(void **state)
{
    struct keys *keys = NULL;
    struct identity who;
    struct err e;

    (void)state;
    assert_int_equal(keys_open(&keys, "", &defaults, &e), 0);
    assert_false(keys_required(keys));
    assert_int_equal(keys_check(keys, NULL, &who, &e), 0);
    assert_int_equal(who.scopes, SCOPE_ALL);
    keys_close(keys);
}

static void a_broken_file_names_its_line_and_the_old_keys_stay(void **state)
{
    static const char *const bad[] = {"anna x submit",       "anna",
                                      "an/na %s submit",     "anna %s all",
                                      "anna %s submit soon", "anna %s submit 2099-01-01T00:00:00Z more"};
    struct keys *keys = NULL;
    struct identity who;
    struct err e;

    (void)state;
    write_keys("anna %s submit\n", hex("s"));
    assert_int_equal(keys_open(&keys, path, &defaults, &e), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char line[256];
        const char *at = strstr(bad[i], "%s");
        if (at)
            snprintf(line, sizeof(line), "%.*s%s%s", (int)(at - bad[i]), bad[i], hex("t"), at + 2);
        else
            snprintf(line, sizeof(line), "%s", bad[i]);
        write_keys("# one\n%s\n", line);
        assert_int_equal(keys_reload(keys, &e), -1);
        assert_int_equal(e.code, ERR_params_invalid);
        assert_non_null(strstr(e.detail, "line 2"));
        assert_null(strstr(e.detail, hex("t")));
        assert_int_equal(keys_check(keys, "Bearer s", &who, &e), 0);
    }
    write_keys("carl %s read\n", hex("c"));
    assert_int_equal(keys_reload(keys, &e), 0);
    assert_int_equal(keys_check(keys, "Bearer s", &who, &e), -1);
    assert_int_equal(keys_check(keys, "Bearer c", &who, &e), 0);
    keys_close(keys);
    assert_int_equal(keys_open(&keys, "/nonexistent/keys", &defaults, &e), -1);
}

static void limits_come_from_the_key_or_the_file_or_the_settings(void **state)
{
    struct keys *keys = NULL;
    struct identity who;
    struct err e;

    (void)state;
    write_keys(
        "* rate=60 storage=2G\nanna %s submit rate=5 running=2 weight=3\nbert %s read 2099-01-01T00:00:00Z queued=7\n",
        hex("a"), hex("b"));
    assert_int_equal(keys_open(&keys, path, &defaults, &e), 0);
    assert_int_equal(keys_check(keys, "Bearer a", &who, &e), 0);
    assert_int_equal(who.limits.rate_per_minute, 5);
    assert_int_equal(who.limits.running, 2);
    assert_int_equal(who.limits.weight, 3);
    assert_int_equal(who.limits.queued, 100);
    assert_int_equal(who.limits.stored_bytes, INT64_C(2) << 30);
    assert_int_equal(keys_check(keys, "Bearer b", &who, &e), 0);
    assert_int_equal(who.limits.rate_per_minute, 60);
    assert_int_equal(who.limits.queued, 7);
    assert_int_equal(who.limits.weight, 1);
    keys_close(keys);
}

static void a_rotated_key_has_two_secrets_for_a_while_and_a_revoked_one_none(void **state)
{
    struct key *list = calloc(1, sizeof(*list)),
               key = {.id = "carl", .scopes = SCOPE_READ, .limits = KEY_LIMITS_DEFAULT};
    char first[KEY_SECRET_SIZE], second[KEY_SECRET_SIZE], header[KEY_SECRET_SIZE + 8];
    struct keys *keys = NULL;
    struct identity who;
    struct key back;
    json_t *object;
    struct err e;

    (void)state;
    assert_non_null(list);
    write_keys("anna %s submit\n", hex("a"));
    assert_int_equal(keys_open(&keys, path, &defaults, &e), 0);
    key_draw_secret(&key, 0, first);
    key_draw_secret(&key, INT64_MAX / 2, second);
    object = key_json(&key);
    assert_int_equal(key_parse(&back, object, &e), 0);
    json_decref(object);
    assert_memory_equal(&back.secrets, &key.secrets, sizeof(key.secrets));
    *list = back;
    keys_take_made(keys, list, 1);
    snprintf(header, sizeof(header), "Bearer %s", first);
    assert_int_equal(keys_check(keys, header, &who, &e), 0);
    assert_string_equal(who.tenant, "carl");
    snprintf(header, sizeof(header), "Bearer %s", second);
    assert_int_equal(keys_check(keys, header, &who, &e), 0);
    list = calloc(1, sizeof(*list));
    assert_non_null(list);
    *list = back;
    list->revoked_ms = 1;
    keys_take_made(keys, list, 1);
    assert_int_equal(keys_check(keys, header, &who, &e), -1);
    assert_int_equal(e.code, ERR_unauthenticated);
    keys_close(keys);
}

static int setup(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    close(fd);
    return fd < 0;
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found_by_their_hash),
        cmocka_unit_test(without_a_file_everybody_may_do_everything),
        cmocka_unit_test(a_broken_file_names_its_line_and_the_old_keys_stay),
        cmocka_unit_test(limits_come_from_the_key_or_the_file_or_the_settings),
        cmocka_unit_test(a_rotated_key_has_two_secrets_for_a_while_and_a_revoked_one_none),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
