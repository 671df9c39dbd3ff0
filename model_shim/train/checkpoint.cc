// checkpoint.cc - see checkpoint.h.
#include "train/checkpoint.h"

#include "error.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "io/safetensors_write.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>

#include <filesystem>

namespace fs = std::filesystem;

namespace mdl
{
namespace
{

std::string file_of(int64_t step)
{
    return "state-" + std::to_string(step) + ".safetensors";
}

void remove_others(const std::string &work, const std::string &kept)
{
    std::error_code ignored;
    for (const auto &entry : fs::directory_iterator(work, ignored)) {
        const std::string name = entry.path().filename();
        if (name.rfind("state-", 0) == 0 && name != kept)
            fs::remove(entry.path(), ignored);
    }
}

void copy_in(const Safetensors &file, const NamedTensors &tensors)
{
    const c10::AutoGradMode off(false);
    for (const auto &[name, tensor] : tensors) {
        const auto entry = file.entries().find(name);
        if (entry == file.entries().end() || at::IntArrayRef(entry->second.shape) != tensor.sizes())
            fail(MDL_EINVAL, "%s has no \"%s\" of the right shape: it belongs to another model", file.path().c_str(),
                 name.c_str());
    }
    for (const auto &[name, tensor] : tensors)
        tensor.detach().copy_(file.tensor(name));
}

} // namespace

void checkpoint_write(const std::string &work, int64_t step, const std::string &settings, const NamedTensors &tensors)
{
    const std::string file = file_of(step);
    safetensors_write(work + "/" + file, tensors);
    const Json state = {
        {"format", "longanimation-training"}, {"version", 1}, {"step", step}, {"file", file}, {"settings", settings}};
    text_write(work + "/state.json", state.dump(1) + "\n");
    remove_others(work, file);
}

int64_t checkpoint_read(const std::string &work, const std::string &settings, const NamedTensors &tensors)
try {
    const std::string path = work + "/state.json";
    if (!fs::exists(path))
        return 0;
    const Json state = json_read(path);
    const int64_t step = json_int(state, "step", 0, 0, int64_t{1} << 48);
    if (json_string(state, "format", "") != "longanimation-training" || json_int(state, "version", 0) != 1 ||
        json_string(state, "file", "") != file_of(step))
        throw Error(MDL_EINVAL, path + " is no checkpoint of this program");
    const std::string made_with = json_string(state, "settings", "");
    if (made_with != settings)
        throw Error(MDL_EINVAL, path + " was made with other settings; they were " + made_with + ", now " + settings);
    copy_in(*Safetensors::open(work + "/" + file_of(step)), tensors);
    return step;
} catch (const Error &e) {
    throw Error(MDL_EINVAL, e.what());
}

} // namespace mdl
