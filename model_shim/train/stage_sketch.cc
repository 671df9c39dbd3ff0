// stage_sketch.cc - stages "sketch" and "memory": the networks answer a noised segment, the loss is the mean square of
// what they are off by; the memory module sees the frames before the segment.
//
// The padding frame shows the reference; it counts by pad_weight. Time steps: a share is pure noise, where the answer
// is all there is, the rest is uniform or leans towards much noise.
#include "error.h"
#include "train/denoise.h"

#include <ATen/ATen.h>

#include <cmath>

namespace mdl
{
namespace
{

class SketchStage : public Stage
{
  public:
    SketchStage(const Bench &b, bool remembers)
        : b_(b), remembers_(remembers), denoiser_(b), scheduler_(b.components.shapes().scheduler, 1)
    {
    }

    double pass(const Batch &batch, Draws &draws, double share) override
    {
        Latents l = denoiser_.latents(batch, draws, !remembers_);
        const at::Tensor t = times(batch.size(), draws);
        const at::Tensor noise = draws.normal(l.x0.sizes());
        const at::Tensor noisy = scheduler_.noised(l.x0, noise, t), target = scheduler_.target(l.x0, noise, t);
        at::Tensor weight = at::ones({1, l.x0.size(1), 1, 1, 1}, l.x0.options());
        weight.select(1, 0).fill_(b_.settings.pad_weight);
        at::Tensor loss;
        {
            const ForwardScope scope(b_);
            if (remembers_)
                l.memory = denoiser_.memory(batch);
            loss = ((denoiser_.answer(l, noisy, t) - target).square() * weight).mean();
        }
        (loss * share).backward();
        return loss.item<double>();
    }

  private:
    at::Tensor times(int64_t rows, Draws &draws) const
    {
        const int64_t last = denoiser_.schedule().train_steps - 1;
        std::vector<int64_t> t;
        for (int64_t i = 0; i < rows; i++) {
            const bool pure = draws.uniform() < b_.settings.pure_noise_share;
            const double u = draws.uniform();
            const double place = b_.settings.times == MDL_TIMES_HIGH ? std::sqrt(u) : u;
            t.push_back(pure ? last : std::min(last, static_cast<int64_t>(place * static_cast<double>(last + 1))));
        }
        return at::tensor(t, at::kLong);
    }

    const Bench &b_;
    bool remembers_;
    Denoiser denoiser_;
    Scheduler scheduler_;
};

} // namespace

std::unique_ptr<Stage> make_sketch_stage(const Bench &b)
{
    return std::make_unique<SketchStage>(b, false);
}

std::unique_ptr<Stage> make_memory_stage(const Bench &b)
{
    if (b.manifest.video_encoder.empty())
        throw Error(MDL_EINVAL, "stage memory needs a model with a video encoder (\"video_encoder\" in its manifest)");
    return std::make_unique<SketchStage>(b, true);
}

} // namespace mdl
