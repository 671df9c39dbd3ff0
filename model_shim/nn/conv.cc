#include "nn/conv.h"
#include "nn/grad.h"
#include "nn/onednn.h"

#include <ATen/ATen.h>

namespace mdl::nn
{

at::Tensor conv(const at::Tensor &x, const at::Tensor &weight, const at::Tensor &bias, at::IntArrayRef stride,
                at::IntArrayRef padding)
{
    const std::optional<at::Tensor> b = bias.defined() ? std::optional(bias) : std::nullopt;
    const std::vector<int64_t> dilation(stride.size(), 1);
    // libtorch takes slower kernels for small batches on one thread; asked by name, oneDNN serves them all.
    if (onednn_takes(x) && !tracked(x, weight, bias))
        return at::mkldnn_convolution(x.contiguous(x.suggest_memory_format()), weight, b, padding, stride, dilation, 1);
    return stride.size() == 2 ? at::conv2d(x, weight, b, stride, padding) : at::conv3d(x, weight, b, stride, padding);
}

at::Tensor conv_layout(const at::Tensor &x, const at::Tensor &weight)
{
    if (!onednn_takes(x) || tracked(x, weight))
        return x;
    return x.contiguous(x.dim() == 5 ? at::MemoryFormat::ChannelsLast3d : at::MemoryFormat::ChannelsLast);
}

} // namespace mdl::nn
