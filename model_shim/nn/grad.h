// grad.h - whether a computation is being recorded for its gradient.
//
// The networks write into their own buffers and call kernels that have no derivative: that is what makes them fast.
// Where one of the tensors at hand is tracked they take the way that leaves every tensor as it is. Without tracking
// nothing changes, neither the bytes nor the time.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>

namespace mdl::nn
{

inline bool wants_gradient(const at::Tensor &t)
{
    return t.defined() && t.requires_grad();
}

template <class... Tensors> bool tracked(const Tensors &...tensors)
{
    return c10::GradMode::is_enabled() && (wants_gradient(tensors) || ...);
}

} // namespace mdl::nn
