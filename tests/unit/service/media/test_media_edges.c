/* Pictures that end where the process' memory ends: what reads past them dies here, and not one day at a user's size.
 */
#include "media/media.h"

#include "tests/support/scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char folder[256];

static void in_folder(char out[512], const char *name)
{
    snprintf(out, 512, "%s/%s", folder, name);
}

struct edge {
    uint8_t *map, *pixels; /* size bytes, then nothing */
    size_t whole;
};

static struct edge edge_make(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (size + page - 1) / page * page;
    struct edge e = {.whole = room + page};
    e.map = mmap(NULL, e.whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(e.map != MAP_FAILED);
    assert_int_equal(mprotect(e.map + room, page, PROT_NONE), 0);
    e.pixels = e.map + room - size;
    for (size_t i = 0; i < size; i++)
        e.pixels[i] = (uint8_t)(i * 7);
    return e;
}

static void edge_free(struct edge *e)
{
    munmap(e->map, e->whole);
}

static const struct {
    int32_t width, height;
} sizes[] = {{64, 48}, {96, 64}, {63, 47}, {50, 38}, {17, 33}, {130, 66}, {576, 320}};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void write_one(enum media_format format, const char *name, int32_t w, int32_t h, int channels)
{
    struct media_write_conf conf = {.format = format,
                                    .width = w,
                                    .height = h,
                                    .channels = channels,
                                    .time_base_num = 1,
                                    .time_base_den = 24,
                                    .fps_num = 24,
                                    .fps_den = 1,
                                    .threads = 1};
    struct edge picture = edge_make((size_t)w * (size_t)h * (size_t)channels);
    struct media_writer *writer;
    struct err e = {0};
    char path[512];
    in_folder(path, name);
    if (media_writer_open(&writer, path, &conf, &e) != 0)
        fail_msg("%s %dx%d: %s", name, w, h, e.detail);
    for (int n = 0; n < 3; n++)
        if (media_writer_put(writer, picture.pixels, n, NULL, &e) != 0)
            fail_msg("%s %dx%d: %s", name, w, h, e.detail);
    if (media_writer_close(writer, 1, &e) != 0)
        fail_msg("%s %dx%d: %s", name, w, h, e.detail);
    edge_free(&picture);
}

static void videos_are_written_from_what_is_theirs_alone(void **state)
{
    static const struct {
        enum media_format format;
        const char *name;
        int channels;
    } kinds[] = {{MEDIA_MP4, "a.mp4", 3},     {MEDIA_MOV, "a.mov", 3},      {MEDIA_MOV, "b.mov", 4},
                 {MEDIA_WEBM, "a.webm", 3},   {MEDIA_LOSSLESS, "a.mkv", 3}, {MEDIA_LOSSLESS, "b.mkv", 4},
                 {MEDIA_PNG_ZIP, "a.zip", 3}, {MEDIA_PNG_ZIP, "b.zip", 4}};
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
        for (int i = 0; i < SIZES; i++)
            write_one(kinds[k].format, kinds[k].name, sizes[i].width, sizes[i].height, kinds[k].channels);
}

static void stills_are_written_from_what_is_theirs_alone(void **state)
{
    struct err e = {0};
    char path[512];
    (void)state;
    for (int i = 0; i < SIZES; i++) {
        struct edge picture = edge_make((size_t)sizes[i].width * (size_t)sizes[i].height * 3);
        in_folder(path, "a.jpg");
        assert_int_equal(media_write_jpeg(path, picture.pixels, sizes[i].width, sizes[i].height, 80, &e), 0);
        in_folder(path, "a.png");
        assert_int_equal(media_write_png(path, picture.pixels, sizes[i].width, sizes[i].height, 3, &e), 0);
        edge_free(&picture);
    }
}

static void pictures_are_scaled_within_their_bounds(void **state)
{
    struct err e = {0};
    (void)state;
    for (int i = 0; i < SIZES; i++)
        for (int k = 0; k < SIZES; k++) {
            struct edge from = edge_make((size_t)sizes[i].width * (size_t)sizes[i].height * 3);
            struct edge to = edge_make((size_t)sizes[k].width * (size_t)sizes[k].height * 3);
            assert_int_equal(media_scale(from.pixels, sizes[i].width, sizes[i].height, 3, to.pixels, sizes[k].width,
                                         sizes[k].height, &e),
                             0);
            edge_free(&from);
            edge_free(&to);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(videos_are_written_from_what_is_theirs_alone),
        cmocka_unit_test(stills_are_written_from_what_is_theirs_alone),
        cmocka_unit_test(pictures_are_scaled_within_their_bounds),
    };
    char path[512];
    if (make_scratch(folder, sizeof folder) != 0)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    static const char *const names[] = {"a.mp4", "a.mov", "b.mov", "a.webm", "a.mkv",
                                        "b.mkv", "a.zip", "b.zip", "a.jpg",  "a.png"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        in_folder(path, names[i]);
        unlink(path);
    }
    rmdir(folder);
    return failed;
}
