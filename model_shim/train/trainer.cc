// trainer.cc - see trainer.h. The stages are the table below.
#include "train/trainer.h"

#include "error.h"
#include "io/json.h"
#include "longanimation/picture.h"
#include "train/export.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>

namespace mdl
{
namespace
{

constexpr int left_out_max = 20; // steps in a row without a finite gradient

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point from)
{
    return std::chrono::duration<double>(Clock::now() - from).count();
}

struct StageRow {
    int32_t stage;
    const char *name, *parts; // what trains unless said otherwise
    bool history;
    std::vector<Part> needs, learns; // networks that are loaded; those of them that can train
    std::unique_ptr<Stage> (*make)(const Bench &);
};

const std::vector<StageRow> &stages()
{
    static const std::vector<Part> denoising = {Part::text_encoder, Part::vae, Part::transformer, Part::sketch_dit};
    static const std::vector<Part> remembering = {Part::text_encoder, Part::vae,    Part::transformer,
                                                  Part::sketch_dit,   Part::memory, Part::video_encoder};
    static const std::vector<Part> judging = {Part::text_encoder, Part::vae, Part::transformer, Part::sketch_dit,
                                              Part::video_encoder};
    static const std::vector<Part> answering = {Part::transformer, Part::sketch_dit};
    static const std::vector<StageRow> rows = {
        {MDL_TRAIN_VAE, "vae", "vae", false, {Part::vae}, {Part::vae}, make_vae_stage},
        {MDL_TRAIN_SKETCH, "sketch", "sketch_dit", false, denoising, answering, make_sketch_stage},
        {MDL_TRAIN_MEMORY,
         "memory",
         "memory",
         true,
         remembering,
         {Part::transformer, Part::sketch_dit, Part::memory},
         make_memory_stage},
        {MDL_TRAIN_REWARD, "reward", "sketch_dit", false, judging, answering, make_reward_stage},
    };
    return rows;
}

const StageRow &stage_row(int32_t stage)
{
    for (const StageRow &row : stages())
        if (row.stage == stage)
            return row;
    fail(MDL_EINVAL, "no stage of training has number %d", stage);
}

// Without autocast everything is computed in the type of the trained weights.
Compute compute_of(const mdl_options &o, const mdl_train_settings &s)
{
    Compute c = choose_compute(o);
    if (!s.autocast)
        c.dtype = at::kFloat;
    return c;
}

Json part_json(const Components &components, Part p, const Parameters &parameters)
{
    const PartInfo &info = components.part(p);
    int64_t trained = 0;
    for (const Parameter &parameter : parameters.all())
        if (parameter.name.rfind(std::string(info.name) + "/", 0) == 0)
            trained += parameter.value.numel();
    return {{"name", info.name}, {"parameters", info.parameters}, {"trained", trained}};
}

} // namespace

mdl_train_settings default_settings(int32_t stage)
{
    const StageRow &row = stage_row(stage);
    mdl_train_settings s{};
    s.size = sizeof s;
    s.stage = stage;
    s.parts = row.parts;
    s.steps = 1000;
    s.batch = stage == MDL_TRAIN_VAE ? 4 : stage == MDL_TRAIN_SKETCH ? 2 : 1;
    s.accumulate = 1;
    s.schedule = MDL_SCHEDULE_COSINE;
    s.learning_rate = stage == MDL_TRAIN_REWARD ? 1e-5 : stage == MDL_TRAIN_VAE ? 1e-4 : 5e-5;
    s.final_share = 0.02;
    s.warmup_steps = 100;
    s.beta1 = 0.9;
    s.beta2 = 0.98;
    s.weight_decay = 0.01;
    s.clip = 1;
    s.ema = stage == MDL_TRAIN_REWARD ? 0 : 0.998;
    s.seed = 1;
    s.checkpoint_steps = 500;
    s.prompt = "";
    s.prompt_dropout = 0.1;
    s.pure_noise_share = 0.25;
    s.pad_weight = 0.4;
    s.vae_mse = 2;
    s.vae_l1 = 0.4;
    s.vae_gradient = 0.1;
    s.vae_kl = 2e-4;
    s.vae_line_share = 0.35;
    s.reward_steps = 30;
    s.reward_group = 4;
    s.reward_taken = 4;
    return s;
}

