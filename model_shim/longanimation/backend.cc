// backend.cc - a LongAnimation model behind backend.h.
#include "backend.h"
#include "error.h"
#include "io/identity.h"
#include "io/json.h"
#include "longanimation/components.h"
#include "longanimation/describe.h"
#include "longanimation/estimate.h"
#include "longanimation/manifest.h"
#include "longanimation/pipeline.h"
#include "longanimation/settings.h"
#include "params.h"

#include <c10/core/InferenceMode.h>

namespace mdl
{
namespace
{

class LongAnimation : public Backend
{
  public:
    LongAnimation(const std::string &folder, const mdl_options &o)
        : compute_(choose_compute(o)), manifest_(manifest_read(folder)), components_(manifest_, compute_),
          identity_(model_identity(manifest_, components_.parts())),
          about_(describe_model(manifest_, components_, compute_, identity_))
    {
    }

    const std::string &describe() const override
    {
        return about_;
    }

    mdl_plan plan(const mdl_params &p) override
    {
        const Settings s = settings_make(manifest_, p);
        const RunBytes bytes = estimate_run(manifest_, components_.parts(), components_.shapes(), s, compute_);
        mdl_plan out{};
        out.width = s.size.width;
        out.height = s.size.height;
        out.segments = static_cast<int32_t>(s.plan.segments.size());
        out.segment_frames = manifest_.segment_frames;
        out.stride_frames = manifest_.stride_frames();
        out.output_frames = s.plan.output_frames;
        out.steps = static_cast<int32_t>(s.steps);
        out.host_bytes = bytes.host;
        out.device_bytes = bytes.device;
        return out;
    }

    void run(const mdl_params &p) override
    {
        const c10::InferenceMode no_gradients;
        check_run_params(p);
        const Settings s = settings_make(manifest_, p);
        const RunBytes bytes = estimate_run(manifest_, components_.parts(), components_.shapes(), s, compute_);
        if (!bytes.fits)
            fail(MDL_ENOMEM, "a run at %dx%d needs %lld bytes on the device, the budget is %lld", s.size.width,
                 s.size.height, static_cast<long long>(compute_.cuda() ? bytes.device : bytes.host),
                 static_cast<long long>(compute_.budget_bytes));
        pipeline_run(manifest_, components_, compute_, s, p, identity_.whole);
    }

  private:
    Compute compute_;
    Manifest manifest_;
    Components components_;
    ModelIdentity identity_;
    std::string about_;
};

} // namespace

std::unique_ptr<Backend> open_longanimation(const std::string &dir, const mdl_options &o)
{
    const c10::InferenceMode no_gradients;
    return std::make_unique<LongAnimation>(dir, o);
}

} // namespace mdl
