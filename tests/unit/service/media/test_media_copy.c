/* Reader to writer and back. With arguments it is the copier that tests/media uses:
 * test_media_copy IN OUT mp4|webm|mov|png.zip|mkv [alpha] */
#include "media/media.h"

#include "base/fs.h"
#include "base/hash.h"
#include "base/log.h"
#include "tests/support/beside.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[64];
static struct media_limits limits;

static const struct {
    const char *name;
    enum media_format format;
} formats[] = {
    {"mp4", MEDIA_MP4}, {"webm", MEDIA_WEBM}, {"mov", MEDIA_MOV}, {"png.zip", MEDIA_PNG_ZIP}, {"mkv", MEDIA_LOSSLESS}};

static int copy(const char *in, const char *out, enum media_format format, bool alpha, struct err *e)
{
    struct media_reader *r = NULL;
    struct media_writer *w = NULL;
    struct media_frame f;
    int64_t duration = 0;
    int got;
    if (media_reader_open(&r, in, alpha, &limits, e) != 0)
        return -1;
    const struct media_info *info = media_reader_info(r);
    struct media_write_conf conf = {.format = format, .width = info->width, .height = info->height};
    media_reader_time_base(r, &conf.time_base_num, &conf.time_base_den);
    conf.fps_num = info->fps_num;
    conf.fps_den = info->fps_den;
    if (info->kind == MEDIA_FRAMES_ZIP)
        conf.time_base_den = conf.fps_num = 24;
    while ((got = media_reader_next(r, &f, e)) == 1) {
        conf.channels = f.channels;
        if (!w && media_writer_open(&w, out, &conf, e) != 0)
            break;
        if (media_writer_put(w, f.pixels, f.pts >= 0 ? f.pts : f.index, f.name, e) != 0)
            break;
        duration = f.duration;
    }
    media_reader_close(r);
    if (got == 0)
        return media_writer_close(w, duration, e);
    media_writer_abort(w);
    return -1;
}

static int copy_for_python(int argc, char **argv)
{
    struct err e = {0};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(argv[3], formats[i].name) == 0) {
            if (copy(argv[1], argv[2], formats[i].format, argc > 4, &e) == 0)
                return 0;
            printf("%s: %s\n", err_info(e.code)->name, e.detail);
            return 3;
        }
    return 2;
}

/* ---- pictures that tell whether they were kept ---- */
static void paint(uint8_t *pixels, int w, int h, int channels, int n)
{
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            uint8_t *p = pixels + ((size_t)y * (size_t)w + (size_t)x) * (size_t)channels;
            p[0] = (uint8_t)(x * 7 + n * 11);
            p[1] = (uint8_t)(y * 5 + n * 3);
            p[2] = (uint8_t)((x ^ y) * 3 + n);
            if (channels == 4)
                p[3] = (uint8_t)(x * 4 + n);
        }
}

static void path_of(char out[128], const char *name)
{
    snprintf(out, 128, "%s/%s", folder, name);
}

static void write_video(const char *path, const struct media_write_conf *c, int frames)
{
    struct media_writer *w;
    struct err e = {0};
    uint8_t *pixels = malloc((size_t)c->width * (size_t)c->height * (size_t)c->channels);
    if (media_writer_open(&w, path, c, &e) != 0)
        fail_msg("%s", e.detail);
    for (int i = 0; i < frames; i++) {
        paint(pixels, c->width, c->height, c->channels, i);
        if (media_writer_put(w, pixels, i, NULL, &e) != 0)
            fail_msg("%s", e.detail);
    }
    if (media_writer_close(w, 0, &e) != 0)
        fail_msg("%s", e.detail);
    free(pixels);
}

static struct media_write_conf conf_of(enum media_format format, int w, int h, int channels)
{
    return (struct media_write_conf){.format = format,
                                     .width = w,
                                     .height = h,
                                     .channels = channels,
                                     .time_base_num = 1,
                                     .time_base_den = 24,
                                     .fps_num = 24,
                                     .fps_den = 1};
}

/* Largest difference of any value; checks count, order and size on the way. */
static int worst_difference(const char *path, const struct media_write_conf *c, int frames)
{
    struct media_reader *r;
    struct media_frame f;
    struct err e = {0};
    int worst = 0, got, count = 0;
    size_t size = (size_t)c->width * (size_t)c->height * (size_t)c->channels;
    uint8_t *wanted = malloc(size);
    if (media_reader_open(&r, path, true, &limits, &e) != 0)
        fail_msg("%s", e.detail);
    assert_int_equal(media_reader_info(r)->frames, frames);
    while ((got = media_reader_next(r, &f, &e)) == 1) {
        assert_int_equal(f.width, c->width);
        assert_int_equal(f.height, c->height);
        assert_int_equal(f.channels, c->channels);
        assert_int_equal(f.index, count);
        paint(wanted, c->width, c->height, c->channels, count++);
        for (size_t i = 0; i < size; i++) {
            int d = abs(f.pixels[i] - wanted[i]);
            worst = d > worst ? d : worst;
        }
    }
    if (got != 0)
        fail_msg("%s", e.detail);
    assert_int_equal(count, frames);
    assert_int_equal(media_reader_next(r, &f, &e), 0);
    media_reader_close(r);
    free(wanted);
    return worst;
}

