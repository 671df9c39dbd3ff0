#include "nn/attention.h"

#include <ATen/ATen.h>

namespace mdl::nn
{

at::Tensor attention(const at::Tensor &q, const at::Tensor &k, const at::Tensor &v, const at::Tensor &bias,
                     std::optional<double> scale)
{
    const std::optional<at::Tensor> mask = bias.defined() ? std::optional(bias) : std::nullopt;
    const at::Tensor a = at::scaled_dot_product_attention(q, k, v, mask, 0.0, false, scale);
    return a.transpose(1, 2).flatten(2); // a view: the fast kernels write (batch, tokens, heads, dim)
}

} // namespace mdl::nn
