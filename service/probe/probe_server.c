/* The prober's parent: takes requests, forks a sandboxed child for each, passes the answers on. It never looks into a
 * file itself and has one thread, so a child is a clean copy. When all places are taken it stops reading the socket:
 * the kernel's queue holds what waits, and clients give up by their own clock. */
#include "probe/probe_wire.h"

#include "base/clock.h"
#include "base/log.h"
#include "media/media_int.h"
#include "media/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN_MAX = 8, NICENESS = 5 };

struct place {
    struct sandbox_child child;
    struct probe_request request;
    struct probe_reply answer;
    size_t got;
    int64_t until_ms;
    bool taken;
};

struct server {
    int socket;
    int places;
    struct sandbox_filter *filter;
    struct place place[CHILDREN_MAX];
};

/* Runs in the sandbox: the file is the first descriptor. */
static int answer_in_sandbox(void *user)
{
    const struct probe_request *request = user;
    struct probe_reply reply;
    memset(&reply, 0, sizeof reply);
    reply.id = request->id;
    reply.failed =
        media_probe_fd(SANDBOX_FIRST_FD, request->as_still != 0, &request->limits, &reply.info, &reply.err) != 0;
    return write(SANDBOX_ANSWER_FD, &reply, sizeof reply) == (ssize_t)sizeof reply ? 0 : 1;
}

static int start(struct place *p, const struct sandbox_filter *filter, int file, struct err *e)
{
    const struct media_limits *l = &p->request.limits;
    struct sandbox_limits limits = {.memory_bytes = l->memory_bytes, .cpu_seconds = l->cpu_seconds};
    p->got = 0;
    p->until_ms = clock_mono_ms() + l->cpu_seconds * 4000;
    return sandbox_start(&p->child, filter, &limits, &file, 1, answer_in_sandbox, &p->request, e);
}

/* Only what a file can cause may come out of a child that read one. */
static bool is_honest(const struct place *p)
{
    const struct probe_reply *a = &p->answer;
    if (p->got != sizeof *a || a->id != p->request.id)
        return false;
    if (!a->failed)
        return media__info_sane(&a->info, &p->request.limits) &&
               (a->info.kind == MEDIA_STILL) == (p->request.as_still != 0);
    return a->err.code > ERR_none && a->err.code < ERR_COUNT && memchr(a->err.detail, 0, sizeof a->err.detail) &&
           memchr(a->err.field, 0, sizeof a->err.field) &&
           (err_info(a->err.code)->class == ERR_CLASS_MEDIA || a->err.code == ERR_payload_too_large);
}

/* Reaps the child and leaves its answer, or the reason why there is none, in p->answer. */
static void conclude(struct place *p, bool late)
{
    int status = 0;
    struct err e = {0};
    if (late)
        kill(p->child.pid, SIGKILL);
    close(p->child.answer_fd);
    while (waitpid(p->child.pid, &status, 0) < 0 && errno == EINTR)
        ;
    p->taken = false;
    int died = late ? err_set(&e, ERR_media_decode_timeout, "looking at the file took longer than is allowed")
                    : sandbox_verdict(status, &e);
    if (died == 0 && is_honest(p))
        return;
    if (died == 0)
        err_set(&e, ERR_media_unreadable, "the file cannot be read");
    if (WIFSIGNALED(status))
        log_event(LOG_WARN, "probe.child_died", "signal", "i", (int64_t)WTERMSIG(status), "code", "s",
                  err_info(e.code)->name, NULL);
    memset(&p->answer, 0, sizeof p->answer);
    p->answer.id = p->request.id;
    p->answer.failed = 1;
    p->answer.err = e;
}

/* Takes what the child has written: 1 = it is at its end, 0 = more may come. */
static int take_answer(struct place *p)
{
    char spare;
    size_t room = sizeof p->answer - p->got;
    ssize_t n =
        room ? read(p->child.answer_fd, (char *)&p->answer + p->got, room) : read(p->child.answer_fd, &spare, 1);
    if (n > 0 && room == 0)
        return 1;
    if (n > 0)
        p->got += (size_t)n;
    return n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN);
}

