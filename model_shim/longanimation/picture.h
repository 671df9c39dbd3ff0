// picture.h - pictures on their way into the networks: input frames and references at network size, colours as [-1,1],
// lines as +1 on -1.
//
// The released program shows the reference to the colour path stretched and to the sketch path cropped (profile
// reference). Profile complete shows both the same picture, and lays it over the shot as the shot's own frames are: a
// reference drawn on a frame of the shot stays on that frame pixel for pixel.
#pragma once
#include "device.h"
#include "longanimation/lineart.h"
#include "longanimation/settings.h"
#include "model.h"

#include <ATen/core/Tensor.h>

namespace mdl
{

// One packed RGB frame -> planar [3,H,W] at network size.
void fit_frame(const uint8_t *rgb, int32_t width, int32_t height, NetworkSize size, Fitting fitting, uint8_t *planar);

struct Reference {
    at::Tensor color; // uint8 [H,W,3], what the colour path sees
    at::Tensor drawn; // uint8 [1,3,H,W], what its lines are extracted from
};

Reference fit_reference(const mdl_image &image, const Settings &s, int32_t input_width, int32_t input_height);
// A frame that this run generated, uint8 [H,W,3] at network size, as the next segment's reference.
Reference own_frame_as_reference(const at::Tensor &frame);

// uint8 [H,W,3] -> [1,3,1,H,W] in [-1,1].
at::Tensor image_pixels(const at::Tensor &color, const Compute &c);

// What extracted or ready lines become.
struct Sketch {
    at::Tensor raw;    // [F,1,H,W] of the line-art network before the threshold; undefined for ready lines
    at::Tensor pixels; // [1,3,F,H,W] of +1 and -1
};
// uint8 [F,3,H,W] -> sketch. `network` may be null for ready lines.
Sketch sketch_of(const at::Tensor &frames, const Lineart *network, const Compute &c);

} // namespace mdl
