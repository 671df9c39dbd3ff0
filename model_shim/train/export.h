// export.h - trained networks as a model folder.
#pragma once
#include "longanimation/manifest.h"
#include "train/parameters.h"

#include <string>

namespace mdl
{

// Writes `folder`: the components of `m` under their usual names, with the weights of `parameters` (the averages where
// there are any; other weights of the same component as stored) in the type `store` (MDL_STORE_*), and everything else
// linked or copied. `vae_scale` > 0 becomes the VAE's scaling_factor. Goldens of the old weights stay behind. Throws
// Error(MDL_EINVAL).
void export_model(const Manifest &m, const Parameters &parameters, double vae_scale, int32_t store,
                  const std::string &folder);

} // namespace mdl
