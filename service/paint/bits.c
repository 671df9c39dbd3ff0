#include "paint/bits.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int bits_init(struct bits *b, int32_t width, int32_t height)
{
    b->width = width;
    b->height = height;
    b->stride = (width + 63) / 64;
    b->words = calloc((size_t)b->stride * (size_t)height, sizeof *b->words);
    return b->words ? 0 : -1;
}

void bits_fini(struct bits *b)
{
    free(b->words);
    b->words = NULL;
}

/* The word with every bit replaced by its left (smaller x) or right neighbour. */
static inline uint64_t from_left(const uint64_t *row, int32_t i)
{
    return row[i] << 1 | (i ? row[i - 1] >> 63 : 0);
}

static inline uint64_t from_right(const uint64_t *row, int32_t i, int32_t n)
{
    return row[i] >> 1 | (i + 1 < n ? row[i + 1] << 63 : 0);
}

void bits_erode_cross(struct bits *out, const struct bits *in)
{
    int32_t n = in->stride;
    for (int32_t y = 0; y < in->height; y++) {
        uint64_t *o = bits_row(out, y);
        if (y == 0 || y == in->height - 1) {
            memset(o, 0, (size_t)n * sizeof *o);
            continue;
        }
        const uint64_t *r = bits_row(in, y), *up = r - n, *down = r + n;
        for (int32_t i = 0; i < n; i++)
            o[i] = r[i] & from_left(r, i) & from_right(r, i, n) & up[i] & down[i];
    }
}

void bits_erode_square(struct bits *out, const struct bits *in)
{
    int32_t n = in->stride;
    for (int32_t y = 0; y < in->height; y++) {
        uint64_t *o = bits_row(out, y);
        if (y == 0 || y == in->height - 1) {
            memset(o, 0, (size_t)n * sizeof *o);
            continue;
        }
        const uint64_t *r = bits_row(in, y), *up = r - n, *down = r + n;
        for (int32_t i = 0; i < n; i++) {
            uint64_t column = r[i] & up[i] & down[i];
            uint64_t before = i ? r[i - 1] & up[i - 1] & down[i - 1] : 0;
            uint64_t after = i + 1 < n ? r[i + 1] & up[i + 1] & down[i + 1] : 0;
            o[i] = column & (column << 1 | before >> 63) & (column >> 1 | after << 63);
        }
    }
}

