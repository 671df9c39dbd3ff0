/* Frames into a video file: convert, encode, mux. Nothing in the file depends on the time, the machine's number of
 * cores or its kind of processor: thread counts are fixed, libav's and x264's exact modes are on, no date or random id
 * is written. */
#include "media/media_write.h"

#include "media/media_av.h"

#include <libavutil/opt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4 };

/* How each format is written; "key=value:…" as av_dict_parse_string reads it. */
struct recipe {
    const char *muxer, *muxer_options;
    const char *encoder, *options;
    enum AVPixelFormat format, alpha_format, odd_format;
    const char *opaque_options, *alpha_options;
    bool rgb;
};
static const struct recipe recipes[] = {
    [MEDIA_MP4] = {"mp4", "movflags=+faststart", "libx264",
                   "preset=medium:tune=animation:crf=14:g=48:x264-params=cpu-independent=1", AV_PIX_FMT_YUV420P,
                   AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUV444P, "", "", false},
    [MEDIA_WEBM] = {"webm", "", "libvpx-vp9",
                    "crf=16:b=0:deadline=good:cpu-used=4:row-mt=0:tile-columns=2:frame-parallel=0:g=48",
                    AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVA420P, AV_PIX_FMT_YUV420P, "auto-alt-ref=1:lag-in-frames=16",
                    "auto-alt-ref=0:lag-in-frames=0", false},
    [MEDIA_MOV] = {"mov", "", "prores_ks", "profile=4444:vendor=apl0", AV_PIX_FMT_YUV444P10LE, AV_PIX_FMT_YUVA444P10LE,
                   AV_PIX_FMT_YUV444P10LE, "alpha_bits=0", "alpha_bits=16", false},
    [MEDIA_LOSSLESS] = {"matroska", "", "ffv1", "level=3:slices=4:slicecrc=1:coder=1:context=0:g=1", AV_PIX_FMT_BGR0,
                        AV_PIX_FMT_BGRA, AV_PIX_FMT_BGR0, "", "", true},
};

struct media_video_writer {
    char *path;
    const struct recipe *recipe;
    int32_t width, height, channels;
    AVFormatContext *format;
    AVStream *stream;
    AVCodecContext *encoder;
    AVPacket *packet;
    AVFrame *frame;
    struct SwsContext *scale;
    struct media_list pts, durations; /* of all frames, in order; packets come out in another */
    int64_t shift;                    /* containers drop what is shown before 0: such videos start at 0 */
    int64_t last_written;
};

static int fail(struct media_video_writer *w, int averror, const char *doing, struct err *e)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    int cause = averror;
    if (w->format && w->format->pb && w->format->pb->error < 0)
        cause = w->format->pb->error;
    if (cause == AVERROR(ENOSPC) || cause == AVERROR(EDQUOT) || cause == AVERROR(EFBIG) || cause == AVERROR(EACCES) ||
        cause == AVERROR(ENOENT))
        return media__write_error(AVUNERROR(cause), w->path, e);
    av_strerror(cause, text, sizeof text);
    return err_set(e, ERR_encode_failed, "cannot %s the video: %s", doing, text);
}

void media__video_abort(struct media_video_writer *w)
{
    if (!w)
        return;
    if (w->format && w->format->pb)
        avio_closep(&w->format->pb);
    avformat_free_context(w->format);
    avcodec_free_context(&w->encoder);
    av_packet_free(&w->packet);
    av_frame_free(&w->frame);
    sws_freeContext(w->scale);
    media__list_free(&w->pts);
    media__list_free(&w->durations);
    free(w->path);
    free(w);
}

static enum AVPixelFormat choose_format(const struct recipe *r, const struct media_write_conf *c)
{
    if (c->channels == 4 && r->alpha_format != r->format)
        return r->alpha_format;
    return (c->width | c->height) & 1 ? r->odd_format : r->format;
}

static void tag_colours(AVCodecContext *c, bool rgb)
{
    c->color_primaries = AVCOL_PRI_BT709;
    c->color_trc = AVCOL_TRC_BT709;
    c->colorspace = rgb ? AVCOL_SPC_RGB : AVCOL_SPC_BT709;
    c->color_range = rgb ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    if (!rgb)
        c->chroma_sample_location = AVCHROMA_LOC_LEFT;
}

