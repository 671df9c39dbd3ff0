/* conns.h - every open connection, and the deadlines that libmicrohttpd does not have.
 *
 * Its own timeout restarts with every byte, so a client that drips one byte a second stays for ever. Here a sweeper
 * thread shuts down (shutdown(2); closing stays with the library) connections whose header phase, idle time included,
 * is over its limit, whose body comes slower than CONNS_BODY_RATE over a window, and whose peer left in the middle. A
 * descriptor is only touched under the lock under which it is also taken off the list before the library closes it, so
 * a recycled number is never hit. Any thread. */
#ifndef LONGANIM_API_CONNS_H
#define LONGANIM_API_CONNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define CONNS_BODY_RATE 16384 /* bytes a second */

enum conn_phase {
    CONN_HEADER, /* idle, or the header is coming */
    CONN_BODY,   /* the body is coming */
    CONN_BUSY,   /* ours: working, waiting or answering */
};

struct conns;
struct conn;

/* too_slow writes the whole last answer for a body that came too slowly; returns its size (0 = say nothing). */
typedef size_t (*conns_too_slow_fn)(char *out, size_t size);

struct conns_conf {
    int64_t header_ms, body_window_ms;
    int per_address, uploads_per_address; /* connections and bodies of one IPv4 address or IPv6 /64; 0 = no bound */
    conns_too_slow_fn too_slow;
};
struct conns *conns_start(const struct conns_conf *conf);
void conns_stop(struct conns *c); /* every connection must be gone */

struct conn *conns_add(struct conns *c, int fd, const struct sockaddr *peer_or_null);
void conns_remove(struct conns *c, struct conn *conn); /* before the descriptor is closed */
int conns_count(struct conns *c);

void conn_enter(struct conn *conn, enum conn_phase phase);
void conn_received(struct conn *conn, size_t bytes);
void conn_pause(struct conn *conn, bool paused); /* the body waits for us, not for the client */
int conn_fd(const struct conn *conn);

/* Is it beyond what its address may have? Twice as many are shut down at once. */
bool conn_crowded(const struct conn *conn);
/* A body is about to come: false when its address has as many as it may. */
bool conn_upload_begins(struct conns *c, struct conn *conn);
void conn_upload_ended(struct conns *c, struct conn *conn); /* also when none began */

/* Shuts down every connection in CONN_HEADER, or all of them. Returns how many. */
int conns_shutdown(struct conns *c, bool all);

#endif
