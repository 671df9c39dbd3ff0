/* One thread of ours starts the prober, reads its answers and starts it again when it dies; any number of others send
 * questions over the same socket and wait for their own answer. The thread lives as long as the client, because a
 * child started with PDEATHSIG dies with the thread that started it. */
#include "probe/probe_client.h"

#include "base/clock.h"
#include "base/cond.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "probe/probe_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RESTART_MS = 100, READY_WAIT_MS = 1000, ANSWER_WAIT_MS = 60000, SEND_WAIT_MS = 5000 };

/* A question that waits; lives on the asker's stack. */
struct waiting {
    struct waiting *next;
    uint64_t id;
    bool done, lost;
    struct probe_reply reply;
};

struct probe_client {
    struct media_limits limits;
    char program[FS_PATH_MAX];
    pthread_t thread;
    int wake[2]; /* a byte ends the thread */
    struct {     /* guarded by `lock` */
        pthread_mutex_t lock;
        pthread_cond_t changed;
        struct waiting *first;
        uint64_t last_id;
        int socket; /* -1 while there is no prober */
        pid_t pid;
        bool stopping;
    } shared;
};

/* ---- the thread ---- */
static int start_prober(struct probe_client *p, struct err *e)
{
    char *argv[] = {(char[]){"longanim-probe"}, (char[]){"--serve"}, NULL};
    char *env[] = {(char[]){"LD_BIND_NOW=1"}, NULL}; /* slim.h */
    int pair[2];
    pid_t pid;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_set(e, ERR_overloaded, "socketpair: %s", strerror(errno));
    struct proc_fd fd = {pair[1], PROBE_SOCKET_FD};
    int result = proc_spawn(&pid, p->program, argv, env, &fd, 1, SIGKILL, e);
    close(pair[1]);
    if (result != 0) {
        close(pair[0]);
        return -1;
    }
    struct timeval patience = {.tv_sec = SEND_WAIT_MS / 1000};
    setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    pthread_mutex_lock(&p->shared.lock);
    p->shared.socket = pair[0];
    p->shared.pid = pid;
    pthread_cond_broadcast(&p->shared.changed);
    pthread_mutex_unlock(&p->shared.lock);
    return 0;
}

/* Forgets the prober; whoever waits for an answer of it is told. */
static void drop_prober(struct probe_client *p)
{
    pthread_mutex_lock(&p->shared.lock);
    int socket = p->shared.socket;
    pid_t pid = p->shared.pid;
    p->shared.socket = -1;
    p->shared.pid = 0;
    for (struct waiting *w = p->shared.first; w; w = w->next)
        w->lost = true;
    pthread_cond_broadcast(&p->shared.changed);
    pthread_mutex_unlock(&p->shared.lock);
    if (socket >= 0)
        close(socket);
    if (pid > 0) {
        kill(pid, SIGKILL);
        proc_wait(pid, 5000, NULL);
    }
}

static void deliver(struct probe_client *p, const struct probe_reply *reply)
{
    pthread_mutex_lock(&p->shared.lock);
    for (struct waiting *w = p->shared.first; w; w = w->next)
        if (w->id == reply->id) {
            w->reply = *reply;
            w->done = true;
            pthread_cond_broadcast(&p->shared.changed);
            break;
        }
    pthread_mutex_unlock(&p->shared.lock);
}

/* Reads answers until the prober ends (true) or the client is stopped (false). */
static bool read_answers(struct probe_client *p, int socket)
{
    for (;;) {
        struct pollfd fds[2] = {{.fd = socket, .events = POLLIN}, {.fd = p->wake[0], .events = POLLIN}};
        struct probe_reply reply;
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return true;
        if (fds[1].revents)
            return false;
        if (!fds[0].revents)
            continue;
        ssize_t got = recv(socket, &reply, sizeof reply, MSG_DONTWAIT);
        if (got == (ssize_t)sizeof reply)
            deliver(p, &reply);
        else if (got == 0 || (errno != EINTR && errno != EAGAIN))
            return true;
    }
}

static void *run(void *user)
{
    struct probe_client *p = user;
    bool going = true;
    while (going) {
        struct err e = {0};
        struct pollfd wake = {.fd = p->wake[0], .events = POLLIN};
        if (start_prober(p, &e) == 0) {
            going = read_answers(p, p->shared.socket); /* only this thread changes it */
            drop_prober(p);
            if (going)
                log_event(LOG_WARN, "probe.restarting", NULL);
        } else {
            log_err(LOG_ERROR, "probe.not_started", NULL, &e);
        }
        /* A prober that dies at once must not become a fork storm. */
        if (going && poll(&wake, 1, RESTART_MS) > 0)
            going = false;
    }
    return NULL;
}

