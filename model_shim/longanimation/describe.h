// describe.h - what a model is, as JSON: for receipts, GET /capabilities and `longanim model check`.
#pragma once
#include "device.h"
#include "longanimation/components.h"
#include "longanimation/manifest.h"
#include "model.h"

#include <string>
#include <vector>

namespace mdl
{

struct ModelIdentity {
    std::vector<std::string> parts; // per PartInfo: sample_sha256 of its files; empty where there are none
    std::string whole;              // of the manifest and all parts
};
ModelIdentity model_identity(const Manifest &m, const std::vector<PartInfo> &parts);

// mdl_describe's object.
std::string describe_model(const Manifest &m, const Components &n, const Compute &c, const ModelIdentity &id);

// mdl_check's report: problems, parts, licences, and memory per phase for the run that `p` describes (null: 81 frames
// of the model's own size). Does not throw for what is wrong with the folder.
struct CheckReport {
    std::string json;
    int problems = 0;
};
CheckReport check_model(const std::string &folder, const mdl_params *p, const mdl_options &o);

} // namespace mdl
