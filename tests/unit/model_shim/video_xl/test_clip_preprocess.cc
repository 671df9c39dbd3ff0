// What the vision tower is shown of a frame: its middle, or all of it.
#include "video_xl/clip_preprocess.h"

#include "error.h"
#include "io/json.h"
#include "tests/support/cmocka_cc.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

namespace
{

using mdl::ClipPreprocess;
using mdl::Json;

// (1, 8, 24, 3): the left third 0, the middle 100, the right 200.
at::Tensor thirds()
{
    const at::Tensor columns = at::arange(24, at::kLong).div(8, "floor").mul(100).to(at::kByte);
    return columns.view({1, 1, 24, 1}).expand({1, 8, 24, 3}).contiguous();
}

void a_centre_crop_loses_the_sides(void **)
{
    const ClipPreprocess c = ClipPreprocess::from_json(Json::parse(R"({"size": 8, "crop_size": 8})"));
    const at::Tensor seen = mdl::clip_crop(c, thirds());
    assert_true(seen.sizes() == at::IntArrayRef({1, 8, 8, 3}));
    assert_true(seen.eq(100).all().item<bool>());
}

void without_it_the_whole_frame_is_seen(void **)
{
    const ClipPreprocess c =
        ClipPreprocess::from_json(Json::parse(R"({"do_center_crop": false, "size": {"height": 12, "width": 12}})"));
    const at::Tensor seen = mdl::clip_crop(c, thirds());
    assert_true(seen.sizes() == at::IntArrayRef({1, 12, 12, 3}));
    const at::Tensor row = seen.select(0, 0).select(0, 6).select(1, 0);
    assert_int_equal(row[0].item<int64_t>(), 0);
    assert_in_range(row[6].item<int64_t>(), 85, 115); // bicubic overshoots near an edge
    assert_int_equal(row[11].item<int64_t>(), 200);
}

void without_it_a_shorter_side_alone_says_too_little(void **)
{
    for (const char *text :
         {R"({"do_center_crop": false, "size": 8})", R"({"do_center_crop": false, "size": {"shortest_edge": 8}})"}) {
        bool refused = false;
        try {
            ClipPreprocess::from_json(Json::parse(text));
        } catch (const mdl::Error &) {
            refused = true;
        }
        assert_true(refused);
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_centre_crop_loses_the_sides),
        cmocka_unit_test(without_it_the_whole_frame_is_seen),
        cmocka_unit_test(without_it_a_shorter_side_alone_says_too_little),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
