/* palette.c - palette files. Every byte comes from outside: cursors with bounds, nothing is believed. */
#include "paint/palette.h"

#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int add(struct palette *p, const char *name, const uint8_t rgb[3], struct err *e)
{
    if (p->count == PALETTE_MAX)
        return err_set_field(e, ERR_params_invalid, "palette", "more than %d colours", PALETTE_MAX);
    struct palette_color *c = &p->colors[p->count++];
    *c = (struct palette_color){.area = 0};
    memcpy(c->rgb, rgb, 3);
    /* Cut at a character's start, never inside one. */
    size_t n = strlen(name);
    if (n >= sizeof c->name)
        for (n = sizeof c->name - 1; n > 0 && ((unsigned char)name[n] & 0xC0) == 0x80; n--)
            ;
    memcpy(c->name, name, n);
    return 0;
}

/* ---- JSON: [{"name": "skin", "rgb": [250, 220, 200]}, …], or "#fadcc8" for rgb; or {"colors": [ … ]} ---- */
static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static int rgb_of_hex(const char *text, uint8_t rgb[3])
{
    if (*text == '#')
        text++;
    if (strlen(text) != 6)
        return -1;
    for (int c = 0; c < 3; c++) {
        int high = hex_digit(text[2 * c]), low = hex_digit(text[2 * c + 1]);
        if (high < 0 || low < 0)
            return -1;
        rgb[c] = (uint8_t)(high * 16 + low);
    }
    return 0;
}

static int rgb_of_json(const json_t *value, uint8_t rgb[3])
{
    if (json_is_string(value))
        return rgb_of_hex(json_string_value(value), rgb);
    if (!json_is_array(value) || json_array_size(value) != 3)
        return -1;
    for (size_t c = 0; c < 3; c++) {
        const json_t *v = json_array_get(value, c);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > 255)
            return -1;
        rgb[c] = (uint8_t)json_integer_value(v);
    }
    return 0;
}

static int parse_json(struct palette *p, const char *text, size_t size, struct err *e)
{
    struct err why = {0};
    json_t *document = json_parse(text, size, ERR_params_invalid, &why);
    if (!document)
        return err_set_field(e, ERR_params_invalid, "palette", "%s", why.detail);
    const json_t *list = json_is_object(document) ? json_object_get(document, "colors") : document;
    int result = -1;
    if (!json_is_array(list)) {
        err_set_field(e, ERR_params_invalid, "palette", "a list of {\"name\", \"rgb\"} is expected");
        goto out;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i), *background = json_object_get(item, "background");
        const char *name = json_string_value(json_object_get(item, "name"));
        uint8_t rgb[3];
        if (!json_is_object(item) || rgb_of_json(json_object_get(item, "rgb"), rgb)) {
            err_set_field(e, ERR_params_invalid, "palette",
                          "colour %zu has no \"rgb\" of three numbers 0..255 or \"#rrggbb\"", i);
            goto out;
        }
        if (add(p, name ? name : "", rgb, e))
            goto out;
        p->colors[p->count - 1].background = json_is_true(background);
    }
    result = 0;
out:
    json_decref(document);
    return result;
}

/* ---- GIMP: "GIMP Palette", then lines of three numbers and a name ---- */
static int parse_gpl(struct palette *p, const char *text, size_t size, struct err *e)
{
    int line_number = 0;
    for (size_t at = 0; at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t n = end ? (size_t)(end - text) - at : size - at;
        char line[256] = "", *rest;
        memcpy(line, text + at, n < sizeof line - 1 ? n : sizeof line - 1);
        at += n + 1;
        line_number++;
        line[strcspn(line, "\r")] = 0;
        const char *start = line + strspn(line, " \t");
        if (line_number == 1 || !*start || *start == '#' || strncmp(start, "Name:", 5) == 0 ||
            strncmp(start, "Columns:", 8) == 0)
            continue;
        uint8_t rgb[3];
        for (int c = 0; c < 3; c++) {
            long v = strtol(start, &rest, 10);
            if (rest == start || v < 0 || v > 255)
                return err_set_field(e, ERR_params_invalid, "palette", "line %d has no colour of three numbers 0..255",
                                     line_number);
            rgb[c] = (uint8_t)v;
            start = rest;
        }
        if (add(p, start + strspn(start, " \t"), rgb, e))
            return -1;
    }
    return 0;
}

/* ---- Adobe swatches: "ASEF", version, blocks; big-endian; names in UTF-16 ---- */
struct cursor {
    const uint8_t *at;
    size_t left;
};

static uint32_t take(struct cursor *c, int bytes, bool *ok)
{
    uint32_t v = 0;
    if (c->left < (size_t)bytes) {
        *ok = false;
        return 0;
    }
    for (int i = 0; i < bytes; i++)
        v = v << 8 | c->at[i];
    c->at += bytes;
    c->left -= (size_t)bytes;
    return v;
}

static double take_number(struct cursor *c, bool *ok)
{
    uint32_t bits = take(c, 4, ok);
    float f;
    memcpy(&f, &bits, sizeof f);
    if (!isfinite(f))
        *ok = false;
    return *ok ? f : 0;
}