static void reply(const struct server *s, const struct probe_reply *answer)
{
    while (send(s->socket, answer, sizeof *answer, MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

static void refuse(const struct server *s, uint64_t id, const struct err *e)
{
    struct probe_reply answer;
    memset(&answer, 0, sizeof answer);
    answer.id = id;
    answer.failed = 1;
    answer.err = *e;
    reply(s, &answer);
}

/* One request and its descriptor: 1, 0 when the client is gone, -1 when there was nothing usable. */
static int receive(const struct server *s, struct probe_request *request, int *file)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {.iov_base = request, .iov_len = sizeof *request};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(s->socket, &m, MSG_CMSG_CLOEXEC);
    if (got <= 0)
        return got < 0 && (errno == EINTR || errno == EAGAIN) ? -1 : 0;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || got != (ssize_t)sizeof *request)
        return -1;
    memcpy(file, CMSG_DATA(c), sizeof *file);
    return 1;
}

static int take_request(struct server *s)
{
    struct place *p = s->place;
    struct err e = {0};
    int file = -1;
    while (p->taken)
        p++;
    int got = receive(s, &p->request, &file);
    if (got <= 0)
        return got;
    if (start(p, s->filter, file, &e) == 0)
        p->taken = true;
    else
        refuse(s, p->request.id, &e);
    close(file);
    return 1;
}

static int taken(const struct server *s)
{
    int count = 0;
    for (int i = 0; i < s->places; i++)
        count += s->place[i].taken;
    return count;
}

/* One turn of the loop; false when the client is gone. */
static bool turn(struct server *s)
{
    struct pollfd fds[CHILDREN_MAX + 1];
    struct place *of[CHILDREN_MAX + 1] = {NULL};
    nfds_t count = 1;
    int64_t now_ms = clock_mono_ms(), wait_ms = 60000;
    fds[0] = (struct pollfd){.fd = taken(s) < s->places ? s->socket : -1, .events = POLLIN};
    for (int i = 0; i < s->places; i++) {
        struct place *p = &s->place[i];
        if (!p->taken)
            continue;
        of[count] = p;
        fds[count++] = (struct pollfd){.fd = p->child.answer_fd, .events = POLLIN};
        wait_ms = p->until_ms - now_ms < wait_ms ? p->until_ms - now_ms : wait_ms;
    }
    if (poll(fds, count, wait_ms < 0 ? 0 : (int)wait_ms) < 0)
        return errno == EINTR;
    for (nfds_t i = 1; i < count; i++) {
        bool ended = fds[i].revents != 0 && take_answer(of[i]) == 1;
        bool late = !ended && clock_mono_ms() >= of[i]->until_ms;
        if (ended || late) {
            conclude(of[i], late);
            reply(s, &of[i]->answer);
        }
    }
    return !fds[0].revents || take_request(s) != 0;
}

int probe_serve(int socket_fd)
{
    static struct server s;
    struct err e = {0};
    cpu_set_t cpus;
    int cores = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
    s.socket = socket_fd;
    /* More places than cores: a few files that take their whole time must not stop the rest. */
    s.places = cores < 2 ? 4 : cores > CHILDREN_MAX / 2 ? CHILDREN_MAX : 2 * cores;
    if (sandbox_filter_new(&s.filter, &e) != 0) {
        log_err(LOG_ERROR, "probe.failed", NULL, &e);
        return 1;
    }
    /* Uploads that are hard to decode must not slow the API down. */
    setpriority(PRIO_PROCESS, 0, NICENESS);
    log_event(LOG_INFO, "probe.ready", "children", "i", (int64_t)s.places, "memory_limited", "b",
              (int)sandbox_limits_memory(), NULL);
    while (turn(&s))
        ;
    for (int i = 0; i < s.places; i++)
        if (s.place[i].taken)
            conclude(&s.place[i], true);
    sandbox_filter_free(s.filter);
    return 0;
}

int probe_once(int fd, bool as_still, const struct media_limits *l, struct media_info *out, struct err *e)
{
    struct place p = {.request = {.id = 1, .as_still = as_still, .limits = *l}, .taken = true};
    struct sandbox_filter *filter = NULL;
    int result = -1;
    if (sandbox_filter_new(&filter, e) == 0 && start(&p, filter, fd, e) == 0) {
        struct pollfd wait = {.fd = p.child.answer_fd, .events = POLLIN};
        bool ended = false;
        while (!ended && clock_mono_ms() < p.until_ms)
            ended = poll(&wait, 1, 100) > 0 && take_answer(&p) == 1;
        conclude(&p, !ended);
        result = p.answer.failed ? -1 : 0;
    }
    if (result == 0)
        *out = p.answer.info;
    else if (p.answer.failed && e)
        *e = p.answer.err;
    sandbox_filter_free(filter);
    return result;
}
