#include "paint/timesheet.h"

#include "base/json.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SIGNATURE "exchangeDigitalTimeSheet Save Data"
#define FIELD_CELS 0
#define CELLS_MAX 4000000
#define DRAWINGS_MAX 4096 /* of a column */

static int refuse(struct err *e, const char *why)
{
    return err_set_field(e, ERR_params_invalid, "timesheet", "%s", why);
}

/* Where the JSON begins: after the signature's line. */
static const char *skip_signature(const char *text, size_t size)
{
    size_t at = size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0, n = strlen(SIGNATURE);
    if (size - at < n || memcmp(text + at, SIGNATURE, n) != 0)
        return NULL;
    const char *end = memchr(text + at, '\n', size - at);
    return end ? end + 1 : NULL;
}

static int copy_name(char out[TIMESHEET_NAME_SIZE], const char *from, struct err *e)
{
    size_t n = strlen(from);
    if (n >= TIMESHEET_NAME_SIZE)
        return refuse(e, "a name has more than 63 bytes");
    memcpy(out, from, n + 1);
    return 0;
}

/* ---- one column ---- */
static int32_t drawing_index(struct timesheet_column *c, const char *name, struct err *e)
{
    for (int32_t i = 0; i < c->drawing_count; i++)
        if (strcmp(c->drawings[i], name) == 0)
            return i;
    char fresh[TIMESHEET_NAME_SIZE];
    if (c->drawing_count == DRAWINGS_MAX) {
        refuse(e, "a column has too many drawings");
        return -2;
    }
    if (copy_name(fresh, name, e))
        return -2;
    char(*grown)[TIMESHEET_NAME_SIZE] = realloc(c->drawings, ((size_t)c->drawing_count + 1) * sizeof *grown);
    if (!grown) {
        err_set(e, ERR_internal, "no memory for a timesheet");
        return -2;
    }
    c->drawings = grown;
    memcpy(c->drawings[c->drawing_count], fresh, sizeof fresh);
    return c->drawing_count++;
}

/* What an entry says: a drawing's name, "" for an empty cel, or NULL for a mark that changes nothing. */
static const char *entry_name(const json_t *entry)
{
    const json_t *data = json_object_get(entry, "data");
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *item = json_array_get(data, i), *id = json_object_get(item, "id");
        const char *value = json_string_value(json_array_get(json_object_get(item, "values"), 0));
        if (!value || (id && json_integer_value(id) != 0))
            continue;
        if (strcmp(value, "SYMBOL_NULL_CELL") == 0)
            return "";
        return strncmp(value, "SYMBOL_", 7) == 0 ? NULL : value;
    }
    return NULL;
}

/* Entries are where something changes; what lies between holds. Frames before 0 say how the shot begins. */
static int fill_column(struct timesheet_column *c, const json_t *track, int32_t frames, struct err *e)
{
    const int32_t unsaid = -3;
    const json_t *entries = json_object_get(track, "frames");
    int32_t now = -1; /* what frame 0 shows when no entry says: an entry before it, or nothing */
    int64_t before = INT64_MIN;
    for (int32_t f = 0; f < frames; f++)
        c->shown[f] = unsaid;
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i), *at = json_object_get(entry, "frame");
        const char *name = entry_name(entry);
        if (!json_is_integer(at))
            return refuse(e, "an entry has no frame number");
        int64_t frame = json_integer_value(at);
        if (!name || frame >= frames)
            continue;
        int32_t drawing = *name ? drawing_index(c, name, e) : -1;
        if (drawing == -2)
            return -1;
        if (frame >= 0) {
            c->shown[frame] = drawing;
        } else if (frame >= before) {
            before = frame;
            now = drawing;
        }
    }
    for (int32_t f = 0; f < frames; f++)
        c->shown[f] = now = c->shown[f] == unsaid ? now : c->shown[f];
    return 0;
}

/* ---- the sheet ---- */
static const json_t *field_of(const json_t *list, const char *key)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i), *id = json_object_get(item, "fieldId");
        if (json_is_integer(id) && json_integer_value(id) == FIELD_CELS)
            return json_object_get(item, key);
    }
    return NULL;
}

