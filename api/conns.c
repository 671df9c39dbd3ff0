#include "conns.h"

#include "base/clock.h"
#include "base/cond.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

enum { SWEEP_PERIOD_MS = 200, BUCKETS = 1024, ADDRESS_BYTES = 9 };

/* What an address has; forgotten when it has nothing. */
struct address {
    struct address *next;
    uint8_t bytes[ADDRESS_BYTES]; /* family, then four bytes or the first eight */
    int connections, uploads;
};

struct conn {
    struct conn *next, *previous; /* guarded by the lock of the list */
    int fd;
    struct address *address; /* NULL = not counted; guarded too */
    bool uploading, crowded;
    bool shut, left; /* left: at the last sweep the peer had closed its side and everything was read */
    atomic_int phase;
    atomic_llong since_ms; /* of the phase; of the window in CONN_BODY */
    atomic_llong received; /* in the window */
    atomic_bool paused;
};

struct conns {
    struct conns_conf conf;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* guarded by lock */
    struct conn *first;
    struct address *addresses[BUCKETS];
    int count;
    bool stopping;
    struct pollfd *polled; /* of one sweep */
    struct conn **polled_conns;
    int polled_max;
};

/* Is its time over? Starts the next window of a body that keeps up. */
static bool expired(const struct conns *c, struct conn *conn, int64_t now)
{
    int64_t age = now - atomic_load(&conn->since_ms);

    switch (atomic_load(&conn->phase)) {
    case CONN_HEADER:
        return age > c->conf.header_ms;
    case CONN_BODY:
        if (age < c->conf.body_window_ms)
            return false;
        if (!atomic_load(&conn->paused) && atomic_load(&conn->received) < CONNS_BODY_RATE * age / 1000)
            return true;
        atomic_store(&conn->received, 0);
        atomic_store(&conn->since_ms, now);
        return false;
    default:
        return false;
    }
}

static void shut_locked(struct conn *conn)
{
    conn->shut = true;
    shutdown(conn->fd, SHUT_RDWR);
}

static void sweep_locked(struct conns *c)
{
    int64_t now = clock_mono_ms();
    char text[1024];

    for (struct conn *conn = c->first; conn; conn = conn->next) {
        if (conn->shut || !expired(c, conn, now))
            continue;
        if (atomic_load(&conn->phase) == CONN_BODY) {
            size_t size = c->conf.too_slow(text, sizeof text);
            ssize_t sent = send(conn->fd, text, size, MSG_DONTWAIT | MSG_NOSIGNAL);
            (void)sent; /* a courtesy: whether it arrives changes nothing */
        }
        shut_locked(conn);
    }
}

/* Those that wait for a peer's bytes. */
static int collect_locked(struct conns *c)
{
    int n = 0;

    if (c->polled_max < c->count) {
        c->polled_max = 2 * c->count;
        c->polled = realloc(c->polled, (size_t)c->polled_max * sizeof *c->polled);
        c->polled_conns = realloc(c->polled_conns, (size_t)c->polled_max * sizeof(struct conn *));
        if (!c->polled || !c->polled_conns)
            abort();
    }
    for (struct conn *conn = c->first; conn; conn = conn->next) {
        if (conn->shut || atomic_load(&conn->phase) == CONN_BUSY || atomic_load(&conn->paused))
            continue;
        c->polled[n] = (struct pollfd){.fd = conn->fd, .events = POLLRDHUP};
        c->polled_conns[n++] = conn;
    }
    return n;
}

/* The library watches edges and takes a short read for the last one, so it does not notice a peer that closed right
 * behind its last byte. When the request is not complete then, it never will be. Twice in a row, because between
 * reading the last byte and calling the request complete there is a moment that looks the same. */
static void shut_deserted_locked(struct conns *c)
{
    int n = collect_locked(c);

    if (n == 0 || poll(c->polled, (nfds_t)n, 0) <= 0)
        return;
    for (int i = 0; i < n; i++) {
        struct conn *conn = c->polled_conns[i];
        int waiting = 0;
        bool left = (c->polled[i].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0 &&
                    (ioctl(conn->fd, FIONREAD, &waiting) || waiting == 0);
        if (left && conn->left)
            shut_locked(conn);
        conn->left = left;
    }
}

static void *run(void *arg)
{
    struct conns *c = arg;

    pthread_mutex_lock(&c->lock);
    while (!c->stopping) {
        cond_wait_ms(&c->changed, &c->lock, SWEEP_PERIOD_MS);
        sweep_locked(c);
        shut_deserted_locked(c);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct conns *conns_start(const struct conns_conf *conf)
{
    struct conns *c = calloc(1, sizeof *c);

    if (!c)
        abort();
    c->conf = *conf;
    pthread_mutex_init(&c->lock, NULL);
    cond_init(&c->changed);
    if (pthread_create(&c->thread, NULL, run, c) != 0)
        abort();
    return c;
}

void conns_stop(struct conns *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c->polled);
    free(c->polled_conns);
    free(c);
}

/* ---- addresses ---- */

/* A client with IPv6 has a whole /64 to choose from. */
static int read_address(const struct sockaddr *peer, uint8_t out[ADDRESS_BYTES])
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)peer;

    memset(out, 0, ADDRESS_BYTES);
    if (peer->sa_family == AF_INET) {
        memcpy(out + 1, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    } else if (peer->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&six->sin6_addr)) {
        memcpy(out + 1, six->sin6_addr.s6_addr + 12, 4);
    } else if (peer->sa_family == AF_INET6) {
        out[0] = 6;
        memcpy(out + 1, six->sin6_addr.s6_addr, 8);
    } else {
        return -1;
    }
    return 0;
}