static void lossless_is_lossless(void **state)
{
    char path[128];
    (void)state;
    path_of(path, "a.mkv");
    for (int channels = 3; channels <= 4; channels++)
        for (int odd = 0; odd <= 1; odd++) {
            struct media_write_conf c = conf_of(MEDIA_LOSSLESS, 64 + odd, 48 + odd, channels);
            write_video(path, &c, 9);
            assert_int_equal(worst_difference(path, &c, 9), 0);
        }
}

/* Nobody draws one pixel, but whatever is accepted as input must come out of every writer. */
static void the_smallest_pictures_can_be_written(void **state)
{
    static const int sizes[][2] = {{1, 1}, {1, 40}, {3, 1}, {17, 9}};
    char path[128];
    (void)state;
    path_of(path, "tiny");
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
            for (int channels = 3; channels <= 4; channels++) {
                struct media_write_conf c = conf_of(formats[i].format, sizes[s][0], sizes[s][1], channels);
                /* libvpx 1.12 reads one byte beyond the colour planes of alpha when they have one pixel */
                if (c.format != MEDIA_WEBM || channels == 3 || (c.width > 1 && c.height > 1))
                    write_video(path, &c, 2);
            }
}

static void png_zip_is_lossless(void **state)
{
    char path[128];
    (void)state;
    path_of(path, "a.zip");
    for (int channels = 3; channels <= 4; channels++) {
        struct media_write_conf c = conf_of(MEDIA_PNG_ZIP, 65, 33, channels);
        write_video(path, &c, 5);
        assert_int_equal(worst_difference(path, &c, 5), 0);
    }
}

static void prores_keeps_colours_and_alpha(void **state)
{
    char path[128];
    (void)state;
    path_of(path, "a.mov");
    struct media_write_conf c = conf_of(MEDIA_MOV, 64, 48, 4);
    write_video(path, &c, 3);
    assert_true(worst_difference(path, &c, 3) < 60); /* the pattern is as hard as noise; a swapped channel gives 200 */
}

static void the_same_frames_give_the_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        char path[2][128], sum[2][HASH_HEX_SIZE];
        struct media_write_conf c = conf_of(formats[i].format, 96, 64, 3);
        for (int k = 0; k < 2; k++) {
            path_of(path[k], k ? "x" : "y");
            write_video(path[k], &c, 30);
            int64_t size;
            assert_int_equal(hash_file(path[k], sum[k], &size, NULL), 0);
        }
        assert_string_equal(sum[0], sum[1]);
    }
}

static void a_full_disk_is_said_and_leaves_nothing(void **state)
{
    struct rlimit before, small = {.rlim_cur = 2000, .rlim_max = RLIM_INFINITY};
    char path[128];
    (void)state;
    path_of(path, "full");
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    uint8_t *pixels = malloc(320 * 240 * 3);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct media_write_conf c = conf_of(formats[i].format, 320, 240, 3);
        struct media_writer *w = NULL;
        struct err e = {0};
        int result = 0;
        setrlimit(RLIMIT_FSIZE, &small);
        assert_int_equal(media_writer_open(&w, path, &c, &e), 0);
        for (int n = 0; n < 8 && result == 0; n++) {
            paint(pixels, 320, 240, 3, n);
            result = media_writer_put(w, pixels, n, NULL, &e);
        }
        if (result == 0)
            result = media_writer_close(w, 0, &e);
        else
            media_writer_abort(w);
        setrlimit(RLIMIT_FSIZE, &before);
        assert_int_equal(result, -1);
        assert_int_equal(e.code, ERR_storage_full);
        assert_int_equal(access(path, F_OK), -1);
    }
    free(pixels);
}

static void time_stamps_must_rise(void **state)
{
    char path[128];
    uint8_t pixels[16 * 16 * 3] = {0};
    struct media_writer *w;
    struct err e = {0};
    (void)state;
    path_of(path, "b.mp4");
    struct media_write_conf c = conf_of(MEDIA_MP4, 16, 16, 3);
    assert_int_equal(media_writer_open(&w, path, &c, NULL), 0);
    assert_int_equal(media_writer_put(w, pixels, 5, NULL, NULL), 0);
    assert_int_equal(media_writer_put(w, pixels, 5, NULL, &e), -1);
    assert_int_equal(e.code, ERR_encode_failed);
    media_writer_abort(w);
    assert_int_equal(access(path, F_OK), -1);
}

