// layers.h - layers that every network shares, as plain structs of tensors and their load functions.
#pragma once
#include "io/weights.h"

#include <ATen/core/Tensor.h>

#include <string>

namespace mdl::nn
{

enum class Activation { silu, gelu, gelu_tanh, quick_gelu /* x sigmoid(1.702 x) */, relu, mish };

// By the names used in published configs ("silu", "swish", "gelu", "gelu-approximate", "gelu_new", ...).
Activation activation_by_name(const std::string &name);
at::Tensor &activate_(at::Tensor &x, Activation kind); // in place
at::Tensor activate(const at::Tensor &x, Activation kind);

// y = x W^T + b
struct Linear {
    at::Tensor weight; // (out, in)
    at::Tensor bias;   // (out), undefined for none

    static Linear load(Weights &w, const std::string &name, int64_t in, int64_t out, bool bias = true);
    at::Tensor operator()(const at::Tensor &x) const;
    at::Tensor operator()(const at::Tensor &x, Activation after) const;
};

// Several linears over the same input as one: rows of the weights and biases one after the other.
Linear fuse(const std::vector<Linear> &parts);

// The same for weights that may be trained: joined once, or, while they train, before every use.
class FusedLinear
{
  public:
    FusedLinear() = default;
    explicit FusedLinear(const std::vector<Linear> &parts);
    at::Tensor operator()(const at::Tensor &x) const;

  private:
    Linear all_;
    std::vector<Linear> parts_; // empty when nothing of them is trained
};

struct LayerNorm {
    at::Tensor weight, bias; // (width), undefined without affine
    int64_t width = 0;
    double eps = 1e-5;

    static LayerNorm load(Weights &w, const std::string &name, int64_t width, double eps, bool affine = true);
    at::Tensor operator()(const at::Tensor &x) const;
};

// w * cast(x / sqrt(mean(x^2) + eps)), statistics in float32; the cast comes before the weight, as in T5 and Llama.
struct RmsNorm {
    at::Tensor weight; // (width)
    double eps = 1e-6;

    static RmsNorm load(Weights &w, const std::string &name, int64_t width, double eps);
    at::Tensor operator()(const at::Tensor &x) const;
};

} // namespace mdl::nn
