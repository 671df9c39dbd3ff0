// scheduler.h - timesteps and update rules of CogVideoX: DDIM and the stochastic second-order DPM solver. Arithmetic,
// no network. (diffusers CogVideoXDDIMScheduler, CogVideoXDPMScheduler)
//
// Coefficients are doubles; a product with a tensor keeps the tensor's type and rounds as in the reference, where
// bfloat16 latents meet coefficients rounded to bfloat16. The schedule ends in infinities on purpose (zero terminal
// SNR): no fast-math here.
#pragma once
#include "io/json.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace mdl
{

enum class Prediction { epsilon, sample, v };
enum class Spacing { trailing, leading, linspace };
enum class BetaSchedule { scaled_linear, linear, squaredcos_cap_v2 };

// scheduler_config.json; the class that it names is ignored, since both solvers take the same values.
struct SchedulerConfig {
    int64_t train_steps = 1000;
    double beta_start = 0.00085, beta_end = 0.012;
    BetaSchedule beta_schedule = BetaSchedule::scaled_linear;
    std::vector<double> trained_betas; // instead of a schedule
    bool set_alpha_to_one = true;
    int64_t steps_offset = 0;
    Prediction prediction = Prediction::epsilon;
    Spacing spacing = Spacing::leading;
    bool rescale_zero_snr = false;
    double snr_shift_scale = 3.0;

    static SchedulerConfig parse(const Json &config);
};

// Immutable; any thread.
class Scheduler
{
  public:
    struct Step {
        at::Tensor sample; // the next latents, in the promoted type: cast before going on
        at::Tensor x0;     // the clean latents that this step predicts; keep as it is for the next step
    };
    using Draw = std::function<at::Tensor()>; // standard normal noise like the sample

    // `steps` in 1..train_steps, else Error(MDL_EINVAL).
    Scheduler(const SchedulerConfig &config, int64_t steps);

    const std::vector<int64_t> &timesteps() const
    {
        return timesteps_;
    }
    // Product of the alphas up to time step t; the final value for t < 0.
    double alpha_bar(int64_t t) const;

    // For training: x0 noised to the time step of each row of t (int64, on the CPU), and what the network is to answer.
    at::Tensor noised(const at::Tensor &x0, const at::Tensor &noise, const at::Tensor &t) const;
    at::Tensor target(const at::Tensor &x0, const at::Tensor &noise, const at::Tensor &t) const;

    // The Gaussian that a dpm step draws its sample from: mean + deviation * noise.
    struct Gaussian {
        at::Tensor mean, x0;
        double deviation = 0;
    };
    Gaussian dpm_gaussian(int64_t i, const at::Tensor &output, const at::Tensor &sample, const at::Tensor &last) const;

    Step ddim(int64_t i, const at::Tensor &output, const at::Tensor &sample) const;
    // `last` is the x0 of step i-1, undefined at the first step. `draw` is called draws(i) times; of two the second is
    // used.
    Step dpm(int64_t i, const at::Tensor &output, const at::Tensor &sample, const at::Tensor &last,
             const Draw &draw) const;
    int draws(int64_t i) const;

  private:
    int64_t time(int64_t i) const;
    int64_t before(int64_t t) const; // the time step that a step from t arrives at
    at::Tensor weights(const at::Tensor &t, const at::Tensor &like, bool of_noise) const;
    at::Tensor predict_x0(int64_t t, const at::Tensor &output, const at::Tensor &sample) const;

    SchedulerConfig c_;
    std::vector<double> alpha_bar_;
    double final_alpha_bar_ = 1;
    std::vector<int64_t> timesteps_;
    int64_t stride_ = 1; // train_steps / steps, in integers
};

} // namespace mdl
