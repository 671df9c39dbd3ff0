/* What a bad picture of the right colours still says about regions. */
#include "paint/votes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { W = 160, H = 96 };
static const struct palette palette = {.count = 3,
                                       .colors = {{.rgb = {220, 40, 40}, .area = 0.5},
                                                  {.rgb = {40, 60, 220}, .area = 0.4},
                                                  {.rgb = {0, 0, 0}, .ink = true}}};

/* Two halves, the left one red; regions 1 and 2. */
struct halves {
    struct regions regions;
    struct voter *voter;
    struct vote votes[3];
    float means[9];
};

static void halves_open(struct halves *h)
{
    static uint8_t rgb[W * H * 3];
    struct regions_conf c = regions_conf_default(W, H);
    struct err e = {0};
    memset(h, 0, sizeof *h);
    memset(rgb, 255, sizeof rgb);
    for (int y = 0; y < H; y++)
        memset(rgb + (y * W + W / 2) * 3, 0, 6);
    struct paint_image image = {rgb, W, H, 3};
    assert_int_equal(regions_init(&h->regions, W, H, &e), 0);
    assert_int_equal(regions_find(&h->regions, &image, &c, true, &e), 0);
    assert_int_equal(h->regions.count, 2);
    h->voter = voter_new(&palette, &paint_weights_fitted);
    assert_non_null(h->voter);
}

static void halves_close(struct halves *h)
{
    regions_fini(&h->regions);
    voter_free(h->voter);
}

static void cast(struct halves *h, const uint8_t *rgb, int32_t width, int32_t height)
{
    struct paint_image proposal = {rgb, width, height, 3};
    struct err e = {0};
    assert_int_equal(voter_cast(h->voter, &h->regions, 64, &proposal, h->votes, h->means, &e), 0);
}

static void a_coarse_frame_votes_for_the_nearest_paints(void **state)
{
    struct halves h;
    uint8_t rgb[20 * 12 * 3];
    (void)state;
    halves_open(&h);
    for (int i = 0; i < 20 * 12; i++) { /* both off by a good deal */
        static const uint8_t off[2][3] = {{200, 70, 60}, {60, 50, 190}};
        memcpy(rgb + 3 * i, off[i % 20 >= 10], 3);
    }
    cast(&h, rgb, 20, 12);
    assert_int_equal(h.votes[1].color[0], 0);
    assert_int_equal(h.votes[2].color[0], 1);
    assert_true(h.votes[1].share[0] > 150 && h.votes[1].evidence > 16);
    assert_true(h.means[3] > 190 && h.means[3] < 210 && h.means[3 + 2] < 70);
    halves_close(&h);
}

static void colours_that_shine_in_at_the_border_do_not_win(void **state)
{
    struct halves h;
    uint8_t rgb[20 * 12 * 3];
    (void)state;
    halves_open(&h);
    for (int i = 0; i < 20 * 12; i++) /* blue has grown over three cells of the red side */
        memcpy(rgb + 3 * i, palette.colors[i % 20 >= 7].rgb, 3);
    cast(&h, rgb, 20, 12);
    assert_int_equal(h.votes[1].color[0], 0);
    assert_int_equal(h.votes[2].color[0], 1);
    halves_close(&h);
}

static void the_colour_of_lines_is_never_voted_for(void **state)
{
    struct halves h;
    uint8_t rgb[3] = {4, 4, 4};
    (void)state;
    halves_open(&h);
    cast(&h, rgb, 1, 1);
    assert_int_not_equal(h.votes[1].color[0], 2);
    assert_int_not_equal(h.votes[2].color[0], 2);
    halves_close(&h);
}

static void any_size_of_proposal_will_do(void **state)
{
    static const int32_t sizes[][2] = {{1, 1}, {1, 300}, {500, 1}, {W, H}, {333, 97}};
    struct halves h;
    uint8_t *rgb = malloc(500 * 300 * 3);
    (void)state;
    halves_open(&h);
    memset(rgb, 90, 500 * 300 * 3);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        cast(&h, rgb, sizes[i][0], sizes[i][1]);
        for (int k = 1; k <= 2; k++)
            assert_true(h.votes[k].share[0] + h.votes[k].share[1] + h.votes[k].share[2] <= 257);
    }
    free(rgb);
    halves_close(&h);
}

static void likeness_is_what_two_votes_share(void **state)
{
    struct vote a = {.color = {0, 1, 2}, .share = {200, 50, 5}}, b = {.color = {1, 0, 2}, .share = {250, 5, 0}};
    (void)state;
    assert_true(vote_likeness(&a, &a) > 0.99F);
    assert_true(vote_likeness(&a, &b) > 0.2F && vote_likeness(&a, &b) < 0.23F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_coarse_frame_votes_for_the_nearest_paints),
        cmocka_unit_test(colours_that_shine_in_at_the_border_do_not_win),
        cmocka_unit_test(the_colour_of_lines_is_never_voted_for),
        cmocka_unit_test(any_size_of_proposal_will_do),
        cmocka_unit_test(likeness_is_what_two_votes_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
