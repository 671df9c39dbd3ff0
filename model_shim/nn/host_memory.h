// host_memory.h - what the C library does with the memory of large tensors when the networks run on the CPU.
#pragma once

namespace mdl::nn
{

// Keeps freed memory for the next tensor instead of handing it back: the kernel would clear every page again, which
// costs a third of the VAE's time. For the whole process.
void host_memory_keep();

// Hands back what is not in use: after a run, between phases.
void host_memory_release();

} // namespace mdl::nn
