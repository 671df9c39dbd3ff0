// embeddings.h - sinusoids of time steps and absolute positions. (CogVideoX: diffusers embeddings.py)
#pragma once
#include <ATen/core/Tensor.h>

namespace mdl::nn
{

// Sinusoid of t (rows) -> (rows, width), float32. w_k = exp(-ln(10000) k / (width/2 - freq_shift)); cos first when
// flip_sin_to_cos; an odd width ends in a zero.
at::Tensor timestep_embedding(const at::Tensor &t, int64_t width, bool flip_sin_to_cos = true, double freq_shift = 0);

// Absolute 3-D positions (frames, height*width, dim), float64: a quarter of dim for time, then three eighths each for
// x and for y; each part is sin | cos. Positions are divided by their scale.
at::Tensor sincos_3d(int64_t dim, int64_t frames, int64_t height, int64_t width, double spatial_scale,
                     double temporal_scale);

} // namespace mdl::nn
