#include "longanimation/sketch_dit.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace mdl
{

SketchDit SketchDit::open(const std::string &folder, const WeightOptions &options)
{
    const DitConfig config = DitConfig::parse(json_read(folder + "/config.json"));
    Weights weights = Weights::open(folder, {"control_module"}, options);
    SketchDit network(config, weights);
    weights.finish();
    return network;
}

SketchDit::SketchDit(const DitConfig &config, Weights &w) : c_(config), embed_(config, w), time_(config, w)
{
    blocks_.reserve(static_cast<size_t>(c_.layers));
    for (int64_t i = 0; i < c_.layers; i++)
        blocks_.emplace_back(c_, w, "transformer_blocks." + std::to_string(i));
    zero_conv_ = nn::Linear::load(w, "zero_conv", c_.width(), c_.width(), false);
}

at::Tensor SketchDit::text_tokens(const at::Tensor &e) const
{
    return embed_.text(e);
}

nn::Rope SketchDit::rope(int64_t frames, int64_t height, int64_t width, c10::Device device) const
{
    return embed_.rope(frames, height, width, device);
}

StepConditioning SketchDit::condition(const at::Tensor &t, const at::Tensor &ofs) const
{
    const at::Tensor time = at::silu(time_(t, ofs));
    StepConditioning all;
    all.blocks.reserve(blocks_.size());
    for (const DitBlock &block : blocks_)
        all.blocks.push_back(block.modulation(time));
    return all;
}

at::Tensor SketchDit::forward(const at::Tensor &x, const at::Tensor &text, const StepConditioning &step,
                              const nn::Rope &rope, const Tap &tap) const
{
    at::Tensor tokens = embed_.join(text, x);
    if (tap)
        tap("embed", tokens);
    for (size_t i = 0; i < blocks_.size(); i++) {
        blocks_[i].forward(tokens, text.size(1), step.blocks.at(i), rope);
        if (tap)
            tap("block" + std::to_string(i), tokens);
    }
    return zero_conv_(tokens.narrow(1, text.size(1), tokens.size(1) - text.size(1)));
}

} // namespace mdl
