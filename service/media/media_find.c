/* Looking at a video in two passes. The first reads every packet and decodes none: how many frames there are, when they
 * are shown, where decoding can start. The second decodes: everything when that is cheap, else the first, a middle and
 * the last group of pictures, so that a refusal comes with the upload and not minutes later. Where the two passes
 * disagree about the number of frames, everything is decoded and decoding is right. */
#include "media/media_find.h"

#include <errno.h>
#include <libavutil/pixdesc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* About 290 frames of 1280x720: half a second of decoding. */
#define DECODE_ALL_PIXELS (INT64_C(1) << 28)

struct range {
    int64_t from, to; /* packets in the order of the file, `to` excluded */
};

struct look {
    int fd;
    const struct media_limits *limits;
    struct media_found *found;
    int64_t packets, shown; /* shown: without those that an edit list cuts away */
    struct media_list keys; /* packets at which decoding can start */
    struct media_list decoded;
    AVRational time_base, rate; /* the stream's, and what it says its rate is */
    AVCodecParameters *known;   /* of the stream, for the second pass; owned; NULL = it has to look again */
    bool geometry_known;
    int32_t width, height; /* as stored */
};

int media__find_container(int fd, bool as_still, const struct media_limits *l, struct media_found *out, struct err *e)
{
    uint8_t head[64] = {0};
    struct stat s;
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode))
        return err_set(e, ERR_media_unreadable, "this is not a file");
    if (s.st_size > l->bytes)
        return err_set(e, ERR_payload_too_large, "%lld bytes are more than the %lld that are allowed",
                       (long long)s.st_size, (long long)l->bytes);
    ssize_t got = media__read_at(fd, 0, head, sizeof head);
    if (got <= 0)
        return err_set(e, ERR_media_unreadable, got == 0 ? "the file is empty" : "the file cannot be read");
    enum media_container c = media__sniff(head, (size_t)got);
    bool still = c == MEDIA_IN_PNG || c == MEDIA_IN_JPEG || c == MEDIA_IN_WEBP;
    if (as_still && !still)
        return err_set(e, ERR_media_container_refused, "a reference is a PNG, JPEG or WebP picture");
    if (!as_still && (still || c == MEDIA_IN_UNKNOWN))
        return err_set(e, ERR_media_container_refused,
                       "a video is an MP4, MOV, MKV, WebM or AVI file, or a zip of PNG or JPEG frames");
    *out = (struct media_found){.container = c, .size = s.st_size, .orientation = MEDIA_UPRIGHT};
    snprintf(out->info.container, sizeof out->info.container, "%s", media__container_name(c));
    return media__check_whole(fd, s.st_size, c, e);
}

static int note_packet(struct look *look, const struct media_source *s, struct err *e)
{
    const AVPacket *p = s->packet;
    struct media_timeline *times = &look->found->times;
    int64_t most = look->limits->frames;
    int64_t index = look->packets++;
    if (look->packets > 4 * most + 1000)
        return err_set(e, ERR_media_too_many_frames, "the video has more than %lld frames", (long long)most);
    if ((p->flags & AV_PKT_FLAG_KEY) && media__list_add(&look->keys, index, e) != 0)
        return -1;
    if ((p->flags & AV_PKT_FLAG_DISCARD) || (s->leading && media__packet_time(p) == AV_NOPTS_VALUE))
        return 0;
    if (++look->shown > most)
        return err_set(e, ERR_media_too_many_frames, "the video has more than %lld frames", (long long)most);
    if (media__packet_time(p) == AV_NOPTS_VALUE)
        return err_set(e, ERR_media_unreadable, "frame %lld has no time stamp", (long long)look->shown - 1);
    if (times->pts.count == 0 || media__packet_time(p) >= times->pts.items[times->pts.count - 1])
        times->last_duration = p->duration;
    return media__list_add(&times->pts, media__packet_time(p), e);
}

static bool is_coarse(enum media_container c)
{
    return c == MEDIA_IN_MATROSKA || c == MEDIA_IN_WEBM;
}

