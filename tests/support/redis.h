/* redis.h - a real redis-server of a test's own, on a unix socket in a new folder. Ready after some 20 ms. */
#ifndef LONGANIM_TESTS_REDIS_H
#define LONGANIM_TESTS_REDIS_H

#include "tests/support/scratch.h"

#include <hiredis/hiredis.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct redis_server {
    char folder[96], socket[108], url[128];
    pid_t pid;
};

static inline redisContext *redis_connect(const struct redis_server *s)
{
    for (int i = 0; i < 500; i++) {
        redisContext *c = redisConnectUnix(s->socket);
        redisReply *r = c && !c->err ? redisCommand(c, "PING") : NULL;
        int ready = r && r->type == REDIS_REPLY_STATUS;
        if (r)
            freeReplyObject(r);
        if (ready)
            return c;
        if (c)
            redisFree(c);
        poll(NULL, 0, 10);
    }
    return NULL;
}

static inline int redis_launch(struct redis_server *s)
{
    pid_t parent = getpid();
    s->pid = fork();
    if (s->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || !freopen("/dev/null", "w", stdout))
            _exit(1);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", s->socket, "--dir", s->folder, "--save",
               "", "--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction", (char *)NULL);
        _exit(127);
    }
    redisContext *c = redis_connect(s);
    if (!c)
        return -1;
    redisFree(c);
    return 0;
}

/* Its folder is made in `parent`, or in memory: most tests are not about the disk. */
static inline int redis_start_in(struct redis_server *s, const char *parent)
{
    int made =
        parent ? make_scratch_in(parent, s->folder, sizeof s->folder) : make_fast_scratch(s->folder, sizeof s->folder);
    if (made != 0)
        return -1;
    snprintf(s->socket, sizeof s->socket, "%s/redis.sock", s->folder);
    snprintf(s->url, sizeof s->url, "unix:%s", s->socket);
    return redis_launch(s);
}

static inline int redis_start(struct redis_server *s)
{
    return redis_start_in(s, NULL);
}

static inline void redis_kill(struct redis_server *s)
{
    kill(s->pid, SIGCONT);
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
}

/* One command by words; the reply as text ("" for nil) or number as text. */
static inline void redis_ask(const struct redis_server *s, char *out, size_t size, int count, const char **words)
{
    redisContext *c = redis_connect(s);
    redisReply *r = c ? redisCommandArgv(c, count, words, NULL) : NULL;
    out[0] = '\0';
    if (r && r->type == REDIS_REPLY_INTEGER)
        snprintf(out, size, "%lld", r->integer);
    else if (r && r->str)
        snprintf(out, size, "%s", r->str);
    if (r)
        freeReplyObject(r);
    if (c)
        redisFree(c);
}

static inline void redis_remove_files(const struct redis_server *s)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", s->folder, (char *)NULL);
        _exit(127);
    }
    waitpid(pid, NULL, 0);
}

static inline void redis_stop(struct redis_server *s)
{
    redis_kill(s);
    redis_remove_files(s);
}

#endif
