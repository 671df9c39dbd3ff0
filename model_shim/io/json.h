// json.h - bounded reading of JSON, and typed members with defaults. Everything throws Error(MDL_EWEIGHTS) with the
// name of the file and the key. Include <nlohmann/json.hpp> only where a document is walked by hand.
#pragma once
#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mdl
{

using Json = nlohmann::json;

struct JsonLimits {
    size_t bytes = size_t{64} << 20;
    size_t depth = 32;
    bool unique_keys = false; // a key given twice in one object is an error
};

// `what` names the text in messages.
Json json_parse(std::string_view text, const std::string &what, const JsonLimits &limits = {});
Json json_read(const std::string &path, const JsonLimits &limits = {});
std::string read_file(const std::string &path, size_t max_bytes);

// Members of an object. The plain ones give `fallback` when the key is missing or null (a published config leaves out
// what equals the class default); a value of another type, or outside [min, max], is an error.
int64_t json_int(const Json &object, const char *key, int64_t fallback, int64_t min = 0,
                 int64_t max = int64_t{1} << 31);
double json_double(const Json &object, const char *key, double fallback);
bool json_bool(const Json &object, const char *key, bool fallback);
std::string json_string(const Json &object, const char *key, const std::string &fallback);
std::vector<int64_t> json_ints(const Json &object, const char *key, const std::vector<int64_t> &fallback);

// The member itself; an error when it is missing.
const Json &json_need(const Json &object, const char *key);
bool json_has(const Json &object, const char *key); // present and not null
// A list of integers in [0, 2^48], for shapes and ids.
std::vector<int64_t> json_shape(const Json &list);
std::vector<double> json_doubles(const Json &list);

} // namespace mdl
