#include "key.h"

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- limits ---- */

static const struct limit_row {
    const char *word, *name; /* in the key file, in JSON */
    size_t offset;
} limit_rows[] = {
    {"rate", "rate_per_minute", offsetof(struct key_limits, rate_per_minute)},
    {"queued", "queued", offsetof(struct key_limits, queued)},
    {"running", "running", offsetof(struct key_limits, running)},
    {"storage", "stored_bytes", offsetof(struct key_limits, stored_bytes)},
    {"streams", "streams", offsetof(struct key_limits, streams)},
    {"weight", "weight", offsetof(struct key_limits, weight)},
};
enum { LIMIT_ROWS = sizeof limit_rows / sizeof *limit_rows };

#define LIMIT_MAX INT64_C(1000000000000000)

static int64_t *limit_at(struct key_limits *l, const struct limit_row *row)
{
    return (int64_t *)((char *)l + row->offset);
}

struct key_limits key_limits_or(const struct key_limits *l, const struct key_limits *defaults)
{
    struct key_limits out = *l, other = *defaults;

    for (int i = 0; i < LIMIT_ROWS; i++)
        if (*limit_at(&out, &limit_rows[i]) < 0)
            *limit_at(&out, &limit_rows[i]) = *limit_at(&other, &limit_rows[i]);
    if (out.weight < 1)
        out.weight = 1;
    return out;
}

/* "500", "20k", "3G": powers of 1,024. */
static int parse_amount(const char *text, int64_t *out)
{
    static const char units[] = "kMGT";
    char *end;
    const char *unit;
    long long n;

    if (text[0] < '0' || text[0] > '9')
        return -1;
    errno = 0;
    n = strtoll(text, &end, 10);
    if (errno || n > LIMIT_MAX)
        return -1;
    if (*end && (unit = strchr(units, *end)) != NULL) {
        for (const char *u = units; u <= unit; u++)
            n *= 1024;
        end++;
    }
    if (*end || n > LIMIT_MAX)
        return -1;
    *out = n;
    return 0;
}

static int parse_limit(struct key_limits *l, const char *word, const char *value)
{
    for (int i = 0; i < LIMIT_ROWS; i++)
        if (strcmp(word, limit_rows[i].word) == 0)
            return parse_amount(value, limit_at(l, &limit_rows[i]));
    return -1;
}

json_t *key_limits_json(const struct key_limits *l)
{
    json_t *object = json_object();
    struct key_limits copy = *l;

    for (int i = 0; i < LIMIT_ROWS; i++)
        json_put_int(object, limit_rows[i].name, *limit_at(&copy, &limit_rows[i]));
    return object;
}

/* null = as the defaults say. */
static int apply_limits(struct key_limits *l, const json_t *object, struct err *e)
{
    const char *name;
    json_t *value;

    if (!json_is_object(object))
        return err_set_field(e, ERR_params_invalid, "limits", "an object is needed");
    json_object_foreach((json_t *)(intptr_t)object, name, value)
    {
        const struct limit_row *row = NULL;
        char field[96];
        int64_t n = -1;
        snprintf(field, sizeof field, "limits/%.60s", name);
        for (int i = 0; i < LIMIT_ROWS; i++)
            if (strcmp(name, limit_rows[i].name) == 0)
                row = &limit_rows[i];
        if (!row)
            return err_set_field(e, ERR_params_invalid, field,
                                 "limits are rate_per_minute, queued, running, stored_bytes, streams and weight");
        if (!json_is_null(value) && (json_as_int(value, &n) || n < 0 || n > LIMIT_MAX))
            return err_set_field(e, ERR_params_invalid, field, "a number from 0 (no bound) on is needed, or null");
        *limit_at(l, row) = n;
    }
    return 0;
}

/* ---- ids and scopes ---- */

bool key_id_valid(const char *id)
{
    static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    size_t size = strlen(id);

    return size > 0 && size <= KEY_ID_MAX && strspn(id, characters) == size;
}

static const char *const scope_names[] = {"submit", "read", "admin"};
enum { SCOPES = 3 };

const char *key_scope_name(unsigned scope)
{
    return scope & SCOPE_SUBMIT ? scope_names[0] : scope & SCOPE_READ ? scope_names[1] : scope_names[2];
}

