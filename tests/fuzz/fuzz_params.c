/* Parameters as JSON and as text: whatever comes in, what was accepted must be shown again and be accepted again, as
 * the same; what was refused must name a field or be no JSON. */
#include "base/json.h"
#include "job/params.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct job_params *p)
{
    struct job_params again;
    struct err e = {0};
    json_t *shown = params_json(p);
    params_init(&again);
    if (params_apply_json(&again, shown, &e) != 0)
        abort();
    json_t *shown_again = params_json(&again);
    if (!json_equal(shown, shown_again))
        abort();
    json_decref(shown);
    json_decref(shown_again);
    params_free(&again);
}

static void try_json(const char *text, size_t size)
{
    struct job_params p;
    struct err e = {0};
    json_t *object = json_parse(text, size, ERR_bad_request, &e);
    if (!object)
        return;
    params_init(&p);
    if (params_apply_json(&p, object, &e) == 0 && params_check(&p, &e) == 0)
        check_round_trip(&p);
    else if (e.code != ERR_params_invalid || e.detail[0] == '\0')
        abort();
    params_free(&p);
    json_decref(object);
}

/* "name=value", as a form field or a flag gives it. */
static void try_text(char *line)
{
    struct job_params p;
    struct err e = {0};
    char *equals = strchr(line, '=');
    if (!equals)
        return;
    *equals = '\0';
    params_init(&p);
    if (params_apply_text(&p, line, equals + 1, &e) == 0 && params_check(&p, &e) == 0)
        check_round_trip(&p);
    else if (e.code != ERR_params_invalid || e.field[0] != '/')
        abort();
    params_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    try_json(text, size);
    try_text(text);
    free(text);
    return 0;
}
