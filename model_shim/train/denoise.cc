// denoise.cc - see denoise.h.
#include "train/denoise.h"

#include "video_xl/shot_memory.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace mdl
{
namespace
{

constexpr double offset_input = 2.0; // the networks' `ofs`, a constant of the released pipelines

} // namespace

Latents Latents::sample(int64_t i) const
{
    Latents one = {x0.narrow(0, i, 1), image.narrow(0, i, 1), sketch.narrow(0, i, 1), text.narrow(0, i, 1), {}};
    if (!memory.empty())
        one.memory = {memory.at(static_cast<size_t>(i))};
    return one;
}

Denoiser::Denoiser(const Bench &b) : b_(b)
{
    // Throws for a size that the rotary tables do not have, before anything is read.
    const VaeConfig &vae = b.components.shapes().vae;
    const int64_t frames = (b.frames - 1) / vae.temporal_ratio + 2;
    b.components.transformer().rope(frames, b.size.height / vae.spatial_ratio(), b.size.width / vae.spatial_ratio(),
                                    b.compute.device);
}

const SchedulerConfig &Denoiser::schedule() const
{
    return b_.components.shapes().scheduler;
}

at::Tensor Denoiser::encoded(const at::Tensor &video, Draws &draws) const
{
    const VaeConfig &c = b_.components.shapes().vae;
    const VaeTiling tiling = b_.manifest.vae_tiling ? VaeTiling::half_sample(c) : VaeTiling{};
    const at::Tensor moments = b_.components.vae().encode(video.to(b_.compute.dtype), tiling).to(at::kFloat);
    std::vector<int64_t> shape = moments.sizes().vec();
    shape[1] /= 2;
    return vae_sample(moments, draws.normal(shape)).permute({0, 2, 1, 3, 4});
}

at::Tensor Denoiser::decode(const at::Tensor &latents) const
{
    const VaeConfig &c = b_.components.shapes().vae;
    const at::Tensor z = latents.narrow(1, 1, latents.size(1) - 1).permute({0, 2, 1, 3, 4}) / c.scaling_factor;
    return b_.components.vae().decode(z.to(b_.compute.dtype)).to(at::kFloat);
}

const at::Tensor &Denoiser::prompt(const std::string &text)
{
    const auto known = prompts_.find(text);
    if (known != prompts_.end())
        return known->second;
    const int64_t length = b_.components.shapes().transformer.max_text_tokens;
    const at::Tensor ids = at::tensor(b_.components.tokenizer().encode(text, length), at::kLong).unsqueeze(0);
    return prompts_.emplace(text, b_.components.text_encoder()(ids.to(b_.compute.device))).first->second;
}

at::Tensor Denoiser::text(const Batch &batch, Draws &draws)
{
    std::vector<at::Tensor> rows;
    for (const std::string &wanted : batch.prompts) {
        const bool dropped = draws.uniform() < b_.settings.prompt_dropout;
        rows.push_back(prompt(dropped ? "" : wanted + b_.manifest.prompt_suffix));
    }
    return at::cat(rows);
}

Latents Denoiser::latents(const Batch &batch, Draws &draws, bool first_segment)
{
    const c10::AutoGradMode off(false);
    const double scale = b_.components.shapes().vae.scaling_factor;
    const PadSketch pad = b_.manifest.pad_sketch;
    const bool of_reference = pad == PadSketch::reference || (pad == PadSketch::released && first_segment);
    Latents l;
    const at::Tensor frames = encoded(batch.color, draws) * scale;
    const at::Tensor lines = encoded(batch.sketch, draws) * scale;
    const at::Tensor reference = encoded(batch.reference, draws);
    const at::Tensor padding =
        encoded(of_reference ? batch.reference_sketch : batch.sketch.narrow(2, 0, 1), draws) * scale;
    l.x0 = at::cat({reference * scale, frames}, 1);
    l.image = at::cat({reference * b_.manifest.image_latent_scale, at::zeros_like(frames)}, 1);
    l.sketch = at::cat({padding, lines}, 1);
    l.text = text(batch, draws);
    return l;
}

std::vector<Dglm::Cache> Denoiser::memory(const Batch &batch) const
{
    std::vector<Dglm::Cache> all;
    for (const at::Tensor &history : batch.history) {
        at::Tensor global, local;
        {
            const c10::AutoGradMode off(false);
            const VideoXl &encoder = b_.components.video_encoder();
            ShotMemory memory({.ratio = b_.manifest.compression_ratio,
                               .global_frames = b_.manifest.global_frames_max,
                               .local_frames = b_.manifest.local_frames});
            memory.append(encoder, history);
            global = memory.global(encoder);
            local = memory.local(encoder);
        }
        all.push_back(b_.components.memory().map(global, local));
    }
    return all;
}

at::Tensor Denoiser::answer(const Latents &l, const at::Tensor &noisy, const at::Tensor &t) const
{
    const SketchDit &sketch = b_.components.sketch_dit();
    const Transformer &transformer = b_.components.transformer();
    const auto dtype = b_.compute.dtype;
    const at::Tensor ofs = at::full({1}, offset_input, noisy.options()), when = t.to(b_.compute.device);
    const auto offset_of = [&ofs](const DitConfig &c) { return c.ofs_dim > 0 ? ofs : at::Tensor(); };
    const int64_t frames = noisy.size(1), h = noisy.size(3), w = noisy.size(4);

    const at::Tensor z = sketch.forward(at::cat({l.sketch, l.image}, 2).to(dtype), sketch.text_tokens(l.text),
                                        sketch.condition(when, offset_of(sketch.config())),
                                        sketch.rope(frames, h, w, b_.compute.device));
    at::Tensor control = z;
    if (!l.memory.empty()) {
        std::vector<at::Tensor> remembered;
        for (int64_t i = 0; i < z.size(0); i++)
            remembered.push_back(
                b_.components.memory().forward(l.memory.at(static_cast<size_t>(i)), z.narrow(0, i, 1)));
        control = z + at::cat(remembered);
    }
    const at::Tensor y = transformer.forward(
        at::cat({noisy, l.image}, 2).to(dtype), transformer.text_tokens(l.text),
        transformer.condition(when, offset_of(transformer.config())), transformer.rope(frames, h, w, b_.compute.device),
        {control, b_.manifest.control_scale, injection_by_name(injection_name(b_.manifest.injection))});
    return y.to(at::kFloat);
}

} // namespace mdl
