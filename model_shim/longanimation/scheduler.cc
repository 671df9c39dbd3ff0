#include "longanimation/scheduler.h"
#include "error.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace mdl
{

namespace
{

template <class T> struct Name {
    const char *name;
    T value;
};

template <class T, size_t n> T by_name(const Name<T> (&names)[n], const std::string &name, const char *what)
{
    for (const auto &row : names)
        if (name == row.name)
            return row.value;
    throw Error(MDL_EWEIGHTS, std::string("scheduler config: ") + what + " \"" + name + "\" is not supported");
}

const Name<Prediction> predictions[] = {
    {"epsilon", Prediction::epsilon}, {"sample", Prediction::sample}, {"v_prediction", Prediction::v}};
const Name<Spacing> spacings[] = {
    {"trailing", Spacing::trailing}, {"leading", Spacing::leading}, {"linspace", Spacing::linspace}};
const Name<BetaSchedule> beta_schedules[] = {{"scaled_linear", BetaSchedule::scaled_linear},
                                             {"linear", BetaSchedule::linear},
                                             {"squaredcos_cap_v2", BetaSchedule::squaredcos_cap_v2}};

at::Tensor cosine_betas(int64_t steps)
{
    const auto bar = [steps](int64_t i) {
        const double t = static_cast<double>(i) / static_cast<double>(steps);
        return std::pow(std::cos((t + 0.008) / 1.008 * M_PI / 2), 2);
    };
    std::vector<double> betas;
    for (int64_t i = 0; i < steps; i++)
        betas.push_back(std::min(1 - bar(i + 1) / bar(i), 0.999));
    return at::tensor(betas, at::kFloat);
}

// In the types of the reference: only the scaled schedule is computed in double.
at::Tensor betas_of(const SchedulerConfig &c)
{
    if (!c.trained_betas.empty())
        return at::tensor(c.trained_betas, at::kFloat);
    switch (c.beta_schedule) {
    case BetaSchedule::scaled_linear:
        return at::linspace(std::sqrt(c.beta_start), std::sqrt(c.beta_end), c.train_steps, at::kDouble).square_();
    case BetaSchedule::linear:
        return at::linspace(c.beta_start, c.beta_end, c.train_steps, at::kFloat);
    case BetaSchedule::squaredcos_cap_v2:
        return cosine_betas(c.train_steps);
    }
    return {};
}

std::vector<double> alpha_bars(const SchedulerConfig &c)
{
    at::Tensor bars = (1 - betas_of(c)).cumprod(0);
    bars = bars / (c.snr_shift_scale + (1 - c.snr_shift_scale) * bars);
    if (c.rescale_zero_snr) {
        const at::Tensor roots = bars.sqrt();
        const at::Tensor first = roots[0].clone(), last = roots[-1].clone();
        bars = ((roots - last) * (first / (first - last))).square();
    }
    const at::Tensor wide = bars.to(at::kDouble).contiguous();
    const double *data = wide.const_data_ptr<double>();
    return {data, data + wide.numel()};
}

int64_t round_half_even(double x)
{
    return static_cast<int64_t>(std::nearbyint(x));
}

std::vector<int64_t> spaced(const SchedulerConfig &c, int64_t steps)
{
    std::vector<int64_t> times;
    const auto train = static_cast<double>(c.train_steps), count = static_cast<double>(steps);
    for (int64_t i = 0; i < steps; i++) {
        const auto n = static_cast<double>(i), from_end = static_cast<double>(steps - 1 - i);
        if (c.spacing == Spacing::trailing) // exactly `steps` values, where numpy's arange can give one more
            times.push_back(round_half_even(train + n * ((train - train / count) - train)) - 1);
        else if (c.spacing == Spacing::leading)
            times.push_back((steps - 1 - i) * (c.train_steps / steps) + c.steps_offset);
        else
            times.push_back(steps == 1 ? 0
                            : i == 0   ? c.train_steps - 1
                                       : round_half_even(from_end * ((train - 1) / (count - 1))));
    }
    return times;
}

// As the reference writes it: a tensor without dimensions, and first. On the CPU such a factor is rounded to the type
// of x, where a plain number, or a factor in second place, would keep its digits.
at::Tensor times(const at::Tensor &x, double coefficient)
{
    return at::scalar_tensor(coefficient, at::kDouble) * x;
}

double lambda(double alpha_bar)
{
    return std::log(std::sqrt(alpha_bar / (1 - alpha_bar)));
}

} // namespace

SchedulerConfig SchedulerConfig::parse(const Json &config)
{
    SchedulerConfig c;
    c.train_steps = json_int(config, "num_train_timesteps", c.train_steps, 1, 1'000'000);
    c.beta_start = json_double(config, "beta_start", c.beta_start);
    c.beta_end = json_double(config, "beta_end", c.beta_end);
    c.beta_schedule = by_name(beta_schedules, json_string(config, "beta_schedule", "scaled_linear"), "beta_schedule");
    if (json_has(config, "trained_betas"))
        c.trained_betas = json_doubles(config["trained_betas"]);
    c.set_alpha_to_one = json_bool(config, "set_alpha_to_one", c.set_alpha_to_one);
    c.steps_offset = json_int(config, "steps_offset", c.steps_offset, 0, c.train_steps);
    c.prediction = by_name(predictions, json_string(config, "prediction_type", "epsilon"), "prediction_type");
    c.spacing = by_name(spacings, json_string(config, "timestep_spacing", "leading"), "timestep_spacing");
    c.rescale_zero_snr = json_bool(config, "rescale_betas_zero_snr", c.rescale_zero_snr);
    c.snr_shift_scale = json_double(config, "snr_shift_scale", c.snr_shift_scale);
    if (!c.trained_betas.empty())
        c.train_steps = static_cast<int64_t>(c.trained_betas.size());
    return c;
}

Scheduler::Scheduler(const SchedulerConfig &config, int64_t steps) : c_(config), alpha_bar_(alpha_bars(config))
{
    if (steps < 1 || steps > c_.train_steps)
        throw Error(MDL_EINVAL,
                    std::to_string(steps) + " steps, where 1.." + std::to_string(c_.train_steps) + " are possible");
    final_alpha_bar_ = c_.set_alpha_to_one ? 1.0 : alpha_bar_.front();
    timesteps_ = spaced(c_, steps);
    stride_ = c_.train_steps / steps;
    for (const int64_t t : timesteps_)
        if (t < 0 || t >= c_.train_steps)
            throw Error(MDL_EINVAL, "time step " + std::to_string(t) + " is outside of the schedule");
}

double Scheduler::alpha_bar(int64_t t) const
{
    return t < 0 ? final_alpha_bar_ : alpha_bar_.at(static_cast<size_t>(t));
}

int64_t Scheduler::time(int64_t i) const
{
    return timesteps_.at(static_cast<size_t>(i));
}

// Not the next of the list: the reference divides in integers.
int64_t Scheduler::before(int64_t t) const
{
    return t - stride_;
}

int Scheduler::draws(int64_t i) const
{
    return i == 0 || before(time(i)) < 0 ? 1 : 2;
}

at::Tensor Scheduler::predict_x0(int64_t t, const at::Tensor &output, const at::Tensor &sample) const
{
    const double a = alpha_bar(t);
    switch (c_.prediction) {
    case Prediction::epsilon:
        return (sample - times(output, std::sqrt(1 - a))) / at::scalar_tensor(std::sqrt(a), at::kDouble);
    case Prediction::sample:
        return output;
    case Prediction::v:
        return times(sample, std::sqrt(a)) - times(output, std::sqrt(1 - a));
    }
    return {};
}

Scheduler::Step Scheduler::ddim(int64_t i, const at::Tensor &output, const at::Tensor &sample) const
{
    const int64_t t = time(i);
    const double a = alpha_bar(t), p = alpha_bar(before(t));
    const at::Tensor x0 = predict_x0(t, output, sample);
    const double keep = std::sqrt((1 - p) / (1 - a));
    return {times(sample, keep) + times(x0, std::sqrt(p) - std::sqrt(a) * keep), x0};
}

// sqrt(alpha) or sqrt(1 - alpha) of every row, shaped to multiply `like`.
at::Tensor Scheduler::weights(const at::Tensor &t, const at::Tensor &like, bool of_noise) const
{
    std::vector<double> values;
    for (int64_t i = 0; i < t.numel(); i++) {
        const double a = alpha_bar(t[i].item<int64_t>());
        values.push_back(std::sqrt(of_noise ? 1 - a : a));
    }
    std::vector<int64_t> shape(static_cast<size_t>(like.dim()), 1);
    shape[0] = t.numel();
    return at::tensor(values, at::kDouble).to(like.options()).view(shape);
}

at::Tensor Scheduler::noised(const at::Tensor &x0, const at::Tensor &noise, const at::Tensor &t) const
{
    return weights(t, x0, false) * x0 + weights(t, x0, true) * noise;
}

at::Tensor Scheduler::target(const at::Tensor &x0, const at::Tensor &noise, const at::Tensor &t) const
{
    switch (c_.prediction) {
    case Prediction::epsilon:
        return noise;
    case Prediction::sample:
        return x0;
    case Prediction::v:
        return weights(t, x0, false) * noise - weights(t, x0, true) * x0;
    }
    return {};
}

Scheduler::Gaussian Scheduler::dpm_gaussian(int64_t i, const at::Tensor &output, const at::Tensor &sample,
                                            const at::Tensor &last) const
{
    const int64_t t = time(i);
    const double a = alpha_bar(t), p = alpha_bar(before(t));
    const double h = lambda(p) - lambda(a);
    const double keep = std::sqrt((1 - p) / (1 - a)) * std::exp(-h), toward = std::expm1(-2 * h) * std::sqrt(p);
    const at::Tensor x0 = predict_x0(t, output, sample);
    at::Tensor target = x0;
    if (draws(i) > 1 && last.defined()) {
        const double r = (lambda(a) - lambda(alpha_bar(time(i - 1)))) / h;
        target = times(x0, 1 + 1 / (2 * r)) - times(last, 1 / (2 * r));
    }
    return {times(sample, keep) - times(target, toward), x0, std::sqrt(1 - p) * std::sqrt(1 - std::exp(-2 * h))};
}

Scheduler::Step Scheduler::dpm(int64_t i, const at::Tensor &output, const at::Tensor &sample, const at::Tensor &last,
                               const Draw &draw) const
{
    const Gaussian g = dpm_gaussian(i, output, sample, last);
    at::Tensor noise = draw(); // drawn even where the second one is used: the stream of numbers is part of the result
    if (draws(i) > 1 && last.defined())
        noise = draw();
    return {g.mean + times(noise, g.deviation), g.x0};
}

} // namespace mdl
