/* How fast media files are looked at, decoded and written: usage: media FILE…
 * Processor seconds of the decoding child, so that a busy machine does not change the result; reading without and with
 * the look before it (an open reader has looked at the whole file). Then the writers, on the frames of the first file.
 */
#include "media/media.h"

#include "tests/support/beside.h"

#include <sys/resource.h>
#include <time.h>

enum { FRAMES = 48 };

static double children_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

static double own_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Child seconds of opening (most = 0) or reading the file to its end. */
static double read_cost(const char *path, int64_t most, int64_t *frames, struct media_info *info)
{
    struct media_limits limits;
    struct media_reader *r;
    struct media_frame f;
    struct err e = {0};
    double before = children_s();
    media_limits_default(&limits);
    if (media_reader_open(&r, path, false, &limits, &e) != 0) {
        fprintf(stderr, "%s: %s\n", path, e.detail);
        exit(1);
    }
    *info = *media_reader_info(r);
    for (*frames = 0; *frames < most && media_reader_next(r, &f, &e) == 1; ++*frames)
        ;
    media_reader_close(r);
    return children_s() - before;
}

static void read_file(const char *path)
{
    struct media_info info;
    int64_t frames, none;
    double look = read_cost(path, 0, &none, &info), all = read_cost(path, INT64_MAX, &frames, &info);
    printf("%-24s %s %dx%d, %lld frames: look %.0f ms, decode to RGB %.0f frames per core second\n", path, info.codec,
           info.width, info.height, (long long)frames, look * 1e3, (double)frames / (all - look));
}

static void write_formats(const char *path)
{
    static const char *const names[] = {"mp4", "webm", "mov", "png.zip", "lossless"};
    struct media_limits limits;
    struct media_reader *r;
    struct media_frame f;
    struct err e = {0};
    media_limits_default(&limits);
    if (media_reader_open(&r, path, false, &limits, &e) != 0 || media_reader_next(r, &f, &e) != 1)
        return;
    for (int format = MEDIA_MP4; format <= MEDIA_LOSSLESS; format++) {
        struct media_write_conf c = {.format = (enum media_format)format,
                                     .width = f.width,
                                     .height = f.height,
                                     .channels = 3,
                                     .time_base_num = 1,
                                     .time_base_den = 24,
                                     .fps_num = 24,
                                     .fps_den = 1};
        struct media_writer *w;
        double start = own_s();
        if (media_writer_open(&w, "bench.out", &c, &e) != 0)
            continue;
        for (int i = 0; i < FRAMES; i++)
            media_writer_put(w, f.pixels, i, NULL, &e);
        media_writer_close(w, 0, &e);
        printf("write %-10s %dx%d: %.0f frames per core second (one picture, repeated)\n", names[format], f.width,
               f.height, FRAMES / (own_s() - start));
    }
    unlink("bench.out");
    media_reader_close(r);
}

int main(int argc, char **argv)
{
    beside_link("longanim-probe");
    for (int i = 1; i < argc; i++)
        read_file(argv[i]);
    if (argc > 1)
        write_formats(argv[1]);
    return argc > 1 ? 0 : 2;
}
