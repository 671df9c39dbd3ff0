// Large convolutions are cut in time: whatever the limit, the numbers are those of the whole.
#include "longanimation/vae_layers.h"

#include "parity/golden.h"
#include "tests/support/cmocka_cc.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

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

} // namespace

int main()
{
    const c10::InferenceMode inference;
    at::set_num_threads(1);
    const CMUnitTest tests[] = {cmocka_unit_test(a_convolution_cut_in_time_equals_the_whole)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
