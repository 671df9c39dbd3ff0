#include "train/loader.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 64, ATTEMPTS_MAX = 64 };

struct slot {
    int64_t number; /* of the sample in it, or that is being read; -1 = free */
    bool ready;
    struct err why; /* code != none: no sample could be had */
    struct train_pick pick;
    uint8_t *color, *lines, *reference, *reference_lines, *history;
};

struct loader {
    struct loader_conf c;
    int64_t *lengths; /* of the shots */
    bool *bad;
    struct slot *slots;
    int slot_count, in_use; /* in_use: the slot that the caller looks at, -1 = none */
    int64_t next, end;      /* numbers of samples */
    bool stop;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pthread_t threads[THREADS_MAX];
    int thread_count;
};

/* ---- one sample ---- */

static int read_history(const struct loader *l, struct slot *s, struct err *e)
{
    size_t bytes = (size_t)l->c.shots->width * (size_t)l->c.shots->height * 3;
    for (int64_t i = 0; i < s->pick.history; i++)
        if (train_shot_color(l->c.shots, s->pick.shot, train_pick_history_frame(&s->pick, i), s->pick.mirrored,
                             s->history + bytes * (size_t)i, e) != 0)
            return -1;
    return 0;
}

static int read_pick(const struct loader *l, struct slot *s, struct err *e)
{
    const struct train_shots *shots = l->c.shots;
    const struct train_pick *p = &s->pick;
    size_t pixels = (size_t)shots->width * (size_t)shots->height;
    for (int64_t i = 0; i < l->c.pick.frames; i++)
        if (train_shot_color(shots, p->shot, p->first + i, p->mirrored, s->color + pixels * 3 * (size_t)i, e) != 0 ||
            train_shot_lines(shots, p->shot, p->first + i, p->mirrored, s->lines + pixels * (size_t)i, e) != 0)
            return -1;
    if (train_shot_color(shots, p->shot, p->reference, p->reference_mirrored, s->reference, e) != 0 ||
        train_shot_lines(shots, p->shot, p->reference, p->reference_mirrored, s->reference_lines, e) != 0)
        return -1;
    return read_history(l, s, e);
}

static void lose_shot(struct loader *l, int shot, const struct err *why)
{
    pthread_mutex_lock(&l->lock);
    if (!l->bad[shot] && l->c.on_bad)
        l->c.on_bad(l->c.user, l->c.shots->items[shot].name, why);
    l->bad[shot] = true;
    pthread_mutex_unlock(&l->lock);
}

static bool is_bad(struct loader *l, int shot)
{
    pthread_mutex_lock(&l->lock);
    bool bad = l->bad[shot];
    pthread_mutex_unlock(&l->lock);
    return bad;
}

static void read_sample(struct loader *l, struct slot *s)
{
    struct err why = {0};
    int64_t step = s->number / l->c.items;
    int32_t item = (int32_t)(s->number % l->c.items);
    for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        train_pick(&s->pick, &l->c.pick, l->lengths, l->c.shots->count, step, item, attempt);
        if (is_bad(l, s->pick.shot))
            continue;
        if (read_pick(l, s, &why) == 0) {
            s->why = (struct err){0};
            return;
        }
        lose_shot(l, s->pick.shot, &why);
    }
    err_set(&s->why, ERR_params_invalid, "no shot can be read any more%s%s", why.detail[0] ? ": " : "", why.detail);
}

/* ---- threads ---- */

static struct slot *free_slot(struct loader *l)
{
    for (int i = 0; i < l->slot_count; i++)
        if (l->slots[i].number < 0)
            return &l->slots[i];
    return NULL;
}

