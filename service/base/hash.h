/* hash.h - SHA-256 as streams and files, over OpenSSL. One hash, one thread. */
#ifndef LONGANIM_BASE_HASH_H
#define LONGANIM_BASE_HASH_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define HASH_SIZE 32
#define HASH_HEX_SIZE 65 /* 64 lower-case hex digits and a NUL */

struct hash;

struct hash *hash_new(void); /* aborts when memory is out */
void hash_add(struct hash *h, const void *data, size_t size);
void hash_final(struct hash *h, uint8_t out[HASH_SIZE]); /* then only hash_free is allowed */
void hash_free(struct hash *h);                          /* NULL is fine */

void hash_hex(const uint8_t in[HASH_SIZE], char out[HASH_HEX_SIZE]);
void hash_bytes(const void *data, size_t size, char out[HASH_HEX_SIZE]);

/* SHA-256 and size of a file. internal on I/O errors. */
int hash_file(const char *path, char out[HASH_HEX_SIZE], int64_t *out_size_bytes, struct err *e);

/* HMAC-SHA256 (RFC 2104). */
void hash_hmac(const void *key, size_t key_size, const void *data, size_t size, uint8_t out[HASH_SIZE]);

/* Base 64 with padding (RFC 4648); out holds HASH_BASE64_SIZE(size) bytes, the NUL included. */
#define HASH_BASE64_SIZE(size) (((size) + 2) / 3 * 4 + 1)
void hash_base64(const void *data, size_t size, char *out);

#endif
