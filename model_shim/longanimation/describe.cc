// describe.cc - see describe.h.
#include "longanimation/describe.h"

#include "error.h"
#include "io/identity.h"
#include "io/json.h"
#include "longanimation/estimate.h"

#include <nlohmann/json.hpp>

#include <exception>

namespace mdl
{
namespace
{

using Ordered = nlohmann::ordered_json;

Ordered part_json(const PartInfo &part, const Compute &c)
{
    return {{"name", part.name},
            {"folder", part.folder},
            {"parameters", part.parameters},
            {"stored_bytes", part.stored_bytes},
            {"bytes", part.bytes(c.dtype)}};
}

Ordered parts_json(const std::vector<PartInfo> &parts, const std::vector<std::string> &hashes, const Compute &c)
{
    Ordered list = Ordered::array();
    for (size_t i = 0; i < parts.size(); i++)
        if (parts[i].present()) {
            list.push_back(part_json(parts[i], c));
            list.back()["sha256"] = hashes[i];
        }
    return list;
}

Ordered licences_json(const Manifest &m)
{
    Ordered list = Ordered::array();
    for (const ManifestPart &part : manifest_parts(m))
        list.push_back({{"component", part.name}, {"licence", part.licence}});
    return list;
}

// What the manifest says, for whoever has to choose parameters.
Ordered defaults_json(const Manifest &m)
{
    return {{"width", m.width},
            {"height", m.height},
            {"segment_frames", m.segment_frames},
            {"overlap_frames", m.overlap_frames},
            {"steps", m.steps},
            {"guidance_scale", m.guidance_scale},
            {"control_scale", m.control_scale},
            {"injection", injection_name(m.injection)},
            {"fusion_first_step", m.fusion_first_step},
            {"memory", !m.video_encoder.empty()},
            {"memory_global_frames", m.global_frames_max},
            {"memory_local_frames", m.local_frames},
            {"references_used", 1}};
}

mdl_params default_params()
{
    mdl_params p{};
    p.size = sizeof p;
    p.guidance_scale = p.control_scale = -1;
    p.prompt = p.negative_prompt = "";
    p.memory_global = p.memory_local = p.fusion = 1;
    p.fusion_first_step = -1;
    return p;
}

Ordered memory_json(const Manifest &m, const Components &n, const Compute &c, const mdl_params *given)
{
    mdl_params p = given ? *given : default_params();
    if (p.input_width == 0 || p.input_height == 0) {
        p.input_width = m.width;
        p.input_height = m.height;
    }
    if (p.frames == 0)
        p.frames = m.segment_frames;
    const Settings s = settings_make(m, p);
    Ordered phases = Ordered::array();
    for (const PhaseBytes &phase : estimate_phases(m, n.parts(), n.shapes(), s, c))
        phases.push_back({{"phase", phase.name}, {"weights_bytes", phase.weights}, {"work_bytes", phase.work}});
    const RunBytes run = estimate_run(m, n.parts(), n.shapes(), s, c);
    return {{"width", s.size.width},
            {"height", s.size.height},
            {"frames", s.plan.input_frames},
            {"segments", s.plan.segments.size()},
            {"phases", phases},
            {"host_bytes", run.host},
            {"device_bytes", run.device},
            {"budget_bytes", c.budget_bytes},
            {"fits", run.fits}};
}

// Texts of problems may quote broken files: whatever is no UTF-8 is replaced.
std::string text_of(const Ordered &json)
{
    return json.dump(-1, ' ', false, Ordered::error_handler_t::replace);
}

// The checks proper; adds to `report` as far as it gets, and to `problems`.
void check_into(Ordered &report, Ordered &problems, const std::string &folder, const mdl_params *p, const Compute &c)
{
    const auto attempt = [&](const auto &body) {
        try {
            body();
            return true;
        } catch (const std::exception &e) {
            problems.push_back(e.what());
            return false;
        }
    };
    Manifest m;
    if (!attempt([&] { m = manifest_read(folder); }))
        return;
    report["name"] = m.name;
    report.update(defaults_json(m));
    const std::vector<PartInfo> parts = inspect_parts(m);
    for (const PartInfo &part : parts)
        for (const std::string &problem : part.problems)
            problems.push_back(std::string(part.name) + ": " + problem);
    ModelIdentity id{std::vector<std::string>(parts.size()), ""};
    attempt([&] { id = model_identity(m, parts); });
    report["sha256"] = id.whole;
    report["components"] = parts_json(parts, id.parts, c);
    report["licences"] = licences_json(m);
    if (problems.empty())
        attempt([&] { report["memory_needed"] = memory_json(m, Components(m, c), c, p); });
}

} // namespace

ModelIdentity model_identity(const Manifest &m, const std::vector<PartInfo> &parts)
{
    ModelIdentity id;
    std::vector<std::string> all = {m.folder + "/longanimation.json"};
    for (const PartInfo &part : parts) {
        id.parts.push_back(part.files.empty() ? "" : sample_sha256(part.files));
        all.insert(all.end(), part.files.begin(), part.files.end());
    }
    id.whole = sample_sha256(all);
    return id;
}

std::string describe_model(const Manifest &m, const Components &n, const Compute &c, const ModelIdentity &id)
{
    Ordered about = {{"name", m.name}, {"backend", "longanimation"}};
    about.update(defaults_json(m));
    about["device"] = c.cuda() ? "cuda" : "cpu"; // without its number: that says nothing about the result
    about["dtype"] = dtype_name(c.dtype);
    about["sha256"] = id.whole;
    about["components"] = parts_json(n.parts(), id.parts, c);
    about["licences"] = licences_json(m);
    return text_of(about);
}

CheckReport check_model(const std::string &folder, const mdl_params *p, const mdl_options &o)
{
    const Compute c = choose_compute(o);
    Ordered report = {{"folder", folder}, {"device", c.device.str()}, {"dtype", dtype_name(c.dtype)}};
    Ordered problems = Ordered::array();
    check_into(report, problems, folder, p, c);
    CheckReport out;
    out.problems = static_cast<int>(problems.size());
    report["problems"] = std::move(problems);
    out.json = text_of(report);
    return out;
}

} // namespace mdl
