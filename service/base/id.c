#include "base/id.h"

#include "base/clock.h"

#include <openssl/rand.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Crockford base 32: no I, L, O, U. */
static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
enum { BODY = 26, LENGTH = 3 + BODY };

static void random_bytes(void *out, size_t size)
{
    if (RAND_bytes(out, (int)size) != 1)
        abort();
}

static void make(char out[ID_SIZE], char kind)
{
    unsigned char raw[16];
    uint64_t ms = (uint64_t)clock_wall_ms();
    for (int i = 0; i < 6; i++)
        raw[i] = (unsigned char)(ms >> (40 - 8 * i));
    random_bytes(raw + 6, sizeof raw - 6);
    out[0] = kind;
    out[1] = '0';
    out[2] = '_';
    /* 128 bits in 26 characters: two zero bits in front, then five bits a character. */
    for (int i = 0; i < BODY; i++) {
        int value = 0;
        for (int bit = i * 5 - 2; bit < i * 5 + 3; bit++)
            value = value * 2 + (bit < 0 ? 0 : raw[bit / 8] >> (7 - bit % 8) & 1);
        out[3 + i] = alphabet[value];
    }
    out[LENGTH] = '\0';
}

void id_new_job(char out[ID_SIZE])
{
    make(out, 'j');
}

void id_new_upload(char out[ID_SIZE])
{
    make(out, 'u');
}

static bool is_id(const char *text, char kind)
{
    return strnlen(text, LENGTH + 1) == LENGTH && text[0] == kind && text[1] == '0' && text[2] == '_' &&
           strspn(text + 3, alphabet) == BODY;
}

bool id_is_job(const char *text)
{
    return is_id(text, 'j');
}

bool id_is_upload(const char *text)
{
    return is_id(text, 'u');
}

void id_random_hex(char *out, size_t bytes)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes; i++) {
        unsigned char byte;
        random_bytes(&byte, 1);
        out[2 * i] = hex[byte >> 4];
        out[2 * i + 1] = hex[byte & 15];
    }
    out[2 * bytes] = '\0';
}

long long id_random_seed(void)
{
    uint64_t value;
    random_bytes(&value, sizeof value);
    return (long long)(value >> 1);
}
