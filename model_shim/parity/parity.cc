#include "parity/parity.h"
#include "error.h"
#include "parity/golden.h"

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace fs = std::filesystem;

namespace mdl
{

namespace
{

constexpr size_t note_max = 240;
constexpr int folder_depth_max = 16;

std::string one_word(std::string text)
{
    std::replace_if(
        text.begin(), text.end(), [](unsigned char c) { return c <= ' ' || c == 127; }, '_');
    return text.empty() ? "-" : text;
}

// The first line of a message: libtorch puts a back trace below.
std::string first_line(const std::string &text)
{
    return text.substr(0, std::min(text.find('\n'), note_max));
}

std::string kind_of(const Json &golden)
{
    return golden.is_object() && golden.contains("kind") && golden["kind"].is_string()
               ? golden["kind"].get<std::string>()
               : "";
}

class Walk
{
  public:
    explicit Walk(Report &report) : report_(report)
    {
    }

    void path(const fs::path &path, bool asked_for, int depth)
    {
        report_.begin("-", path.filename(), path.parent_path());
        report_.attempt("path", [&] {
            if (fs::is_directory(path))
                folder(path, depth);
            else if (!fs::exists(path))
                throw Error(MDL_EINVAL, path.string() + ": not found");
            else if (asked_for || path.extension() == ".json")
                file(path, asked_for);
        });
    }

  private:
    void file(const fs::path &path, bool asked_for)
    {
        const std::string name = path.stem();
        report_.begin("-", name, path.parent_path());
        Json golden;
        bool read = false;
        report_.attempt("read", [&] {
            golden = json_read(path);
            read = true;
        });
        if (!read)
            return;
        const std::string kind = kind_of(golden);
        if (kind.empty()) {
            // Not a golden: the settings of a tokenizer lie beside some. Only who names it wants to hear of it.
            if (asked_for)
                report_.same("kind", false, "the file names no kind");
            return;
        }
        report_.begin(kind, name, path.parent_path());
        for (const ParityKind *row = parity_kinds; row->kind; row++)
            if (kind == row->kind) {
                const ParityCounts before = report_.counts();
                report_.attempt("run", [&] { row->run(golden, report_); });
                const ParityCounts &now = report_.counts();
                if (now.passed + now.failed + now.skipped == before.passed + before.failed + before.skipped)
                    report_.same("run", false, "the file holds nothing to check");
                return;
            }
        report_.skip("kind", "unknown kind");
    }

    void model_folder(const fs::path &path)
    {
        const std::string name = path.filename();
        for (const ParityFolder *row = parity_folders; row->kind; row++)
            if (fs::exists(path / row->marker)) {
                report_.begin(row->kind, name, path);
                report_.attempt("run", [&] { row->run(path, report_); });
                return;
            }
        report_.begin("model_folder", name, path);
        report_.skip("kind", "unknown kind of model folder");
    }

    void folder(const fs::path &path, int depth)
    {
        if (depth > folder_depth_max)
            throw Error(MDL_EINVAL, path.string() + ": folders are nested too deep");
        if (fs::is_directory(path / "expected"))
            return model_folder(path);
        if (fs::exists(path / "longanimation.json") || fs::exists(path / "model_index.json")) {
            report_.begin("model_folder", path.filename(), path);
            return report_.skip("expected", "the folder holds no expected numbers");
        }
        std::vector<fs::path> inside;
        for (const auto &entry : fs::directory_iterator(path))
            inside.push_back(entry.path());
        std::sort(inside.begin(), inside.end());
        for (const fs::path &one : inside)
            this->path(one, false, depth + 1);
    }

    Report &report_;
};

} // namespace

void Report::begin(std::string kind, std::string name, std::string folder)
{
    kind_ = std::move(kind);
    name_ = std::move(name);
    folder_ = std::move(folder);
}

void Report::put(const char *verdict, const std::string &name, double error, double tolerance, const std::string &note)
{
    char numbers[64];
    std::snprintf(numbers, sizeof numbers, " %.3g %.3g", error, tolerance);
    std::string line = std::string(verdict) + " " + one_word(kind_) + " " + one_word(name_ + "/" + name) + numbers;
    if (!note.empty())
        line += " : " + first_line(note);
    ++(!std::strcmp(verdict, "PASS")   ? counts_.passed
       : !std::strcmp(verdict, "FAIL") ? counts_.failed
                                       : counts_.skipped);
    if (!line_(line))
        throw Error(MDL_ECANCELED, "the caller asked to stop");
}

void Report::compare(const std::string &name, const Json &record, const at::Tensor &actual, double tolerance)
{
    attempt(name, [&] {
        const Comparison c = mdl::compare(record, actual, tolerance);
        put(c.same ? "PASS" : "FAIL", name, c.error, tolerance, c.note);
    });
}

void Report::same(const std::string &name, bool same, const std::string &note)
{
    put(same ? "PASS" : "FAIL", name, same ? 0 : 1, 0, same ? "" : note);
}

void Report::within(const std::string &name, double error, double tolerance, const std::string &note)
{
    const bool passed = error <= tolerance; // false for what is no number
    put(passed ? "PASS" : "FAIL", name, error, tolerance, passed ? "" : note);
}

void Report::skip(const std::string &name, const std::string &why)
{
    put("SKIP", name, 0, 0, why);
}

void Report::attempt(const std::string &name, const std::function<void()> &body)
{
    std::string message;
    try {
        return body();
    } catch (const Error &e) {
        if (e.code == MDL_ECANCELED)
            throw;
        message = e.what();
    } catch (const std::exception &e) {
        message = e.what();
    }
    put("FAIL", name, 1, 0, message.empty() ? "an exception without a text" : message);
}

ParityCounts parity_run(const std::vector<std::string> &paths, const ParityOptions &options, Report::Line line)
{
    const c10::InferenceMode inference;
    Report report(options, std::move(line));
    Walk walk(report);
    for (const std::string &path : paths)
        walk.path(path, true, 0);
    return report.counts();
}

} // namespace mdl
