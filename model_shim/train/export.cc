// export.cc - see export.h.
#include "train/export.h"

#include "error.h"
#include "io/json.h"
#include "io/safetensors_write.h"
#include "io/weights.h"
#include "train.h"
#include "train/checkpoint.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <filesystem>

namespace fs = std::filesystem;

namespace mdl
{
namespace
{

struct Row {
    const char *name, *key; // the folder; the manifest's key
    std::string Manifest::*path;
    const char *stem; // of the weight file, null where nothing ever trains
};

const Row rows[] = {
    {"transformer", "transformer", &Manifest::transformer, "diffusion_pytorch_model"},
    {"vae", "vae", &Manifest::vae, "diffusion_pytorch_model"},
    {"text_encoder", "text_encoder", &Manifest::text_encoder, nullptr},
    {"tokenizer", "tokenizer", &Manifest::tokenizer, nullptr},
    {"scheduler", "scheduler", &Manifest::scheduler, nullptr},
    {"sketch_dit", "sketch_dit", &Manifest::sketch_dit, "control_module"},
    {"memory", "memory", &Manifest::memory, "glm_module"},
    {"lineart", "lineart", &Manifest::lineart, nullptr},
    {"video_xl", "video_encoder", &Manifest::video_encoder, nullptr},
};

c10::ScalarType type_of(int32_t store)
{
    switch (store) {
    case MDL_STORE_F32:
        return at::kFloat;
    case MDL_STORE_F16:
        return at::kHalf;
    case MDL_STORE_BF16:
        return at::kBFloat16;
    default:
        fail(MDL_EINVAL, "no way of storing weights has number %d", store);
    }
}

bool is_weights(const fs::path &file)
{
    const std::string name = file.filename();
    return name.find(".safetensors") != std::string::npos;
}

// A link where the file system has them: weights are large and never written to.
void link_or_copy(const fs::path &from, const fs::path &to)
{
    std::error_code no_link;
    fs::remove(to, no_link);
    fs::create_hard_link(fs::canonical(from), to, no_link);
    if (no_link)
        fs::copy_file(fs::canonical(from), to);
}

void copy_tree(const fs::path &from, const fs::path &to, bool with_weights)
{
    fs::create_directories(to);
    for (const auto &entry : fs::directory_iterator(from)) {
        const fs::path target = to / entry.path().filename();
        if (fs::is_directory(entry.path()))
            copy_tree(entry.path(), target, with_weights);
        else if (is_weights(entry.path())) {
            if (with_weights)
                link_or_copy(entry.path(), target);
        } else
            fs::copy_file(entry.path(), target, fs::copy_options::overwrite_existing);
    }
}

NamedTensors trained_of(const Parameters &parameters, const std::string &component)
{
    NamedTensors trained;
    for (const Parameter &p : parameters.all())
        if (p.name.rfind(component + "/", 0) == 0)
            trained[p.name.substr(component.size() + 1)] = p.average.defined() ? p.average : p.value.detach();
    return trained;
}

// All of the component's tensors: what was trained, and the rest as it is stored.
void write_weights(const std::string &from, const fs::path &to, const Row &row, NamedTensors tensors, int32_t store)
{
    const WeightOptions as_stored{at::kFloat, c10::Device(c10::DeviceType::CPU), {}};
    Weights w = Weights::open(from, {row.stem}, as_stored);
    const c10::ScalarType type = type_of(store);
    for (const auto &[name, shape] : w.shapes())
        if (!tensors.count(name))
            tensors[name] = w.get(name, shape);
    for (auto &[name, tensor] : tensors) {
        tensor = tensor.to(at::kCPU, type);
        if (!at::isfinite(tensor).all().item<bool>())
            fail(MDL_EINVAL, "%s/%s does not fit into the type that is asked for", row.name, name.c_str());
    }
    safetensors_write(to / (std::string(row.stem) + ".safetensors"), tensors);
}

void set_vae_scale(const fs::path &folder, double scale)
{
    Json config = json_read(folder / "config.json");
    config["scaling_factor"] = scale;
    text_write(folder / "config.json", config.dump(2) + "\n");
}

void write_manifest(const Manifest &m, const fs::path &folder)
{
    Json manifest = json_read(m.folder + "/longanimation.json");
    manifest["base"] = ".";
    for (const Row &row : rows) {
        const bool in_base = row.path == &Manifest::transformer || row.path == &Manifest::vae ||
                             row.path == &Manifest::text_encoder || row.path == &Manifest::tokenizer ||
                             row.path == &Manifest::scheduler;
        if ((m.*row.path).empty())
            manifest[row.key] = nullptr;
        else if (in_base)
            manifest.erase(row.key);
        else
            manifest[row.key] = row.name;
    }
    text_write(folder / "longanimation.json", manifest.dump(2) + "\n");
}

} // namespace

void export_model(const Manifest &m, const Parameters &parameters, double vae_scale, int32_t store,
                  const std::string &folder)
try {
    const fs::path out(folder);
    if (fs::exists(out) && fs::equivalent(out, m.folder))
        throw Error(MDL_EINVAL, folder + " is the model that is trained from; choose another folder");
    fs::create_directories(out);
    for (const Row &row : rows) {
        const std::string &from = m.*row.path;
        if (from.empty())
            continue;
        const NamedTensors trained = trained_of(parameters, row.name);
        if (fs::is_directory(from))
            copy_tree(from, out / row.name, trained.empty());
        else { // a file named by itself
            fs::create_directories(out / row.name);
            link_or_copy(from, out / row.name / fs::path(from).filename());
        }
        if (!trained.empty())
            write_weights(from, out / row.name, row, trained, store);
    }
    if (vae_scale > 0)
        set_vae_scale(out / "vae", vae_scale);
    if (fs::exists(fs::path(m.folder) / "model_index.json"))
        fs::copy_file(fs::path(m.folder) / "model_index.json", out / "model_index.json",
                      fs::copy_options::overwrite_existing);
    write_manifest(m, out);
} catch (const fs::filesystem_error &e) {
    throw Error(MDL_EINVAL, e.what());
}

} // namespace mdl
