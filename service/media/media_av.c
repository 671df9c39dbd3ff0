#include "media/media_av.h"

#include <errno.h>
#include <libavutil/avutil.h>
#include <libavutil/dict.h>
#include <libavutil/log.h>
#include <limits.h>
#include <string.h>

/* Things that libav has no error number for; told by the beginning of its message. */
enum said { SAID_PIXELS = 1, SAID_STREAMS = 2, SAID_EARLY_END = 4, SAID_MEMORY = 8 };
static const struct {
    const char *start;
    enum said said;
} messages[] = {
    {"Picture size %ux%u is invalid", SAID_PIXELS},
    {"Number of streams exceeds", SAID_STREAMS},
    {"File ended prematurely", SAID_EARLY_END},
    {"Cannot allocate memory", SAID_MEMORY},
};
static _Thread_local unsigned said;

static void listen(void *context, int level, const char *format, va_list arguments)
{
    (void)context;
    (void)level;
    (void)arguments;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        if (strncmp(format, messages[i].start, strlen(messages[i].start)) == 0)
            said |= messages[i].said;
}

void media__av_init(int64_t largest_allocation)
{
    av_log_set_callback(listen);
    if (largest_allocation > 0)
        av_max_alloc((size_t)largest_allocation);
}

int media__av_error(int averror, const char *doing, struct err *e)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    unsigned heard = said;
    said = 0;
    av_strerror(averror, text, sizeof text);
    if (heard & SAID_PIXELS)
        return err_set(e, ERR_media_too_many_pixels, "the pictures in the file are larger than is allowed");
    if (heard & SAID_STREAMS)
        return err_set(e, ERR_media_too_many_streams, "the file has more than %d streams", MEDIA__STREAMS_MAX);
    if (heard & SAID_EARLY_END)
        return err_set(e, ERR_media_truncated, "the file ends early");
    switch (averror) {
    case AVERROR(ENOMEM):
        return err_set(e, ERR_media_decode_memory, "to %s this file takes more memory than is allowed", doing);
    case AVERROR_PATCHWELCOME:
    case AVERROR_DECODER_NOT_FOUND:
        return err_set(e, ERR_media_codec_refused, "the file uses a variant of its codec that is not supported");
    default:
        return err_set(e, ERR_media_unreadable, "cannot %s the file: %s", doing, text);
    }
}

/* Codecs that may be decoded. Of two decoders for one codec the first that fits is taken; libvpx is the only one
 * that decodes the alpha of VP8 and VP9. */
static const struct {
    enum AVCodecID id;
    const char *name;
    bool alpha;
} decoders[] = {
    {AV_CODEC_ID_H264, "h264", false}, {AV_CODEC_ID_HEVC, "hevc", false},    {AV_CODEC_ID_PRORES, "prores", false},
    {AV_CODEC_ID_FFV1, "ffv1", false}, {AV_CODEC_ID_PNG, "png", false},      {AV_CODEC_ID_MJPEG, "mjpeg", false},
    {AV_CODEC_ID_VP8, "libvpx", true}, {AV_CODEC_ID_VP8, "vp8", false},      {AV_CODEC_ID_VP9, "libvpx-vp9", true},
    {AV_CODEC_ID_VP9, "vp9", false},   {AV_CODEC_ID_AV1, "libdav1d", false}, {AV_CODEC_ID_WEBP, "webp", false},
};
#define CODEC_WHITELIST "h264,hevc,prores,ffv1,png,mjpeg,libvpx,vp8,libvpx-vp9,vp9,libdav1d"

const AVCodec *media__decoder(enum AVCodecID id, bool has_alpha)
{
    for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++)
        if (decoders[i].id == id && (has_alpha || !decoders[i].alpha))
            return avcodec_find_decoder_by_name(decoders[i].name);
    return NULL;
}

/* libav checks padded sizes against max_pixels; the exact limit is ours, checked on what it reports. */
static int64_t padded(int64_t pixels)
{
    return pixels + pixels / 4 + (1 << 18);
}

