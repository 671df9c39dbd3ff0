// Weights of a component: found in every published layout, and every problem named at once.
#include "io/weights.h"

#include "error.h"
#include "tests/support/cmocka_cc.h"
#include "tests/support/safetensors_maker.h"

#include <ATen/ATen.h>

#include <cstring>

namespace
{

using maker::entry;
using maker::file;
using mdl::Weights;

const std::vector<std::string> stems = {"diffusion_pytorch_model", "model"};

// One float32 tensor [1] called `name` with the value 1.
std::string one(const std::string &name)
{
    std::string header = "{" + entry(name, "F32", "[1]", 0, 4) + "}";
    header.resize((header.size() + 7) / 8 * 8, ' '); // as writers do: the data is aligned
    return file(header, std::string("\0\0\x80\x3f", 4));
}

std::string index_of(const std::string &map)
{
    return "{\"metadata\":{\"total_size\":8},\"weight_map\":{" + map + "}}";
}

// The sentence of the error that `body` ends in.
template <class F> std::string error_of(F &&body)
{
    try {
        body();
    } catch (const mdl::Error &e) {
        assert_int_equal(e.code, MDL_EWEIGHTS);
        return e.what();
    }
    fail_msg("no error");
    return "";
}

void contains(const std::string &text, const char *part)
{
    if (!std::strstr(text.c_str(), part))
        fail_msg("\"%s\" is not in: %s", part, text.c_str());
}

void single_files_are_found(void **)
{
    for (const char *name : {"model.safetensors", "diffusion_pytorch_model.safetensors", "model.fp16.safetensors",
                             "diffusion_pytorch_model.bf16.safetensors", "something_else.safetensors"}) {
        maker::Folder folder;
        folder.put(name, one("a"));
        Weights w = Weights::open(folder.path(), stems, {});
        assert_true(w.get("a", {1}).item<float>() == 1.0f);
        w.finish();
    }
}

void shards_are_found_through_their_index(void **)
{
    maker::Folder folder;
    folder.put("m-1.safetensors", one("a"));
    folder.put("m-2.safetensors", one("b"));
    folder.put("model.safetensors.index.json", index_of("\"a\":\"m-1.safetensors\",\"b\":\"m-2.safetensors\""));
    Weights w = Weights::open(folder.path(), stems, {});
    w.get("a", {1});
    w.get("b", {1});
    w.finish();
    assert_int_equal(w.files().size(), 3);
    assert_int_equal(w.parameters(), 2);
}

void an_index_may_not_leave_its_folder(void **)
{
    for (const char *name : {"../m.safetensors", "/etc/m.safetensors", "sub/m.safetensors", "..", "",
                             "a\\\\b.safetensors", ".hidden.safetensors", "m.bin", "m\\u0000.safetensors"}) {
        maker::Folder folder;
        folder.put("m.safetensors", one("a"));
        folder.put("model.safetensors.index.json", index_of(std::string("\"a\":\"") + name + "\""));
        contains(error_of([&] { Weights::open(folder.path(), stems, {}); }), "in no file of this folder");
    }
}

void a_broken_index_is_refused(void **)
{
    for (const char *text :
         {"", "{", "[]", "{}", "{\"weight_map\":[]}", "{\"weight_map\":{}}", "{\"weight_map\":{\"a\":7}}"}) {
        maker::Folder folder;
        folder.put("model.safetensors.index.json", text);
        error_of([&] { Weights::open(folder.path(), stems, {}); });
    }
}

void an_index_that_disagrees_with_its_shards_is_named(void **)
{
    maker::Folder folder;
    folder.put("m-1.safetensors", one("a"));
    folder.put("m-2.safetensors", one("b"));
    folder.put("model.safetensors.index.json",
               index_of("\"a\":\"m-2.safetensors\",\"b\":\"m-2.safetensors\",\"c\":\"m-1.safetensors\""));
    Weights w = Weights::open(folder.path(), stems, {});
    w.get("b", {1});
    const std::string text = error_of([&] { w.finish(); });
    contains(text, "\"a\" is in m-1.safetensors but the index does not say so");
    contains(text, "\"c\" is not in m-1.safetensors");
}

void a_missing_shard_is_named(void **)
{
    maker::Folder folder;
    folder.put("model.safetensors.index.json", index_of("\"a\":\"m-1.safetensors\""));
    contains(error_of([&] { Weights::open(folder.path(), stems, {}); }), "m-1.safetensors");
}

void every_problem_is_named_at_once(void **)
{
    maker::Folder folder;
    folder.put("model.safetensors",
               file("{" + entry("bent", "F32", "[2]", 0, 8) + "," + entry("extra.x", "F32", "[1]", 8, 12) + "," +
                        entry("good", "F32", "[1]", 12, 16) + "}",
                    std::string(16, '\0')));
    Weights w = Weights::open(folder.path(), stems, {});
    w.get("good", {1});
    assert_true(w.get("bent", {3}).sizes() == at::IntArrayRef({3}));
    assert_true(w.get("gone", {4, 5}).sizes() == at::IntArrayRef({4, 5}));
    const std::string text = error_of([&] { w.finish(); });
    contains(text, "3 problems");
    contains(text, "\"bent\" has the shape [2], not [3]");
    contains(text, "\"gone\" [4,5] is missing");
    contains(text, "\"extra.x\" [1] is unexpected");
    assert_int_equal(w.problems({"extra."}).size(), 2);
}

void stored_types_become_the_type_of_computing(void **)
{
    maker::Folder folder;
    folder.put("model.safetensors",
               file("{" + entry("half", "F16", "[1]", 0, 2) + "," + entry("brain", "BF16", "[1]", 2, 4) + "," +
                        entry("full", "F32", "[1]", 4, 8) + "}",
                    std::string("\x00\x3c\x80\x3f\x00\x00\x80\x3f", 8)));
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
        Weights w = Weights::open(folder.path(), stems, {.dtype = dtype});
        for (const char *name : {"half", "brain", "full"}) {
            const at::Tensor t = w.get(name, {1});
            assert_true(t.scalar_type() == dtype && t.item<float>() == 1.0f);
        }
        assert_true(w.get("full", {1}, at::kFloat).scalar_type() == at::kFloat);
    }
}

