// rope.h - 3-D rotary positions of video tokens. A head splits into time | rows | columns as dim/4 | 3 dim/8 | 3 dim/8;
// tokens are ordered (frame, row, column); neighbours 2k, 2k+1 rotate together.
#pragma once
#include <ATen/core/Tensor.h>

#include <utility>

namespace mdl::nn
{

struct Rope {
    at::Tensor cos, sin; // (tokens, dim/2), float32: one column per pair
    at::Tensor turns;    // (tokens, 1, dim/2), complex64: cos + i sin, as the rotation uses it

    int64_t tokens() const
    {
        return cos.size(0);
    }
    // The tables in the reference's form, each column twice: (tokens, dim).
    at::Tensor cos_doubled() const;
    at::Tensor sin_doubled() const;
};

struct Grid {
    int64_t frames, height, width; // in tokens
};

struct CropRegion {
    int64_t top, left, bottom, right;
};

// Plain integer positions (CogVideoX 1.5). Throws Error(MDL_EINVAL) when the grid is larger than `max_height` x
// `max_width`, where the reference's tables end.
Rope rope_slice(int64_t dim, const Grid &grid, int64_t max_height, int64_t max_width, c10::Device device);

// Positions spread over a crop of the base grid (CogVideoX 1.0).
Rope rope_linspace(int64_t dim, const Grid &grid, const CropRegion &crop, c10::Device device);
CropRegion rope_crop_region(int64_t height, int64_t width, int64_t base_height, int64_t base_width);

// Rotates x (batch, tokens, heads, dim) in place, in float32. The last dimension must be dense.
void rope_apply_(const at::Tensor &x, const Rope &rope);

// Rotates the tokens of x (batch, tokens, heads, dim) from `first` on; in place, where gradients are recorded x becomes
// another tensor.
void rope_apply_from_(at::Tensor &x, int64_t first, const Rope &rope);

} // namespace mdl::nn
