// recompute.h - gradient checkpointing: a part of a network keeps its inputs only and is run again when its gradient is
// wanted. The second run makes the same numbers, so the gradient is the same bit for bit.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace mdl::nn
{

// While one lives on this thread, parts that can be run again are.
class RecomputeScope
{
  public:
    explicit RecomputeScope(bool enabled);
    ~RecomputeScope();
    RecomputeScope(const RecomputeScope &) = delete;
    RecomputeScope &operator=(const RecomputeScope &) = delete;

  private:
    bool before_;
};

bool recomputing();

// f(inputs), recorded as one step. Everything that wants a gradient and is no leaf has to be among the inputs; leaves
// (the weights) may be captured. `f` must not change its inputs, and gives the same numbers when called twice.
using Recomputed = std::function<at::Tensor(const std::vector<at::Tensor> &inputs)>;
at::Tensor recompute(const Recomputed &f, const std::vector<at::Tensor> &inputs);

} // namespace mdl::nn
