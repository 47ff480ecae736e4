#include "agent/service/load_plan.h"

#include <chrono>
#include <set>
#include <utility>
#include <vector>

#include "agent/service/convert.h"
#include "agent/store/check.h"
#include "agent/store/prepared.h"
#include "common/text.h"

namespace dx {
namespace {

constexpr std::chrono::milliseconds kDefaultWatchdog{60000};
constexpr std::uint64_t kMaxWatchdogMs = 24ULL * 3600 * 1000;
constexpr std::chrono::milliseconds kDefaultPrepare{600000};
constexpr int kMaxFiles = 64;

Failure refused(const std::string& message) {
  return {FailureCode::kInvalidRequest, message, Phase::kUnspecified};
}

// A content is hashed when it is loaded, unless its file looks as it did the last time.
Status check_file(const pb::ModelFile& file, const WorkFolder& work, Verified& verified,
                  const StopCheck& stop) {
  const auto go_on = [&stop](std::uint64_t) { return !stop(); };
  const auto found = check_content(work, file.sha256(), verified, Thoroughness::kQuick, go_on);
  if (found.state == ContentState::kGood) return {};
  if (found.state == ContentState::kStopped) {
    return Failure{FailureCode::kCancelled, "the load was cancelled", Phase::kUnspecified};
  }
  if (found.state == ContentState::kUntrusted) {
    return Failure{FailureCode::kInternal, "the work folder cannot be trusted: " + found.text,
                   Phase::kUnspecified};
  }
  // One that has gone since is brought by the same means.
  remove_content(work, file.sha256(), verified);
  const std::string reason = found.text.empty() ? "it is gone" : found.text;
  return Failure{FailureCode::kDamagedFile,
                 "the file '" + printable(file.role(), 40) + "' (" + file.sha256() +
                     ") was damaged on the board (" + reason +
                     ") and is removed: push the bundle again",
                 Phase::kUnspecified};
}

Status check_files(const pb::LoadRequest& request, const WorkFolder& work, const StopCheck& stop) {
  Verified verified(work);
  Status status;
  for (const pb::ModelFile& file : request.files()) {
    if (status) status = check_file(file, work, verified, stop);
  }
  verified.save();
  return status;
}

Status check_name(const pb::ModelFile& file, std::set<std::string>& names) {
  const std::string shown = "'" + printable(file.name(), 120) + "'";
  if (!is_library_name(file.name())) {
    return refused("expected the name of a library as 1 to 100 letters, digits and ._+-, got " +
                   shown);
  }
  if (names.insert(file.name()).second) return {};
  return refused("expected each library once, got " + shown + " again");
}

// Roles and names are each there once, and so is the worker.
Status check_roles(const pb::LoadRequest& request) {
  if (request.runtime().empty()) return refused("expected the name of a runtime, got none");
  if (request.files_size() > kMaxFiles) return refused("expected at most 64 files");
  std::set<std::string> roles;
  std::set<std::string> names;
  for (const pb::ModelFile& file : request.files()) {
    if (file.role() == "library") {
      if (Status status = check_name(file, names); !status) return status;
    } else if (!roles.insert(file.role()).second) {
      return refused("expected each role once, got '" + printable(file.role(), 40) + "' again");
    }
  }
  if (roles.count("worker") > 0) return {};
  return refused("expected a file of the role 'worker', got none");
}

Status add_files(const pb::LoadRequest& request, Models& models, LoadPlan& plan) {
  std::vector<Library> libraries;
  for (const pb::ModelFile& file : request.files()) {
    auto path = models.find_content(file.role(), file.sha256());
    if (!path) return path.failure();
    if (file.role() == "worker") {
      plan.worker = std::move(path).value();
    } else if (file.role() == "library") {
      libraries.push_back({file.name(), std::move(path).value()});
    } else {
      plan.load.files.push_back({file.role(), std::move(path).value()});
    }
  }
  if (libraries.empty()) return {};
  auto folder = LibraryFolder::lay(models.new_path("libraries"), libraries);
  if (!folder) return folder.failure();
  plan.libraries = std::move(folder).value();
  for (const Library& library : libraries) {
    plan.load.files.push_back({"library", plan.libraries->path_of(library.name), library.name});
  }
  return {};
}

std::chrono::milliseconds limit_of(std::uint64_t asked_ms, std::chrono::milliseconds usual) {
  return asked_ms == 0 ? usual : std::chrono::milliseconds(asked_ms);
}

Status add_limits(const pb::LoadRequest& request, WorkerLimits& limits) {
  if (request.watchdog_ms() > kMaxWatchdogMs || request.prepare_ms() > kMaxWatchdogMs) {
    return refused("expected a watchdog and a limit of the preparation of a day at most");
  }
  limits.memory_bytes = request.memory_limit_bytes();
  limits.watchdog = limit_of(request.watchdog_ms(), kDefaultWatchdog);
  limits.prepare = limit_of(request.prepare_ms(), kDefaultPrepare);
  return {};
}

// One that only its runs know does not, nor does the value that holds where nobody says.
bool changes_prepared(const Hello& hello, const std::string& name, const std::string& value) {
  const auto known = std::find_if(hello.options.begin(), hello.options.end(),
                                  [&name](const OptionInfo& one) { return one.name == name; });
  return known == hello.options.end() || !(known->only_runs || known->usual == value);
}

}  // namespace

Result<LoadPlan> plan_load(const pb::LoadRequest& request, SessionState& state,
                           const StopCheck& stop) {
  LoadPlan plan;
  if (Status status = check_roles(request); !status) return status.failure();
  if (Status status = add_limits(request, plan.limits); !status) return status.failure();
  auto options = from_proto(request.options());
  if (!options) return options.failure();
  plan.load.options = std::move(options).value();
  plan.load.outputs.assign(request.outputs().begin(), request.outputs().end());
  for (const pb::ModelFile& file : request.files()) {
    auto path = state.models.find_content(file.role(), file.sha256());
    if (!path) return path.failure();
  }
  if (Status status = check_files(request, state.models.work(), stop); !status) {
    return status.failure();
  }
  if (Status status = add_files(request, state.models, plan); !status) return status.failure();
  return plan;
}

std::string prepared_key_of(const pb::LoadRequest& request, const Hello& hello,
                            const Board& board) {
  std::vector<std::pair<std::string, std::string>> facts = {
      {"runtime", request.runtime()},
      {"runtime version", hello.runtime_version},
      {"precision", request.options().precision()},
      {"machine", board.machine},
      {"soc", board.soc.value_or("")},
      {"processor", board.cpu_model.value_or("")},
  };
  for (const pb::ModelFile& file : request.files()) {
    facts.emplace_back("file " + file.role() + " " + file.name(), file.sha256());
  }
  // Of a GPU, its kind: what was made for one runs on no other. Who prepares computes on that,
  // whether its user calls it the accelerator or leaves that out.
  for (std::size_t i = 0; i < hello.features.size(); ++i) {
    facts.emplace_back("feature " + std::to_string(i), hello.features[i]);
  }
  for (const auto& [name, value] : request.options().named()) {
    if (changes_prepared(hello, name, value)) facts.emplace_back("option " + name, value);
  }
  for (int i = 0; i < request.outputs_size(); ++i) {
    facts.emplace_back("output " + std::to_string(i), request.outputs(i));
  }
  return prepared_key(std::move(facts));
}

}  // namespace dx