static void *read_ahead(void *argument)
{
    struct loader *l = argument;
    struct slot *s = NULL;
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        if (l->next >= l->end || !(s = free_slot(l))) {
            pthread_cond_wait(&l->changed, &l->lock);
            continue;
        }
        s->number = l->next++;
        s->ready = false;
        pthread_mutex_unlock(&l->lock);
        read_sample(l, s);
        pthread_mutex_lock(&l->lock);
        s->ready = true;
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static int make_slots(struct loader *l)
{
    size_t pixels = (size_t)l->c.shots->width * (size_t)l->c.shots->height, frames = (size_t)l->c.pick.frames;
    size_t history = l->c.pick.stage == TRAIN_MEMORY ? (size_t)l->c.pick.history_max : 0;
    l->slots = calloc((size_t)l->slot_count, sizeof *l->slots);
    for (int i = 0; l->slots && i < l->slot_count; i++) {
        struct slot *s = &l->slots[i];
        s->number = -1;
        s->color = malloc(pixels * 3 * frames);
        s->lines = malloc(pixels * frames);
        s->reference = malloc(pixels * 3);
        s->reference_lines = malloc(pixels);
        s->history = history ? malloc(pixels * 3 * history) : NULL;
        if (!s->color || !s->lines || !s->reference || !s->reference_lines || (history && !s->history))
            return -1;
    }
    return l->slots ? 0 : -1;
}

int loader_new(struct loader **out, const struct loader_conf *c, struct err *e)
{
    struct loader *l = calloc(1, sizeof *l);
    if (!l)
        return err_set(e, ERR_internal, "no memory for samples");
    l->c = *c;
    l->in_use = -1;
    l->next = c->first_step * c->items;
    l->end = c->last_step * c->items;
    l->slot_count = 1 + (c->ahead > 0 ? c->ahead : 1);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    l->lengths = calloc((size_t)c->shots->count + 1, sizeof *l->lengths);
    l->bad = calloc((size_t)c->shots->count + 1, sizeof *l->bad);
    if (!l->lengths || !l->bad || make_slots(l) != 0) {
        loader_free(l);
        return err_set(e, ERR_internal, "no memory for samples");
    }
    for (int i = 0; i < c->shots->count; i++)
        l->lengths[i] = c->shots->items[i].frames;
    int wanted = c->threads < 1 ? 1 : c->threads > THREADS_MAX ? THREADS_MAX : c->threads;
    while (l->thread_count < wanted && pthread_create(&l->threads[l->thread_count], NULL, read_ahead, l) == 0)
        l->thread_count++;
    if (l->thread_count == 0) {
        loader_free(l);
        return err_set(e, ERR_internal, "no thread can be started");
    }
    *out = l;
    return 0;
}

static int find_ready(const struct loader *l, int64_t number)
{
    for (int i = 0; i < l->slot_count; i++)
        if (l->slots[i].number == number && l->slots[i].ready)
            return i;
    return -1;
}

int loader_get(struct loader *l, int64_t step, int32_t item, struct loader_sample *out, struct err *e)
{
    int64_t number = step * l->c.items + item;
    int at;
    pthread_mutex_lock(&l->lock);
    if (l->in_use >= 0) {
        l->slots[l->in_use].number = -1;
        pthread_cond_broadcast(&l->changed);
    }
    while ((at = find_ready(l, number)) < 0)
        pthread_cond_wait(&l->changed, &l->lock);
    l->in_use = at;
    pthread_mutex_unlock(&l->lock);
    const struct slot *s = &l->slots[at];
    if (s->why.code != ERR_none)
        return err_set(e, s->why.code, "%s", s->why.detail);
    *out = (struct loader_sample){.color = s->color,
                                  .lines = s->lines,
                                  .reference = s->reference,
                                  .reference_lines = s->reference_lines,
                                  .history = s->pick.history ? s->history : NULL,
                                  .history_frames = (int32_t)s->pick.history,
                                  .prompt = l->c.shots->items[s->pick.shot].prompt};
    return 0;
}

void loader_free(struct loader *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->thread_count; i++)
        pthread_join(l->threads[i], NULL);
    for (int i = 0; l->slots && i < l->slot_count; i++) {
        free(l->slots[i].color);
        free(l->slots[i].lines);
        free(l->slots[i].reference);
        free(l->slots[i].reference_lines);
        free(l->slots[i].history);
    }
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->changed);
    free(l->slots);
    free(l->lengths);
    free(l->bad);
    free(l);
}
