// cog_basics.cc - parity of what needs no network: generated numbers, embeddings, rotary tables, schedulers.
#include "error.h"
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

} // namespace

void parity_fill_selftest(const Json &golden, Report &report)
{
    const Fill fill(golden);
    for (const auto &[label, expected] : golden.items())
        if (label != "kind")
            report.attempt(label,
                           [&, &label = label, &expected = expected] { check_fill(label, expected, fill, report); });
}

} // namespace mdl
