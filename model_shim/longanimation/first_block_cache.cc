// first_block_cache.cc - see first_block_cache.h.
#include "longanimation/first_block_cache.h"

#include <ATen/ATen.h>

namespace mdl
{
namespace
{

at::Tensor size_of_rows(const at::Tensor &x)
{
    return x.abs().mean({1, 2}, false, at::kFloat);
}

} // namespace

FirstBlockCache::FirstBlockCache(const Transformer &net, double threshold, int64_t steps)
    : net_(net), threshold_(threshold), steps_(steps)
{
}

bool FirstBlockCache::near_enough(int64_t index, const at::Tensor &residual) const
{
    if (threshold_ <= 0 || !residual_.defined() || index + 1 >= steps_ || skips_in_a_row_ >= skips_in_a_row_max)
        return false;
    const at::Tensor change = size_of_rows(residual - residual_) / size_of_rows(residual_);
    return change.max().item<double>() < threshold_; // false where it is no number: 0/0 of a block that does nothing
}

at::Tensor FirstBlockCache::forward(int64_t index, const at::Tensor &x, const at::Tensor &text,
                                    const StepConditioning &step, const nn::Rope &rope, const MakeControl &control)
{
    const int64_t text_tokens = text.size(1), layers = net_.config().layers;
    at::Tensor tokens = net_.embed(x, text);
    const at::Tensor video = tokens.narrow(1, text_tokens, tokens.size(1) - text_tokens);
    at::Tensor before = video.clone();
    net_.blocks(tokens, text_tokens, 0, 1, step, rope);
    const at::Tensor residual = video - before;
    if (near_enough(index, residual)) {
        video.add_(tail_);
        skips_in_a_row_++;
        blocks_run_++;
        return net_.project(video, x, step);
    }
    before.copy_(video); // from here on: what the first block made
    residual_ = residual;
    tail_.reset();
    const Control added = control();
    net_.inject(tokens, text_tokens, 0, added);
    net_.blocks(tokens, text_tokens, 1, layers, step, rope, added);
    tail_ = at::sub_out(before, video, before);
    skips_in_a_row_ = 0;
    blocks_run_ += layers;
    return net_.project(video, x, step);
}

} // namespace mdl
