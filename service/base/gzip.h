/* gzip.h - the only user of zlib's compressor. Any thread. */
#ifndef LONGANIM_BASE_GZIP_H
#define LONGANIM_BASE_GZIP_H

#include <stddef.h>

/* The bytes as one gzip member, fast rather than small; *out is malloc'ed. -1 when it would not be shorter. */
int gzip_bytes(const void *data, size_t size, char **out, size_t *out_size);

#endif
