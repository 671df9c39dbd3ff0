#include "engine/shot.h"

#include <stdlib.h>

struct shot {
    const struct engine_segment *segments;
    int32_t count, width, height;
    struct media_limits limits;
    struct media_reader *reader;
    int32_t at;            /* segment that is open */
    int64_t next;          /* index of the frame that the reader gives next */
    const uint8_t *pixels; /* of frame next - 1 */
};

struct shot *shot_new(const struct engine_segment *segments, int32_t count, int32_t width, int32_t height,
                      const struct media_limits *limits)
{
    struct shot *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    *s = (struct shot){.segments = segments, .count = count, .width = width, .height = height, .limits = *limits};
    return s;
}

void shot_free(struct shot *s)
{
    if (!s)
        return;
    media_reader_close(s->reader);
    free(s);
}

static int open_segment(struct shot *s, int32_t n, struct err *e)
{
    media_reader_close(s->reader);
    s->reader = NULL;
    s->pixels = NULL;
    if (media_reader_open(&s->reader, s->segments[n].path, false, &s->limits, e) != 0)
        return -1;
    s->at = n;
    s->next = s->segments[n].first_frame;
    return 0;
}

static int32_t find_segment(const struct shot *s, int64_t index)
{
    for (int32_t n = 0; n < s->count; n++)
        if (index >= s->segments[n].first_frame && index < s->segments[n].first_frame + s->segments[n].frames)
            return n;
    return -1;
}

int shot_frame(struct shot *s, int64_t index, const uint8_t **out_rgb, struct err *e)
{
    if (s->pixels && index == s->next - 1) {
        *out_rgb = s->pixels;
        return 0;
    }
    int32_t n = find_segment(s, index);
    if (n < 0)
        return err_set(e, ERR_internal, "frame %lld is in no segment", (long long)index);
    if ((!s->reader || n != s->at || index < s->next) && open_segment(s, n, e) != 0)
        return -1;
    while (s->next <= index) {
        struct media_frame f;
        struct err why = {0};
        int got = media_reader_next(s->reader, &f, &why);
        if (got != 1 || f.width != s->width || f.height != s->height || f.channels != 3) {
            s->pixels = NULL;
            return err_set(e, ERR_internal, "segment %d is broken at frame %lld: %s", n, (long long)s->next,
                           got < 0 ? why.detail : "it ends early or has another size");
        }
        s->pixels = f.pixels;
        s->next++;
    }
    *out_rgb = s->pixels;
    return 0;
}
