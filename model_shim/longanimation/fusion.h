// fusion.h - Color Consistency Fusion: near the end of denoising, the first latent frames of a segment are drawn
// towards the last ones of the segment before, at the same step and so at the same noise level.
//
//   latent frame   0        1       2   3   4   5   6 ... (0 is padding, 1 the first real one: both untouched)
//   previous's share                .8  .6  .4  .2
//
// The previous segment's tail is its last four latent frames after its own fusion: with fewer than 33 frames a segment
// the two ranges overlap, and the tail then holds fused latents.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace mdl
{

struct FusionConfig {
    bool enabled = true;
    int64_t first_step = 31;                            // fused from this step index on
    std::vector<double> weights = {0.8, 0.6, 0.4, 0.2}; // share of the previous segment, per fused latent frame

    bool fuses(int64_t step) const
    {
        return enabled && step >= first_step;
    }
};

// latents [1,frames,C,h,w] of this step, changed in place; previous [1,n,C,h,w] with n = number of weights. Each
// product and the sum are rounded to the latents' type, as the reference does in bfloat16.
void fusion_apply(const FusionConfig &config, at::Tensor &latents, const at::Tensor &previous);

// The tail to keep for the next segment, a copy: [1,n,C,h,w].
at::Tensor fusion_tail(const FusionConfig &config, const at::Tensor &latents);

// The tails of one segment, by step. Steps before first_step are not kept, nobody reads them.
class FusionTails
{
  public:
    FusionTails(FusionConfig config, int64_t steps);

    // After the step of the scheduler: fuses with `previous` where there is one, then keeps the own tail.
    void step(int64_t step, at::Tensor &latents, const FusionTails *previous);

    // For a state that outlives the process: [kept steps, n, C, h, w], undefined when nothing is kept.
    at::Tensor stacked() const;
    static FusionTails unstack(FusionConfig config, int64_t steps, const at::Tensor &stacked);

  private:
    FusionConfig config_;
    std::vector<at::Tensor> tails_; // undefined before first_step
};

} // namespace mdl
