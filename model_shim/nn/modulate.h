// modulate.h - the adaptive norms of a diffusion transformer over one [text | video] token buffer.
//
// A buffer x is (batch, text + video tokens, width). Text and video are normalised by the same layer norm and then
// scaled, shifted and gated by numbers of their own. The numbers come from the time step, so they have one row where
// all batch rows share the step, else a row each.
#pragma once
#include "nn/layers.h"

#include <ATen/core/Tensor.h>

namespace mdl::nn
{

// (rows, 1, width) each. `scale` holds 1 + scale.
struct Modulation {
    at::Tensor shift, scale, gate;
};

struct StreamModulation {
    Modulation text, video;
};

// norm(x) * scale + shift, text and video each with their own.
at::Tensor norm_modulate(const at::Tensor &x, const LayerNorm &norm, int64_t text_tokens, const StreamModulation &m);

// x += gate * y, in place; where gradients are recorded x becomes another tensor.
void gated_add_(at::Tensor &x, const at::Tensor &y, int64_t text_tokens, const StreamModulation &m);

} // namespace mdl::nn