void check_settings(const mdl_train_settings &s)
{
    stage_row(s.stage);
    const auto require = [](bool holds, const char *what) {
        if (!holds)
            throw Error(MDL_EINVAL, what);
    };
    const auto share = [](double x) { return x >= 0 && x <= 1; };
    require(s.parts && s.prompt, "parts and prompt may be empty but not NULL");
    require(s.width >= 0 && s.height >= 0 && s.width <= 16384 && s.height <= 16384 && s.width % 16 == 0 &&
                s.height % 16 == 0 && (s.width == 0) == (s.height == 0),
            "width and height are multiples of 16 up to 16384, both or none");
    require(s.frames >= 0 && s.frames <= 4096, "frames is 0..4096");
    require(s.steps >= 1 && s.steps <= int64_t{1} << 40, "steps is at least 1");
    require(s.batch >= 1 && s.batch <= 4096 && s.accumulate >= 1 && s.accumulate <= 4096,
            "batch and accumulate are 1..4096");
    require(s.optimizer == MDL_OPTIMIZER_ADAMW || s.optimizer == MDL_OPTIMIZER_MUON, "no such optimizer");
    require(s.schedule >= MDL_SCHEDULE_CONSTANT && s.schedule <= MDL_SCHEDULE_COSINE, "no such schedule");
    require(s.learning_rate > 0 && s.learning_rate <= 1, "learning_rate is above 0 and at most 1");
    require(share(s.final_share) && share(s.flat_share) && s.warmup_steps >= 0,
            "final_share and flat_share are 0..1, warmup_steps is not negative");
    require(share(s.beta1) && share(s.beta2) && s.beta1 < 1 && s.beta2 < 1, "beta1 and beta2 are 0 to below 1");
    require(s.weight_decay >= 0 && s.clip >= 0 && s.ema >= 0 && s.ema < 1,
            "weight_decay and clip are not negative, ema is 0 to below 1");
    require(s.checkpoint_steps >= 0, "checkpoint_steps is not negative");
    require(share(s.prompt_dropout) && share(s.pure_noise_share) && s.pad_weight >= 0,
            "prompt_dropout and pure_noise_share are 0..1, pad_weight is not negative");
    require(s.times == MDL_TIMES_UNIFORM || s.times == MDL_TIMES_HIGH, "no such density of time steps");
    require(s.vae_mse >= 0 && s.vae_l1 >= 0 && s.vae_gradient >= 0 && s.vae_kl >= 0 && share(s.vae_line_share),
            "the weights of the VAE's loss are not negative, vae_line_share is 0..1");
    require(s.reward_kind == MDL_REWARD_SCORE || s.reward_kind == MDL_REWARD_DIRECT, "no such kind of reward");
    require(s.reward_steps >= 1 && s.reward_steps <= 1000 && s.reward_group >= 1 && s.reward_group <= 256 &&
                s.reward_taken >= 1,
            "reward_steps is 1..1000, reward_group 1..256, reward_taken at least 1");
    require(s.reward_kind == MDL_REWARD_DIRECT || s.stage != MDL_TRAIN_REWARD || s.reward_group >= 2,
            "the score function compares at least 2 samplings: reward_group");
}

