/* media_av.h - libav, held tightly. The only header of ours that names it; private to the folder.
 *
 * Reading: a file is opened by descriptor through pread, with the demuxer chosen by us (never by libav's probing) and
 * with nothing else allowed: format, codec and protocol lists, a refused io_open, bounded probing, max_pixels in the
 * stream-info pass as well as in our decoder, one thread. Decoding is strict: damage is an error. */
#ifndef LONGANIM_MEDIA_MEDIA_AV_H
#define LONGANIM_MEDIA_MEDIA_AV_H

#include "media/media_int.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/frame.h>
#include <libswscale/swscale.h>

/* Once per process, before anything else here: log messages are dropped (and three of them remembered), single
 * allocations bounded. */
void media__av_init(int64_t largest_allocation);

/* Translates an AVERROR of `doing` ("open", "decode"), with what libav's log said since the last call. */
int media__av_error(int averror, const char *doing, struct err *e);

/* Is this decoder on the list? NULL when not. has_alpha: the file says that pictures carry alpha (VP8, VP9). */
const AVCodec *media__decoder(enum AVCodecID id, bool has_alpha);
int media__decoder_open(AVCodecContext **out, const AVCodec *codec, const AVCodecParameters *parameters, int64_t pixels,
                        struct err *e);

/* ---- a video file ---- */
#define MEDIA__STREAMS_MAX 8
struct media_source {
    int fd;
    int64_t size, at;
    AVIOContext *io;
    AVFormatContext *format;
    AVStream *stream; /* the video that is shown */
    AVCodecContext *decoder;
    AVPacket *packet;
    bool drained;
    int64_t first_time; /* of the first packet, when decoding can start there */
    /* The packet in hand is shown before the first keyframe: what it needs may have been cut away, so that it cannot
     * be decoded is no damage. */
    bool leading;
    enum { MEDIA__AT_START, MEDIA__LEADING, MEDIA__UNDER_WAY } stage;
};
int64_t media__packet_time(const AVPacket *p); /* presentation, else decoding; may be AV_NOPTS_VALUE */
/* Opens the file and chooses its stream; packets can be read, decoders are not open yet. `known` = what an earlier
 * opening of the same file found out (copied), so that no decoder has to look for it again; NULL = look. */
int media__source_open(struct media_source *s, int fd, int64_t size, enum media_container c,
                       const AVCodecParameters *known, const struct media_limits *l, struct err *e);
/* May the parameters of this container's stream be handed to the next opening? Not where time stamps of packets are
 * made up from what the decoder says. */
bool media__source_reusable(enum media_container c);
/* Opens the stream's decoder. Once, before the first frame is asked for. */
int media__source_decode(struct media_source *s, int64_t pixels, struct err *e);
void media__source_close(struct media_source *s); /* also after a failed open */
/* The next packet of the video into s->packet: 1, 0 at the end, -1. Unreferenced by the next call. */
int media__source_packet(struct media_source *s, struct err *e);
/* The next picture in the order shown: 1, 0 at the end, -1. */
int media__source_frame(struct media_source *s, AVFrame *out, struct err *e);
/* 1 = to be shown, 0 = not to be shown, -1 = damaged. */
int media__check_decoded(const struct media_source *s, const AVFrame *f, struct err *e);
enum media_orientation media__source_orientation(const struct media_source *s);

/* ---- a still ---- */
struct media_stills {
    AVCodecContext *png, *jpeg, *webp; /* opened when first needed */
    int64_t pixels;
};
int media__still_decode(struct media_stills *s, const uint8_t *data, size_t size, AVFrame *out,
                        enum media_orientation *orientation, struct err *e);
void media__stills_close(struct media_stills *s);

/* ---- pictures to packed pixels ---- */
struct media_scaler {
    struct SwsContext *scale;
    int key[8]; /* what `scale` was made for */
};
struct media_convert { /* lives as long as the child that decodes; nothing is freed */
    struct media_scaler colour, pack;
    uint8_t *scratch;
    size_t scratch_size;
};
/* Size as shown of a stored picture: sample aspect applied to the width, then the sides swapped. */
int media__shown_size(int32_t w, int32_t h, AVRational aspect, enum media_orientation o, int64_t pixels, int32_t *out_w,
                      int32_t *out_h, struct err *e);
bool media__has_alpha(const AVFrame *f);
/* Is this picture woven from two moments? Many files are marked as interlaced and are not; the picture decides. */
bool media__is_combed(const AVFrame *f);
/* Writes w x h (as shown) pixels to dst. With 3 channels a picture with alpha is laid over white paper. */
int media__convert(struct media_convert *c, const AVFrame *f, enum media_orientation o, int32_t w, int32_t h,
                   int channels, uint8_t *dst, struct err *e);

#endif
