// cog_basics.cc - parity of what needs no network: generated numbers, embeddings, rotary tables.
#include "error.h"
#include "nn/embeddings.h"
#include "nn/rope.h"
#include "parity/golden.h"
#include "parity/kinds.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <regex>

namespace mdl
{

namespace
{

struct ParityContext {
    Report &report;
    double tolerance;
};

double largest_difference(const std::vector<double> &expected, const double *actual)
{
    double worst = 0;
    for (size_t i = 0; i < expected.size(); i++)
        worst = std::max(worst, std::abs(expected[i] - actual[i]));
    return worst;
}

std::vector<int64_t> shape_in(const std::string &text)
{
    std::vector<int64_t> shape;
    const std::regex number("[0-9]+");
    for (std::sregex_iterator it(text.begin(), text.end(), number), end; it != end; ++it)
        shape.push_back(std::stoll(it->str()));
    return shape;
}

// One line of the file: the call it shows, the name in it, the shape, and what comes out.
void check_fill(const std::string &label, const Json &expected, const Fill &fill, Report &report)
{
    static const std::regex form("(fnv1a64|unit|wfill|inp)\\(\"([^\"]+)\"(?:,\\(([0-9, ]+)\\))?\\).*");
    std::smatch part;
    if (!std::regex_match(label, part, form))
        return report.skip(label, "unknown call");
    const std::string call = part[1], name = part[2];
    if (call == "fnv1a64") {
        const std::string text = expected.is_string() ? expected.get<std::string>() : expected.dump();
        report.same(label, text == std::to_string(fnv1a64(name)), "expected " + text);
        return;
    }
    const auto values = json_doubles(expected);
    const auto count = static_cast<int64_t>(values.size());
    if (call == "unit") {
        report.within(label, largest_difference(values, fill.unit(name, count).data()), 0);
        return;
    }
    const auto shape = shape_in(part[3]);
    const at::Tensor made = (call == "wfill" ? fill.weight(name, shape) : fill.input(name, shape)).flatten();
    if (count > made.numel())
        throw Error(MDL_EINVAL, "more values than the shape has");
    const at::Tensor head = made.narrow(0, 0, count).to(at::kDouble).contiguous();
    report.within(label, largest_difference(values, head.const_data_ptr<double>()), 1e-8);
}

// The numbers in a label, in order.
std::vector<double> numbers_in(const std::string &text)
{
    std::vector<double> numbers;
    static const std::regex number("[0-9]+(\\.[0-9]+)?");
    for (std::sregex_iterator it(text.begin(), text.end(), number), end; it != end; ++it)
        numbers.push_back(std::stod(it->str()));
    return numbers;
}

// "timestep_embedding dim=8 t=[999, 0.0, ...]" or "sincos3d dim=32 spatial=(w6,h4) t3 scale1.875"
void check_embedding(const std::string &label, const Json &record, const ParityContext &context)
{
    const bool sincos = label.rfind("sincos3d ", 0) == 0;
    const auto n = numbers_in(label.substr(label.find(' ') + 1));
    if (sincos && n.size() >= 5) {
        const auto whole = [&n](size_t i) { return static_cast<int64_t>(n[i]); };
        const at::Tensor table = nn::sincos_3d(whole(0), whole(3), whole(2), whole(1), n[4], n.size() > 5 ? n[5] : 1.0);
        context.report.compare(label, record, table, context.tolerance);
    } else if (label.rfind("timestep_embedding ", 0) == 0 && n.size() >= 2) {
        const at::Tensor t = at::tensor(std::vector<double>(n.begin() + 1, n.end()), at::kFloat);
        const auto width = static_cast<int64_t>(n[0]);
        const at::Tensor table = nn::timestep_embedding(t.to(context.report.options.device), width);
        context.report.compare(label, record, table, context.tolerance);
    } else {
        context.report.skip(label, "unknown label");
    }
}

nn::Rope rope_of(const std::string &label, const Json &record, c10::Device device)
{
    static const std::regex form(
        "(slice|linspace)_d([0-9]+)_grid([0-9]+)x([0-9]+)_t([0-9]+)(?:_max([0-9]+)(?:x([0-9]+))?)?.*");
    std::smatch part;
    if (!std::regex_match(label, part, form))
        return {};
    const auto number = [&part](size_t i) { return static_cast<int64_t>(std::stoll(part[i])); };
    const nn::Grid grid{number(5), number(3), number(4)};
    if (part[1] == "slice") {
        const int64_t rows = part[6].matched ? number(6) : grid.height;
        return nn::rope_slice(number(2), grid, rows, part[7].matched ? number(7) : std::max(rows, grid.width), device);
    }
    const Json &crop = json_need(record, "crop");
    if (!crop.is_array() || crop.size() != 2)
        throw Error(MDL_EINVAL, "crop is no pair");
    const auto from = json_shape(crop[0]), to = json_shape(crop[1]);
    if (from.size() != 2 || to.size() != 2)
        throw Error(MDL_EINVAL, "crop is no pair of corners");
    return nn::rope_linspace(number(2), grid, {from[0], from[1], to[0], to[1]}, device);
}

void check_crops(const Json &crops, Report &report)
{
    for (const auto &[label, expected] : crops.items()) {
        const auto n = numbers_in(label); // ((height, width), base width, base height)
        if (n.size() != 4 || !expected.is_array() || expected.size() != 2)
            throw Error(MDL_EINVAL, "crop_regions holds something unknown");
        const auto whole = [&n](size_t i) { return static_cast<int64_t>(n[i]); };
        const auto c = nn::rope_crop_region(whole(0), whole(1), whole(3), whole(2));
        report.same("crop" + label, json_shape(expected[0]) == std::vector<int64_t>{c.top, c.left} &&
                                        json_shape(expected[1]) == std::vector<int64_t>{c.bottom, c.right});
    }
}

void check_rope(const std::string &label, const Json &record, const ParityContext &context)
{
    if (label == "crop_regions")
        return check_crops(record, context.report);
    const nn::Rope rope = rope_of(label, record, context.report.options.device);
    if (!rope.cos.defined())
        return context.report.skip(label, "unknown label");
    context.report.compare(label + ".cos", json_need(record, "cos"), rope.cos_doubled(), context.tolerance);
    context.report.compare(label + ".sin", json_need(record, "sin"), rope.sin_doubled(), context.tolerance);
}

// Files whose keys are labels: everything but what all golden files have.
void each_label(const Json &golden, Report &report,
                void (*check)(const std::string &, const Json &, const ParityContext &))
{
    const ParityContext context{report, json_double(golden, "tolerance", 2e-5)};
    for (const auto &[label, record] : golden.items())
        if (record.is_object())
            report.attempt(label, [&, &label = label, &record = record] { check(label, record, context); });
}

} // namespace

void parity_embeddings(const Json &golden, Report &report)
{
    each_label(golden, report, check_embedding);
}

void parity_rope(const Json &golden, Report &report)
{
    each_label(golden, report, check_rope);
}

void parity_fill_selftest(const Json &golden, Report &report)
{
    const Fill fill(golden);
    for (const auto &[label, expected] : golden.items())
        if (label != "kind")
            report.attempt(label,
                           [&, &label = label, &expected = expected] { check_fill(label, expected, fill, report); });
}

} // namespace mdl
