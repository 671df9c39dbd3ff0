/* test_journal.c - the log of a training run and its picture. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/fs.h"
#include "base/json.h"
#include "tests/support/scratch.h"
#include "train/journal.h"

static void add(struct journal *j, int64_t step, double loss)
{
    json_t *line = json_object();
    json_put_int(line, "step", step);
    json_put_real(line, "loss", loss);
    assert_int_equal(journal_add(j, line, NULL), 0);
}

static char *text_of(const char *folder, const char *name)
{
    char path[FS_PATH_MAX];
    struct buf b;
    buf_init(&b, 1 << 20);
    assert_int_equal(fs_join(path, folder, name, NULL), 0);
    assert_int_equal(fs_read(path, &b, NULL), 0);
    return buf_take(&b, NULL);
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        n++;
    return n;
}

static void lines_are_json_with_a_time(void **state)
{
    (void)state;
    char folder[256];
    struct journal *j;
    assert_int_equal(make_fast_scratch(folder, sizeof folder), 0);
    assert_int_equal(journal_open(&j, folder, NULL), 0);
    add(j, 1, 0.5);
    add(j, 2, 0.25);
    journal_close(j);
    char *text = text_of(folder, "log.jsonl"), *end = strchr(text, '\n');
    json_t *line = json_parse(text, (size_t)(end - text), ERR_internal, NULL);
    assert_non_null(line);
    assert_int_equal(json_integer_value(json_object_get(line, "step")), 1);
    assert_true(json_is_string(json_object_get(line, "time")));
    assert_int_equal(count(text, "\n"), 2);
    json_decref(line);
    free(text);
}

/* A crash in the middle of a line, a run that goes on from an older checkpoint: the picture has every step once. */
static void a_picture_shows_the_last_word_on_every_step(void **state)
{
    (void)state;
    char folder[256], path[FS_PATH_MAX];
    struct journal *j;
    assert_int_equal(make_fast_scratch(folder, sizeof folder), 0);
    assert_int_equal(journal_open(&j, folder, NULL), 0);
    for (int64_t step = 1; step <= 5; step++)
        add(j, step, 100.0 * (double)step);
    journal_close(j);
    assert_int_equal(fs_join(path, folder, "log.jsonl", NULL), 0);
    FILE *f = fopen(path, "ae");
    fputs("{\"step\":6,\"lo\n", f);
    fclose(f);
    assert_int_equal(journal_open(&j, folder, NULL), 0);
    for (int64_t step = 3; step <= 4; step++)
        add(j, step, 1.0);
    assert_int_equal(journal_plot(j, NULL), 0);
    journal_close(j);
    char *svg = text_of(folder, "loss.svg");
    assert_int_equal(count(svg, "<polyline"), 2); /* as it is, and smoothed */
    char *points = strstr(svg, "points=\"");
    points[8 + strcspn(points + 8, "\"")] = 0;
    assert_int_equal(count(points, ","), 4);
    free(svg);
}

static void an_empty_run_has_an_empty_picture(void **state)
{
    (void)state;
    char folder[256];
    struct journal *j;
    assert_int_equal(make_fast_scratch(folder, sizeof folder), 0);
    assert_int_equal(journal_open(&j, folder, NULL), 0);
    assert_int_equal(journal_plot(j, NULL), 0);
    journal_close(j);
    char *svg = text_of(folder, "loss.svg");
    assert_int_equal(count(svg, "<polyline"), 0);
    assert_non_null(strstr(svg, "</svg>"));
    free(svg);
    assert_int_equal(journal_open(&j, "/nowhere/at/all", NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_json_with_a_time),
        cmocka_unit_test(a_picture_shows_the_last_word_on_every_step),
        cmocka_unit_test(an_empty_run_has_an_empty_picture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
