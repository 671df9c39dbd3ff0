// What training is made of: gradients of the memory module against differences, the optimisers against their formulas,
// schedules, averages, and weight files that are written.
#include "error.h"
#include "io/safetensors.h"
#include "io/safetensors_write.h"
#include "longanimation/dglm.h"
#include "longanimation/scheduler.h"
#include "parity/golden.h"
#include "tests/support/cmocka_cc.h"
#include "tests/support/scratch.h"
#include "train/optimizer.h"
#include "train/trainer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>

#include <cmath>

namespace
{

at::Tensor input(const char *label, at::IntArrayRef shape)
{
    return mdl::Fill(std::string()).input(label, shape);
}

// ---- gradients ----

// The derivative in a random direction, over all weights and the input, in float64: autograd's against a central
// difference's.
void the_memory_modules_gradient_is_that_of_its_function(void **)
{
    const mdl::DglmConfig config{.dim = 12,
                                 .output_dim = 12,
                                 .depth = 2,
                                 .heads = 2,
                                 .dim_head = 4,
                                 .ff_mult = 2,
                                 .memory_dim = 6,
                                 .mapping_dims = {8, 10}};
    std::vector<at::Tensor> leaves, directions;
    mdl::Weights w = mdl::Weights::generated_on_demand(
        [](const std::string &name, const mdl::Weights::Shape &shape) {
            return mdl::Fill(std::string()).weight(name, shape);
        },
        {at::kDouble, c10::Device(c10::DeviceType::CPU), [&](const std::string &name, const at::Tensor &t) {
             leaves.push_back(t.clone().set_requires_grad(true));
             directions.push_back(input(("to " + name).c_str(), t.sizes()).to(at::kDouble));
             return leaves.back();
         }});
    const mdl::Dglm network(config, w);
    const at::Tensor z = input("z", {2, 5, 12}).to(at::kDouble);
    const at::Tensor global = input("global", {1, 2, 2, 7, 6}).to(at::kDouble),
                     local = input("local", {1, 2, 2, 3, 6}).to(at::kDouble);
    const at::Tensor cotangent = input("cotangent", {2, 5, 12}).to(at::kDouble);
    const auto loss = [&] { return (network.forward(network.map(global, local), z) * cotangent).sum(); };

    loss().backward();
    double slope = 0;
    for (size_t i = 0; i < leaves.size(); i++) {
        assert_true(leaves[i].grad().defined());
        slope += (leaves[i].grad() * directions[i]).sum().item<double>();
    }
    const auto at_step = [&](double h) {
        const c10::AutoGradMode off(false);
        for (size_t i = 0; i < leaves.size(); i++)
            leaves[i].add_(directions[i], h);
        const double value = loss().item<double>();
        for (size_t i = 0; i < leaves.size(); i++)
            leaves[i].sub_(directions[i], h);
        return value;
    };
    const double h = 1e-5, difference = (at_step(h) - at_step(-h)) / (2 * h);
    assert_true(std::abs(difference - slope) < 1e-6 * std::max(1.0, std::abs(slope)));
}

void a_target_and_its_noised_sample_give_the_sample_back(void **)
{
    for (const char *kind : {"v_prediction", "sample", "epsilon"}) {
        const mdl::Scheduler s(mdl::SchedulerConfig::parse({{"prediction_type", kind}, {"snr_shift_scale", 1.0}}), 20);
        const at::Tensor x0 = input("x0", {2, 3, 2, 2, 2}), noise = input("noise", {2, 3, 2, 2, 2});
        const int64_t i = 7;
        const at::Tensor t = at::full({2}, s.timesteps()[i], at::kLong);
        const auto g = s.dpm_gaussian(i, s.target(x0, noise, t), s.noised(x0, noise, t), {});
        assert_true(at::allclose(g.x0, x0, 1e-4, 1e-4));
        assert_true(g.deviation > 0);
    }
}

// ---- optimisers ----

std::vector<mdl::Parameter> parameters_of(const at::Tensor &value, const at::Tensor &gradient, bool matrix)
{
    at::Tensor leaf = value.clone().set_requires_grad(true);
    leaf.mutable_grad() = gradient.clone();
    return {{"part/weight", leaf, {}, matrix}};
}

mdl_train_settings plain(int32_t optimizer)
{
    mdl_train_settings s = mdl::default_settings(MDL_TRAIN_SKETCH);
    s.optimizer = optimizer;
    s.warmup_steps = 0;
    s.schedule = MDL_SCHEDULE_CONSTANT;
    return s;
}

void adamws_first_step_has_the_size_of_the_rate(void **)
{
    const at::Tensor value = input("value", {4, 5}), gradient = input("gradient", {4, 5});
    auto parameters = parameters_of(value, gradient, false);
    mdl_train_settings s = plain(MDL_OPTIMIZER_ADAMW);
    mdl::Optimizer optimizer(s, parameters);
    optimizer.step(parameters, 0.01);
    const at::Tensor expected = value * (1 - 0.01 * s.weight_decay) - 0.01 * gradient.sign();
    assert_true(at::allclose(parameters[0].value.detach(), expected, 1e-4, 1e-5));
}

void muons_step_is_nearly_orthogonal(void **)
{
    for (const std::vector<int64_t> &shape : {std::vector<int64_t>{6, 20}, std::vector<int64_t>{20, 6}}) {
        const at::Tensor value = at::zeros(shape), gradient = input("gradient", shape);
        auto parameters = parameters_of(value, gradient, true);
        mdl::Optimizer optimizer(plain(MDL_OPTIMIZER_MUON), parameters);
        optimizer.step(parameters, 1);
        at::Tensor step = parameters[0].value.detach() / (0.2 * std::sqrt(20.0));
        if (shape[0] > shape[1])
            step = step.t();
        const at::Tensor sizes = at::mm(step, step.t()).diagonal();
        assert_true(sizes.min().item<double>() > 0.3 && sizes.max().item<double>() < 1.8);
        assert_true((step * (shape[0] > shape[1] ? gradient.t() : gradient)).sum().item<double>() < 0);
    }
}

void gradients_are_clipped_together(void **)
{
    auto parameters = parameters_of(at::zeros({3}), at::full({3}, 4.0), false);
    mdl_train_settings s = plain(MDL_OPTIMIZER_ADAMW);
    s.clip = 0.5;
    const mdl::Optimizer optimizer(s, parameters);
    assert_true(std::abs(optimizer.clip_gradients(parameters) - 4 * std::sqrt(3.0)) < 1e-4);
    assert_true(std::abs(parameters[0].value.grad().norm().item<double>() - 0.5) < 1e-4);
    parameters[0].value.mutable_grad().fill_(std::nan(""));
    assert_true(std::isnan(optimizer.clip_gradients(parameters)));
}

void a_schedule_rises_stays_and_falls(void **)
{
    mdl_train_settings s = mdl::default_settings(MDL_TRAIN_SKETCH);
    s.steps = 1000;
    s.warmup_steps = 100;
    s.flat_share = 0.5;
    s.learning_rate = 1;
    s.final_share = 0.1;
    for (const int32_t kind : {MDL_SCHEDULE_LINEAR, MDL_SCHEDULE_COSINE}) {
        s.schedule = kind;
        assert_true(std::abs(mdl::learning_rate(s, 49) - 0.5) < 1e-9);
        assert_true(mdl::learning_rate(s, 100) == 1 && mdl::learning_rate(s, 500) == 1);
        assert_true(std::abs(mdl::learning_rate(s, 750) - 0.55) < 1e-9);
        assert_true(std::abs(mdl::learning_rate(s, 1000) - 0.1) < 1e-9);
    }
    s.schedule = MDL_SCHEDULE_CONSTANT;
    assert_true(mdl::learning_rate(s, 999) == 1);
}

// ---- files ----

void written_weights_are_read_back(void **)
{
    char folder[256];
    assert_int_equal(make_fast_scratch(folder, sizeof folder), 0);
    const std::string path = std::string(folder) + "/a.safetensors";
    const mdl::NamedTensors tensors = {{"a.weight", input("a", {3, 5})},
                                       {"b", input("b", {7}).to(at::kHalf)},
                                       {"empty", at::empty({0, 4})},
                                       {"one", at::tensor(2.5f).reshape({})},
                                       {"turned", input("c", {4, 6}).t().to(at::kBFloat16)}};
    mdl::safetensors_write(path, tensors);
    const auto file = mdl::Safetensors::open(path);
    assert_int_equal(file->entries().size(), tensors.size());
    for (const auto &[name, tensor] : tensors)
        assert_true(at::equal(file->tensor(name), tensor) && file->tensor(name).scalar_type() == tensor.scalar_type());
    try {
        mdl::safetensors_write(std::string(folder) + "/nowhere/a.safetensors", tensors);
        fail();
    } catch (const mdl::Error &e) {
        assert_int_equal(e.code, MDL_EINVAL);
    }
}

void a_checkpoint_needs_its_own_settings_and_shapes(void **)
{
    char folder[256];
    assert_int_equal(make_fast_scratch(folder, sizeof folder), 0);
    const mdl::NamedTensors tensors = {{"a", input("a", {3})}};
    assert_int_equal(mdl::checkpoint_read(folder, "s", tensors), 0);
    mdl::checkpoint_write(folder, 4, "s", tensors);
    mdl::checkpoint_write(folder, 9, "s", tensors);
    const mdl::NamedTensors into = {{"a", at::zeros({3})}}, wrong = {{"a", at::zeros({4})}},
                            other = {{"b", at::zeros({3})}};
    assert_int_equal(mdl::checkpoint_read(folder, "s", into), 9);
    assert_true(at::equal(into.at("a"), tensors.at("a")));
    for (const auto &[settings, target] : {std::pair{"t", into}, {"s", wrong}, {"s", other}})
        try {
            mdl::checkpoint_read(folder, settings, target);
            fail();
        } catch (const mdl::Error &e) {
            assert_int_equal(e.code, MDL_EINVAL);
        }
    assert_int_equal(access((std::string(folder) + "/state-4.safetensors").c_str(), F_OK), -1);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_memory_modules_gradient_is_that_of_its_function),
        cmocka_unit_test(a_target_and_its_noised_sample_give_the_sample_back),
        cmocka_unit_test(adamws_first_step_has_the_size_of_the_rate),
        cmocka_unit_test(muons_step_is_nearly_orthogonal),
        cmocka_unit_test(gradients_are_clipped_together),
        cmocka_unit_test(a_schedule_rises_stays_and_falls),
        cmocka_unit_test(written_weights_are_read_back),
        cmocka_unit_test(a_checkpoint_needs_its_own_settings_and_shapes),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