/* The name's characters outside the basic plane and lone surrogates become '?'. */
static void take_name(struct cursor *c, char *out, size_t size, bool *ok)
{
    uint32_t units = take(c, 2, ok);
    size_t n = 0;
    for (uint32_t i = 0; *ok && i < units; i++) {
        uint32_t u = take(c, 2, ok);
        if (!*ok || u == 0 || n + 4 > size)
            continue;
        if (u >= 0xD800 && u <= 0xDFFF)
            u = '?';
        if (u < 0x80) {
            out[n++] = (char)u;
        } else if (u < 0x800) {
            out[n++] = (char)(0xC0 | u >> 6);
            out[n++] = (char)(0x80 | (u & 63));
        } else {
            out[n++] = (char)(0xE0 | u >> 12);
            out[n++] = (char)(0x80 | (u >> 6 & 63));
            out[n++] = (char)(0x80 | (u & 63));
        }
    }
    out[n] = 0;
}

static uint8_t level(double v)
{
    return (uint8_t)lrint(255 * fmin(fmax(v, 0), 1));
}

/* CIELAB (D50 in swatch files) to sRGB, adapted to D65 by Bradford. L as 0..1 of 100. */
static void rgb_of_lab(double L, double a, double b, uint8_t rgb[3])
{
    double fy = (L * 100 + 16) / 116, f[3] = {fy + a / 500, fy, fy - b / 200}, white[3] = {0.9642, 1, 0.8251}, xyz[3];
    static const double to_srgb[3][3] = {
        {3.1338561, -1.6168667, -0.4906146}, {-0.9787684, 1.9161415, 0.0334540}, {0.0719453, -0.2289914, 1.4052427}};
    for (int i = 0; i < 3; i++)
        xyz[i] = white[i] * (f[i] > 6.0 / 29 ? f[i] * f[i] * f[i] : (f[i] - 16.0 / 116) * 108 / 841);
    for (int c = 0; c < 3; c++) {
        double v = to_srgb[c][0] * xyz[0] + to_srgb[c][1] * xyz[1] + to_srgb[c][2] * xyz[2];
        rgb[c] = level(v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - 0.055);
    }
}

static int take_color(struct cursor *c, uint8_t rgb[3], bool *ok)
{
    char model[5] = "";
    double v[4] = {0};
    for (int i = 0; i < 4; i++)
        model[i] = (char)take(c, 1, ok);
    int values = strcmp(model, "RGB ") == 0 || strcmp(model, "LAB ") == 0 ? 3
                 : strcmp(model, "CMYK") == 0                             ? 4
                 : strcmp(model, "Gray") == 0                             ? 1
                                                                          : 0;
    for (int i = 0; i < values; i++)
        v[i] = take_number(c, ok);
    if (!values || !*ok)
        return -1;
    if (values == 4)
        for (int i = 0; i < 3; i++)
            rgb[i] = level((1 - v[i]) * (1 - v[3]));
    else if (values == 1)
        rgb[0] = rgb[1] = rgb[2] = level(v[0]);
    else if (model[0] == 'L')
        rgb_of_lab(v[0], v[1], v[2], rgb);
    else
        for (int i = 0; i < 3; i++)
            rgb[i] = level(v[i]);
    return 0;
}

static int parse_ase(struct palette *p, const uint8_t *data, size_t size, struct err *e)
{
    struct cursor c = {data + 4, size - 4};
    bool ok = true;
    take(&c, 4, &ok); /* version */
    uint32_t blocks = take(&c, 4, &ok);
    for (uint32_t i = 0; ok && i < blocks; i++) {
        uint32_t type = take(&c, 2, &ok), length = take(&c, 4, &ok);
        struct cursor block = {c.at, length};
        if (!ok || length > c.left)
            return err_set_field(e, ERR_params_invalid, "palette", "the swatch file ends inside block %u", i);
        c.at += length;
        c.left -= length;
        if (type != 1)
            continue; /* groups */
        char name[PALETTE_NAME_SIZE];
        uint8_t rgb[3];
        take_name(&block, name, sizeof name, &ok);
        if (!ok || take_color(&block, rgb, &ok))
            return err_set_field(e, ERR_params_invalid, "palette", "block %u is not a colour that can be read", i);
        if (add(p, name, rgb, e))
            return -1;
    }
    return ok ? 0 : err_set_field(e, ERR_params_invalid, "palette", "the swatch file is cut short");
}

int palette_parse(struct palette *out, const void *data, size_t size, struct err *e)
{
    struct palette *p = calloc(1, sizeof *p);
    const char *text = data;
    int result;
    if (!p)
        return err_set(e, ERR_internal, "no memory for a palette");
    if (size > PALETTE_FILE_MAX)
        result =
            err_set_field(e, ERR_params_invalid, "palette", "a palette file has at most %d bytes", PALETTE_FILE_MAX);
    else if (size >= 12 && memcmp(text, "ASEF", 4) == 0)
        result = parse_ase(p, data, size, e);
    else if (size >= 12 && memcmp(text, "GIMP Palette", 12) == 0)
        result = parse_gpl(p, text, size, e);
    else
        result = parse_json(p, text, size, e);
    if (result == 0 && p->count == 0)
        result = err_set_field(e, ERR_params_invalid, "palette", "the palette has no colours");
    if (result == 0)
        *out = *p;
    free(p);
    return result;
}
