#include "longanimation/t5.h"
#include "error.h"
#include "nn/attention.h"

#include <ATen/ATen.h>

#include <cmath>

namespace mdl
{

T5Config T5Config::parse(const Json &config)
{
    T5Config c;
    const auto size = [&config](const char *key, int64_t fallback) {
        return json_int(config, key, fallback, 1, int64_t{1} << 22);
    };
    c.vocab = size("vocab_size", c.vocab);
    c.width = size("d_model", c.width);
    c.heads = size("num_heads", c.heads);
    c.head_dim = size("d_kv", c.head_dim);
    c.ff = size("d_ff", c.ff);
    c.layers = json_int(config, "num_layers", c.layers, 1, 1024);
    c.buckets = size("relative_attention_num_buckets", c.buckets);
    c.max_distance = size("relative_attention_max_distance", c.max_distance);
    c.eps = json_double(config, "layer_norm_epsilon", c.eps);
    const std::string ff = json_string(config, "feed_forward_proj", "gated-gelu"), gated = "gated-";
    if (ff.rfind(gated, 0) != 0)
        throw Error(MDL_EWEIGHTS, "text encoder config: feed_forward_proj \"" + ff + "\" is not supported");
    // "gated-gelu" means the tanh form, by a decision of the reference.
    c.activation = ff == "gated-gelu" ? nn::Activation::gelu_tanh : nn::activation_by_name(ff.substr(gated.size()));
    if (c.buckets % 2 || c.buckets < 4 || c.max_distance <= c.buckets / 4 || c.width > 1 << 20 ||
        c.heads * c.head_dim > 1 << 20)
        throw Error(MDL_EWEIGHTS, "text encoder config: sizes out of range");
    return c;
}

at::Tensor t5_buckets(const at::Tensor &relative, int64_t buckets, int64_t max_distance)
{
    const int64_t half = buckets / 2, exact = half / 2;
    const at::Tensor distance = relative.abs();
    // float32 like the reference: the borders between buckets depend on it
    const double span = std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
    at::Tensor far = distance.to(at::kFloat).div_(exact).log_().div_(span).mul_(half - exact).to(at::kLong).add_(exact);
    far = far.clamp_max_(half - 1);
    const at::Tensor bucket = at::where(distance < exact, distance, far);
    return bucket + (relative > 0).to(at::kLong) * half;
}

const std::vector<std::string> &T5Encoder::ignorable()
{
    // The embedding may be stored under both names; a whole T5 holds a decoder too.
    static const std::vector<std::string> names = {"encoder.embed_tokens.weight", "shared.weight", "decoder.",
                                                   "lm_head."};
    return names;
}

T5Encoder::T5Encoder(const T5Config &config, Weights &w) : c_(config)
{
    const int64_t inner = c_.heads * c_.head_dim;
    const char *shared = w.has("shared.weight") ? "shared.weight" : "encoder.embed_tokens.weight";
    shared_ = w.get(shared, {c_.vocab, c_.width});
    relative_ = w.get("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", {c_.buckets, c_.heads});
    for (int64_t i = 0; i < c_.layers; i++) {
        const std::string block = "encoder.block." + std::to_string(i) + ".layer.";
        const std::string attention = block + "0.SelfAttention.", ff = block + "1.DenseReluDense.";
        const auto linear = [&w](const std::string &name, int64_t in, int64_t out) {
            return nn::Linear::load(w, name, in, out, false);
        };
        Layer l;
        l.attention_norm = nn::RmsNorm::load(w, block + "0.layer_norm", c_.width, c_.eps);
        l.qkv = nn::fuse({linear(attention + "q", c_.width, inner), linear(attention + "k", c_.width, inner),
                          linear(attention + "v", c_.width, inner)});
        l.out = linear(attention + "o", inner, c_.width);
        l.ff_norm = nn::RmsNorm::load(w, block + "1.layer_norm", c_.width, c_.eps);
        l.wi = nn::fuse({linear(ff + "wi_0", c_.width, c_.ff), linear(ff + "wi_1", c_.width, c_.ff)});
        l.wo = linear(ff + "wo", c_.ff, c_.width);
        layers_.push_back(std::move(l));
    }
    norm_ = nn::RmsNorm::load(w, "encoder.final_layer_norm", c_.width, c_.eps);
}

// (1, heads, tokens, tokens)
at::Tensor T5Encoder::bias(int64_t tokens) const
{
    const at::Tensor at_token = at::arange(tokens, at::kLong);
    const at::Tensor buckets =
        t5_buckets(at_token.unsqueeze(0) - at_token.unsqueeze(1), c_.buckets, c_.max_distance).to(relative_.device());
    return at::embedding(relative_, buckets).permute({2, 0, 1}).unsqueeze(0).contiguous();
}

at::Tensor T5Encoder::operator()(const at::Tensor &ids) const
{
    if (ids.dim() != 2 || ids.size(1) < 1 || ids.min().item<int64_t>() < 0 || ids.max().item<int64_t>() >= c_.vocab)
        throw Error(MDL_EINVAL, "token ids outside of the text encoder's vocabulary");
    at::Tensor x = at::embedding(shared_, ids.to(shared_.device()));
    const at::Tensor relative = bias(ids.size(1));
    for (const Layer &l : layers_) {
        const auto qkv = l.qkv(l.attention_norm(x)).unflatten(-1, at::IntArrayRef{3, c_.heads, c_.head_dim}).unbind(2);
        x.add_(l.out(
            nn::attention(qkv[0].transpose(1, 2), qkv[1].transpose(1, 2), qkv[2].transpose(1, 2), relative, 1.0)));
        const auto gate_up = l.wi(l.ff_norm(x)).chunk(2, -1);
        x.add_(l.wo(nn::activate(gate_up[0], c_.activation).mul_(gate_up[1])));
    }
    return norm_(x);
}

} // namespace mdl
