// first_block_cache.h - the transformer without most of its blocks, in steps whose first block does almost what it did
// in the last full step. (First Block Cache of ParaAttention; apply_first_block_cache in diffusers)
//
//   r = block_0(V) - V                                          V: video tokens
//   change = max over guidance rows of mean|r - r'| / mean|r'|  r': of the last full step
//   change < threshold:   V = block_0(V) + tail                 tail: what everything after block 0 added to V then
//   else:                 all blocks; r' = r, a new tail
//
// The control tensor is part of the tail, so in a step that is cut short SketchDiT and the memory module do not run
// either. First and last step are always full, and so is one step after `skips_in_a_row_max` short ones.
//
// One cache per segment: a segment's frames do not depend on where a run was resumed. One host sync per step.
#pragma once
#include "longanimation/transformer.h"

#include <functional>

namespace mdl
{

class FirstBlockCache
{
  public:
    static constexpr int64_t skips_in_a_row_max = 3;

    // A threshold of 0 never cuts a step short; then the result is Transformer::forward's to the bit.
    FirstBlockCache(const Transformer &net, double threshold, int64_t steps);

    // Makes the control of this step; called in full steps only.
    using MakeControl = std::function<Control()>;
    // As Transformer::forward, for step `index` of the schedule; steps come in order.
    at::Tensor forward(int64_t index, const at::Tensor &x, const at::Tensor &text, const StepConditioning &step,
                       const nn::Rope &rope, const MakeControl &control);

    int64_t blocks_run() const // so far, of steps * layers
    {
        return blocks_run_;
    }

  private:
    bool near_enough(int64_t index, const at::Tensor &residual) const;

    const Transformer &net_;
    double threshold_;
    int64_t steps_, blocks_run_ = 0, skips_in_a_row_ = 0;
    at::Tensor residual_, tail_; // (B, N, D), of the last full step
};

} // namespace mdl
