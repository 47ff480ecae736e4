// The loaded models of a session, by their ids.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/files/work_folder.h"
#include "agent/worker/watcher.h"
#include "agent/worker/worker.h"
#include "common/result.h"

namespace dx {

// Thread-safe.
class Models {
 public:
  // `launcher` goes before every worker's command line.
  Models(WorkFolder work, std::string session_folder, std::vector<std::string> launcher);

  // Where the contents lie.
  const WorkFolder& work() const { return work_; }

  // The path of a content; a failure where it is no sha256 or the store does not hold it.
  Result<std::string> find_content(const std::string& role, const std::string& sha256) const;

  // A path in the session's folder where nothing is yet.
  std::string new_path(const std::string& kind);

  // Starts the worker of that path. It is not yet a model.
  Result<std::shared_ptr<Worker>> start_worker(const std::string& path, WorkerLimits limits);

  // Gives a worker that has loaded its model an id.
  std::string add(std::shared_ptr<Worker> worker);

  // The worker of a model. A model whose worker has died is forgotten, but not of what:
  // kUnknownModel with the reason, or kMemoryLimit.
  Result<std::shared_ptr<Worker>> find(const std::string& id);

  void remove(const std::string& id);

  // Kills every worker, also those that are loading.
  void kill_all() { watcher_.kill_all(); }

 private:
  struct Death {
    FailureCode code;
    std::string text;
  };
  // REQUIRES: it is dead.
  static Death death_of(Worker& worker);

  const WorkFolder work_;
  const std::string session_folder_;
  const std::vector<std::string> launcher_;

  Watcher watcher_;
  std::mutex mutex_;
  std::uint64_t last_path_ = 0;
  std::uint64_t last_id_ = 0;
  std::map<std::string, std::shared_ptr<Worker>> workers_;
  std::map<std::string, Death> deaths_;
};

}  // namespace dx
