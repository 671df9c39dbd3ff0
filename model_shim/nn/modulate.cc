#include "nn/modulate.h"
#include "nn/grad.h"

#include <ATen/ATen.h>

namespace mdl::nn
{

namespace
{

// f(text rows, their modulation) | f(video rows, theirs), as a tensor of its own.
template <class F> at::Tensor by_stream(int64_t tokens, int64_t text_tokens, const StreamModulation &m, F &&f)
{
    return at::cat({f(0, text_tokens, m.text), f(text_tokens, tokens - text_tokens, m.video)}, 1);
}

} // namespace

at::Tensor norm_modulate(const at::Tensor &x, const LayerNorm &norm, int64_t text_tokens, const StreamModulation &m)
{
    at::Tensor y = norm(x);
    if (tracked(y, m.video.scale))
        return by_stream(y.size(1), text_tokens, m, [&](int64_t from, int64_t count, const Modulation &by) {
            return by.shift + y.narrow(1, from, count) * by.scale;
        });
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
    if (tracked(x, y, m.video.gate)) {
        x = by_stream(x.size(1), text_tokens, m, [&](int64_t from, int64_t count, const Modulation &by) {
            return x.narrow(1, from, count) + y.narrow(1, from, count) * by.gate;
        });
        return;
    }
    const int64_t video_tokens = x.size(1) - text_tokens;
    x.narrow(1, 0, text_tokens).addcmul_(y.narrow(1, 0, text_tokens), m.text.gate);
    x.narrow(1, text_tokens, video_tokens).addcmul_(y.narrow(1, text_tokens, video_tokens), m.video.gate);
}

} // namespace mdl::nn
