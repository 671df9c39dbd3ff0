#include "keys.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/fs.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FILE_MAX_BYTES = 4 << 20, SECRET_MAX = 512 };

/* A secret, found by the head of its hash. */
struct entry {
    uint64_t head;
    int key, secret;
};

struct key_list {
    struct key *keys;
    int count;
    struct entry *entries; /* of keys that are not revoked, by head */
    int entry_count;
};

struct keys {
    char *path;              /* NULL = none */
    struct key_limits given; /* by the settings */
    pthread_rwlock_t lock;
    /* guarded by lock */
    struct key_list file, made;
    struct key_limits defaults; /* `given` with what the file says of all keys */
    bool made_known;            /* the store could be asked at least once */
    int64_t generation;
};

/* ---- lists ---- */

static uint64_t head_of(const char *sha256)
{
    uint64_t head = 0;

    for (int i = 0; i < 16; i++)
        head = head << 4 | (uint64_t)(sha256[i] >= 'a' ? sha256[i] - 'a' + 10 : sha256[i] - '0');
    return head;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = ((const struct entry *)a)->head, y = ((const struct entry *)b)->head;

    return x < y ? -1 : x > y;
}

/* Takes the malloc'ed keys. */
static struct key_list list_of(struct key *keys, int count)
{
    struct key_list l = {keys, count, calloc((size_t)count * KEY_SECRETS_MAX + 1, sizeof *l.entries), 0};

    if (!l.entries)
        abort();
    for (int i = 0; i < count; i++)
        for (int s = 0; s < keys[i].secret_count && keys[i].revoked_ms == 0; s++)
            l.entries[l.entry_count++] = (struct entry){head_of(keys[i].secrets[s].sha256), i, s};
    qsort(l.entries, (size_t)l.entry_count, sizeof *l.entries, compare);
    return l;
}

static void list_free(struct key_list *l)
{
    free(l->keys);
    free(l->entries);
    *l = (struct key_list){0};
}

static int parse_file(const struct keys *k, char *text, struct key_list *out, struct key_limits *defaults,
                      struct err *e)
{
    struct key *keys = calloc(KEYS_MAX, sizeof *keys), one;
    char *save = text;
    int count = 0, number = 0, rc = -1;

    if (!keys)
        abort();
    for (char *line; (line = strsep(&save, "\n")) != NULL;) {
        int got = count < KEYS_MAX ? key_parse_line(line, &one) : -1;
        number++;
        if (got < 0) { /* secrets never get into the error: it names the line only */
            err_set_field(e, ERR_params_invalid, "LONGANIM_KEYS",
                          "%s line %d is not `id sha256hex scopes [expiry] [limit=number …]` with scopes of "
                          "submit,read,admin and limits of rate, queued, running, storage, streams, weight",
                          k->path, number);
            goto out;
        }
        if (got == 2)
            *defaults = key_limits_or(&one.limits, defaults);
        if (got != 1)
            continue;
        for (int i = 0; i < count; i++) {
            if (strcmp(keys[i].secrets[0].sha256, one.secrets[0].sha256) == 0) {
                err_set_field(e, ERR_params_invalid, "LONGANIM_KEYS", "%s line %d repeats a secret", k->path, number);
                goto out;
            }
        }
        keys[count++] = one;
    }
    *out = list_of(keys, count);
    keys = NULL;
    rc = 0;
out:
    free(keys);
    return rc;
}

int keys_reload(struct keys *k, struct err *e)
{
    struct buf text;
    struct key_list fresh = {0};
    struct key_limits defaults = k->given;
    int rc = -1;

    if (!k->path)
        return 0;
    buf_init(&text, FILE_MAX_BYTES);
    if (fs_read(k->path, &text, e) || (text.data && parse_file(k, text.data, &fresh, &defaults, e)))
        goto out;
    pthread_rwlock_wrlock(&k->lock);
    list_free(&k->file);
    k->file = fresh;
    k->defaults = defaults;
    k->generation++;
    pthread_rwlock_unlock(&k->lock);
    rc = 0;
out:
    buf_free(&text);
    return rc;
}

void keys_take_made(struct keys *k, struct key *list, int count)
{
    struct key_list fresh = list_of(list, count);

    pthread_rwlock_wrlock(&k->lock);
    list_free(&k->made);
    k->made = fresh;
    k->made_known = true;
    k->generation++;
    pthread_rwlock_unlock(&k->lock);
}

int keys_open(struct keys **out, const char *path, const struct key_limits *defaults, struct err *e)
{
    struct keys *k = calloc(1, sizeof *k);

    if (!k)
        abort();
    k->given = k->defaults = *defaults;
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
    if (!k)
        return;
    pthread_rwlock_destroy(&k->lock);
    list_free(&k->file);
    list_free(&k->made);
    free(k->path);
    free(k);
}

