#include "io/json.h"
#include "error.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdio>
#include <memory>
#include <unordered_set>

namespace mdl
{

namespace
{

[[noreturn]] void refuse(const std::string &text)
{
    throw Error(MDL_EWEIGHTS, text);
}

// Watches the parser go by: depth and, when asked for, keys given twice.
class Watch
{
  public:
    Watch(const std::string &what, const JsonLimits &limits) : what_(what), limits_(limits)
    {
    }

    bool operator()(int depth, Json::parse_event_t event, Json &value)
    {
        if (depth > static_cast<int>(limits_.depth))
            refuse(what_ + ": nested more than " + std::to_string(limits_.depth) + " deep");
        if (!limits_.unique_keys)
            return true;
        if (event == Json::parse_event_t::object_start) {
            keys_.emplace_back();
        } else if (event == Json::parse_event_t::object_end) {
            keys_.pop_back();
        } else if (event == Json::parse_event_t::key) {
            const auto &key = value.get_ref<const std::string &>();
            if (!keys_.back().insert(key).second)
                refuse(what_ + ": key \"" + key + "\" is given twice");
        }
        return true;
    }

  private:
    const std::string &what_;
    const JsonLimits &limits_;
    std::vector<std::unordered_set<std::string>> keys_;
};

const Json *member(const Json &object, const char *key)
{
    if (!object.is_object())
        refuse(std::string("looked for \"") + key + "\" in something that is no JSON object");
    auto it = object.find(key);
    return it == object.end() || it->is_null() ? nullptr : &*it;
}

int64_t whole_number(const Json &value, const char *key)
{
    if (value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX))
        return value.get<int64_t>();
    if (value.is_number_float()) { // some writers print 2 as 2.0
        double number = value.get<double>();
        if (std::abs(number) < 9e15 && number == std::floor(number))
            return static_cast<int64_t>(number);
    }
    refuse(std::string("\"") + key + "\" is no integer");
}

} // namespace

Json json_parse(std::string_view text, const std::string &what, const JsonLimits &limits)
{
    if (text.size() > limits.bytes)
        refuse(what + ": longer than " + std::to_string(limits.bytes) + " bytes");
    Watch watch(what, limits);
    try {
        return Json::parse(text.begin(), text.end(), [&](int depth, Json::parse_event_t event, Json &value) {
            return watch(depth, event, value);
        });
    } catch (const Json::exception &e) {
        refuse(what + ": " + e.what());
    }
}

std::string read_file(const std::string &path, size_t max_bytes)
{
    struct Close {
        void operator()(std::FILE *f) const
        {
            std::fclose(f);
        }
    };
    std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rbe"));
    if (!file)
        refuse(path + ": cannot be opened");
    std::string text;
    char part[65536];
    size_t n;
    while ((n = std::fread(part, 1, sizeof part, file.get())) > 0) {
        if (text.size() + n > max_bytes)
            refuse(path + ": longer than " + std::to_string(max_bytes) + " bytes");
        text.append(part, n);
    }
    if (std::ferror(file.get()))
        refuse(path + ": cannot be read");
    return text;
}

Json json_read(const std::string &path, const JsonLimits &limits)
{
    return json_parse(read_file(path, limits.bytes), path, limits);
}

int64_t json_int(const Json &object, const char *key, int64_t fallback, int64_t min, int64_t max)
{
    const Json *value = member(object, key);
    if (!value)
        return fallback;
    int64_t number = whole_number(*value, key);
    if (number < min || number > max)
        refuse(std::string("\"") + key + "\" is " + std::to_string(number) + ", outside " + std::to_string(min) + ".." +
               std::to_string(max));
    return number;
}

double json_double(const Json &object, const char *key, double fallback)
{
    const Json *value = member(object, key);
    if (!value)
        return fallback;
    if (!value->is_number())
        refuse(std::string("\"") + key + "\" is no number");
    return value->get<double>();
}

bool json_bool(const Json &object, const char *key, bool fallback)
{
    const Json *value = member(object, key);
    if (!value)
        return fallback;
    if (!value->is_boolean())
        refuse(std::string("\"") + key + "\" is neither true nor false");
    return value->get<bool>();
}

std::string json_string(const Json &object, const char *key, const std::string &fallback)
{
    const Json *value = member(object, key);
    if (!value)
        return fallback;
    if (!value->is_string())
        refuse(std::string("\"") + key + "\" is no string");
    return value->get<std::string>();
}

std::vector<int64_t> json_ints(const Json &object, const char *key, const std::vector<int64_t> &fallback)
{
    const Json *value = member(object, key);
    if (!value)
        return fallback;
    if (!value->is_array())
        refuse(std::string("\"") + key + "\" is no list");
    std::vector<int64_t> numbers;
    for (const Json &item : *value)
        numbers.push_back(whole_number(item, key));
    return numbers;
}

const Json &json_need(const Json &object, const char *key)
{
    if (!object.is_object() || !object.contains(key))
        refuse(std::string("\"") + key + "\" is missing");
    return *object.find(key);
}

bool json_has(const Json &object, const char *key)
{
    return member(object, key) != nullptr;
}

std::vector<int64_t> json_shape(const Json &list)
{
    if (!list.is_array())
        refuse("a shape is no list");
    std::vector<int64_t> shape;
    for (const Json &item : list) {
        int64_t size = whole_number(item, "shape");
        if (size < 0 || size > int64_t{1} << 48)
            refuse("a shape holds " + std::to_string(size));
        shape.push_back(size);
    }
    return shape;
}

std::vector<double> json_doubles(const Json &list)
{
    if (!list.is_array())
        refuse("expected a list of numbers");
    std::vector<double> numbers;
    numbers.reserve(list.size());
    for (const Json &item : list) {
        if (!item.is_number())
            refuse("a list of numbers holds something else");
        numbers.push_back(item.get<double>());
    }
    return numbers;
}

} // namespace mdl
