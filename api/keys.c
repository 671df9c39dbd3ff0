#include "keys.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FILE_MAX_BYTES = 4 << 20, SECRET_MAX = 512 };

struct key {
    struct identity who;
    char sha256[HASH_HEX_SIZE];
    int64_t expires_ms; /* 0 = never */
};

struct keys {
    char *path; /* NULL = none */
    pthread_rwlock_t lock;
    struct key *keys; /* guarded by lock */
    int count;
};

static int parse_scopes(char *text, unsigned *out)
{
    char *save = NULL;

    *out = 0;
    for (char *s = strtok_r(text, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
        if (strcmp(s, "submit") == 0)
            *out |= SCOPE_SUBMIT;
        else if (strcmp(s, "read") == 0)
            *out |= SCOPE_READ;
        else if (strcmp(s, "admin") == 0)
            *out |= SCOPE_ADMIN;
        else
            return -1;
    }
    return *out ? 0 : -1;
}

/* 1 = a key, 0 = blank, -1 = wrong. Secrets never get into the error: it names the line only. */
static int parse_line(char *line, struct key *out)
{
    static const char id_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    char *fields[5], *save = NULL, *comment = strchr(line, '#');
    int n = 0;

    if (comment)
        *comment = 0;
    for (char *s = strtok_r(line, " \t\r", &save); s; s = strtok_r(NULL, " \t\r", &save)) {
        if (n == 4)
            return -1;
        fields[n++] = s;
    }
    if (n == 0)
        return 0;
    if (n < 3 || strlen(fields[0]) > KEYS_ID_MAX || strspn(fields[0], id_characters) != strlen(fields[0]) ||
        strlen(fields[1]) != 64 || strspn(fields[1], "0123456789abcdefABCDEF") != 64)
        return -1;
    *out = (struct key){0};
    memcpy(out->who.tenant, fields[0], strlen(fields[0]) + 1);
    for (int i = 0; i < 64; i++)
        out->sha256[i] = (char)(fields[1][i] >= 'A' && fields[1][i] <= 'F' ? fields[1][i] | 0x20 : fields[1][i]);
    if (parse_scopes(fields[2], &out->who.scopes) || (n == 4 && clock_parse(fields[3], &out->expires_ms)))
        return -1;
    return 1;
}

static int parse_file(char *text, const char *path, struct key **out, int *out_count, struct err *e)
{
    struct key *keys = calloc(KEYS_LINES_MAX, sizeof(*keys));
    char *save = text;
    int count = 0, number = 0, rc = -1;

    if (keys == NULL)
        abort();
    for (char *line; (line = strsep(&save, "\n")) != NULL;) {
        int got = count < KEYS_LINES_MAX ? parse_line(line, &keys[count]) : -1;
        number++;
        if (got < 0) {
            err_set_field(e, ERR_params_invalid, "LONGANIM_KEYS",
                          "%s line %d is not `id sha256hex scopes [expiry]` with scopes of submit,read,admin", path,
                          number);
            goto out;
        }
        for (int i = 0; got == 1 && i < count; i++) {
            if (strcmp(keys[i].sha256, keys[count].sha256) == 0) {
                err_set_field(e, ERR_params_invalid, "LONGANIM_KEYS", "%s line %d repeats a secret", path, number);
                goto out;
            }
        }
        count += got;
    }
    *out = keys;
    *out_count = count;
    keys = NULL;
    rc = 0;
out:
    free(keys);
    return rc;
}

int keys_reload(struct keys *k, struct err *e)
{
    struct buf text;
    struct key *fresh = NULL;
    int count = 0, rc = -1;

    if (k->path == NULL)
        return 0;
    buf_init(&text, FILE_MAX_BYTES);
    if (fs_read(k->path, &text, e) || (text.data && parse_file(text.data, k->path, &fresh, &count, e)))
        goto out;
    pthread_rwlock_wrlock(&k->lock);
    free(k->keys);
    k->keys = fresh;
    k->count = count;
    pthread_rwlock_unlock(&k->lock);
    rc = 0;
out:
    buf_free(&text);
    return rc;
}

int keys_open(struct keys **out, const char *path, struct err *e)
{
    struct keys *k = calloc(1, sizeof(*k));

    if (k == NULL)
        abort();
    pthread_rwlock_init(&k->lock, NULL);
    if (path && path[0] && (k->path = strdup(path)) == NULL)
        abort();
    if (keys_reload(k, e)) {
        keys_close(k);
        return -1;
    }
    *out = k;
    return 0;
}

void keys_close(struct keys *k)
{
    if (k == NULL)
        return;
    pthread_rwlock_destroy(&k->lock);
    free(k->keys);
    free(k->path);
    free(k);
}

bool keys_required(const struct keys *k)
{
    return k->path != NULL;
}

/* Takes the same time whatever the bytes are. */
static bool same(const char *a, const char *b)
{
    unsigned difference = 0;

    for (int i = 0; i < 64; i++)
        difference |= (unsigned char)a[i] ^ (unsigned char)b[i];
    return difference == 0;
}

int keys_check(struct keys *k, const char *authorization, struct identity *out, struct err *e)
{
    struct key found = {0};
    char sha256[HASH_HEX_SIZE];
    const char *secret;
    size_t size;

    if (k->path == NULL) {
        *out = (struct identity){"local", SCOPE_ALL};
        return 0;
    }
    if (authorization == NULL || strncasecmp(authorization, "Bearer ", 7) != 0)
        return err_set(e, ERR_unauthenticated, "send `Authorization: Bearer <key>`");
    secret = authorization + 7 + strspn(authorization + 7, " ");
    for (size = strlen(secret); size > 0 && (secret[size - 1] == ' ' || secret[size - 1] == '\t'); size--)
        continue;
    if (size == 0 || size > SECRET_MAX)
        return err_set(e, ERR_unauthenticated, "the API key is not known");
    hash_bytes(secret, size, sha256);
    pthread_rwlock_rdlock(&k->lock);
    for (int i = 0; i < k->count; i++)
        if (same(k->keys[i].sha256, sha256))
            found = k->keys[i];
    pthread_rwlock_unlock(&k->lock);
    if (found.who.scopes == 0)
        return err_set(e, ERR_unauthenticated, "the API key is not known");
    if (found.expires_ms && found.expires_ms <= clock_wall_ms())
        return err_set(e, ERR_key_expired, "the API key has expired");
    *out = found.who;
    return 0;
}
