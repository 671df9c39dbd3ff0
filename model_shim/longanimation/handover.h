// handover.h - what a segment hands to the next besides its delivered frames: the latent tails that colour fusion draws
// on, one per fused step. Bounded by fused steps x 4 latent frames (22 MB in bfloat16 at 1024x576 with 50 steps).
#pragma once
#include "device.h"
#include "longanimation/fusion.h"
#include "longanimation/settings.h"
#include "longanimation/vae.h"
#include "model.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mdl
{

// Over everything that the frames depend on: parameters, references, weights. Not the device, the type of computing or
// the version: a job may go on on another machine, though only the same one gives the same bytes.
uint64_t run_fingerprint(const Settings &s, const mdl_params &p, const std::string &model_id);

// The state of a finished segment. Payload: 4 bytes type of the numbers (0 float32, 1 bfloat16), then the tails.
std::vector<uint8_t> handover_pack(uint64_t fingerprint, int32_t segment, const FusionTails &tails);

// The tails in the caller's resume state. Throws Error(MDL_EINVAL) unless they fit the run exactly.
FusionTails handover_open(const mdl_params &p, uint64_t fingerprint, const Settings &s, const VaeConfig &vae,
                          const Compute &c);

} // namespace mdl
