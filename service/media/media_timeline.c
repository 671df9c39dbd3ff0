/* When each frame is shown, and at what rate. Times come from packets, so they are known before anything is decoded.
 * Matroska rounds them to milliseconds: 24000/1001 frames a second arrive as 0, 42, 83, 125, ... and would leave as a
 * variable rate. Where the nominal rate explains every one of them they are made exact again. */
#include "media/media_int.h"

#include <math.h>
#include <stdlib.h>

/* Products of three 31-bit numbers occur below. */
__extension__ typedef __int128 wide;

int media__list_add(struct media_list *l, int64_t item, struct err *e)
{
    if (l->count == l->capacity) {
        int64_t capacity = l->capacity ? l->capacity * 2 : 256;
        int64_t *grown = realloc(l->items, (size_t)capacity * sizeof *grown);
        if (!grown)
            return err_set(e, ERR_media_decode_memory, "no memory for %lld frames", (long long)capacity);
        l->items = grown;
        l->capacity = capacity;
    }
    l->items[l->count++] = item;
    return 0;
}

void media__list_free(struct media_list *l)
{
    free(l->items);
    *l = (struct media_list){0};
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a ? a : 1;
}

/* num/den in lowest terms that fit 31 bits; precision is given up only where it must be. */
static void set_rate(struct media_info *info, int64_t num, int64_t den)
{
    int64_t divisor = common_divisor(num, den);
    num /= divisor;
    den /= divisor;
    while (num > INT32_MAX || den > INT32_MAX) {
        num /= 2;
        den /= 2;
    }
    info->fps_num = (int32_t)(num > 0 ? num : 1);
    info->fps_den = (int32_t)(den > 0 ? den : 1);
}

static int64_t to_us(int64_t ticks, const struct media_timeline *t)
{
    return (int64_t)((wide)ticks * t->tb_num * 1000000 / t->tb_den);
}

/* Is every time stamp within one unit of a steady rate? */
static bool is_steady(const struct media_timeline *t, int32_t num, int32_t den)
{
    if (num <= 0 || den <= 0)
        return false;
    /* frame i is due at i * den * tb_den / (num * tb_num) units; compared as integers over the common denominator */
    wide unit = (wide)num * t->tb_num, step = (wide)den * t->tb_den;
    for (int64_t i = 0; i < t->pts.count; i++) {
        wide off = (t->pts.items[i] - t->pts.items[0]) * unit - i * step;
        if (off > unit || off < -unit)
            return false;
    }
    return true;
}

/* A rate that somebody measured is seldom exact: the whole number or the 1000/1001 of one that is as good as the same.
 */
static void tidy_rate(int32_t *num, int32_t *den)
{
    double rate = *den > 0 ? (double)*num / *den : 0;
    int32_t whole = (int32_t)(rate + 0.5), ntsc = (int32_t)(rate * 1.001 + 0.5);
    if (rate < 1 || rate > 1000)
        return;
    if (fabs(rate - whole) < 0.0004 * rate) {
        *num = whole;
        *den = 1;
    } else if (fabs(rate - ntsc / 1.001) < 0.0004 * rate) {
        *num = ntsc * 1000;
        *den = 1001;
    }
}

static void make_exact(struct media_timeline *t, int32_t num, int32_t den)
{
    int64_t factor = 1;
    while (num * factor < 10000)
        factor *= 2;
    if (num * factor > INT32_MAX)
        return;
    wide scaled = (wide)t->pts.items[0] * t->tb_num * num * factor;
    int64_t half = t->tb_den / 2, start = (int64_t)((scaled + (scaled < 0 ? -half : half)) / t->tb_den);
    for (int64_t i = 0; i < t->pts.count; i++)
        t->pts.items[i] = start + i * den * factor;
    t->tb_num = 1;
    t->tb_den = (int32_t)(num * factor);
    t->last_duration = den * factor;
}

int media__timeline_finish(struct media_timeline *t, bool coarse, int32_t nominal_num, int32_t nominal_den,
                           struct media_info *info, struct err *e)
{
    int64_t shortest = INT64_MAX, longest = 0;
    if (t->pts.count == 0)
        return err_set(e, ERR_media_no_video, "the video has no frames");
    qsort(t->pts.items, (size_t)t->pts.count, sizeof *t->pts.items, by_time);
    /* Far-off time stamps would overflow what comes after; ten years either way are enough. */
    wide most = (wide)315360000 * t->tb_den / t->tb_num;
    if (t->pts.items[0] < -most || t->pts.items[t->pts.count - 1] > most)
        return err_set(e, ERR_media_unreadable, "the time stamps are out of range");
    for (int64_t i = 1; i < t->pts.count; i++) {
        int64_t gap = t->pts.items[i] - t->pts.items[i - 1];
        if (gap == 0)
            return err_set(e, ERR_media_unreadable, "frames %lld and %lld have the same time stamp", (long long)i - 1,
                           (long long)i);
        shortest = gap < shortest ? gap : shortest;
        longest = gap > longest ? gap : longest;
    }
    int32_t tidy_num = nominal_num, tidy_den = nominal_den;
    tidy_rate(&tidy_num, &tidy_den);
    if (is_steady(t, tidy_num, tidy_den)) {
        nominal_num = tidy_num;
        nominal_den = tidy_den;
    }
    bool steady = is_steady(t, nominal_num, nominal_den);
    if (t->last_duration <= 0 || t->last_duration > most)
        t->last_duration = t->pts.count > 1 ? t->pts.items[t->pts.count - 1] - t->pts.items[t->pts.count - 2] : 1;
    if (t->pts.count > 1 && shortest == longest)
        set_rate(info, t->tb_den, (int64_t)t->tb_num * shortest);
    else if (steady)
        set_rate(info, nominal_num, nominal_den);
    else
        set_rate(info, t->pts.count * t->tb_den,
                 (t->pts.items[t->pts.count - 1] - t->pts.items[0] + t->last_duration) * (int64_t)t->tb_num);
    info->variable_rate = t->pts.count > 1 && !steady && longest - shortest > 1;
    if (coarse && steady)
        make_exact(t, nominal_num, nominal_den);
    info->frames = t->pts.count;
    info->start_us = to_us(t->pts.items[0], t);
    info->duration_us = to_us(t->pts.items[t->pts.count - 1] - t->pts.items[0] + t->last_duration, t);
    return 0;
}