static int open_encoder(struct media_video_writer *w, const struct media_write_conf *c, struct err *e)
{
    const struct recipe *r = w->recipe;
    const AVCodec *codec = avcodec_find_encoder_by_name(r->encoder);
    AVDictionary *options = NULL;
    if (!codec)
        return err_set(e, ERR_encode_failed, "this build of libavcodec has no %s", r->encoder);
    w->encoder = avcodec_alloc_context3(codec);
    if (!w->encoder)
        return err_set(e, ERR_encode_failed, "no memory to encode");
    AVCodecContext *x = w->encoder;
    x->width = c->width;
    x->height = c->height;
    x->pix_fmt = choose_format(r, c);
    x->time_base = (AVRational){c->time_base_num, c->time_base_den};
    x->framerate = c->fps_num > 0 && c->fps_den > 0 ? (AVRational){c->fps_num, c->fps_den} : (AVRational){24, 1};
    x->sample_aspect_ratio = (AVRational){1, 1};
    x->thread_count = c->threads > 0 ? c->threads : THREADS;
    x->flags |= AV_CODEC_FLAG_BITEXACT;
    if (w->format->oformat->flags & AVFMT_GLOBALHEADER)
        x->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    tag_colours(x, r->rgb);
    av_dict_parse_string(&options, r->options, "=", ":", 0);
    av_dict_parse_string(&options, c->channels == 4 ? r->alpha_options : r->opaque_options, "=", ":", 0);
    if (c->format == MEDIA_LOSSLESS && (c->width < 16 || c->height < 16))
        av_dict_set(&options, "slices", "1", 0); /* there is nothing to divide */
    int rc = avcodec_open2(x, codec, &options);
    av_dict_free(&options);
    return rc < 0 ? fail(w, rc, "encode", e) : 0;
}

static int open_scaler(struct media_video_writer *w, struct err *e)
{
    enum AVPixelFormat source = w->channels == 4 ? AV_PIX_FMT_RGBA : AV_PIX_FMT_RGB24;
    const int *matrix = sws_getCoefficients(SWS_CS_ITU709);
    w->scale = sws_alloc_context();
    if (!w->scale)
        return err_set(e, ERR_encode_failed, "no memory to encode");
    av_opt_set_int(w->scale, "srcw", w->width, 0);
    av_opt_set_int(w->scale, "srch", w->height, 0);
    av_opt_set_int(w->scale, "src_format", source, 0);
    av_opt_set_int(w->scale, "dstw", w->width, 0);
    av_opt_set_int(w->scale, "dsth", w->height, 0);
    av_opt_set_int(w->scale, "dst_format", w->encoder->pix_fmt, 0);
    av_opt_set_int(w->scale, "sws_flags", SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT | SWS_FULL_CHR_H_INP, 0);
    if (w->encoder->pix_fmt == AV_PIX_FMT_YUV420P || w->encoder->pix_fmt == AV_PIX_FMT_YUVA420P) {
        av_opt_set_int(w->scale, "dst_h_chr_pos", 0, 0);
        av_opt_set_int(w->scale, "dst_v_chr_pos", 128, 0);
    }
    sws_setColorspaceDetails(w->scale, matrix, 1, matrix, w->recipe->rgb, 0, 1 << 16, 1 << 16);
    return sws_init_context(w->scale, NULL, NULL) < 0 ? err_set(e, ERR_encode_failed, "pixels cannot be converted") : 0;
}

/* A clock for MP4 and MOV in which every time stamp is exact, edit lists included: they count in the movie's clock,
 * whose default of milliseconds would round the start offset and the length. */
static void set_clock(AVDictionary **options, const struct media_write_conf *c)
{
    int64_t clock = c->time_base_den;
    while (clock < 10000)
        clock *= 2;
    av_dict_set_int(options, "video_track_timescale", clock, 0);
    av_dict_set_int(options, "movie_timescale", clock, 0);
}

static int open_file(struct media_video_writer *w, const struct media_write_conf *c, struct err *e)
{
    AVDictionary *options = NULL;
    int rc = avcodec_parameters_from_context(w->stream->codecpar, w->encoder);
    w->stream->time_base = w->encoder->time_base;
    w->stream->avg_frame_rate = c->fps_num > 0 && c->fps_den > 0 ? w->encoder->framerate : (AVRational){0, 1};
    w->stream->sample_aspect_ratio = (AVRational){1, 1};
    w->format->flags |= AVFMT_FLAG_BITEXACT;
    if (rc >= 0)
        rc = avio_open(&w->format->pb, w->format->url, AVIO_FLAG_WRITE);
    av_dict_parse_string(&options, w->recipe->muxer_options, "=", ":", 0);
    if (c->format == MEDIA_MP4 || c->format == MEDIA_MOV)
        set_clock(&options, c);
    if (rc >= 0)
        rc = avformat_write_header(w->format, &options);
    av_dict_free(&options);
    return rc < 0 ? fail(w, rc, "write", e) : 0;
}

