#include "paint/timesheet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define HEAD "exchangeDigitalTimeSheet Save Data\n"

/* Column A holds drawing 1 for two frames, 2 until frame 4, then nothing; B begins before the shot. */
static const char sheet[] =
    HEAD "{\"header\":{\"cut\":\"12\",\"scene\":\"3\"},\"timeTables\":[{\"name\":\"t\",\"duration\":6,"
         "\"timeTableHeaders\":[{\"fieldId\":5,\"names\":[\"cam\"]},{\"fieldId\":0,\"names\":[\"A\",\"B\"]}],"
         "\"fields\":[{\"fieldId\":3,\"tracks\":[]},{\"fieldId\":0,\"tracks\":["
         "{\"trackNo\":0,\"frames\":["
         "{\"frame\":0,\"data\":[{\"id\":0,\"values\":[\"1\"]}]},"
         "{\"frame\":1,\"data\":[{\"id\":0,\"values\":[\"SYMBOL_HYPHEN\"]}]},"
         "{\"frame\":2,\"data\":[{\"id\":0,\"values\":[\"2\"]}]},"
         "{\"frame\":3,\"data\":[{\"id\":0,\"values\":[\"SYMBOL_TICK_1\"]}]},"
         "{\"frame\":4,\"data\":[{\"id\":0,\"values\":[\"SYMBOL_NULL_CELL\"]}]}]},"
         "{\"trackNo\":1,\"frames\":["
         "{\"frame\":-2,\"data\":[{\"id\":0,\"values\":[\"b7\"]}]},"
         "{\"frame\":3,\"data\":[{\"id\":0,\"values\":[\"b8\"]}]},"
         "{\"frame\":9,\"data\":[{\"id\":0,\"values\":[\"b9\"]}]}]}]}]}],\"version\":5}";

static int parse(struct timesheet *t, const char *text, size_t size, struct err *e)
{
    char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, text, size);
    int result = timesheet_parse(t, copy, size, e);
    free(copy);
    return result;
}

static void drawings_hold_until_the_next_entry(void **state)
{
    struct timesheet t;
    struct err e;
    (void)state;
    assert_int_equal(parse(&t, sheet, strlen(sheet), &e), 0);
    assert_string_equal(t.cut, "12");
    assert_string_equal(t.scene, "3");
    assert_int_equal(t.frames, 6);
    assert_int_equal(t.column_count, 2);
    const struct timesheet_column *a = &t.columns[0], *b = &t.columns[1];
    static const int32_t shown_a[6] = {0, 0, 1, 1, -1, -1}, shown_b[6] = {0, 0, 0, 1, 1, 1};
    assert_memory_equal(a->shown, shown_a, sizeof shown_a);
    assert_memory_equal(b->shown, shown_b, sizeof shown_b);
    assert_string_equal(b->drawings[1], "b8");
    assert_string_equal(a->name, "A");
    assert_string_equal(b->name, "B");
    timesheet_fini(&t);
}

static void files_find_their_drawings(void **state)
{
    static const struct {
        const char *file;
        int32_t drawing;
    } cases[] = {{"A0001.png", 0},  {"cels/A_2.png", 1}, {"a/0002.tga", 1}, {"1", 0},
                 {"A0003.png", -1}, {"B0001.png", -1},   {"", -1},          {".png", -1}};
    struct timesheet t;
    struct err e;
    (void)state;
    assert_int_equal(parse(&t, sheet, strlen(sheet), &e), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(timesheet_drawing_of(&t.columns[0], cases[i].file), cases[i].drawing);
    assert_int_equal(timesheet_drawing_of(&t.columns[1], "b0008.png"), 1);
    timesheet_fini(&t);
}

static void what_is_no_timesheet_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "{}",
        HEAD,
        HEAD "[]",
        HEAD "{}",
        HEAD "{\"timeTables\":[]}",
        HEAD "{\"timeTables\":[7]}",
        HEAD "{\"timeTables\":[{\"duration\":0}]}",
        HEAD "{\"timeTables\":[{\"duration\":100001}]}",
        HEAD "{\"timeTables\":[{\"duration\":5,\"fields\":[{\"fieldId\":0,\"tracks\":[]}]}]}",
        HEAD "{\"timeTables\":[{\"duration\":5,\"fields\":[{\"fieldId\":0,\"tracks\":[{\"frames\":[{}]}]}]}]}"};
    struct timesheet t;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct err e = {0};
        assert_int_equal(parse(&t, bad[i], strlen(bad[i]), &e), -1);
        assert_int_equal(e.code, ERR_params_invalid);
    }
    for (size_t n = 0; n < strlen(sheet); n++)
        assert_int_equal(parse(&t, sheet, n, NULL), -1);
}

static void sizes_are_bounded(void **state)
{
    struct timesheet t;
    struct err e;
    size_t room = TIMESHEET_FILE_MAX + 1000;
    char *text = malloc(room);
    (void)state;
    /* 300 columns */
    int at = snprintf(text, room, HEAD "{\"timeTables\":[{\"duration\":5,\"fields\":[{\"fieldId\":0,\"tracks\":[{}");
    for (int i = 1; i < 300; i++)
        at += snprintf(text + at, room - (size_t)at, ",{}");
    at += snprintf(text + at, room - (size_t)at, "]}]}]}");
    assert_int_equal(parse(&t, text, (size_t)at, &e), -1);
    /* 50,000 names in one column */
    at = snprintf(text, room,
                  HEAD "{\"timeTables\":[{\"duration\":60000,\"fields\":[{\"fieldId\":0,\"tracks\":[{\"frames\":[");
    for (int i = 0; i < 50000; i++)
        at += snprintf(text + at, room - (size_t)at, "%s{\"frame\":%d,\"data\":[{\"values\":[\"d%d\"]}]}", i ? "," : "",
                       i, i);
    at += snprintf(text + at, room - (size_t)at, "]}]}]}]}");
    assert_int_equal(parse(&t, text, (size_t)at, &e), -1);
    assert_int_equal(parse(&t, text, room, &e), -1);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drawings_hold_until_the_next_entry),
        cmocka_unit_test(files_find_their_drawings),
        cmocka_unit_test(what_is_no_timesheet_is_refused),
        cmocka_unit_test(sizes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
