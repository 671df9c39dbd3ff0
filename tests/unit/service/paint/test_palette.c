#include "paint/palette.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int parse(struct palette *p, const void *data, size_t size, struct err *e)
{
    /* An exact copy, so that a sanitizer sees one byte too many. */
    char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    int result = palette_parse(p, copy, size, e);
    free(copy);
    return result;
}

static void is_color(const struct palette *p, int32_t i, const char *name, int r, int g, int b)
{
    assert_true(i < p->count);
    assert_string_equal(p->colors[i].name, name);
    assert_int_equal(p->colors[i].rgb[0], r);
    assert_int_equal(p->colors[i].rgb[1], g);
    assert_int_equal(p->colors[i].rgb[2], b);
}

static void json_lists_of_names_and_colours(void **state)
{
    static const char text[] = "[{\"name\": \"skin\", \"rgb\": [250, 220, 200]}, {\"rgb\": \"#0A0b0C\"},"
                               "{\"name\": \"sky\", \"rgb\": \"ff8000\", \"background\": true}]";
    struct palette p;
    struct err e;
    (void)state;
    assert_int_equal(parse(&p, text, strlen(text), &e), 0);
    assert_int_equal(p.count, 3);
    is_color(&p, 0, "skin", 250, 220, 200);
    is_color(&p, 1, "", 10, 11, 12);
    is_color(&p, 2, "sky", 255, 128, 0);
    assert_true(p.colors[2].background && !p.colors[0].background);
}

static void gimp_palettes(void **state)
{
    static const char text[] =
        "GIMP Palette\r\nName: test\nColumns: 4\n# a comment\n255   0  12\tHot red\r\n  1 2 3\n\n";
    struct palette p;
    struct err e;
    (void)state;
    assert_int_equal(parse(&p, text, strlen(text), &e), 0);
    assert_int_equal(p.count, 2);
    is_color(&p, 0, "Hot red", 255, 0, 12);
    is_color(&p, 1, "", 1, 2, 3);
}

/* ---- Adobe swatches, made by hand ---- */
struct bytes {
    uint8_t at[4096];
    size_t size;
};

static void add(struct bytes *b, uint32_t value, int size)
{
    for (int i = size - 1; i >= 0; i--)
        b->at[b->size++] = (uint8_t)(value >> (8 * i));
}

static void add_float(struct bytes *b, float f)
{
    uint32_t bits;
    memcpy(&bits, &f, 4);
    add(b, bits, 4);
}

static void add_swatch(struct bytes *b, const uint16_t *name, const char *model, const float *values, int count)
{
    uint32_t units = 0;
    while (name[units])
        units++;
    add(b, 1, 2);
    add(b, 2 + (units + 1) * 2 + 4 + (uint32_t)count * 4 + 2, 4);
    add(b, units + 1, 2);
    for (uint32_t i = 0; i <= units; i++)
        add(b, name[i], 2);
    for (int i = 0; i < 4; i++)
        add(b, (uint8_t)model[i], 1);
    for (int i = 0; i < count; i++)
        add_float(b, values[i]);
    add(b, 2, 2);
}

static struct bytes swatches(void)
{
    struct bytes b = {.size = 0};
    const uint16_t skin[] = {0x808C, 0x8272, 0}, grey[] = {'g', 0}, none[] = {0};
    memcpy(b.at, "ASEF", 4);
    b.size = 4;
    add(&b, 0x00010000, 4);
    add(&b, 6, 4);
    add(&b, 0xC001, 2); /* a group begins; its name is skipped */
    add(&b, 4, 4);
    add(&b, 1, 2);
    add(&b, 0, 2);
    add_swatch(&b, skin, "RGB ", (const float[]){1, 0.5F, 0}, 3);
    add_swatch(&b, grey, "Gray", (const float[]){0.2F}, 1);
    add_swatch(&b, none, "CMYK", (const float[]){0, 1, 1, 0.5F}, 4);
    add_swatch(&b, none, "LAB ", (const float[]){1, 0, 0}, 3);
    add(&b, 0xC002, 2);
    add(&b, 0, 4);
    return b;
}

