// transformer.h - the video transformer of CogVideoX 1.0 and 1.5, with control injection.
// (diffusers CogVideoXTransformer3DModel; LongAnimation's copy adds the control tensor after chosen blocks)
//
//   5B: 42 blocks, 48 heads x 64 = 3072, 5.57 G parameters. Patches 2x2 (1.0) or 2x2x2 (1.5).
//
//   Transformer net(config, weights);
//   const at::Tensor text = net.text_tokens(prompt_embeds);               // once per run
//   const nn::Rope rope = net.rope(F, h, w, device);                      // once per size
//   const StepConditioning all = net.condition(timesteps, ofs);           // once per schedule: one row per step
//   for (i...) v = net.forward(x, text, all.row(i), rope, control);
#pragma once
#include "longanimation/dit_block.h"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace mdl
{

// After which blocks the control tensor is added; N blocks, counted from 0.
enum class Injection { none, skip_layer /* even */, full, former_half /* n < N/2 */, latter_half /* n >= N/2 */ };

Injection injection_by_name(const std::string &name); // throws Error(MDL_EINVAL)
bool injects(Injection where, int64_t block, int64_t blocks);

struct Control {
    at::Tensor tokens; // (1 or B, video tokens, D); undefined for none
    double scale = 1;
    Injection where = Injection::skip_layer;
};

// All numbers that depend on the time step only. Rows are steps (or batch rows that do not share one).
struct StepConditioning {
    std::vector<DitBlockModulation> blocks;
    nn::Modulation head; // undefined where a network has no output head (SketchDiT)

    StepConditioning row(int64_t i) const; // as views
    int64_t rows() const;
};

class Transformer
{
  public:
    // Called with "embed", "block<i>", "norm_final", "norm_out", "proj_out" and what came out there, tokens (B, S, D);
    // the tensor is overwritten later.
    using Tap = std::function<void(const std::string &name, const at::Tensor &tokens)>;

    Transformer(const DitConfig &config, Weights &w);

    const DitConfig &config() const
    {
        return c_;
    }
    const DitTime &time() const
    {
        return time_;
    }
    const DitBlock &block(int64_t i) const
    {
        return blocks_.at(static_cast<size_t>(i));
    }

    // (B, L, text_dim) -> (B, L, D)
    at::Tensor text_tokens(const at::Tensor &e) const;
    nn::Rope rope(int64_t frames, int64_t height, int64_t width, c10::Device device) const;
    // t (rows), ofs (1 or rows; undefined where the model has none)
    StepConditioning condition(const at::Tensor &t, const at::Tensor &ofs) const;

    // x (B, F, in_channels, h, w); text (1 or B, L, D); step with 1 or B rows. Gives v (B, F, out_channels, h, w).
    at::Tensor forward(const at::Tensor &x, const at::Tensor &text, const StepConditioning &step, const nn::Rope &rope,
                       const Control &control = {}, const Tap &tap = {}) const;

    // The parts of forward, for whoever leaves blocks out. `tokens` is the buffer [text | video].
    at::Tensor embed(const at::Tensor &x, const at::Tensor &text) const; // (B, L+N, D)
    // Blocks [from, to), in place. The control goes in behind each as `control` says.
    void blocks(at::Tensor &tokens, int64_t text_tokens, int64_t from, int64_t to, const StepConditioning &step,
                const nn::Rope &rope, const Control &control = {}, const Tap &tap = {}) const;
    void inject(at::Tensor &tokens, int64_t text_tokens, int64_t block, const Control &control) const;
    // video (B, N, D) of a latent video shaped like `x` -> v
    at::Tensor project(const at::Tensor &video, const at::Tensor &x, const StepConditioning &step,
                       const Tap &tap = {}) const;

  private:
    at::Tensor unpatch(const at::Tensor &tokens, const nn::Grid &grid) const;

    DitConfig c_;
    DitEmbed embed_;
    DitTime time_;
    std::vector<DitBlock> blocks_;
    nn::LayerNorm norm_final_; // D
    nn::Linear head_;          // time_dim -> 2 D: shift, scale
    nn::LayerNorm norm_out_;   // D
    nn::Linear out_;           // D -> patch elements of out_channels
};

} // namespace mdl
