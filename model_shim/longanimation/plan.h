// plan.h - which frames a segment reads, generates and delivers. Pure arithmetic: no tensor, no I/O, no weights.
//
// A shot is generated in segments of `segment_frames` that start `stride` = segment_frames - overlap_frames apart.
// Neighbours share `overlap_frames`; the joined video changes over in the middle of the overlap:
//
//   segment 0   |======== delivered ========|--half--|
//   segment 1                    |--half--|======== delivered ========|--half--|
//
// Two profiles differ at the ends of the shot (LongAnimation, infernece_i2v_autoreg_glm.py):
//   reference  whole segments only; frame 0, the last half overlap and a tail that fills no segment are never
//              delivered; a shot shorter than a segment gives no segment at all
//   complete   as many frames out as in: the last frame is held to fill the last segment and the padding is cut
//              again; frame 0 is kept
//
// Threads: pure functions. Errors: throw Error(MDL_EINVAL).
#pragma once
#include <cstdint>
#include <vector>

namespace mdl
{

enum class Profile { complete, reference };

// One segment. Positions are 0-based frame indices inside the segment, `..._frame` counts frames of a video.
struct Segment {
    int32_t index;
    int64_t start_frame;        // input frame at position 0
    int32_t source_frames;      // input frames read: [start_frame, start_frame + source_frames); the last one is held
    int32_t keep_from, keep_to; // positions delivered: [keep_from, keep_to)
    int64_t first_frame;        // index in the delivered video of position keep_from
    int64_t history_frames;     // frames of the delivered video that exist before this segment (what memory may see)

    int32_t delivered_frames() const
    {
        return keep_to - keep_from;
    }
    // The input frame shown at a position: its own, or the last frame of the shot where the segment is padded.
    int64_t source_frame(int32_t position) const
    {
        return start_frame + (position < source_frames ? position : source_frames - 1);
    }
};

struct Plan {
    int32_t segment_frames, overlap_frames;
    std::vector<Segment> segments;
    int64_t input_frames;
    int64_t output_frames;  // delivered in all; equals input_frames in profile complete
    int64_t dropped_frames; // input frames after the last segment (profile reference)
};

// frames >= 1; 1 <= segment_frames; 0 <= overlap_frames < segment_frames, even.
Plan plan_make(Profile profile, int64_t frames, int32_t segment_frames, int32_t overlap_frames);

// Latent frames of a segment, (segment_frames - 1) / frames_per_latent + 1, without the padding frame in front. Throws
// unless segment_frames is 1 modulo frames_per_latent and the result is odd (only then there is one padding frame).
int32_t plan_latent_frames(int32_t segment_frames, int32_t frames_per_latent = 4);

struct NetworkSize {
    int32_t width, height;
};

// The size to generate at: multiples of `multiple`, about native_width * native_height pixels, as near to the input's
// aspect ratio as the grid allows. An input of the native ratio gives the native size. Ratios beyond 16:1 count as
// 16:1.
NetworkSize plan_network_size(int32_t input_width, int32_t input_height, int32_t native_width, int32_t native_height,
                              int32_t multiple = 16);

// Which of `available` history frames the global memory sees: int(linspace(0, available - 1, min(available, max))),
// as numpy computes it. The identity up to `max`.
std::vector<int64_t> plan_memory_frames(int64_t available, int64_t max);

} // namespace mdl
