// parameters.h - which weights train: part names, the leaf tensors behind them, and their averages.
//
//   part names: a component ("sketch_dit"), or a piece of one ("vae.decoder"); the table is in parameters.cc
//
// A weight that trains is a float32 leaf tensor that the network itself computes with: a step changes it in place.
#pragma once
#include "longanimation/components.h"

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace mdl
{

struct Parameter {
    std::string name;    // "<component>/<key>"
    at::Tensor value;    // leaf
    at::Tensor average;  // undefined without averaging
    bool matrix = false; // of a block: Muon's
};

class Parameters
{
  public:
    // `names`: comma-separated part names. Throws Error(MDL_EINVAL) naming what is unknown.
    explicit Parameters(const std::string &names);

    // Makes the chosen weights of a component leaves while it is loaded.
    WeightOptions options(Part p, const WeightOptions &usual);
    // After every component was loaded: throws Error(MDL_EINVAL) when a chosen part has no weights.
    void loaded(bool averaged);

    bool trains(Part p) const; // anything of it
    std::vector<Parameter> &all()
    {
        return all_;
    }
    const std::vector<Parameter> &all() const
    {
        return all_;
    }
    int64_t count() const; // numbers
    // average += (1 - decay) * (value - average), at the end of step `step` (from 0).
    void average(double decay, int64_t step);

    static std::vector<std::string> part_names();

  private:
    std::vector<size_t> rows_; // of the table
    std::vector<Parameter> all_;
};

// While one lives the networks compute with the averages.
class AveragesInUse
{
  public:
    explicit AveragesInUse(Parameters &p);
    ~AveragesInUse();
    AveragesInUse(const AveragesInUse &) = delete;
    AveragesInUse &operator=(const AveragesInUse &) = delete;

  private:
    void swap();
    Parameters &parameters_;
};

} // namespace mdl