static void strict(AVDictionary **options, int64_t pixels)
{
    av_dict_set_int(options, "threads", 1, 0);
    av_dict_set_int(options, "max_pixels", padded(pixels), 0);
    av_dict_set(options, "err_detect", "crccheck+explode", 0);
    av_dict_set(options, "flags", "+bitexact", 0);
}

int media__decoder_open(AVCodecContext **out, const AVCodec *codec, const AVCodecParameters *parameters, int64_t pixels,
                        struct err *e)
{
    AVDictionary *options = NULL;
    AVCodecContext *context = avcodec_alloc_context3(codec);
    int rc = context ? 0 : AVERROR(ENOMEM);
    strict(&options, pixels);
    if (rc == 0 && parameters)
        rc = avcodec_parameters_to_context(context, parameters);
    if (rc == 0)
        rc = avcodec_open2(context, codec, &options);
    av_dict_free(&options);
    if (rc < 0) {
        avcodec_free_context(&context);
        return media__av_error(rc, "decode", e);
    }
    *out = context;
    return 0;
}

void media__warm_up(void)
{
    media__av_init(0);
    for (size_t i = 0; i < sizeof decoders / sizeof *decoders; i++) {
        const AVCodec *codec = avcodec_find_decoder_by_name(decoders[i].name);
        AVCodecContext *context = NULL;
        if (codec && media__decoder_open(&context, codec, NULL, 1 << 20, NULL) == 0)
            avcodec_free_context(&context);
    }
}

/* ---- the file as libav sees it ---- */
static int read_bytes(void *user, uint8_t *data, int size)
{
    struct media_source *s = user;
    ssize_t got = media__read_at(s->fd, s->at, data, (size_t)size);
    if (got < 0)
        return AVERROR(EIO);
    s->at += got;
    return got == 0 ? AVERROR_EOF : (int)got;
}

static int64_t seek_bytes(void *user, int64_t offset, int whence)
{
    struct media_source *s = user;
    whence &= ~AVSEEK_FORCE;
    if (whence == AVSEEK_SIZE)
        return s->size;
    int64_t base = whence == SEEK_CUR ? s->at : whence == SEEK_END ? s->size : 0;
    if (offset < -base || offset > INT64_MAX - base)
        return AVERROR(EINVAL);
    return s->at = base + offset;
}

/* No file may lead to another one. */
static int refuse_open(AVFormatContext *format, AVIOContext **io, const char *url, int flags, AVDictionary **options)
{
    (void)format, (void)io, (void)url, (void)flags, (void)options;
    return AVERROR(EPERM);
}

static const char *demuxer_of(enum media_container c)
{
    switch (c) {
    case MEDIA_IN_MP4:
    case MEDIA_IN_MOV:
        return "mov,mp4,m4a,3gp,3g2,mj2";
    case MEDIA_IN_MATROSKA:
    case MEDIA_IN_WEBM:
        return "matroska,webm";
    case MEDIA_IN_AVI:
        return "avi";
    default:
        return NULL;
    }
}

static int open_container(struct media_source *s, enum media_container c, struct err *e)
{
    enum { IO_BYTES = 64 << 10 };
    const char *name = demuxer_of(c);
    const AVInputFormat *demuxer = name ? av_find_input_format(name) : NULL;
    uint8_t *buffer = av_malloc(IO_BYTES);
    AVDictionary *options = NULL;
    s->format = avformat_alloc_context();
    s->packet = av_packet_alloc();
    s->io = buffer ? avio_alloc_context(buffer, IO_BYTES, 0, s, read_bytes, NULL, seek_bytes) : NULL;
    if (!demuxer || !s->format || !s->packet || !s->io) {
        if (!s->io)
            av_free(buffer);
        return err_set(e, ERR_media_decode_memory, "no memory to open the file");
    }
    s->format->pb = s->io;
    s->format->io_open = refuse_open;
    av_dict_set(&options, "format_whitelist", name, 0);
    av_dict_set(&options, "codec_whitelist", CODEC_WHITELIST, 0);
    av_dict_set(&options, "protocol_whitelist", "none", 0);
    av_dict_set_int(&options, "max_streams", MEDIA__STREAMS_MAX, 0);
    av_dict_set_int(&options, "probesize", 5000000, 0);
    av_dict_set_int(&options, "analyzeduration", 5000000, 0);
    av_dict_set(&options, "fflags", "+bitexact", 0);
    int rc = avformat_open_input(&s->format, NULL, demuxer, &options); /* frees s->format when it fails */
    av_dict_free(&options);
    return rc < 0 ? media__av_error(rc, "open", e) : 0;
}

