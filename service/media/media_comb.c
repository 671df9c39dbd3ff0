/* Finding interlacing by its teeth. Where something moved between two fields, lines alternate between two values over
 * more than a few rows; drawn lines and hatching rarely do so exactly. Only pictures whose file says "interlaced" are
 * looked at, so a wrong answer needs both a wrong mark and such a picture. */
#include "media/media_av.h"

#include <libavutil/pixdesc.h>
#include <stdlib.h>

enum { SAME = 12, DIFFERENT = 30 }; /* of 255 */

static int luma(const AVFrame *f, const AVComponentDescriptor *c, int x, int y)
{
    const uint8_t *p = f->data[c->plane] + (ptrdiff_t)y * f->linesize[c->plane] + (ptrdiff_t)x * c->step + c->offset;
    return c->depth <= 8 ? p[0] : (p[0] | p[1] << 8) >> (c->depth - 8);
}

/* Five rows that go a, b, a, b, a. */
static bool is_tooth(const AVFrame *f, const AVComponentDescriptor *c, int x, int y)
{
    int above2 = luma(f, c, x, y - 2), above = luma(f, c, x, y - 1), here = luma(f, c, x, y);
    int below = luma(f, c, x, y + 1), below2 = luma(f, c, x, y + 2);
    return abs(here - above) > DIFFERENT && abs(here - below) > DIFFERENT && abs(above - below) < SAME &&
           abs(here - above2) < SAME && abs(here - below2) < SAME;
}

bool media__is_combed(const AVFrame *f)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    if (!f->interlaced_frame || (d->flags & (AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_BITSTREAM)))
        return false;
    int64_t teeth = 0;
    for (int y = 2; y < f->height - 2; y++)
        for (int x = 0; x < f->width; x++)
            teeth += is_tooth(f, &d->comp[0], x, y);
    return teeth * 2000 > (int64_t)f->width * f->height; /* 1 in 2000: 460 pixels of 1280x720 */
}
