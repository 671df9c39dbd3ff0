// plan.cc - see plan.h.
#include "longanimation/plan.h"

#include "error.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace mdl
{
namespace
{

void check(int64_t frames, int32_t segment_frames, int32_t overlap_frames)
{
    if (frames < 1)
        throw Error(MDL_EINVAL, "a shot has at least one frame, not " + std::to_string(frames));
    if (segment_frames < 1)
        throw Error(MDL_EINVAL, "a segment has at least one frame, not " + std::to_string(segment_frames));
    if (overlap_frames < 0 || overlap_frames >= segment_frames || overlap_frames % 2 != 0)
        throw Error(MDL_EINVAL, "segments of " + std::to_string(segment_frames) + " frames cannot overlap by " +
                                    std::to_string(overlap_frames) + ": it has to be even and less than a segment");
}

int64_t segment_count(Profile profile, int64_t frames, int32_t segment_frames, int32_t stride)
{
    const int64_t beyond = frames - segment_frames; // frames that the first segment does not cover
    if (profile == Profile::reference)
        return beyond < 0 ? 0 : beyond / stride + 1;
    return beyond <= 0 ? 1 : (beyond + stride - 1) / stride + 1;
}

} // namespace

Plan plan_make(Profile profile, int64_t frames, int32_t segment_frames, int32_t overlap_frames)
{
    check(frames, segment_frames, overlap_frames);
    const int32_t stride = segment_frames - overlap_frames, half = overlap_frames / 2;
    const bool complete = profile == Profile::complete;
    const int64_t count = segment_count(profile, frames, segment_frames, stride);

    Plan plan{segment_frames, overlap_frames, {}, frames, 0, 0};
    plan.segments.reserve(static_cast<size_t>(count));
    for (int64_t k = 0; k < count; k++) {
        Segment s{};
        s.index = static_cast<int32_t>(k);
        s.start_frame = k * stride;
        s.source_frames = static_cast<int32_t>(std::min<int64_t>(segment_frames, frames - s.start_frame));
        s.keep_from = k > 0 ? half : complete ? 0 : std::min(1, segment_frames - half);
        s.keep_to = complete && k == count - 1 ? s.source_frames : segment_frames - half;
        s.first_frame = s.history_frames = plan.output_frames;
        plan.output_frames += s.delivered_frames();
        plan.segments.push_back(s);
    }
    plan.dropped_frames = count == 0 ? frames : std::max<int64_t>(0, frames - (count - 1) * stride - segment_frames);
    return plan;
}

int32_t plan_latent_frames(int32_t segment_frames, int32_t frames_per_latent)
{
    const int32_t latents = (segment_frames - 1) / frames_per_latent + 1;
    if (segment_frames < 1 || (segment_frames - 1) % frames_per_latent != 0 || latents % 2 == 0)
        throw Error(MDL_EINVAL, "a segment cannot have " + std::to_string(segment_frames) +
                                    " frames: its latent frames have to be whole and odd (" +
                                    std::to_string(2 * frames_per_latent) + "n+1 frames)");
    return latents;
}

NetworkSize plan_network_size(int32_t input_width, int32_t input_height, int32_t native_width, int32_t native_height,
                              int32_t multiple)
{
    if (input_width < 1 || input_height < 1 || native_width < multiple || native_height < multiple || multiple < 1)
        throw Error(MDL_EINVAL, "no network size for an input of " + std::to_string(input_width) + "x" +
                                    std::to_string(input_height));
    const double area = static_cast<double>(native_width) * native_height;
    const double aspect = std::clamp(static_cast<double>(input_width) / input_height, 1.0 / 16, 16.0);
    const int32_t rows = static_cast<int32_t>(std::sqrt(area / aspect) / multiple);
    const int32_t columns = static_cast<int32_t>(std::sqrt(area * aspect) / multiple);

    NetworkSize best{native_width, native_height};
    double best_cost = HUGE_VAL;
    // A wrong shape costs picture at the edges, a wrong area only time: it weighs half.
    for (int32_t r = std::max(1, rows - 1); r <= rows + 2; r++)
        for (int32_t c = std::max(1, columns - 1); c <= columns + 2; c++) {
            const double w = static_cast<double>(c) * multiple, h = static_cast<double>(r) * multiple;
            const double cost = std::fabs(std::log(w / h / aspect)) + 0.5 * std::fabs(std::log(w * h / area));
            if (cost < best_cost - 1e-9) {
                best_cost = cost;
                best = {c * multiple, r * multiple};
            }
        }
    return best;
}

std::vector<int64_t> plan_memory_frames(int64_t available, int64_t max)
{
    const int64_t n = std::max<int64_t>(0, std::min(available, max));
    std::vector<int64_t> frames(static_cast<size_t>(n));
    const double step = n > 1 ? static_cast<double>(available - 1) / static_cast<double>(n - 1) : 0.0;
    for (int64_t i = 0; i < n; i++)
        frames[static_cast<size_t>(i)] = static_cast<int64_t>(static_cast<double>(i) * step);
    if (n > 1)
        frames.back() = available - 1;
    return frames;
}

} // namespace mdl
