// kinds.cc - what can be checked: a row per kind of golden file and per kind of model folder.
#include "parity/kinds.h"

namespace mdl
{

const ParityKind parity_kinds[] = {
    {"cogvideox.fill_selftest", parity_fill_selftest},
    {"cogvideox.embeddings", parity_embeddings},
    {"cogvideox.rope", parity_rope},
    {"cogvideox.schedulers", parity_schedulers},
    {"cogvideox.t5", parity_t5},
    {"cogvideox.pipeline_i2v", parity_pipeline_i2v},
    {"video_xl.t5", parity_t5},
    {"video_xl.tokenizer", parity_tokenizer},
    {"cogvideox.transformer", parity_transformer},
    {"cogvideox.vae", parity_vae},
    {"controlled_transformer", parity_transformer},
    {"sketch_dit", parity_sketch_dit},
    {"dglm", parity_dglm},
    {"lineart", parity_lineart},
    {"fusion", parity_fusion},
    {"plan", parity_plan},
    {"gradients.colouriser", parity_gradients_colouriser},
    {"gradients.vae", parity_gradients_vae},
    {"video_xl.clip_preprocess", parity_clip_preprocess},
    {"video_xl.clip_vision", parity_clip_vision},
    {"video_xl.video_xl_projector", parity_projector},
    {"video_xl.beacon_memory", parity_beacon_memory},
    {"video_xl.memory_prompt_7b", parity_memory_prompt},
    {nullptr, nullptr},
};

const ParityFolder parity_folders[] = {
    {"longanimation.json", "longanimation_model", parity_longanimation},
    {"expected/visual_tokens.safetensors", "video_xl.folder", parity_video_xl_folder},
    {nullptr, nullptr, nullptr},
};

} // namespace mdl