bool keys_required(const struct keys *k)
{
    return k->path != NULL;
}

bool keys_complete(struct keys *k)
{
    pthread_rwlock_rdlock(&k->lock);
    bool complete = k->made_known;
    pthread_rwlock_unlock(&k->lock);
    return complete;
}

int64_t keys_generation(struct keys *k)
{
    pthread_rwlock_rdlock(&k->lock);
    int64_t generation = k->generation;
    pthread_rwlock_unlock(&k->lock);
    return generation;
}

/* ---- who is it? ---- */

/* Takes the same time whatever the bytes are. */
static bool same(const char *a, const char *b)
{
    unsigned difference = 0;

    for (int i = 0; i < 64; i++)
        difference |= (unsigned char)a[i] ^ (unsigned char)b[i];
    return difference == 0;
}

/* The key with this secret, and when that ends (0 = never). Finding the place may take what time it takes: it depends
 * on the hash of a guess, which tells nothing of the secret. */
static const struct key *find_secret(const struct key_list *l, const char *sha256, int64_t *expires_ms)
{
    uint64_t head = head_of(sha256);
    int low = 0, high = l->entry_count;

    while (low < high) {
        int middle = (low + high) / 2;
        if (l->entries[middle].head < head)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < l->entry_count && l->entries[low].head == head; low++) {
        const struct key *key = &l->keys[l->entries[low].key];
        const struct key_secret *secret = &key->secrets[l->entries[low].secret];
        int64_t ends = secret->expires_ms;
        if (!same(secret->sha256, sha256))
            continue;
        *expires_ms = ends && (key->expires_ms == 0 || ends < key->expires_ms) ? ends : key->expires_ms;
        return key;
    }
    return NULL;
}

/* The hash of the secret in an Authorization value; -1 when there is none. */
static int read_secret(const char *authorization, char sha256[HASH_HEX_SIZE])
{
    const char *secret = authorization + 7 + strspn(authorization + 7, " ");
    size_t size;

    for (size = strlen(secret); size > 0 && (secret[size - 1] == ' ' || secret[size - 1] == '\t'); size--)
        continue;
    if (size == 0 || size > SECRET_MAX)
        return -1;
    hash_bytes(secret, size, sha256);
    return 0;
}

int keys_check(struct keys *k, const char *authorization, struct identity *out, struct err *e)
{
    struct identity who = {.tenant = "local", .scopes = SCOPE_ALL};
    char sha256[HASH_HEX_SIZE];
    int64_t expires_ms = 0;
    const struct key *key;

    if (!k->path) {
        who.limits.queued = k->given.queued;
        *out = who;
        return 0;
    }
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0)
        return err_set(e, ERR_unauthenticated, "send `Authorization: Bearer <key>`");
    if (read_secret(authorization, sha256))
        return err_set(e, ERR_unauthenticated, "the API key is not known");
    pthread_rwlock_rdlock(&k->lock);
    key = find_secret(&k->file, sha256, &expires_ms);
    if (!key)
        key = find_secret(&k->made, sha256, &expires_ms);
    if (key) {
        memcpy(who.tenant, key->id, sizeof who.tenant);
        who.scopes = key->scopes;
        who.limits = key_limits_or(&key->limits, &k->defaults);
    }
    bool sure = k->made_known;
    pthread_rwlock_unlock(&k->lock);
    if (!key && !sure)
        return err_set(e, ERR_dependency_storage, "the store could not be asked for keys yet");
    if (!key)
        return err_set(e, ERR_unauthenticated, "the API key is not known");
    if (expires_ms && expires_ms <= clock_wall_ms())
        return err_set(e, ERR_key_expired, "the API key has expired");
    *out = who;
    return 0;
}

/* ---- looking through them ---- */

void keys_each(struct keys *k, keys_fn fn, void *user)
{
    pthread_rwlock_rdlock(&k->lock);
    for (int i = 0; i < k->file.count; i++)
        fn(user, &k->file.keys[i], true, &k->defaults);
    for (int i = 0; i < k->made.count; i++)
        fn(user, &k->made.keys[i], false, &k->defaults);
    pthread_rwlock_unlock(&k->lock);
}

struct wanted {
    const char *id;
    int found;
    struct key *out;
};

static void look(void *user, const struct key *key, bool from_file, const struct key_limits *defaults)
{
    struct wanted *w = user;

    (void)defaults;
    if (w->found || strcmp(key->id, w->id) != 0)
        return;
    w->found = from_file ? 2 : 1;
    *w->out = *key;
}

int keys_find(struct keys *k, const char *id, struct key *out, struct key_limits *out_defaults)
{
    struct wanted w = {id, 0, out};

    pthread_rwlock_rdlock(&k->lock);
    *out_defaults = k->defaults;
    pthread_rwlock_unlock(&k->lock);
    keys_each(k, look, &w);
    return w.found;
}