/* Bits beyond the width stay 0. */
static uint64_t row_end(const struct bits *b, int32_t i)
{
    int32_t n = b->width - i * 64;
    return n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

void bits_dilate_cross(struct bits *out, const struct bits *in)
{
    int32_t n = in->stride;
    for (int32_t y = 0; y < in->height; y++) {
        const uint64_t *r = bits_row(in, y), *up = y ? r - n : NULL, *down = y + 1 < in->height ? r + n : NULL;
        uint64_t *o = bits_row(out, y);
        for (int32_t i = 0; i < n; i++)
            o[i] = (r[i] | from_left(r, i) | from_right(r, i, n) | (up ? up[i] : 0) | (down ? down[i] : 0)) &
                   row_end(in, i);
    }
}

static uint64_t column(const struct bits *b, int32_t y, int32_t i)
{
    if (i < 0 || i >= b->stride)
        return 0;
    uint64_t w = bits_row(b, y)[i];
    if (y)
        w |= bits_row(b, y - 1)[i];
    return y + 1 < b->height ? w | bits_row(b, y + 1)[i] : w;
}

void bits_dilate_square(struct bits *out, const struct bits *in)
{
    for (int32_t y = 0; y < in->height; y++) {
        uint64_t *o = bits_row(out, y), before = 0, here = column(in, y, 0);
        for (int32_t i = 0; i < in->stride; i++) {
            uint64_t after = column(in, y, i + 1);
            o[i] = (here | here << 1 | before >> 63 | here >> 1 | after << 63) & row_end(in, i);
            before = here;
            here = after;
        }
    }
}

int64_t bits_count(const struct bits *b)
{
    int64_t count = 0;
    for (int64_t i = 0, n = (int64_t)b->stride * b->height; i < n; i++)
        count += __builtin_popcountll(b->words[i]);
    return count;
}

void bits_frontier(struct bits *out, const struct bits *in, const struct bits *allowed)
{
    int32_t n = in->stride;
    for (int32_t y = 0; y < in->height; y++) {
        const uint64_t *r = bits_row(in, y), *a = bits_row(allowed, y);
        const uint64_t *up = y ? r - n : NULL, *down = y + 1 < in->height ? r + n : NULL;
        uint64_t *o = bits_row(out, y);
        for (int32_t i = 0; i < n; i++) {
            uint64_t near = from_left(r, i) | from_right(r, i, n) | (up ? up[i] : 0) | (down ? down[i] : 0);
            o[i] = near & a[i] & ~r[i];
        }
    }
}

/* ---- areas: runs of set pixels, joined with the runs they touch in the row above ---- */
struct run {
    int32_t x0, x1; /* x1 is one past the end */
    int32_t parent; /* index of a run of the same area; itself for the root, the earliest run */
};

struct runs {
    struct run *at;
    int64_t count, capacity;
};

static int push_run(struct runs *r, int32_t x0, int32_t x1)
{
    if (r->count == r->capacity) {
        int64_t capacity = r->capacity ? r->capacity * 2 : 4096;
        struct run *grown = capacity > INT32_MAX ? NULL : realloc(r->at, (size_t)capacity * sizeof *grown);
        if (!grown)
            return -1;
        r->at = grown;
        r->capacity = capacity;
    }
    r->at[r->count] = (struct run){x0, x1, (int32_t)r->count};
    r->count++;
    return 0;
}

static int32_t root_of(struct run *at, int32_t i)
{
    while (at[i].parent != i) {
        at[i].parent = at[at[i].parent].parent;
        i = at[i].parent;
    }
    return i;
}

static void join(struct run *at, int32_t a, int32_t b)
{
    a = root_of(at, a);
    b = root_of(at, b);
    if (a < b)
        at[b].parent = a;
    else
        at[a].parent = b;
}

static int row_runs(struct runs *r, const uint64_t *row, int32_t stride)
{
    int32_t start = -1;
    for (int32_t i = 0; i < stride; i++) {
        uint64_t w = row[i];
        int32_t x = 0;
        if (start < 0 && w == 0)
            continue;
        if (start >= 0 && w == UINT64_MAX)
            continue;
        while (x < 64) {
            uint64_t rest = (start < 0 ? w : ~w) >> x;
            if (!rest)
                break;
            x += __builtin_ctzll(rest);
            if (start < 0) {
                start = i * 64 + x;
            } else {
                if (push_run(r, start, i * 64 + x))
                    return -1;
                start = -1;
            }
        }
    }
    return start >= 0 ? push_run(r, start, stride * 64) : 0;
}

static void join_rows(struct run *at, int64_t above, int64_t here, int64_t end)
{
    int64_t a = above, b = here;
    while (a < here && b < end) {
        if (at[a].x0 < at[b].x1 && at[b].x0 < at[a].x1)
            join(at, (int32_t)a, (int32_t)b);
        if (at[a].x1 < at[b].x1)
            a++;
        else
            b++;
    }
}

/* Roots get numbers in their order; a root precedes all other runs of its area. `parent` becomes the number. */
static int32_t number_runs(struct runs *r, int32_t first_label)
{
    int32_t count = 0;
    for (int64_t i = 0; i < r->count; i++) {
        int32_t p = r->at[i].parent;
        /* Paths are not all short, but a parent is earlier and numbered already. */
        r->at[i].parent = p == i ? first_label + count++ : r->at[p].parent;
    }
    return count;
}

int32_t bits_label(const struct bits *mask, int32_t first_label, int32_t *labels)
{
    struct runs r = {0};
    int32_t count = -1;
    int64_t *row_start = malloc(((size_t)mask->height + 1) * sizeof *row_start);
    if (!row_start)
        goto out;
    int64_t above = 0;
    for (int32_t y = 0; y < mask->height; y++) {
        row_start[y] = r.count;
        if (row_runs(&r, bits_row(mask, y), mask->stride))
            goto out;
        join_rows(r.at, above, row_start[y], r.count);
        above = row_start[y];
    }
    row_start[mask->height] = r.count;
    count = number_runs(&r, first_label);
    for (int32_t y = 0; y < mask->height; y++) {
        int32_t *row = labels + (int64_t)y * mask->width;
        for (int64_t i = row_start[y]; i < row_start[y + 1]; i++)
            for (int32_t x = r.at[i].x0, end = r.at[i].x1 < mask->width ? r.at[i].x1 : mask->width; x < end; x++)
                row[x] = r.at[i].parent;
    }
out:
    free(row_start);
    free(r.at);
    return count;
}
