// batch.h - samples as the networks take them, and the random numbers of a step.
#pragma once
#include "device.h"
#include "longanimation/plan.h"
#include "train.h"

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace mdl
{

// The random numbers of one pass: they depend on seed, step and pass alone. Drawn on the CPU in float32, as in a run.
class Draws
{
  public:
    Draws(uint64_t seed, int64_t step, int64_t pass, const Compute &c);

    at::Tensor normal(at::IntArrayRef shape);
    double uniform(); // [0, 1)
    int64_t below(int64_t n);

  private:
    at::Generator generator_;
    Compute compute_;
};

struct Batch {
    at::Tensor color;                // [B,3,F,H,W] in [-1,1]
    at::Tensor sketch;               // [B,3,F,H,W] of +1 (line) and -1
    at::Tensor reference;            // [B,3,1,H,W]
    at::Tensor reference_sketch;     // [B,3,1,H,W]
    std::vector<at::Tensor> history; // uint8 [n,H,W,3] a sample, undefined without
    std::vector<std::string> prompts;

    int64_t size() const
    {
        return color.size(0);
    }
};

class BatchMaker
{
  public:
    BatchMaker(NetworkSize size, int64_t frames, const Compute &c);
    // Copies a sample in. Throws Error(MDL_EINVAL) when something that `needs_history` asks for is missing.
    void add(const mdl_train_sample &sample, bool needs_history, const std::string &usual_prompt);
    Batch take();

  private:
    at::Tensor pixels(const uint8_t *rgb, int64_t frames) const;
    at::Tensor lines(const uint8_t *grey, int64_t frames) const;

    NetworkSize size_;
    int64_t frames_;
    Compute compute_;
    std::vector<at::Tensor> color_, sketch_, reference_, reference_sketch_;
    Batch batch_;
};

} // namespace mdl
