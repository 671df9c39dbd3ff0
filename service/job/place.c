#include "job/place.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { BASE_MAX = 512 };

struct place {
    char base[BASE_MAX]; /* "s3://bucket/anna", no slash at the end */
    const char *query;   /* "?…" or "", query_size bytes */
    size_t query_size;
};

/* The next one of the list; moves on. False at the end. One that does not fit is left out. */
static bool next_place(const char **list, const char *tenant, struct place *out)
{
    while (**list) {
        size_t size = strcspn(*list, ","), plain = strcspn(*list, ",?"), used = 0;
        const char *at = *list, *end = at + plain;
        out->query = end;
        out->query_size = size - plain;
        *list += size + ((*list)[size] == ',');
        while (at < end && used < BASE_MAX) {
            bool key = end - at >= 5 && strncmp(at, "{key}", 5) == 0;
            int n = key ? snprintf(out->base + used, BASE_MAX - used, "%s", tenant)
                        : snprintf(out->base + used, BASE_MAX - used, "%c", *at);
            used += (size_t)n;
            at += key ? 5 : 1;
        }
        while (used > 0 && used < BASE_MAX && out->base[used - 1] == '/')
            out->base[--used] = '\0';
        if (used > 0 && used < BASE_MAX)
            return true;
    }
    return false;
}

/* Names of objects as the store takes them: no empty, no dotted component. */
static bool good_path(const char *path)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-";
    if (strspn(path, allowed) != strlen(path) || strstr(path, "//"))
        return false;
    return strstr(path, "/.") == NULL;
}

int place_find(const char *places, const char *tenant, const char *to, char out_url[PLACE_URL_MAX], struct err *e)
{
    struct place p;
    size_t length = strlen(to);
    while (length > 0 && to[length - 1] == '/')
        length--;
    while (next_place(&places, tenant, &p)) {
        size_t base = strlen(p.base);
        char rest[BASE_MAX];
        if (length < base || strncmp(to, p.base, base) != 0 || (length > base && to[base] != '/') ||
            length - base >= sizeof rest)
            continue;
        snprintf(rest, sizeof rest, "%.*s", (int)(length - base), to + base);
        if (!good_path(rest))
            continue;
        int n = snprintf(out_url, PLACE_URL_MAX, "%s%s%.*s", p.base, rest, (int)p.query_size, p.query);
        if (n > 0 && n < PLACE_URL_MAX)
            return 0;
    }
    return err_set_field(e, ERR_params_invalid, "/output/to",
                         "results of this key may not be sent there; GET /capabilities lists where they may");
}

json_t *place_list(const char *places, const char *tenant)
{
    json_t *array = json_array();
    struct place p;
    while (next_place(&places, tenant, &p))
        json_array_append_new(array, json_string(p.base));
    return array;
}
