// settings.h - one run, decided: the caller's parameters over the manifest's defaults, with the segments and sizes that
// follow. Arithmetic only.
#pragma once
#include "longanimation/fusion.h"
#include "longanimation/manifest.h"
#include "longanimation/plan.h"
#include "longanimation/transformer.h"
#include "model.h"

#include <cstdint>
#include <string>

namespace mdl
{

// How a picture that has not the network's shape becomes one that has.
enum class Fitting {
    stretch, // the whole picture, aspect not kept: what was generated maps back onto the input pixel for pixel
    cover    // aspect kept, the rest cut off evenly
};

struct Settings {
    Profile profile = Profile::complete;
    Plan plan;
    NetworkSize size{};
    Fitting fitting = Fitting::stretch; // of the input frames

    int64_t steps = 0;
    double guidance_scale = 1, control_scale = 0;
    Injection injection = Injection::skip_layer;
    uint64_t seed = 0;
    std::string prompt, negative_prompt, prompt_suffix;

    bool lineart_input = true, autoregressive = false;
    bool fast = false; // steps may be cut short (first_block_cache.h)
    double fast_threshold = 0;
    bool global_memory = false, local_memory = false;
    int64_t global_frames = 0, local_frames = 0;
    FusionConfig fusion;
    PadSketch pad_sketch = PadSketch::released;

    bool reference_profile() const
    {
        return profile == Profile::reference;
    }
    // Two rows a step, [negative | positive]; one where guidance changes nothing.
    bool guided() const
    {
        return guidance_scale > 1;
    }
    // The prompt of segment k: the suffix once, or once more for every segment as the released program does.
    std::string prompt_of(int32_t segment) const;
    // Does the pad sketch of segment k come from the reference image?
    bool pads_with_reference(int32_t segment) const;
};

// Throws Error(MDL_EINVAL) for what this model cannot do.
Settings settings_make(const Manifest &m, const mdl_params &p);

} // namespace mdl
