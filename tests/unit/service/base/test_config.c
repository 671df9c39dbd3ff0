#include "base/config.h"
#include "base/buf.h"
#include "base/fs.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static int read_args(struct config *c, int who, bool rest, struct err *e, const char *a, const char *b, const char *d)
{
    char *argv[5] = {(char *)(uintptr_t) "program", (char *)(uintptr_t)a, (char *)(uintptr_t)b, (char *)(uintptr_t)d,
                     NULL};
    int argc = 1;
    while (argc < 4 && argv[argc])
        argc++;
    return config_read(c, who, &argc, argv, rest, e);
}

static void later_sources_win_over_earlier_ones(void **state)
{
    char path[] = "/tmp/test_config.XXXXXX";
    static const char text[] = "# comment\n\nLONGANIM_LEASE_MS=1000\nLONGANIM_DEVICE = x\nLONGANIM_BEAT_MS=100\r\n";
    struct config c;
    struct err e;
    int fd = mkstemp(path);
    (void)state;
    assert_int_equal(write(fd, text, strlen(text) - 1), (ssize_t)strlen(text) - 1);
    close(fd);
    assert_int_equal(read_args(&c, CONFIG_WORKER, false, &e, "--config", path, NULL), -1);
    assert_string_equal(e.field, "LONGANIM_DEVICE ");
    fd = open(path, O_WRONLY | O_TRUNC);
    static const char good[] =
        "LONGANIM_LEASE_MS=1000\nLONGANIM_DEVICE=cuda\nLONGANIM_BEAT_MS=100\r\nLONGANIM_POOLS=a\n";
    assert_int_equal(write(fd, good, strlen(good)), (ssize_t)strlen(good));
    close(fd);
    setenv("LONGANIM_BEAT_MS", "200", 1);
    setenv("LONGANIM_POOLS", "", 1);
    assert_int_equal(read_args(&c, CONFIG_WORKER, false, &e, "--config", path, "--device=cpu"), 0);
    assert_int_equal(c.lease_ms, 1000);
    assert_int_equal(c.beat_ms, 200);
    assert_string_equal(c.device, "cpu");
    assert_string_equal(c.pools, "a");
    assert_int_equal(c.max_pixels, 4096 * 4096);
    config_free(&c);
    unsetenv("LONGANIM_BEAT_MS");
    unlink(path);
    assert_int_equal(read_args(&c, CONFIG_WORKER, false, &e, "--config", path, NULL), -1);
    assert_int_equal(e.code, ERR_params_invalid);
}

static void an_unknown_flag_is_refused_with_the_nearest_one(void **state)
{
    struct config c;
    struct err e;
    (void)state;
    assert_int_equal(read_args(&c, CONFIG_API, false, &e, "--lissen", "x", NULL), -1);
    assert_int_equal(e.code, ERR_params_invalid);
    assert_non_null(strstr(e.detail, "--listen"));
    assert_int_equal(read_args(&c, CONFIG_API, false, &e, "--device", "cpu", NULL), -1); /* the worker's */
    assert_int_equal(read_args(&c, CONFIG_API, false, &e, "stray", NULL, NULL), -1);
    assert_int_equal(read_args(&c, CONFIG_API, false, &e, "--listen", NULL, NULL), -1);
    assert_non_null(strstr(e.detail, "needs a value"));
}

static void bad_values_name_the_setting_and_its_source(void **state)
{
    static const char *const bad[] = {"0", "x", "12x", "99999999999999999999", "-5", " 7", "+7"};
    struct config c;
    struct err e;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("LONGANIM_MAX_FRAMES", bad[i], 1);
        assert_int_equal(read_args(&c, CONFIG_API, false, &e, NULL, NULL, NULL), -1);
        assert_string_equal(e.field, "LONGANIM_MAX_FRAMES");
        assert_non_null(strstr(e.detail, "environment"));
    }
    unsetenv("LONGANIM_MAX_FRAMES");
}