static struct address **find_address_locked(struct conns *c, const uint8_t bytes[ADDRESS_BYTES])
{
    struct address **at;
    unsigned h = 2166136261u;

    for (int i = 0; i < ADDRESS_BYTES; i++)
        h = (h ^ bytes[i]) * 16777619u;
    for (at = &c->addresses[h % BUCKETS]; *at && memcmp((*at)->bytes, bytes, ADDRESS_BYTES) != 0; at = &(*at)->next)
        continue;
    return at;
}

static void count_in_locked(struct conns *c, struct conn *conn, const uint8_t bytes[ADDRESS_BYTES])
{
    struct address **at = find_address_locked(c, bytes);

    if (!*at) {
        if ((*at = calloc(1, sizeof **at)) == NULL)
            abort();
        memcpy((*at)->bytes, bytes, ADDRESS_BYTES);
    }
    conn->address = *at;
    (*at)->connections++;
    conn->crowded = c->conf.per_address > 0 && (*at)->connections > c->conf.per_address;
    if (c->conf.per_address > 0 && (*at)->connections > 2 * c->conf.per_address)
        shut_locked(conn);
}

static void count_out_locked(struct conns *c, struct conn *conn)
{
    struct address **at, *gone = conn->address;

    if (!gone)
        return;
    gone->uploads -= conn->uploading;
    if (--gone->connections > 0)
        return;
    at = find_address_locked(c, gone->bytes);
    *at = gone->next;
    free(gone);
}

bool conn_crowded(const struct conn *conn)
{
    return conn->crowded; /* set before the connection is used */
}

bool conn_upload_begins(struct conns *c, struct conn *conn)
{
    bool may = true;

    if (c->conf.uploads_per_address <= 0)
        return true;
    pthread_mutex_lock(&c->lock);
    if (conn->address && !conn->uploading) {
        may = conn->address->uploads < c->conf.uploads_per_address;
        conn->uploading = may;
        conn->address->uploads += may;
    }
    pthread_mutex_unlock(&c->lock);
    return may;
}

void conn_upload_ended(struct conns *c, struct conn *conn)
{
    if (c->conf.uploads_per_address <= 0)
        return;
    pthread_mutex_lock(&c->lock);
    if (conn->uploading)
        conn->address->uploads--;
    conn->uploading = false;
    pthread_mutex_unlock(&c->lock);
}

/* ---- the list ---- */

struct conn *conns_add(struct conns *c, int fd, const struct sockaddr *peer_or_null)
{
    uint8_t address[ADDRESS_BYTES];
    bool counted = c->conf.per_address + c->conf.uploads_per_address > 0 && peer_or_null &&
                   read_address(peer_or_null, address) == 0;
    struct conn *conn = calloc(1, sizeof *conn);

    if (!conn)
        abort();
    conn->fd = fd;
    atomic_init(&conn->since_ms, clock_mono_ms());
    pthread_mutex_lock(&c->lock);
    conn->next = c->first;
    if (c->first)
        c->first->previous = conn;
    c->first = conn;
    c->count++;
    if (counted)
        count_in_locked(c, conn, address);
    pthread_mutex_unlock(&c->lock);
    return conn;
}

void conns_remove(struct conns *c, struct conn *conn)
{
    pthread_mutex_lock(&c->lock);
    if (conn->next)
        conn->next->previous = conn->previous;
    if (conn->previous)
        conn->previous->next = conn->next;
    else
        c->first = conn->next;
    c->count--;
    count_out_locked(c, conn);
    pthread_mutex_unlock(&c->lock);
    free(conn);
}

int conns_count(struct conns *c)
{
    pthread_mutex_lock(&c->lock);
    int count = c->count;
    pthread_mutex_unlock(&c->lock);
    return count;
}

void conn_enter(struct conn *conn, enum conn_phase phase)
{
    atomic_store(&conn->since_ms, clock_mono_ms());
    atomic_store(&conn->received, 0);
    atomic_store(&conn->paused, false);
    atomic_store(&conn->phase, phase);
}

void conn_received(struct conn *conn, size_t bytes)
{
    atomic_fetch_add(&conn->received, (long long)bytes);
}

void conn_pause(struct conn *conn, bool paused)
{
    atomic_store(&conn->paused, paused);
    /* A pause of ours is not held against the client: its window starts anew. */
    atomic_store(&conn->received, 0);
    atomic_store(&conn->since_ms, clock_mono_ms());
}

int conn_fd(const struct conn *conn)
{
    return conn->fd;
}

int conns_shutdown(struct conns *c, bool all)
{
    int count = 0;

    pthread_mutex_lock(&c->lock);
    for (struct conn *conn = c->first; conn; conn = conn->next) {
        if (!conn->shut && (all || atomic_load(&conn->phase) == CONN_HEADER)) {
            shut_locked(conn);
            count++;
        }
    }
    pthread_mutex_unlock(&c->lock);
    return count;
}