Trainer::Trainer(const std::string &model, const std::string &work, const mdl_train_settings &s, const mdl_options &o)
    : prompt_(s.prompt), parts_(s.parts[0] ? s.parts : stage_row(s.stage).parts), work_(work), settings_(s),
      compute_(compute_of(o, s)), manifest_(manifest_read(model)), parameters_(parts_),
      components_(manifest_, compute_,
                  [this](Part p, const WeightOptions &usual) { return parameters_.options(p, usual); }),
      size_{s.width ? s.width : manifest_.width, s.height ? s.height : manifest_.height},
      frames_(s.frames ? s.frames : manifest_.segment_frames)
{
    settings_.prompt = prompt_.c_str();
    settings_.parts = parts_.c_str();
    if (s.stage != MDL_TRAIN_VAE)
        plan_latent_frames(static_cast<int32_t>(frames_)); // throws for a length that the networks cannot have
    load();
    bench_ = std::make_unique<Bench>(Bench{manifest_, components_, settings_, compute_, size_, frames_});
    stage_ = stage_row(s.stage).make(*bench_);
    optimizer_ = std::make_unique<Optimizer>(settings_, parameters_.all());
    if (work_.empty())
        return;
    std::error_code trouble;
    std::filesystem::create_directories(work_, trouble);
    step_ = saved_ = checkpoint_read(work_, fingerprint(), tensors());
}

void Trainer::load()
{
    const StageRow &row = stage_row(settings_.stage);
    std::vector<Part> needs;
    for (Part p : row.needs)
        if (components_.part(p).present())
            needs.push_back(p);
    for (Part p : {Part::vae, Part::transformer, Part::sketch_dit, Part::memory})
        if (parameters_.trains(p) && std::find(row.learns.begin(), row.learns.end(), p) == row.learns.end())
            fail(MDL_EINVAL, "stage %s has no use for %s", row.name, components_.part(p).name);
    components_.enter(needs, 0);
    parameters_.loaded(settings_.ema > 0);
}

std::string Trainer::fingerprint() const
{
    const mdl_train_settings &s = settings_;
    const Json all = {
        {"stage", stage_row(s.stage).name},
        {"parts", parts_},
        {"size", {size_.width, size_.height, frames_}},
        {"steps", s.schedule == MDL_SCHEDULE_CONSTANT ? 0 : s.steps},
        {"batch", {s.batch, s.accumulate}},
        {"optimizer", {s.optimizer, s.beta1, s.beta2, s.weight_decay, s.clip}},
        {"rate", {s.schedule, s.learning_rate, s.final_share, s.warmup_steps, s.flat_share}},
        {"ema", s.ema},
        {"seed", s.seed},
        {"autocast", s.autocast},
        {"prompt", {prompt_, s.prompt_dropout}},
        {"times", {s.times, s.pure_noise_share, s.pad_weight}},
        {"vae", {s.vae_mse, s.vae_l1, s.vae_gradient, s.vae_kl, s.vae_line_share, s.crop_width, s.crop_height}},
        {"reward", {s.reward_kind, s.reward_steps, s.reward_group, s.reward_taken}}};
    return all.dump();
}

const std::string &Trainer::describe()
{
    Json parts = Json::array();
    for (const PartInfo &info : components_.parts())
        if (info.present())
            parts.push_back(part_json(components_, info.part, parameters_));
    int64_t weights = 0;
    for (const Parameter &p : parameters_.all())
        weights += static_cast<int64_t>(p.value.nbytes());
    const StageRow &row = stage_row(settings_.stage);
    about_ = Json{{"stage", row.name},
                  {"step", step_},
                  {"steps", settings_.steps},
                  {"width", size_.width},
                  {"height", size_.height},
                  {"frames", frames_},
                  {"history", row.history},
                  {"parts", parts},
                  {"trains", parts_},
                  {"trained_parameters", parameters_.count()},
                  {"part_names", Parameters::part_names()},
                  {"threads", at::get_num_threads()},
                  {"device", compute_.device.str()},
                  {"weights_bytes", weights},
                  {"gradients_bytes", weights},
                  {"optimizer_bytes", optimizer_->bytes()},
                  {"averages_bytes", settings_.ema > 0 ? weights : 0}}
                 .dump();
    return about_;
}

