#include "paint/pairs.h"

#include <stdlib.h>
#include <string.h>

void pairs_fini(struct pairs *p)
{
    free(p->slots);
    *p = (struct pairs){0};
}

void pairs_clear(struct pairs *p)
{
    if (p->slots)
        memset(p->slots, 0, (size_t)p->capacity * sizeof *p->slots);
    p->used = 0;
}

static struct pair_count *slot_of(struct pair_count *slots, int32_t capacity, int32_t a, int32_t b)
{
    uint64_t h = ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) * UINT64_C(0x9E3779B97F4A7C15);
    for (uint32_t i = (uint32_t)(h >> 32);; i++) {
        struct pair_count *s = &slots[i & (uint32_t)(capacity - 1)];
        if (!s->b || (s->a == a && s->b == b))
            return s;
    }
}

static int enlarge(struct pairs *p)
{
    int32_t capacity = p->capacity ? p->capacity * 2 : 1024;
    struct pair_count *slots = capacity > 0 ? calloc((size_t)capacity, sizeof *slots) : NULL;
    if (!slots)
        return -1;
    for (int32_t i = 0; i < p->capacity; i++)
        if (p->slots[i].b)
            *slot_of(slots, capacity, p->slots[i].a, p->slots[i].b) = p->slots[i];
    free(p->slots);
    p->slots = slots;
    p->capacity = capacity;
    return 0;
}

int pairs_add(struct pairs *p, int32_t a, int32_t b, int32_t n, int32_t m)
{
    if (p->used * 2 >= p->capacity && enlarge(p))
        return -1;
    struct pair_count *s = slot_of(p->slots, p->capacity, a, b);
    if (!s->b) {
        s->a = a;
        s->b = b;
        p->used++;
    }
    s->n += n;
    s->m += m;
    return 0;
}

static int by_pair(const void *left, const void *right)
{
    const struct pair_count *l = left, *r = right;
    if (l->a != r->a)
        return l->a < r->a ? -1 : 1;
    return (l->b > r->b) - (l->b < r->b);
}

int32_t pairs_sort(struct pairs *p)
{
    int32_t n = 0;
    for (int32_t i = 0; i < p->capacity; i++)
        if (p->slots[i].b)
            p->slots[n++] = p->slots[i];
    if (n)
        qsort(p->slots, (size_t)n, sizeof *p->slots, by_pair);
    return n;
}
