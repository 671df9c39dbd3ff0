#include "nn/embeddings.h"
#include "error.h"

#include <ATen/ATen.h>

#include <cmath>

namespace mdl::nn
{

namespace
{

// positions (n), float32 -> (n, dim), float64
at::Tensor sincos_1d(int64_t dim, const at::Tensor &positions)
{
    const at::Tensor k = at::arange(dim / 2, at::kDouble).div_(static_cast<double>(dim) / 2);
    const at::Tensor omega = at::pow(10000.0, k).reciprocal_();
    const at::Tensor angle = at::outer(positions.to(at::kDouble), omega);
    return at::cat({angle.sin(), angle.cos()}, 1);
}

} // namespace

at::Tensor timestep_embedding(const at::Tensor &t, int64_t width, bool flip_sin_to_cos, double freq_shift)
{
    const int64_t half = width / 2;
    const auto options = at::TensorOptions().dtype(at::kFloat).device(t.device());
    at::Tensor frequency = at::arange(half, options).mul_(-std::log(10000.0));
    frequency = frequency.div_(static_cast<double>(half) - freq_shift).exp_();
    const at::Tensor angle = t.to(at::kFloat).reshape({-1, 1}) * frequency.unsqueeze(0);
    const at::Tensor sin = angle.sin(), cos = angle.cos();
    at::Tensor both = flip_sin_to_cos ? at::cat({cos, sin}, 1) : at::cat({sin, cos}, 1);
    return width % 2 ? at::constant_pad_nd(both, {0, 1}) : both;
}

at::Tensor sincos_3d(int64_t dim, int64_t frames, int64_t height, int64_t width, double spatial_scale,
                     double temporal_scale)
{
    const int64_t time_dim = dim / 4, axis_dim = 3 * dim / 4 / 2;
    if (dim % 4 || time_dim % 2 || axis_dim % 2 || time_dim + 2 * axis_dim != dim)
        throw Error(MDL_EWEIGHTS, "a width of " + std::to_string(dim) + " does not split into 3-D positions");
    const auto axis = [](int64_t n, double scale) { return at::arange(n, at::kFloat).div_(scale); };
    const at::Tensor t = sincos_1d(time_dim, axis(frames, temporal_scale));
    const at::Tensor x = sincos_1d(axis_dim, axis(width, spatial_scale));
    const at::Tensor y = sincos_1d(axis_dim, axis(height, spatial_scale));
    const auto spread = [&](const at::Tensor &part) { return part.expand({frames, height, width, part.size(-1)}); };
    const at::Tensor all = at::cat({spread(t.view({frames, 1, 1, time_dim})), spread(x.view({1, 1, width, axis_dim})),
                                    spread(y.view({1, height, 1, axis_dim}))},
                                   -1);
    return all.view({frames, height * width, dim});
}

} // namespace mdl::nn
