/* One PNG, JPEG or WebP, straight into its decoder: no demuxer stands between. Everything but the pixels and the
 * orientation is dropped. */
#include "media/media_av.h"

#include <libavutil/dict.h>
#include <libavutil/imgutils.h>
#include <stdlib.h>
#include <string.h>

static uint32_t big_endian32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* PNG says its size first, so a bomb is refused before a decoder is asked. */
static int check_png(const uint8_t *data, size_t size, int64_t pixels, struct err *e)
{
    if (size < 33 || memcmp(data + 12, "IHDR", 4) != 0)
        return err_set(e, ERR_media_truncated, "the picture ends early");
    uint64_t w = big_endian32(data + 16), h = big_endian32(data + 20);
    if (w == 0 || h == 0)
        return err_set(e, ERR_media_unreadable, "the picture has no pixels");
    if (w > (uint64_t)pixels / h)
        return err_set(e, ERR_media_too_many_pixels, "%llu x %llu pixels are more than the %lld that are allowed",
                       (unsigned long long)w, (unsigned long long)h, (long long)pixels);
    return 0;
}

/* Walks the chunks to the end: libav shows half a picture without complaint. `exif` is set when there is an eXIf. */
static int walk_png(const uint8_t *data, size_t size, const uint8_t **exif, size_t *exif_size, struct err *e)
{
    for (size_t at = 8; at + 12 <= size;) {
        uint32_t length = big_endian32(data + at);
        if (length > size - at - 12)
            break;
        if (memcmp(data + at + 4, "eXIf", 4) == 0) {
            *exif = data + at + 8;
            *exif_size = length;
        }
        if (memcmp(data + at + 4, "IEND", 4) == 0)
            return 0;
        at += 12 + (size_t)length;
    }
    return err_set(e, ERR_media_truncated, "the picture ends early");
}

/* Tag 0x0112 in the first directory of a TIFF block (TIFF 6.0, section 2; EXIF 2.3, 4.6.4). */
static enum media_orientation tiff_orientation(const uint8_t *p, size_t size)
{
    if (size < 14 || (memcmp(p, "II*\0", 4) != 0 && memcmp(p, "MM\0*", 4) != 0))
        return MEDIA_UPRIGHT;
    bool big = p[0] == 'M';
    uint32_t first =
        big ? big_endian32(p + 4) : (uint32_t)p[7] << 24 | (uint32_t)p[6] << 16 | (uint32_t)p[5] << 8 | p[4];
    if (first > size - 2)
        return MEDIA_UPRIGHT;
    unsigned entries = big ? (unsigned)(p[first] << 8 | p[first + 1]) : (unsigned)(p[first + 1] << 8 | p[first]);
    for (size_t at = first + 2; entries-- > 0 && at + 12 <= size; at += 12) {
        unsigned tag = big ? (unsigned)(p[at] << 8 | p[at + 1]) : (unsigned)(p[at + 1] << 8 | p[at]);
        unsigned value = big ? (unsigned)(p[at + 8] << 8 | p[at + 9]) : (unsigned)(p[at + 9] << 8 | p[at + 8]);
        if (tag == 0x0112)
            return value >= 1 && value <= 8 ? (enum media_orientation)value : MEDIA_UPRIGHT;
    }
    return MEDIA_UPRIGHT;
}

/* libav gives the EXIF of JPEG and WebP as text. */
static enum media_orientation frame_orientation(const AVFrame *f)
{
    const AVDictionaryEntry *entry = av_dict_get(f->metadata, "Orientation", NULL, 0);
    long value = entry ? strtol(entry->value, NULL, 10) : 1;
    return value >= 1 && value <= 8 ? (enum media_orientation)value : MEDIA_UPRIGHT;
}

static AVCodecContext **decoder_of(struct media_stills *s, enum media_container c, enum AVCodecID *id)
{
    switch (c) {
    case MEDIA_IN_PNG:
        *id = AV_CODEC_ID_PNG;
        return &s->png;
    case MEDIA_IN_JPEG:
        *id = AV_CODEC_ID_MJPEG;
        return &s->jpeg;
    case MEDIA_IN_WEBP:
        *id = AV_CODEC_ID_WEBP;
        return &s->webp;
    default:
        return NULL;
    }
}

static int decode_one(AVCodecContext *decoder, const uint8_t *data, size_t size, AVFrame *out, struct err *e)
{
    AVPacket *packet = av_packet_alloc();
    int rc = packet && size < INT32_MAX / 2 ? av_new_packet(packet, (int)size) : AVERROR(ENOMEM);
    if (rc == 0) {
        memcpy(packet->data, data, size);
        packet->flags |= AV_PKT_FLAG_KEY;
        rc = avcodec_send_packet(decoder, packet);
    }
    if (rc == 0) {
        /* One picture in, one out: the end of the stream is said at once and taken back afterwards. */
        rc = avcodec_send_packet(decoder, NULL);
        rc = rc < 0 ? rc : avcodec_receive_frame(decoder, out);
        rc = rc == AVERROR_EOF || rc == AVERROR(EAGAIN) ? AVERROR_INVALIDDATA : rc;
    }
    avcodec_flush_buffers(decoder);
    av_packet_free(&packet);
    return rc < 0 ? media__av_error(rc, "decode", e) : 0;
}

int media__still_decode(struct media_stills *s, const uint8_t *data, size_t size, AVFrame *out,
                        enum media_orientation *orientation, struct err *e)
{
    enum AVCodecID id = AV_CODEC_ID_NONE;
    enum media_container c = media__sniff(data, size);
    AVCodecContext **decoder = decoder_of(s, c, &id);
    const uint8_t *exif = NULL;
    size_t exif_size = 0;
    if (!decoder)
        return err_set(e, ERR_media_container_refused, "the picture is not a PNG, JPEG or WebP");
    if (c == MEDIA_IN_PNG &&
        (check_png(data, size, s->pixels, e) != 0 || walk_png(data, size, &exif, &exif_size, e) != 0))
        return -1;
    if (c == MEDIA_IN_WEBP && size > 20 && memcmp(data + 12, "VP8X", 4) == 0 && (data[20] & 2))
        return err_set(e, ERR_media_codec_refused, "animated WebP is not accepted");
    if (!*decoder && media__decoder_open(decoder, media__decoder(id, false), NULL, s->pixels, e) != 0)
        return -1;
    av_frame_unref(out);
    if (decode_one(*decoder, data, size, out, e) != 0)
        return -1;
    if (out->width <= 0 || out->height <= 0)
        return err_set(e, ERR_media_unreadable, "the picture has no pixels");
    if ((int64_t)out->width * out->height > s->pixels)
        return err_set(e, ERR_media_too_many_pixels, "%d x %d pixels are more than the %lld that are allowed",
                       out->width, out->height, (long long)s->pixels);
    *orientation = exif ? tiff_orientation(exif, exif_size) : frame_orientation(out);
    return 0;
}

void media__stills_close(struct media_stills *s)
{
    avcodec_free_context(&s->png);
    avcodec_free_context(&s->jpeg);
    avcodec_free_context(&s->webp);
}
