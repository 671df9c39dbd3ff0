// The memory of a shot: however it grew, it is what a run from the start gives, to the last bit.
#include "video_xl/shot_memory.h"

#include "error.h"
#include "longanimation/plan.h"
#include "parity/golden.h"
#include "tests/support/cmocka_cc.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <memory>

namespace
{

using mdl::ShotMemory;
using mdl::ShotMemoryConfig;
using mdl::VideoXl;

// 4 visual tokens a frame.
mdl::VideoXlConfig tiny(int64_t window)
{
    mdl::VideoXlConfig c;
    c.vision.width = 12, c.vision.heads = 2, c.vision.hidden = 16, c.vision.layers = 3;
    c.vision.image = 16, c.vision.patch = 4;
    c.preprocess.size = c.preprocess.crop = 16;
    c.projector.in = 12, c.projector.out = 16;
    mdl::Qwen2BeaconConfig &l = c.language;
    l.vocab = 20, l.width = 16, l.heads = 4, l.kv_heads = 2, l.head_dim = 4, l.layers = 9, l.hidden = 24;
    l.window = window;
    c.prompt = {{1, 2, 3}, {4, 5}};
    return c;
}

using Shapes = std::map<std::string, mdl::Weights::Shape>;

// Every tensor that the network asks for.
Shapes shapes_of(const mdl::VideoXlConfig &config)
{
    auto shapes = std::make_shared<Shapes>();
    mdl::Weights recorder = mdl::Weights::generated_on_demand(
        [shapes](const std::string &name, const mdl::Weights::Shape &shape) {
            shapes->emplace(name, shape);
            return at::zeros(shape);
        },
        {});
    VideoXl(config, config.default_memory_layers(), recorder);
    return *shapes;
}

mdl::Weights generated(const Shapes &shapes, const mdl::WeightOptions &options)
{
    return mdl::Weights::generated(
        shapes,
        [](const std::string &name, const mdl::Weights::Shape &shape) { return mdl::Fill("").weight(name, shape); },
        options);
}

VideoXl make(int64_t window, c10::ScalarType dtype = at::kFloat)
{
    const mdl::VideoXlConfig config = tiny(window);
    mdl::Weights w = generated(shapes_of(config), {dtype});
    VideoXl net(config, config.default_memory_layers(), w);
    w.finish(VideoXl::unneeded(config, net.memory_layers()));
    return net;
}

at::Tensor shot(int64_t frames)
{
    return mdl::Fill("").image_u8("shot", {frames, 20, 31, 3});
}

ShotMemory shown(const VideoXl &net, const ShotMemoryConfig &config, const at::Tensor &frames)
{
    ShotMemory memory(config);
    memory.append(net, frames);
    return memory;
}

const ShotMemoryConfig small{.ratio = 2, .global_frames = 650, .local_frames = 4};

// Windows of whole frames, and windows that end inside a frame.
const int64_t windows[] = {24, 10};

void growing_frame_by_frame_equals_a_run_from_the_start(void **)
{
    const at::Tensor frames = shot(15);
    for (int64_t window : windows) {
        const VideoXl net = make(window);
        ShotMemory grown(small);
        for (int64_t n = 1; n <= frames.size(0); n++) {
            grown.append(net, frames.narrow(0, n - 1, 1));
            ShotMemory fresh = shown(net, small, frames.narrow(0, 0, n));
            assert_true(at::equal(grown.global(net), fresh.global(net)));
            assert_true(at::equal(grown.local(net), fresh.local(net)));
        }
    }
}

void growing_by_segments_equals_a_run_from_the_start(void **)
{
    const at::Tensor frames = shot(23);
    for (int64_t window : windows) {
        const VideoXl net = make(window);
        ShotMemory grown(small);
        int64_t done = 0;
        for (int64_t n : {7, 12, 13, 23}) {
            grown.append(net, frames.narrow(0, done, n - done));
            done = n;
            grown.global(net);
        }
        assert_true(at::equal(grown.global(net), shown(net, small, frames).global(net)));
    }
}

void asking_twice_gives_the_same(void **)
{
    const VideoXl net = make(24);
    ShotMemory memory = shown(net, small, shot(8));
    const at::Tensor first = memory.global(net), local = memory.local(net);
    assert_true(at::equal(first, memory.global(net)));
    assert_true(at::equal(local, memory.local(net)));
}

void rows_are_prompt_and_summaries(void **)
{
    const VideoXl net = make(24);
    ShotMemory memory = shown(net, small, shot(8));
    const int64_t per_frame = 4 / 2, prompt = 3 + 2;
    assert_true(memory.global(net).sizes() == at::IntArrayRef({1, 2, 3, prompt + 8 * per_frame, 8}));
    assert_true(memory.local(net).sizes() == at::IntArrayRef({1, 2, 3, prompt + 4 * per_frame, 8}));
}

void the_local_memory_is_a_run_of_its_own_over_the_last_frames(void **)
{
    const at::Tensor frames = shot(11);
    const VideoXl net = make(10);
    ShotMemory only_last = shown(net, small, frames.narrow(0, 7, 4));
    assert_true(at::equal(shown(net, small, frames).local(net), only_last.global(net)));
}

void above_the_limit_the_sample_is_followed(void **)
{
    const at::Tensor frames = shot(13);
    const ShotMemoryConfig eight{.ratio = 2, .global_frames = 8, .local_frames = 3};
    for (int64_t window : windows) {
        const VideoXl net = make(window);
        ShotMemory grown(eight);
        for (int64_t n = 1; n <= frames.size(0); n++) {
            grown.append(net, frames.narrow(0, n - 1, 1));
            const at::Tensor sample = at::tensor(mdl::plan_memory_frames(n, 8), at::kLong);
            const at::Tensor seen = frames.index_select(0, sample);
            ShotMemory reference = shown(net, {.ratio = 2, .global_frames = 650, .local_frames = 3}, seen);
            assert_true(at::equal(grown.global(net), reference.global(net)));
            assert_true(at::equal(grown.local(net), reference.local(net)));
        }
    }
}

void tokens_in_the_temporary_file_are_as_good_as_in_memory(void **)
{
    const at::Tensor frames = shot(12);
    const VideoXl net = make(10);
    ShotMemoryConfig no_room = small;
    no_room.token_bytes = 700; // two frames
    ShotMemory spilled = shown(net, no_room, frames), kept = shown(net, small, frames);
    assert_true(at::equal(spilled.global(net), kept.global(net)));
    assert_true(at::equal(spilled.local(net), kept.local(net)));
}

void a_frame_has_the_same_tokens_whatever_is_beside_it(void **)
{
    const at::Tensor frames = shot(9);
    const VideoXl net = make(24);
    const at::Tensor together = net.visual_tokens(frames);
    for (int64_t f = 0; f < frames.size(0); f++)
        assert_true(at::equal(net.visual_tokens(frames.narrow(0, f, 1)), together.narrow(0, 4 * f, 4)));
}

void bfloat16_stays_near_float32(void **)
{
    const at::Tensor frames = shot(9);
    const VideoXl narrow = make(24, at::kBFloat16), wide = make(24);
    const at::Tensor memory = shown(narrow, small, frames).global(narrow);
    assert_true(memory.scalar_type() == at::kBFloat16);
    const double error = (memory.to(at::kFloat) - shown(wide, small, frames).global(wide)).abs().max().item<double>();
    assert_true(error > 0 && error < 0.15);
}

template <class F> int code_of(F &&call)
{
    try {
        call();
    } catch (const mdl::Error &e) {
        return e.code;
    }
    return MDL_OK;
}

void without_frames_there_is_no_memory(void **)
{
    const VideoXl net = make(24);
    ShotMemory memory(small);
    assert_int_equal(code_of([&] { memory.global(net); }), MDL_EINVAL);
    assert_int_equal(code_of([&] { memory.local(net); }), MDL_EINVAL);
    assert_int_equal(code_of([&] { ShotMemory({.ratio = 0}); }), MDL_EINVAL);
}

void windows_that_the_ratio_does_not_divide_are_refused(void **)
{
    const VideoXl net = make(24);
    ShotMemory memory = shown(net, {.ratio = 8, .global_frames = 650, .local_frames = 4}, shot(3));
    assert_int_equal(code_of([&] { memory.global(net); }), MDL_EINVAL);
}

// What finish() says of a checkpoint with these tensors.
int checked(const Shapes &shapes)
{
    const mdl::VideoXlConfig config = tiny(24);
    return code_of([&] {
        mdl::Weights w = generated(shapes, {});
        const VideoXl net(config, config.default_memory_layers(), w);
        w.finish(VideoXl::unneeded(config, net.memory_layers()));
    });
}

void only_tensors_known_to_be_unneeded_may_be_there(void **)
{
    const Shapes needed = shapes_of(tiny(24));
    assert_int_equal(checked(needed), MDL_OK);
    const std::string vision = "model.vision_tower.vision_tower.vision_model.";
    const char *const unneeded[] = {"lm_head.weight", "model.norm.weight",
                                    "model.layers.3.self_attn.rotary_emb.inv_freq",
                                    "model.layers.8.self_attn.q_proj.weight", "model.layers.8.mlp.up_proj.weight"};
    for (const std::string name : unneeded) {
        Shapes more = needed;
        more[name] = {1};
        assert_int_equal(checked(more), MDL_OK);
    }
    for (const std::string &name : {vision + "embeddings.position_ids", vision + "post_layernorm.bias",
                                    vision + "encoder.layers.2.mlp.fc1.weight"}) {
        Shapes more = needed;
        more[name] = {1};
        assert_int_equal(checked(more), MDL_OK);
    }
    for (const std::string &name :
         {std::string("model.layers.9.mlp.up_proj.weight"), std::string("model.resampler.weight"),
          std::string("model.layers.3.self_attn.o_proj.bias"), vision + "extra"}) {
        Shapes more = needed;
        more[name] = {1};
        assert_int_equal(checked(more), MDL_EWEIGHTS);
    }
    for (const auto &[name, shape] : needed) {
        Shapes fewer = needed;
        fewer.erase(name);
        assert_int_equal(checked(fewer), MDL_EWEIGHTS);
    }
}

} // namespace

int main()
{
    const c10::InferenceMode inference;
    at::set_num_threads(1); // tiny tensors: threads would only wait for one another
    const CMUnitTest tests[] = {
        cmocka_unit_test(growing_frame_by_frame_equals_a_run_from_the_start),
        cmocka_unit_test(growing_by_segments_equals_a_run_from_the_start),
        cmocka_unit_test(asking_twice_gives_the_same),
        cmocka_unit_test(rows_are_prompt_and_summaries),
        cmocka_unit_test(the_local_memory_is_a_run_of_its_own_over_the_last_frames),
        cmocka_unit_test(above_the_limit_the_sample_is_followed),
        cmocka_unit_test(tokens_in_the_temporary_file_are_as_good_as_in_memory),
        cmocka_unit_test(a_frame_has_the_same_tokens_whatever_is_beside_it),
        cmocka_unit_test(bfloat16_stays_near_float32),
        cmocka_unit_test(without_frames_there_is_no_memory),
        cmocka_unit_test(windows_that_the_ratio_does_not_divide_are_refused),
        cmocka_unit_test(only_tensors_known_to_be_unneeded_may_be_there),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
