#include "pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct task {
    struct task *next;
    pool_fn fn;
    void *arg;
};

struct pool_thread {
    struct pool *pool;
    pthread_t thread;
    struct worker worker;
};

struct pool {
    const char *name;
    int thread_count, started, max_waiting;
    struct pool_thread *threads;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock */
    struct task *first, **last;
    int waiting;
    bool stopping;
};

static struct task *take(struct pool *p)
{
    struct task *task;

    pthread_mutex_lock(&p->lock);
    while (!p->first && !p->stopping)
        pthread_cond_wait(&p->changed, &p->lock);
    task = p->first;
    if (task) {
        p->first = task->next;
        if (!p->first)
            p->last = &p->first;
        p->waiting--;
    }
    pthread_mutex_unlock(&p->lock);
    return task;
}

static void *run(void *arg)
{
    struct pool_thread *self = arg;
    struct task *task;

    while ((task = take(self->pool)) != NULL) {
        task->fn(task->arg, &self->worker);
        free(task);
    }
    return NULL;
}

int pool_start(struct pool **out, const char *name, int threads, int max_waiting, const struct config *config,
               struct err *e)
{
    struct pool *p = calloc(1, sizeof *p);

    if (!p || (p->threads = calloc((size_t)threads, sizeof *p->threads)) == NULL)
        abort();
    p->name = name;
    p->thread_count = threads;
    p->max_waiting = max_waiting;
    p->last = &p->first;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    for (int i = 0; i < threads; i++) {
        struct pool_thread *t = &p->threads[i];
        char label[16];
        t->pool = p;
        if (queue_open(&t->worker.queue, config, e))
            goto out;
        if (pthread_create(&t->thread, NULL, run, t) != 0) {
            err_set(e, ERR_internal, "no thread for the pool %s", name);
            goto out;
        }
        snprintf(label, sizeof label, "%s-%d", name, i);
        pthread_setname_np(t->thread, label);
        p->started++;
    }
    *out = p;
    return 0;
out:
    pool_stop(p);
    return -1;
}

static int submit(struct pool *p, pool_fn fn, void *arg, bool must)
{
    struct task *task = malloc(sizeof *task);
    int rc = -1;

    if (!task)
        abort();
    *task = (struct task){NULL, fn, arg};
    pthread_mutex_lock(&p->lock);
    if (must || (p->waiting < p->max_waiting && !p->stopping)) {
        *p->last = task;
        p->last = &task->next;
        p->waiting++;
        pthread_cond_signal(&p->changed);
        rc = 0;
    }
    pthread_mutex_unlock(&p->lock);
    if (rc)
        free(task);
    return rc;
}

int pool_submit(struct pool *p, pool_fn fn, void *arg)
{
    return submit(p, fn, arg, false);
}

void pool_must(struct pool *p, pool_fn fn, void *arg)
{
    submit(p, fn, arg, true);
}

void pool_stop(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->started; i++)
        pthread_join(p->threads[i].thread, NULL);
    for (int i = 0; i < p->thread_count; i++)
        queue_free(p->threads[i].worker.queue);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p->threads);
    free(p);
}
