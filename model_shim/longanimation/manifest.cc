// manifest.cc - see manifest.h.
#include "longanimation/manifest.h"

#include "error.h"
#include "io/json.h"
#include "longanimation/plan.h"
#include "model.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>

namespace fs = std::filesystem;

namespace mdl
{
namespace
{

constexpr const char *file_name = "longanimation.json";
constexpr const char *cogvideox_licence =
    "CogVideoX License: research free of charge, commercial use after registration";
constexpr const char *longanimation_licence =
    "not stated; initialised from CogVideoX, so the CogVideoX License is to be assumed";
constexpr const char *t5_licence = "Apache-2.0 (T5 v1.1 XXL), as shipped with CogVideoX";
constexpr const char *video_xl_licence = "Apache-2.0";
constexpr const char *lineart_licence = "MIT (informative drawings)";

// Floating point member in a closed range.
double number(const Json &object, const char *key, double fallback, double min, double max)
{
    const double v = json_double(object, key, fallback);
    if (!(v >= min && v <= max))
        fail(MDL_EWEIGHTS, "%s: %s is %g, not %g to %g", file_name, key, v, min, max);
    return v;
}

std::string folder_below(const std::string &base, const std::string &path)
{
    return (fs::path(base) / path).lexically_normal().string();
}

// The path of a component that has to be there.
std::string component(const Manifest &m, const Json &j, const char *key, const char *fallback)
{
    const std::string path = folder_below(m.folder, json_string(j, key, fallback));
    if (!fs::exists(path))
        fail(MDL_EWEIGHTS, "%s: %s is %s, which is not there", file_name, key, path.c_str());
    return path;
}

void read_components(Manifest &m, const Json &j)
{
    const std::string base = component(m, j, "base", ".");
    struct {
        const char *key;
        std::string Manifest::*path;
    } const inside_base[] = {{"transformer", &Manifest::transformer},
                             {"vae", &Manifest::vae},
                             {"text_encoder", &Manifest::text_encoder},
                             {"tokenizer", &Manifest::tokenizer},
                             {"scheduler", &Manifest::scheduler}};
    for (const auto &part : inside_base) {
        // A key of its own takes a part from elsewhere than the base.
        m.*part.path = json_has(j, part.key) ? component(m, j, part.key, "") : folder_below(base, part.key);
        if (!fs::exists(m.*part.path))
            fail(MDL_EWEIGHTS, "%s: %s is not there", file_name, (m.*part.path).c_str());
    }
    m.sketch_dit = component(m, j, "sketch_dit", "sketch_dit");
    if (!j.contains("memory") || !j.at("memory").is_null())
        m.memory = component(m, j, "memory", "memory");
    m.lineart = component(m, j, "lineart", "lineart");
    if (json_has(j, "video_encoder"))
        m.video_encoder = component(m, j, "video_encoder", "");
    if (m.memory.empty() && !m.video_encoder.empty())
        fail(MDL_EWEIGHTS, "%s: a video_encoder without a memory", file_name);
}

int32_t integer(const Json &j, const char *key, int32_t fallback, int32_t min, int32_t max)
{
    return static_cast<int32_t>(json_int(j, key, fallback, min, max));
}

void read_sampling(Manifest &m, const Json &j)
{
    m.height = integer(j, "height", m.height, 16, 16384);
    m.width = integer(j, "width", m.width, 16, 16384);
    if (m.height % 16 || m.width % 16)
        fail(MDL_EWEIGHTS, "%s: width and height are multiples of 16, not %dx%d", file_name, m.width, m.height);
    m.segment_frames = integer(j, "segment_frames", m.segment_frames, 1, 4096);
    m.overlap_frames = integer(j, "overlap_frames", m.overlap_frames, 0, 4096);
    m.steps = integer(j, "steps", m.steps, 1, 1000);
    m.guidance_scale = number(j, "guidance_scale", m.guidance_scale, 0, 100);
    m.control_scale = number(j, "control_scale", m.control_scale, 0, 100);
    m.fast_threshold = number(j, "fast_threshold", m.fast_threshold, 0, 10);
    m.image_latent_scale = number(j, "image_latent_scale", m.image_latent_scale, -1e6, 1e6);
    m.prompt_suffix = json_string(j, "prompt_suffix", m.prompt_suffix);
    m.vae_tiling = json_bool(j, "vae_tiling", m.vae_tiling);
    const std::string injection = json_string(j, "injection", "skip_layer");
    m.injection = MDL_INJECT_DEFAULT;
    for (int32_t i = MDL_INJECT_SKIP_LAYER; i <= MDL_INJECT_LATTER_HALF; i++)
        if (injection == injection_name(i))
            m.injection = i;
    if (m.injection == MDL_INJECT_DEFAULT)
        fail(MDL_EWEIGHTS, "%s: no injection is called %s", file_name, injection.c_str());
    const std::string pad = json_string(j, "pad_sketch", "");
    if (pad != "" && pad != "reference" && pad != "first_frame")
        fail(MDL_EWEIGHTS, "%s: pad_sketch is %s, not reference or first_frame", file_name, pad.c_str());
    m.pad_sketch = pad == "" ? PadSketch::released : pad == "reference" ? PadSketch::reference : PadSketch::first_frame;
}

void read_memory(Manifest &m, const Json &j)
{
    m.memory_layers = json_ints(j, "memory_layers", m.memory_layers);
    for (int64_t layer : m.memory_layers)
        if (layer < 0 || layer > 1000)
            fail(MDL_EWEIGHTS, "%s: memory_layers has %lld", file_name, static_cast<long long>(layer));
    m.compression_ratio = integer(j, "compression_ratio", m.compression_ratio, 1, 1024);
    m.global_frames_max = integer(j, "global_frames_max", m.global_frames_max, 1, 1 << 16);
    m.local_frames = integer(j, "local_frames", m.local_frames, 1, 1 << 16);
}

void read_fusion(Manifest &m, const Json &j)
{
    if (!json_has(j, "fusion"))
        return;
    const Json &f = json_need(j, "fusion");
    if (!f.is_object())
        fail(MDL_EWEIGHTS, "%s: fusion is not an object", file_name);
    m.fusion_first_step = integer(f, "first_step", m.fusion_first_step, 0, 1 << 16);
    if (!json_has(f, "weights"))
        return;
    const std::vector<double> weights = json_doubles(json_need(f, "weights"));
    if (weights.size() != m.fusion_weights.size())
        fail(MDL_EWEIGHTS, "%s: fusion.weights has %zu numbers, not %zu", file_name, weights.size(),
             m.fusion_weights.size());
    for (size_t i = 0; i < weights.size(); i++) {
        if (!(weights[i] >= 0 && weights[i] <= 1))
            fail(MDL_EWEIGHTS, "%s: fusion.weights has %g, not 0 to 1", file_name, weights[i]);
        m.fusion_weights[i] = weights[i];
    }
}

// Segments that the networks and the joining can have.
void check_segments(const Manifest &m)
{
    try {
        plan_latent_frames(m.segment_frames);
        plan_make(Profile::complete, 1, m.segment_frames, m.overlap_frames);
    } catch (const Error &e) {
        fail(MDL_EWEIGHTS, "%s: %s", file_name, e.what());
    }
}

} // namespace

const char *injection_name(int32_t injection)
{
    static const char *const names[] = {"default", "skip_layer", "full", "former_half", "latter_half"};
    return injection >= 0 && injection <= MDL_INJECT_LATTER_HALF ? names[injection] : "unknown";
}

Manifest manifest_read(const std::string &folder)
{
    Manifest m;
    m.folder = folder;
    m.name = fs::absolute(folder).lexically_normal().filename().string();
    if (m.name.empty()) // the path ended in a slash
        m.name = fs::absolute(folder).lexically_normal().parent_path().filename().string();
    const Json j = json_read((fs::path(folder) / file_name).string(), {.bytes = 1 << 20});
    if (!j.is_object() || json_string(j, "format", "") != "longanimation-model")
        fail(MDL_EWEIGHTS, "%s/%s is not the manifest of a LongAnimation model", folder.c_str(), file_name);
    if (json_int(j, "version", 0) != 1)
        fail(MDL_EWEIGHTS, "%s: version %lld is not known, only 1", file_name,
             static_cast<long long>(json_int(j, "version", 0)));
    m.licence = json_string(j, "licence", "");
    read_components(m, j);
    read_sampling(m, j);
    read_memory(m, j);
    read_fusion(m, j);
    check_segments(m);
    return m;
}

std::vector<ManifestPart> manifest_parts(const Manifest &m)
{
    std::vector<ManifestPart> parts = {
        {"text_encoder", m.text_encoder, t5_licence},
        {"tokenizer", m.tokenizer, t5_licence},
        {"vae", m.vae, cogvideox_licence},
        {"transformer", m.transformer, cogvideox_licence},
        {"scheduler", m.scheduler, cogvideox_licence},
        {"sketch_dit", m.sketch_dit, longanimation_licence},
        {"memory", m.memory, longanimation_licence},
        {"lineart", m.lineart, lineart_licence},
        {"video_encoder", m.video_encoder, video_xl_licence},
    };
    std::erase_if(parts, [](const ManifestPart &part) { return part.path.empty(); });
    if (!m.licence.empty())
        for (ManifestPart &part : parts)
            part.licence = m.licence;
    return parts;
}

} // namespace mdl
