#include "paint/color.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* Sharma, Wu, Dalal 2005: the published test data, as L a b, L a b, difference. */
static const double pairs[][7] = {
    {50, 2.6772, -79.7751, 50, 0, -82.7485, 2.0425},
    {50, 3.1571, -77.2803, 50, 0, -82.7485, 2.8615},
    {50, 2.8361, -74.0200, 50, 0, -82.7485, 3.4412},
    {50, -1.3802, -84.2814, 50, 0, -82.7485, 1.0000},
    {50, -1.1848, -84.8006, 50, 0, -82.7485, 1.0000},
    {50, -0.9009, -85.5211, 50, 0, -82.7485, 1.0000},
    {50, 0, 0, 50, -1, 2, 2.3669},
    {50, -1, 2, 50, 0, 0, 2.3669},
    {50, 2.4900, -0.0010, 50, -2.4900, 0.0009, 7.1792},
    {50, 2.4900, -0.0010, 50, -2.4900, 0.0011, 7.2195},
    {50, -0.0010, 2.4900, 50, 0.0009, -2.4900, 4.8045},
    {50, -0.0010, 2.4900, 50, 0.0011, -2.4900, 4.7461},
    {50, 2.5, 0, 50, 0, -2.5, 4.3065},
    {50, 2.5, 0, 73, 25, -18, 27.1492},
    {50, 2.5, 0, 61, -5, 29, 22.8977},
    {50, 2.5, 0, 56, -27, -3, 31.9030},
    {50, 2.5, 0, 58, 24, 15, 19.4535},
    {60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644},
    {63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630},
    {61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731},
    {35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645},
    {22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373},
    {36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146},
    {90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441},
    {90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381},
    {6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377},
    {2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082},
};

static void ciede2000_gives_the_published_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const double *p = pairs[i];
        struct cielab a = {p[0], p[1], p[2]}, b = {p[3], p[4], p[5]};
        assert_true(fabs(color_ciede2000(a, b) - p[6]) < 1e-4);
        assert_true(fabs(color_ciede2000(b, a) - p[6]) < 1e-4);
    }
}

static void oklab_of_known_colours(void **state)
{
    (void)state;
    struct oklab white = color_oklab((const uint8_t[3]){255, 255, 255});
    struct oklab red = color_oklab((const uint8_t[3]){255, 0, 0});
    assert_true(fabsf(white.L - 1) < 1e-3F && fabsf(white.a) < 1e-3F && fabsf(white.b) < 1e-3F);
    assert_true(fabsf(red.L - 0.62796F) < 1e-3F && fabsf(red.a - 0.22486F) < 1e-3F && fabsf(red.b - 0.12585F) < 1e-3F);
}

static void cielab_of_white_and_black(void **state)
{
    (void)state;
    struct cielab white = color_cielab((const uint8_t[3]){255, 255, 255});
    struct cielab black = color_cielab((const uint8_t[3]){0, 0, 0});
    assert_true(fabs(white.L - 100) < 0.01 && fabs(white.a) < 0.02 && fabs(white.b) < 0.02);
    assert_true(fabs(black.L) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ciede2000_gives_the_published_differences),
        cmocka_unit_test(oklab_of_known_colours),
        cmocka_unit_test(cielab_of_white_and_black),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
