#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct hash {
    EVP_MD_CTX *context;
};

struct hash *hash_new(void)
{
    struct hash *h = malloc(sizeof *h);
    if (!h || !(h->context = EVP_MD_CTX_new()) || EVP_DigestInit_ex(h->context, EVP_sha256(), NULL) != 1)
        abort();
    return h;
}

void hash_add(struct hash *h, const void *data, size_t size)
{
    if (EVP_DigestUpdate(h->context, data, size) != 1)
        abort();
}

void hash_final(struct hash *h, uint8_t out[HASH_SIZE])
{
    if (EVP_DigestFinal_ex(h->context, out, NULL) != 1)
        abort();
}

void hash_free(struct hash *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->context);
    free(h);
}

void hash_hex(const uint8_t in[HASH_SIZE], char out[HASH_HEX_SIZE])
{
    static const char hex[] = "0123456789abcdef";
    for (int i = 0; i < HASH_SIZE; i++) {
        out[2 * i] = hex[in[i] >> 4];
        out[2 * i + 1] = hex[in[i] & 15];
    }
    out[2 * HASH_SIZE] = '\0';
}

void hash_bytes(const void *data, size_t size, char out[HASH_HEX_SIZE])
{
    uint8_t digest[HASH_SIZE];
    struct hash *h = hash_new();
    hash_add(h, data, size);
    hash_final(h, digest);
    hash_free(h);
    hash_hex(digest, out);
}

int hash_file(const char *path, char out[HASH_HEX_SIZE], int64_t *out_size_bytes, struct err *e)
{
    uint8_t digest[HASH_SIZE];
    char chunk[64 * 1024];
    struct hash *h = NULL;
    int64_t size = 0;
    ssize_t got;
    int result = -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        err_set(e, ERR_internal, "cannot open %s: %s", path, strerror(errno));
        goto out;
    }
    h = hash_new();
    while ((got = read(fd, chunk, sizeof chunk)) != 0) {
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            err_set(e, ERR_internal, "cannot read %s: %s", path, strerror(errno));
            goto out;
        }
        hash_add(h, chunk, (size_t)got);
        size += got;
    }
    hash_final(h, digest);
    hash_hex(digest, out);
    if (out_size_bytes)
        *out_size_bytes = size;
    result = 0;
out:
    hash_free(h);
    if (fd >= 0)
        close(fd);
    return result;
}

void hash_hmac(const void *key, size_t key_size, const void *data, size_t size, uint8_t out[HASH_SIZE])
{
    unsigned length = 0;
    if (!HMAC(EVP_sha256(), key, (int)key_size, data, size, out, &length) || length != HASH_SIZE)
        abort();
}

void hash_base64(const void *data, size_t size, char *out)
{
    EVP_EncodeBlock((unsigned char *)out, data, (int)size);
}
