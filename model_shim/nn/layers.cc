#include "nn/layers.h"
#include "error.h"
#include "nn/grad.h"
#include "nn/onednn.h"

#include <ATen/ATen.h>

#include <vector>

namespace mdl::nn
{

Linear Linear::load(Weights &w, const std::string &name, int64_t in, int64_t out, bool bias)
{
    Linear l;
    l.weight = w.get(name + ".weight", {out, in});
    if (bias)
        l.bias = w.get(name + ".bias", {out});
    return l;
}

at::Tensor Linear::operator()(const at::Tensor &x) const
{
    if (onednn_takes(x) && !tracked(x, weight, bias))
        return onednn_linear(x, weight, bias);
    // Of a batch of slices libtorch makes a batched product with a copy of the weight for each.
    return at::linear(x.dim() > 2 ? x.contiguous() : x, weight, bias);
}

at::Tensor Linear::operator()(const at::Tensor &x, Activation after) const
{
    if (after == Activation::gelu_tanh && onednn_takes(x) && !tracked(x, weight, bias))
        return onednn_linear(x, weight, bias, Fused::gelu_tanh);
    at::Tensor y = (*this)(x);
    return tracked(y) ? activate(y, after) : activate_(y, after);
}

Linear fuse(const std::vector<Linear> &parts)
{
    std::vector<at::Tensor> weights, biases;
    for (const Linear &part : parts) {
        weights.push_back(part.weight);
        if (part.bias.defined())
            biases.push_back(part.bias);
    }
    Linear all;
    all.weight = at::cat(weights);
    if (!biases.empty())
        all.bias = at::cat(biases);
    return all;
}

FusedLinear::FusedLinear(const std::vector<Linear> &parts)
{
    bool trained = false;
    for (const Linear &part : parts)
        trained = trained || wants_gradient(part.weight) || wants_gradient(part.bias);
    if (trained)
        parts_ = parts;
    else
        all_ = fuse(parts);
}

at::Tensor FusedLinear::operator()(const at::Tensor &x) const
{
    return parts_.empty() ? all_(x) : fuse(parts_)(x);
}

LayerNorm LayerNorm::load(Weights &w, const std::string &name, int64_t width, double eps, bool affine)
{
    LayerNorm n;
    n.width = width;
    n.eps = eps;
    if (affine) {
        n.weight = w.get(name + ".weight", {width});
        n.bias = w.get(name + ".bias", {width});
    }
    return n;
}

at::Tensor LayerNorm::operator()(const at::Tensor &x) const
{
    return at::layer_norm(x, {width}, weight, bias, eps);
}

RmsNorm RmsNorm::load(Weights &w, const std::string &name, int64_t width, double eps)
{
    return {w.get(name + ".weight", {width}), eps};
}

at::Tensor RmsNorm::operator()(const at::Tensor &x) const
{
    const at::Tensor wide = x.to(at::kFloat);
    at::Tensor y = wide * at::rsqrt(wide.square().mean(-1, true).add_(eps));
    return y.to(weight.scalar_type()).mul_(weight);
}

Activation activation_by_name(const std::string &name)
{
    static const struct {
        const char *name;
        Activation kind;
    } names[] = {
        {"silu", Activation::silu},
        {"swish", Activation::silu},
        {"gelu", Activation::gelu},
        {"gelu-approximate", Activation::gelu_tanh},
        {"gelu_new", Activation::gelu_tanh},
        {"gelu_pytorch_tanh", Activation::gelu_tanh},
        {"quick_gelu", Activation::quick_gelu},
        {"relu", Activation::relu},
        {"mish", Activation::mish},
    };
    for (const auto &row : names)
        if (name == row.name)
            return row.kind;
    throw Error(MDL_EWEIGHTS, "activation \"" + name + "\" is not supported");
}

at::Tensor &activate_(at::Tensor &x, Activation kind)
{
    switch (kind) {
    case Activation::silu:
        return at::silu_(x);
    case Activation::gelu:
        return at::gelu_(x, "none");
    case Activation::gelu_tanh:
        return at::gelu_(x, "tanh");
    case Activation::quick_gelu:
        return x.mul_(at::sigmoid(x * 1.702));
    case Activation::relu:
        return at::relu_(x);
    case Activation::mish:
        return at::mish_(x);
    }
    return x;
}

at::Tensor activate(const at::Tensor &x, Activation kind)
{
    if (!tracked(x)) {
        at::Tensor y = x.clone();
        return activate_(y, kind);
    }
    switch (kind) {
    case Activation::silu:
        return at::silu(x);
    case Activation::gelu:
        return at::gelu(x, "none");
    case Activation::gelu_tanh:
        return at::gelu(x, "tanh");
    case Activation::quick_gelu:
        return x * at::sigmoid(x * 1.702);
    case Activation::relu:
        return at::relu(x);
    case Activation::mish:
        return at::mish(x);
    }
    return x;
}

} // namespace mdl::nn
