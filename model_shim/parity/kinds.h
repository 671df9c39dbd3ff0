// kinds.h - the functions behind the rows of kinds.cc, by the file they are in.
#pragma once
#include "parity/parity.h"

namespace mdl
{

// cog_basics.cc: generated numbers, embeddings, rotary tables, schedulers
void parity_fill_selftest(const Json &golden, Report &report);
// cog_transformer.cc: the video transformer, with and without control
void parity_transformer(const Json &golden, Report &report);
// cog_vae.cc
void parity_vae(const Json &golden, Report &report);

// sketch_dit.cc: the sketch branch
void parity_sketch_dit(const Json &golden, Report &report);
// longanimation.cc: what LongAnimation adds to CogVideoX
void parity_dglm(const Json &golden, Report &report);
void parity_lineart(const Json &golden, Report &report);
void parity_fusion(const Json &golden, Report &report);
void parity_plan(const Json &golden, Report &report);

} // namespace mdl
