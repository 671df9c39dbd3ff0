/* scripted_http.h - a twin that misbehaves: a loopback server that plays one scripted answer a connection and keeps
 * what it was sent. Used by C tests; one server at a time per struct. */
#ifndef LONGANIM_TESTS_SCRIPTED_HTTP_H
#define LONGANIM_TESTS_SCRIPTED_HTTP_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

struct scripted_http {
    const char *const *answers; /* raw bytes, NULL-terminated list; the connection is closed after each */
    int listener, port, served;
    char requests[8][16384]; /* head and body of the first eight */
    pthread_t thread;
};

/* Reads a request: head, then as many bytes as Content-Length says, or as there is room for. Returns their number. */
static inline size_t scripted_http_read(int fd, char *into, size_t size)
{
    size_t used = 0;
    for (;;) {
        into[used] = '\0';
        const char *end = strstr(into, "\r\n\r\n");
        const char *length = strcasestr(into, "content-length:");
        size_t body = end && length && length < end ? (size_t)strtoul(length + 15, NULL, 10) : 0;
        if (end && (used >= (size_t)(end + 4 - into) + body || used + 1 >= size))
            return used;
        ssize_t got = recv(fd, into + used, size - 1 - used, 0);
        if (got <= 0)
            return used;
        used += (size_t)got;
        if (end && strcasestr(into, "expect: 100-continue") && used == (size_t)(end + 4 - into))
            return used;
    }
}

/* Takes what still comes of a body that was too long to keep: a connection closed over unread bytes is reset, and the
 * client may lose the answer. */
static inline void scripted_http_drain(int fd)
{
    char waste[65536];
    struct pollfd coming = {.fd = fd, .events = POLLIN};
    while (poll(&coming, 1, 1000) > 0 && recv(fd, waste, sizeof waste, 0) > 0)
        ;
}

static inline void *scripted_http_run(void *user)
{
    struct scripted_http *s = user;
    static char rest[16384];
    for (; s->answers[s->served]; s->served++) {
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            break;
        char *request = s->served < 8 ? s->requests[s->served] : rest;
        size_t used = scripted_http_read(fd, request, sizeof rest);
        const char *answer = s->answers[s->served];
        if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
            perror("scripted_http");
        if (used + 1 >= sizeof rest)
            scripted_http_drain(fd);
        close(fd);
    }
    return NULL;
}

static inline int scripted_http_start(struct scripted_http *s, const char *const *answers)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof a;
    *s = (struct scripted_http){.answers = answers, .listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (bind(s->listener, (struct sockaddr *)&a, sizeof a) != 0 || listen(s->listener, 8) != 0 ||
        getsockname(s->listener, (struct sockaddr *)&a, &size) != 0)
        return -1;
    s->port = ntohs(a.sin_port);
    return pthread_create(&s->thread, NULL, scripted_http_run, s);
}

static inline void scripted_http_stop(struct scripted_http *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
}

#endif
