// sketch_dit.h - SketchDiT (LongAnimation, class Control3DModel): blocks of the video transformer over
// [sketch latents | image latents], whose last video tokens become the control tensor Z of the transformer.
//
//   small config: 6 blocks, 48 heads x 64 = 3072, 32 input channels, patches 2x2x2, 818 M parameters.
//   Z = video tokens of the last block times zero_conv^T; no final norm, one tensor for all injections.
//
//   SketchDit net = SketchDit::open(dir + "/sketch_dit", options);
//   const at::Tensor text = net.text_tokens(prompt_embeds);            // once per run
//   const nn::Rope rope = net.rope(F, h, w, device);                   // once per size
//   const StepConditioning all = net.condition(timesteps, ofs);        // once per schedule: one row per step
//   for (i...) z = net.forward(x, text, all.row(i), rope);
#pragma once
#include "longanimation/dit_block.h"
#include "longanimation/transformer.h"

#include <functional>
#include <string>
#include <vector>

namespace mdl
{

class SketchDit
{
  public:
    // Called with "embed" and "block<i>" and the tokens (B, L+N, D) there; the tensor is overwritten later.
    using Tap = Transformer::Tap;

    // Opens a folder (config.json and one weight file or index) and checks every tensor.
    static SketchDit open(const std::string &folder, const WeightOptions &options);
    SketchDit(const DitConfig &config, Weights &w);

    const DitConfig &config() const
    {
        return c_;
    }
    const DitTime &time() const
    {
        return time_;
    }
    // (B, L, text_dim) -> (B, L, D)
    at::Tensor text_tokens(const at::Tensor &e) const;
    nn::Rope rope(int64_t frames, int64_t height, int64_t width, c10::Device device) const;
    // t (rows), ofs (1 or rows; undefined where the model has none). The head stays undefined.
    StepConditioning condition(const at::Tensor &t, const at::Tensor &ofs) const;

    // x (B, F, in_channels, h, w); text (1 or B, L, D); step with 1 or B rows. Gives Z (B, N, D).
    at::Tensor forward(const at::Tensor &x, const at::Tensor &text, const StepConditioning &step, const nn::Rope &rope,
                       const Tap &tap = {}) const;

  private:
    DitConfig c_;
    DitEmbed embed_;
    DitTime time_;
    std::vector<DitBlock> blocks_;
    nn::Linear zero_conv_; // D -> D, no bias
};

} // namespace mdl
