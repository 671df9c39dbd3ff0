// condition.cc - see condition.h. The order of draws is the reference's: lines, first frame, reference's lines.
#include "longanimation/condition.h"

#include <ATen/ATen.h>

namespace mdl
{

Conditioner::Conditioner(const Manifest &m, const Settings &s, const Compute &c, const RunTap &tap)
    : manifest_(m), settings_(s), compute_(c), tap_(tap), frames_(plan_latent_frames(m.segment_frames) + 1)
{
}

void Conditioner::see(int32_t segment, const char *name, const at::Tensor &t) const
{
    if (tap_ && t.defined())
        tap_(segment, name, t);
}

at::Tensor Conditioner::sampled(const at::Tensor &moments, Noise &noise, const char *name) const
{
    std::vector<int64_t> shape = moments.sizes().vec();
    shape[1] /= 2;
    return vae_sample(moments, noise.sketch(name, shape)).mul(scaling_factor_).permute({0, 2, 1, 3, 4});
}

at::Tensor Conditioner::sketch_latents(const Components &n, const Segment &segment, const at::Tensor &frames,
                                       const Reference &reference, Noise &noise) const
{
    const int32_t k = segment.index;
    const bool of_reference = settings_.pads_with_reference(k);
    const Sketch sketch = sketch_of(frames, settings_.lineart_input ? nullptr : &n.lineart(), compute_);
    if (k == 0 && sketch.raw.defined())
        see(k, "lineart_raw_frame0", sketch.raw.narrow(0, 0, 1));
    const at::Tensor moments = n.vae().encode(sketch.pixels, tiling_);
    see(k, "sketch_moments", moments);
    const at::Tensor lines = sampled(moments, noise, "sketch_posterior");
    see(k, "sketch_latents", lines);

    at::Tensor pad;
    if (!of_reference || tap_) {
        const at::Tensor first = n.vae().encode(sketch.pixels.narrow(2, 0, 1), tiling_);
        see(k, "first_frame_sketch_moments", first);
        pad = sampled(first, noise, "first_frame_sketch_posterior");
    } else { // drawn though nobody uses it
        noise.sketch("first_frame_sketch_posterior", {1, moments.size(1) / 2, 1, moments.size(3), moments.size(4)});
    }
    if (of_reference) {
        const Sketch drawn = sketch_of(reference.drawn, &n.lineart(), compute_);
        see(-1, "reference_lineart_raw", drawn.raw);
        const at::Tensor own = n.vae().encode(drawn.pixels, tiling_);
        see(-1, "reference_sketch_moments", own);
        pad = sampled(own, noise, "reference_sketch_posterior");
    }
    see(k, "pad_sketch_latent", pad);
    return at::cat({pad, lines}, 1);
}

at::Tensor Conditioner::image_latents(const Components &n, const Reference &reference, Noise &noise)
{
    const VaeConfig &vae = n.shapes().vae;
    const int64_t h = settings_.size.height / vae.spatial_ratio(), w = settings_.size.width / vae.spatial_ratio();
    const at::Tensor drawn = noise.main("image_posterior", {1, vae.latent_channels, 1, h, w});
    if (image_.defined())
        return image_;
    const at::Tensor pixels = image_pixels(reference.color, compute_);
    see(-1, "image_in", pixels);
    const at::Tensor moments = n.vae().encode(pixels, tiling_);
    see(-1, "image_posterior_moments", moments);
    const at::Tensor latent = vae_sample(moments, drawn).mul(manifest_.image_latent_scale).permute({0, 2, 1, 3, 4});
    const at::Tensor padding =
        at::zeros({1, frames_ - 1, latent.size(2), latent.size(3), latent.size(4)}, latent.options());
    const at::Tensor image = at::cat({latent, padding}, 1);
    see(-1, "image_latents", image);
    if (!settings_.autoregressive)
        image_ = image;
    return image;
}

Condition Conditioner::operator()(const Components &n, const Segment &segment, const at::Tensor &frames,
                                  const Reference &reference, Noise &noise)
{
    const VaeConfig &vae = n.shapes().vae;
    tiling_ = manifest_.vae_tiling ? VaeTiling::half_sample(vae) : VaeTiling{};
    scaling_factor_ = vae.scaling_factor;
    if (tap_) {
        see(segment.index, "frames", frames);
        see(-1, "reference_cropped", reference.drawn.squeeze(0));
        see(-1, "reference_resized", reference.color);
    }
    Condition c;
    c.sketch = sketch_latents(n, segment, frames, reference, noise);
    c.image = image_latents(n, reference, noise);
    return c;
}

} // namespace mdl
