// attention.h - the one place that calls the attention kernels of libtorch.
#pragma once
#include <ATen/core/Tensor.h>

#include <optional>

namespace mdl::nn
{

// softmax(q k^T * scale + bias) v over (batch, heads, tokens, dim); scale 1/sqrt(dim) when none is given. `bias` may be
// undefined; with one, the fast kernels of CUDA are out. q, k, v may be transposed views with a dense last dimension.
// Gives (batch, tokens, heads * dim).
at::Tensor attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &bias = {},
                     std::optional<double> scale = std::nullopt);

} // namespace mdl::nn
