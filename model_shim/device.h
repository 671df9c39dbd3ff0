// device.h - where and in what type networks compute, chosen from mdl_options.
#pragma once
#include "model.h"

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>

namespace mdl
{

struct Compute {
    c10::Device device = c10::Device(c10::DeviceType::CPU);
    c10::ScalarType dtype = c10::ScalarType::Float;
    int64_t budget_bytes = 0; // that networks and their activations may take; 0 = no limit

    bool cuda() const
    {
        return device.is_cuda();
    }
};

// Auto: the GPU when there is one, else the CPU; bfloat16 there, float32 here. Sets the process' number of threads when
// asked to, and makes libtorch compute reproducibly and without TF32. The budget is never more than the GPU has, or, on
// the CPU, most of the host's memory. Throws Error(MDL_EINVAL) for a device that is not
// there or a type that is unknown.
Compute choose_compute(const mdl_options &o);

std::string dtype_name(c10::ScalarType t); // "float32", "bfloat16"

// Gives memory that nothing uses back, to the GPU or to the system, after networks were dropped.
void release_cached(const Compute &c);

} // namespace mdl
