// stage_vae.cc - stage "vae": pixels through the encoder, a sample of the posterior, and back.
//
//   loss = mean(w (mse d^2 + l1 |d|)) + gradient mean|grad d| + kl KL(posterior | N(0,1)),   d = decoded - pixels
//
// A share of the samples is line art, because the VAE carries the lines to SketchDiT as well; on it lines weigh
// threefold: by the mean absolute error alone the best guess at a thin line is no line.
#include "error.h"
#include "train/stage.h"

#include <ATen/ATen.h>

namespace mdl
{
namespace
{

constexpr double line_weight = 3;
constexpr double latent_memory = 0.98; // of the running spread of the latents

class VaeStage : public Stage
{
  public:
    explicit VaeStage(const Bench &b) : b_(b), spread_(at::zeros({}, at::kFloat))
    {
    }

    double pass(const Batch &batch, Draws &draws, double share) override
    {
        const auto [picture, weight] = pictures(batch, draws);
        at::Tensor loss;
        {
            const ForwardScope scope(b_);
            loss = loss_of(picture, weight, draws);
        }
        (loss * share).backward();
        return loss.item<double>();
    }

    NamedTensors state() const override
    {
        return {{"latent_spread", spread_}};
    }

    double vae_scale() const override
    {
        const double spread = spread_.item<double>();
        return spread > 0 ? 1 / spread : 0;
    }

  private:
    // Colours, or lines for a share of the samples, cut out at one place; and how much every pixel counts.
    std::pair<at::Tensor, at::Tensor> pictures(const Batch &batch, Draws &draws) const
    {
        std::vector<at::Tensor> pictures, weights;
        for (int64_t i = 0; i < batch.size(); i++) {
            const at::Tensor sketch = batch.sketch.narrow(0, i, 1);
            const bool lines = draws.uniform() < b_.settings.vae_line_share;
            pictures.push_back(lines ? sketch : batch.color.narrow(0, i, 1));
            const at::Tensor even = at::ones_like(sketch.narrow(1, 0, 1));
            weights.push_back(lines ? even + (line_weight - 1) * sketch.narrow(1, 0, 1).gt(0) : even);
        }
        const int64_t height = b_.settings.crop_height ? b_.settings.crop_height : b_.size.height;
        const int64_t width = b_.settings.crop_width ? b_.settings.crop_width : b_.size.width;
        const int64_t y = draws.below(b_.size.height - height + 1), x = draws.below(b_.size.width - width + 1);
        const auto cut = [&](const std::vector<at::Tensor> &parts) {
            return at::cat(parts).narrow(3, y, height).narrow(4, x, width).contiguous();
        };
        return {cut(pictures), cut(weights)};
    }

    at::Tensor loss_of(const at::Tensor &picture, const at::Tensor &weight, Draws &draws)
    {
        const Vae &vae = b_.components.vae();
        const mdl_train_settings &s = b_.settings;
        const at::Tensor moments = vae.encode(picture).to(at::kFloat);
        const auto parts = moments.chunk(2, 1);
        const at::Tensor &mean = parts[0], log_variance = parts[1].clamp(-30.0, 20.0);
        const at::Tensor z = vae_sample(moments, draws.normal(mean.sizes()));
        note_spread(z.detach());
        const at::Tensor d = vae.decode(z).to(at::kFloat) - picture;
        const auto change = [&d](int64_t axis) {
            return (d.narrow(axis, 1, d.size(axis) - 1) - d.narrow(axis, 0, d.size(axis) - 1)).abs().mean();
        };
        const at::Tensor divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean();
        return (weight * (s.vae_mse * d.square() + s.vae_l1 * d.abs())).mean() +
               s.vae_gradient * (change(3) + change(4)) + s.vae_kl * divergence;
    }

    void note_spread(const at::Tensor &z)
    {
        const at::Tensor now = z.std().cpu();
        if (spread_.item<double>() == 0)
            spread_.copy_(now);
        else
            spread_.mul_(latent_memory).add_(now, 1 - latent_memory);
    }

    const Bench &b_;
    at::Tensor spread_;
};

} // namespace

std::unique_ptr<Stage> make_vae_stage(const Bench &b)
{
    const mdl_train_settings &s = b.settings;
    if (s.crop_width % 8 || s.crop_height % 8 || s.crop_width < 0 || s.crop_height < 0 || s.crop_width > b.size.width ||
        s.crop_height > b.size.height)
        fail(MDL_EINVAL, "a crop of %dx%d does not fit samples of %dx%d in steps of 8", s.crop_width, s.crop_height,
             b.size.width, b.size.height);
    return std::make_unique<VaeStage>(b);
}

} // namespace mdl
