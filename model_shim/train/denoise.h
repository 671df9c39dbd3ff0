// denoise.h - what the stages behind the VAE share: samples as latents, the prompt as text states, and one answer of
// the networks, with gradient.
//
//   latents [B, F, C, h, w], F = latent frames and the padding frame in front, laid out as in a run (condition.h):
//   x0      [reference | frames]     scaled
//   image   [reference | zeros]      times image_latent_scale
//   sketch  [pad sketch | lines]     scaled
#pragma once
#include "longanimation/scheduler.h"
#include "train/stage.h"

#include <map>
#include <string>
#include <vector>

namespace mdl
{

struct Latents {
    at::Tensor x0, image, sketch, text;
    std::vector<Dglm::Cache> memory; // one a sample; empty = no memory

    Latents sample(int64_t i) const; // one sample, as views
};

class Denoiser
{
  public:
    explicit Denoiser(const Bench &b);

    // Without gradient. `first_segment`: which pad sketch the model is used to.
    Latents latents(const Batch &batch, Draws &draws, bool first_segment);
    // The networks' answer to `noisy` at the time steps t [B], float32.
    at::Tensor answer(const Latents &l, const at::Tensor &noisy, const at::Tensor &t) const;
    // Keys and values of every sample's history; the memory module's part with gradient.
    std::vector<Dglm::Cache> memory(const Batch &batch) const;
    // Latents -> pixels [B,3,F,H,W], without the padding frame.
    at::Tensor decode(const at::Tensor &latents) const;

    const SchedulerConfig &schedule() const;

  private:
    at::Tensor encoded(const at::Tensor &video, Draws &draws) const; // a posterior sample, [B,f,C,h,w]
    at::Tensor text(const Batch &batch, Draws &draws);
    const at::Tensor &prompt(const std::string &text);

    const Bench &b_;
    std::map<std::string, at::Tensor> prompts_;
};

} // namespace mdl