/* ---- the callers' side ---- */
int probe_client_start(struct probe_client **out, const struct media_limits *limits, struct err *e)
{
    char folder[FS_PATH_MAX];
    struct probe_client *p = calloc(1, sizeof *p);
    if (!p)
        return err_set(e, ERR_internal, "no memory");
    p->limits = *limits;
    p->shared.socket = -1;
    if (fs_program_dir(folder, e) != 0 || fs_join(p->program, folder, "longanim-probe", e) != 0) {
        free(p);
        return -1;
    }
    if (access(p->program, X_OK) != 0 || pipe2(p->wake, O_CLOEXEC) != 0) {
        err_set(e, ERR_internal, "%s: %s", p->program, strerror(errno));
        free(p);
        return -1;
    }
    pthread_mutex_init(&p->shared.lock, NULL);
    cond_init(&p->shared.changed);
    if (pthread_create(&p->thread, NULL, run, p) != 0) {
        close(p->wake[0]);
        close(p->wake[1]);
        free(p);
        return err_set(e, ERR_internal, "no thread for the prober");
    }
    *out = p;
    return 0;
}

void probe_client_stop(struct probe_client *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->shared.lock);
    p->shared.stopping = true;
    pthread_cond_broadcast(&p->shared.changed);
    pthread_mutex_unlock(&p->shared.lock);
    close(p->wake[1]); /* end of file wakes the thread */
    pthread_join(p->thread, NULL);
    close(p->wake[0]);
    pthread_cond_destroy(&p->shared.changed);
    pthread_mutex_destroy(&p->shared.lock);
    free(p);
}

/* Waits for a prober (a dead one is replaced within a fraction of a second) and enters w into the list. Returns a
 * descriptor of its own for the socket, so that the thread may close the other at any time; -1 = none. */
static int enter(struct probe_client *p, struct waiting *w)
{
    struct timespec until = cond_after_ms(READY_WAIT_MS);
    int socket = -1;
    pthread_mutex_lock(&p->shared.lock);
    while (p->shared.socket < 0 && !p->shared.stopping)
        if (pthread_cond_timedwait(&p->shared.changed, &p->shared.lock, &until) != 0)
            break;
    if (p->shared.socket >= 0 && !p->shared.stopping)
        socket = fcntl(p->shared.socket, F_DUPFD_CLOEXEC, 0);
    if (socket >= 0) {
        w->id = ++p->shared.last_id;
        w->next = p->shared.first;
        p->shared.first = w;
    }
    pthread_mutex_unlock(&p->shared.lock);
    return socket;
}

/* Waits for the answer and takes w out of the list; false = there is none. */
static bool leave(struct probe_client *p, struct waiting *w, bool sent)
{
    struct timespec until = cond_after_ms(ANSWER_WAIT_MS);
    pthread_mutex_lock(&p->shared.lock);
    while (sent && !w->done && !w->lost && !p->shared.stopping)
        if (pthread_cond_timedwait(&p->shared.changed, &p->shared.lock, &until) != 0)
            break;
    for (struct waiting **at = &p->shared.first; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            break;
        }
    pthread_mutex_unlock(&p->shared.lock);
    return w->done;
}

static bool send_request(int socket, const struct probe_request *request, const struct probe_file *files)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(PROBE_FILES_MAX * sizeof(int))];
    } control;
    int fds[PROBE_FILES_MAX];
    size_t size = (size_t)request->count * sizeof(int);
    memset(&control, 0, sizeof control);
    for (int i = 0; i < request->count; i++)
        fds[i] = files[i].fd;
    struct iovec part = {.iov_base = (void *)(uintptr_t)request, .iov_len = sizeof *request};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), fds, size);
    ssize_t sent;
    while ((sent = sendmsg(socket, &m, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    return sent == (ssize_t)sizeof *request;
}

int probe_client_ask(struct probe_client *p, const struct probe_file *files, int count,
                     struct media_info out[PROBE_FILES_MAX], int *out_refused, struct err *e)
{
    struct waiting w = {0};
    struct probe_request request;
    int socket = enter(p, &w);
    if (out_refused)
        *out_refused = -1;
    if (socket < 0)
        return err_set(e, ERR_overloaded, "uploads cannot be looked at right now");
    memset(&request, 0, sizeof request);
    request.id = w.id;
    request.count = count;
    for (int i = 0; i < count; i++) {
        request.stills |= files[i].as_still ? 1U << i : 0;
        request.sheets |= files[i].timesheet ? 1U << i : 0;
    }
    request.limits = p->limits;
    bool sent = send_request(socket, &request, files);
    close(socket);
    if (!leave(p, &w, sent))
        return err_set(e, ERR_overloaded, "uploads cannot be looked at right now");
    if (w.reply.refused >= 0) {
        if (out_refused)
            *out_refused = w.reply.refused;
        return err_set_field(e, w.reply.err.code, w.reply.err.field, "%s", w.reply.err.detail);
    }
    memcpy(out, w.reply.info, (size_t)count * sizeof *out);
    return 0;
}
