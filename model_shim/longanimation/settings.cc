// settings.cc - see settings.h.
#include "longanimation/settings.h"

#include "error.h"
#include "params.h"

namespace mdl
{
namespace
{

Injection injection_of(int32_t number)
{
    switch (number) {
    case MDL_INJECT_FULL:
        return Injection::full;
    case MDL_INJECT_FORMER_HALF:
        return Injection::former_half;
    case MDL_INJECT_LATTER_HALF:
        return Injection::latter_half;
    default:
        return Injection::skip_layer;
    }
}

NetworkSize size_of(const Manifest &m, const mdl_params &p)
{
    if (p.width > 0)
        return {p.width, p.height};
    if (p.profile == MDL_PROFILE_REFERENCE)
        return {m.width, m.height};
    return plan_network_size(p.input_width, p.input_height, m.width, m.height);
}

} // namespace

std::string Settings::prompt_of(int32_t segment) const
{
    std::string text = prompt + prompt_suffix;
    if (reference_profile())
        for (int32_t k = 0; k < segment; k++)
            text += prompt_suffix;
    return text;
}

bool Settings::pads_with_reference(int32_t segment) const
{
    return pad_sketch == PadSketch::reference || (pad_sketch == PadSketch::released && segment == 0);
}

Settings settings_make(const Manifest &m, const mdl_params &p)
{
    check_params(p);
    Settings s;
    s.profile = p.profile == MDL_PROFILE_REFERENCE ? Profile::reference : Profile::complete;
    s.plan = plan_make(s.profile, p.frames, m.segment_frames, m.overlap_frames);
    if (s.plan.segments.empty())
        fail(MDL_EINVAL, "profile reference needs at least %d frames, not %lld", m.segment_frames,
             static_cast<long long>(p.frames));
    s.size = size_of(m, p);
    s.fitting = s.reference_profile() || p.width > 0 ? Fitting::cover : Fitting::stretch;

    s.steps = p.steps ? p.steps : m.steps;
    s.guidance_scale = p.guidance_scale < 0 ? m.guidance_scale : static_cast<double>(p.guidance_scale);
    s.control_scale = p.control_scale < 0 ? m.control_scale : static_cast<double>(p.control_scale);
    s.injection = injection_of(p.injection == MDL_INJECT_DEFAULT ? m.injection : p.injection);
    s.seed = p.seed;
    s.prompt = p.prompt;
    s.negative_prompt = p.negative_prompt;
    s.prompt_suffix = m.prompt_suffix;

    s.lineart_input = p.input_kind == MDL_INPUT_LINEART;
    s.autoregressive = p.reference_strategy == MDL_STRATEGY_AUTOREGRESSIVE;
    s.fast = p.speed == MDL_SPEED_FAST;
    s.fast_threshold = m.fast_threshold;
    s.global_memory = p.memory_global != 0;
    s.local_memory = p.memory_local != 0;
    s.global_frames = p.memory_global_frames ? p.memory_global_frames : m.global_frames_max;
    s.local_frames = p.memory_local_frames ? p.memory_local_frames : m.local_frames;
    s.fusion.enabled = p.fusion != 0;
    s.fusion.first_step = p.fusion_first_step < 0 ? m.fusion_first_step : p.fusion_first_step;
    s.fusion.weights.assign(m.fusion_weights.begin(), m.fusion_weights.end());
    s.pad_sketch = m.pad_sketch;
    return s;
}

} // namespace mdl
