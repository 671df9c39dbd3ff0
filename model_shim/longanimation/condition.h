// condition.h - what a segment is generated from, as latents: its lines and the reference.
//
//   sketch   [pad sketch | lines of the segment]   posterior samples times the VAE's scaling factor
//   image    [reference | zeros]                   a posterior sample times image_latent_scale
//
// Latents are [1, F, C, h, w] with F = latent frames and the padding frame in front.
#pragma once
#include "longanimation/components.h"
#include "longanimation/noise.h"
#include "longanimation/picture.h"
#include "longanimation/settings.h"
#include "longanimation/tap.h"

namespace mdl
{

struct Condition {
    at::Tensor sketch, image;
};

class Conditioner
{
  public:
    Conditioner(const Manifest &m, const Settings &s, const Compute &c, const RunTap &tap);

    // frames: uint8 [F,3,H,W]. The encode phase has to be entered.
    Condition operator()(const Components &n, const Segment &segment, const at::Tensor &frames,
                         const Reference &reference, Noise &noise);

  private:
    at::Tensor sketch_latents(const Components &n, const Segment &segment, const at::Tensor &frames,
                              const Reference &reference, Noise &noise) const;
    at::Tensor image_latents(const Components &n, const Reference &reference, Noise &noise);
    at::Tensor sampled(const at::Tensor &moments, Noise &noise, const char *name) const; // [1,F,C,h,w]
    void see(int32_t segment, const char *name, const at::Tensor &t) const;

    const Manifest &manifest_;
    const Settings &settings_;
    Compute compute_;
    const RunTap &tap_;
    VaeTiling tiling_;
    double scaling_factor_ = 1;
    int64_t frames_ = 0; // latent frames, padding included
    at::Tensor image_;   // latents of the one reference; undefined until known, and always when it changes
};

} // namespace mdl
