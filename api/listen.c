#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int listen_split(const char *address, char *host, size_t host_size, char port[8], struct err *e)
{
    const char *colon = strrchr(address, ':'), *start = address, *end = colon;
    size_t digits;

    if (!colon)
        goto malformed;
    if (*start == '[') {
        start++;
        if (--end < start || *end != ']')
            goto malformed;
    } else if (memchr(start, ':', (size_t)(end - start))) {
        goto malformed;
    }
    digits = strlen(colon + 1);
    if ((size_t)(end - start) >= host_size || digits == 0 || digits > 5 || strspn(colon + 1, "0123456789") != digits)
        goto malformed;
    memcpy(host, start, (size_t)(end - start));
    host[end - start] = 0;
    memcpy(port, colon + 1, digits + 1);
    return 0;
malformed:
    return err_set(e, ERR_params_invalid, "%s is not an address like 127.0.0.1:8080 or [::1]:8080", address);
}

static int resolve(const char *host, const char *port, struct addrinfo **out, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int rc = getaddrinfo(host[0] ? host : NULL, port, &hints, out);

    return rc ? err_set(e, ERR_params_invalid, "%s:%s: %s", host, port, gai_strerror(rc)) : 0;
}

static bool loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 == 127;
    return a->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

bool listen_is_loopback(const char *host)
{
    struct addrinfo *list = NULL;
    bool all = true;

    if (host[0] == 0 || resolve(host, "0", &list, NULL))
        return false;
    for (struct addrinfo *a = list; a; a = a->ai_next)
        all = all && loopback(a->ai_addr);
    freeaddrinfo(list);
    return all;
}

static int name_of(int fd, char *out, size_t size, struct err *e)
{
    struct sockaddr_storage bound;
    socklen_t length = sizeof bound;
    char host[64], port[8];

    if (getsockname(fd, (struct sockaddr *)&bound, &length) ||
        getnameinfo((struct sockaddr *)&bound, length, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV))
        return err_set(e, ERR_internal, "the address of the listening socket cannot be read");
    snprintf(out, size, bound.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    return 0;
}

int listen_open(const char *address, int *out_fd, char *out_address, size_t size, struct err *e)
{
    char host[256], port[8];
    struct addrinfo *list = NULL;
    int fd = -1, on = 1, rc = -1;

    if (listen_split(address, host, sizeof host, port, e) || resolve(host, port, &list, e))
        return -1;
    fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(fd, list->ai_addr, list->ai_addrlen) || listen(fd, 4096)) {
        err_set(e, ERR_internal, "cannot listen on %s: %s", address, strerror(errno));
        goto out;
    }
    if (name_of(fd, out_address, size, e))
        goto out;
    *out_fd = fd;
    fd = -1;
    rc = 0;
out:
    if (fd >= 0)
        close(fd);
    freeaddrinfo(list);
    return rc;
}
