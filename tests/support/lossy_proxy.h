/* lossy_proxy.h - a unix socket in front of another that sometimes forwards a request and swallows its reply: the twin
 * that makes "was it done?" a question. One thread, one connection at a time, for one client. */
#ifndef LONGANIM_TESTS_LOSSY_PROXY_H
#define LONGANIM_TESTS_LOSSY_PROXY_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct lossy_proxy {
    char target[108], path[108], url[128];
    int listener;
    atomic_int lose_one_in; /* 0 = none; 1 = every reply; n = one of n, at random */
    atomic_int lost;
    unsigned seed;
    pthread_t thread;
};

static inline int lossy_socket(const char *path, int listening)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (listening)
        return bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 8) == 0 ? fd : -1;
    return connect(fd, (struct sockaddr *)&a, sizeof a) == 0 ? fd : -1;
}

/* Relays until one side closes, or a reply is lost. */
static inline void lossy_relay(struct lossy_proxy *p, int client, int server)
{
    char data[65536];
    for (;;) {
        struct pollfd fds[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
        if (poll(fds, 2, -1) < 0)
            return;
        int from = fds[0].revents ? client : server, to = from == client ? server : client;
        ssize_t got = recv(from, data, sizeof data, 0);
        if (got <= 0)
            return;
        int one_in = atomic_load(&p->lose_one_in);
        if (from == server && one_in > 0 && rand_r(&p->seed) % one_in == 0) {
            atomic_fetch_add(&p->lost, 1);
            return;
        }
        if (send(to, data, (size_t)got, MSG_NOSIGNAL) != got)
            return;
    }
}

static inline void *lossy_run(void *user)
{
    struct lossy_proxy *p = user;
    for (;;) {
        int client = accept(p->listener, NULL, NULL);
        if (client < 0)
            return NULL;
        int server = lossy_socket(p->target, 0);
        if (server >= 0) {
            lossy_relay(p, client, server);
            close(server);
        }
        close(client);
    }
}

static inline int lossy_start(struct lossy_proxy *p, const char *target, int number)
{
    *p = (struct lossy_proxy){.seed = (unsigned)number + 1};
    snprintf(p->target, sizeof p->target, "%s", target);
    snprintf(p->path, sizeof p->path, "%.90s.lossy%d", target, number);
    snprintf(p->url, sizeof p->url, "unix:%s", p->path);
    p->listener = lossy_socket(p->path, 1);
    return p->listener < 0 ? -1 : pthread_create(&p->thread, NULL, lossy_run, p);
}

/* Call after the client has closed its connection. */
static inline void lossy_stop(struct lossy_proxy *p)
{
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    close(p->listener);
}

#endif
