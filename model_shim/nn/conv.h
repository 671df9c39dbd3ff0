// conv.h - the one place that calls the convolutions of libtorch.
#pragma once
#include <ATen/core/Tensor.h>

namespace mdl::nn
{

// 2-D or 3-D by the number of dimensions of `weight` (out, in, [kt,] kh, kw); bias may be undefined.
at::Tensor conv(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias, at::IntArrayRef stride,
                at::IntArrayRef padding);

// x in the layout in which conv with `weight` has nothing to turn around: channels innermost where oneDNN convolves,
// else as it is. What conv gives has the layout of what it got.
at::Tensor conv_layout(const at::Tensor &x, const at::Tensor &weight);

} // namespace mdl::nn
