// video_xl.cc - parity of the video memory encoder, stage by stage.
#include "error.h"
#include "parity/golden.h"
#include "parity/kinds.h"
#include "video_xl/encoder.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace mdl
{

namespace
{

constexpr double features_tolerance = 2e-5, tokens_tolerance = 1e-5, memory_tolerance = 5e-5;
constexpr double pixels_tolerance = 1e-6;

WeightOptions weight_options(const Report &report)
{
    return {report.options.dtype, report.options.device};
}

std::string label_of(const Json &one, size_t index)
{
    return "case_" + json_string(one, "label", std::to_string(index));
}

template <class F> void each_case(const Json &golden, Report &report, F &&body)
{
    size_t index = 0;
    for (const Json &one : json_need(golden, "cases")) {
        const std::string name = label_of(one, index++);
        report.attempt(name, [&] { body(one, name); });
    }
}

at::Tensor generated(const Fill &fill, const Json &input, const Report &report)
{
    return fill
        .input(json_string(input, "label", ""), json_shape(json_need(input, "shape")), json_double(input, "scale", 1))
        .to(report.options.device, report.options.dtype);
}

double max_difference(const at::Tensor &a, const at::Tensor &b)
{
    if (a.sizes() != b.sizes())
        return HUGE_VAL;
    return a.numel() == 0 ? 0 : (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

// ---- frames ----

at::Tensor source_image(const Fill &fill, const Json &one)
{
    const int64_t height = json_int(one, "height", 1, 1, 1 << 14), width = json_int(one, "width", 1, 1, 1 << 14);
    const at::Tensor image = fill.image_u8(json_string(one, "label", ""), {height, width, 3});
    if (!json_bool(one, "blocks", false))
        return image;
    const auto corners = [](int64_t n) { return at::arange(n).div(4, "floor").mul_(4); };
    return image.index_select(0, corners(height)).index_select(1, corners(width));
}

void preprocess_case(const Fill &fill, const ClipPreprocess &base, const Json &one, const std::string &name,
                     Report &report)
{
    ClipPreprocess clip = base;
    clip.size = clip.crop = json_int(one, "size", base.size, 1, 4096);
    const at::Tensor image = source_image(fill, one);
    if (json_has(one, "input_sum"))
        report.same(name + "/input_sum",
                    image.to(at::kLong).sum().item<int64_t>() == json_int(one, "input_sum", 0, 0, int64_t{1} << 48));
    const at::Tensor cropped = clip_crop(clip, image.unsqueeze(0));
    const auto expected = json_shape(json_need(one, "cropped_uint8"));
    const at::Tensor wanted = at::tensor(expected, at::kLong);
    const int64_t wrong =
        wanted.numel() == cropped.numel() ? at::ne(wanted, cropped.flatten().to(at::kLong)).sum().item<int64_t>() : -1;
    report.same(name + "/cropped_uint8", wrong == 0, std::to_string(wrong) + " bytes differ");
    report.compare(name + "/pixel_values", json_need(one, "pixel_values"), clip_pixels(clip, cropped).squeeze(0),
                   pixels_tolerance);
}

// ---- vision tower and projector ----

void vision_case(const Fill &fill, const Json &golden, const Json &one, const std::string &name, Report &report)
{
    const Json &json = json_need(one, "config");
    const ClipVisionConfig config = ClipVisionConfig::from_json(json);
    const double tolerance = tolerance_of(golden, one, features_tolerance);
    const std::string prefix = "vision_model.";
    const int64_t selected = config.layers_for(json_int(json, "mm_vision_select_layer", -2, -1024, 1024));

    Weights all = fill.weights(json_need(one, "state_dict"), weight_options(report));
    const at::Tensor pixels = generated(fill, json_need(one, "input"), report);
    const Json &states = json_need(one, "hidden_states");
    ClipVision(config, all, prefix, config.layers).forward(pixels, true, [&](int64_t i, const at::Tensor &hidden) {
        if (i < static_cast<int64_t>(states.size()))
            report.compare(name + "/hidden_state" + std::to_string(i), states[static_cast<size_t>(i)], hidden,
                           tolerance);
    });
    all.finish(ClipVision::unneeded(config, prefix, config.layers));

    Weights needed = fill.weights(json_need(one, "state_dict"), weight_options(report));
    const ClipVision tower(config, needed, prefix, selected);
    needed.finish(ClipVision::unneeded(config, prefix, selected));
    const bool with_class = json_string(json, "mm_vision_select_feature", "patch") != "patch";
    report.compare(name + "/features", json_need(one, "features"), tower.forward(pixels, with_class), tolerance);
}

void projector_case(const Fill &fill, const Json &golden, const Json &one, const std::string &name, Report &report)
{
    const double tolerance = tolerance_of(golden, one, tokens_tolerance);
    Weights weights = fill.weights(json_need(one, "state_dict"), weight_options(report));
    const Projector projector(ProjectorConfig::from_json(json_need(one, "config")), weights, "mm_projector.");
    weights.finish();
    const at::Tensor projected = projector.project(generated(fill, json_need(one, "input"), report));
    report.compare(name + "/before_pool", json_need(one, "before_pool"), projected, tolerance);
    report.compare(name + "/visual_tokens", json_need(one, "visual_tokens"), projector.pool(projected), tolerance);
}

// ---- language model ----

// One golden's language model with every layer in full, and its embedding table.
struct Language {
    Qwen2Beacon net;
    at::Tensor table;

    static Language make(const Fill &fill, const Json &golden, const WeightOptions &options)
    {
        const Qwen2BeaconConfig config = Qwen2BeaconConfig::from_json(json_need(golden, "config"));
        Weights w = fill.weights(json_need(golden, "state_dict"), options);
        Language l{Qwen2Beacon(config, w, "model.", config.layers, true),
                   w.get("model.embed_tokens.weight", {config.vocab, config.width})};
        w.finish(Qwen2Beacon::unneeded(config, "model.", config.layers + 1));
        return l;
    }
    at::Tensor embed(const Json &ids) const
    {
        return table.index_select(0, at::tensor(json_shape(ids), at::kLong).to(table.device()));
    }
};

// Inputs of one case, and how to run parts of it.
struct BeaconRun {
    const Language &language;
    at::Tensor prefix, suffix, visual;
    int64_t ratio, per_frame;

    BeaconRun(const Language &l, const Fill &fill, const Json &golden, const Json &one, const Report &report)
        : language(l), prefix(l.embed(json_need(one, "prefix_ids"))), suffix(l.embed(json_need(one, "suffix_ids"))),
          visual(generated(fill, json_need(one, "visual_tokens"), report)),
          ratio(json_int(one, "ratio", 8, 1, 1 << 20)),
          per_frame(json_int(json_need(golden, "config"), "tokens_per_frame", 1, 1, 1 << 20))
    {
    }
    BeaconMemory start() const
    {
        BeaconMemory memory;
        language.net.text(memory, prefix);
        return memory;
    }
    void show(BeaconMemory &memory, int64_t from_frame, int64_t to_frame) const
    {
        language.net.windows(memory, visual.narrow(0, from_frame * per_frame, (to_frame - from_frame) * per_frame),
                             ratio);
    }
    BeaconMemory finish(BeaconMemory memory) const
    {
        language.net.text(memory, suffix);
        return memory;
    }
};

// (rows, kv_heads * head_dim) of one layer.
at::Tensor flat(const at::Tensor &kv)
{
    return kv.squeeze(0).transpose(0, 1).flatten(1);
}

// Collects what the layers of the steps put out.
struct StepLog {
    std::vector<std::vector<at::Tensor>> hidden; // per step, per layer
    Qwen2Beacon::Tap tap()
    {
        return [this](int64_t layer, const at::Tensor &x) {
            if (layer == 0)
                hidden.emplace_back();
            hidden.back().push_back(x);
        };
    }
};

void compare_sums(const std::string &name, const Json &expected, const at::Tensor &actual, double tolerance,
                  Report &report)
{
    const at::Tensor x = actual.to(at::kDouble);
    const double limit = tolerance * static_cast<double>(x.numel());
    const double error = std::max(std::abs(x.sum().item<double>() - json_double(expected, "sum", HUGE_VAL)),
                                  std::abs(x.abs().sum().item<double>() - json_double(expected, "abs_sum", HUGE_VAL)));
    report.within(name, error, limit, "sums differ");
}

// Where the summaries of a step are: [first three], last.
bool same_summary_places(const Json &step, const BeaconStep &walk, int64_t ratio)
{
    std::vector<int64_t> first;
    for (int64_t i = 0; i < std::min<int64_t>(3, walk.summaries); i++)
        first.push_back(ratio + i * (ratio + 1));
    if (json_has(step, "first_summary_indices") && json_shape(step["first_summary_indices"]) != first)
        return false;
    return !json_has(step, "last_summary_index") ||
           json_int(step, "last_summary_index", -1, -1) == ratio + (walk.summaries - 1) * (ratio + 1);
}

void check_steps(const Json &steps, const std::vector<BeaconStep> &walk, const StepLog &log, int64_t ratio,
                 const std::string &name, double tolerance, Report &report)
{
    report.same(name + "/steps", steps.size() == walk.size() && log.hidden.size() == walk.size(),
                std::to_string(walk.size()) + " steps");
    for (size_t i = 0; i < std::min({steps.size(), walk.size(), log.hidden.size()}); i++) {
        const std::string step = name + "/step" + std::to_string(i);
        const BeaconStep expected{json_int(steps[i], "new_tokens", -1), json_int(steps[i], "summary_tokens", -1),
                                  json_int(steps[i], "memory_before", -1)};
        report.same(step + "/window", expected == walk[i] && same_summary_places(steps[i], walk[i], ratio));
        for (const Json &hidden : json_need(steps[i], "hidden")) {
            const auto layer = static_cast<size_t>(json_int(hidden, "layer", 0));
            compare_sums(step + "/layer" + std::to_string(layer), hidden, log.hidden[i].at(layer), tolerance, report);
        }
    }
}

void check_memory(const Json &one, const BeaconMemory &memory, const std::string &name, double tolerance,
                  Report &report)
{
    const auto pair = [&](const Json &record, size_t layer, const std::string &at) {
        report.compare(at + "/key", json_need(record, "key"), flat(memory.keys.at(layer)), tolerance);
        report.compare(at + "/value", json_need(record, "value"), flat(memory.values.at(layer)), tolerance);
    };
    report.same(name + "/memory_length", json_int(one, "memory_length", -1) == memory.rows());
    size_t layer = 0;
    for (const Json &record : json_need(one, "all_layers")) {
        pair(record, layer, name + "/all_layers" + std::to_string(layer));
        layer++;
    }
    for (const Json &record : json_need(one, "memory")) {
        const auto chosen = static_cast<size_t>(json_int(record, "layer", 0));
        pair(record, chosen, name + "/memory" + std::to_string(chosen));
    }
}

// The shorter network that the pipeline uses gives the same rows of the chosen layers.
void check_shortened(const Fill &fill, const Json &golden, const BeaconRun &run, const BeaconMemory &whole,
                     const std::string &name, double tolerance, Report &report)
{
    const auto layers = json_shape(json_need(golden, "layers"));
    const int64_t needed = *std::max_element(layers.begin(), layers.end()) + 1;
    Weights w = fill.weights(json_need(golden, "state_dict"), weight_options(report));
    const Qwen2Beacon net(run.language.net.config(), w, "model.", needed);
    auto unneeded = Qwen2Beacon::unneeded(net.config(), "model.", needed);
    unneeded.push_back("model.embed_tokens.weight");
    w.finish(unneeded);
    BeaconMemory memory;
    net.text(memory, run.prefix);
    net.windows(memory, run.visual, run.ratio);
    net.text(memory, run.suffix);
    report.within(name + "/needed_layers_only",
                  max_difference(net.stack(memory, layers), run.language.net.stack(whole, layers)), tolerance);
}

void beacon_case(const Fill &fill, const Language &language, const Json &golden, const Json &one,
                 const std::string &name, Report &report)
{
    const double tolerance = tolerance_of(golden, one, memory_tolerance);
    const BeaconRun run(language, fill, golden, one, report);
    StepLog log;
    BeaconMemory memory;
    language.net.text(memory, run.prefix, log.tap());
    language.net.windows(memory, run.visual, run.ratio, log.tap());
    language.net.text(memory, run.suffix, log.tap());
    const auto walk = beacon_steps(run.prefix.size(0), run.visual.size(0), run.suffix.size(0),
                                   language.net.config().window, run.ratio);
    check_steps(json_need(one, "steps"), walk, log, run.ratio, name, tolerance, report);
    check_memory(one, memory, name, tolerance, report);
    check_shortened(fill, golden, run, memory, name, tolerance, report);
}

// Largest difference over all layers, keys and values, of rows [from, to); `from_b` where b's rows begin elsewhere.
double rows_difference(const BeaconMemory &a, const BeaconMemory &b, int64_t from, int64_t to, int64_t from_b)
{
    double worst = 0;
    for (size_t i = 0; i < a.keys.size(); i++) {
        worst = std::max(worst,
                         max_difference(a.keys[i].narrow(2, from, to - from), b.keys[i].narrow(2, from_b, to - from)));
        worst = std::max(
            worst, max_difference(a.values[i].narrow(2, from, to - from), b.values[i].narrow(2, from_b, to - from)));
    }
    return worst;
}

// Run A sees the first frames, run B all. What A and B share, and what comes of continuing A.
void incremental_case(const Fill &fill, const Language &language, const Json &golden, const Json &statement,
                      const std::string &name, Report &report)
{
    const double tolerance = tolerance_of(golden, statement, memory_tolerance);
    const Json &one = json_need(golden, "cases").at(static_cast<size_t>(json_int(statement, "case", 0)));
    const BeaconRun run(language, fill, golden, one, report);
    const int64_t first = json_int(statement, "frames_first", 1), total = json_int(statement, "frames_total", 1);
    const int64_t shared = json_int(statement, "shared_entries", 0);
    BeaconMemory a = run.start();
    run.show(a, 0, first);
    BeaconMemory continued = a;
    run.show(continued, first, total);
    BeaconMemory b = run.start();
    run.show(b, 0, total);
    const int64_t suffix = run.suffix.size(0), rows = b.rows();
    report.same(name + "/shared_rows", a.rows() == shared, std::to_string(a.rows()));
    const bool boundary = first * run.per_frame % language.net.config().window == 0;
    report.same(name + "/at_window_boundary", boundary == json_bool(statement, "at_window_boundary", false));
    const auto measured = [&](const char *key, double difference) {
        if (json_has(statement, key))
            report.within(name + "/" + key, std::abs(difference - json_double(statement, key, 0)), tolerance,
                          std::to_string(difference));
    };
    measured("max_abs_diff_shared_entries", rows_difference(a, b, 0, shared, 0));
    const double later = rows_difference(continued, b, shared, rows, shared);
    measured("max_abs_diff_later_summaries_when_extended_here", later);
    const BeaconMemory a_done = run.finish(a), b_done = run.finish(b), continued_done = run.finish(continued);
    const double whole = rows_difference(continued_done, b_done, 0, b_done.rows(), 0);
    measured("max_abs_diff_whole_memory_when_extended_here", whole);
    measured("max_abs_diff_suffix_entries_short_vs_long",
             rows_difference(a_done, b_done, a_done.rows() - suffix, a_done.rows(), b_done.rows() - suffix));
    if (boundary) // continuing is exact there: to the last bit, not only to the tolerance
        report.within(name + "/continued_to_the_bit", whole, 0);
}

void window_tables(const Json &golden, Report &report)
{
    size_t index = 0;
    for (const Json &one : json_need(golden, "real_size_windows")) {
        const std::string name = "real_size_windows" + std::to_string(index++);
        const auto walk =
            beacon_steps(json_int(one, "prefix", 0), json_int(one, "frames", 0) * json_int(one, "tokens_per_frame", 0),
                         json_int(one, "suffix", 0), json_int(one, "window", 1), json_int(one, "ratio", 1));
        const Json &expected = json_need(one, "steps");
        bool same = expected.size() == walk.size();
        for (size_t i = 0; same && i < walk.size(); i++)
            same =
                json_shape(expected[i]) == std::vector<int64_t>{walk[i].tokens, walk[i].summaries, walk[i].memory_rows};
        same = same && json_int(one, "memory_length", -1) == walk.back().memory_rows + walk.back().tokens;
        report.same(name, same);
    }
}

} // namespace

void parity_clip_preprocess(const Json &golden, Report &report)
{
    const Fill fill(golden);
    const ClipPreprocess base = ClipPreprocess::from_json(golden);
    each_case(golden, report,
              [&](const Json &one, const std::string &name) { preprocess_case(fill, base, one, name, report); });
}

void parity_clip_vision(const Json &golden, Report &report)
{
    const Fill fill(golden);
    each_case(golden, report,
              [&](const Json &one, const std::string &name) { vision_case(fill, golden, one, name, report); });
}

void parity_projector(const Json &golden, Report &report)
{
    const Fill fill(golden);
    each_case(golden, report,
              [&](const Json &one, const std::string &name) { projector_case(fill, golden, one, name, report); });
}

void parity_beacon_memory(const Json &golden, Report &report)
{
    const Fill fill(golden);
    const Language language = Language::make(fill, golden, weight_options(report));
    size_t index = 0;
    for (const Json &one : json_need(golden, "cases")) {
        const std::string name = "case" + std::to_string(index++);
        report.attempt(name, [&] { beacon_case(fill, language, golden, one, name, report); });
    }
    index = 0;
    if (json_has(golden, "incremental"))
        for (const Json &statement : golden["incremental"]) {
            const std::string name = "incremental" + std::to_string(index++);
            report.attempt(name, [&] { incremental_case(fill, language, golden, statement, name, report); });
        }
    if (json_has(golden, "real_size_windows"))
        report.attempt("real_size_windows", [&] { window_tables(golden, report); });
}

void parity_memory_prompt(const Json &golden, Report &report)
{
    const VideoPrompt prompt = video_prompt_7b();
    report.same("prefix_ids", json_shape(json_need(golden, "prefix_ids")) == prompt.prefix);
    report.same("suffix_ids", json_shape(json_need(golden, "suffix_ids")) == prompt.suffix);
    report.same("prefix_text", json_string(golden, "prefix_text", "") == video_prompt_prefix_text);
    report.same("suffix_text", json_string(golden, "suffix_text", "") == video_prompt_suffix_text);
}

} // namespace mdl
