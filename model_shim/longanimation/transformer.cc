#include "longanimation/transformer.h"
#include "error.h"
#include "nn/grad.h"

#include <ATen/ATen.h>

namespace mdl
{

namespace
{

nn::Modulation row_of(const nn::Modulation &m, int64_t i)
{
    return {m.shift.narrow(0, i, 1), m.scale.narrow(0, i, 1), m.gate.defined() ? m.gate.narrow(0, i, 1) : m.gate};
}

nn::StreamModulation row_of(const nn::StreamModulation &m, int64_t i)
{
    return {.text = row_of(m.text, i), .video = row_of(m.video, i)};
}

// The video tokens of [text | video] get scale * control, in place where no gradient is recorded.
void add_control_(at::Tensor &tokens, int64_t text_tokens, const Control &control)
{
    const at::Tensor video = tokens.narrow(1, text_tokens, tokens.size(1) - text_tokens);
    if (nn::tracked(tokens, control.tokens))
        tokens = at::cat({tokens.narrow(1, 0, text_tokens), video + control.tokens * control.scale}, 1);
    else
        video.add_(control.tokens, control.scale);
}

} // namespace

Injection injection_by_name(const std::string &name)
{
    static const struct {
        const char *name;
        Injection where;
    } names[] = {
        {"none", Injection::none},
        {"skip_layer", Injection::skip_layer},
        {"full", Injection::full},
        {"former_half", Injection::former_half},
        {"latter_half", Injection::latter_half},
    };
    for (const auto &row : names)
        if (name == row.name)
            return row.where;
    throw Error(MDL_EINVAL, "no injection called \"" + name + "\"");
}

bool injects(Injection where, int64_t block, int64_t blocks)
{
    switch (where) {
    case Injection::none:
        return false;
    case Injection::skip_layer:
        return block % 2 == 0;
    case Injection::full:
        return true;
    case Injection::former_half:
        return block < blocks / 2;
    case Injection::latter_half:
        return block >= blocks / 2;
    }
    return false;
}

StepConditioning StepConditioning::row(int64_t i) const
{
    StepConditioning one;
    one.blocks.reserve(blocks.size());
    for (const DitBlockModulation &m : blocks)
        one.blocks.push_back({row_of(m.attention, i), row_of(m.feed_forward, i)});
    if (head.shift.defined())
        one.head = row_of(head, i);
    return one;
}

int64_t StepConditioning::rows() const
{
    return blocks.at(0).attention.video.shift.size(0);
}

Transformer::Transformer(const DitConfig &config, Weights &w) : c_(config), embed_(config, w), time_(config, w)
{
    const int64_t d = c_.width();
    blocks_.reserve(static_cast<size_t>(c_.layers));
    for (int64_t i = 0; i < c_.layers; i++)
        blocks_.emplace_back(c_, w, "transformer_blocks." + std::to_string(i));
    norm_final_ = nn::LayerNorm::load(w, "norm_final", d, c_.norm_eps, c_.norm_affine);
    head_ = nn::Linear::load(w, "norm_out.linear", c_.time_dim, 2 * d);
    norm_out_ = nn::LayerNorm::load(w, "norm_out.norm", d, c_.norm_eps, c_.norm_affine);
    out_ = nn::Linear::load(w, "proj_out", d, c_.patch_elements(c_.out_channels));
}

at::Tensor Transformer::text_tokens(const at::Tensor &e) const
{
    return embed_.text(e);
}

nn::Rope Transformer::rope(int64_t frames, int64_t height, int64_t width, c10::Device device) const
{
    return embed_.rope(frames, height, width, device);
}

StepConditioning Transformer::condition(const at::Tensor &t, const at::Tensor &ofs) const
{
    const at::Tensor time = at::silu(time_(t, ofs));
    StepConditioning all;
    all.blocks.reserve(blocks_.size());
    for (const DitBlock &block : blocks_)
        all.blocks.push_back(block.modulation(time));
    const auto head = head_(time).unsqueeze(1).chunk(2, -1);
    all.head = {.shift = head[0], .scale = head[1] + 1, .gate = {}};
    return all;
}

at::Tensor Transformer::forward(const at::Tensor &x, const at::Tensor &text, const StepConditioning &step,
                                const nn::Rope &rope, const Control &control, const Tap &tap) const
{
    const int64_t text_tokens = text.size(1);
    at::Tensor tokens = embed(x, text);
    if (tap)
        tap("embed", tokens);
    blocks(tokens, text_tokens, 0, c_.layers, step, rope, control, tap);
    return project(tokens.narrow(1, text_tokens, tokens.size(1) - text_tokens), x, step, tap);
}

at::Tensor Transformer::embed(const at::Tensor &x, const at::Tensor &text) const
{
    return embed_.join(text, x);
}

void Transformer::blocks(at::Tensor &tokens, int64_t text_tokens, int64_t from, int64_t to,
                         const StepConditioning &step, const nn::Rope &rope, const Control &control,
                         const Tap &tap) const
{
    for (int64_t i = from; i < to; i++) {
        const auto n = static_cast<size_t>(i);
        blocks_[n].forward(tokens, text_tokens, step.blocks.at(n), rope);
        inject(tokens, text_tokens, i, control);
        if (tap)
            tap("block" + std::to_string(i), tokens);
    }
}

void Transformer::inject(at::Tensor &tokens, int64_t text_tokens, int64_t block, const Control &control) const
{
    if (control.tokens.defined() && injects(control.where, block, c_.layers))
        add_control_(tokens, text_tokens, control);
}

at::Tensor Transformer::project(const at::Tensor &video, const at::Tensor &x, const StepConditioning &step,
                                const Tap &tap) const
{
    at::Tensor y = norm_final_(video);
    if (tap)
        tap("norm_final", y);
    y = norm_out_(y);
    if (nn::tracked(y, step.head.scale))
        y = step.head.shift + y * step.head.scale;
    else
        at::addcmul_out(y, step.head.shift, y, step.head.scale);
    if (tap)
        tap("norm_out", y);
    y = out_(y);
    if (tap)
        tap("proj_out", y);
    return unpatch(y, embed_.grid(x.size(1), x.size(3), x.size(4)));
}

// tokens (B, N, patch elements ordered (channel, time, row, column)) -> (B, F, C, h, w)
at::Tensor Transformer::unpatch(const at::Tensor &tokens, const nn::Grid &g) const
{
    const int64_t t = c_.patch_t ? c_.patch_t : 1, p = c_.patch, batch = tokens.size(0);
    return tokens.view({batch, g.frames, g.height, g.width, c_.out_channels, t, p, p})
        .permute({0, 1, 5, 4, 2, 6, 3, 7})
        .reshape({batch, g.frames * t, c_.out_channels, g.height * p, g.width * p});
}

} // namespace mdl
