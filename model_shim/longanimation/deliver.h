// deliver.h - latents of a segment to frames of the video.
#pragma once
#include "longanimation/components.h"
#include "longanimation/settings.h"
#include "longanimation/tap.h"

#include <functional>

namespace mdl
{

// frames: uint8 [n,H,W,3] on the CPU, contiguous; `position` of the first one in the segment. In order.
using OnPictures = std::function<void(const at::Tensor &frames, int64_t position)>;

// Decodes the latents [1,F,C,h,w] of a segment (padding frame in front) and hands out the positions that the segment
// delivers. Frames behind the last one delivered are not computed; with a tap all are. The decode phase has to be
// entered. Throws Error(MDL_ENAN) for frames that are not finite.
void decode_segment(const Components &n, const Manifest &m, const Segment &segment, const at::Tensor &latents,
                    const RunTap &tap, const OnPictures &on_pictures);

} // namespace mdl