static unsigned scope_by_name(const char *name)
{
    for (unsigned i = 0; i < SCOPES; i++)
        if (strcmp(name, scope_names[i]) == 0)
            return 1u << i;
    return 0;
}

static int parse_scopes(char *text, unsigned *out)
{
    char *save = NULL;

    *out = 0;
    for (char *s = strtok_r(text, ",", &save); s; s = strtok_r(NULL, ",", &save)) {
        unsigned scope = scope_by_name(s);
        if (scope == 0)
            return -1;
        *out |= scope;
    }
    return *out ? 0 : -1;
}

static json_t *scopes_json(unsigned scopes)
{
    json_t *array = json_array();

    for (unsigned i = 0; i < SCOPES; i++)
        if (scopes & 1u << i)
            json_array_append_new(array, json_string(scope_names[i]));
    return array;
}

static int apply_scopes(unsigned *out, const json_t *array, struct err *e)
{
    unsigned scopes = 0;

    for (size_t i = 0; i < json_array_size(array); i++) {
        const char *name = json_string_value(json_array_get(array, i));
        unsigned scope = name ? scope_by_name(name) : 0;
        if (scope == 0)
            return err_set_field(e, ERR_params_invalid, "scopes", "scopes are submit, read and admin");
        scopes |= scope;
    }
    if (scopes == 0)
        return err_set_field(e, ERR_params_invalid, "scopes", "an array of one scope or more is needed");
    *out = scopes;
    return 0;
}

/* ---- a line of the file ---- */

static int copy_hash(char out[HASH_HEX_SIZE], const char *hex)
{
    if (strlen(hex) != 64 || strspn(hex, "0123456789abcdefABCDEF") != 64)
        return -1;
    for (int i = 0; i < 65; i++)
        out[i] = (char)(hex[i] >= 'A' && hex[i] <= 'F' ? hex[i] | 0x20 : hex[i]);
    return 0;
}

int key_parse_line(char *line, struct key *out)
{
    char *words[12], *save = NULL, *comment = strchr(line, '#'), *equals;
    int n = 0, at = 3;

    if (comment)
        *comment = 0;
    for (char *s = strtok_r(line, " \t\r", &save); s; s = strtok_r(NULL, " \t\r", &save)) {
        if (n == (int)(sizeof words / sizeof *words))
            return -1;
        words[n++] = s;
    }
    if (n == 0)
        return 0;
    *out = (struct key){.limits = KEY_LIMITS_DEFAULT, .secret_count = 1};
    if (strcmp(words[0], "*") == 0) {
        at = 1;
    } else if (n < 3 || !key_id_valid(words[0]) || copy_hash(out->secrets[0].sha256, words[1]) ||
               parse_scopes(words[2], &out->scopes)) {
        return -1;
    } else {
        memcpy(out->id, words[0], strlen(words[0]) + 1);
        if (n > 3 && strchr(words[3], '=') == NULL && clock_parse(words[at++], &out->expires_ms))
            return -1;
    }
    for (; at < n; at++) {
        if ((equals = strchr(words[at], '=')) == NULL)
            return -1;
        *equals = 0;
        if (parse_limit(&out->limits, words[at], equals + 1))
            return -1;
    }
    return out->id[0] ? 1 : 2;
}

/* ---- as JSON ---- */

json_t *key_json(const struct key *k)
{
    json_t *object = json_object(), *secrets = json_array();

    json_put_str(object, "format", "longanimation-key");
    json_put_int(object, "format_version", 1);
    json_put_str(object, "id", k->id);
    json_put(object, "scopes", scopes_json(k->scopes));
    json_put_int(object, "created_ms", k->created_ms);
    json_put_int(object, "expires_ms", k->expires_ms);
    json_put_int(object, "revoked_ms", k->revoked_ms);
    json_put(object, "limits", key_limits_json(&k->limits));
    for (int i = 0; i < k->secret_count; i++) {
        json_t *secret = json_object();
        json_put_str(secret, "sha256", k->secrets[i].sha256);
        json_put_int(secret, "expires_ms", k->secrets[i].expires_ms);
        json_array_append_new(secrets, secret);
    }
    json_put(object, "secrets", secrets);
    return object;
}

