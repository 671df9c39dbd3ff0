// Segment arithmetic: nothing is lost, nothing comes twice, and padding never leaves the segment.
#include "longanimation/plan.h"

#include "error.h"
#include "tests/support/cmocka_cc.h"

namespace
{

const int64_t lengths[] = {1, 2, 5, 17, 24, 25, 26, 33, 34, 35, 80, 81, 82, 145, 146, 147, 200, 500, 5000};
const int32_t shapes[][2] = {{81, 16}, {25, 16}, {33, 16}, {17, 16}, {9, 0}, {9, 8}};

// Which input frame each delivered frame shows, by walking the plan as a pipeline does.
std::vector<int64_t> walk(const mdl::Plan &plan)
{
    std::vector<int64_t> shown;
    for (const mdl::Segment &s : plan.segments) {
        assert_int_equal(s.first_frame, static_cast<int64_t>(shown.size()));
        assert_int_equal(s.history_frames, static_cast<int64_t>(shown.size()));
        assert_in_range(s.source_frames, 1, plan.segment_frames);
        assert_true(s.start_frame + s.source_frames <= plan.input_frames);
        assert_true(s.keep_from >= 0 && s.keep_from < s.keep_to && s.keep_to <= plan.segment_frames);
        for (int32_t p = s.keep_from; p < s.keep_to; p++)
            shown.push_back(s.source_frame(p));
    }
    return shown;
}

void complete_delivers_every_frame_once_and_in_order(void **)
{
    for (auto [segment, overlap] : shapes)
        for (int64_t n : lengths) {
            const mdl::Plan plan = mdl::plan_make(mdl::Profile::complete, n, segment, overlap);
            assert_int_equal(plan.output_frames, n);
            assert_int_equal(plan.dropped_frames, 0);
            const std::vector<int64_t> shown = walk(plan);
            assert_int_equal(shown.size(), n);
            for (int64_t i = 0; i < n; i++)
                assert_int_equal(shown[static_cast<size_t>(i)], i);
        }
}

void complete_makes_no_segment_that_adds_nothing_new(void **)
{
    for (auto [segment, overlap] : shapes)
        for (int64_t n : lengths) {
            const mdl::Plan plan = mdl::plan_make(mdl::Profile::complete, n, segment, overlap);
            const size_t count = plan.segments.size();
            const int64_t covered = static_cast<int64_t>(count - 1) * (segment - overlap) + overlap;
            assert_true(count == 1 || covered < n);
            assert_true(plan.segments.back().start_frame + segment >= n);
        }
}

void complete_knows_the_segment_counts_of_the_release(void **)
{
    const int64_t expected[][2] = {{1, 1}, {81, 1}, {82, 2}, {145, 2}, {146, 2}, {147, 3}, {200, 3}, {500, 8}};
    for (auto [n, count] : expected)
        assert_int_equal(mdl::plan_make(mdl::Profile::complete, n, 81, 16).segments.size(), count);
}

void a_short_shot_is_held_at_its_last_frame(void **)
{
    const mdl::Plan plan = mdl::plan_make(mdl::Profile::complete, 5, 25, 16);
    const mdl::Segment &only = plan.segments.at(0);
    assert_int_equal(only.source_frame(4), 4);
    assert_int_equal(only.source_frame(5), 4);
    assert_int_equal(only.source_frame(24), 4);
    assert_int_equal(only.keep_to, 5);
}

void the_tail_of_the_last_segment_is_held_too(void **)
{
    const mdl::Plan plan = mdl::plan_make(mdl::Profile::complete, 82, 81, 16);
    const mdl::Segment &last = plan.segments.at(1);
    assert_int_equal(last.start_frame, 65);
    assert_int_equal(last.source_frames, 17);
    assert_int_equal(last.source_frame(16), 81);
    assert_int_equal(last.source_frame(80), 81);
    assert_int_equal(last.keep_from, 8);
    assert_int_equal(last.keep_to, 17);
}

void reference_delivers_the_frames_of_the_release(void **)
{
    for (int64_t n : lengths) {
        const mdl::Plan plan = mdl::plan_make(mdl::Profile::reference, n, 81, 16);
        const int64_t count = n < 81 ? 0 : (n - 81) / 65 + 1;
        assert_int_equal(plan.segments.size(), count);
        assert_int_equal(plan.output_frames, count == 0 ? 0 : 65 * count + 7);
        const std::vector<int64_t> shown = walk(plan);
        for (size_t i = 0; i < shown.size(); i++)
            assert_int_equal(shown[i], i + 1);
    }
}

void reference_memory_sees_what_was_joined_so_far(void **)
{
    const mdl::Plan plan = mdl::plan_make(mdl::Profile::reference, 500, 81, 16);
    for (const mdl::Segment &s : plan.segments)
        assert_int_equal(s.history_frames, s.index == 0 ? 0 : 65 * s.index + 7);
}

template <class F> void assert_refused(F &&call)
{
    bool refused = false;
    try {
        call();
    } catch (const mdl::Error &e) {
        refused = e.code == MDL_EINVAL;
    }
    assert_true(refused);
}

void impossible_geometry_is_refused(void **)
{
    assert_refused([] { mdl::plan_make(mdl::Profile::complete, 0, 81, 16); });
    assert_refused([] { mdl::plan_make(mdl::Profile::complete, 10, 16, 16); });
    assert_refused([] { mdl::plan_make(mdl::Profile::complete, 10, 81, 15); });
    assert_refused([] { mdl::plan_make(mdl::Profile::complete, 10, 81, -2); });
    assert_refused([] { mdl::plan_make(mdl::Profile::complete, 10, 0, 0); });
    assert_refused([] { mdl::plan_network_size(0, 720, 1024, 576); });
}

void even_latent_counts_are_refused(void **)
{
    assert_int_equal(mdl::plan_latent_frames(81), 21);
    assert_int_equal(mdl::plan_latent_frames(25), 7);
    assert_int_equal(mdl::plan_latent_frames(33), 9);
    assert_refused([] { mdl::plan_latent_frames(29); });
    assert_refused([] { mdl::plan_latent_frames(45); });
    assert_refused([] { mdl::plan_latent_frames(80); });
}

void the_native_ratio_gives_the_native_size(void **)
{
    const int32_t natives[][2] = {{1024, 576}, {1360, 768}, {48, 32}, {720, 480}};
    for (auto [w, h] : natives) {
        const mdl::NetworkSize size = mdl::plan_network_size(3 * w, 3 * h, w, h);
        assert_int_equal(size.width, w);
        assert_int_equal(size.height, h);
    }
    const mdl::NetworkSize hd = mdl::plan_network_size(1920, 1080, 1360, 768);
    assert_int_equal(hd.width, 1360);
    assert_int_equal(hd.height, 768);
}

void other_ratios_keep_area_and_shape(void **)
{
    const int32_t inputs[][2] = {{640, 480}, {1080, 1920}, {1000, 1000}, {2048, 858}, {333, 777}, {1, 4000}};
    for (auto [w, h] : inputs) {
        const mdl::NetworkSize size = mdl::plan_network_size(w, h, 1024, 576);
        assert_int_equal(size.width % 16, 0);
        assert_int_equal(size.height % 16, 0);
        const double area = 1.0 * size.width * size.height / (1024.0 * 576), wanted = 1.0 * w / h;
        assert_true(area > 0.9 && area < 1.1);
        if (wanted > 1.0 / 16 && wanted < 16)
            assert_true(1.0 * size.width / size.height / wanted > 0.96 &&
                        1.0 * size.width / size.height / wanted < 1.04);
    }
}

void memory_frames_are_all_or_evenly_spread(void **)
{
    const std::vector<int64_t> all = mdl::plan_memory_frames(650, 650);
    for (size_t i = 0; i < all.size(); i++)
        assert_int_equal(all[i], i);
    const std::vector<int64_t> some = mdl::plan_memory_frames(657, 650);
    assert_int_equal(some.size(), 650);
    assert_int_equal(some.front(), 0);
    assert_int_equal(some.back(), 656);
    for (size_t i = 1; i < some.size(); i++)
        assert_in_range(some[i] - some[i - 1], 1, 2);
    assert_int_equal(mdl::plan_memory_frames(0, 650).size(), 0);
    assert_int_equal(mdl::plan_memory_frames(7, 1).at(0), 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(complete_delivers_every_frame_once_and_in_order),
        cmocka_unit_test(complete_makes_no_segment_that_adds_nothing_new),
        cmocka_unit_test(complete_knows_the_segment_counts_of_the_release),
        cmocka_unit_test(a_short_shot_is_held_at_its_last_frame),
        cmocka_unit_test(the_tail_of_the_last_segment_is_held_too),
        cmocka_unit_test(reference_delivers_the_frames_of_the_release),
        cmocka_unit_test(reference_memory_sees_what_was_joined_so_far),
        cmocka_unit_test(impossible_geometry_is_refused),
        cmocka_unit_test(even_latent_counts_are_refused),
        cmocka_unit_test(the_native_ratio_gives_the_native_size),
        cmocka_unit_test(other_ratios_keep_area_and_shape),
        cmocka_unit_test(memory_frames_are_all_or_evenly_spread),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
