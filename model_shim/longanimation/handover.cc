// handover.cc - see handover.h.
#include "longanimation/handover.h"

#include "error.h"
#include "state.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>

namespace mdl
{
namespace
{

constexpr size_t type_bytes = 4;

} // namespace

uint64_t run_fingerprint(const Settings &s, const mdl_params &p, const std::string &model_id)
{
    Fingerprint f;
    f.add(std::string_view("longanimation 1")).add(std::string_view(model_id));
    f.add(std::string_view(s.prompt)).add(std::string_view(s.negative_prompt));
    for (int64_t n :
         {int64_t{p.input_width}, int64_t{p.input_height}, s.plan.input_frames, static_cast<int64_t>(s.profile),
          int64_t{s.size.width}, int64_t{s.size.height}, static_cast<int64_t>(s.fitting), s.steps,
          static_cast<int64_t>(s.injection), static_cast<int64_t>(s.seed), int64_t{s.lineart_input},
          int64_t{s.autoregressive}, int64_t{s.fast}, int64_t{s.global_memory}, int64_t{s.local_memory},
          s.global_frames, s.local_frames, int64_t{s.fusion.enabled}, s.fusion.first_step})
        f.add(n);
    f.add(s.guidance_scale).add(s.control_scale);
    for (int32_t i = 0; i < p.reference_count; i++) {
        const mdl_image &r = p.references[i];
        f.add(int64_t{r.width}).add(int64_t{r.height});
        f.add(std::string_view(reinterpret_cast<const char *>(r.rgb),
                               static_cast<size_t>(r.width) * static_cast<size_t>(r.height) * 3));
    }
    return f.value();
}

std::vector<uint8_t> handover_pack(uint64_t fingerprint, int32_t segment, const FusionTails &tails)
{
    std::vector<uint8_t> payload(type_bytes);
    if (const at::Tensor stacked = tails.stacked(); stacked.defined()) {
        const at::Tensor flat = stacked.contiguous().cpu();
        payload[0] = flat.scalar_type() == at::kBFloat16;
        payload.resize(type_bytes + flat.nbytes());
        std::memcpy(payload.data() + type_bytes, flat.const_data_ptr(), flat.nbytes());
    }
    return state_pack(fingerprint, segment, payload);
}

FusionTails handover_open(const mdl_params &p, uint64_t fingerprint, const Settings &s, const VaeConfig &vae,
                          const Compute &c)
{
    const std::string_view payload =
        state_open(p.resume_state, p.resume_state_size_bytes, fingerprint, p.resume_segment - 1);
    const int64_t steps = s.fusion.enabled ? s.steps - std::clamp<int64_t>(s.fusion.first_step, 0, s.steps) : 0;
    const std::vector<int64_t> shape = {steps, static_cast<int64_t>(s.fusion.weights.size()), vae.latent_channels,
                                        s.size.height / vae.spatial_ratio(), s.size.width / vae.spatial_ratio()};
    const auto dtype = !payload.empty() && payload[0] == 1 ? at::kBFloat16 : at::kFloat;
    if (steps > 0 && dtype != c.dtype)
        fail(MDL_EINVAL, "the resume state comes from a run in %s, this one computes in %s", dtype_name(dtype).c_str(),
             dtype_name(c.dtype).c_str());
    const at::Tensor tails = at::empty(shape, at::TensorOptions().dtype(dtype));
    if (payload.size() != type_bytes + tails.nbytes())
        throw Error(MDL_EINVAL, "the resume state has another size than this run's tails");
    if (steps == 0)
        return FusionTails::unstack(s.fusion, s.steps, {});
    std::memcpy(tails.mutable_data_ptr(), payload.data() + type_bytes, tails.nbytes());
    return FusionTails::unstack(s.fusion, s.steps, tails.to(c.device));
}

} // namespace mdl
