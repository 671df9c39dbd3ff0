// resample.h - the three resamplers of the reference, each exact to the byte; they do not agree with one another:
//   frames            torchvision functional resize: float32 bicubic (a = -0.5, antialias), clamp, round half to even
//   reference image   Pillow LANCZOS, 8-bit fixed point
//   Video-XL frames   Pillow BICUBIC, 8-bit fixed point
//
// Pictures are uint8 tensors on the CPU. Threads: any; each call uses at::parallel_for.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace mdl
{

// Where an aspect-keeping resize followed by a centre crop lands.
struct Fit {
    int64_t height, width; // after the resize
    int64_t top, left;     // of the crop
};

// The resize that covers `to_height` x `to_width`; the longer side is truncated to whole pixels as Python's int() does.
Fit fit_cover(int64_t height, int64_t width, int64_t to_height, int64_t to_width);
// The resize whose shorter side is `size`, and a centre crop of `crop` x `crop` (crop <= size).
Fit fit_short_side(int64_t height, int64_t width, int64_t size, int64_t crop);

// uint8 [F,C,h,w] -> float32 [F,C,height,width] in [0, 255], not yet rounded.
at::Tensor bicubic_float(const at::Tensor &frames, int64_t height, int64_t width);
// uint8 [F,C,h,w] -> uint8 [F,C,height,width]; `frames` itself where the size is already right.
at::Tensor resize_frames(const at::Tensor &frames, int64_t height, int64_t width);
// The same with the aspect kept and the rest cut off evenly.
at::Tensor resize_and_crop_frames(const at::Tensor &frames, int64_t height, int64_t width);

enum class PillowFilter { bicubic, lanczos };

// uint8 [F,h,w,C] -> uint8 [F,height,width,C], aspect not kept. C <= 4.
at::Tensor pillow_resize(const at::Tensor &images, int64_t height, int64_t width, PillowFilter filter);

} // namespace mdl
