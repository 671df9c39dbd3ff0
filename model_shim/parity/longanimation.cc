// longanimation.cc - parity of what LongAnimation adds to CogVideoX: memory module, line art, fusion, segments.
#include "error.h"
#include "longanimation/dglm.h"
#include "longanimation/fusion.h"
#include "longanimation/lineart.h"
#include "longanimation/plan.h"
#include "longanimation/resample.h"
#include "parity/golden.h"
#include "parity/kinds.h"
#include "video_xl/clip_preprocess.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace mdl
{

namespace
{

constexpr double float_pixel_tolerance = 1e-3; // of values up to 255 before rounding

WeightOptions weight_options(const Report &report)
{
    return {report.options.dtype, report.options.device};
}

at::Tensor input_of(const Fill &fill, const Json &one, const char *label)
{
    return fill.input(label, json_shape(json_need(json_need(one, "inputs"), label)),
                      json_double(one, "input_scale", 1));
}

// Compares the entry `key` of `records` if there is one.
void compare_if(Report &report, const Json &records, const std::string &key, const std::string &name,
                const at::Tensor &actual, double tolerance)
{
    if (records.is_object() && json_has(records, key.c_str()))
        report.compare(name + "/" + key, records[key], actual, tolerance);
}

void dglm_case(const Dglm &network, const Fill &fill, const Json &one, const std::string &name, double tolerance,
               Report &report)
{
    const auto where = at::TensorOptions().device(report.options.device).dtype(report.options.dtype);
    const at::Tensor control = input_of(fill, one, "control").to(where);
    const at::Tensor global_memory = input_of(fill, one, "global_memory").to(where);
    const at::Tensor local_memory = input_of(fill, one, "local_memory").to(where);
    const Json none = Json::object();
    const Json &cached = json_has(one, "cached") ? one["cached"] : none;
    const Json &inner = json_has(one, "intermediate") ? one["intermediate"] : none;
    const Dglm::Cache cache = network.map(global_memory, local_memory);
    at::Tensor z = control;
    for (int64_t i = 0; i < network.config().depth; i++) {
        const std::string number = std::to_string(i), layer = "layer" + number;
        const Dglm::LayerCache &kv = cache[static_cast<size_t>(i)];
        compare_if(report, cached, layer + ".k", name, kv.k, tolerance);
        compare_if(report, cached, layer + ".v", name, kv.v, tolerance);
        for (const bool values : {false, true}) {
            const int64_t kind = values ? 1 : 0;
            const at::Tensor tokens =
                at::cat({global_memory.select(1, kind).select(1, i), local_memory.select(1, kind).select(1, i)}, 1);
            compare_if(report, inner, (values ? "value_mapping_" : "key_mapping_") + number, name,
                       network.mapped(i, values, tokens), tolerance);
        }
        const at::Tensor attention = network.attention(i, kv, z);
        compare_if(report, inner, layer + ".attention", name, attention, tolerance);
        z = z + attention;
        const at::Tensor feed_forward = network.feed_forward(i, z);
        compare_if(report, inner, layer + ".feed_forward", name, feed_forward, tolerance);
        z = z + feed_forward;
    }
    const at::Tensor output = network.forward(cache, control);
    compare_if(report, one, "output", name, output, tolerance);
    compare_if(report, one, "output_plus_control", name, control + output, tolerance);
}

at::Tensor image_of(const Fill &fill, const Json &one)
{
    const Json &input = json_need(one, "input");
    return fill.image_u8(json_string(input, "image_u8", ""), json_shape(json_need(input, "shape")));
}

// "0101..." per row, the rows of all frames one after the other.
bool rows_equal(const Json &rows, const at::Tensor &paper)
{
    const at::Tensor mask = paper.to(at::kCPU, at::kByte).reshape({-1, paper.size(-1)}).contiguous();
    if (static_cast<int64_t>(rows.size()) != mask.size(0))
        return false;
    const uint8_t *bytes = mask.const_data_ptr<uint8_t>();
    for (const Json &row : rows) {
        std::string text;
        for (int64_t x = 0; x < mask.size(1); x++)
            text += *bytes++ ? '1' : '0';
        if (!row.is_string() || row.get<std::string>() != text)
            return false;
    }
    return true;
}

void lineart_network(const Lineart &network, const at::Tensor &frames, const Json &one, double threshold,
                     const std::string &name, double tolerance, Report &report)
{
    const at::Tensor on_device = frames.to(report.options.device);
    std::map<std::string, at::Tensor> stages;
    network.forward_chunk(on_device, &stages);
    for (const auto &[stage, value] : stages)
        compare_if(report, one.value("intermediate", Json::object()), stage, name, value, tolerance);
    const at::Tensor y = network.forward(on_device), paper = lineart_paper(y, threshold);
    compare_if(report, one, "output", name, y, tolerance);
    if (json_has(one, "above_threshold"))
        report.same(name + "/above_threshold", rows_equal(json_need(one["above_threshold"], "rows"), paper),
                    "the mask differs");
    compare_if(report, one, "sketch", name, lineart_sketch(paper, report.options.dtype), 0);
}

void same_fit(Report &report, const std::string &name, const Json &one, const Fit &fit)
{
    const auto resized = json_shape(json_need(one, "resized"));
    const bool same = resized == std::vector<int64_t>{fit.height, fit.width} && json_int(one, "top", 0) == fit.top &&
                      json_int(one, "left", 0) == fit.left;
    report.same(name + "/fit", same, c10::str(fit.height, "x", fit.width, " cropped at ", fit.top, ",", fit.left));
}

void lineart_resize(const at::Tensor &frames, const Json &one, const std::string &name, Report &report)
{
    const auto target = json_shape(json_need(one, "target"));
    const Fit fit = fit_cover(frames.size(2), frames.size(3), target.at(0), target.at(1));
    same_fit(report, name, one, fit);
    compare_if(report, one, "resized_float_before_rounding", name, bicubic_float(frames, fit.height, fit.width),
               float_pixel_tolerance);
    compare_if(report, one, "output", name, resize_and_crop_frames(frames, target[0], target[1]), 0);
}

void lineart_lanczos(const at::Tensor &image, const Json &one, const std::string &name, double tolerance,
                     Report &report)
{
    const auto target = json_shape(json_need(one, "target"));
    const at::Tensor resized = pillow_resize(image.unsqueeze(0), target.at(0), target.at(1), PillowFilter::lanczos);
    compare_if(report, one, "resized_u8", name, resized.squeeze(0), 0);
    const at::Tensor scaled = resized.permute({0, 3, 1, 2}).to(at::kFloat) / 255 * 2 - 1;
    compare_if(report, one, "output", name, scaled, tolerance);
}

void lineart_clip(const at::Tensor &images, const Json &one, const std::string &name, double tolerance, Report &report)
{
    ClipPreprocess clip;
    clip.size = clip.crop = json_int(one, "size", clip.size);
    const Fit fit = fit_short_side(images.size(1), images.size(2), clip.size, clip.crop);
    same_fit(report, name, one, fit);
    compare_if(report, one, "resized_u8", name, pillow_resize(images, fit.height, fit.width, PillowFilter::bicubic), 0);
    compare_if(report, one, "output", name, clip_pixels(clip, clip_crop(clip, images)), tolerance);
}

FusionConfig fusion_config(const Json &one)
{
    FusionConfig config;
    config.first_step = json_int(one, "first_step", 0);
    config.weights = json_doubles(json_need(one, "weights_previous"));
    return config;
}

void fusion_case(const Fill &fill, const Json &one, const std::string &name, double tolerance, Report &report)
{
    const FusionConfig config = fusion_config(one);
    const bool bf16 = json_string(one, "dtype", "float32") == "bfloat16"; // arithmetic: the case says, not the run
    const auto where = at::TensorOptions().device(report.options.device).dtype(bf16 ? at::kBFloat16 : at::kFloat);
    const at::Tensor latents = input_of(fill, one, "latents").to(where);
    const at::Tensor previous = input_of(fill, one, "previous").to(where);
    for (const Json &result : json_need(one, "results")) {
        const int64_t step = json_int(result, "step", 0);
        const std::string at_step = name + "/step" + std::to_string(step);
        at::Tensor fused = latents.clone();
        if (config.fuses(step))
            fusion_apply(config, fused, previous);
        report.same(at_step + "/fused", config.fuses(step) == json_bool(result, "fused", true));
        compare_if(report, result, "output", at_step, fused, tolerance);
        compare_if(report, result, "saved_tail", at_step, fusion_tail(config, fused), tolerance);
    }
}

bool same_segment(const Json &expected, const Segment &s, int32_t segment_frames)
{
    const int64_t last = s.start_frame + s.keep_to - 1;
    return json_int(expected, "segment", -1, -1) == s.index && json_int(expected, "start", -1, -1) == s.start_frame &&
           json_int(expected, "end", -1, -1) == s.start_frame + segment_frames &&
           json_int(expected, "keep_from", -1, -1) == s.keep_from &&
           json_int(expected, "keep_to", -1, -1) == s.keep_to &&
           json_int(expected, "global_first", -1, -1) == s.start_frame + s.keep_from &&
           json_int(expected, "global_last", -1, -1) == last;
}

void plan_case(const Json &one, const std::string &name, Report &report)
{
    const auto segment_frames = static_cast<int32_t>(json_int(one, "segment_frames", 0));
    const Plan plan = plan_make(Profile::reference, json_int(one, "total_frames", 0), segment_frames,
                                static_cast<int32_t>(json_int(one, "overlap_frames", 0)));
    const Json &expected = json_need(one, "segments");
    bool same = expected.size() == plan.segments.size();
    for (size_t i = 0; same && i < expected.size(); i++)
        same = same_segment(expected[i], plan.segments[i], segment_frames);
    report.same(name + "/segments", same, std::to_string(plan.segments.size()) + " segments");
    report.same(name + "/final_frames", json_int(one, "final_frames", -1, -1) == plan.output_frames,
                std::to_string(plan.output_frames));
    report.same(name + "/dropped_tail", json_int(one, "dropped_tail", -1, -1) == plan.dropped_frames,
                std::to_string(plan.dropped_frames));
}

// Runs `body(case, name)` for every case; one that throws is a failure of its own.
template <class F> void each_case(const Json &golden, Report &report, F &&body)
{
    int index = 0;
    for (const Json &one : json_need(golden, "cases")) {
        const std::string name = "case" + std::to_string(index++);
        report.attempt(name, [&] { body(one, name); });
    }
}

} // namespace

void parity_dglm(const Json &golden, Report &report)
{
    const Fill fill(golden);
    Weights weights = fill.weights(json_need(golden, "state_dict"), weight_options(report));
    const Dglm network(DglmConfig::from_json(json_need(golden, "config")), weights);
    weights.finish();
    each_case(golden, report, [&](const Json &one, const std::string &name) {
        dglm_case(network, fill, one, name, tolerance_of(golden, one, 5e-5), report);
    });
}

void parity_lineart(const Json &golden, Report &report)
{
    const Fill fill(golden);
    Weights weights = fill.weights(json_need(golden, "state_dict"), weight_options(report));
    const Lineart network(weights);
    weights.finish();
    const double threshold = json_double(json_need(golden, "config"), "threshold", lineart_threshold);
    each_case(golden, report, [&](const Json &one, const std::string &name) {
        const std::string op = json_string(one, "op", ""), full = name + "/" + op;
        const double tolerance = tolerance_of(golden, one, 2e-5);
        const at::Tensor image = image_of(fill, one);
        if (op == "network")
            lineart_network(network, image, one, threshold, full, tolerance, report);
        else if (op == "resize")
            lineart_resize(image, one, full, report);
        else if (op == "lanczos")
            lineart_lanczos(image, one, full, tolerance, report);
        else if (op == "clip")
            lineart_clip(image, one, full, tolerance, report);
        else
            report.skip(full, "unknown operation");
    });
}

void parity_fusion(const Json &golden, Report &report)
{
    const Fill fill(golden);
    each_case(golden, report, [&](const Json &one, const std::string &name) {
        fusion_case(fill, one, name, tolerance_of(golden, one, 1e-6), report);
    });
}

void parity_plan(const Json &golden, Report &report)
{
    each_case(golden, report, [&](const Json &one, const std::string &name) { plan_case(one, name, report); });
}

} // namespace mdl
