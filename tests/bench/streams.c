/* Many clients of one job's events: how long after the cause until each has heard of the end.
 * usage: streams port job clients        cancels the job once all have their first event
 *        streams --calibrate bytes clients   the same clients, written to in turn by a thread that does nothing else
 * Prints JSON: first_ms (of the first to hear), p50_ms, p99_ms, max_ms. The parent may look at the server between
 * "ready" and a line on stdin. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct client {
    int fd;
    bool heard, ended;
    char tail[64]; /* what a word may be cut by */
    double ms;
};

static struct client *clients;
static int count;

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int dial(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        die("connect");
    return fd;
}

static void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        die("write");
}

/* Reads what there is and looks for both words across pieces. */
static void hear(struct client *c, const char *first, const char *last)
{
    char data[64 + 8192];
    size_t kept = strlen(c->tail);
    memcpy(data, c->tail, kept);
    ssize_t got = read(c->fd, data + kept, sizeof data - 64 - 1);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0)
        die("a stream ended early");
    size_t size = kept + (size_t)got;
    data[size] = '\0';
    c->heard |= strstr(data, first) != NULL;
    c->ended |= strstr(data, last) != NULL;
    size_t keep = size < 40 ? size : 40;
    memcpy(c->tail, data + size - keep, keep + 1);
}

/* Until every client has what `ended` says; notes the times. */
static void until_all(int epoll, bool ended, double since)
{
    struct epoll_event events[256];
    for (int left = count; left > 0;) {
        int n = epoll_wait(epoll, events, 256, 20000);
        if (n <= 0)
            die("nothing came");
        for (int i = 0; i < n; i++) {
            struct client *c = &clients[events[i].data.u32];
            bool before = ended ? c->ended : c->heard;
            if (before)
                continue;
            hear(c, "event: state", "\"terminal\":true");
            if (ended ? c->ended : c->heard) {
                c->ms = now_ms() - since;
                left--;
            }
        }
    }
}

static int by_ms(const void *a, const void *b)
{
    double x = ((const struct client *)a)->ms, y = ((const struct client *)b)->ms;
    return (x > y) - (x < y);
}

static void report(void)
{
    qsort(clients, (size_t)count, sizeof *clients, by_ms);
    printf("{\"first_ms\":%.2f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f}\n", clients[0].ms,
           clients[count / 2].ms, clients[count * 99 / 100].ms, clients[count - 1].ms);
}

/* ---- calibration: a listener whose connections get the same bytes one after the other ---- */

static int *peers;
static char *message;
static size_t message_size;

static void *write_to_all(void *unused)
{
    (void)unused;
    for (int i = 0; i < count; i++)
        if (write(peers[i], message, message_size) != (ssize_t)message_size)
            die("write");
    return NULL;
}

static void calibrate(int epoll)
{
    struct sockaddr_in here = {.sin_family = AF_INET};
    socklen_t size = sizeof here;
    pthread_t thread;
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) != 0 || listen(listener, 1024) != 0 ||
        getsockname(listener, (struct sockaddr *)&here, &size) != 0)
        die("listen");
    for (int i = 0; i < count; i++) {
        clients[i].fd = dial(ntohs(here.sin_port));
        peers[i] = accept(listener, NULL, NULL);
        epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &(struct epoll_event){EPOLLIN, {.u32 = (uint32_t)i}});
    }
    double since = now_ms();
    pthread_create(&thread, NULL, write_to_all, NULL);
    until_all(epoll, true, since);
    pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    if (argc != 4)
        return 2;
    count = (int)strtol(argv[3], NULL, 10);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    clients = calloc((size_t)count, sizeof *clients);
    peers = calloc((size_t)count, sizeof *peers);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!clients || !peers || count < 1 || epoll < 0)
        return 2;
    if (strcmp(argv[1], "--calibrate") == 0) {
        message_size = (size_t)strtol(argv[2], NULL, 10);
        message = calloc(1, message_size + 64);
        memset(message, ' ', message_size);
        memcpy(message + message_size - 15, "\"terminal\":true", 15);
        calibrate(epoll);
        report();
        return 0;
    }
    int port = (int)strtol(argv[1], NULL, 10);
    char request[300], line[16];
    snprintf(request, sizeof request, "GET /v1/jobs/%s/events HTTP/1.1\r\nHost: x\r\n\r\n", argv[2]);
    for (int i = 0; i < count; i++) {
        clients[i].fd = dial(port);
        say(clients[i].fd, request);
        epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].fd, &(struct epoll_event){EPOLLIN, {.u32 = (uint32_t)i}});
    }
    until_all(epoll, false, now_ms());
    puts("ready");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        return 1;
    int fd = dial(port);
    snprintf(request, sizeof request, "POST /v1/jobs/%s/cancel HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
             argv[2]);
    double since = now_ms();
    say(fd, request);
    until_all(epoll, true, since);
    report();
    return 0;
}
