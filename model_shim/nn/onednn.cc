#include "nn/onednn.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>

namespace mdl::nn
{

namespace
{

using Pointwise = at::Tensor(const at::Tensor &, const at::Tensor &, const std::optional<at::Tensor> &,
                             std::string_view, c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);

// Registered by libtorch itself, without a C++ declaration. None where libtorch was built without oneDNN.
const std::optional<c10::TypedOperatorHandle<Pointwise>> &pointwise()
{
    static const auto handle = []() -> std::optional<c10::TypedOperatorHandle<Pointwise>> {
        const auto found = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
        if (!found || !at::hasMKLDNN() || !found->hasKernelForDispatchKey(c10::DispatchKey::CPU))
            return std::nullopt;
        try {
            return found->typed<Pointwise>();
        } catch (const c10::Error &) { // another signature: another libtorch
            return std::nullopt;
        }
    }();
    return handle;
}

} // namespace

bool onednn_takes(const at::Tensor &x)
{
    return x.device().is_cpu() && x.dim() >= 2 && x.scalar_type() == at::kFloat && x.numel() > 0 &&
           pointwise().has_value() && !at::autocast::is_autocast_enabled(at::kCPU);
}

at::Tensor onednn_linear(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias, Fused after)
{
    const std::optional<at::Tensor> b = bias.defined() ? std::optional(bias) : std::nullopt;
    const bool gelu = after == Fused::gelu_tanh;
    return pointwise()->call(x, weight, b, gelu ? "gelu" : "none", c10::List<std::optional<at::Scalar>>(),
                             gelu ? "tanh" : "");
}

} // namespace mdl::nn
