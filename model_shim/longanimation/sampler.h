// sampler.h - the denoising loop of one segment.
//
//   Z = SketchDiT([sketch | image])        C = Z, or Z + memory(Z) where there is one
//   v = transformer([latents | image], C)  guidance, DPM step, colour fusion with the segment before
//
// With Settings::fast some steps leave most of the transformer and all of C out (first_block_cache.h).
//
// What depends on the time step or the prompt alone is computed once per segment: modulations of all steps, projected
// text, rotary tables, keys and values of the memory.
#pragma once
#include "longanimation/components.h"
#include "longanimation/condition.h"
#include "longanimation/fusion.h"
#include "longanimation/noise.h"
#include "longanimation/settings.h"
#include "longanimation/tap.h"

#include <functional>

namespace mdl
{

struct SampleInput {
    Condition condition;
    at::Tensor text;                        // [1 or 2, L, text width]: [positive], or [negative | positive]
    at::Tensor global_memory, local_memory; // [1, 2, layers, tokens, width]; undefined = none
};

class Sampler
{
  public:
    // Called before step i with i, and once more with the number of steps; may throw to stop.
    using OnStep = std::function<void(int64_t step)>;

    Sampler(const Settings &s, const Compute &c, const RunTap &tap);

    // The latents after the last step, [1, F, C, h, w] with the padding frame. `own` receives the tails that the next
    // segment is fused with; `previous` is null in the first segment. The diffusion phase has to be entered. Throws
    // Error(MDL_ENAN) when a step gives values that are not finite.
    at::Tensor operator()(const Components &n, int32_t segment, const SampleInput &in, Noise &noise, FusionTails &own,
                          const FusionTails *previous, const OnStep &on_step) const;

  private:
    const Settings &settings_;
    Compute compute_;
    const RunTap &tap_;
};

} // namespace mdl