/* find_stream_info opens decoders of its own: the limits go in through its options, one dictionary per stream. */
static int read_stream_info(struct media_source *s, int64_t pixels, struct err *e)
{
    unsigned count = s->format->nb_streams;
    AVDictionary *options[MEDIA__STREAMS_MAX] = {NULL};
    for (unsigned i = 0; i < count && i < MEDIA__STREAMS_MAX; i++)
        strict(&options[i], pixels);
    int rc = avformat_find_stream_info(s->format, options);
    for (unsigned i = 0; i < MEDIA__STREAMS_MAX; i++)
        av_dict_free(&options[i]);
    return rc < 0 ? media__av_error(rc, "read", e) : 0;
}

static bool is_video(const AVStream *stream)
{
    return stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !(stream->disposition & AV_DISPOSITION_ATTACHED_PIC);
}

/* The default video, else the first; cover pictures are not videos. All other streams are skipped by the demuxer. */
static AVStream *choose_stream(AVFormatContext *format)
{
    AVStream *chosen = NULL;
    for (unsigned i = 0; i < format->nb_streams; i++) {
        AVStream *stream = format->streams[i];
        stream->discard = AVDISCARD_ALL;
        if (is_video(stream) && (!chosen || (!(chosen->disposition & AV_DISPOSITION_DEFAULT) &&
                                             (stream->disposition & AV_DISPOSITION_DEFAULT))))
            chosen = stream;
    }
    if (chosen)
        chosen->discard = AVDISCARD_DEFAULT;
    return chosen;
}

static int check_codec(const AVStream *stream, int64_t pixels, struct err *e)
{
    const AVCodecParameters *p = stream->codecpar;
    if (!media__decoder(p->codec_id, false))
        return err_set(e, ERR_media_codec_refused,
                       "the codec %s is not accepted: use H.264, HEVC, ProRes, FFV1, PNG, MJPEG, VP8, VP9 or AV1",
                       avcodec_get_name(p->codec_id));
    if (p->width > 0 && p->height > 0 && (int64_t)p->width * p->height > pixels)
        return err_set(e, ERR_media_too_many_pixels, "%d x %d pixels are more than the %lld that are allowed", p->width,
                       p->height, (long long)pixels);
    return 0;
}

static bool stream_has_alpha(const AVStream *stream)
{
    const AVDictionaryEntry *mode = av_dict_get(stream->metadata, "alpha_mode", NULL, 0);
    return mode && strcmp(mode->value, "1") == 0;
}

bool media__source_reusable(enum media_container c)
{
    return c == MEDIA_IN_MP4 || c == MEDIA_IN_MOV || c == MEDIA_IN_MATROSKA || c == MEDIA_IN_WEBM;
}

static int take_known(struct media_source *s, const AVCodecParameters *known, struct err *e)
{
    int rc = avcodec_parameters_copy(s->stream->codecpar, known);
    return rc < 0 ? media__av_error(rc, "read", e) : 0;
}

int media__source_open(struct media_source *s, int fd, int64_t size, enum media_container c,
                       const AVCodecParameters *known, const struct media_limits *l, struct err *e)
{
    *s = (struct media_source){.fd = fd, .size = size, .first_time = AV_NOPTS_VALUE};
    said = 0;
    if (open_container(s, c, e) != 0)
        return -1;
    if (s->format->nb_streams > MEDIA__STREAMS_MAX)
        return err_set(e, ERR_media_too_many_streams, "the file has more than %d streams", MEDIA__STREAMS_MAX);
    s->stream = choose_stream(s->format);
    if (!s->stream)
        return err_set(e, ERR_media_no_video, "the file has no video stream");
    if (check_codec(s->stream, l->pixels, e) != 0 ||
        (known ? take_known(s, known, e) : read_stream_info(s, l->pixels, e)) != 0 ||
        check_codec(s->stream, l->pixels, e) != 0)
        return -1;
    if (s->stream->time_base.num <= 0 || s->stream->time_base.den <= 0)
        return err_set(e, ERR_media_unreadable, "the file has no usable time base");
    said = 0;
    return 0;
}

