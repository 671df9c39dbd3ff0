/* The prober's parent: takes requests, forks a sandboxed child for each, passes the answers on. It never looks into a
 * file itself and has one thread, so a child is a clean copy. When all places are taken it stops reading the socket:
 * the kernel's queue holds what waits, and clients give up by their own clock. */
#include "probe/probe_sheet.h"
#include "probe/probe_wire.h"
#include "probe/slim.h"

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
_Static_assert(PROBE_FILES_MAX <= SANDBOX_FDS_MAX, "all files of an upload go into one sandbox");

/* What the child says of one file; it writes one after the other, so that its death says of which file it died. */
struct verdict {
    int32_t failed;
    struct err err;
    struct media_info info;
};

struct place {
    struct sandbox_child child;
    struct probe_request request;
    struct verdict verdicts[PROBE_FILES_MAX];
    size_t got; /* bytes of them */
    struct probe_reply answer;
    int64_t until_ms;
    bool taken;
};

struct server {
    int socket;
    int places;
    struct sandbox_filter *filter;
    struct place place[CHILDREN_MAX];
};

static bool is_still(const struct probe_request *r, int file)
{
    return (r->stills >> file & 1) != 0;
}

static bool is_sheet(const struct probe_request *r, int file)
{
    return (r->sheets >> file & 1) != 0;
}

/* Runs in the sandbox: the files are its descriptors. */
static int answer_in_sandbox(void *user)
{
    const struct probe_request *request = user;
    struct media_info video = {0};
    for (int i = 0; i < request->count; i++) {
        struct verdict v;
        int fd = SANDBOX_FIRST_FD + i;
        memset(&v, 0, sizeof v);
        v.failed = is_sheet(request, i)
                       ? probe__sheet(fd, SANDBOX_FIRST_FD, &video, &request->limits, &v.err) != 0
                       : media_probe_fd(fd, is_still(request, i), &request->limits, &v.info, &v.err) != 0;
        if (i == 0)
            video = v.info;
        if (write(SANDBOX_ANSWER_FD, &v, sizeof v) != (ssize_t)sizeof v)
            return 1;
        if (v.failed)
            return 0;
    }
    return 0;
}

static int start(struct place *p, const struct sandbox_filter *filter, const int *files, struct err *e)
{
    const struct media_limits *l = &p->request.limits;
    struct sandbox_limits limits = {.memory_bytes = l->memory_bytes, .cpu_seconds = l->cpu_seconds * p->request.count};
    p->got = 0;
    p->until_ms = clock_mono_ms() + limits.cpu_seconds * 4000;
    return sandbox_start(&p->child, filter, &limits, files, p->request.count, answer_in_sandbox, &p->request, e);
}

/* Only what a file can cause may come out of a child that read one. */
static bool is_honest(const struct place *p, int file)
{
    const struct verdict *v = &p->verdicts[file];
    bool sheet = is_sheet(&p->request, file);
    if (!v->failed)
        return sheet || (media__info_sane(&v->info, &p->request.limits) &&
                         (v->info.kind == MEDIA_STILL) == is_still(&p->request, file));
    return v->err.code > ERR_none && v->err.code < ERR_COUNT && memchr(v->err.detail, 0, sizeof v->err.detail) &&
           memchr(v->err.field, 0, sizeof v->err.field) &&
           (err_info(v->err.code)->class == ERR_CLASS_MEDIA || v->err.code == ERR_payload_too_large ||
            (sheet && v->err.code == ERR_params_invalid));
}

static void refuse_file(struct place *p, int file, const struct err *e)
{
    p->answer.refused = file;
    p->answer.err = *e;
}

