// estimate.h - how much memory a run needs, from shapes alone: weights are counted, activations are estimated with
// factors that were measured (docs/model.md says how).
#pragma once
#include "device.h"
#include "longanimation/components.h"
#include "longanimation/settings.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mdl
{

// Activations of each phase at its peak, bytes.
struct WorkBytes {
    int64_t text = 0, recall = 0, encode = 0, diffusion = 0, decode = 0;
};
WorkBytes estimate_work(const Manifest &m, const Shapes &shapes, const Settings &s, const Compute &c);

struct PhaseBytes {
    const char *name;
    int64_t weights, work;
};
// In the order of the run; phases that the model does without are left out.
std::vector<PhaseBytes> estimate_phases(const Manifest &m, const std::vector<PartInfo> &parts, const Shapes &shapes,
                                        const Settings &s, const Compute &c);

struct RunBytes {
    int64_t host = 0, device = 0; // peaks; device is 0 on the CPU, where all of it is the host's
    bool fits = true;             // false: one phase alone is over the budget
};
// Everything stays on the device when the budget allows it, else a phase at a time.
RunBytes estimate_run(const Manifest &m, const std::vector<PartInfo> &parts, const Shapes &shapes, const Settings &s,
                      const Compute &c);

} // namespace mdl