int media__source_decode(struct media_source *s, int64_t pixels, struct err *e)
{
    const AVCodec *codec = media__decoder(s->stream->codecpar->codec_id, stream_has_alpha(s->stream));
    if (media__decoder_open(&s->decoder, codec, s->stream->codecpar, pixels, e) != 0)
        return -1;
    s->decoder->pkt_timebase = s->stream->time_base;
    said = 0;
    return 0;
}

void media__source_close(struct media_source *s)
{
    avcodec_free_context(&s->decoder);
    av_packet_free(&s->packet);
    avformat_close_input(&s->format);
    if (s->io)
        av_freep(&s->io->buffer);
    avio_context_free(&s->io);
}

int64_t media__packet_time(const AVPacket *p)
{
    return p->pts != AV_NOPTS_VALUE ? p->pts : p->dts;
}

/* Videos that were cut out of others without decoding them begin with such pictures (open groups). */
static void note_leading(struct media_source *s)
{
    bool key = (s->packet->flags & AV_PKT_FLAG_KEY) != 0;
    int64_t time = media__packet_time(s->packet);
    if (s->stage == MEDIA__AT_START)
        s->first_time = time;
    if (s->stage == MEDIA__AT_START || key)
        s->stage = s->stage == MEDIA__AT_START && key ? MEDIA__LEADING : MEDIA__UNDER_WAY;
    s->leading = s->stage == MEDIA__LEADING && !key && (time == AV_NOPTS_VALUE || time < s->first_time);
}

int media__source_packet(struct media_source *s, struct err *e)
{
    for (;;) {
        av_packet_unref(s->packet);
        int rc = av_read_frame(s->format, s->packet);
        if (rc == AVERROR_EOF && !(said & SAID_EARLY_END) && !(s->io->error < 0))
            return 0;
        if (rc < 0)
            return media__av_error(rc, "read", e);
        if (s->packet->stream_index != s->stream->index || s->packet->size == 0)
            continue;
        if (s->packet->flags & AV_PKT_FLAG_CORRUPT)
            return err_set(e, ERR_media_truncated, "the file ends early: a frame is cut off");
        note_leading(s);
        return 1;
    }
}

int media__check_decoded(const struct media_source *s, const AVFrame *f, struct err *e)
{
    bool damaged = (f->flags & AV_FRAME_FLAG_CORRUPT) || f->decode_error_flags;
    bool early = s->first_time != AV_NOPTS_VALUE && f->best_effort_timestamp < s->first_time;
    if ((f->flags & AV_FRAME_FLAG_DISCARD) || (damaged && early))
        return 0;
    return damaged ? err_set(e, ERR_media_unreadable, "a frame of the video is damaged") : 1;
}

int media__source_frame(struct media_source *s, AVFrame *out, struct err *e)
{
    for (;;) {
        av_frame_unref(out);
        int rc = avcodec_receive_frame(s->decoder, out);
        if (rc == 0) {
            int good = media__check_decoded(s, out, e);
            if (good != 0)
                return good;
            continue;
        }
        if (rc == AVERROR_EOF)
            return 0;
        if (rc != AVERROR(EAGAIN) && !s->leading)
            return media__av_error(rc, "decode", e);
        int more = s->drained ? 0 : media__source_packet(s, e);
        if (more < 0)
            return -1;
        s->drained = more == 0;
        if ((rc = avcodec_send_packet(s->decoder, more ? s->packet : NULL)) < 0 && !s->leading)
            return media__av_error(rc, "decode", e);
    }
}
