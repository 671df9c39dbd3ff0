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

} // namespace mdl
