/* Decoded pictures to packed RGB as it is shown: range, matrix, chroma position, alpha, aspect, orientation.
 *
 * YUV goes to planar GBR first and is packed from there: swscale's full-chroma path is vectorised only for planar
 * output, which makes this five times as fast as asking for RGB24, with the same rounding (docs/media.md). */
#include "media/media_av.h"

#include <libavutil/display.h>
#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <stdlib.h>
#include <string.h>

enum media_orientation media__source_orientation(const struct media_source *s)
{
    size_t size = 0;
    const int32_t *m = (const int32_t *)av_stream_get_side_data(s->stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    if (!m || size < 9 * sizeof *m)
        return MEDIA_UPRIGHT;
    int64_t a = m[0], b = m[1], c = m[3], d = m[4];
    /* The nearest of the eight ways to lie: which axis is the main one, and where it points. */
    if (llabs(a) + llabs(d) >= llabs(b) + llabs(c)) {
        if (a >= 0)
            return d >= 0 ? MEDIA_UPRIGHT : MEDIA_FLIPPED;
        return d >= 0 ? MEDIA_MIRRORED : MEDIA_TURNED_180;
    }
    if (b >= 0)
        return c >= 0 ? MEDIA_TRANSPOSED : MEDIA_TURNED_RIGHT;
    return c >= 0 ? MEDIA_TURNED_LEFT : MEDIA_TRANSVERSED;
}

int media__shown_size(int32_t w, int32_t h, AVRational aspect, enum media_orientation o, int64_t pixels, int32_t *out_w,
                      int32_t *out_h, struct err *e)
{
    int64_t shown = w;
    if (aspect.num > 0 && aspect.den > 0)
        shown = ((int64_t)w * aspect.num + aspect.den / 2) / aspect.den;
    if (shown < 1)
        shown = 1;
    if (shown > pixels / h)
        return err_set(e, ERR_media_too_many_pixels, "%lld x %d pixels are more than the %lld that are allowed",
                       (long long)shown, h, (long long)pixels);
    *out_w = media__swaps_sides(o) ? h : (int32_t)shown;
    *out_h = media__swaps_sides(o) ? (int32_t)shown : h;
    return 0;
}

/* The old "full range" formats are their plain twins with the range set. */
static enum AVPixelFormat plain_format(enum AVPixelFormat format, bool *full)
{
    switch (format) {
    case AV_PIX_FMT_YUVJ420P:
        *full = true;
        return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
        *full = true;
        return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
        *full = true;
        return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P:
        *full = true;
        return AV_PIX_FMT_YUV440P;
    case AV_PIX_FMT_YUVJ411P:
        *full = true;
        return AV_PIX_FMT_YUV411P;
    default:
        return format;
    }
}

static bool palette_has_alpha(const AVFrame *f)
{
    const uint32_t *palette = (const uint32_t *)(const void *)f->data[1];
    for (int i = 0; i < 256; i++)
        if (palette[i] >> 24 != 0xff)
            return true;
    return false;
}

bool media__has_alpha(const AVFrame *f)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    if (d->flags & AV_PIX_FMT_FLAG_PAL)
        return palette_has_alpha(f);
    return (d->flags & AV_PIX_FMT_FLAG_ALPHA) != 0;
}

/* Unsaid matrices: BT.709 for what is HD, BT.601 below, as players do. */
static int matrix_of(const AVFrame *f)
{
    switch (f->colorspace) {
    case AVCOL_SPC_BT709:
    case AVCOL_SPC_FCC:
    case AVCOL_SPC_BT470BG:
    case AVCOL_SPC_SMPTE170M:
    case AVCOL_SPC_SMPTE240M:
    case AVCOL_SPC_BT2020_NCL:
        return (int)f->colorspace;
    default:
        return f->width >= 1280 || f->height > 576 ? SWS_CS_ITU709 : SWS_CS_ITU601;
    }
}

enum { KEY_SRC, KEY_SRC_W, KEY_SRC_H, KEY_DST, KEY_DST_W, KEY_DST_H, KEY_MATRIX, KEY_RANGE };

