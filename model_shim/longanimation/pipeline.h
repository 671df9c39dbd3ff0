// pipeline.h - one run, in the order of the algorithm. The only file that knows the order of the stages, and with
// host.h the only one that calls the caller back.
#pragma once
#include "device.h"
#include "longanimation/components.h"
#include "longanimation/noise.h"
#include "longanimation/settings.h"
#include "longanimation/tap.h"
#include "model.h"

#include <functional>

namespace mdl
{

// What the video encoder remembers: [1, 2 (keys, values), layers, tokens, width]; undefined = nothing.
struct Memories {
    at::Tensor global, local;
};

// Replacements of parts of a run, for parity: stored random numbers and memories, a look inside.
struct RunHooks {
    Noise *noise = nullptr;
    std::function<Memories(int32_t segment)> memories;
    RunTap tap;
};

// Runs `s` (made of `p`) with the caller's callbacks. `model_id` names the weights in segment states. Throws.
void pipeline_run(const Manifest &m, Components &n, const Compute &c, const Settings &s, const mdl_params &p,
                  const std::string &model_id, const RunHooks &hooks = {});

} // namespace mdl
