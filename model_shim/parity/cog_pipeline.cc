// cog_pipeline.cc - parity of CogVideoX's image-to-video flow on the networks used here: image and prompt embeddings
// in, pixels out.
#include "error.h"
#include "longanimation/scheduler.h"
#include "longanimation/transformer.h"
#include "longanimation/vae.h"
#include "parity/golden.h"
#include "parity/kinds.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace mdl
{

namespace
{

class ImageToVideo
{
  public:
    ImageToVideo(const Json &golden, const Json &one, std::string name, Report &report)
        : one_(one), name_(std::move(name)), report_(report), fill_(golden),
          tolerance_(tolerance_of(golden, one, 2e-5)),
          weights_(fill_.weights({report.options.dtype, report.options.device})),
          transformer_(DitConfig::parse(json_need(one, "transformer")), weights_),
          vae_(VaeConfig::parse(json_need(one, "vae")), weights_),
          scheduler_(SchedulerConfig::parse(json_need(one, "scheduler")), json_int(one, "steps_n", 50, 1))
    {
        const int64_t frames = json_int(one, "num_frames", 49, 1, 4096);
        const int64_t patch_t = std::max<int64_t>(transformer_.config().patch_t, 1);
        frames_ = (frames - 1) / vae_.config().temporal_ratio + 1;
        padding_ = transformer_.config().patch_t ? (patch_t - frames_ % patch_t) % patch_t : 0;
        frames_ += padding_;
        height_ = json_int(one, "height", 0, 8, 1 << 14), width_ = json_int(one, "width", 0, 8, 1 << 14);
    }

    void run()
    {
        const at::Tensor image = image_latents();
        report_.compare(name_ + "image_latents", json_need(one_, "image_latents"), image, tolerance_);
        const at::Tensor latents = denoise(image);
        const at::Tensor kept = latents.narrow(1, padding_, frames_ - padding_).transpose(1, 2);
        const at::Tensor pixels = vae_.decode(kept / vae_.config().scaling_factor);
        report_.compare(name_ + "decoded", json_need(one_, "decoded"), pixels, 10 * tolerance_);
        report_.compare(name_ + "post", json_need(one_, "post"), (pixels * 0.5 + 0.5).clamp(0, 1), 10 * tolerance_);
    }

  private:
    at::Tensor named(const std::string &label, at::IntArrayRef shape, double scale = 1) const
    {
        return fill_.input(label, shape, scale).to(report_.options.device, report_.options.dtype);
    }

    at::Tensor draw(at::IntArrayRef shape)
    {
        return named("noise" + std::to_string(draws_++), shape);
    }

    std::vector<int64_t> latent_shape(int64_t frames) const
    {
        const int64_t ratio = vae_.config().spatial_ratio();
        return {1, frames, vae_.config().latent_channels, height_ / ratio, width_ / ratio};
    }

    // The image's latents in the first frame, zeros behind.
    at::Tensor image_latents()
    {
        const VaeConfig &c = vae_.config();
        const at::Tensor moments = vae_.encode(named("image", {1, c.in_channels, height_, width_}, 0.5).unsqueeze(2));
        const auto size = latent_shape(1);
        const at::Tensor z = vae_sample(moments, draw({1, size[2], 1, size[3], size[4]}));
        const double scale = c.invert_scale_latents ? 1 / c.scaling_factor : c.scaling_factor;
        at::Tensor all = at::zeros(latent_shape(frames_), z.options());
        all.narrow(1, 0, 1).copy_(z.transpose(1, 2) * scale);
        return all;
    }

    at::Tensor denoise(const at::Tensor &image)
    {
        const DitConfig &c = transformer_.config();
        const std::vector<int64_t> text_shape{1, c.max_text_tokens, c.text_dim};
        const at::Tensor text = transformer_.text_tokens(
            at::cat({named("negative_prompt_embeds", text_shape), named("prompt_embeds", text_shape)}));
        const auto size = latent_shape(frames_);
        const nn::Rope rope = transformer_.rope(frames_, size[3], size[4], image.device());
        const at::Tensor t = at::tensor(scheduler_.timesteps(), at::kLong).to(image.device());
        const at::Tensor ofs = c.ofs_dim ? at::full({1}, json_double(one_, "ofs", 2.0), image.options()) : at::Tensor();
        const StepConditioning all = transformer_.condition(t, ofs);
        const double guidance = json_double(one_, "guidance_scale", 6.0);
        const Json &steps = json_need(one_, "steps");
        at::Tensor latents = draw(size), last;
        for (int64_t i = 0; i < all.rows(); i++) {
            const Json &expected = steps.at(static_cast<size_t>(i));
            const std::string step_name = name_ + "step" + std::to_string(i);
            const at::Tensor x = at::cat({latents, image}, 2).expand({2, -1, -1, -1, -1});
            const at::Tensor v = transformer_.forward(x, text, all.row(i), rope).to(at::kFloat);
            report_.compare(step_name + ".noise_pred", json_need(expected, "noise_pred"), v, tolerance_);
            const at::Tensor guided = v.narrow(0, 0, 1) + (v.narrow(0, 1, 1) - v.narrow(0, 0, 1)) * guidance;
            const Scheduler::Step step = scheduler_.dpm(i, guided, latents, last, [&] { return draw(size); });
            latents = step.sample.to(report_.options.dtype);
            last = step.x0;
            report_.compare(step_name + ".latents", json_need(expected, "latents"), latents, 5 * tolerance_);
        }
        return latents;
    }

    const Json &one_;
    const std::string name_;
    Report &report_;
    const Fill fill_;
    const double tolerance_;
    Weights weights_;
    const Transformer transformer_;
    const Vae vae_;
    const Scheduler scheduler_;
    int64_t frames_, padding_, height_, width_;
    int draws_ = 0;
};

} // namespace

void parity_pipeline_i2v(const Json &golden, Report &report)
{
    int n = 0;
    for (const Json &one : json_need(golden, "cases")) {
        const std::string name = "case" + std::to_string(n++) + "/";
        report.attempt(name + "run", [&] { ImageToVideo(golden, one, name, report).run(); });
    }
}

} // namespace mdl
