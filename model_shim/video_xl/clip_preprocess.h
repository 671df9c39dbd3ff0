// clip_preprocess.h - what the CLIP vision tower sees of a frame: the middle square of a Pillow bicubic resize, or the
// whole frame squeezed into a square, normalised per channel (CLIPImageProcessor).
#pragma once
#include "io/json.h"

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>

namespace mdl
{

struct ClipPreprocess {
    int64_t size = 336; // of the shorter side after the resize
    int64_t crop = 336; // side of the square cut from the middle
    bool whole = false; // do_center_crop false: no cut, width and height both become `crop`
    std::array<double, 3> mean = {0.48145466, 0.4578275, 0.40821073};
    std::array<double, 3> std = {0.26862954, 0.26130258, 0.27577711};

    // preprocessor_config.json; sizes as numbers or as {"shortest_edge": n} and {"height": n, "width": n}. Without a
    // centre crop `size` has to be a height and a width.
    static ClipPreprocess from_json(const Json &json);
};

// uint8 [F,h,w,3] on the CPU -> uint8 [F,crop,crop,3].
at::Tensor clip_crop(const ClipPreprocess &config, const at::Tensor &frames);
// uint8 [F,crop,crop,3] -> float32 [F,3,crop,crop].
at::Tensor clip_pixels(const ClipPreprocess &config, const at::Tensor &cropped);

} // namespace mdl
