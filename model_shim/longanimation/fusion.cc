// fusion.cc - see fusion.h.
#include "longanimation/fusion.h"

#include "error.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <string>

namespace mdl
{
namespace
{

constexpr int64_t first_fused_frame = 2; // behind the padding frame and the first real one

int64_t width(const FusionConfig &config)
{
    return static_cast<int64_t>(config.weights.size());
}

} // namespace

void fusion_apply(const FusionConfig &config, at::Tensor &latents, const at::Tensor &previous)
{
    const int64_t n = width(config);
    if (latents.dim() != 5 || latents.size(1) < first_fused_frame + n || previous.dim() != 5 || previous.size(1) != n)
        throw Error(MDL_EINVAL, "fusion of " + std::to_string(n) + " frames does not fit latents of " +
                                    c10::str(latents.sizes()) + " and " + c10::str(previous.sizes()));
    for (int64_t i = 0; i < n; i++) {
        const double share = config.weights[static_cast<size_t>(i)];
        at::Tensor frame = latents.select(1, first_fused_frame + i);
        frame.copy_(previous.select(1, i).to(frame.options()) * share + frame * (1 - share));
    }
}

at::Tensor fusion_tail(const FusionConfig &config, const at::Tensor &latents)
{
    const int64_t n = width(config);
    return latents.narrow(1, latents.size(1) - n, n).clone();
}

FusionTails::FusionTails(FusionConfig config, int64_t steps)
    : config_(std::move(config)), tails_(static_cast<size_t>(steps))
{
}

void FusionTails::step(int64_t step, at::Tensor &latents, const FusionTails *previous)
{
    if (!config_.fuses(step))
        return;
    if (previous) {
        const at::Tensor &tail = previous->tails_.at(static_cast<size_t>(step));
        if (!tail.defined())
            throw Error(MDL_EINTERNAL, "no tail of the segment before at step " + std::to_string(step));
        fusion_apply(config_, latents, tail);
    }
    tails_.at(static_cast<size_t>(step)) = fusion_tail(config_, latents);
}

at::Tensor FusionTails::stacked() const
{
    std::vector<at::Tensor> kept;
    for (const at::Tensor &tail : tails_)
        if (tail.defined())
            kept.push_back(tail);
    return kept.empty() ? at::Tensor() : at::cat(kept);
}

FusionTails FusionTails::unstack(FusionConfig config, int64_t steps, const at::Tensor &stacked)
{
    FusionTails tails(std::move(config), steps);
    const int64_t first = std::clamp<int64_t>(tails.config_.first_step, 0, steps);
    const int64_t kept = tails.config_.enabled ? steps - first : 0;
    if ((stacked.defined() ? stacked.size(0) : 0) != kept)
        throw Error(MDL_EINVAL, "a state of " + c10::str(stacked.defined() ? stacked.size(0) : 0) +
                                    " fused steps does not fit a run with " + std::to_string(kept));
    for (int64_t i = 0; i < kept; i++)
        tails.tails_[static_cast<size_t>(first + i)] = stacked.narrow(0, i, 1);
    return tails;
}

} // namespace mdl
