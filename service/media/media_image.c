/* Single pictures out: PNG, JPEG, scaling. And the versions of what does the work. */
#include "media/media_write.h"

#include "base/fs.h"
#include "media/media_av.h"

#include <archive.h>
#include <libavutil/opt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct media_png {
    AVCodecContext *encoder;
    AVFrame *frame;
    AVPacket *packet;
    int channels;
};

static int encode(AVCodecContext *encoder, AVFrame *frame, AVPacket *packet, struct err *e)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    av_packet_unref(packet);
    int rc = avcodec_send_frame(encoder, frame);
    if (rc == 0)
        rc = avcodec_receive_packet(encoder, packet);
    if (rc >= 0)
        return 0;
    av_strerror(rc, text, sizeof text);
    return err_set(e, ERR_encode_failed, "cannot encode a picture: %s", text);
}

/* An encoder of pictures of one size, and the frame and packet that go with it. */
static int open_encoder(struct media_png *p, enum AVCodecID id, enum AVPixelFormat format, int32_t w, int32_t h,
                        int quantizer, struct err *e)
{
    const AVCodec *codec = avcodec_find_encoder(id);
    media__av_init(0);
    p->encoder = codec ? avcodec_alloc_context3(codec) : NULL;
    p->frame = av_frame_alloc();
    p->packet = av_packet_alloc();
    if (!p->encoder || !p->frame || !p->packet)
        return err_set(e, ERR_encode_failed, "no memory to encode a picture");
    p->encoder->width = p->frame->width = w;
    p->encoder->height = p->frame->height = h;
    p->encoder->pix_fmt = format;
    p->frame->format = format;
    p->encoder->time_base = (AVRational){1, 25};
    p->encoder->thread_count = 1;
    p->encoder->flags |= AV_CODEC_FLAG_BITEXACT;
    if (quantizer > 0) {
        p->encoder->flags |= AV_CODEC_FLAG_QSCALE;
        p->encoder->global_quality = p->frame->quality = quantizer * FF_QP2LAMBDA;
        p->encoder->color_range = AVCOL_RANGE_JPEG;
        p->encoder->dct_algo = FF_DCT_INT; /* the automatic choice differs between processors */
    } else {
        p->encoder->compression_level = 6;
        av_opt_set(p->encoder->priv_data, "pred", "mixed", 0);
    }
    return avcodec_open2(p->encoder, codec, NULL) < 0
               ? err_set(e, ERR_encode_failed, "pictures of %d x %d cannot be encoded", w, h)
               : 0;
}

int media__png_new(struct media_png **out, int32_t w, int32_t h, int channels, struct err *e)
{
    static const enum AVPixelFormat formats[] = {
        [1] = AV_PIX_FMT_GRAY8, [2] = AV_PIX_FMT_GRAY16BE, [3] = AV_PIX_FMT_RGB24, [4] = AV_PIX_FMT_RGBA};
    struct media_png *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_encode_failed, "no memory to encode a picture");
    p->channels = channels;
    if (open_encoder(p, AV_CODEC_ID_PNG, formats[channels], w, h, 0, e) != 0) {
        media__png_free(p);
        return -1;
    }
    *out = p;
    return 0;
}

int media__png_encode(struct media_png *p, const uint8_t *pixels, const uint8_t **out_data, size_t *out_size,
                      struct err *e)
{
    /* The encoder reads rows of any stride and keeps nothing: no copy is needed. */
    p->frame->data[0] = (uint8_t *)(uintptr_t)pixels;
    p->frame->linesize[0] = p->frame->width * p->channels;
    if (encode(p->encoder, p->frame, p->packet, e) != 0)
        return -1;
    *out_data = p->packet->data;
    *out_size = (size_t)p->packet->size;
    return 0;
}

void media__png_free(struct media_png *p)
{
    if (!p)
        return;
    avcodec_free_context(&p->encoder);
    av_frame_free(&p->frame);
    av_packet_free(&p->packet);
    free(p);
}

int media_write_png(const char *path, const uint8_t *pixels, int32_t w, int32_t h, int channels, struct err *e)
{
    struct media_png *p = NULL;
    const uint8_t *data;
    size_t size;
    if (media__png_new(&p, w, h, channels, e) != 0)
        return -1;
    int result = media__png_encode(p, pixels, &data, &size, e);
    if (result == 0)
        result = fs_write_atomic(path, data, size, e);
    media__png_free(p);
    return result;
}

/* JFIF: full-range BT.601 with chroma between the pixels. swscale reads some bytes more of packed RGB than there are,
 * so it gets a copy with room behind. */
