// parity.h - `longanim parity`: runs golden files and model folders with expected/ and reports a line per check.
//
//   PASS|FAIL|SKIP kind name max_abs_err tolerance[ : what differs]
//
// A kind is a row in kinds.cc. A golden file that cannot be read, or that makes a network throw, is a FAIL.
#pragma once
#include "io/json.h"

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace mdl
{

struct ParityOptions {
    c10::Device device = c10::Device(c10::DeviceType::CPU);
    c10::ScalarType dtype = c10::ScalarType::Float; // of computing; goldens are made for float32
};

struct ParityCounts {
    int passed = 0, failed = 0, skipped = 0;
};

// What the checks of one golden file or folder write to.
class Report
{
  public:
    // `line` returns false to stop the whole run.
    using Line = std::function<bool(const std::string &)>;

    Report(const ParityOptions &o, Line line) : options(o), line_(std::move(line))
    {
    }

    const ParityOptions options;

    void begin(std::string kind, std::string name, std::string folder); // of the next golden
    const std::string &folder() const                                   // where the golden lies, for files beside it
    {
        return folder_;
    }

    // Names may say anything; white space becomes '_'. The golden's own name goes in front.
    void compare(const std::string &name, const Json &record, const at::Tensor &actual, double tolerance);
    void same(const std::string &name, bool same, const std::string &note = ""); // exact checks
    void within(const std::string &name, double error, double tolerance, const std::string &note = "");
    void skip(const std::string &name, const std::string &why);
    // Runs `body`; what it throws is a FAIL called `name`, and the rest goes on.
    void attempt(const std::string &name, const std::function<void()> &body);

    const ParityCounts &counts() const
    {
        return counts_;
    }

  private:
    void put(const char *verdict, const std::string &name, double error, double tolerance, const std::string &note);

    Line line_;
    std::string kind_, name_, folder_;
    ParityCounts counts_;
};

// One kind of golden file.
struct ParityKind {
    const char *kind;
    void (*run)(const Json &golden, Report &report);
};

// One kind of model folder with expected/: known by a file in it.
struct ParityFolder {
    const char *marker;
    const char *kind;
    void (*run)(const std::string &folder, Report &report);
};

// Both end with a null row.
extern const ParityKind parity_kinds[];
extern const ParityFolder parity_folders[];

// Runs everything under `paths`, in name order. Throws only when `line` asked to stop (Error MDL_ECANCELED).
ParityCounts parity_run(const std::vector<std::string> &paths, const ParityOptions &options, Report::Line line);

} // namespace mdl
