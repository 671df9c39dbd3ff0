// cog_scheduler.cc - parity of timesteps and solvers.
#include "error.h"
#include "longanimation/scheduler.h"
#include "parity/golden.h"
#include "parity/kinds.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace mdl
{

namespace
{

constexpr int64_t some_steps = 4; // where only the tables matter

double number(const Json &value) // or its decimal digits
{
    return value.is_string() ? std::stod(value.get<std::string>()) : value.get<double>();
}

Json with(const Json &config, const char *key, const Json &value)
{
    Json changed = config;
    changed[key] = value;
    return changed;
}

// The file's config, changed by what the case says.
Json merged(const Json &config, const Json &one)
{
    Json changed = config;
    for (const char *key : {"snr_shift_scale", "prediction_type", "timestep_spacing", "set_alpha_to_one"})
        if (json_has(one, key))
            changed[key] = one[key];
    return changed;
}

void check_tables(const Json &golden, const Json &config, double tolerance, Report &report)
{
    if (golden.contains("alphas_cumprod"))
        for (const auto &[scale, table] : golden["alphas_cumprod"].items()) {
            const Scheduler s(SchedulerConfig::parse(with(config, "snr_shift_scale", std::stod(scale))), some_steps);
            double worst = 0;
            for (const auto &[t, value] : table.items())
                worst = std::max(worst, std::abs(s.alpha_bar(std::stoll(t)) - number(value)));
            report.within("alphas_cumprod/" + scale, worst, std::min(tolerance, 1e-12));
        }
    if (golden.contains("timesteps"))
        for (const auto &[label, times] : golden["timesteps"].items()) { // "trailing/50"
            const size_t cut = label.find('/');
            if (cut == std::string::npos)
                throw Error(MDL_EINVAL, "timesteps holds something unknown");
            const Scheduler s(SchedulerConfig::parse(with(config, "timestep_spacing", label.substr(0, cut))),
                              std::stoll(label.substr(cut + 1)));
            report.same("timesteps/" + label, s.timesteps() == json_shape(times));
        }
}

at::ScalarType dtype_of(const Json &one)
{
    const std::string name = json_string(one, "dtype", "torch.float32");
    if (name == "torch.float32")
        return at::kFloat;
    if (name == "torch.bfloat16")
        return at::kBFloat16;
    if (name == "torch.float16")
        return at::kHalf;
    throw Error(MDL_EINVAL, "dtype " + name + " is not known");
}

// A whole run, on the CPU whatever the device: rounding of bfloat16 factors is its own there. Latents and model outputs
// are named inputs, draws are "noise<k>" in order.
class SolverRun
{
  public:
    SolverRun(const Json &golden, const Json &config, const Json &one, bool dpm, std::string name, Report &report)
        : golden_(golden), one_(one), dpm_(dpm), name_(std::move(name)), report_(report), fill_(golden),
          dtype_(dtype_of(one)), scheduler_(SchedulerConfig::parse(merged(config, one)), json_int(one, "N", 1, 1))
    {
    }

    void run()
    {
        const Json &steps = json_need(one_, "steps");
        if (!steps.is_array() || steps.empty() || steps.size() != scheduler_.timesteps().size())
            throw Error(MDL_EINVAL, "steps do not fit N");
        shape_ = json_shape(json_need(json_need(steps[0], "prev"), "shape"));
        at::Tensor sample = fill_.input("latents", shape_).to(dtype_), last;
        for (int64_t i = 0; i < static_cast<int64_t>(steps.size()); i++) {
            const Scheduler::Step step = advance(i, steps[static_cast<size_t>(i)], sample, last);
            sample = step.sample.to(dtype_);
            last = step.x0;
        }
    }

  private:
    Scheduler::Step advance(int64_t i, const Json &expected, const at::Tensor &sample, const at::Tensor &last)
    {
        const std::string step_name = name_ + "/step" + std::to_string(i);
        const at::Tensor output = fill_.input("model_output" + std::to_string(i), shape_);
        std::vector<std::string> drawn;
        const auto draw = [&] {
            drawn.push_back("noise" + std::to_string(draws_++));
            return fill_.input(drawn.back(), shape_).to(dtype_);
        };
        const Scheduler::Step step =
            dpm_ ? scheduler_.dpm(i, output, sample, last, draw) : scheduler_.ddim(i, output, sample);
        const double tolerance = tolerance_of(golden_, one_, 2e-5);
        report_.same(step_name + ".t", json_int(expected, "t", -1) == scheduler_.timesteps()[static_cast<size_t>(i)]);
        if (expected.contains("noise_drawn"))
            report_.same(step_name + ".draws", expected["noise_drawn"].get<std::vector<std::string>>() == drawn &&
                                                   (!dpm_ || static_cast<int>(drawn.size()) == scheduler_.draws(i)));
        report_.compare(step_name + ".prev", json_need(expected, "prev"), step.sample.to(dtype_), tolerance);
        report_.compare(step_name + ".x0", json_need(expected, "x0"), step.x0, tolerance);
        return step;
    }

    const Json &golden_, &one_;
    const bool dpm_;
    const std::string name_;
    Report &report_;
    const Fill fill_;
    const at::ScalarType dtype_;
    const Scheduler scheduler_;
    std::vector<int64_t> shape_;
    int draws_ = 0;
};

} // namespace

void parity_schedulers(const Json &golden, Report &report)
{
    const Json &config = json_need(golden, "config");
    report.attempt("tables", [&] { check_tables(golden, config, json_double(golden, "tolerance", 2e-5), report); });
    for (const char *solver : {"dpm", "ddim"}) {
        if (!golden.contains(solver))
            continue;
        int n = 0;
        for (const Json &one : golden[solver]) {
            const std::string name = solver + std::to_string(n++);
            report.attempt(name, [&] { SolverRun(golden, config, one, solver[1] == 'p', name, report).run(); });
        }
    }
}

} // namespace mdl
