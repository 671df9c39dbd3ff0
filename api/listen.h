/* listen.h - the listening socket of an address. */
#ifndef LONGANIM_API_LISTEN_H
#define LONGANIM_API_LISTEN_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* Splits "host:port", "[v6]:port" or ":port" (every address). params_invalid. */
int listen_split(const char *address, char *host, size_t host_size, char port[8], struct err *e);

/* Is every address of this host a loopback one? An empty host is not. */
bool listen_is_loopback(const char *host);

/* A non-blocking listening socket with SO_REUSEADDR, so that a restart after a crash works at once; `out_address` gets
 * "host:port" with the port that the kernel chose. params_invalid, internal. */
int listen_open(const char *address, int *out_fd, char *out_address, size_t size, struct err *e);

#endif
