// options.cc - parsing, and the faults.
#include "null/options.h"

#include "error.h"
#include "longanimation/plan.h"

#include <c10/util/Exception.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <fcntl.h>
#include <new>
#include <unistd.h>

namespace mdl::null
{
namespace
{

struct NumberOption {
    const char *name;
    int32_t Options::*field;
    int32_t min, max;
};

const NumberOption number_options[] = {
    {"width", &Options::width, 16, 4096},
    {"height", &Options::height, 16, 4096},
    {"segment", &Options::segment, 1, 4096},
    {"overlap", &Options::overlap, 0, 4095},
    {"steps", &Options::steps, 1, 1000},
    {"delay_ms", &Options::delay_ms, 0, 3600000},
    {"fail_at_segment", &Options::fail_at_segment, 0, 1 << 24},
    {"fail_at_step", &Options::fail_at_step, 0, 1000},
};

struct FaultName {
    const char *name;
    Fault fault;
};

const FaultName fault_names[] = {
    {"none", Fault::none},
    {"oom", Fault::oom},
    {"nan", Fault::nan},
    {"device", Fault::device},
    {"weights", Fault::weights},
    {"internal", Fault::internal},
    {"bad_alloc", Fault::bad_alloc},
    {"logic", Fault::logic},
    {"int", Fault::integer},
    {"torch", Fault::torch},
    {"torch_oom", Fault::torch_oom},
    {"torch_gpu", Fault::torch_gpu},
    {"crash", Fault::crash},
    {"hang", Fault::hang},
};

int64_t number(const std::string &name, const std::string &value, int64_t min, int64_t max)
{
    int64_t n = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), n);
    if (error != std::errc() || end != value.data() + value.size() || n < min || n > max)
        throw Error(MDL_EINVAL, "null back end: " + name + "=" + value + " is not a number from " +
                                    std::to_string(min) + " to " + std::to_string(max));
    return n;
}

void set(Options &o, const std::string &name, const std::string &value)
{
    for (const NumberOption &n : number_options)
        if (name == n.name) {
            o.*n.field = static_cast<int32_t>(number(name, value, n.min, n.max));
            return;
        }
    if (name == "fail") {
        for (const FaultName &f : fault_names)
            if (value == f.name) {
                o.fail = f.fault;
                return;
            }
        throw Error(MDL_EINVAL, "null back end: no fault is called " + value);
    }
    if (name == "crash_at_segment" || name == "hang_at_segment") {
        o.fail = name[0] == 'c' ? Fault::crash : Fault::hang;
        o.fail_at_segment = static_cast<int32_t>(number(name, value, 0, 1 << 24));
    } else if (name == "fault_file") {
        o.fault_file = value;
    } else if (name == "device_bytes") {
        o.device_bytes = number(name, value, 0, int64_t(1) << 50);
    } else {
        throw Error(MDL_EINVAL, "null back end: no option is called " + name);
    }
}

// With a fault file the fault strikes once: whoever makes the file is the one.
bool due(const std::string &fault_file)
{
    if (fault_file.empty())
        return true;
    const int fd = open(fault_file.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0 && errno != EEXIST)
        throw Error(MDL_EINVAL, "null back end: cannot make " + fault_file);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

[[noreturn]] void strike(Fault f)
{
    switch (f) {
    case Fault::none:
        break;
    case Fault::oom:
        throw Error(MDL_ENOMEM, "out of device memory, as asked");
    case Fault::nan:
        throw Error(MDL_ENAN, "not a number in the latents, as asked");
    case Fault::device:
        throw Error(MDL_EDEVICE, "the device is gone, as asked");
    case Fault::weights:
        throw Error(MDL_EWEIGHTS, "a tensor is missing, as asked");
    case Fault::internal:
        throw Error(MDL_EINTERNAL, "a bug, as asked");
    case Fault::bad_alloc:
        throw std::bad_alloc();
    case Fault::logic:
        throw std::logic_error("a bug, as asked");
    case Fault::integer:
        throw 42;
    case Fault::torch:
        throw c10::Error("shapes do not fit, as asked");
    case Fault::torch_oom:
        throw c10::OutOfMemoryError({__func__, __FILE__, __LINE__}, "tried to allocate, as asked");
    case Fault::torch_gpu:
        throw c10::Error("CUDA error: an illegal memory access was encountered, as asked");
    case Fault::crash:
        std::abort();
    case Fault::hang:
        for (;;)
            pause();
    }
    throw Error(MDL_EINTERNAL, "no such fault");
}

} // namespace

Options parse(const std::string &text)
{
    Options o;
    o.text = text;
    for (size_t at = 0; at < text.size();) {
        const size_t comma = std::min(text.find(',', at), text.size());
        const std::string pair = text.substr(at, comma - at);
        const size_t equals = pair.find('=');
        if (equals == std::string::npos)
            throw Error(MDL_EINVAL, "null back end: \"" + pair + "\" is not name=value");
        set(o, pair.substr(0, equals), pair.substr(equals + 1));
        at = comma + 1;
    }
    if (o.width % 16 || o.height % 16)
        throw Error(MDL_EINVAL, "null back end: width and height are multiples of 16");
    plan_make(Profile::complete, 1, o.segment, o.overlap); // throws where the two do not fit
    return o;
}

void maybe_fail(const Options &o, int32_t segment, int32_t step)
{
    if (o.fail != Fault::none && segment == o.fail_at_segment && step == o.fail_at_step && due(o.fault_file))
        strike(o.fail);
}

} // namespace mdl::null
