// optimizer.h - how gradients change weights: AdamW, or Muon for the matrices of blocks and AdamW for the rest; and how
// the learning rate runs over the steps.
//
// Muon (K. Jordan, 2024): momentum, then the nearest orthogonal matrix by five Newton-Schulz steps.
#pragma once
#include "train.h"
#include "train/parameters.h"

#include <map>
#include <string>
#include <vector>

namespace mdl
{

// Of step `step` (from 0): warm-up, flat, then the schedule's fall to final_share.
double learning_rate(const mdl_train_settings &s, int64_t step);

class Optimizer
{
  public:
    Optimizer(const mdl_train_settings &s, const std::vector<Parameter> &parameters);

    // The norm of all gradients together; above `clip` (if that is not 0) they are scaled down to it.
    double clip_gradients(const std::vector<Parameter> &parameters) const;
    // One step with the gradients at hand; a weight without one stays.
    void step(std::vector<Parameter> &parameters, double rate);
    static void drop_gradients(std::vector<Parameter> &parameters);

    // What has to be kept with a checkpoint, by name; to be changed in place when one is read.
    std::map<std::string, at::Tensor> state() const;
    int64_t bytes() const;

  private:
    void adamw(std::vector<Parameter> &parameters, double rate);
    void muon(std::vector<Parameter> &parameters, double rate);

    struct Moments {
        at::Tensor first, second, steps; // Muon: first only
    };
    double beta1_, beta2_, weight_decay_, clip_;
    std::vector<std::string> names_;
    std::vector<Moments> moments_; // a row per parameter
    std::vector<bool> is_muon_;
};

} // namespace mdl
