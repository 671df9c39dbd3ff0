// stage.h - what a stage of training is: a loss over a batch. A row per stage in trainer.cc.
#pragma once
#include "longanimation/components.h"
#include "nn/recompute.h"
#include "train/batch.h"
#include "train/checkpoint.h"
#include "train/parameters.h"

#include <memory>
#include <vector>

namespace mdl
{

// What all stages work with. Outlives them.
struct Bench {
    const Manifest &manifest;
    const Components &components;
    const mdl_train_settings &settings;
    const Compute &compute;
    NetworkSize size;
    int64_t frames;
};

class Stage
{
  public:
    virtual ~Stage() = default;

    // Adds share * gradient of the loss to the gradients of the weights; gives the loss.
    virtual double pass(const Batch &batch, Draws &draws, double share) = 0;
    virtual double reward() const // of the last pass
    {
        return 0;
    }
    // What the stage measures along the way and a checkpoint has to keep; changed in place.
    virtual NamedTensors state() const
    {
        return {};
    }
    // What the VAE's scaling_factor is to be after training; 0 = as before.
    virtual double vae_scale() const
    {
        return 0;
    }
};

std::unique_ptr<Stage> make_vae_stage(const Bench &b);
std::unique_ptr<Stage> make_sketch_stage(const Bench &b);
std::unique_ptr<Stage> make_memory_stage(const Bench &b);
std::unique_ptr<Stage> make_reward_stage(const Bench &b);

// While one lives, products are in bfloat16 (if asked for) and blocks keep their inputs only (if asked for).
class ForwardScope
{
  public:
    explicit ForwardScope(const Bench &b);
    ~ForwardScope();
    ForwardScope(const ForwardScope &) = delete;
    ForwardScope &operator=(const ForwardScope &) = delete;

  private:
    c10::DeviceType device_;
    bool autocast_;
    nn::RecomputeScope recompute_;
};

} // namespace mdl
