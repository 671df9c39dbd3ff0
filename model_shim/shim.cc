// shim.cc - model.h, function by function: check, complete what an older caller lacks, call the back end, translate.
// No model code.
#include "backend.h"
#include "device.h"
#include "error.h"
#include "guard.h"
#include "longanimation/describe.h"
#include "parity/parity.h"

#include <torch/version.h>

#include <cstddef>
#include <cstring>

struct mdl_model {
    std::unique_ptr<mdl::Backend> backend;
};

namespace
{

// The smallest struct that was ever published: what every caller has filled.
constexpr uint32_t options_size_min = offsetof(mdl_options, vram_budget_bytes);
constexpr uint32_t params_size_min = offsetof(mdl_params, on_progress);
constexpr uint32_t plan_size_min = offsetof(mdl_plan, host_bytes);

mdl_options default_options()
{
    mdl_options o{};
    o.size = sizeof o;
    return o;
}

mdl_params default_params()
{
    mdl_params p{};
    p.size = sizeof p;
    p.frames = 1;
    p.guidance_scale = -1;
    p.control_scale = -1;
    p.prompt = p.negative_prompt = "";
    p.memory_global = p.memory_local = 1;
    p.fusion = 1;
    p.fusion_first_step = -1;
    return p;
}

template <class T> void init(T *out, uint32_t size, const T &defaults)
{
    if (!out || size < sizeof out->size)
        return;
    std::memset(out, 0, size);
    std::memcpy(out, &defaults, size < sizeof defaults ? size : sizeof defaults);
    out->size = size;
}

// The caller's struct over the defaults: older callers have shorter ones, newer ones are refused because nobody can
// know what their further fields ask for.
template <class T> T complete(const T *given, const T &defaults, uint32_t size_min, const char *name)
{
    T full = defaults;
    if (given->size < size_min || given->size > sizeof full)
        mdl::fail(MDL_EINVAL, "%s.size is %u, not %u..%u: call its init function", name, given->size, size_min,
                  static_cast<uint32_t>(sizeof full));
    std::memcpy(&full, given, given->size);
    full.size = sizeof full;
    return full;
}

mdl_options complete_options(const mdl_options *o)
{
    return o ? complete(o, default_options(), options_size_min, "mdl_options") : default_options();
}

mdl_params complete_params(const mdl_params *p)
{
    if (!p)
        throw mdl::Error(MDL_EINVAL, "no parameters");
    mdl_params full = complete(p, default_params(), params_size_min, "mdl_params");
    if (!full.prompt || !full.negative_prompt)
        throw mdl::Error(MDL_EINVAL, "prompt and negative_prompt may be empty but not NULL");
    if (full.reference_count > 0 && !full.references)
        throw mdl::Error(MDL_EINVAL, "reference_count is set but references is NULL");
    return full;
}

mdl::Backend &backend_of(mdl_model *m)
{
    if (!m)
        throw mdl::Error(MDL_EINVAL, "no model");
    return *m->backend;
}

} // namespace

extern "C" {

uint32_t mdl_abi(void) noexcept
{
    return MDL_ABI;
}

const char *mdl_version(void) noexcept
{
    return "longanim " LONGANIM_VERSION " torch " TORCH_VERSION;
}

void mdl_options_init(mdl_options *o, uint32_t size) noexcept
{
    init(o, size, default_options());
}

void mdl_params_init(mdl_params *p, uint32_t size) noexcept
{
    init(p, size, default_params());
}

int mdl_open(mdl_model **out, const char *backend, const char *dir, const mdl_options *o, mdl_error *err) noexcept
{
    return mdl::guard(err, [&] {
        if (!out || !backend || !dir)
            throw mdl::Error(MDL_EINVAL, "mdl_open: out, backend and dir are needed");
        for (const mdl::BackendEntry *b = mdl::backends; b->name; b++) {
            if (std::strcmp(b->name, backend))
                continue;
            auto m = std::make_unique<mdl_model>();
            m->backend = b->open(dir, complete_options(o));
            *out = m.release(); // last: on error *out stays as it was
            return;
        }
        mdl::fail(MDL_EINVAL, "no model back end is called \"%s\"", backend);
    });
}

const char *mdl_describe(mdl_model *m) noexcept
{
    return m ? m->backend->describe().c_str() : "{}";
}

int mdl_plan_run(mdl_model *m, const mdl_params *p, mdl_plan *out, mdl_error *err) noexcept
{
    return mdl::guard(err, [&] {
        mdl::Backend &backend = backend_of(m);
        if (!out || out->size < plan_size_min || out->size > sizeof *out)
            throw mdl::Error(MDL_EINVAL, "mdl_plan.size is not set");
        mdl_plan plan = backend.plan(complete_params(p));
        plan.size = out->size;
        std::memcpy(out, &plan, plan.size);
    });
}

int mdl_run(mdl_model *m, const mdl_params *p, mdl_error *err) noexcept
{
    return mdl::guard(err, [&] { backend_of(m).run(complete_params(p)); });
}

void mdl_close(mdl_model *m) noexcept
{
    delete m;
}

int mdl_parity(const char *const *paths, int32_t count, const mdl_options *o, mdl_line_fn on_line, void *user,
               int32_t *passed, int32_t *failed, int32_t *skipped, mdl_error *err) noexcept
{
    return mdl::guard(err, [&] {
        if (!paths || count < 1 || !passed || !failed || !skipped)
            throw mdl::Error(MDL_EINVAL, "mdl_parity: paths and places for the counts are needed");
        const mdl_options options = complete_options(o);
        const mdl::Compute compute = mdl::choose_compute(options);
        // The numbers are float32's; another type is a question that only the caller can want to ask.
        const auto dtype = options.dtype == MDL_DTYPE_BF16 ? compute.dtype : c10::ScalarType::Float;
        const auto line = [&](const std::string &text) { return !on_line || on_line(user, text.c_str()) == 0; };
        const mdl::ParityCounts counts = mdl::parity_run({paths, paths + count}, {compute.device, dtype}, line);
        *passed = counts.passed;
        *failed = counts.failed;
        *skipped = counts.skipped;
    });
}

int mdl_check(const char *dir, const mdl_params *p, const mdl_options *o, const char **report, int32_t *problems,
              mdl_error *err) noexcept
{
    return mdl::guard(err, [&] {
        if (!dir || !report || !problems)
            throw mdl::Error(MDL_EINVAL, "mdl_check: dir, report and problems are needed");
        static thread_local std::string text; // until the next call on this thread, as promised
        const mdl_params full = p ? complete_params(p) : default_params();
        mdl::CheckReport checked = mdl::check_model(dir, p ? &full : nullptr, complete_options(o));
        text = std::move(checked.json);
        *report = text.c_str();
        *problems = checked.problems;
    });
}

} // extern "C"
