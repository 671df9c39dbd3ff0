#include "longanimation/dit_block.h"
#include "error.h"
#include "nn/attention.h"
#include "nn/embeddings.h"
#include "nn/grad.h"
#include "nn/recompute.h"

#include <ATen/ATen.h>

namespace mdl
{

namespace
{

constexpr double qk_norm_eps = 1e-6;

nn::StreamModulation split_modulation(const at::Tensor &m)
{
    const auto part = m.unsqueeze(1).chunk(6, -1); // (rows, 1, D) each: video triple, then text triple
    return {.text = {part[3], part[4] + 1, part[5]}, .video = {part[0], part[1] + 1, part[2]}};
}

} // namespace

DitTime::DitTime(const DitConfig &config, Weights &w) : c_(config)
{
    time1_ = nn::Linear::load(w, "time_embedding.linear_1", c_.width(), c_.time_dim);
    time2_ = nn::Linear::load(w, "time_embedding.linear_2", c_.time_dim, c_.time_dim);
    if (c_.ofs_dim) {
        ofs1_ = nn::Linear::load(w, "ofs_embedding.linear_1", c_.ofs_dim, c_.ofs_dim);
        ofs2_ = nn::Linear::load(w, "ofs_embedding.linear_2", c_.ofs_dim, c_.ofs_dim);
    }
}

at::Tensor DitTime::time_part(const at::Tensor &t) const
{
    const at::Tensor wave = nn::timestep_embedding(t, c_.width(), c_.flip_sin_to_cos, c_.freq_shift);
    return time2_(nn::activate(time1_(wave.to(time1_.weight.options())), c_.time_activation));
}

at::Tensor DitTime::ofs_part(const at::Tensor &ofs) const
{
    const at::Tensor wave = nn::timestep_embedding(ofs, c_.ofs_dim, c_.flip_sin_to_cos, c_.freq_shift);
    return ofs2_(nn::activate(ofs1_(wave.to(ofs1_.weight.options())), c_.time_activation));
}

at::Tensor DitTime::operator()(const at::Tensor &t, const at::Tensor &ofs) const
{
    at::Tensor emb = time_part(t);
    if (!c_.ofs_dim)
        return emb;
    if (!ofs.defined())
        throw Error(MDL_EINVAL, "this transformer needs ofs");
    return emb + ofs_part(ofs);
}

DitEmbed::DitEmbed(const DitConfig &config, Weights &w) : c_(config)
{
    if (c_.patch_t) { // always with a bias, whatever patch_bias says
        patch_ = nn::Linear::load(w, "patch_embed.proj", c_.patch_elements(c_.in_channels), c_.width());
    } else { // a convolution whose windows do not overlap is a linear over patches
        patch_.weight = w.get("patch_embed.proj.weight", {c_.width(), c_.in_channels, c_.patch, c_.patch}).flatten(1);
        if (c_.patch_bias)
            patch_.bias = w.get("patch_embed.proj.bias", {c_.width()});
    }
    text_ = nn::Linear::load(w, "patch_embed.text_proj", c_.text_dim, c_.width());
    if (c_.learned_positions) {
        const int64_t frames = (c_.sample_frames - 1) / c_.temporal_ratio + 1;
        const int64_t tokens = c_.sample_height / c_.patch * (c_.sample_width / c_.patch) * frames;
        learned_ = w.get("patch_embed.pos_embedding", {1, c_.max_text_tokens + tokens, c_.width()});
    }
}

nn::Grid DitEmbed::grid(int64_t frames, int64_t height, int64_t width) const
{
    const int64_t t = c_.patch_t ? c_.patch_t : 1;
    if (frames < 1 || height < 1 || width < 1 || frames % t || height % c_.patch || width % c_.patch)
        throw Error(MDL_EINVAL, "a latent video of " + std::to_string(frames) + " frames " + std::to_string(height) +
                                    "x" + std::to_string(width) + " does not divide into patches");
    return {frames / t, height / c_.patch, width / c_.patch};
}

nn::Rope DitEmbed::rope(int64_t frames, int64_t height, int64_t width, c10::Device device) const
{
    if (!c_.rotary)
        return {};
    const nn::Grid g = grid(frames, height, width);
    const int64_t base_height = c_.sample_height / c_.patch, base_width = c_.sample_width / c_.patch;
    if (c_.patch_t)
        return nn::rope_slice(c_.head_dim, g, base_height, base_width, device);
    return nn::rope_linspace(c_.head_dim, g, nn::rope_crop_region(g.height, g.width, base_height, base_width), device);
}

at::Tensor DitEmbed::text(const at::Tensor &e) const
{
    return text_(e);
}

at::Tensor DitEmbed::video(const at::Tensor &x) const
{
    if (x.dim() != 5 || x.size(2) != c_.in_channels)
        throw Error(MDL_EINVAL, "a latent video must have " + std::to_string(c_.in_channels) + " channels");
    const nn::Grid g = grid(x.size(1), x.size(3), x.size(4));
    const int64_t t = c_.patch_t ? c_.patch_t : 1;
    const at::Tensor patches =
        x.reshape({x.size(0), g.frames, t, c_.in_channels, g.height, c_.patch, g.width, c_.patch})
            .permute({0, 1, 4, 6, 3, 2, 5, 7})
            .reshape({x.size(0), g.frames * g.height * g.width, -1});
    return patch_(patches);
}

// Text rows first. The stored table serves its own frame count only; others get the computed one, as the reference
// does.
at::Tensor DitEmbed::positions(int64_t frames, int64_t height, int64_t width, const at::Tensor &like) const
{
    const int64_t pixel_frames = (frames - 1) * c_.temporal_ratio + 1;
    const bool sample_size = height == c_.sample_height && width == c_.sample_width;
    if (c_.learned_positions && !sample_size)
        throw Error(MDL_EINVAL, "learned positions fit one picture size only");
    if (c_.learned_positions && pixel_frames == c_.sample_frames)
        return learned_;
    const at::Tensor video =
        nn::sincos_3d(c_.width(), frames, height / c_.patch, width / c_.patch, c_.spatial_scale, c_.temporal_scale);
    const at::Tensor text = at::zeros({c_.max_text_tokens, c_.width()}, video.options());
    return at::cat({text, video.flatten(0, 1)}).to(like.options()).unsqueeze(0);
}

at::Tensor DitEmbed::join(const at::Tensor &text, const at::Tensor &x) const
{
    const at::Tensor tokens = video(x);
    at::Tensor all = at::cat({text.expand({tokens.size(0), -1, -1}), tokens}, 1);
    if (c_.absolute_positions()) {
        const at::Tensor table = positions(x.size(1), x.size(3), x.size(4), all);
        if (table.size(1) != all.size(1))
            throw Error(MDL_EINVAL,
                        "this transformer takes exactly " + std::to_string(c_.max_text_tokens) + " text tokens");
        all.add_(table);
    }
    return all;
}

DitBlock::DitBlock(const DitConfig &c, Weights &w, const std::string &prefix)
    : heads_(c.heads), head_dim_(c.head_dim), activation_(c.activation)
{
    const int64_t d = c.width();
    const auto linear = [&](const char *name, int64_t in, int64_t out, bool bias = true) {
        return nn::Linear::load(w, prefix + name, in, out, bias);
    };
    const auto norm = [&](const char *name, int64_t width, double eps, bool affine) {
        return nn::LayerNorm::load(w, prefix + name, width, eps, affine);
    };
    modulate1_ = linear(".norm1.linear", c.time_dim, 6 * d);
    modulate2_ = linear(".norm2.linear", c.time_dim, 6 * d);
    norm1_ = norm(".norm1.norm", d, c.norm_eps, c.norm_affine);
    norm2_ = norm(".norm2.norm", d, c.norm_eps, c.norm_affine);
    qkv_ =
        nn::FusedLinear({linear(".attn1.to_q", d, d, c.attention_bias), linear(".attn1.to_k", d, d, c.attention_bias),
                         linear(".attn1.to_v", d, d, c.attention_bias)});
    norm_q_ = norm(".attn1.norm_q", c.head_dim, qk_norm_eps, true);
    norm_k_ = norm(".attn1.norm_k", c.head_dim, qk_norm_eps, true);
    out_ = linear(".attn1.to_out.0", d, d);
    up_ = linear(".ff.net.0.proj", d, 4 * d);
    down_ = linear(".ff.net.2", 4 * d, d);
}

DitBlockModulation DitBlock::modulation(const at::Tensor &time) const
{
    return {split_modulation(modulate1_(time)), split_modulation(modulate2_(time))};
}

at::Tensor DitBlock::attention_norm(const at::Tensor &x, int64_t text_tokens, const DitBlockModulation &m) const
{
    return nn::norm_modulate(x, norm1_, text_tokens, m.attention);
}

at::Tensor DitBlock::feed_forward_norm(const at::Tensor &x, int64_t text_tokens, const DitBlockModulation &m) const
{
    return nn::norm_modulate(x, norm2_, text_tokens, m.feed_forward);
}

at::Tensor DitBlock::attention(const at::Tensor &normed, int64_t text_tokens, const nn::Rope &rope) const
{
    const auto qkv = qkv_(normed).unflatten(-1, at::IntArrayRef{3, heads_, head_dim_}).unbind(2); // (B, S, heads, dim)
    at::Tensor q = norm_q_(qkv[0]), k = norm_k_(qkv[1]);
    if (rope.cos.defined()) {
        if (rope.tokens() != q.size(1) - text_tokens)
            throw Error(MDL_EINVAL, "rotary tables of another size");
        nn::rope_apply_from_(q, text_tokens, rope);
        nn::rope_apply_from_(k, text_tokens, rope);
    }
    return out_(nn::attention(q.transpose(1, 2), k.transpose(1, 2), qkv[2].transpose(1, 2)));
}

at::Tensor DitBlock::feed_forward(const at::Tensor &normed) const
{
    return down_(up_(normed, activation_));
}

void DitBlock::forward(at::Tensor &x, int64_t text_tokens, const DitBlockModulation &m, const nn::Rope &rope) const
{
    if (!nn::recomputing() || !nn::tracked(x, m.attention.video.scale, up_.weight)) {
        forward_once(x, text_tokens, m, rope);
        return;
    }
    std::vector<at::Tensor> inputs = {x};
    for (const nn::StreamModulation *s : {&m.attention, &m.feed_forward})
        for (const nn::Modulation *part : {&s->text, &s->video})
            inputs.insert(inputs.end(), {part->shift, part->scale, part->gate});
    x = nn::recompute(
        [this, text_tokens, rope](const std::vector<at::Tensor> &in) {
            const auto modulation = [&in](size_t i) { return nn::Modulation{in[i], in[i + 1], in[i + 2]}; };
            at::Tensor y = in[0].clone(); // forward_once may write into it
            forward_once(y, text_tokens, {{modulation(1), modulation(4)}, {modulation(7), modulation(10)}}, rope);
            return y;
        },
        inputs);
}

void DitBlock::forward_once(at::Tensor &x, int64_t text_tokens, const DitBlockModulation &m, const nn::Rope &rope) const
{
    nn::gated_add_(x, attention(attention_norm(x, text_tokens, m), text_tokens, rope), text_tokens, m.attention);
    nn::gated_add_(x, feed_forward(feed_forward_norm(x, text_tokens, m)), text_tokens, m.feed_forward);
}

} // namespace mdl