void integers_are_no_weights(void **)
{
    maker::Folder folder;
    folder.put("model.safetensors", file("{" + entry("a", "I16", "[2]", 0, 4) + "}", std::string(4, '\0')));
    Weights w = Weights::open(folder.path(), stems, {});
    contains(error_of([&] { w.get("a", {2}); }), "\"a\" is stored as Short");
}

void a_stored_type_that_fits_is_not_copied(void **)
{
    maker::Folder folder;
    const std::string path = folder.put("model.safetensors", one("a"));
    Weights w = Weights::open(path, {}, {});
    assert_ptr_equal(w.get("a", {1}).const_data_ptr(), w.get("a", {1}).const_data_ptr());
}

void the_meta_device_checks_without_reading(void **)
{
    maker::Folder folder;
    folder.put("model.safetensors", one("a"));
    Weights w = Weights::open(folder.path(), stems, {.device = at::kMeta});
    assert_true(w.get("a", {1}).is_meta());
    w.get("b", {1000000, 1000000}); // no memory is taken for what is missing
    contains(error_of([&] { w.finish(); }), "\"b\"");
}

void an_unclear_folder_is_refused(void **)
{
    maker::Folder folder;
    error_of([&] { Weights::open(folder.path(), stems, {}); });
    error_of([&] { Weights::open(folder.path() + "/none", stems, {}); });
    folder.put("x.safetensors", one("a"));
    folder.put("y.safetensors", one("a"));
    contains(error_of([&] { Weights::open(folder.path(), stems, {}); }), "more than one");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(single_files_are_found),
        cmocka_unit_test(shards_are_found_through_their_index),
        cmocka_unit_test(an_index_may_not_leave_its_folder),
        cmocka_unit_test(a_broken_index_is_refused),
        cmocka_unit_test(an_index_that_disagrees_with_its_shards_is_named),
        cmocka_unit_test(a_missing_shard_is_named),
        cmocka_unit_test(every_problem_is_named_at_once),
        cmocka_unit_test(stored_types_become_the_type_of_computing),
        cmocka_unit_test(integers_are_no_weights),
        cmocka_unit_test(a_stored_type_that_fits_is_not_copied),
        cmocka_unit_test(the_meta_device_checks_without_reading),
        cmocka_unit_test(an_unclear_folder_is_refused),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