/* Fills p->answer from what was said before the child ended; `died` is what its end means. */
static void judge(struct place *p, const struct err *died)
{
    int said = (int)(p->got / sizeof *p->verdicts), count = p->request.count;
    struct err unreadable;
    err_set(&unreadable, ERR_media_unreadable, "the file cannot be read");
    memset(&p->answer, 0, sizeof p->answer);
    p->answer.id = p->request.id;
    p->answer.refused = -1;
    for (int i = 0; i < said; i++) {
        if (!is_honest(p, i)) {
            refuse_file(p, i, &unreadable);
            return;
        }
        if (p->verdicts[i].failed) {
            refuse_file(p, i, &p->verdicts[i].err);
            return;
        }
        p->answer.info[i] = p->verdicts[i].info;
    }
    if (died->code != ERR_none || said < count)
        refuse_file(p, said < count ? said : count - 1, died->code != ERR_none ? died : &unreadable);
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
    if (late)
        err_set(&e, ERR_media_decode_timeout, "looking at the file took longer than is allowed");
    else
        sandbox_verdict(status, &e);
    judge(p, &e);
    if (WIFSIGNALED(status))
        log_event(LOG_WARN, "probe.child_died", "signal", "i", (int64_t)WTERMSIG(status), "code", "s",
                  err_info(p->answer.err.code)->name, NULL);
}

/* Takes what the child has written: 1 = it is at its end, 0 = more may come. */
static int take_answer(struct place *p)
{
    char spare;
    size_t room = (size_t)p->request.count * sizeof *p->verdicts - p->got;
    ssize_t n =
        room ? read(p->child.answer_fd, (char *)p->verdicts + p->got, room) : read(p->child.answer_fd, &spare, 1);
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
    answer.refused = 0;
    answer.err = *e;
    reply(s, &answer);
}

/* One request and its descriptors: 1, 0 when the client is gone, -1 when there was nothing usable. */
static int receive(const struct server *s, struct probe_request *request, int files[PROBE_FILES_MAX])
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(PROBE_FILES_MAX * sizeof(int))];
    } control;
    struct iovec part = {.iov_base = request, .iov_len = sizeof *request};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got = recvmsg(s->socket, &m, MSG_CMSG_CLOEXEC);
    if (got <= 0)
        return got < 0 && (errno == EINTR || errno == EAGAIN) ? -1 : 0;
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || got != (ssize_t)sizeof *request ||
        request->count < 1 || request->count > PROBE_FILES_MAX ||
        c->cmsg_len != CMSG_LEN((size_t)request->count * sizeof(int)))
        return -1;
    memcpy(files, CMSG_DATA(c), (size_t)request->count * sizeof(int));
    return 1;
}

static int take_request(struct server *s)
{
    struct place *p = s->place;
    struct err e = {0};
    int files[PROBE_FILES_MAX];
    while (p->taken)
        p++;
    int got = receive(s, &p->request, files);
    if (got <= 0)
        return got;
    if (start(p, s->filter, files, &e) == 0)
        p->taken = true;
    else
        refuse(s, p->request.id, &e);
    for (int i = 0; i < p->request.count; i++)
        close(files[i]);
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
    media__warm_up();
    probe__sheet_warm_up();
    int left_out = sandbox_limits_memory() ? slim_down() : 0; /* a sanitizer's fork needs everything */
    /* Uploads that are hard to decode must not slow the API down. */
    setpriority(PRIO_PROCESS, 0, NICENESS);
    log_event(LOG_INFO, "probe.ready", "children", "i", (int64_t)s.places, "memory_limited", "b",
              (int)sandbox_limits_memory(), "mappings_left_out", "i", (int64_t)left_out, NULL);
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
    struct place p = {.request = {.id = 1, .count = 1, .stills = as_still, .limits = *l}, .taken = true};
    struct sandbox_filter *filter = NULL;
    int result = -1;
    if (sandbox_filter_new(&filter, e) == 0 && start(&p, filter, &fd, e) == 0) {
        struct pollfd wait = {.fd = p.child.answer_fd, .events = POLLIN};
        bool ended = false;
        while (!ended && clock_mono_ms() < p.until_ms)
            ended = poll(&wait, 1, 100) > 0 && take_answer(&p) == 1;
        conclude(&p, !ended);
        result = p.answer.refused >= 0 ? -1 : 0;
        if (result != 0 && e)
            *e = p.answer.err;
    }
    if (result == 0)
        *out = p.answer.info[0];
    sandbox_filter_free(filter);
    return result;
}
