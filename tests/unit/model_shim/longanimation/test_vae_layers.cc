// Large convolutions are cut in time: whatever the limit, the numbers are those of the whole. With channels innermost
// norms are taken by our own hand: they are libtorch's, in any number of threads, and far from zero too.
#include "longanimation/vae_layers.h"

#include "nn/group_norm.h"
#include "parity/golden.h"
#include "tests/support/cmocka_cc.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>

namespace
{

void a_convolution_cut_in_time_equals_the_whole(void **)
{
    const mdl::Fill fill{std::string()};
    for (auto [in, out] : {std::pair<int64_t, int64_t>{3, 5}, {6, 2}})
        for (int64_t frames : {3, 4, 11}) {
            const at::Tensor x = fill.input("x", {2, in, frames, 5, 4});
            const at::Tensor weight = fill.weight("w.weight", {out, in, 3, 3, 3}), bias = fill.weight("w.bias", {out});
            const at::Tensor whole = at::conv3d(x, weight, bias, {1, 1, 1}, {0, 1, 1});
            const int64_t frame = std::max(in, out) * 2 * 5 * 4;
            // One frame of output at a time, two, and limits that not even one fits into.
            for (int64_t limit : {int64_t{1}, frame, 3 * frame, 4 * frame, 5 * frame - 1, 100 * frame}) {
                const at::Tensor parts = mdl::conv_in_time(x, weight, bias, limit);
                assert_true(parts.sizes() == whole.sizes());
                assert_true(at::allclose(parts, whole, 1e-5, 1e-6));
            }
        }
}

void a_norm_with_channels_innermost_is_the_norm(void **)
{
    const mdl::Fill fill{std::string()};
    for (double far : {0.0, 30.0, -1000.0})
        for (auto [channels, groups] : {std::pair<int64_t, int64_t>{6, 3}, {16, 4}, {5, 5}, {7, 1}}) {
            const at::Tensor plain = fill.input("x", {2, channels, 3, 19, 23}).add_(far);
            const at::Tensor x = plain.contiguous(at::MemoryFormat::ChannelsLast3d);
            const at::Tensor weight = fill.weight("g.weight", {channels}), bias = fill.weight("g.bias", {channels});
            const at::Tensor exact =
                at::group_norm(plain.to(at::kDouble), groups, weight.to(at::kDouble), bias.to(at::kDouble), 1e-6);
            at::Tensor scales[2], shifts[2];
            for (int threads : {1, 2}) {
                at::set_num_threads(threads);
                assert_true(mdl::nn::group_norm_scale_takes(x));
                const auto made = mdl::nn::group_norm_scale(x, groups, weight, bias, 1e-6);
                scales[threads - 1] = made.scale, shifts[threads - 1] = made.shift;
            }
            at::set_num_threads(1);
            assert_true(at::equal(scales[0], scales[1]) && at::equal(shifts[0], shifts[1]));
            const at::Tensor mine = x.to(at::kDouble) * scales[0] + shifts[0];
            assert_true((mine - exact).abs().max().item<double>() < 2e-6 * (1 + std::abs(far)));
        }
    assert_false(mdl::nn::group_norm_scale_takes(fill.input("x", {1, 4, 2, 3, 3})));
}

} // namespace

int main()
{
    const c10::InferenceMode inference;
    at::set_num_threads(1);
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_convolution_cut_in_time_equals_the_whole),
        cmocka_unit_test(a_norm_with_channels_innermost_is_the_norm),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
