// noise.h - every random number of a run, drawn by name and in the reference's order.
//
// Two streams, both made anew for every segment, so that all segments see the same numbers:
//   sketch (seed + 1)  sketch_posterior, first_frame_sketch_posterior, reference_sketch_posterior
//   main (seed)        image_posterior, init, then per step step<i>_discarded where the scheduler throws one away,
//   step<i>
// Draws are float32 from libtorch's CPU generator and cast afterwards: one seed gives the same picture in every type of
// computing and on every device.
#pragma once
#include "device.h"

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <string>

namespace mdl
{

class Noise
{
  public:
    virtual ~Noise() = default;
    virtual void begin_segment() = 0;
    virtual at::Tensor sketch(const std::string &name, at::IntArrayRef shape) = 0;
    virtual at::Tensor main(const std::string &name, at::IntArrayRef shape) = 0;
};

class SeededNoise : public Noise
{
  public:
    SeededNoise(uint64_t seed, const Compute &c);
    void begin_segment() override;
    at::Tensor sketch(const std::string &name, at::IntArrayRef shape) override;
    at::Tensor main(const std::string &name, at::IntArrayRef shape) override;

  private:
    at::Tensor draw(at::Generator &from, at::IntArrayRef shape) const;

    uint64_t seed_;
    Compute compute_;
    at::Generator main_, sketch_;
};

} // namespace mdl
