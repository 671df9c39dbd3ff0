// golden.h - the numbers that golden files are made of: values generated from names, and records of tensors.
//
//   unit(s)[i]  = splitmix64(fnv1a64(s) + (i+1)*0x9E3779B97F4A7C15), its upper 24 bits as a number in [-1, 1)
//   weight      by name and shape (rules in golden.cc), input = unit("input:" + label) * sqrt(3) * scale
#pragma once
#include "io/json.h"
#include "io/weights.h"

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

namespace mdl
{

uint64_t fnv1a64(std::string_view bytes);

// Generates what the golden file `golden` names; its "name_salt" goes in front of every name.
class Fill
{
  public:
    explicit Fill(std::string salt) : salt_(std::move(salt))
    {
    }
    explicit Fill(const Json &golden);

    std::vector<double> unit(std::string_view name, int64_t count) const; // without the salt put in front
    at::Tensor weight(const std::string &name, at::IntArrayRef shape) const;
    at::Tensor input(const std::string &label, at::IntArrayRef shape, double scale = 1) const;
    at::Tensor image_u8(const std::string &label, at::IntArrayRef shape) const;
    // The weights of a golden's "state_dict" (name -> shape).
    Weights weights(const Json &state_dict, const WeightOptions &options) const;
    // Whatever is asked for, where a golden lists no names.
    Weights weights(const WeightOptions &options) const;

  private:
    std::string salt_;
};

struct Comparison {
    bool same = true;
    double error = 0; // largest difference of an element; infinity when shapes differ or something is no number
    std::string note; // what differs, empty when nothing does
};

// Compares with a record {shape, sum, abs_sum, min, max, first, last[, values]}: elements, min and max by `tolerance`,
// sums by tolerance * number of elements. uint8 records must be equal and match their "fnv1a64" where there is one.
Comparison compare(const Json &record, const at::Tensor &actual, double tolerance);

// The case's "tolerance", else the file's, else `fallback`.
double tolerance_of(const Json &golden, const Json &one_case, double fallback);

} // namespace mdl