static int prepare(struct media_video_writer *w, const struct media_write_conf *c, struct err *e)
{
    char url[4200];
    snprintf(url, sizeof url, "file:%s", w->path); /* a colon in the path means no protocol */
    int rc = avformat_alloc_output_context2(&w->format, NULL, w->recipe->muxer, url);
    w->packet = av_packet_alloc();
    w->frame = av_frame_alloc();
    if (rc < 0 || !w->packet || !w->frame || !(w->stream = avformat_new_stream(w->format, NULL)))
        return err_set(e, ERR_encode_failed, "no memory to write the video");
    if (open_encoder(w, c, e) != 0 || open_scaler(w, e) != 0)
        return -1;
    w->frame->format = w->encoder->pix_fmt;
    w->frame->width = w->width;
    w->frame->height = w->height;
    w->frame->color_range = w->encoder->color_range;
    w->frame->colorspace = w->encoder->colorspace;
    if ((rc = av_frame_get_buffer(w->frame, 0)) < 0)
        return fail(w, rc, "encode", e);
    return open_file(w, c, e);
}

int media__video_open(struct media_video_writer **out, const char *path, const struct media_write_conf *c,
                      struct err *e)
{
    struct media_video_writer *w = calloc(1, sizeof *w);
    media__av_init(0);
    if (!w || !(w->path = strdup(path))) {
        free(w);
        return err_set(e, ERR_encode_failed, "no memory to write %s", path);
    }
    w->recipe = &recipes[c->format];
    w->width = c->width;
    w->height = c->height;
    w->channels = c->channels;
    w->last_written = INT64_MIN;
    if (prepare(w, c, e) != 0) {
        media__video_abort(w);
        return -1;
    }
    *out = w;
    return 0;
}

/* Time stamps rise, so the frame of a packet is found by halving. */
static int64_t duration_at(const struct media_video_writer *w, int64_t pts)
{
    int64_t low = 0, high = w->pts.count - 1;
    while (low < high) {
        int64_t middle = (low + high) / 2;
        if (w->pts.items[middle] < pts)
            low = middle + 1;
        else
            high = middle;
    }
    return w->durations.items[low];
}

static int write_packets(struct media_video_writer *w, struct err *e)
{
    AVRational from = w->encoder->time_base, to = w->stream->time_base;
    for (;;) {
        int rc = avcodec_receive_packet(w->encoder, w->packet);
        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
            return 0;
        if (rc < 0)
            return fail(w, rc, "encode", e);
        w->packet->duration = duration_at(w, w->packet->pts);
        w->packet->stream_index = w->stream->index;
        av_packet_rescale_ts(w->packet, from, to);
        if (!w->encoder->has_b_frames) {
            /* Matroska counts milliseconds: two frames within one of them are kept apart. */
            if (w->packet->pts <= w->last_written)
                w->packet->pts = w->last_written + 1;
            w->last_written = w->packet->dts = w->packet->pts;
        }
        if ((rc = av_write_frame(w->format, w->packet)) < 0 || w->format->pb->error < 0)
            return fail(w, rc, "write", e);
        av_packet_unref(w->packet);
    }
}

int media__video_put(struct media_video_writer *w, const uint8_t *pixels, int64_t pts, int64_t duration, struct err *e)
{
    const uint8_t *const source[4] = {pixels};
    const int stride[4] = {w->width * w->channels};
    if (w->pts.count == 0 && pts < 0)
        w->shift = -pts;
    if (media__list_add(&w->pts, pts + w->shift, NULL) != 0 || media__list_add(&w->durations, duration, NULL) != 0)
        return err_set(e, ERR_encode_failed, "no memory to write the video");
    int rc = av_frame_make_writable(w->frame);
    if (rc < 0)
        return fail(w, rc, "encode", e);
    sws_scale(w->scale, source, stride, 0, w->height, w->frame->data, w->frame->linesize);
    w->frame->pts = pts + w->shift;
    if ((rc = avcodec_send_frame(w->encoder, w->frame)) < 0)
        return fail(w, rc, "encode", e);
    return write_packets(w, e);
}

int media__video_close(struct media_video_writer *w, struct err *e)
{
    int rc = avcodec_send_frame(w->encoder, NULL);
    int result = rc < 0 ? fail(w, rc, "encode", e) : write_packets(w, e);
    if (result == 0 && ((rc = av_write_trailer(w->format)) < 0 || w->format->pb->error < 0))
        result = fail(w, rc, "write", e);
    if (result == 0 && (rc = avio_closep(&w->format->pb)) < 0)
        result = fail(w, rc, "write", e);
    media__video_abort(w);
    return result;
}
