// device.cc - see device.h. No CUDA header: everything goes through libtorch's own dispatch, so that one source builds
// against a CPU and a CUDA libtorch.
#include "device.h"

#include "error.h"
#include "nn/host_memory.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/Parallel.h>

#include <fstream>
#include <unistd.h>

namespace mdl
{
namespace
{

constexpr int64_t host_percent = 85; // of the host's memory that networks may take

c10::Device choose_device(const mdl_options &o)
{
    if (o.device < MDL_DEVICE_AUTO || o.device > MDL_DEVICE_CUDA)
        fail(MDL_EINVAL, "no device has number %d", o.device);
    const int gpus = o.device == MDL_DEVICE_CPU || !at::hasCUDA() ? 0 : at::detail::getCUDAHooks().getNumGPUs();
    if (o.device == MDL_DEVICE_CPU || (o.device == MDL_DEVICE_AUTO && gpus == 0))
        return c10::Device(c10::DeviceType::CPU);
    if (o.device_index < 0 || o.device_index >= gpus)
        fail(MDL_EINVAL, "there is no CUDA device %d (%d found)", o.device_index, gpus);
    return {c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(o.device_index)};
}

c10::ScalarType choose_dtype(const mdl_options &o, c10::Device device)
{
    switch (o.dtype) {
    case MDL_DTYPE_AUTO:
        return device.is_cuda() ? c10::ScalarType::BFloat16 : c10::ScalarType::Float;
    case MDL_DTYPE_F32:
        return c10::ScalarType::Float;
    case MDL_DTYPE_BF16:
        return c10::ScalarType::BFloat16;
    default:
        fail(MDL_EINVAL, "no dtype has number %d", o.dtype);
    }
}

// Of this machine, or of the container that we are in.
int64_t host_memory_bytes()
{
    int64_t bytes = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE), limit = 0;
    if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit && limit > 0 && limit < bytes)
        bytes = limit;
    return bytes;
}

int64_t memory_bytes(c10::Device device)
{
    if (!device.is_cuda())
        return host_memory_bytes() / 100 * host_percent;
    at::detail::getCUDAHooks().init();
    return static_cast<int64_t>(at::accelerator::getMemoryInfo(device.index()).second);
}

} // namespace

Compute choose_compute(const mdl_options &o)
{
    if (o.threads < 0 || o.threads > 4096 || o.vram_budget_bytes < 0)
        throw Error(MDL_EINVAL, "threads or vram_budget_bytes is out of range");
    Compute c;
    c.device = choose_device(o);
    c.dtype = choose_dtype(o, c.device);
    c.budget_bytes = o.vram_budget_bytes;
    if (o.threads > 0)
        at::set_num_threads(o.threads);
    at::Context &torch = at::globalContext();
    torch.setAllowTF32CuBLAS(false);
    torch.setAllowTF32CuDNN(false);
    torch.setDeterministicCuDNN(true);
    torch.setBenchmarkCuDNN(false);
    const int64_t there = memory_bytes(c.device);
    if (c.budget_bytes == 0 || c.budget_bytes > there)
        c.budget_bytes = there;
    if (!c.cuda())
        nn::host_memory_keep();
    return c;
}

std::string dtype_name(c10::ScalarType t)
{
    return t == c10::ScalarType::BFloat16 ? "bfloat16" : t == c10::ScalarType::Half ? "float16" : "float32";
}

void release_cached(const Compute &c)
{
    if (c.cuda())
        at::accelerator::emptyCache();
    else
        nn::host_memory_release();
}

} // namespace mdl
