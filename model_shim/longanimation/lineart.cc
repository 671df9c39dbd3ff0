// lineart.cc - see lineart.h. Mirrors the class Generator of informative-drawings.
#include "longanimation/lineart.h"

#include "error.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace mdl
{
namespace
{

// Floats of one activation that a chunk may have; the widest have as many channels as model0 at full size.
constexpr int64_t chunk_elements = int64_t{1} << 26;

at::Tensor normalise(const at::Tensor &x)
{
    return at::instance_norm(x, {}, {}, {}, {}, /*use_input_stats=*/true, 0.1, 1e-5, /*cudnn_enabled=*/true);
}

at::Tensor normalise_relu(const at::Tensor &x)
{
    return normalise(x).relu_();
}

} // namespace

Lineart::Conv Lineart::conv(Weights &weights, const std::string &name, int64_t in, int64_t kernel, int64_t out,
                            bool transposed)
{
    const Weights::Shape *stored = weights.shape(name + ".weight");
    const size_t axis = transposed ? 1 : 0;
    if (out == 0)
        out = stored && stored->size() == 4 ? (*stored)[axis] : 1;
    Conv c;
    c.weight = transposed ? weights.get(name + ".weight", {in, out, kernel, kernel})
                          : weights.get(name + ".weight", {out, in, kernel, kernel});
    c.bias = weights.get(name + ".bias", {out});
    return c;
}

Lineart::Lineart(Weights &weights)
{
    entry_ = conv(weights, "model0.1", 3, 7);
    int64_t width = entry_.bias.size(0);
    for (const char *name : {"model1.0", "model1.3"}) {
        down_.push_back(conv(weights, name, width, 3));
        width = down_.back().bias.size(0);
    }
    for (int i = 0; i == 0 || weights.shape("model2." + std::to_string(i) + ".conv_block.1.weight"); i++) {
        const std::string block = "model2." + std::to_string(i) + ".conv_block.";
        Conv first = conv(weights, block + "1", width, 3, width);
        residual_.emplace_back(std::move(first), conv(weights, block + "5", width, 3, width));
    }
    for (const char *name : {"model3.0", "model3.3"}) {
        up_.push_back(conv(weights, name, width, 3, 0, true));
        width = up_.back().bias.size(0);
    }
    exit_ = conv(weights, "model4.1", width, 7, 1);
}

Lineart Lineart::open(const std::string &path, const WeightOptions &options)
{
    Weights weights = Weights::open(path, {"sk_model"}, options);
    Lineart network(weights);
    weights.finish();
    return network;
}

at::Tensor Lineart::forward_chunk(const at::Tensor &frames, std::map<std::string, at::Tensor> *stages) const
{
    const auto note = [&](const char *stage, const at::Tensor &x) {
        if (stages)
            stages->insert_or_assign(stage, x.clone());
    };
    // Two roundings in bfloat16, as the reference: the byte, then the quotient.
    at::Tensor x = frames.to(entry_.weight.options()).div_(255);
    x = normalise_relu(at::conv2d(at::reflection_pad2d(x, {3, 3, 3, 3}), entry_.weight, entry_.bias));
    note("model0", x);
    for (const Conv &c : down_)
        x = normalise_relu(at::conv2d(x, c.weight, c.bias, 2, 1));
    note("model1", x);
    for (const auto &[first, second] : residual_) {
        const at::Tensor inner =
            normalise_relu(at::conv2d(at::reflection_pad2d(x, {1, 1, 1, 1}), first.weight, first.bias));
        x = x + normalise(at::conv2d(at::reflection_pad2d(inner, {1, 1, 1, 1}), second.weight, second.bias));
    }
    note("model2", x);
    for (const Conv &c : up_)
        x = normalise_relu(at::conv_transpose2d(x, c.weight, c.bias, 2, 1, 1));
    note("model3", x);
    return at::conv2d(at::reflection_pad2d(x, {3, 3, 3, 3}), exit_.weight, exit_.bias).sigmoid_();
}

at::Tensor Lineart::forward(const at::Tensor &frames) const
{
    if (frames.dim() != 4 || frames.size(1) != 3 || frames.size(2) % 4 != 0 || frames.size(3) % 4 != 0 ||
        frames.size(2) < 8 || frames.size(3) < 8)
        throw Error(MDL_EINVAL, "lines cannot be extracted from frames of " + c10::str(frames.sizes()));
    const int64_t per_frame = entry_.weight.size(0) * frames.size(2) * frames.size(3);
    const int64_t chunk = std::clamp<int64_t>(chunk_elements / per_frame, 1, frames.size(0));
    std::vector<at::Tensor> parts;
    for (int64_t f = 0; f < frames.size(0); f += chunk)
        parts.push_back(forward_chunk(frames.narrow(0, f, std::min(chunk, frames.size(0) - f))));
    return at::cat(parts);
}

at::Tensor lineart_paper(const at::Tensor &y, double threshold)
{
    if (y.scalar_type() == at::kBFloat16)
        threshold = static_cast<float>(c10::BFloat16(static_cast<float>(threshold)));
    return y.to(at::kFloat) > static_cast<float>(threshold);
}

at::Tensor lineart_paper_ready(const at::Tensor &grey, double threshold)
{
    return grey.to(at::kFloat).div_(255) > static_cast<float>(threshold);
}

at::Tensor lineart_grey(const at::Tensor &frames)
{
    const at::Tensor rgb = frames.to(at::kInt);
    const at::Tensor luma = rgb.narrow(1, 0, 1) * 19595 + rgb.narrow(1, 1, 1) * 38470 + rgb.narrow(1, 2, 1) * 7471;
    return (luma + 0x8000).bitwise_right_shift(16).to(at::kByte);
}

at::Tensor lineart_sketch(const at::Tensor &paper, c10::ScalarType dtype)
{
    const at::Tensor line = at::where(paper, at::scalar_tensor(-1, dtype).to(paper.device()),
                                      at::scalar_tensor(1, dtype).to(paper.device()));
    return line.expand({-1, 3, -1, -1}).contiguous();
}

} // namespace mdl
