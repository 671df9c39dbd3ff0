// qwen2_beacon.h - Qwen2 with summary ("beacon") tokens, as far as filling a memory needs it: prefill only, no
// sampling, no head. (Video-XL LlavaQwenForCausalLM, modeling_qwen2 and modeling_beacon)
//
//   7B: 28 layers, hidden 3584, 28 heads x 128, 4 key-value heads, MLP 18944 SwiGLU, RMSNorm 1e-6, RoPE theta 1e6.
//
// A step feeds tokens and appends keys and values to the memory. Text steps (prompt before and after the video) append
// every row. A window of visual tokens gets a summary token after every `ratio` of them, with projections of its own,
// and only the summaries' rows are appended:
//
//   prefix  | v v v v v v v v S v v v v v v v v S ... | next window ... | suffix
//   kept      no                S                 S                       all
//
// A token sees the whole memory and what came before it in its own step. Keys are kept before the rotary embedding;
// memory rows count as positions 0, 1, ..., the step's tokens follow.
#pragma once
#include "io/json.h"
#include "io/weights.h"
#include "nn/layers.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace mdl
{

struct Qwen2BeaconConfig {
    int64_t vocab = 152064, width = 3584, heads = 28, kv_heads = 4, head_dim = 128, layers = 28, hidden = 18944;
    int64_t window = 1440; // visual tokens of a window
    double norm_eps = 1e-6, rope_theta = 1e6;
    nn::Activation activation = nn::Activation::silu;
    bool beacon_q = true, beacon_k = true, beacon_v = true; // projections that summaries have of their own

    // config.json. What the algorithm here does not do (other strides, sinks, positions, attention) is refused.
    static Qwen2BeaconConfig from_json(const Json &json);
    int64_t kv_width() const
    {
        return kv_heads * head_dim;
    }
};

// Keys (before RoPE) and values of every layer that is run: (1, kv_heads, rows, head_dim) each. A value: copies share
// the tensors, and a step on a copy leaves the original as it was.
struct BeaconMemory {
    std::vector<at::Tensor> keys, values;

    int64_t rows() const
    {
        return keys.empty() || !keys[0].defined() ? 0 : keys[0].size(2);
    }
    BeaconMemory to(c10::Device device) const;
};

// One step of the walk: tokens fed (summaries included), summaries, memory rows before it.
struct BeaconStep {
    int64_t tokens, summaries, memory_rows;
    bool operator==(const BeaconStep &) const = default;
};

// The steps of a whole run: prefix, windows of visual tokens, suffix.
std::vector<BeaconStep> beacon_steps(int64_t prefix, int64_t visual, int64_t suffix, int64_t window, int64_t ratio);

class Qwen2Beacon
{
  public:
    // Called after each layer that is run in full with the step's rows of the residual stream (tokens, width).
    using Tap = std::function<void(int64_t layer, const at::Tensor &hidden)>;

    // Keys and values are wanted of layers 0..`kv_layers`-1. Of the last one only the projections to them are loaded
    // and run, unless `whole` asks for all of it. `prefix` ends in "model.".
    Qwen2Beacon(const Qwen2BeaconConfig &config, Weights &w, const std::string &prefix, int64_t kv_layers,
                bool whole = false);

    // Names under `prefix` (and the head beside it) that a checkpoint may have and this does not need.
    static std::vector<std::string> unneeded(const Qwen2BeaconConfig &config, const std::string &prefix,
                                             int64_t kv_layers);

    // Text: token embeddings (n, width); every row is appended.
    void text(BeaconMemory &memory, const at::Tensor &embeddings, const Tap &tap = {}) const;
    // One window of visual tokens (n, width), n <= window and a multiple of `ratio`; the summaries are appended.
    void window(BeaconMemory &memory, const at::Tensor &visual, int64_t ratio, const Tap &tap = {}) const;
    // All windows of `visual`.
    void windows(BeaconMemory &memory, const at::Tensor &visual, int64_t ratio, const Tap &tap = {}) const;

    // Memory of chosen layers as the memory module takes it: (1, 2 (keys, values), layers, rows, kv_heads * head_dim).
    at::Tensor stack(const BeaconMemory &memory, const std::vector<int64_t> &layers) const;

    const Qwen2BeaconConfig &config() const
    {
        return c_;
    }

  private:
    struct Projections {
        nn::Linear q, k, v;
    };
    struct Layer {
        nn::RmsNorm norm_attention, norm_mlp; // width
        Projections token, summary;           // width -> heads * head_dim, width -> kv_heads * head_dim
        nn::Linear out;                       // heads * head_dim -> width, no bias
        nn::Linear gate, up, down;            // width -> hidden -> width, no biases
        bool keys_only = false;
    };
    struct Positions { // rotary tables of memory and step, float32 (1, 1, rows, head_dim)
        at::Tensor cos, sin;
    };

    void step(BeaconMemory &memory, at::Tensor x, int64_t ratio, const Tap &tap) const;
    at::Tensor project(const nn::Linear &token, const nn::Linear &summary, const at::Tensor &x, int64_t ratio,
                       int64_t heads) const;
    at::Tensor rotate(const at::Tensor &x, const Positions &positions, int64_t first_row) const;
    at::Tensor attend(const Layer &layer, const at::Tensor &normed, const at::Tensor &keys, const at::Tensor &values,
                      int64_t ratio, const Positions &positions, const at::Tensor &mask) const;

    Qwen2BeaconConfig c_;
    at::Tensor beacon_; // (1, width), embedding of a summary token
    std::vector<Layer> layers_;
};

} // namespace mdl