static void adobe_swatches_of_all_models(void **state)
{
    struct bytes b = swatches();
    struct palette p;
    struct err e;
    (void)state;
    assert_int_equal(parse(&p, b.at, b.size, &e), 0);
    assert_int_equal(p.count, 4);
    is_color(&p, 0, "\xE8\x82\x8C\xE8\x89\xB2", 255, 128, 0);
    is_color(&p, 1, "g", 51, 51, 51);
    is_color(&p, 2, "", 128, 0, 0);
    is_color(&p, 3, "", 255, 255, 255);
}

static void every_truncation_is_refused_or_harmless(void **state)
{
    struct bytes b = swatches();
    static const char json[] = "[{\"name\":\"a\",\"rgb\":[1,2,3]}]";
    struct palette p;
    struct err e = {0};
    (void)state;
    for (size_t n = 0; n < b.size - 6; n++) /* the last block is only the end of the group */
        assert_int_equal(parse(&p, b.at, n, &e), -1);
    for (size_t n = 0; n < strlen(json); n++)
        assert_int_equal(parse(&p, json, n, &e), -1);
    assert_int_equal(e.code, ERR_params_invalid);
}

static void lies_about_sizes_are_refused(void **state)
{
    struct palette p;
    struct err e;
    (void)state;
    for (size_t at = 12; at < 120; at++) {
        struct bytes b = swatches();
        b.at[at] = 0xFF;
        (void)parse(&p, b.at, b.size, &e); /* any answer, no harm */
    }
    struct bytes b = swatches();
    add_float(&b, 0);
    memset(b.at + 8, 0xFF, 4); /* 2^32 blocks */
    assert_int_equal(parse(&p, b.at, b.size, &e), -1);
}

static void bad_colours_say_what_is_wrong(void **state)
{
    static const char *const bad[] = {"[{\"rgb\": [1, 2]}]",
                                      "[{\"rgb\": [1, 2, 256]}]",
                                      "[{\"rgb\": \"#12345\"}]",
                                      "[{\"rgb\": [1, 2, 0.5]}]",
                                      "[7]",
                                      "{}",
                                      "[]",
                                      "GIMP Palette\n1 2\n",
                                      "GIMP Palette\n1 2 256 x\n",
                                      "GIMP Palette\n"};
    struct palette p;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err e = {0};
        assert_int_equal(parse(&p, bad[i], strlen(bad[i]), &e), -1);
        assert_int_equal(e.code, ERR_params_invalid);
        assert_true(e.detail[0]);
    }
}

static void too_many_colours_are_refused_and_long_names_cut_between_characters(void **state)
{
    struct palette p;
    struct err e;
    char text[16384] = "GIMP Palette\n";
    size_t at = strlen(text);
    (void)state;
    for (int i = 0; i < PALETTE_MAX + 1; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%d 0 0\n", i % 256);
    assert_int_equal(parse(&p, text, at, &e), -1);
    at = (size_t)snprintf(text, sizeof text, "GIMP Palette\n1 2 3 ");
    for (int i = 0; i < 40; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "\xC3\xA9"); /* 80 bytes of two-byte characters */
    assert_int_equal(parse(&p, text, at, &e), 0);
    assert_int_equal(strlen(p.colors[0].name), 62);
    assert_int_equal((unsigned char)p.colors[0].name[61], 0xA9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_lists_of_names_and_colours),
        cmocka_unit_test(gimp_palettes),
        cmocka_unit_test(adobe_swatches_of_all_models),
        cmocka_unit_test(every_truncation_is_refused_or_harmless),
        cmocka_unit_test(lies_about_sizes_are_refused),
        cmocka_unit_test(bad_colours_say_what_is_wrong),
        cmocka_unit_test(too_many_colours_are_refused_and_long_names_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