void Trainer::lines(const uint8_t *rgb, int32_t frames, uint8_t *lines)
{
    const c10::AutoGradMode off(false);
    components_.enter({Part::lineart}, 0);
    const at::Tensor packed = at::from_blob(const_cast<uint8_t *>(rgb), {frames, size_.height, size_.width, 3},
                                            at::TensorOptions().dtype(at::kByte));
    const at::Tensor raw = components_.lineart().forward(packed.permute({0, 3, 1, 2}).contiguous());
    const at::Tensor grey = lineart_paper(raw).to(at::kCPU, at::kByte).mul(255).contiguous();
    std::memcpy(lines, grey.const_data_ptr(), grey.nbytes());
}

Trainer::Pass Trainer::pass(const mdl_train_hooks &r, int32_t number)
{
    const auto began = Clock::now();
    BatchMaker maker(size_, frames_, compute_);
    for (int32_t i = 0; i < settings_.batch; i++) {
        mdl_train_sample sample{};
        if (r.on_sample(r.user, step_, number * settings_.batch + i, &sample) != 0)
            throw Error(MDL_EINVAL, "no sample could be had");
        maker.add(sample, stage_row(settings_.stage).history, prompt_);
    }
    const Batch batch = maker.take();
    const double waited = seconds_since(began);
    Draws draws(settings_.seed, step_, number, compute_);
    const double loss = stage_->pass(batch, draws, 1.0 / settings_.accumulate);
    return {loss, stage_->reward(), waited};
}

mdl_train_step Trainer::step(const mdl_train_hooks &r)
{
    const auto began = Clock::now();
    mdl_train_step report{};
    report.steps = settings_.steps;
    for (int32_t i = 0; i < settings_.accumulate; i++) {
        const Pass p = pass(r, i);
        report.loss += p.loss / settings_.accumulate;
        report.reward += p.reward / settings_.accumulate;
        report.data_seconds += p.data_seconds;
    }
    report.learning_rate = learning_rate(settings_, step_);
    report.gradient_norm = optimizer_->clip_gradients(parameters_.all());
    report.taken = std::isfinite(report.gradient_norm) && std::isfinite(report.loss);
    left_out_ = report.taken ? 0 : left_out_ + 1;
    if (left_out_ >= left_out_max)
        fail(MDL_ENAN, "the last %d gradients were not finite", left_out_);
    if (report.taken) {
        optimizer_->step(parameters_.all(), report.learning_rate);
        parameters_.average(settings_.ema, step_);
    }
    Optimizer::drop_gradients(parameters_.all());
    report.step = ++step_;
    report.seconds = seconds_since(began);
    return report;
}

bool Trainer::run(const mdl_train_hooks &r)
{
    while (step_ < settings_.steps) {
        mdl_train_step report = step(r);
        const bool due = settings_.checkpoint_steps > 0 && step_ % settings_.checkpoint_steps == 0;
        if (due || step_ == settings_.steps)
            save();
        report.saved = saved_ == step_;
        if (r.on_step && r.on_step(r.user, &report) != 0) {
            save();
            return false;
        }
    }
    return true;
}

NamedTensors Trainer::tensors() const
{
    NamedTensors all = optimizer_->state();
    for (const Parameter &p : parameters_.all()) {
        all["value/" + p.name] = p.value.detach();
        if (p.average.defined())
            all["average/" + p.name] = p.average;
    }
    for (const auto &[name, tensor] : stage_->state())
        all["stage/" + name] = tensor;
    return all;
}

void Trainer::save()
{
    if (work_.empty() || saved_ == step_)
        return;
    checkpoint_write(work_, step_, fingerprint(), tensors());
    saved_ = step_;
}

void Trainer::write_model(const std::string &folder, int32_t store)
{
    const c10::AutoGradMode off(false);
    export_model(manifest_, parameters_, stage_->vae_scale(), store, folder);
}

} // namespace mdl
