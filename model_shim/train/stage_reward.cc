// stage_reward.cc - stage "reward": whole samplings without gradient, judged by how near their colours are to the true
// frames', and two ways to learn from the judgement.
//
//   score   R is a number per sampling. Of every sampling some steps are answered again, with gradient: the step drew
//           x' from N(mean, deviation^2), and the gradient is that of -A log N(x'; mean, deviation^2), A being how much
//           better than its group the sampling was, in standard deviations. (Denoising diffusion policy optimisation;
//           that LongAnimation did the same is inferred from its scheduler, which gives mean and deviation.)
//   direct  the last step only, with gradient, decoded with gradient: the gradient is that of -R itself.
//
// R: with a video encoder the cosine between its keys and values of the sampled and of the true frames. Without one,
// and for the direct way (it counts pixels in bytes, which have no gradient), minus the mean distance of colours, cell
// by cell, colours that fill little counting more (decision 0180).
#include "error.h"
#include "train/denoise.h"
#include "video_xl/shot_memory.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace mdl
{
namespace
{

constexpr int64_t cell = 8;   // pixels: colours, not lines and edges, are compared
constexpr int64_t levels = 8; // of a channel, to tell which cells have the same colour
constexpr double spread_eps = 1e-6;

struct Step {
    int64_t number;
    at::Tensor from, to, last; // latents before and after; x0 of the step before
};

class RewardStage : public Stage
{
  public:
    explicit RewardStage(const Bench &b)
        : b_(b), denoiser_(b), scheduler_(b.components.shapes().scheduler, b.settings.reward_steps),
          direct_(b.settings.reward_kind == MDL_REWARD_DIRECT)
    {
    }

    double pass(const Batch &batch, Draws &draws, double share) override
    {
        const Latents all = denoiser_.latents(batch, draws, true);
        const double part = share / static_cast<double>(batch.size());
        double loss = 0, reward = 0;
        for (int64_t i = 0; i < batch.size(); i++) {
            const Latents one = all.sample(i);
            const at::Tensor truth = batch.color.narrow(0, i, 1);
            loss += (direct_ ? learn_directly(one, truth, draws, part) : learn_by_score(one, truth, draws, part)) /
                    static_cast<double>(batch.size());
            reward += rewards_mean_ / static_cast<double>(batch.size());
        }
        reward_ = reward;
        return loss;
    }

    double reward() const override
    {
        return reward_;
    }

  private:
    // `rows` samplings of one sample, side by side; the last step is left out when `all` is false.
    at::Tensor sample(const Latents &l, bool all, Draws &draws, std::vector<Step> &steps, at::Tensor &x0) const
    {
        const c10::AutoGradMode off(false);
        at::Tensor x = draws.normal(l.x0.sizes());
        const auto count = static_cast<int64_t>(scheduler_.timesteps().size());
        for (int64_t i = 0; i < (all ? count : count - 1); i++) {
            const at::Tensor last = x0;
            const Scheduler::Step step = scheduler_.dpm(i, denoiser_.answer(l, x, times(i, x.size(0))), x, last,
                                                        [&] { return draws.normal(x.sizes()); });
            steps.push_back({i, x, step.sample, last});
            x = step.sample.to(at::kFloat);
            x0 = step.x0;
        }
        return x;
    }

    at::Tensor times(int64_t i, int64_t rows) const
    {
        return at::full({rows}, scheduler_.timesteps().at(static_cast<size_t>(i)), at::kLong);
    }

    static Latents repeated(const Latents &l, int64_t rows)
    {
        const auto rep = [rows](const at::Tensor &t) { return t.repeat_interleave(rows, 0); };
        return {rep(l.x0), rep(l.image), rep(l.sketch), rep(l.text), {}};
    }

    double learn_by_score(const Latents &one, const at::Tensor &truth, Draws &draws, double share)
    {
        const Latents l = repeated(one, b_.settings.reward_group);
        std::vector<Step> steps;
        at::Tensor x0;
        const at::Tensor advantage = advantages(sample(l, true, draws, steps, x0), truth);
        // Steps without a deviation draw nothing that could be learnt from.
        std::erase_if(steps, [&](const Step &s) { return gaussian(s, s.from).deviation <= 0; });
        const auto taken = std::min(static_cast<int64_t>(steps.size()), int64_t{b_.settings.reward_taken});
        double loss = 0;
        for (int64_t n = 0; n < taken; n++) {
            const auto chosen = steps.begin() + draws.below(static_cast<int64_t>(steps.size()));
            const at::Tensor of_step = score_loss(l, *chosen, advantage) / static_cast<double>(taken);
            (of_step * share).backward();
            loss += of_step.item<double>();
            steps.erase(chosen);
        }
        return loss;
    }

    Scheduler::Gaussian gaussian(const Step &s, const at::Tensor &answer) const
    {
        return scheduler_.dpm_gaussian(s.number, answer, s.from, s.last);
    }

    at::Tensor score_loss(const Latents &l, const Step &s, const at::Tensor &advantage) const
    {
        const ForwardScope scope(b_);
        const auto g = gaussian(s, denoiser_.answer(l, s.from, times(s.number, s.from.size(0))));
        const at::Tensor off = (s.to - g.mean).square() / (2 * g.deviation * g.deviation);
        return (advantage * off.mean({1, 2, 3, 4})).mean();
    }

    at::Tensor advantages(const at::Tensor &latents, const at::Tensor &truth)
    {
        const c10::AutoGradMode off(false);
        std::vector<double> rewards;
        for (int64_t i = 0; i < latents.size(0); i++)
            rewards.push_back(judged(denoiser_.decode(latents.narrow(0, i, 1)), truth));
        const at::Tensor r = at::tensor(rewards, at::kFloat);
        rewards_mean_ = r.mean().item<double>();
        return ((r - r.mean()) / (r.std() + spread_eps)).to(latents.device());
    }

    double judged(const at::Tensor &frames, const at::Tensor &truth) const
    {
        if (b_.manifest.video_encoder.empty())
            return colour_reward(frames, truth).item<double>();
        const at::Tensor a = remembered(frames), b = remembered(truth);
        return at::cosine_similarity(a, b, 0).item<double>();
    }

    // [frames, 3, height / 8, width / 8]
    static at::Tensor cells(const at::Tensor &x)
    {
        return at::avg_pool2d(x.transpose(1, 2).flatten(0, 1), {cell, cell});
    }

    // What a cell counts, 1 on average: the less, the more cells have its colour, or losing a figure in a large
    // background would cost next to nothing.
    static at::Tensor weights(const at::Tensor &true_cells)
    {
        const at::Tensor level = (true_cells + 1).mul(levels / 2.0).floor().clamp(0, levels - 1).to(at::kLong);
        const at::Tensor colour =
            ((level.select(1, 0) * levels + level.select(1, 1)) * levels + level.select(1, 2)).flatten();
        const at::Tensor alike = at::bincount(colour, {}, levels * levels * levels).index_select(0, colour);
        const at::Tensor w = alike.to(at::kFloat).rsqrt();
        return (w / w.mean()).view({true_cells.size(0), true_cells.size(2), true_cells.size(3)});
    }

    // One sample.
    static at::Tensor colour_reward(const at::Tensor &frames, const at::Tensor &truth)
    {
        const at::Tensor wanted = cells(truth);
        return -((cells(frames) - wanted).abs().mean(1) * weights(wanted)).mean();
    }

    at::Tensor remembered(const at::Tensor &frames) const
    {
        const VideoXl &encoder = b_.components.video_encoder();
        ShotMemory memory({.ratio = b_.manifest.compression_ratio,
                           .global_frames = b_.manifest.global_frames_max,
                           .local_frames = 0});
        const at::Tensor bytes = frames.add(1).mul(127.5).round().clamp(0, 255).to(at::kByte);
        memory.append(encoder, bytes.squeeze(0).permute({1, 2, 3, 0}).contiguous().cpu());
        return memory.global(encoder).to(at::kFloat).flatten();
    }

    double learn_directly(const Latents &one, const at::Tensor &truth, Draws &draws, double share)
    {
        std::vector<Step> steps;
        at::Tensor last;
        const at::Tensor x = sample(one, false, draws, steps, last);
        const auto end = static_cast<int64_t>(scheduler_.timesteps().size()) - 1;
        at::Tensor loss;
        {
            const ForwardScope scope(b_);
            const at::Tensor answer = denoiser_.answer(one, x, times(end, 1));
            const at::Tensor x0 = scheduler_.dpm_gaussian(end, answer, x, last).x0;
            loss = -colour_reward(denoiser_.decode(x0), truth);
        }
        rewards_mean_ = -loss.item<double>();
        (loss * share).backward();
        return loss.item<double>();
    }

    const Bench &b_;
    Denoiser denoiser_;
    Scheduler scheduler_;
    bool direct_;
    double reward_ = 0, rewards_mean_ = 0;
};

} // namespace

std::unique_ptr<Stage> make_reward_stage(const Bench &b)
{
    if (b.size.width % cell || b.size.height % cell)
        throw Error(MDL_EINVAL, "samples of this stage have sizes in steps of 8");
    return std::make_unique<RewardStage>(b);
}

} // namespace mdl