static int make_scaler(struct media_scaler *c, const int key[8], enum AVChromaLocation chroma, struct err *e)
{
    if (c->scale && memcmp(c->key, key, sizeof c->key) == 0)
        return 0;
    sws_freeContext(c->scale);
    c->scale = sws_alloc_context();
    if (!c->scale)
        return err_set(e, ERR_media_decode_memory, "no memory to convert pictures");
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(key[KEY_SRC]);
    bool centred = chroma == AVCHROMA_LOC_CENTER;
    int flags = SWS_ACCURATE_RND | SWS_BITEXACT | SWS_FULL_CHR_H_INT;
    flags |= key[KEY_SRC_W] == key[KEY_DST_W] ? SWS_BILINEAR : SWS_LANCZOS;
    av_opt_set_int(c->scale, "srcw", key[KEY_SRC_W], 0);
    av_opt_set_int(c->scale, "srch", key[KEY_SRC_H], 0);
    av_opt_set_int(c->scale, "src_format", key[KEY_SRC], 0);
    av_opt_set_int(c->scale, "dstw", key[KEY_DST_W], 0);
    av_opt_set_int(c->scale, "dsth", key[KEY_DST_H], 0);
    av_opt_set_int(c->scale, "dst_format", key[KEY_DST], 0);
    av_opt_set_int(c->scale, "sws_flags", flags, 0);
    if (d->log2_chroma_w)
        av_opt_set_int(c->scale, "src_h_chr_pos", centred ? 128 : 0, 0);
    if (d->log2_chroma_h)
        av_opt_set_int(c->scale, "src_v_chr_pos", chroma == AVCHROMA_LOC_TOPLEFT ? 0 : 128, 0);
    const int *matrix = sws_getCoefficients(key[KEY_MATRIX]);
    /* -1 (nothing to set) is the answer for conversions between RGB formats. */
    sws_setColorspaceDetails(c->scale, matrix, key[KEY_RANGE], matrix, 1, 0, 1 << 16, 1 << 16);
    if (sws_init_context(c->scale, NULL, NULL) < 0)
        return err_set(e, ERR_media_codec_refused, "the pixel format %s is not supported", d->name);
    memcpy(c->key, key, sizeof c->key);
    return 0;
}

static int run_scaler(struct media_scaler *c, const int key[8], enum AVChromaLocation chroma,
                      const uint8_t *const src[], const int src_stride[], uint8_t *const dst[], const int dst_stride[],
                      struct err *e)
{
    if (make_scaler(c, key, chroma, e) != 0)
        return -1;
    if (sws_scale(c->scale, src, src_stride, 0, key[KEY_SRC_H], dst, dst_stride) != key[KEY_DST_H])
        return err_set(e, ERR_media_decode_memory, "a picture cannot be converted");
    return 0;
}

/* Room for what lies between a frame and dst; kept from frame to frame. swscale may read some bytes past its source. */
static uint8_t *scratch(struct media_convert *c, size_t size, struct err *e)
{
    size += AV_INPUT_BUFFER_PADDING_SIZE;
    if (c->scratch_size < size) {
        free(c->scratch);
        c->scratch_size = 0;
        c->scratch = malloc(size);
        if (!c->scratch) {
            err_set(e, ERR_media_decode_memory, "no memory to convert pictures");
            return NULL;
        }
        c->scratch_size = size;
    }
    return c->scratch;
}

/* More than 8 bits of RGB or grey to 8, correctly rounded; swscale is up to 1.5 steps off there. */
static int unpack_deep(const AVFrame *f, int channels, uint8_t *dst, struct err *e)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(f->format);
    bool grey = d->nb_components < 3;
    bool alpha = (d->flags & AV_PIX_FMT_FLAG_ALPHA) != 0;
    uint16_t *line = malloc((size_t)f->width * sizeof *line);
    if (!line)
        return err_set(e, ERR_media_decode_memory, "no memory to convert pictures");
    for (int channel = 0; channel < channels; channel++) {
        int component = channel == 3 ? d->nb_components - 1 : grey ? 0 : channel;
        uint32_t most = (1U << d->comp[component].depth) - 1;
        for (int y = 0; y < f->height; y++) {
            uint8_t *out = dst + (size_t)y * f->width * channels + channel;
            if (channel < 3 || alpha)
                av_read_image_line2(line, (const uint8_t **)(uintptr_t)f->data, f->linesize, d, 0, y, component,
                                    f->width, 0, sizeof *line);
            for (int x = 0; x < f->width; x++, out += channels)
                *out = channel < 3 || alpha ? (uint8_t)((line[x] * 255U + most / 2) / most) : 255;
        }
    }
    free(line);
    return 0;
}

