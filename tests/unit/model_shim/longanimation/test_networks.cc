// What must hold for LongAnimation's own parts besides the golden numbers.
#include "error.h"
#include "longanimation/dglm.h"
#include "longanimation/fusion.h"
#include "longanimation/lineart.h"
#include "longanimation/resample.h"
#include "longanimation/sketch_dit.h"
#include "parity/golden.h"
#include "tests/support/cmocka_cc.h"
#include "video_xl/encoder.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

namespace
{

template <class F> int code_of(F &&call)
{
    try {
        call();
    } catch (const mdl::Error &e) {
        return e.code;
    }
    return MDL_OK;
}

mdl::Weights made_on_demand(c10::ScalarType dtype = at::kFloat)
{
    return mdl::Weights::generated_on_demand(
        [](const std::string &name, const mdl::Weights::Shape &shape) { return mdl::Fill("").weight(name, shape); },
        {dtype});
}

at::Tensor input(const char *label, at::IntArrayRef shape)
{
    return mdl::Fill("").input(label, shape);
}

// ---- resampling ----

void a_fit_never_falls_short_of_its_target(void **)
{
    for (int64_t h : {1, 7, 100, 719, 1080})
        for (int64_t w : {1, 9, 128, 853, 1920})
            for (int64_t to_h : {32, 576})
                for (int64_t to_w : {48, 1024}) {
                    const mdl::Fit fit = mdl::fit_cover(h, w, to_h, to_w);
                    assert_true(fit.height >= to_h && fit.width >= to_w && (fit.height == to_h || fit.width == to_w));
                    assert_true(fit.top >= 0 && fit.top + to_h <= fit.height);
                    assert_true(fit.left >= 0 && fit.left + to_w <= fit.width);
                }
}

void frames_of_the_right_size_are_left_alone(void **)
{
    const at::Tensor frames = mdl::Fill("").image_u8("frames", {2, 3, 16, 24});
    assert_true(at::equal(mdl::resize_and_crop_frames(frames, 16, 24), frames));
    const at::Tensor images = frames.permute({0, 2, 3, 1});
    for (auto filter : {mdl::PillowFilter::bicubic, mdl::PillowFilter::lanczos})
        assert_true(at::equal(mdl::pillow_resize(images, 16, 24, filter), images));
}

void a_plain_colour_stays_what_it_is(void **)
{
    for (int64_t value : {0, 1, 127, 254, 255}) {
        const at::Tensor plain = at::full({1, 13, 29, 3}, value, at::kByte);
        for (auto filter : {mdl::PillowFilter::bicubic, mdl::PillowFilter::lanczos})
            for (int64_t size : {5, 64})
                assert_true(mdl::pillow_resize(plain, size, size + 3, filter).eq(value).all().item<bool>());
        assert_true(mdl::resize_frames(plain.permute({0, 3, 1, 2}), 31, 7).eq(value).all().item<bool>());
    }
}

void pictures_without_pixels_are_refused(void **)
{
    const at::Tensor none = at::empty({0, 3, 4, 4}, at::kByte), some = at::zeros({1, 3, 4, 4}, at::kByte);
    assert_int_equal(code_of([&] { mdl::resize_frames(none, 4, 5); }), MDL_EINVAL);
    assert_int_equal(code_of([&] { mdl::resize_frames(some, 0, 5); }), MDL_EINVAL);
    assert_int_equal(code_of([&] { mdl::pillow_resize(some, 4, 0, mdl::PillowFilter::bicubic); }), MDL_EINVAL);
}

// ---- line art ----

void the_threshold_in_bfloat16_is_its_rounded_value(void **)
{
    const at::Tensor y = at::tensor({0.7773f, 0.78125f, 0.7852f});
    assert_true(at::equal(mdl::lineart_paper(y), at::tensor({0, 1, 1}).to(at::kBool)));
    assert_true(at::equal(mdl::lineart_paper(y.to(at::kBFloat16)), at::tensor({0, 0, 1}).to(at::kBool)));
}

void ready_lines_are_those_darker_than_199(void **)
{
    const at::Tensor grey = at::tensor({0, 128, 198, 199, 255}).to(at::kByte);
    assert_true(at::equal(mdl::lineart_paper_ready(grey), at::tensor({0, 0, 0, 1, 1}).to(at::kBool)));
    const at::Tensor rgb = at::tensor({255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255}).to(at::kByte);
    const at::Tensor luma = mdl::lineart_grey(rgb.view({5, 3, 1, 1})).flatten();
    assert_true(at::equal(luma, at::tensor({255, 0, 76, 150, 29}).to(at::kByte)));
}

void lines_are_plus_one_and_paper_is_minus_one(void **)
{
    const at::Tensor paper = at::tensor({0, 1}).to(at::kBool).view({1, 1, 1, 2});
    const at::Tensor sketch = mdl::lineart_sketch(paper, at::kBFloat16);
    assert_true(sketch.sizes() == at::IntArrayRef({1, 3, 1, 2}) && sketch.scalar_type() == at::kBFloat16);
    assert_true(sketch.select(3, 0).eq(1).all().item<bool>() && sketch.select(3, 1).eq(-1).all().item<bool>());
}

void odd_sizes_are_refused_before_the_network_fails(void **)
{
    mdl::Weights w = made_on_demand();
    const mdl::Lineart network(w);
    assert_int_equal(code_of([&] { network.forward(at::zeros({1, 3, 10, 16}, at::kByte)); }), MDL_EINVAL);
    assert_int_equal(code_of([&] { network.forward(at::zeros({1, 1, 16, 16}, at::kByte)); }), MDL_EINVAL);
}

// ---- fusion ----

void a_short_segment_keeps_fused_frames_in_its_tail(void **)
{
    const mdl::FusionConfig config{.enabled = true, .first_step = 0, .weights = {0.8, 0.6, 0.4, 0.2}};
    at::Tensor latents = at::ones({1, 6, 1, 1, 1});
    mdl::fusion_apply(config, latents, at::zeros({1, 4, 1, 1, 1}));
    const at::Tensor expected = at::tensor({0.2f, 0.4f, 0.6f, 0.8f});
    assert_true(at::allclose(mdl::fusion_tail(config, latents).flatten(), expected));
    assert_true(latents.flatten()[0].item<float>() == 1 && latents.flatten()[1].item<float>() == 1);
}

void tails_survive_being_stored(void **)
{
    const mdl::FusionConfig config{.enabled = true, .first_step = 2, .weights = {0.8, 0.6, 0.4, 0.2}};
    mdl::FusionTails first(config, 5);
    for (int64_t step = 0; step < 5; step++) {
        at::Tensor latents = input(("first" + std::to_string(step)).c_str(), {1, 8, 2, 3, 3});
        first.step(step, latents, nullptr);
    }
    const mdl::FusionTails again = mdl::FusionTails::unstack(config, 5, first.stacked().clone());
    mdl::FusionTails a(config, 5), b(config, 5);
    for (int64_t step = 0; step < 5; step++) {
        at::Tensor x = input("second", {1, 8, 2, 3, 3}), y = x.clone(), before = x.clone();
        a.step(step, x, &first);
        b.step(step, y, &again);
        assert_true(at::equal(x, y));
        assert_true(at::equal(x, before) == (step < 2));
    }
    assert_int_equal(code_of([&] { mdl::FusionTails::unstack(config, 6, first.stacked()); }), MDL_EINVAL);
}

void without_fusion_nothing_is_kept(void **)
{
    for (const mdl::FusionConfig &config :
         {mdl::FusionConfig{.enabled = false, .first_step = 0}, mdl::FusionConfig{.enabled = true, .first_step = 4}}) {
        mdl::FusionTails tails(config, 4);
        at::Tensor latents = input("x", {1, 8, 2, 3, 3});
        for (int64_t step = 0; step < 4; step++)
            tails.step(step, latents, nullptr);
        assert_false(tails.stacked().defined());
        mdl::FusionTails::unstack(config, 4, {});
    }
}

// ---- memory module ----

const mdl::DglmConfig small_dglm{.dim = 16,
                                 .output_dim = 16,
                                 .depth = 2,
                                 .heads = 3,
                                 .dim_head = 8,
                                 .ff_mult = 2,
                                 .memory_dim = 12,
                                 .mapping_dims = {10}};

void either_memory_may_be_switched_off(void **)
{
    mdl::Weights w = made_on_demand();
    const mdl::Dglm net(small_dglm, w);
    const at::Tensor global = input("global", {1, 2, 2, 7, 12}), local = input("local", {1, 2, 2, 4, 12});
    const at::Tensor z = input("z", {2, 5, 16});
    const at::Tensor both = net.forward(net.map(global, local), z);
    const at::Tensor as_one = net.forward(net.map(at::cat({global, local}, 3), {}), z);
    assert_true(at::equal(both, as_one));
    assert_false(at::equal(both, net.forward(net.map(global, {}), z)));
    assert_false(at::equal(both, net.forward(net.map({}, local), z)));
    assert_int_equal(code_of([&] { net.map({}, {}); }), MDL_EINVAL);
    assert_int_equal(code_of([&] { net.map(input("x", {1, 2, 3, 7, 12}), local); }), MDL_EINVAL);
}

void one_memory_serves_every_row_of_the_batch(void **)
{
    for (auto dtype : {at::kFloat, at::kBFloat16}) {
        mdl::Weights w = made_on_demand(dtype);
        const mdl::Dglm net(small_dglm, w);
        const auto cache = net.map(input("global", {1, 2, 2, 7, 12}), {});
        const at::Tensor z = input("z", {2, 5, 16}).to(dtype), all = net.forward(cache, z);
        assert_true(all.scalar_type() == dtype);
        for (int64_t b = 0; b < 2; b++)
            assert_true(at::allclose(net.forward(cache, z.narrow(0, b, 1)), all.narrow(0, b, 1), 1e-2, 1e-2));
    }
}

// ---- sketch branch ----

void a_control_module_is_loaded_strictly(void **)
{
    mdl::DitConfig config;
    config.heads = 1, config.head_dim = 16, config.layers = 1, config.in_channels = 2, config.patch_t = 2;
    config.time_dim = config.ofs_dim = 8, config.text_dim = 4, config.rotary = true;
    std::map<std::string, mdl::Weights::Shape> shapes;
    mdl::Weights recorder = mdl::Weights::generated_on_demand(
        [&shapes](const std::string &name, const mdl::Weights::Shape &shape) {
            shapes.emplace(name, shape);
            return at::zeros(shape);
        },
        {});
    const mdl::SketchDit wanted(config, recorder);
    const auto loaded = [&config](const std::map<std::string, mdl::Weights::Shape> &stored) {
        return code_of([&] {
            mdl::Weights w = mdl::Weights::generated(
                stored, [](const std::string &, const mdl::Weights::Shape &shape) { return at::zeros(shape); }, {});
            const mdl::SketchDit net(config, w);
            w.finish();
        });
    };
    assert_int_equal(loaded(shapes), MDL_OK);
    for (const auto &[name, shape] : shapes) {
        auto fewer = shapes;
        fewer.erase(name);
        assert_int_equal(loaded(fewer), MDL_EWEIGHTS);
        auto other = shapes;
        other[name].back()++;
        assert_int_equal(loaded(other), MDL_EWEIGHTS);
    }
    shapes["proj_out.weight"] = {16, 16}; // the base transformer's, not a control module's
    assert_int_equal(loaded(shapes), MDL_EWEIGHTS);
}

// ---- published sizes ----

struct Asked {
    int64_t tensors = 0, parameters = 0;
};

// What a network asks for, without a byte of weights.
template <class F> Asked asked_by(F &&make)
{
    Asked asked;
    mdl::Weights recorder = mdl::Weights::generated_on_demand(
        [&asked](const std::string &, const mdl::Weights::Shape &shape) {
            const at::Tensor t = at::empty(shape, at::TensorOptions().device(at::kMeta));
            asked.tensors++;
            asked.parameters += t.numel();
            return t;
        },
        {at::kBFloat16, at::kMeta});
    make(recorder);
    return asked;
}

void the_released_networks_have_the_released_numbers_of_parameters(void **)
{
    const Asked dglm = asked_by([](mdl::Weights &w) { mdl::Dglm(mdl::DglmConfig{}, w); });
    assert_int_equal(dglm.tensors, 97);
    assert_int_equal(dglm.parameters, 402782208);

    mdl::DitConfig small;
    small.heads = 48, small.layers = 6, small.in_channels = 32, small.patch_t = 2, small.ofs_dim = 512;
    small.rotary = true;
    const Asked sketch = asked_by([&small](mdl::Weights &w) { mdl::SketchDit(small, w); });
    assert_int_equal(sketch.parameters, 818359808);

    // 8.40 G in all, of which neither the head, the last layer's attention and MLP nor the last vision layer are asked
    // for; get_rows asks for the embedding table twice.
    const Asked video = asked_by([](mdl::Weights &w) {
        mdl::VideoXlConfig c;
        c.prompt = mdl::video_prompt_7b();
        mdl::VideoXl(c, c.default_memory_layers(), w);
    });
    const int64_t table = int64_t{152064} * 3584,
                  vision_layer = 4 * (1024 * 1024 + 1024) + 2 * 1024 * 4096 + 5 * 1024 + 4096;
    const int64_t vision = 23 * vision_layer + 1024 + 1024 * 3 * 14 * 14 + 577 * 1024 + 2 * 1024;
    const int64_t keys = 3584 * 512 + 512, queries = 3584 * 3584 + 3584, norm = 3584;
    const int64_t mlp = int64_t{3} * 3584 * 18944, layer = 2 * queries + 4 * keys + 3584 * 3584 + mlp + 2 * norm;
    const int64_t projector = 3584 * 1024 + 3584 + 3584 * 3584 + 3584;
    assert_int_equal(video.parameters, 2 * table + vision + projector + 3584 + 27 * layer + 4 * keys + norm);
}

} // namespace

int main()
{
    const c10::InferenceMode inference;
    at::set_num_threads(1); // tiny tensors: threads would only wait for one another
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_fit_never_falls_short_of_its_target),
        cmocka_unit_test(frames_of_the_right_size_are_left_alone),
        cmocka_unit_test(a_plain_colour_stays_what_it_is),
        cmocka_unit_test(pictures_without_pixels_are_refused),
        cmocka_unit_test(the_threshold_in_bfloat16_is_its_rounded_value),
        cmocka_unit_test(ready_lines_are_those_darker_than_199),
        cmocka_unit_test(lines_are_plus_one_and_paper_is_minus_one),
        cmocka_unit_test(odd_sizes_are_refused_before_the_network_fails),
        cmocka_unit_test(a_short_segment_keeps_fused_frames_in_its_tail),
        cmocka_unit_test(tails_survive_being_stored),
        cmocka_unit_test(without_fusion_nothing_is_kept),
        cmocka_unit_test(either_memory_may_be_switched_off),
        cmocka_unit_test(one_memory_serves_every_row_of_the_batch),
        cmocka_unit_test(a_control_module_is_loaded_strictly),
        cmocka_unit_test(the_released_networks_have_the_released_numbers_of_parameters),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
