// params.h - what holds for the parameters of a run whatever the model: ranges of numbers, known switches, images.
#pragma once
#include "model.h"

#include <cstdint>

namespace mdl
{

// Throws Error(MDL_EINVAL) naming the first field that no model can take.
void check_params(const mdl_params &p);

// The same, for what only a run needs: references with pixels, a resume state when resume_segment is set.
void check_run_params(const mdl_params &p);

} // namespace mdl
