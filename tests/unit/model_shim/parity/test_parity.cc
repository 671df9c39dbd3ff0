// The parity walk: broken goldens are failures with a sentence, never a crash, and never a pass.
#include "parity/parity.h"

#include "error.h"
#include "parity/golden.h"
#include "tests/support/cmocka_cc.h"
#include "tests/support/safetensors_maker.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include <cstring>

namespace
{

using mdl::Json;

struct Run {
    mdl::ParityCounts counts;
    std::vector<std::string> lines;
};

Run run(const std::string &path)
{
    Run r;
    r.counts = mdl::parity_run({path}, {}, [&r](const std::string &line) {
        r.lines.push_back(line);
        return true;
    });
    return r;
}

Run run_text(const std::string &text)
{
    maker::Folder folder;
    return run(folder.put("golden.json", text));
}

std::string read(const std::string &path)
{
    return mdl::read_file(path, 1 << 24);
}

void expect(const Run &r, int passed, int failed, int skipped)
{
    if (r.counts.passed != passed || r.counts.failed != failed || r.counts.skipped != skipped)
        fail_msg("%d passed, %d failed, %d skipped: %s", r.counts.passed, r.counts.failed, r.counts.skipped,
                 r.lines.empty() ? "" : r.lines.back().c_str());
}

void a_cut_golden_is_a_failure(void **)
{
    const std::string whole = read("tests/goldens/cogvideox/t5_tiny.json");
    for (const size_t n : {size_t{0}, size_t{1}, whole.size() / 3, whole.size() - 2})
        expect(run_text(whole.substr(0, n)), 0, 1, 0);
}

void a_golden_without_cases_is_a_failure(void **)
{
    expect(run_text(R"({"kind": "plan", "cases": {}})"), 0, 1, 0);
    expect(run_text(R"({"kind": "cogvideox.rope"})"), 0, 1, 0);
}

void an_unknown_kind_is_skipped(void **)
{
    expect(run_text("{\"kind\":\"cogvideox.unheard_of\"}"), 0, 0, 1);
}

void a_file_without_a_kind_is_a_failure_when_asked_for(void **)
{
    expect(run_text("{}"), 0, 1, 0);
    expect(run_text("[1,2]"), 0, 1, 0);
    expect(run("/nonexistent/golden.json"), 0, 1, 0);
}

// Each of these takes something away, or bends it, and must fail without ending the walk.
void bent_goldens_are_failures(void **)
{
    const char *files[] = {"t5_tiny", "transformer_v15_i2v", "vae_tiny", "schedulers", "pipeline_i2v_v15_tiny"};
    for (const char *name : files) {
        const Json golden = Json::parse(read(std::string("tests/goldens/cogvideox/") + name + ".json"));
        for (const auto &[key, value] : golden.items()) {
            if (key == "kind" || key == "note" || key == "inputs")
                continue;
            Json bent = golden;
            bent[key] = "bent";
            const Run r = run_text(bent.dump());
            if (r.counts.failed == 0)
                fail_msg("%s with a bent \"%s\" has no failure", name, key.c_str());
        }
    }
}

void sizes_out_of_range_are_failures(void **)
{
    Json golden = Json::parse(read("tests/goldens/cogvideox/transformer_v15_i2v.json"));
    golden["cases"] = Json::array({golden["cases"][0]});
    for (const char *key : {"num_layers", "num_attention_heads", "patch_size", "patch_size_t", "in_channels"}) {
        for (const Json &value : {Json(-1), Json(0), Json(1u << 30), Json(1e300), Json("2"), Json(7.5)}) {
            Json bent = golden;
            bent["config"][key] = value;
            assert_true(run_text(bent.dump()).counts.failed > 0);
        }
    }
    golden["cases"][0]["h"] = 7; // does not divide into patches
    assert_true(run_text(golden.dump()).counts.failed > 0);
}

void wrong_numbers_fail(void **)
{
    const at::Tensor x = at::tensor({1.0, 2.0, 3.0}, at::kFloat);
    const Json record = {{"shape", {3}}, {"sum", 6.0}, {"abs_sum", 6.0}, {"first", {1.0, 2.0, 3.0}}};
    assert_true(mdl::compare(record, x, 1e-6).same);
    assert_false(mdl::compare(record, x + 1e-3, 1e-6).same);
    assert_false(mdl::compare(record, x.view({1, 3}), 1e-6).same);
    assert_false(mdl::compare(record, x / 0 - x / 0, 1e-6).same); // not a number
    Json sums = record;
    sums.erase("first");
    assert_false(mdl::compare(sums, x * 2, 1e-6).same);
    Json bytes = {{"shape", {3}}, {"first", {1, 2, 3}}, {"fnv1a64", "1"}};
    assert_false(mdl::compare(bytes, x.to(at::kByte), 1e-6).same);
}

void the_salt_changes_everything(void **)
{
    const mdl::Fill plain{std::string()}, salted{std::string("salt/")};
    assert_false(at::equal(plain.weight("a.weight", {4, 4}), salted.weight("a.weight", {4, 4})));
    assert_false(at::equal(plain.input("x", {8}), salted.input("x", {8})));
    assert_true(
        at::equal(salted.weight("a.weight", {4, 4}), mdl::Fill{std::string("salt/")}.weight("a.weight", {4, 4})));
}

void the_caller_can_stop(void **)
{
    int seen = 0;
    try {
        mdl::parity_run({"tests/goldens/cogvideox/fill_selftest.json"}, {},
                        [&seen](const std::string &) { return ++seen < 2; });
        fail_msg("went on");
    } catch (const mdl::Error &e) {
        assert_int_equal(e.code, MDL_ECANCELED);
        assert_int_equal(seen, 2);
    }
}

void lines_have_five_words(void **)
{
    for (const std::string &line : run("tests/goldens/cogvideox/embeddings.json").lines) {
        int words = 1;
        for (const char c : line.substr(0, line.find(" : ")))
            words += c == ' ';
        assert_int_equal(words, 5);
    }
}

} // namespace

int main()
{
    at::set_num_threads(1);
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_golden_is_a_failure),
        cmocka_unit_test(a_golden_without_cases_is_a_failure),
        cmocka_unit_test(an_unknown_kind_is_skipped),
        cmocka_unit_test(a_file_without_a_kind_is_a_failure_when_asked_for),
        cmocka_unit_test(bent_goldens_are_failures),
        cmocka_unit_test(sizes_out_of_range_are_failures),
        cmocka_unit_test(wrong_numbers_fail),
        cmocka_unit_test(the_salt_changes_everything),
        cmocka_unit_test(the_caller_can_stop),
        cmocka_unit_test(lines_have_five_words),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
