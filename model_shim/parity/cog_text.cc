// cog_text.cc - parity of the text encoder and its tokenizer.
#include "error.h"
#include "longanimation/t5.h"
#include "longanimation/t5_tokenizer.h"
#include "parity/golden.h"
#include "parity/kinds.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace mdl
{

namespace
{

constexpr double t5_tolerance = 3e-5;

at::Tensor ids_tensor(const Json &rows)
{
    if (!rows.is_array() || rows.empty())
        throw Error(MDL_EINVAL, "input_ids holds no rows");
    std::vector<int64_t> all;
    for (const Json &row : rows) {
        const auto ids = json_shape(row);
        all.insert(all.end(), ids.begin(), ids.end());
    }
    const auto count = static_cast<int64_t>(rows.size());
    if (all.size() % rows.size())
        throw Error(MDL_EINVAL, "rows of input_ids differ in length");
    return at::tensor(all, at::kLong).view({count, -1});
}

void check_buckets(const Json &table, const T5Config &c, Report &report)
{
    const auto relative = json_doubles(json_need(table, "relative_position"));
    const auto expected = json_shape(json_need(table, "bucket"));
    const at::Tensor got = t5_buckets(at::tensor(relative, at::kDouble).to(at::kLong), c.buckets, c.max_distance);
    report.same("buckets", at::equal(got, at::tensor(expected, at::kLong)));
}

void check_case(const Json &golden, const Json &one, const std::string &name, Report &report)
{
    Weights weights = Fill(golden).weights(json_need(one, "state_dict"), {report.options.dtype, report.options.device});
    const T5Encoder encoder(T5Config::parse(json_need(one, "config")), weights);
    weights.finish(T5Encoder::ignorable());
    const at::Tensor out = encoder(ids_tensor(json_need(one, "input_ids")));
    const double tolerance = tolerance_of(golden, one, t5_tolerance);
    report.compare(name + "last_hidden_state", json_need(one, "last_hidden_state"), out, tolerance);
    if (!one.contains("rows"))
        return;
    for (const Json &row : one["rows"]) {
        const int64_t n = json_int(row, "row", 0, 0, out.size(1) - 1);
        const at::Tensor got = out[0][n].to(at::kCPU, at::kDouble);
        const at::Tensor expected = at::tensor(json_doubles(json_need(row, "values")), at::kDouble);
        if (got.sizes() != expected.sizes())
            throw Error(MDL_EINVAL, "a row of another width");
        report.within(name + "row" + std::to_string(n), (got - expected).abs().max().item<double>(), tolerance);
    }
}

} // namespace

void parity_t5(const Json &golden, Report &report)
{
    const bool single = !golden.contains("cases");
    const Json cases = single ? Json::array({golden}) : golden["cases"];
    int n = 0;
    for (const Json &one : cases) {
        const std::string name = single ? "" : json_string(one, "label", "case" + std::to_string(n)) + "/";
        n++;
        report.attempt(name + "run", [&] { check_case(golden, one, name, report); });
    }
    for (const char *key : {"bucket", "buckets"})
        if (golden.contains(key))
            report.attempt(key, [&] {
                check_buckets(golden[key], T5Config::parse(golden.value("config", Json::object())), report);
            });
}

void parity_tokenizer(const Json &golden, Report &report)
{
    const T5Tokenizer tokenizer(report.folder() + "/" + json_string(golden, "model", "tokenizer/spiece.model"));
    const int64_t length = json_int(golden, "max_length", 226, 1, 1 << 20);
    if (golden.contains("piece_count"))
        report.same("piece_count", json_int(golden, "piece_count", 0) == tokenizer.pieces());
    int n = 0;
    for (const Json &one : json_need(golden, "cases")) {
        const std::string name = "case" + std::to_string(n++);
        report.attempt(name, [&] {
            auto expected = json_shape(json_need(one, "ids"));
            if (static_cast<int64_t>(expected.size()) > length)
                throw Error(MDL_EINVAL, "more ids than max_length");
            expected.resize(static_cast<size_t>(length), json_int(golden, "pad_id", 0));
            const std::string text = json_string(one, "text", "");
            report.same(name, tokenizer.encode(text, length) == expected, "text: " + text.substr(0, 60));
        });
    }
    n = 0;
    for (const Json &one : golden.value("other_max_length", Json::array())) {
        const std::string name = "length" + std::to_string(n++);
        report.attempt(name, [&] {
            const auto got = tokenizer.encode(json_string(one, "text", ""), json_int(one, "max_length", length, 1));
            report.same(name, got == json_shape(json_need(one, "ids")));
        });
    }
}

} // namespace mdl
