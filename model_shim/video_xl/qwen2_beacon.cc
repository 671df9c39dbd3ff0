#include "video_xl/qwen2_beacon.h"
#include "error.h"
#include "nn/attention.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>

namespace mdl
{

namespace
{

// Tensors of a layer that its keys and values do not need.
const char *const beyond_keys[] = {
    "self_attn.q_proj.weight",      "self_attn.q_proj.bias",   "self_attn.beacon_q_proj.weight",
    "self_attn.beacon_q_proj.bias", "self_attn.o_proj.weight", "post_attention_layernorm.weight",
    "mlp.gate_proj.weight",         "mlp.up_proj.weight",      "mlp.down_proj.weight",
};
const char *const keys_and_values[] = {
    "input_layernorm.weight",       "self_attn.k_proj.weight",        "self_attn.k_proj.bias",
    "self_attn.v_proj.weight",      "self_attn.v_proj.bias",          "self_attn.beacon_k_proj.weight",
    "self_attn.beacon_k_proj.bias", "self_attn.beacon_v_proj.weight", "self_attn.beacon_v_proj.bias",
};

std::string layer_prefix(const std::string &prefix, int64_t i)
{
    return prefix + "layers." + std::to_string(i) + ".";
}

void refuse_unless(bool holds, const char *what)
{
    if (!holds)
        throw Error(MDL_EWEIGHTS, std::string("video encoder config: ") + what);
}

void read_beacon_params(const Json &json, Qwen2BeaconConfig &c)
{
    if (!json_has(json, "beacon_param"))
        return;
    c.beacon_q = c.beacon_k = c.beacon_v = false;
    for (const Json &one : json["beacon_param"]) {
        const std::string name = one.is_string() ? one.get<std::string>() : "";
        refuse_unless(name == "q" || name == "k" || name == "v", "beacon_param: only q, k and v are supported");
        (name == "q" ? c.beacon_q : name == "k" ? c.beacon_k : c.beacon_v) = true;
    }
}

void check_beacon_rules(const Json &json, const Qwen2BeaconConfig &c)
{
    refuse_unless(json_int(json, "beacon_stride", c.window) == c.window, "beacon_stride has to be beacon_window");
    refuse_unless(json_int(json, "beacon_sink_size", 0) == 0, "beacon_sink_size has to be 0");
    refuse_unless(json_int(json, "beacon_parallel_window", 1) <= 1, "beacon_parallel_window has to be 1");
    refuse_unless(json_bool(json, "beacon_attend_prev", true), "beacon_attend_prev has to be true");
    refuse_unless(json_bool(json, "beacon_accum", true), "beacon_accum has to be true");
    refuse_unless(json_string(json, "beacon_attn", "full-coverage") == "full-coverage",
                  "beacon_attn has to be \"full-coverage\"");
    refuse_unless(json_string(json, "beacon_pos", "interleave") == "interleave", "beacon_pos has to be \"interleave\"");
    refuse_unless(!json_has(json, "rope_scaling"), "rope_scaling is not supported");
}

// (tokens, width) with a summary after every `ratio` tokens.
at::Tensor interleave(const at::Tensor &visual, const at::Tensor &beacon, int64_t ratio)
{
    const int64_t groups = visual.size(0) / ratio, width = visual.size(1);
    return at::cat({visual.reshape({groups, ratio, width}), beacon.expand({groups, 1, width})}, 1).flatten(0, 1);
}

// Rows of the summaries of a step laid out by interleave().
at::Tensor summaries(const at::Tensor &rows, int64_t dim, int64_t ratio)
{
    return rows.unflatten(dim, at::IntArrayRef{rows.size(dim) / (ratio + 1), ratio + 1}).select(dim + 1, ratio);
}

// Additive: row i of the step sees the memory and rows up to i.
at::Tensor causal_mask(int64_t step_rows, int64_t memory_rows, const at::TensorOptions &options)
{
    const at::Tensor mask =
        at::full({step_rows, memory_rows + step_rows}, -std::numeric_limits<double>::infinity(), options);
    return mask.triu_(memory_rows + 1);
}

} // namespace

Qwen2BeaconConfig Qwen2BeaconConfig::from_json(const Json &json)
{
    const auto size = [&json](const char *key, int64_t fallback) { return json_int(json, key, fallback, 1, 1 << 24); };
    Qwen2BeaconConfig c;
    c.vocab = size("vocab_size", c.vocab);
    c.width = size("hidden_size", c.width);
    c.heads = size("num_attention_heads", c.heads);
    c.kv_heads = size("num_key_value_heads", c.heads);
    refuse_unless(c.width % c.heads == 0 || json_has(json, "head_dim"), "hidden_size does not divide into heads");
    c.head_dim = size("head_dim", c.width / c.heads);
    c.layers = json_int(json, "num_hidden_layers", c.layers, 1, 1024);
    c.hidden = size("intermediate_size", c.hidden);
    c.window = size("beacon_window", c.window);
    c.norm_eps = json_double(json, "rms_norm_eps", c.norm_eps);
    c.rope_theta = json_double(json, "rope_theta", c.rope_theta);
    c.activation = nn::activation_by_name(json_string(json, "hidden_act", "silu"));
    refuse_unless(c.heads % c.kv_heads == 0, "num_key_value_heads does not divide num_attention_heads");
    refuse_unless(c.head_dim % 2 == 0, "the head size has to be even");
    read_beacon_params(json, c);
    check_beacon_rules(json, c);
    return c;
}

BeaconMemory BeaconMemory::to(c10::Device device) const
{
    BeaconMemory moved;
    for (const at::Tensor &t : keys)
        moved.keys.push_back(t.to(device));
    for (const at::Tensor &t : values)
        moved.values.push_back(t.to(device));
    return moved;
}

std::vector<BeaconStep> beacon_steps(int64_t prefix, int64_t visual, int64_t suffix, int64_t window, int64_t ratio)
{
    if (window < 1 || ratio < 1)
        throw Error(MDL_EINVAL, "windows and ratios are positive");
    std::vector<BeaconStep> steps = {{prefix, 0, 0}};
    int64_t rows = prefix;
    for (int64_t done = 0; done < visual; done += window) {
        const int64_t tokens = std::min(window, visual - done), kept = tokens / ratio;
        if (tokens % ratio != 0)
            throw Error(MDL_EINVAL, "a window of " + std::to_string(tokens) +
                                        " visual tokens is no multiple of the compression ratio " +
                                        std::to_string(ratio));
        steps.push_back({tokens + kept, kept, rows});
        rows += kept;
    }
    steps.push_back({suffix, 0, rows});
    return steps;
}

Qwen2Beacon::Qwen2Beacon(const Qwen2BeaconConfig &config, Weights &w, const std::string &prefix, int64_t kv_layers,
                         bool whole)
    : c_(config)
{
    refuse_unless(kv_layers >= 1 && kv_layers <= c_.layers, "a memory layer does not exist");
    beacon_ = w.get(prefix + "beacon_embed_tokens.weight", {1, c_.width});
    for (int64_t i = 0; i < kv_layers; i++) {
        const std::string at = layer_prefix(prefix, i), attention = at + "self_attn.";
        const int64_t q_width = c_.heads * c_.head_dim;
        const auto linear = [&](const std::string &name, int64_t in, int64_t out, bool bias) {
            return nn::Linear::load(w, name, in, out, bias);
        };
        Layer l;
        l.keys_only = !whole && i == kv_layers - 1;
        l.norm_attention = nn::RmsNorm::load(w, at + "input_layernorm", c_.width, c_.norm_eps);
        l.token.k = linear(attention + "k_proj", c_.width, c_.kv_width(), true);
        l.token.v = linear(attention + "v_proj", c_.width, c_.kv_width(), true);
        l.summary.k = c_.beacon_k ? linear(attention + "beacon_k_proj", c_.width, c_.kv_width(), true) : l.token.k;
        l.summary.v = c_.beacon_v ? linear(attention + "beacon_v_proj", c_.width, c_.kv_width(), true) : l.token.v;
        if (!l.keys_only) {
            l.token.q = linear(attention + "q_proj", c_.width, q_width, true);
            l.summary.q = c_.beacon_q ? linear(attention + "beacon_q_proj", c_.width, q_width, true) : l.token.q;
            l.out = linear(attention + "o_proj", q_width, c_.width, false);
            l.norm_mlp = nn::RmsNorm::load(w, at + "post_attention_layernorm", c_.width, c_.norm_eps);
            l.gate = linear(at + "mlp.gate_proj", c_.width, c_.hidden, false);
            l.up = linear(at + "mlp.up_proj", c_.width, c_.hidden, false);
            l.down = linear(at + "mlp.down_proj", c_.hidden, c_.width, false);
        }
        layers_.push_back(std::move(l));
    }
}

std::vector<std::string> Qwen2Beacon::unneeded(const Qwen2BeaconConfig &config, const std::string &prefix,
                                               int64_t kv_layers)
{
    std::vector<std::string> names = {"lm_head.weight", prefix + "norm.weight"};
    for (int64_t i = 0; i < config.layers; i++) {
        const std::string at = layer_prefix(prefix, i);
        names.push_back(at + "self_attn.rotary_emb.inv_freq");
        if (i >= kv_layers - 1)
            for (const char *name : beyond_keys)
                names.push_back(at + name);
        if (i >= kv_layers)
            for (const char *name : keys_and_values)
                names.push_back(at + name);
    }
    return names;
}

// (rows, width) -> (1, heads, rows, head_dim); summaries go through their own projection.
at::Tensor Qwen2Beacon::project(const nn::Linear &token, const nn::Linear &summary, const at::Tensor &x, int64_t ratio,
                                int64_t heads) const
{
    at::Tensor y;
    if (ratio == 0) {
        y = token(x);
    } else {
        const at::Tensor groups = x.view({-1, ratio + 1, x.size(1)});
        y = at::cat({token(groups.narrow(1, 0, ratio)), summary(groups.narrow(1, ratio, 1))}, 1).flatten(0, 1);
    }
    return y.view({1, x.size(0), heads, c_.head_dim}).transpose(1, 2);
}

// Halves of a head rotate together: (a, b) -> (a cos - b sin, b cos + a sin), in float32.
at::Tensor Qwen2Beacon::rotate(const at::Tensor &x, const Positions &positions, int64_t first_row) const
{
    const at::Tensor wide = x.to(at::kFloat);
    const at::Tensor cos = positions.cos.narrow(2, first_row, x.size(2)),
                     sin = positions.sin.narrow(2, first_row, x.size(2));
    const auto half = wide.chunk(2, -1);
    return (wide * cos + at::cat({half[1].neg(), half[0]}, -1) * sin).to(x.scalar_type());
}

at::Tensor Qwen2Beacon::attend(const Layer &l, const at::Tensor &normed, const at::Tensor &keys,
                               const at::Tensor &values, int64_t ratio, const Positions &positions,
                               const at::Tensor &mask) const
{
    const int64_t group = c_.heads / c_.kv_heads;
    const at::Tensor q = project(l.token.q, l.summary.q, normed, ratio, c_.heads);
    const at::Tensor rotated = rotate(q, positions, keys.size(2) - normed.size(0));
    const at::Tensor a = nn::attention(rotated, rotate(keys, positions, 0).repeat_interleave(group, 1),
                                       values.repeat_interleave(group, 1), mask);
    return l.out(a.squeeze(0));
}

void Qwen2Beacon::step(BeaconMemory &memory, at::Tensor x, int64_t ratio, const Tap &tap) const
{
    const int64_t rows = x.size(0), before = memory.rows(), all = before + rows;
    memory.keys.resize(layers_.size());
    memory.values.resize(layers_.size());
    const auto wide = x.options().dtype(at::kFloat);
    const at::Tensor frequencies =
        at::pow(at::scalar_tensor(c_.rope_theta, wide), at::arange(0, c_.head_dim, 2, wide).div_(c_.head_dim))
            .reciprocal_();
    const at::Tensor angles = at::outer(at::arange(all, wide), frequencies).repeat({1, 2}).view({1, 1, all, -1});
    const Positions positions{angles.cos(), angles.sin()};
    const at::Tensor mask = causal_mask(rows, before, x.options());
    for (size_t i = 0; i < layers_.size(); i++) {
        const Layer &l = layers_[i];
        const at::Tensor normed = l.norm_attention(x);
        const at::Tensor k = project(l.token.k, l.summary.k, normed, ratio, c_.kv_heads);
        const at::Tensor v = project(l.token.v, l.summary.v, normed, ratio, c_.kv_heads);
        const auto append = [](const at::Tensor &old, const at::Tensor &fresh) {
            return old.defined() ? at::cat({old, fresh}, 2) : fresh.contiguous();
        };
        if (!l.keys_only) {
            x = x + attend(l, normed, append(memory.keys[i], k), append(memory.values[i], v), ratio, positions, mask);
            const at::Tensor inner = l.norm_mlp(x);
            x = x + l.down(l.gate(inner, c_.activation).mul_(l.up(inner)));
            if (tap)
                tap(static_cast<int64_t>(i), x);
        }
        memory.keys[i] = append(memory.keys[i], ratio ? summaries(k, 2, ratio) : k);
        memory.values[i] = append(memory.values[i], ratio ? summaries(v, 2, ratio) : v);
    }
}

void Qwen2Beacon::text(BeaconMemory &memory, const at::Tensor &embeddings, const Tap &tap) const
{
    if (embeddings.size(0) > 0)
        step(memory, embeddings.to(beacon_.options()), 0, tap);
}

void Qwen2Beacon::window(BeaconMemory &memory, const at::Tensor &visual, int64_t ratio, const Tap &tap) const
{
    const int64_t n = visual.size(0);
    if (ratio < 1 || n < 1 || n > c_.window || n % ratio != 0)
        throw Error(MDL_EINVAL, std::to_string(n) + " visual tokens are no window at the compression ratio " +
                                    std::to_string(ratio));
    step(memory, interleave(visual.to(beacon_.options()), beacon_, ratio), ratio, tap);
}

void Qwen2Beacon::windows(BeaconMemory &memory, const at::Tensor &visual, int64_t ratio, const Tap &tap) const
{
    for (int64_t done = 0; done < visual.size(0); done += c_.window)
        window(memory, visual.narrow(0, done, std::min(c_.window, visual.size(0) - done)), ratio, tap);
}

at::Tensor Qwen2Beacon::stack(const BeaconMemory &memory, const std::vector<int64_t> &layers) const
{
    std::vector<at::Tensor> kinds;
    for (const auto *kind : {&memory.keys, &memory.values}) {
        std::vector<at::Tensor> chosen;
        for (int64_t layer : layers) // (1, kv_heads, rows, head_dim) -> (rows, kv_heads * head_dim)
            chosen.push_back(kind->at(static_cast<size_t>(layer)).squeeze(0).transpose(0, 1).flatten(1));
        kinds.push_back(at::stack(chosen));
    }
    return at::stack(kinds).unsqueeze(0);
}

} // namespace mdl