/* YUV through planar GBR; `planes` holds 4 planes of w x h (rows padded to 64). */
static int unpack_yuv(struct media_convert *c, const AVFrame *f, int key[8], bool alpha, uint8_t *planes, uint8_t *dst,
                      int channels, struct err *e)
{
    int w = key[KEY_DST_W], h = key[KEY_DST_H], stride = FFALIGN(w, 64);
    uint8_t *plane[4];
    int strides[4] = {stride, stride, stride, stride};
    for (int i = 0; i < 4; i++)
        plane[i] = planes + (size_t)i * (size_t)stride * (size_t)h;
    enum AVPixelFormat between = alpha ? AV_PIX_FMT_GBRAP : AV_PIX_FMT_GBRP;
    key[KEY_DST] = between;
    if (run_scaler(&c->colour, key, f->chroma_location, (const uint8_t *const *)f->data, f->linesize, plane, strides,
                   e) != 0)
        return -1;
    int packing[8] = {between, w, h, channels == 4 ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24, w, h, 0, 1};
    uint8_t *const packed[4] = {dst};
    int packed_stride[4] = {w * channels};
    return run_scaler(&c->pack, packing, 0, (const uint8_t *const *)plane, strides, packed, packed_stride, e);
}

static void lay_over_white(const uint8_t *rgba, size_t pixels, uint8_t *rgb)
{
    for (size_t i = 0; i < pixels; i++, rgba += 4, rgb += 3)
        for (int k = 0; k < 3; k++)
            rgb[k] = (uint8_t)((rgba[k] * rgba[3] + 255 * (255 - rgba[3]) + 127) / 255);
}

/* To packed pixels of the shown size, not yet turned. */
static int unpack(struct media_convert *c, const AVFrame *f, int w, int h, int channels, uint8_t *planes, uint8_t *dst,
                  struct err *e)
{
    bool full = f->color_range == AVCOL_RANGE_JPEG;
    enum AVPixelFormat format = plain_format(f->format, &full);
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(format);
    bool rgb = (d->flags & AV_PIX_FMT_FLAG_RGB) || d->nb_components < 3;
    enum AVPixelFormat packed_format = channels == 4 ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24;
    int key[8] = {format, f->width, f->height, packed_format, w, h, rgb ? 0 : matrix_of(f), rgb || full};
    uint8_t *const packed[4] = {dst};
    int stride[4] = {w * channels};
    if (!rgb)
        return unpack_yuv(c, f, key, (d->flags & AV_PIX_FMT_FLAG_ALPHA) != 0, planes, dst, channels, e);
    if (d->comp[0].depth <= 8)
        return run_scaler(&c->colour, key, f->chroma_location, (const uint8_t *const *)f->data, f->linesize, packed,
                          stride, e);
    if (f->width == w && f->height == h)
        return unpack_deep(f, channels, dst, e);
    if (unpack_deep(f, channels, planes, e) != 0)
        return -1;
    uint8_t *const deep[4] = {planes};
    int deep_stride[4] = {f->width * channels};
    key[KEY_SRC] = packed_format;
    return run_scaler(&c->colour, key, f->chroma_location, (const uint8_t *const *)deep, deep_stride, packed, stride,
                      e);
}

int media__convert(struct media_convert *c, const AVFrame *f, enum media_orientation o, int32_t w, int32_t h,
                   int channels, uint8_t *dst, struct err *e)
{
    int across = media__swaps_sides(o) ? h : w, down = media__swaps_sides(o) ? w : h;
    bool over_white = channels == 3 && media__has_alpha(f), turned = o != MEDIA_UPRIGHT;
    int wide = over_white ? 4 : channels;
    size_t pixels = (size_t)across * (size_t)down;
    size_t planes_size = 4 * (size_t)FFALIGN(FFMAX(across, f->width), 64) * (size_t)down;
    /* scratch: planes, then the unturned RGBA, then the unturned result */
    size_t rgba_at = planes_size, turn_at = rgba_at + (over_white ? 4 * pixels : 0);
    uint8_t *room = scratch(c, turn_at + (turned ? (size_t)channels * pixels : 0), e);
    if (!room)
        return -1;
    uint8_t *flat = turned ? room + turn_at : dst;
    if (unpack(c, f, across, down, wide, room, over_white ? room + rgba_at : flat, e) != 0)
        return -1;
    if (over_white)
        lay_over_white(room + rgba_at, pixels, flat);
    if (turned)
        media__orient(flat, across, down, channels, o, dst);
    return 0;
}
