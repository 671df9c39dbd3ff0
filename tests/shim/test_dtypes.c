/* test_dtypes.c - the whole pipeline in bfloat16 beside float32, on the CPU: near each other, each the same every time,
 * and states that do not go from one to the other. */
#include "variant.h"

#include <math.h>
#include <stdbool.h>

static mdl_model *open_as(const char *folder, int dtype)
{
    struct mdl_options o;
    struct mdl_error e = {0, ""};
    mdl_model *m = NULL;
    options_init(&o);
    o.dtype = dtype;
    if (mdl_open(&m, "longanimation", folder, &o, &e) != MDL_OK)
        fail_msg("mdl_open: %s", e.text);
    return m;
}

static void shot_init(struct caller *c, struct mdl_params *p)
{
    caller_init(c, p, 96, 64, 38); /* three segments of 25 */
    p->steps = 4;
}

static void run_as(const char *folder, int dtype, int input_kind, struct caller *out)
{
    struct mdl_params p;
    mdl_model *m = open_as(folder, dtype);
    shot_init(out, &p);
    p.input_kind = input_kind;
    run_or_fail(m, &p);
    assert_int_equal(out->delivered, 38);
    mdl_close(m);
}

/* Grey levels, root of the mean square. */
static double distance(const struct caller *a, const struct caller *b)
{
    size_t bytes = (size_t)a->delivered * (size_t)a->width * (size_t)a->height * 3;
    double sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum += ((double)a->frames[i] - b->frames[i]) * ((double)a->frames[i] - b->frames[i]);
    return sqrt(sum / (double)bytes);
}

static void bfloat16_is_near_float32(void **state)
{
    (void)state;
    static const struct {
        int kind;
        double bound; /* colours: some pixels change sides of the threshold between line and paper */
    } inputs[] = {{MDL_INPUT_LINEART, 5}, {MDL_INPUT_COLOR, 10}};
    struct variant v;
    variant_make(&v, WITH_VIDEO_ENCODER);
    for (size_t i = 0; i < 2; i++) {
        struct caller exact, rounded;
        run_as(v.folder, MDL_DTYPE_F32, inputs[i].kind, &exact);
        run_as(v.folder, MDL_DTYPE_BF16, inputs[i].kind, &rounded);
        double apart = distance(&exact, &rounded);
        print_message("bfloat16 is %.2f grey levels from float32\n", apart);
        assert_true(apart > 0 && apart < inputs[i].bound);
        assert_true(rounded.segments[0].state_size_bytes < exact.segments[0].state_size_bytes * 2 / 3);
        caller_fini(&exact);
        caller_fini(&rounded);
    }
    variant_remove(&v);
}

static void a_bfloat16_run_can_be_resumed_to_the_same_bytes(void **state)
{
    (void)state;
    struct variant v;
    struct caller whole;
    variant_make(&v, WITH_VIDEO_ENCODER);
    run_as(v.folder, MDL_DTYPE_BF16, MDL_INPUT_LINEART, &whole);
    for (int32_t k = 1; k < 3; k++) {
        struct caller part;
        struct mdl_params p;
        mdl_model *m = open_as(v.folder, MDL_DTYPE_BF16);
        shot_init(&part, &p);
        caller_resume(&part, &p, &whole, k);
        run_or_fail(m, &p);
        assert_same_video(&whole, &part);
        caller_fini(&part);
        mdl_close(m);
    }
    caller_fini(&whole);
    variant_remove(&v);
}

static void a_state_of_one_type_is_refused_by_a_run_in_the_other(void **state)
{
    (void)state;
    static const int dtypes[][2] = {{MDL_DTYPE_F32, MDL_DTYPE_BF16}, {MDL_DTYPE_BF16, MDL_DTYPE_F32}};
    for (size_t i = 0; i < 2; i++) {
        struct caller whole, part;
        struct mdl_params p;
        struct mdl_error e = {0, ""};
        run_as(TINY, dtypes[i][0], MDL_INPUT_LINEART, &whole);
        mdl_model *m = open_as(TINY, dtypes[i][1]);
        shot_init(&part, &p);
        caller_resume(&part, &p, &whole, 1);
        assert_int_equal(mdl_run(m, &p, &e), MDL_EINVAL);
        assert_non_null(strstr(e.text, "float"));
        caller_fini(&part);
        caller_fini(&whole);
        mdl_close(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bfloat16_is_near_float32),
        cmocka_unit_test(a_bfloat16_run_can_be_resumed_to_the_same_bytes),
        cmocka_unit_test(a_state_of_one_type_is_refused_by_a_run_in_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