static int to_jpeg_colours(AVFrame *frame, const uint8_t *rgb, int32_t w, int32_t h)
{
    size_t size = (size_t)w * 3 * (size_t)h;
    uint8_t *roomy = av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE);
    const uint8_t *const source[4] = {roomy};
    const int stride[4] = {w * 3};
    const int *matrix = sws_getCoefficients(SWS_CS_ITU601);
    struct SwsContext *scale = roomy && av_frame_get_buffer(frame, 0) == 0 ? sws_alloc_context() : NULL;
    if (!scale) {
        av_free(roomy);
        return -1;
    }
    memcpy(roomy, rgb, size);
    av_opt_set_int(scale, "srcw", w, 0);
    av_opt_set_int(scale, "srch", h, 0);
    av_opt_set_int(scale, "src_format", AV_PIX_FMT_RGB24, 0);
    av_opt_set_int(scale, "dstw", w, 0);
    av_opt_set_int(scale, "dsth", h, 0);
    av_opt_set_int(scale, "dst_format", AV_PIX_FMT_YUVJ420P, 0);
    av_opt_set_int(scale, "sws_flags", SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT | SWS_FULL_CHR_H_INP, 0);
    av_opt_set_int(scale, "dst_h_chr_pos", 128, 0);
    av_opt_set_int(scale, "dst_v_chr_pos", 128, 0);
    sws_setColorspaceDetails(scale, matrix, 1, matrix, 1, 0, 1 << 16, 1 << 16);
    int result = sws_init_context(scale, NULL, NULL) < 0 ||
                         sws_scale(scale, source, stride, 0, h, frame->data, frame->linesize) != h
                     ? -1
                     : 0;
    sws_freeContext(scale);
    av_free(roomy);
    return result;
}

int media_write_jpeg(const char *path, const uint8_t *rgb, int32_t w, int32_t h, int quality, struct err *e)
{
    struct media_png *p = calloc(1, sizeof *p);
    int clipped = quality < 1 ? 1 : quality > 100 ? 100 : quality;
    if (!p)
        return err_set(e, ERR_encode_failed, "no memory to encode a picture");
    /* quantizer 1 (best) to 31 */
    int result = open_encoder(p, AV_CODEC_ID_MJPEG, AV_PIX_FMT_YUVJ420P, w, h, 1 + (100 - clipped) * 30 / 99, e);
    if (result == 0 && to_jpeg_colours(p->frame, rgb, w, h) != 0)
        result = err_set(e, ERR_encode_failed, "no memory to encode a picture");
    if (result == 0)
        result = encode(p->encoder, p->frame, p->packet, e);
    if (result == 0)
        result = fs_write_atomic(path, p->packet->data, (size_t)p->packet->size, e);
    media__png_free(p);
    return result;
}

/* swscale takes packed RGB through YUV even from RGB to RGB, which shifts colours. A plane of grey it leaves alone, so
 * each channel is scaled as one. */
int media_scale(const uint8_t *src, int32_t sw, int32_t sh, int channels, uint8_t *dst, int32_t dw, int32_t dh,
                struct err *e)
{
    if (sw == dw && sh == dh) {
        memcpy(dst, src, (size_t)sw * (size_t)sh * (size_t)channels);
        return 0;
    }
    int flags = SWS_ACCURATE_RND | SWS_BITEXACT | (dw <= sw && dh <= sh ? SWS_AREA : SWS_LANCZOS);
    size_t in_stride = (size_t)FFALIGN(sw, 64), out_stride = (size_t)FFALIGN(dw, 64);
    size_t in_size = in_stride * (size_t)sh, out_size = out_stride * (size_t)dh;
    uint8_t *planes = av_malloc(in_size + out_size + 64);
    media__av_init(0);
    struct SwsContext *scale =
        planes ? sws_getContext(sw, sh, AV_PIX_FMT_GRAY8, dw, dh, AV_PIX_FMT_GRAY8, flags, NULL, NULL, NULL) : NULL;
    int result = scale ? 0 : err_set(e, ERR_internal, "no memory to scale %d x %d to %d x %d", sw, sh, dw, dh);
    for (int channel = 0; channel < channels && result == 0; channel++) {
        const uint8_t *in[4] = {planes};
        uint8_t *const out[4] = {planes + in_size};
        const int in_strides[4] = {(int)in_stride}, out_strides[4] = {(int)out_stride};
        for (int32_t y = 0; y < sh; y++)
            for (int32_t x = 0; x < sw; x++)
                planes[(size_t)y * in_stride + (size_t)x] =
                    src[((size_t)y * (size_t)sw + (size_t)x) * (size_t)channels + (size_t)channel];
        sws_scale(scale, in, in_strides, 0, sh, out, out_strides);
        for (int32_t y = 0; y < dh; y++)
            for (int32_t x = 0; x < dw; x++)
                dst[((size_t)y * (size_t)dw + (size_t)x) * (size_t)channels + (size_t)channel] =
                    out[0][(size_t)y * out_stride + (size_t)x];
    }
    sws_freeContext(scale);
    av_free(planes);
    return result;
}

static char versions[256];

static void name_versions(void)
{
    unsigned f = avformat_version(), c = avcodec_version(), u = avutil_version(), s = swscale_version();
    snprintf(versions, sizeof versions,
             "libavformat %u.%u.%u, libavcodec %u.%u.%u, libavutil %u.%u.%u, "
             "libswscale %u.%u.%u, %s, zlib %s",
             AV_VERSION_MAJOR(f), AV_VERSION_MINOR(f), AV_VERSION_MICRO(f), AV_VERSION_MAJOR(c), AV_VERSION_MINOR(c),
             AV_VERSION_MICRO(c), AV_VERSION_MAJOR(u), AV_VERSION_MINOR(u), AV_VERSION_MICRO(u), AV_VERSION_MAJOR(s),
             AV_VERSION_MINOR(s), AV_VERSION_MICRO(s), archive_version_string(), zlibVersion());
}

const char *media_versions(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, name_versions);
    return versions;
}
