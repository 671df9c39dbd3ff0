// Weight files from outside: whatever the format forbids is refused before a tensor is looked at.
#include "io/safetensors.h"

#include "error.h"
#include "tests/support/cmocka_cc.h"
#include "tests/support/safetensors_maker.h"

#include <ATen/ATen.h>

#include <cstring>

namespace
{

using maker::entry;
using maker::file;

std::map<std::string, mdl::SafetensorsEntry> parse(const std::string &bytes)
{
    return mdl::safetensors_parse({reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()}, "test");
}

// Refused with the code for weights, and with a sentence that says why.
void refused(const std::string &bytes, const char *why)
{
    try {
        parse(bytes);
    } catch (const mdl::Error &e) {
        assert_int_equal(e.code, MDL_EWEIGHTS);
        if (!std::strstr(e.what(), why))
            fail_msg("refused, but for another reason: %s", e.what());
        return;
    }
    fail_msg("accepted a file that should be refused: %s", why);
}

std::string with(const std::string &tensors, size_t data_bytes)
{
    return file("{" + tensors + "}", std::string(data_bytes, '\0'));
}

void a_right_file_is_read(void **)
{
    const auto all =
        parse(file("{\"__metadata__\":{\"format\":\"pt\"}," + entry("a", "F32", "[2,3]", 0, 24) + "," +
                       entry("empty", "F16", "[0,5]", 24, 24) + "," + entry("one", "I64", "[]", 24, 32) + "}   ",
                   std::string(32, '\0')));
    assert_int_equal(all.size(), 3);
    assert_int_equal(all.at("a").end - all.at("a").begin, 24);
    assert_int_equal(all.at("one").shape.size(), 0);
    assert_true(all.at("empty").dtype == c10::ScalarType::Half);
    assert_int_equal(parse(file("{}", "")).size(), 0);
}

void a_cut_file_is_refused_wherever_it_is_cut(void **)
{
    const std::string whole = maker::small();
    for (size_t n = 0; n < whole.size(); n++)
        try {
            parse(whole.substr(0, n));
            fail_msg("accepted %zu of %zu bytes", n, whole.size());
        } catch (const mdl::Error &e) {
            assert_int_equal(e.code, MDL_EWEIGHTS);
        }
}

void a_header_longer_than_file_or_limit_is_refused(void **)
{
    refused(file("{}", "", 3), "longer than the file");
    refused(file("{}", std::string(64, '\0'), 100'000'001), "over the limit");
    refused(file("{}", std::string(64, '\0'), UINT64_MAX - 7), "over the limit");
    refused(file("", std::string(8, '\0'), 0), "longer than the file");
}

void a_header_that_is_no_object_is_refused(void **)
{
    refused(file(" {}", ""), "does not start");
    refused(file("[]", ""), "does not start");
    refused(file("{\"a\":", ""), "parse error");
    refused(file("{\"a\":\xff}", ""), "parse error");
    refused(with("\"a\":[1]", 0), "expected dtype");
    refused(with("\"a\":{\"dtype\":\"F32\",\"shape\":[1]}", 4), "expected dtype");
    refused(with("\"__metadata__\":{\"n\":1}", 0), "__metadata__");
    refused(file("{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}", ""), "deep");
}

void duplicate_keys_are_refused(void **)
{
    refused(with(entry("a", "F32", "[1]", 0, 4) + "," + entry("a", "F32", "[1]", 4, 8), 8), "twice");
    refused(with("\"a\":{\"dtype\":\"F32\",\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,4]}", 4), "twice");
}

void unknown_types_are_refused(void **)
{
    refused(with(entry("a", "F31", "[1]", 0, 4), 4), "unknown dtype");
    refused(with(entry("a", "", "[1]", 0, 4), 4), "unknown dtype");
    refused(with("\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}", 4), "no string");
}

void overlapping_tensors_are_refused(void **)
{
    refused(with(entry("a", "F32", "[2]", 0, 8) + "," + entry("b", "F32", "[2]", 4, 12), 12), "overlap");
    refused(with(entry("a", "F32", "[2]", 0, 8) + "," + entry("b", "F32", "[2]", 0, 8), 8), "overlap");
}

void bytes_of_no_tensor_are_refused(void **)
{
    refused(with(entry("a", "F32", "[1]", 0, 4) + "," + entry("b", "F32", "[1]", 8, 12), 12), "belong to none");
    refused(with(entry("a", "F32", "[1]", 4, 8), 8), "belong to none");
    refused(with(entry("a", "F32", "[1]", 0, 4), 5), "belong to none");
}

void offsets_outside_of_the_file_are_refused(void **)
{
    refused(with(entry("a", "F32", "[2]", 0, 8), 4), "outside");
    refused(with(entry("a", "F32", "[0]", 8, 4), 16), "outside");
    refused(with(entry("a", "F32", "[1]", UINT64_MAX - 3, UINT64_MAX), 4), "outside");
    refused(with("\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}", 4), "natural number");
    refused(with("\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}", 4), "pair");
    refused(with("\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,1e400]}", 4), "");
}

void shapes_that_do_not_fit_are_refused(void **)
{
    refused(with(entry("a", "F32", "[3]", 0, 8), 8), "disagree");
    refused(with(entry("a", "F32", "[4294967296,4294967296]", 0, 8), 8), "overflow");
    refused(with(entry("a", "F32", "[0,4294967296,4294967296,4]", 0, 0), 0), "overflow");
    refused(with(entry("a", "F32", "[18446744073709551615]", 0, 4), 4), "overflow");
    refused(with(entry("a", "F32", "[-1]", 0, 4), 4), "natural number");
    refused(with(entry("a", "F32", "[1.0]", 0, 4), 4), "natural number");
    refused(with(entry("a", "F32", "[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", 0, 4), 4), "at most 16");
}

void tensors_outlive_the_file_object(void **)
{
    maker::Folder folder;
    const std::string path = folder.put("x.safetensors", maker::small());
    at::Tensor a = mdl::Safetensors::open(path)->tensor("a");
    std::filesystem::remove(path);
    assert_true(a[0].item<float>() == 1.0f && a[1].item<float>() == 2.0f);
}

void misaligned_data_is_copied(void **)
{
    maker::Folder folder;
    const std::string header = "{" + entry("a", "F32", "[2]", 0, 8) + "} ";
    const std::string path = folder.put("x.safetensors", file(header, std::string("\0\0\x80\x3f\0\0\0\x40", 8)));
    const std::string other = folder.put("y.safetensors", file(header + " ", std::string("\0\0\x80\x3f\0\0\0\x40", 8)));
    for (const std::string &one : {path, other}) {
        const at::Tensor a = mdl::Safetensors::open(one)->tensor("a");
        assert_int_equal(reinterpret_cast<uintptr_t>(a.const_data_ptr()) % 4, 0);
        assert_true(a[1].item<float>() == 2.0f);
    }
}

void what_is_no_file_is_refused(void **)
{
    maker::Folder folder;
    for (const std::string &path : {folder.path(), folder.path() + "/none", folder.put("empty", "")})
        try {
            mdl::Safetensors::open(path);
            fail_msg("opened %s", path.c_str());
        } catch (const mdl::Error &e) {
            assert_int_equal(e.code, MDL_EWEIGHTS);
        }
}

// What the fuzzer found or started from: nothing may happen but a table or an error.
void the_corpus_of_the_fuzzer_is_survived(void **)
{
    int count = 0;
    for (const auto &one : std::filesystem::directory_iterator("tests/fuzz/corpus/safetensors")) {
        std::FILE *f = std::fopen(one.path().c_str(), "rb");
        assert_non_null(f);
        std::string bytes(1 << 20, '\0');
        bytes.resize(std::fread(bytes.data(), 1, bytes.size(), f));
        std::fclose(f);
        try {
            parse(bytes);
        } catch (const mdl::Error &) {
        }
        count++;
    }
    assert_true(count >= 5);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_right_file_is_read),
        cmocka_unit_test(a_cut_file_is_refused_wherever_it_is_cut),
        cmocka_unit_test(a_header_longer_than_file_or_limit_is_refused),
        cmocka_unit_test(a_header_that_is_no_object_is_refused),
        cmocka_unit_test(duplicate_keys_are_refused),
        cmocka_unit_test(unknown_types_are_refused),
        cmocka_unit_test(overlapping_tensors_are_refused),
        cmocka_unit_test(bytes_of_no_tensor_are_refused),
        cmocka_unit_test(offsets_outside_of_the_file_are_refused),
        cmocka_unit_test(shapes_that_do_not_fit_are_refused),
        cmocka_unit_test(tensors_outlive_the_file_object),
        cmocka_unit_test(misaligned_data_is_copied),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(the_corpus_of_the_fuzzer_is_survived),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
