#include "nn/modulate.h"

#include <ATen/ATen.h>

namespace mdl::nn
{

at::Tensor norm_modulate(const at::Tensor &x, const LayerNorm &norm, int64_t text_tokens, const StreamModulation &m)
{
    at::Tensor y = norm(x);
    const auto modulate = [&y](int64_t from, int64_t count, const Modulation &by) {
        at::Tensor part = y.narrow(1, from, count);
        at::addcmul_out(part, by.shift, part, by.scale);
    };
    modulate(0, text_tokens, m.text);
    modulate(text_tokens, x.size(1) - text_tokens, m.video);
    return y;
}

void gated_add_(at::Tensor &x, const at::Tensor &y, int64_t text_tokens, const StreamModulation &m)
{
    const int64_t video_tokens = x.size(1) - text_tokens;
    x.narrow(1, 0, text_tokens).addcmul_(y.narrow(1, 0, text_tokens), m.text.gate);
    x.narrow(1, text_tokens, video_tokens).addcmul_(y.narrow(1, text_tokens, video_tokens), m.video.gate);
}

} // namespace mdl::nn