static int finish_times(struct look *look, struct err *e)
{
    struct media_info *info = &look->found->info;
    struct media_timeline *times = &look->found->times;
    times->tb_num = look->time_base.num;
    times->tb_den = look->time_base.den;
    if (media__timeline_finish(times, is_coarse(look->found->container), look->rate.num, look->rate.den, info, e) != 0)
        return -1;
    if (info->duration_us > look->limits->seconds * 1000000)
        return err_set(e, ERR_media_too_long, "%.1f seconds are more than the %lld that are allowed",
                       (double)info->duration_us / 1e6, (long long)look->limits->seconds);
    return 0;
}

static int scan(struct look *look, struct err *e)
{
    struct media_source s;
    struct media_info *info = &look->found->info;
    int more, result = -1;
    if (media__source_open(&s, look->fd, look->found->size, look->found->container, NULL, look->limits, e) != 0)
        goto out;
    if (media__source_reusable(look->found->container) && (look->known = avcodec_parameters_alloc()) != NULL &&
        avcodec_parameters_copy(look->known, s.stream->codecpar) < 0)
        avcodec_parameters_free(&look->known);
    for (unsigned i = 0; i < s.format->nb_streams; i++)
        info->has_audio |= s.format->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
    snprintf(info->codec, sizeof info->codec, "%s", avcodec_get_name(s.stream->codecpar->codec_id));
    look->time_base = s.stream->time_base;
    look->rate = s.stream->avg_frame_rate.num > 0 ? s.stream->avg_frame_rate : s.stream->r_frame_rate;
    look->width = s.stream->codecpar->width;
    look->height = s.stream->codecpar->height;
    look->found->orientation = media__source_orientation(&s);
    info->rotation = media__degrees(look->found->orientation);
    while ((more = media__source_packet(&s, e)) == 1)
        if (note_packet(look, &s, e) != 0)
            goto out;
    if (more == 0)
        result = finish_times(look, e);
out:
    media__source_close(&s);
    return result;
}

/* The first frame says what the rest must be. */
static int check_frame(struct look *look, struct media_source *s, AVFrame *f, struct err *e)
{
    struct media_info *info = &look->found->info;
    if (media__is_combed(f))
        return err_set(e, ERR_media_codec_refused, "interlaced video is not accepted: deinterlace it first");
    if (look->geometry_known) {
        if (f->width != look->width || f->height != look->height)
            return err_set(e, ERR_media_unreadable, "the picture size changes from %d x %d to %d x %d", look->width,
                           look->height, f->width, f->height);
        return 0;
    }
    look->geometry_known = true;
    look->width = f->width;
    look->height = f->height;
    info->has_alpha = media__has_alpha(f);
    snprintf(info->pixel_format, sizeof info->pixel_format, "%s", av_get_pix_fmt_name(f->format));
    look->found->aspect = av_guess_sample_aspect_ratio(s->format, s->stream, f);
    return media__shown_size(f->width, f->height, look->found->aspect, look->found->orientation, look->limits->pixels,
                             &info->width, &info->height, e);
}

/* Sends one packet (NULL: the end) and takes what comes out. */
static int decode_packet(struct look *look, struct media_source *s, const AVPacket *packet, AVFrame *f, struct err *e)
{
    int rc = avcodec_send_packet(s->decoder, packet);
    while (rc >= 0) {
        av_frame_unref(f);
        rc = avcodec_receive_frame(s->decoder, f);
        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
            return 0;
        if (rc < 0)
            break;
        int good = media__check_decoded(s, f, e);
        if (good < 0)
            return -1;
        if (good == 0)
            continue;
        if (check_frame(look, s, f, e) != 0 || media__list_add(&look->decoded, f->best_effort_timestamp, e) != 0)
            return -1;
    }
    return packet && s->leading ? 0 : media__av_error(rc, "decode", e);
}

