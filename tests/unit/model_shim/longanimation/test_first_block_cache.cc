// Steps cut short: never where nothing may be lost, as many as the rules allow where everything may, and with the
// result that the last full step had.
#include "longanimation/first_block_cache.h"

#include "parity/golden.h"
#include "tests/support/cmocka_cc.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <limits>

namespace
{

using mdl::FirstBlockCache;
using mdl::Injection;

constexpr int64_t layers = 4, frames = 4, height = 6, width = 4, text_tokens = 5, steps = 11;
constexpr double always = std::numeric_limits<double>::infinity();

mdl::DitConfig small()
{
    mdl::DitConfig c;
    c.heads = 2, c.head_dim = 16, c.layers = layers, c.in_channels = 4, c.out_channels = 2, c.patch_t = 2;
    c.time_dim = c.ofs_dim = 8, c.text_dim = 6, c.max_text_tokens = text_tokens, c.rotary = true;
    c.sample_height = c.sample_width = 8;
    return c;
}

// A network, what is constant in a run of it, and inputs that drift from step to step.
struct Shot {
    explicit Shot(double input_drift = 0.01) : drift(input_drift)
    {
    }

    mdl::Fill fill{std::string()};
    mdl::Weights weights = fill.weights(mdl::WeightOptions{});
    mdl::Transformer net{small(), weights};
    mdl::nn::Rope rope = net.rope(frames, height, width, at::kCPU);
    at::Tensor text = net.text_tokens(fill.input("text", {2, text_tokens, 6}));
    mdl::StepConditioning all = net.condition(at::arange(steps, at::kLong).mul(-90).add(990), at::full({1}, 2.0));
    at::Tensor start = fill.input("x", {2, frames, 4, height, width});
    at::Tensor move = fill.input("move", {2, frames, 4, height, width});
    at::Tensor control = fill.input("control", {2, frames / 2 * height / 2 * width / 2, 32});
    double drift;

    at::Tensor x(int64_t i) const
    {
        return start + move * (drift * static_cast<double>(i));
    }
    at::Tensor exact(int64_t i, Injection where) const
    {
        return net.forward(x(i), text, all.row(i), rope, {control, 0.5, where});
    }
};

struct Result {
    std::vector<at::Tensor> v;
    std::vector<int64_t> full; // steps whose control was asked for
    int64_t blocks = 0;
};

Result run(const Shot &shot, double threshold, Injection where)
{
    Result r;
    FirstBlockCache cache(shot.net, threshold, steps);
    for (int64_t i = 0; i < steps; i++)
        r.v.push_back(cache.forward(i, shot.x(i), shot.text, shot.all.row(i), shot.rope, [&]() -> mdl::Control {
            r.full.push_back(i);
            return {shot.control, 0.5, where};
        }));
    r.blocks = cache.blocks_run();
    return r;
}

const Injection everywhere[] = {Injection::none, Injection::skip_layer, Injection::full, Injection::former_half,
                                Injection::latter_half};

void a_threshold_of_zero_gives_the_exact_bytes(void **)
{
    const Shot shot(0); // nothing moves but the time: the hardest case
    for (Injection where : everywhere) {
        const Result r = run(shot, 0, where);
        assert_int_equal(r.blocks, steps * layers);
        for (int64_t i = 0; i < steps; i++)
            assert_true(at::equal(r.v[static_cast<size_t>(i)], shot.exact(i, where)));
    }
}

void first_and_last_and_every_fourth_step_are_full_whatever_the_threshold(void **)
{
    const Shot shot;
    for (Injection where : everywhere) {
        const Result r = run(shot, always, where);
        assert_true(r.full == std::vector<int64_t>({0, 4, 8, 10}));
        assert_int_equal(r.blocks, 4 * layers + 7 * 1);
        for (int64_t i : r.full)
            assert_true(at::equal(r.v[static_cast<size_t>(i)], shot.exact(i, where)));
    }
}

void a_short_step_of_an_input_that_did_not_change_gives_what_the_full_one_gave(void **)
{
    const Shot shot(0);
    for (Injection where : everywhere) {
        FirstBlockCache cache(shot.net, 1e-3, steps);
        const mdl::StepConditioning same = shot.all.row(3);
        const auto control = [&]() -> mdl::Control { return {shot.control, 0.5, where}; };
        const at::Tensor full = cache.forward(0, shot.start, shot.text, same, shot.rope, control);
        const at::Tensor again = cache.forward(1, shot.start, shot.text, same, shot.rope, control);
        assert_int_equal(cache.blocks_run(), layers + 1);
        assert_true(at::allclose(again, full, 1e-5, 1e-5));
    }
}

void a_step_is_short_only_below_the_threshold_and_full_steps_move_the_mark(void **)
{
    const Shot shot(0.05);
    int64_t before = 0;
    for (double threshold : {2.0, 0.5, 0.1, 0.03, 0.0003}) {
        const Result r = run(shot, threshold, Injection::skip_layer);
        assert_true(r.blocks >= before);
        before = r.blocks;
    }
    assert_int_equal(before, steps * layers); // at the smallest
    assert_true(run(shot, 2.0, Injection::skip_layer).blocks < steps * layers);
}

void the_guidance_row_that_changes_most_decides_for_both(void **)
{
    const Shot shot(0);
    const mdl::StepConditioning same = shot.all.row(3);
    const auto control = [&]() -> mdl::Control { return {shot.control, 0.5, Injection::full}; };
    for (int64_t row : {0, 1}) {
        FirstBlockCache cache(shot.net, 0.02, steps);
        cache.forward(0, shot.start, shot.text, same, shot.rope, control);
        at::Tensor moved = shot.start.clone();
        moved.select(0, row).mul_(-1);
        cache.forward(1, moved, shot.text, same, shot.rope, control);
        assert_int_equal(cache.blocks_run(), 2 * layers);
    }
}

void a_first_block_that_does_nothing_cuts_nothing_short(void **)
{
    const mdl::Fill fill{std::string()};
    mdl::Weights weights = mdl::Weights::generated_on_demand(
        [&fill](const std::string &name, const mdl::Weights::Shape &shape) {
            const bool gate =
                name.find("blocks.0.norm") != std::string::npos && name.find("linear") != std::string::npos;
            return gate ? at::zeros(shape) : fill.weight(name, shape);
        },
        {});
    const mdl::Transformer net(small(), weights);
    const Shot shot;
    const at::Tensor text = net.text_tokens(fill.input("text", {2, text_tokens, 6}));
    const mdl::StepConditioning all = net.condition(at::arange(steps, at::kLong), at::full({1}, 2.0));
    FirstBlockCache cache(net, 0.5, steps);
    for (int64_t i = 0; i < 3; i++)
        cache.forward(i, shot.x(i), text, all.row(i), shot.rope, [] { return mdl::Control{}; });
    assert_int_equal(cache.blocks_run(), 3 * layers);
}

} // namespace

int main()
{
    const c10::InferenceMode inference;
    at::set_num_threads(1);
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_threshold_of_zero_gives_the_exact_bytes),
        cmocka_unit_test(first_and_last_and_every_fourth_step_are_full_whatever_the_threshold),
        cmocka_unit_test(a_short_step_of_an_input_that_did_not_change_gives_what_the_full_one_gave),
        cmocka_unit_test(a_step_is_short_only_below_the_threshold_and_full_steps_move_the_mark),
        cmocka_unit_test(the_guidance_row_that_changes_most_decides_for_both),
        cmocka_unit_test(a_first_block_that_does_nothing_cuts_nothing_short),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
