// The thread that looks at every worker some times a second: reaps those that ended, kills those
// that grew past their limit. It sleeps while there are none.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "agent/worker/worker_process.h"

namespace dx {

class Watcher {
 public:
  Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  ~Watcher();

  // `memory_limit` in bytes; 0: none.
  void watch(std::shared_ptr<WorkerProcess> process, std::uint64_t memory_limit);

  // Kills every worker.
  void kill_all();

 private:
  struct Watched {
    std::shared_ptr<WorkerProcess> process;
    std::uint64_t memory_limit = 0;
  };

  void run();
  // True where the process has ended.
  static bool look_at(const Watched& watched);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Watched> watched_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace dx