static int add_column(struct timesheet *t, const json_t *track, const json_t *names, struct err *e)
{
    struct timesheet_column *c = &t->columns[t->column_count];
    const json_t *number = json_object_get(track, "trackNo");
    int64_t index = json_is_integer(number) ? json_integer_value(number) : t->column_count;
    const char *name = index >= 0 ? json_string_value(json_array_get(names, (size_t)index)) : NULL;
    c->shown = malloc((size_t)t->frames * sizeof *c->shown);
    if (!c->shown)
        return err_set(e, ERR_internal, "no memory for a timesheet");
    t->column_count++;
    return copy_name(c->name, name ? name : "", e) ? -1 : fill_column(c, track, t->frames, e);
}

static int read_table(struct timesheet *t, const json_t *table, struct err *e)
{
    const json_t *duration = json_object_get(table, "duration");
    const json_t *tracks = field_of(json_object_get(table, "fields"), "tracks");
    const json_t *names = field_of(json_object_get(table, "timeTableHeaders"), "names");
    size_t count = json_array_size(tracks);
    if (!json_is_integer(duration) || json_integer_value(duration) < 1 ||
        json_integer_value(duration) > TIMESHEET_FRAMES_MAX)
        return refuse(e, "the duration is not 1 to 100000 frames");
    t->frames = (int32_t)json_integer_value(duration);
    if (count == 0)
        return refuse(e, "it has no column of cels");
    if (count > TIMESHEET_COLUMNS_MAX || (int64_t)count * t->frames > CELLS_MAX)
        return refuse(e, "it has too many columns");
    t->columns = calloc(count, sizeof *t->columns);
    if (!t->columns)
        return err_set(e, ERR_internal, "no memory for a timesheet");
    for (size_t i = 0; i < count; i++)
        if (add_column(t, json_array_get(tracks, i), names, e))
            return -1;
    return 0;
}

static int read_header(struct timesheet *t, const json_t *document, struct err *e)
{
    const json_t *header = json_object_get(document, "header");
    const char *cut = json_string_value(json_object_get(header, "cut"));
    const char *scene = json_string_value(json_object_get(header, "scene"));
    return copy_name(t->cut, cut ? cut : "", e) || copy_name(t->scene, scene ? scene : "", e) ? -1 : 0;
}

int timesheet_parse(struct timesheet *out, const char *text, size_t size, struct err *e)
{
    struct timesheet t = {.frames = 0};
    if (size > TIMESHEET_FILE_MAX)
        return refuse(e, "it has more than 4 MiB");
    const char *body = skip_signature(text, size);
    if (!body)
        return refuse(e, "it does not begin with \"" SIGNATURE "\"");
    struct err why = {0};
    json_t *document = json_parse(body, size - (size_t)(body - text), ERR_params_invalid, &why);
    if (!document)
        return refuse(e, why.detail);
    const json_t *table = json_array_get(json_object_get(document, "timeTables"), 0);
    int result = table ? 0 : refuse(e, "it has no time table");
    if (!result)
        result = read_header(&t, document, e) || read_table(&t, table, e) ? -1 : 0;
    json_decref(document);
    if (result)
        timesheet_fini(&t);
    else
        *out = t;
    return result;
}

void timesheet_fini(struct timesheet *t)
{
    for (int32_t i = 0; i < t->column_count; i++) {
        free(t->columns[i].shown);
        free(t->columns[i].drawings);
    }
    free(t->columns);
    *t = (struct timesheet){.frames = 0};
}

/* ---- file names ---- */

/* "A_0012" without the column's name, separators and leading zeros: "12". */
static const char *bare(const char *stem, const char *column)
{
    size_t n = strlen(column);
    if (n && strncasecmp(stem, column, n) == 0 && stem[n] && !isalpha((unsigned char)stem[n]))
        stem += n;
    stem += strspn(stem, "_-. ");
    size_t zeros = strspn(stem, "0");
    return stem[zeros] && isdigit((unsigned char)stem[zeros]) ? stem + zeros : stem;
}

int32_t timesheet_drawing_of(const struct timesheet_column *c, const char *file_name)
{
    const char *slash = strrchr(file_name, '/'), *start = slash ? slash + 1 : file_name, *dot = strrchr(start, '.');
    char stem[256];
    size_t n = dot && dot > start ? (size_t)(dot - start) : strlen(start);
    if (n >= sizeof stem)
        return -1;
    memcpy(stem, start, n);
    stem[n] = 0;
    for (int32_t i = 0; i < c->drawing_count; i++)
        if (strcasecmp(c->drawings[i], stem) == 0)
            return i;
    for (int32_t i = 0; i < c->drawing_count; i++)
        if (strcasecmp(bare(c->drawings[i], c->name), bare(stem, c->name)) == 0)
            return i;
    return -1;
}