/* Decodes the ranges, which are in order and do not overlap. */
static int decode_ranges(struct look *look, const struct range *ranges, int count, struct err *e)
{
    struct media_source s;
    AVFrame *f = av_frame_alloc();
    int more = 1, result = -1, r = 0;
    int64_t start = AV_NOPTS_VALUE;
    look->decoded.count = 0;
    if (media__source_open(&s, look->fd, look->found->size, look->found->container, look->known, look->limits, e) !=
            0 ||
        media__source_decode(&s, look->limits->pixels, e) != 0)
        goto out;
    if (!f) {
        err_set(e, ERR_media_decode_memory, "no memory to decode the video");
        goto out;
    }
    for (int64_t i = 0; r < count && (more = media__source_packet(&s, e)) == 1; i++) {
        if (i == ranges[r].from)
            start = media__packet_time(s.packet);
        /* Pictures that are shown before the one where decoding starts need what was skipped. */
        bool leads = ranges[r].from > 0 && media__packet_time(s.packet) < start;
        if (i >= ranges[r].from && i < ranges[r].to && !leads && decode_packet(look, &s, s.packet, f, e) != 0)
            goto out;
        if (i + 1 == ranges[r].to) {
            if (decode_packet(look, &s, NULL, f, e) != 0)
                goto out;
            avcodec_flush_buffers(s.decoder);
            r++;
        }
    }
    result = more < 0 ? -1 : 0;
out:
    av_frame_free(&f);
    media__source_close(&s);
    return result;
}

/* The group of pictures around a packet, cut to what the budget allows. */
static struct range group_at(const struct look *look, int64_t packet, int64_t most)
{
    struct range group = {0, look->packets};
    for (int64_t i = 0; i < look->keys.count; i++) {
        if (look->keys.items[i] <= packet)
            group.from = look->keys.items[i];
        else {
            group.to = look->keys.items[i];
            break;
        }
    }
    if (group.to - group.from > most)
        group.to = group.from + most;
    return group;
}

/* Frames of the first group that were decoded and that should have been. */
static int check_samples(struct look *look, bool *agree, struct err *e)
{
    int64_t most = DECODE_ALL_PIXELS / 3 / ((int64_t)look->width * look->height) + 1;
    struct range ranges[3] = {group_at(look, 0, most), group_at(look, look->packets / 2, most),
                              group_at(look, look->packets - 1, most)};
    int count = 1;
    for (int i = 1; i < 3; i++)
        if (ranges[i].from >= ranges[count - 1].to)
            ranges[count++] = ranges[i];
    if (decode_ranges(look, ranges, 1, e) != 0)
        return -1;
    *agree = look->shown == look->packets && look->decoded.count == ranges[0].to - ranges[0].from;
    return *agree && count > 1 ? decode_ranges(look, ranges + 1, count - 1, e) : 0;
}

/* Everything was decoded: its count and times stand. */
static int take_decoded_times(struct look *look, struct err *e)
{
    struct media_timeline *times = &look->found->times;
    if (look->decoded.count == look->shown)
        return 0;
    for (int64_t i = 0; i < look->decoded.count; i++)
        if (look->decoded.items[i] == AV_NOPTS_VALUE || (i > 0 && look->decoded.items[i] <= look->decoded.items[i - 1]))
            return err_set(e, ERR_media_unreadable, "frame %lld has no usable time stamp", (long long)i);
    struct media_list old = times->pts;
    times->pts = look->decoded;
    look->decoded = old;
    return finish_times(look, e);
}

static int look_at_pictures(struct look *look, struct err *e)
{
    bool agree = false;
    struct range all = {0, look->packets};
    if (look->width <= 0 || look->height <= 0)
        return err_set(e, ERR_media_unreadable, "the video does not say its size");
    bool cheap = (int64_t)look->width * look->height * look->packets <= DECODE_ALL_PIXELS;
    if (!cheap && check_samples(look, &agree, e) != 0)
        return -1;
    if (agree)
        return 0;
    return decode_ranges(look, &all, 1, e) != 0 ? -1 : take_decoded_times(look, e);
}

int media__find_video(int fd, const struct media_limits *l, struct media_found *out, struct err *e)
{
    struct look look = {.fd = fd, .limits = l, .found = out};
    out->info.kind = MEDIA_VIDEO;
    int result = scan(&look, e);
    if (result == 0)
        result = look_at_pictures(&look, e);
    media__list_free(&look.keys);
    media__list_free(&look.decoded);
    avcodec_parameters_free(&look.known);
    return result;
}

void media__found_free(struct media_found *f)
{
    media__list_free(&f->times.pts);
}