static int parse_secrets(struct key *out, const json_t *secrets, struct err *e)
{
    size_t count = json_array_size(secrets);

    if (count > KEY_SECRETS_MAX)
        return err_set(e, ERR_internal, "the record of a key is broken");
    for (size_t i = 0; i < count; i++) {
        const char *sha256;
        if (json_need_str(json_array_get(secrets, i), "sha256", &sha256, e) ||
            json_need_int(json_array_get(secrets, i), "expires_ms", &out->secrets[i].expires_ms, e))
            return -1;
        if (copy_hash(out->secrets[i].sha256, sha256))
            return err_set(e, ERR_internal, "the record of a key is broken");
    }
    out->secret_count = (int)count;
    return 0;
}

int key_parse(struct key *out, const json_t *object, struct err *e)
{
    struct key k = {.limits = KEY_LIMITS_DEFAULT};
    json_t *limits = json_object_get(object, "limits");
    const char *id;
    struct err why;
    bool good = json_is_object(object) && json_need_str(object, "id", &id, &why) == 0 && key_id_valid(id) &&
                apply_scopes(&k.scopes, json_object_get(object, "scopes"), &why) == 0 &&
                json_need_int(object, "created_ms", &k.created_ms, &why) == 0 &&
                json_need_int(object, "expires_ms", &k.expires_ms, &why) == 0 &&
                json_need_int(object, "revoked_ms", &k.revoked_ms, &why) == 0 &&
                parse_secrets(&k, json_object_get(object, "secrets"), &why) == 0;

    if (!good)
        return err_set(e, ERR_internal, "the record of a key is broken");
    for (int i = 0; i < LIMIT_ROWS; i++)
        json_as_int(json_object_get(limits, limit_rows[i].name), limit_at(&k.limits, &limit_rows[i]));
    text_copy(k.id, sizeof k.id, id);
    *out = k;
    return 0;
}

int key_apply(struct key *k, const json_t *object, struct err *e)
{
    const json_t *scopes = json_object_get(object, "scopes"), *limits = json_object_get(object, "limits");
    const json_t *expires = json_object_get(object, "expires_at");

    if ((scopes && apply_scopes(&k->scopes, scopes, e)) || (limits && apply_limits(&k->limits, limits, e)))
        return -1;
    if (json_is_null(expires))
        k->expires_ms = 0;
    else if (expires && (!json_is_string(expires) || clock_parse(json_string_value(expires), &k->expires_ms)))
        return err_set_field(e, ERR_params_invalid, "expires_at",
                             "a time like 2027-01-31T00:00:00Z is needed, or null");
    else if (expires && k->expires_ms <= 0)
        k->expires_ms = 1; /* before all of our time; 0 would be never */
    return 0;
}

json_t *key_show(const struct key *k, const char *source, const struct key_limits *defaults)
{
    json_t *object = json_object(), *secrets = json_array();
    struct key_limits limits = key_limits_or(&k->limits, defaults);

    json_put_str(object, "id", k->id);
    json_put_str(object, "object", "key");
    json_put_str(object, "source", source);
    json_put(object, "scopes", scopes_json(k->scopes));
    json_put_time(object, "created_at", k->created_ms);
    json_put_time(object, "expires_at", k->expires_ms);
    json_put_time(object, "revoked_at", k->revoked_ms);
    json_put(object, "limits", key_limits_json(&limits));
    for (int i = 0; i < k->secret_count; i++) {
        json_t *secret = json_object();
        json_put_time(secret, "expires_at", k->secrets[i].expires_ms);
        json_array_append_new(secrets, secret);
    }
    json_put(object, "secrets", secrets);
    return object;
}

/* ---- secrets ---- */

void key_draw_secret(struct key *k, int64_t old_until_ms, char out[KEY_SECRET_SIZE])
{
    char random[65];

    id_random_hex(random, 32);
    snprintf(out, KEY_SECRET_SIZE, "la_%s_%s", k->id, random);
    if (k->secret_count > 0) {
        k->secrets[1] = k->secrets[0];
        if (k->secrets[1].expires_ms == 0 || k->secrets[1].expires_ms > old_until_ms)
            k->secrets[1].expires_ms = old_until_ms;
    }
    k->secret_count = k->secret_count > 0 ? 2 : 1;
    hash_bytes(out, strlen(out), k->secrets[0].sha256);
    k->secrets[0].expires_ms = 0;
}
