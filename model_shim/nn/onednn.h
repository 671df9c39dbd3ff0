// onednn.h - float32 products on the CPU by oneDNN, which libtorch carries but calls for lower precisions only. Its
// kernels are compiled for the processor at hand; BLAS, which libtorch calls instead, is MKL, and that runs at half
// speed on processors of other makers (docs/speed.md).
#pragma once
#include <ATen/core/Tensor.h>

namespace mdl::nn
{

// Whether `x` is for these functions: float32 on the CPU outside of autocast, and a libtorch that has the kernels.
// They have no derivative: ask tracked() (nn/grad.h) too.
bool onednn_takes(const at::Tensor &x);

enum class Fused { nothing, gelu_tanh };

// x (..., K), weight (N, K), bias (N) or undefined -> act(x weight^T + bias), (..., N)
at::Tensor onednn_linear(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias,
                         Fused after = Fused::nothing);

} // namespace mdl::nn
