#include "parity/golden.h"
#include "error.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <limits>

namespace mdl
{

namespace
{

constexpr double root3 = 1.7320508075688772935;
constexpr int64_t elements_max = int64_t{1} << 30; // of one generated tensor

int64_t count_of(at::IntArrayRef shape, const std::string &name)
{
    int64_t count = 1;
    for (int64_t size : shape)
        if (size < 0 || __builtin_mul_overflow(count, size, &count) || count > elements_max)
            throw Error(MDL_EINVAL, name + ": shape is too large to generate");
    return count;
}

uint64_t fnv1a64_add(uint64_t h, const void *data, size_t size)
{
    const auto *bytes = static_cast<const unsigned char *>(data);
    for (size_t i = 0; i < size; i++)
        h = (h ^ bytes[i]) * 1099511628211u;
    return h;
}

double unit_at(uint64_t h, uint64_t i)
{
    uint64_t z = h + (i + 1) * 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return 2.0 * (static_cast<double>(z >> 40) * 0x1p-24) - 1.0;
}

bool ends_with(const std::string &text, const char *end)
{
    const std::string_view tail(end);
    return text.size() >= tail.size() && std::string_view(text).substr(text.size() - tail.size()) == tail;
}

struct Elements {
    const double *data;
    int64_t count;
};

// Keeps the worst element; a difference that is no number counts as infinite.
void compare_run(Comparison &c, const std::vector<double> &expected, Elements actual, int64_t offset, const char *what)
{
    for (size_t i = 0; i < expected.size(); i++) {
        const double got = actual.data[offset + static_cast<int64_t>(i)];
        double error = std::abs(got - expected[i]);
        if (std::isnan(error))
            error = std::numeric_limits<double>::infinity();
        if (error > c.error || (error == c.error && c.note.empty() && error > 0)) {
            c.error = error;
            c.note = std::string(what) + "[" + std::to_string(i) + "] is " + std::to_string(got) + ", expected " +
                     std::to_string(expected[i]);
        }
    }
}

void compare_number(Comparison &c, const Json &record, const char *key, double got, double limit)
{
    if (!record.contains(key))
        return;
    const double expected = json_double(record, key, 0), error = std::abs(got - expected);
    if (error <= limit)
        return;
    c.same = false;
    c.note = std::string(key) + " is " + std::to_string(got) + ", expected " + std::to_string(expected) +
             (c.note.empty() ? "" : "; ") + c.note;
}

} // namespace

uint64_t fnv1a64(std::string_view bytes)
{
    return fnv1a64_add(14695981039346656037u, bytes.data(), bytes.size());
}

Fill::Fill(const Json &golden) : salt_(json_string(golden, "name_salt", ""))
{
}

std::vector<double> Fill::unit(std::string_view name, int64_t count) const
{
    const uint64_t h = fnv1a64(salt_ + std::string(name));
    std::vector<double> values(static_cast<size_t>(count));
    for (size_t i = 0; i < values.size(); i++)
        values[i] = unit_at(h, i);
    return values;
}

at::Tensor Fill::weight(const std::string &name, at::IntArrayRef shape) const
{
    const int64_t count = count_of(shape, name);
    double scale, offset = 0;
    if (name.find("pos_embedding") != std::string::npos) {
        scale = 0.02 * root3;
    } else if (name == "shared.weight") {
        scale = root3;
    } else if (shape.size() >= 2) {
        scale = std::sqrt(3.0 / (static_cast<double>(count) / static_cast<double>(shape[0])));
    } else {
        scale = 0.1;
        offset = ends_with(name, ".weight") ? 1 : 0;
    }
    const uint64_t h = fnv1a64(salt_ + name);
    at::Tensor tensor = at::empty(shape, at::kFloat);
    float *out = tensor.mutable_data_ptr<float>();
    for (int64_t i = 0; i < count; i++)
        out[i] = static_cast<float>(offset + scale * unit_at(h, static_cast<uint64_t>(i)));
    return tensor;
}

at::Tensor Fill::input(const std::string &label, at::IntArrayRef shape, double scale) const
{
    const int64_t count = count_of(shape, label);
    const uint64_t h = fnv1a64(salt_ + "input:" + label);
    at::Tensor tensor = at::empty(shape, at::kFloat);
    float *out = tensor.mutable_data_ptr<float>();
    for (int64_t i = 0; i < count; i++)
        out[i] = static_cast<float>(unit_at(h, static_cast<uint64_t>(i)) * root3 * scale);
    return tensor;
}

at::Tensor Fill::image_u8(const std::string &label, at::IntArrayRef shape) const
{
    const int64_t count = count_of(shape, label);
    const uint64_t h = fnv1a64(salt_ + "input:" + label);
    at::Tensor tensor = at::empty(shape, at::kByte);
    auto *out = tensor.mutable_data_ptr<uint8_t>();
    for (int64_t i = 0; i < count; i++)
        out[i] = static_cast<uint8_t>(std::floor((unit_at(h, static_cast<uint64_t>(i)) + 1) * 128));
    return tensor;
}

Weights Fill::weights(const Json &state_dict, const WeightOptions &options) const
{
    if (!state_dict.is_object())
        throw Error(MDL_EINVAL, "state_dict is no object");
    std::map<std::string, Weights::Shape> shapes;
    for (const auto &[name, shape] : state_dict.items())
        shapes.emplace(name, json_shape(shape));
    return Weights::generated(
        std::move(shapes),
        [fill = *this](const std::string &name, const Weights::Shape &shape) { return fill.weight(name, shape); },
        options);
}

Weights Fill::weights(const WeightOptions &options) const
{
    return Weights::generated_on_demand(
        [fill = *this](const std::string &name, const Weights::Shape &shape) { return fill.weight(name, shape); },
        options);
}

Comparison compare(const Json &record, const at::Tensor &actual, double tolerance)
{
    Comparison c;
    const auto shape = json_shape(json_need(record, "shape"));
    if (!actual.defined() || actual.sizes() != at::IntArrayRef(shape)) {
        c.same = false;
        c.error = std::numeric_limits<double>::infinity();
        c.note = "shape is " + (actual.defined() ? c10::str(actual.sizes()) : "undefined") + ", expected " +
                 c10::str(at::IntArrayRef(shape));
        return c;
    }
    const bool bytes = actual.scalar_type() == at::kByte;
    const at::Tensor values = actual.detach().to(at::kCPU, at::kDouble).contiguous();
    const Elements elements{values.const_data_ptr<double>(), values.numel()};
    if (bytes)
        tolerance = 0;
    int64_t runs = 0;
    for (const char *key : {"first", "last", "values"}) {
        if (!record.contains(key))
            continue;
        const auto expected = json_doubles(record[key]);
        const auto count = static_cast<int64_t>(expected.size());
        if (count > elements.count || (key[0] == 'v' && count != elements.count))
            throw Error(MDL_EINVAL, std::string("\"") + key + "\" does not fit the shape");
        compare_run(c, expected, elements, key[0] == 'l' ? elements.count - count : 0, key);
        runs += count;
    }
    if (runs == 0 && elements.count > 0 && !record.contains("sum"))
        throw Error(MDL_EINVAL, "a record without values and without sums");
    if (c.error <= tolerance)
        c.note.clear();
    else
        c.same = false;
    if (elements.count > 0) {
        const double limit = tolerance * static_cast<double>(elements.count);
        compare_number(c, record, "sum", values.sum().item<double>(), limit);
        compare_number(c, record, "abs_sum", values.abs().sum().item<double>(), limit);
        compare_number(c, record, "min", values.min().item<double>(), tolerance);
        compare_number(c, record, "max", values.max().item<double>(), tolerance);
    }
    if (record.contains("fnv1a64")) {
        const at::Tensor raw = actual.cpu().contiguous();
        const uint64_t h = fnv1a64_add(14695981039346656037u, raw.const_data_ptr(), raw.nbytes());
        if (json_string(record, "fnv1a64", "") != std::to_string(h)) {
            c.same = false;
            c.note += (c.note.empty() ? "" : "; ") + std::string("bytes differ (fnv1a64)");
        }
    }
    return c;
}

double tolerance_of(const Json &golden, const Json &one_case, double fallback)
{
    return json_double(one_case, "tolerance", json_double(golden, "tolerance", fallback));
}

} // namespace mdl
