// components.cc - see components.h. The table below is all there is to say about a part.
#include "longanimation/components.h"

#include "error.h"
#include "io/json.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace mdl
{
namespace
{

using Network = std::shared_ptr<void>;

Json config_of(const std::string &folder)
{
    return json_read(folder + "/config.json");
}

struct Row {
    Part part;
    const char *name;
    std::string Manifest::*folder;
    std::vector<std::string> stems;
    std::vector<std::string> (*ignorable)(const Manifest &m); // names that may be there and are not used
    Network (*build)(const Manifest &m, const std::string &folder, Weights &w);
};

std::vector<std::string> nothing(const Manifest &)
{
    return {};
}

const std::vector<Row> &table()
{
    static const std::vector<Row> rows = {
        {Part::text_encoder,
         "text_encoder",
         &Manifest::text_encoder,
         {"model"},
         [](const Manifest &) { return T5Encoder::ignorable(); },
         [](const Manifest &, const std::string &folder, Weights &w) -> Network {
             return std::make_shared<T5Encoder>(T5Config::parse(config_of(folder)), w);
         }},
        {Part::video_encoder,
         "video_encoder",
         &Manifest::video_encoder,
         {"model"},
         [](const Manifest &m) { return VideoXl::unneeded(VideoXlConfig::read(m.video_encoder), m.memory_layers); },
         [](const Manifest &m, const std::string &folder, Weights &w) -> Network {
             return std::make_shared<VideoXl>(VideoXlConfig::read(folder), m.memory_layers, w);
         }},
        {Part::lineart,
         "lineart",
         &Manifest::lineart,
         {"sk_model"},
         nothing,
         [](const Manifest &, const std::string &, Weights &w) -> Network { return std::make_shared<Lineart>(w); }},
        {Part::vae,
         "vae",
         &Manifest::vae,
         {"diffusion_pytorch_model"},
         nothing,
         [](const Manifest &, const std::string &folder, Weights &w) -> Network {
             return std::make_shared<Vae>(VaeConfig::parse(config_of(folder)), w);
         }},
        {Part::transformer,
         "transformer",
         &Manifest::transformer,
         {"diffusion_pytorch_model"},
         nothing,
         [](const Manifest &, const std::string &folder, Weights &w) -> Network {
             return std::make_shared<Transformer>(DitConfig::parse(config_of(folder)), w);
         }},
        {Part::sketch_dit,
         "sketch_dit",
         &Manifest::sketch_dit,
         {"control_module"},
         nothing,
         [](const Manifest &, const std::string &folder, Weights &w) -> Network {
             return std::make_shared<SketchDit>(DitConfig::parse(config_of(folder)), w);
         }},
        {Part::memory,
         "memory",
         &Manifest::memory,
         {"glm_module"},
         nothing,
         [](const Manifest &, const std::string &folder, Weights &w) -> Network {
             return std::make_shared<Dglm>(DglmConfig::from_json(config_of(folder)), w);
         }},
    };
    return rows;
}

const Row &row_of(Part p)
{
    for (const Row &r : table())
        if (r.part == p)
            return r;
    throw Error(MDL_EINTERNAL, "a part without a row");
}

Network load(const Row &row, const Manifest &m, const WeightOptions &options)
{
    const std::string &folder = m.*row.folder;
    Weights w = Weights::open(folder, row.stems, options);
    Network network = row.build(m, folder, w);
    w.finish(row.ignorable(m));
    return network;
}

void inspect(const Row &row, const Manifest &m, PartInfo &info)
{
    try {
        Weights w = Weights::open(info.folder, row.stems, {at::kFloat, c10::Device(c10::DeviceType::Meta)});
        info.files = w.files();
        info.stored_bytes = w.stored_bytes();
        row.build(m, info.folder, w);
        info.parameters = w.used_parameters();
        info.problems = w.problems(row.ignorable(m));
    } catch (const c10::Error &e) {
        info.problems.push_back(e.what_without_backtrace());
    } catch (const std::exception &e) {
        info.problems.push_back(e.what());
    }
}

std::string first_problem(const std::vector<PartInfo> &parts)
{
    std::string text;
    size_t count = 0;
    for (const PartInfo &part : parts)
        for (const std::string &problem : part.problems)
            if (++count <= 3)
                text += (text.empty() ? "" : "; ") + std::string(part.name) + ": " + problem;
    if (count > 3)
        text += "; and " + std::to_string(count - 3) + " more (see the model check)";
    return text;
}

struct Agreement {
    const char *what;
    int64_t a, b;
};

// Numbers that networks of different folders have to agree on.
void check_agreement(const Shapes &s, const Manifest &m)
{
    std::vector<Agreement> rows = {
        {"widths of transformer and SketchDiT", s.transformer.width(), s.sketch_dit.width()},
        {"input channels of the transformer and two latents", s.transformer.in_channels, 2 * s.vae.latent_channels},
        {"input channels of SketchDiT and two latents", s.sketch_dit.in_channels, 2 * s.vae.latent_channels},
        {"output channels of the transformer and a latent", s.transformer.out_channels, s.vae.latent_channels},
        {"temporal patches of the transformer and 2", s.transformer.patch_t, 2},
        {"temporal patches of SketchDiT and 2", s.sketch_dit.patch_t, 2},
        {"patches of transformer and SketchDiT", s.transformer.patch, s.sketch_dit.patch},
        {"text widths of transformer and SketchDiT", s.transformer.text_dim, s.sketch_dit.text_dim},
        {"temporal compression of the VAE and 4", s.vae.temporal_ratio, 4},
        {"pixels per token and 16", s.vae.spatial_ratio() * s.transformer.patch, 16},
    };
    if (!m.memory.empty()) {
        rows.push_back({"width of SketchDiT and dim of memory", s.sketch_dit.width(), s.memory.dim});
        rows.push_back({"width of transformer and output_dim of memory", s.transformer.width(), s.memory.output_dim});
    }
    if (!m.video_encoder.empty()) {
        rows.push_back(
            {"keys of the video encoder and of memory", s.video_encoder.language.kv_width(), s.memory.memory_dim});
        rows.push_back(
            {"memory_layers and depth of memory", static_cast<int64_t>(m.memory_layers.size()), s.memory.depth});
    }
    for (const Agreement &row : rows)
        if (row.a != row.b)
            fail(MDL_EWEIGHTS, "%s do not agree: %lld and %lld", row.what, static_cast<long long>(row.a),
                 static_cast<long long>(row.b));
}

Shapes read_shapes(const Manifest &m)
{
    Shapes s;
    s.transformer = DitConfig::parse(config_of(m.transformer));
    s.sketch_dit = DitConfig::parse(config_of(m.sketch_dit));
    s.vae = VaeConfig::parse(config_of(m.vae));
    if (!m.memory.empty())
        s.memory = DglmConfig::from_json(config_of(m.memory));
    if (!m.video_encoder.empty())
        s.video_encoder = VideoXlConfig::read(m.video_encoder);
    s.scheduler = SchedulerConfig::parse(json_read(m.scheduler + "/scheduler_config.json"));
    check_agreement(s, m);
    return s;
}

} // namespace

int64_t PartInfo::bytes(c10::ScalarType dtype) const
{
    return parameters * static_cast<int64_t>(c10::elementSize(dtype));
}

std::vector<PartInfo> inspect_parts(const Manifest &m)
{
    std::vector<PartInfo> parts(part_count);
    for (const Row &row : table()) {
        PartInfo &info = parts[static_cast<size_t>(row.part)];
        info.part = row.part;
        info.name = row.name;
        info.folder = m.*row.folder;
        if (info.present())
            inspect(row, m, info);
    }
    return parts;
}

Components::Components(const Manifest &m, const Compute &c, PartOptions options)
    : compute_(c), manifest_(m), options_(std::move(options)), parts_(inspect_parts(m))
{
    if (const std::string problem = first_problem(parts_); !problem.empty())
        throw Error(MDL_EWEIGHTS, problem);
    shapes_ = read_shapes(m);
    tokenizer_ = std::make_unique<T5Tokenizer>(m.tokenizer);
}

int64_t Components::bytes(const std::vector<Part> &parts) const
{
    int64_t sum = 0;
    for (Part p : parts)
        sum += part(p).bytes(compute_.dtype);
    return sum;
}

void Components::enter(const std::vector<Part> &wanted, int64_t work_bytes)
{
    std::vector<Part> all = wanted;
    for (size_t i = 0; i < part_count; i++)
        if (networks_[i] && std::find(wanted.begin(), wanted.end(), static_cast<Part>(i)) == wanted.end())
            all.push_back(static_cast<Part>(i));
    if (compute_.budget_bytes > 0 && bytes(all) + work_bytes > compute_.budget_bytes) {
        for (size_t i = wanted.size(); i < all.size(); i++)
            networks_[static_cast<size_t>(all[i])].reset();
        release_cached(compute_);
        if (bytes(wanted) + work_bytes > compute_.budget_bytes)
            fail(MDL_ENOMEM, "this phase needs %lld bytes on the device, the budget is %lld",
                 static_cast<long long>(bytes(wanted) + work_bytes), static_cast<long long>(compute_.budget_bytes));
    }
    for (Part p : wanted) {
        Network &network = networks_[static_cast<size_t>(p)];
        const WeightOptions usual{compute_.dtype, compute_.device, {}};
        if (!network)
            network = load(row_of(p), manifest_, options_ ? options_(p, usual) : usual);
    }
}

const void *Components::need(Part p) const
{
    const void *network = networks_[static_cast<size_t>(p)].get();
    if (!network)
        fail(MDL_EINTERNAL, "%s is used outside its phase", part(p).name);
    return network;
}

} // namespace mdl
