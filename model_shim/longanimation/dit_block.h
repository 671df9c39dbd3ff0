// dit_block.h - the block of CogVideoX's transformer and what goes before it, shared by the video transformer and
// SketchDiT: patch projection, time embedding, modulations, joint attention over one [text | video] token buffer.
//
// Shapes: B batch, L text tokens, N video tokens, D width. (diffusers CogVideoXBlock, CogVideoXPatchEmbed)
#pragma once
#include "longanimation/dit_config.h"
#include "nn/layers.h"
#include "nn/modulate.h"
#include "nn/rope.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace mdl
{

// Time step (and ofs) -> the vector that all modulations come from.
class DitTime
{
  public:
    DitTime() = default;
    DitTime(const DitConfig &config, Weights &w);
    // t (rows) of any type, ofs (rows or 1), undefined where the model has none -> (rows, time_dim)
    at::Tensor operator()(const at::Tensor &t, const at::Tensor &ofs) const;
    at::Tensor time_part(const at::Tensor &t) const;
    at::Tensor ofs_part(const at::Tensor &ofs) const;

  private:
    DitConfig c_;
    nn::Linear time1_, time2_; // D -> time_dim -> time_dim
    nn::Linear ofs1_, ofs2_;   // ofs_dim -> ofs_dim -> ofs_dim
};

// Latent video and text -> tokens.
class DitEmbed
{
  public:
    DitEmbed() = default;
    DitEmbed(const DitConfig &config, Weights &w);

    at::Tensor text(const at::Tensor &e) const;  // (B, L, text_dim) -> (B, L, D); constant over the steps of a run
    at::Tensor video(const at::Tensor &x) const; // (B, F, C, h, w) -> (B, N, D), ordered (frame, row, column)
    // [text | video] (B, L+N, D), absolute positions added where the model has them. text (1 or B, L, D).
    at::Tensor join(const at::Tensor &text, const at::Tensor &x) const;
    // Size of the token grid of a latent video. Throws Error(MDL_EINVAL) where it does not divide into patches.
    nn::Grid grid(int64_t frames, int64_t height, int64_t width) const;
    // The rotary tables of that grid; no tokens where the model has none.
    nn::Rope rope(int64_t frames, int64_t height, int64_t width, c10::Device device) const;

  private:
    at::Tensor positions(int64_t frames, int64_t height, int64_t width, const at::Tensor &like) const;

    DitConfig c_;
    nn::Linear patch_;   // patch elements -> D, elements ordered (channel, time, row, column)
    nn::Linear text_;    // text_dim -> D
    at::Tensor learned_; // (1, max_text + sample tokens, D)
};

// The modulations of one block.
struct DitBlockModulation {
    nn::StreamModulation attention, feed_forward;
};

class DitBlock
{
  public:
    DitBlock(const DitConfig &config, Weights &w, const std::string &prefix);

    // silu(time embedding) (rows, time_dim) -> what forward takes; once per step, rows = 1 where the batch shares it.
    DitBlockModulation modulation(const at::Tensor &time) const;
    // x (B, L+N, D) is updated in place; where gradients are recorded it becomes another tensor, and inside of a
    // RecomputeScope only its input is kept. rope may have no tokens.
    void forward(at::Tensor &x, int64_t text_tokens, const DitBlockModulation &m, const nn::Rope &rope) const;

    // The parts of forward, for checks: x -> modulated norm; normed -> attention; normed -> feed forward.
    at::Tensor attention_norm(const at::Tensor &x, int64_t text_tokens, const DitBlockModulation &m) const;
    at::Tensor attention(const at::Tensor &normed, int64_t text_tokens, const nn::Rope &rope) const;
    at::Tensor feed_forward_norm(const at::Tensor &x, int64_t text_tokens, const DitBlockModulation &m) const;
    at::Tensor feed_forward(const at::Tensor &normed) const;

  private:
    void forward_once(at::Tensor &x, int64_t text_tokens, const DitBlockModulation &m, const nn::Rope &rope) const;

    int64_t heads_, head_dim_;
    nn::Activation activation_;
    nn::Linear modulate1_, modulate2_; // time_dim -> 6 D
    nn::LayerNorm norm1_, norm2_;      // D
    nn::FusedLinear qkv_;              // D -> 3 D, rows q, k, v
    nn::LayerNorm norm_q_, norm_k_;    // head_dim
    nn::Linear out_;                   // D -> D
    nn::Linear up_, down_;             // D -> 4 D -> D
};

} // namespace mdl
