// kinds.h - the functions behind the rows of kinds.cc, by the file they are in.
#pragma once
#include "parity/parity.h"

namespace mdl
{

// cog_basics.cc: what needs no network
void parity_fill_selftest(const Json &golden, Report &report);
void parity_embeddings(const Json &golden, Report &report);
void parity_rope(const Json &golden, Report &report);
// cog_scheduler.cc
void parity_schedulers(const Json &golden, Report &report);
// cog_transformer.cc: the video transformer, with and without control
void parity_transformer(const Json &golden, Report &report);
// cog_vae.cc
void parity_vae(const Json &golden, Report &report);
// cog_text.cc: text encoder and tokenizer
void parity_t5(const Json &golden, Report &report);
void parity_tokenizer(const Json &golden, Report &report);
// cog_pipeline.cc: image to video, from image and prompt embeddings to pixels
void parity_pipeline_i2v(const Json &golden, Report &report);

// sketch_dit.cc: the sketch branch
void parity_sketch_dit(const Json &golden, Report &report);
// longanimation.cc: what LongAnimation adds to CogVideoX
void parity_dglm(const Json &golden, Report &report);
void parity_lineart(const Json &golden, Report &report);
void parity_fusion(const Json &golden, Report &report);
void parity_plan(const Json &golden, Report &report);
// gradients.cc: the gradients of all weights
void parity_gradients_colouriser(const Json &golden, Report &report);
void parity_gradients_vae(const Json &golden, Report &report);
// video_xl.cc: the video memory encoder
void parity_clip_preprocess(const Json &golden, Report &report);
void parity_clip_vision(const Json &golden, Report &report);
void parity_projector(const Json &golden, Report &report);
void parity_beacon_memory(const Json &golden, Report &report);
void parity_memory_prompt(const Json &golden, Report &report);
// video_xl_folder.cc: the same on a model folder
void parity_video_xl_folder(const std::string &folder, Report &report);

// longanimation_folder.cc: a whole model folder, end to end
void parity_longanimation(const std::string &folder, Report &report);

} // namespace mdl
