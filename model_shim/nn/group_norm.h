// group_norm.h - group norm as a factor and a summand per channel, for tensors whose channels lie innermost.
//
// libtorch's own for that layout adds up squares of all places in one float32 per channel and thread; here blocks are
// added up with their own mean and joined in double precision, in an order that no number of threads changes.
#pragma once
#include <ATen/core/Tensor.h>

namespace mdl::nn
{

// (B, C, T, H, W) float32 on the CPU, channels innermost.
bool group_norm_scale_takes(const at::Tensor &x);

struct ChannelScale {
    at::Tensor scale, shift; // (B, C, 1, 1, 1): group_norm(x) = x * scale + shift
};
ChannelScale group_norm_scale(const at::Tensor &x, int64_t groups, const at::Tensor &weight, const at::Tensor &bias,
                              double eps);

} // namespace mdl::nn
