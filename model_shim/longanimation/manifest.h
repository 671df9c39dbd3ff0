// manifest.h - longanimation.json: where the components of a model are, and the model's defaults. docs/model.md
// describes the folder.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace mdl
{

enum class PadSketch {
    released,   // the reference's lines in segment 0, the segment's own first frame afterwards
    reference,  // the reference's lines in every segment
    first_frame // the segment's own first frame in every segment
};

struct Manifest {
    std::string folder, name; // as opened; its last part

    std::string licence; // of all weights; empty: those of the published ones (manifest_parts)

    // Component folders, absolute or below `folder`. An empty path is a component that the model does without:
    // memory and video_encoder, where longanimation.json says null.
    std::string transformer, vae, text_encoder, tokenizer, scheduler; // inside "base"
    std::string sketch_dit, memory, lineart;
    std::string video_encoder; // empty: memories only where expected/ gives them (parity)

    int32_t height = 576, width = 1024;
    int32_t segment_frames = 81, overlap_frames = 16;
    int32_t steps = 50;
    double guidance_scale = 6.0, control_scale = 0.5;
    int32_t injection = 1;       // MDL_INJECT_*, never the default
    double fast_threshold = 0.1; // of first_block_cache.h; 0 = never cut a step short
    std::vector<int64_t> memory_layers{19, 23, 27};
    int32_t compression_ratio = 8;
    int32_t global_frames_max = 650, local_frames = 20;
    int32_t fusion_first_step = 31;
    std::array<double, 4> fusion_weights{0.8, 0.6, 0.4, 0.2}; // of the segment before, for latent frames 2..5
    double image_latent_scale = 1.0;
    std::string prompt_suffix = " High quality, masterpiece, best quality, highres, ultra-detailed, fantastic.";
    bool vae_tiling = true;
    PadSketch pad_sketch = PadSketch::released;

    int32_t stride_frames() const
    {
        return segment_frames - overlap_frames;
    }
};

// Reads <folder>/longanimation.json; keys that are missing take the released values, keys that are unknown are left
// alone. Throws Error(MDL_EWEIGHTS) naming file and key for values of another type or out of range, segments that the
// networks cannot have, and folders that are not there.
Manifest manifest_read(const std::string &folder);

// The parts of a model for people and receipts: name, folder, and under which licence the weights come: as the manifest
// says, else that of the published ones.
struct ManifestPart {
    const char *name;
    std::string path;
    std::string licence;
};
std::vector<ManifestPart> manifest_parts(const Manifest &m);

const char *injection_name(int32_t injection); // "skip_layer", …

} // namespace mdl
