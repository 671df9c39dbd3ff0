/* server.h - with reply.c the only user of libmicrohttpd: one listener with its loop threads and connections.
 *
 * The library's rules are kept here and nowhere else: a connection is suspended before its request is handed to
 * another thread and resumed exactly once; an answer is queued at the final call of the handler, because queued at the
 * first one it costs the connection; the daemon is stopped only when nothing is suspended. */
#ifndef LONGANIM_API_SERVER_H
#define LONGANIM_API_SERVER_H

#include "route.h"

struct server;

struct server_conf {
    struct app *app;
    const struct route_table *routes;
    const char *listen; /* "host:port", port 0 = any */
    int threads;
    int max_connections;
    size_t connection_bytes;
    int64_t header_ms, body_window_ms;
    int connections_per_address, uploads_per_address; /* 0 = no bound */
    bool open;                                        /* no authentication: the ops listener */
};

/* Listens and answers from here on. internal when the address cannot be had, params_invalid when it is none. */
int server_start(struct server **out, const struct server_conf *c, struct err *e);

/* "host:port" with the real port; borrowed. */
const char *server_address(const struct server *s);

void server_quiesce(struct server *s);          /* no new connections; idle ones are closed */
int server_busy(struct server *s);              /* requests under way */
void server_stop(struct server *s);             /* closes what is left; every parked request must have been let go */
int server_connections(const struct server *s); /* open now */

#endif