static void an_abandoned_reader_takes_its_child_along(void **state)
{
    char path[128], children[64], text[64] = "";
    struct media_reader *r;
    struct media_frame f;
    (void)state;
    path_of(path, "c.mkv");
    struct media_write_conf c = conf_of(MEDIA_LOSSLESS, 64, 48, 3);
    write_video(path, &c, 20);
    assert_int_equal(media_reader_open(&r, path, false, &limits, NULL), 0);
    assert_int_equal(media_reader_next(r, &f, NULL), 1);
    media_reader_close(r);
    snprintf(children, sizeof children, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(children, "r");
    assert_null(fgets(text, sizeof text, file));
    fclose(file);
}

static void a_decoder_that_is_killed_is_an_error_not_an_end(void **state)
{
    char path[128], children[64], text[64] = "";
    struct media_reader *r;
    struct media_frame f;
    struct err e = {0};
    int got;
    (void)state;
    path_of(path, "d.mkv");
    struct media_write_conf c = conf_of(MEDIA_LOSSLESS, 64, 48, 3);
    write_video(path, &c, 20);
    assert_int_equal(media_reader_open(&r, path, false, &limits, NULL), 0);
    snprintf(children, sizeof children, "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(children, "r");
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    kill((pid_t)strtol(text, NULL, 10), SIGKILL);
    while ((got = media_reader_next(r, &f, &e)) == 1)
        ;
    assert_int_equal(got, -1);
    assert_int_equal(e.code, ERR_overloaded);
    media_reader_close(r);
}

static void stills_come_with_three_or_four_channels(void **state)
{
    char path[128];
    uint8_t pixels[20 * 10 * 4], *read = NULL;
    int32_t w, h;
    struct err e = {0};
    (void)state;
    path_of(path, "s.png");
    paint(pixels, 20, 10, 4, 1);
    assert_int_equal(media_write_png(path, pixels, 20, 10, 4, &e), 0);
    assert_int_equal(media_still_read(path, 4, &limits, &read, &w, &h, &e), 0);
    assert_int_equal(w, 20);
    assert_int_equal(h, 10);
    assert_memory_equal(read, pixels, sizeof pixels);
    free(read);
    assert_int_equal(media_still_read(path, 3, &limits, &read, &w, &h, &e), 0);
    for (int i = 0; i < 200; i++) /* over white paper */
        for (int k = 0; k < 3; k++) {
            int a = pixels[4 * i + 3], wanted = (pixels[4 * i + k] * a + 255 * (255 - a) + 127) / 255;
            assert_int_equal(read[3 * i + k], wanted);
        }
    free(read);
    uint8_t grey[30 * 20 * 3];
    memset(grey, 100, sizeof grey);
    path_of(path, "s.jpg");
    assert_int_equal(media_write_jpeg(path, grey, 30, 20, 90, &e), 0);
    assert_int_equal(media_still_read(path, 3, &limits, &read, &w, &h, &e), 0);
    for (size_t i = 0; i < sizeof grey; i++)
        assert_true(abs(read[i] - 100) <= 1);
    free(read);
}

static void scaling_leaves_flat_colours_alone(void **state)
{
    (void)state;
    uint8_t src[40 * 30 * 3], dst[64 * 48 * 3];
    static const int sizes[][2] = {{64, 48}, {20, 15}, {13, 7}, {1, 1}, {64, 7}};
    for (int i = 0; i < 40 * 30; i++) {
        src[3 * i] = 250;
        src[3 * i + 1] = 3;
        src[3 * i + 2] = 77;
    }
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        assert_int_equal(media_scale(src, 40, 30, 3, dst, sizes[k][0], sizes[k][1], NULL), 0);
        for (int i = 0; i < sizes[k][0] * sizes[k][1]; i++) {
            assert_int_equal(dst[3 * i], 250);
            assert_int_equal(dst[3 * i + 1], 3);
            assert_int_equal(dst[3 * i + 2], 77);
        }
    }
}

static int setup(void **state)
{
    (void)state;
    log_init("test", LOG_ERROR);
    media_limits_default(&limits);
    snprintf(folder, sizeof folder, "/tmp/longanim-media-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return fs_remove_tree(folder, NULL);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lossless_is_lossless),
        cmocka_unit_test(the_smallest_pictures_can_be_written),
        cmocka_unit_test(png_zip_is_lossless),
        cmocka_unit_test(prores_keeps_colours_and_alpha),
        cmocka_unit_test(the_same_frames_give_the_same_bytes),
        cmocka_unit_test(a_full_disk_is_said_and_leaves_nothing),
        cmocka_unit_test(time_stamps_must_rise),
        cmocka_unit_test(an_abandoned_reader_takes_its_child_along),
        cmocka_unit_test(a_decoder_that_is_killed_is_an_error_not_an_end),
        cmocka_unit_test(stills_come_with_three_or_four_channels),
        cmocka_unit_test(scaling_leaves_flat_colours_alone),
    };
    beside_link("longanim-probe");
    media_limits_default(&limits);
    if (argc > 3)
        return copy_for_python(argc, argv);
    return cmocka_run_group_tests(tests, setup, teardown);
}
