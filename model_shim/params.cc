// params.cc - ranges of mdl_params, as a table.
#include "params.h"

#include "error.h"

#include <cmath>
#include <cstring>

namespace mdl
{
namespace
{

constexpr int64_t side_max = 16384;
constexpr size_t text_max = 1 << 20;

struct Range {
    const char *name;
    int64_t value, min, max;
};

void check_ranges(const mdl_params &p)
{
    const Range table[] = {
        {"input_width", p.input_width, 1, side_max},
        {"input_height", p.input_height, 1, side_max},
        {"frames", p.frames, 1, 1 << 24},
        {"width", p.width, 0, side_max},
        {"height", p.height, 0, side_max},
        {"steps", p.steps, 0, 1000},
        {"profile", p.profile, MDL_PROFILE_COMPLETE, MDL_PROFILE_REFERENCE},
        {"input_kind", p.input_kind, MDL_INPUT_LINEART, MDL_INPUT_COLOR},
        {"reference_strategy", p.reference_strategy, MDL_STRATEGY_GLOBAL, MDL_STRATEGY_AUTOREGRESSIVE},
        {"injection", p.injection, MDL_INJECT_DEFAULT, MDL_INJECT_LATTER_HALF},
        {"speed", p.speed, MDL_SPEED_EXACT, MDL_SPEED_FAST},
        {"memory_global", p.memory_global, 0, 1},
        {"memory_local", p.memory_local, 0, 1},
        {"memory_global_frames", p.memory_global_frames, 0, 1 << 16},
        {"memory_local_frames", p.memory_local_frames, 0, 1 << 16},
        {"fusion", p.fusion, 0, 1},
        {"reference_count", p.reference_count, 0, 4},
        {"resume_segment", p.resume_segment, 0, 1 << 24},
    };
    for (const Range &r : table)
        if (r.value < r.min || r.value > r.max)
            fail(MDL_EINVAL, "%s is %lld, not %lld..%lld", r.name, static_cast<long long>(r.value),
                 static_cast<long long>(r.min), static_cast<long long>(r.max));
}

void check_scale(const char *name, float value, float max)
{
    if (!std::isfinite(value) || value > max)
        fail(MDL_EINVAL, "%s is %g, not 0..%g", name, static_cast<double>(value), static_cast<double>(max));
}

} // namespace

void check_params(const mdl_params &p)
{
    check_ranges(p);
    if ((p.width == 0) != (p.height == 0))
        throw Error(MDL_EINVAL, "width and height are given together or not at all");
    if (p.width % 16 || p.height % 16)
        fail(MDL_EINVAL, "width and height are multiples of 16, not %dx%d", p.width, p.height);
    check_scale("guidance_scale", p.guidance_scale, 100);
    check_scale("control_scale", p.control_scale, 100);
    if (strnlen(p.prompt, text_max) == text_max || strnlen(p.negative_prompt, text_max) == text_max)
        throw Error(MDL_EINVAL, "prompt or negative_prompt is longer than 1 MiB");
}

void check_run_params(const mdl_params &p)
{
    check_params(p);
    if (p.reference_count < 1)
        throw Error(MDL_EINVAL, "a reference image is needed");
    for (int32_t i = 0; i < p.reference_count; i++) {
        const mdl_image &r = p.references[i];
        if (!r.rgb || r.width < 1 || r.height < 1 || r.width > side_max || r.height > side_max)
            fail(MDL_EINVAL, "reference %d is empty or larger than %lldx%lld", i, static_cast<long long>(side_max),
                 static_cast<long long>(side_max));
    }
    if (p.resume_segment > 0 && (!p.resume_state || p.resume_state_size_bytes == 0))
        fail(MDL_EINVAL, "resume_segment is %d but there is no resume_state", p.resume_segment);
}

} // namespace mdl
