#include "agent/worker/models.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "agent/crypto/sha256.h"
#include "common/text.h"

namespace dx {
namespace {

constexpr std::size_t kMaxModels = 64;
constexpr std::size_t kMaxDeaths = 256;

Failure unknown(const std::string& reason) {
  return {FailureCode::kUnknownModel, reason + "; load it again", Phase::kUnspecified};
}

}  // namespace

Models::Models(WorkFolder work, std::string session_folder, std::vector<std::string> launcher)
    : work_(std::move(work)),
      session_folder_(std::move(session_folder)),
      launcher_(std::move(launcher)) {}

Result<std::string> Models::find_content(const std::string& role, const std::string& sha256) const {
  if (!is_sha256(sha256)) {
    return Failure{FailureCode::kInvalidRequest,
                   "expected the sha256 of the file '" + printable(role, 40) +
                       "' as 64 lower-case digits, got '" + printable(sha256, 80) + "'",
                   Phase::kUnspecified};
  }
  std::string path = work_.content(sha256);
  struct stat status{};
  if (::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) return path;
  return Failure{FailureCode::kMissingFile,
                 "the store lacks the file '" + printable(role, 40) + "' (" + sha256 +
                     "): push the bundle again",
                 Phase::kUnspecified};
}

std::string Models::new_path(const std::string& kind) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return session_folder_ + "/" + kind + "-" + std::to_string(++last_path_);
}

Result<std::shared_ptr<Worker>> Models::start_worker(const std::string& path, WorkerLimits limits) {
  std::vector<std::string> command_line = launcher_;
  command_line.push_back(path);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (workers_.size() >= kMaxModels) {
      return Failure{FailureCode::kInvalidRequest, "64 models are loaded already: unload one first",
                     Phase::kSpawn};
    }
  }
  return Worker::start(std::move(command_line), new_path("worker") + ".log", limits, watcher_);
}

std::string Models::add(std::shared_ptr<Worker> worker) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::string id = "m" + std::to_string(++last_id_);
  workers_.emplace(id, std::move(worker));
  return id;
}

Result<std::shared_ptr<Worker>> Models::find(const std::string& id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = workers_.find(id);
  if (found != workers_.end()) {
    if (!found->second->death()) return found->second;
    if (deaths_.size() < kMaxDeaths) deaths_[id] = death_of(*found->second);
    workers_.erase(found);
  }
  const auto death = deaths_.find(id);
  if (death == deaths_.end()) {
    return unknown("no model '" + printable(id, 40) + "' is loaded");
  }
  Failure gone = unknown("the model " + id + " is gone: " + death->second.text);
  // Its memory is watched between calls, too, of which the next one is the first to tell.
  if (death->second.code == FailureCode::kMemoryLimit) gone.code = death->second.code;
  return gone;
}

Models::Death Models::death_of(Worker& worker) {
  const std::optional<WorkerFailure> failure = worker.death();
  return {failure ? failure->failure.code : FailureCode::kUnknownModel, worker.death_text()};
}

void Models::remove(const std::string& id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  workers_.erase(id);
}

}  // namespace dx