static void pixels_are_a_size_or_a_number(void **state)
{
    struct config c;
    struct err e;
    (void)state;
    setenv("LONGANIM_MAX_PIXELS", "640x480", 1);
    assert_int_equal(read_args(&c, CONFIG_API, false, &e, NULL, NULL, NULL), 0);
    assert_int_equal(c.max_pixels, 640 * 480);
    config_free(&c);
    setenv("LONGANIM_MAX_PIXELS", "307200", 1);
    assert_int_equal(read_args(&c, CONFIG_API, false, &e, NULL, NULL, NULL), 0);
    assert_int_equal(c.max_pixels, 307200);
    config_free(&c);
    static const char *const bad[] = {"640x", "x480", "640x480x3", "9223372036854775807x9223372036854775807",
                                      "640X480"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("LONGANIM_MAX_PIXELS", bad[i], 1);
        assert_int_equal(read_args(&c, CONFIG_API, false, &e, NULL, NULL, NULL), -1);
    }
    unsetenv("LONGANIM_MAX_PIXELS");
}

static void the_rest_is_left_for_the_caller(void **state)
{
    char *argv[] = {(char[]){"longanim"}, (char[]){"submit"},   (char[]){"--device"},
                    (char[]){"cpu"},      (char[]){"--seed"},   (char[]){"7"},
                    (char[]){"--"},       (char[]){"--device"}, NULL};
    int argc = 8;
    struct config c;
    struct err e;
    (void)state;
    assert_int_equal(config_read(&c, CONFIG_TOOL, &argc, argv, true, &e), 0);
    assert_int_equal(argc, 6);
    assert_string_equal(argv[1], "submit");
    assert_string_equal(argv[2], "--seed");
    assert_string_equal(argv[4], "--");
    assert_string_equal(argv[5], "--device");
    assert_null(argv[6]);
    assert_string_equal(c.device, "cpu");
    config_free(&c);
}

static void a_word_that_is_no_choice_is_refused_with_the_choices(void **state)
{
    struct config c;
    struct err e;
    (void)state;
    assert_int_equal(read_args(&c, CONFIG_API, false, &e, "--log=verbose", NULL, NULL), -1);
    assert_string_equal(e.field, "LONGANIM_LOG");
    assert_non_null(strstr(e.detail, "debug, info, warn or error, not verbose"));
    assert_int_equal(read_args(&c, CONFIG_API, false, &e, "--log=", NULL, NULL), 0);
    assert_string_equal(c.log_level, "info");
    config_free(&c);
    assert_int_equal(read_args(&c, CONFIG_API, false, &e, "--log", "warn", NULL), 0);
    assert_string_equal(c.log_level, "warn");
    config_free(&c);
}

static void passwords_are_not_shown(void **state)
{
    struct config c;
    struct err e;
    (void)state;
    assert_int_equal(read_args(&c, CONFIG_API, false, &e, "--redis=redis://user:sec@ret@host:6379/1", NULL, NULL), 0);
    char *text = config_text(&c, CONFIG_API);
    assert_null(strstr(text, "ret@"));
    assert_non_null(strstr(text, "redis://***@host:6379/1"));
    free(text);
    config_free(&c);
}

/* make docs writes it. */
static void the_page_of_settings_is_current(void **state)
{
    struct buf file;
    struct err e;
    char *text = NULL;
    size_t size = 0;
    (void)state;
    FILE *memory = open_memstream(&text, &size);
    config_doc(memory);
    fclose(memory);
    buf_init(&file, 1 << 20);
    assert_int_equal(fs_read("docs/config.md", &file, &e), 0);
    assert_string_equal(file.data, text);
    buf_free(&file);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later_sources_win_over_earlier_ones),
        cmocka_unit_test(an_unknown_flag_is_refused_with_the_nearest_one),
        cmocka_unit_test(bad_values_name_the_setting_and_its_source),
        cmocka_unit_test(pixels_are_a_size_or_a_number),
        cmocka_unit_test(the_rest_is_left_for_the_caller),
        cmocka_unit_test(a_word_that_is_no_choice_is_refused_with_the_choices),
        cmocka_unit_test(passwords_are_not_shown),
        cmocka_unit_test(the_page_of_settings_is_current),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
