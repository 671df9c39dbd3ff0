#include "probe/probe_client.h"

#include "base/clock.h"
#include "base/log.h"
#include "tests/support/beside.h"
#include "tests/support/tiny_media.h"

#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static struct media_limits limits;

static int good_png(void)
{
    uint8_t data[4096];
    return tiny_file(data, tiny_png(data, 32, 24, 24));
}

/* The prober is our only child. */
static pid_t prober_pid(void)
{
    char path[64], text[64] = "";
    snprintf(path, sizeof path, "/proc/self/task");
    DIR *tasks = opendir(path);
    pid_t found = 0;
    for (struct dirent *d; (d = readdir(tasks)) && !found;) {
        snprintf(path, sizeof path, "/proc/self/task/%.20s/children", d->d_name);
        FILE *f = fopen(path, "r");
        if (f && fgets(text, sizeof text, f))
            found = (pid_t)strtol(text, NULL, 10);
        if (f)
            fclose(f);
    }
    closedir(tasks);
    return found;
}

static int ask(struct probe_client *p, int fd, bool as_still, struct media_info *out, struct err *e)
{
    struct media_info info[PROBE_FILES_MAX];
    struct probe_file file = {.fd = fd, .as_still = as_still};
    int refused = 7, result = probe_client_ask(p, &file, 1, info, &refused, e);
    if (result == 0)
        *out = info[0];
    assert_true(refused == -1 || (result != 0 && refused == 0));
    return result;
}

static void a_picture_is_described(void **state)
{
    struct media_info info;
    struct err e = {0};
    int fd = good_png();
    assert_int_equal(ask(*state, fd, true, &info, &e), 0);
    assert_int_equal(info.kind, MEDIA_STILL);
    assert_string_equal(info.codec, "png");
    assert_int_equal(info.width, 32);
    assert_int_equal(info.height, 24);
    close(fd);
}

static void a_refusal_names_its_reason(void **state)
{
    struct media_info info;
    struct err e = {0};
    int fd = tiny_file("hello, this is text", 19);
    assert_int_equal(ask(*state, fd, false, &info, &e), -1);
    assert_int_equal(e.code, ERR_media_container_refused);
    close(fd);
    uint8_t data[8192];
    fd = tiny_file(data, tiny_png(data, 15000, 15000, 1));
    assert_int_equal(ask(*state, fd, true, &info, &e), -1);
    assert_int_equal(e.code, ERR_media_too_many_pixels);
    close(fd);
}

static void what_is_not_a_file_is_refused(void **state)
{
    struct media_info info;
    struct err e = {0};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(ask(*state, ends[0], false, &info, &e), -1);
    assert_int_equal(e.code, ERR_media_unreadable);
    close(ends[0]);
    close(ends[1]);
}

static void *ask_often(void *user)
{
    intptr_t wrong = 0;
    for (int i = 0; i < 20; i++) {
        uint8_t data[4096];
        struct media_info info = {0};
        uint32_t width = 16 + (uint32_t)i;
        int fd = tiny_file(data, tiny_png(data, width, 16, 16));
        wrong += ask(user, fd, true, &info, NULL) != 0 || info.width != (int32_t)width;
        close(fd);
    }
    return (void *)wrong;
}

static void answers_reach_whoever_asked(void **state)
{
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, *state), 0);
    for (int i = 0; i < 8; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

static int bomb = -1; /* a small file of 39 million grey pixels, within the limit */

static void *ask_with_the_bomb(void *user)
{
    struct media_info info = {0};
    return (void *)(intptr_t)ask(user, bomb, true, &info, NULL);
}

static void sixteen_heavy_files_do_not_stop_a_small_one(void **state)
{
    pthread_t threads[16];
    struct media_info info;
    uint8_t *data = malloc(1 << 20);
    bomb = tiny_file(data, tiny_png(data, 6250, 6250, 6250));
    free(data);
    for (int i = 0; i < 16; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_with_the_bomb, *state), 0);
    int fd = good_png();
    assert_int_equal(ask(*state, fd, true, &info, NULL), 0);
    close(fd);
    for (int i = 0; i < 16; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    close(bomb);
}

static void a_dead_prober_is_replaced_within_a_second(void **state)
{
    struct media_info info;
    struct err e = {0};
    pid_t before = prober_pid();
    assert_true(before > 0);
    kill(before, SIGKILL);
    int64_t start_ms = clock_mono_ms();
    int fd = good_png(), got;
    while ((got = ask(*state, fd, true, &info, &e)) != 0) {
        assert_int_equal(e.code, ERR_overloaded);
        assert_true(clock_mono_ms() - start_ms < 1000);
    }
    assert_true(clock_mono_ms() - start_ms < 1000);
    assert_int_not_equal(prober_pid(), before);
    close(fd);
}

static void the_files_of_one_upload_are_described_in_order_and_the_first_bad_one_is_named(void **state)
{
    uint8_t data[4096];
    struct media_info info[PROBE_FILES_MAX];
    struct probe_file files[PROBE_FILES_MAX];
    struct err e = {0};
    int refused = 7;
    for (int i = 0; i < PROBE_FILES_MAX; i++)
        files[i] =
            (struct probe_file){.fd = tiny_file(data, tiny_png(data, 32 + (uint32_t)i, 24, 24)), .as_still = true};
    assert_int_equal(probe_client_ask(*state, files, PROBE_FILES_MAX, info, &refused, &e), 0);
    assert_int_equal(refused, -1);
    for (int i = 0; i < PROBE_FILES_MAX; i++)
        assert_int_equal(info[i].width, 32 + i);
    close(files[3].fd);
    files[3].fd = tiny_file("hello, this is text", 19);
    assert_int_equal(probe_client_ask(*state, files, PROBE_FILES_MAX, info, &refused, &e), -1);
    assert_int_equal(refused, 3);
    assert_int_equal(err_info(e.code)->class, ERR_CLASS_MEDIA);
    files[1].as_still = false; /* a picture where a video is wanted comes before it */
    assert_int_equal(probe_client_ask(*state, files, PROBE_FILES_MAX, info, &refused, &e), -1);
    assert_int_equal(refused, 1);
    for (int i = 0; i < PROBE_FILES_MAX; i++)
        close(files[i].fd);
}

static int start(void **state)
{
    struct err e = {0};
    log_init("test", LOG_ERROR);
    beside_link("longanim-probe");
    media_limits_default(&limits);
    if (probe_client_start((struct probe_client **)state, &limits, &e) != 0) {
        fprintf(stderr, "%s\n", e.detail);
        return -1;
    }
    return 0;
}

static int stop(void **state)
{
    int64_t start_ms = clock_mono_ms();
    probe_client_stop(*state);
    assert_true(clock_mono_ms() - start_ms < 2000);
    assert_int_equal(prober_pid(), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_picture_is_described),
        cmocka_unit_test(a_refusal_names_its_reason),
        cmocka_unit_test(the_files_of_one_upload_are_described_in_order_and_the_first_bad_one_is_named),
        cmocka_unit_test(what_is_not_a_file_is_refused),
        cmocka_unit_test(answers_reach_whoever_asked),
        cmocka_unit_test(sixteen_heavy_files_do_not_stop_a_small_one),
        cmocka_unit_test(a_dead_prober_is_replaced_within_a_second),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
