#include "base/text.h"

#include <stdint.h>
#include <string.h>

size_t text_utf8_step(const char *s, size_t size)
{
    const unsigned char *p = (const unsigned char *)s;
    if (size == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    size_t length = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || length > size)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xED && p[1] > 0x9F;
    bool beyond = p[0] == 0xF4 && p[1] > 0x8F;
    return overlong || surrogate || beyond ? 0 : length;
}

bool text_utf8_valid(const char *s, size_t size)
{
    for (size_t at = 0, step; at < size; at += step)
        if ((step = text_utf8_step(s + at, size - at)) == 0)
            return false;
    return true;
}

size_t text_clean(char *out, size_t out_size, const char *in)
{
    size_t used = 0, left = strlen(in);
    while (left > 0) {
        size_t step = text_utf8_step(in, left);
        const char *from = in;
        size_t size = step;
        if (step == 0) {
            from = "\xEF\xBF\xBD";
            size = 3;
            step = 1;
        } else if ((unsigned char)*in < 0x20 || *in == 0x7F) {
            from = " ";
        }
        if (used + size >= out_size)
            break;
        memcpy(out + used, from, size);
        used += size;
        in += step;
        left -= step;
    }
    out[used] = '\0';
    return used;
}

int text_copy(char *out, size_t out_size, const char *in)
{
    size_t size = strlen(in);
    out[0] = '\0';
    if (size >= out_size)
        return -1;
    memcpy(out, in, size + 1);
    return 0;
}

enum { DISTANCE_MAX = 63 };

int text_distance(const char *a, const char *b)
{
    size_t la = strnlen(a, DISTANCE_MAX), lb = strnlen(b, DISTANCE_MAX);
    int row[DISTANCE_MAX + 1];
    for (size_t j = 0; j <= lb; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= la; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= lb; j++) {
            int replace = diagonal + (a[i - 1] != b[j - 1]);
            int insert = row[j - 1] + 1, drop = row[j] + 1;
            diagonal = row[j];
            int best = replace < insert ? replace : insert;
            row[j] = best < drop ? best : drop;
        }
    }
    return row[lb];
}

const char *text_nearest(const char *wanted, const char *const *names, int count)
{
    const char *best = NULL;
    int best_distance = INT32_MAX;
    for (int i = 0; i < count; i++) {
        int distance = text_distance(wanted, names[i]);
        if (distance < best_distance) {
            best_distance = distance;
            best = names[i];
        }
    }
    return best;
}
