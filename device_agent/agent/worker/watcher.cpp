#include "agent/worker/watcher.h"

#include <algorithm>
#include <utility>

namespace dx {
namespace {

// A worker that fills memory at 5 GB/s passes its limit by 0.1 GB before it is seen.
constexpr std::chrono::milliseconds kMemoryPeriod{20};
constexpr std::chrono::milliseconds kReapPeriod{200};

}  // namespace

Watcher::Watcher() : thread_([this] { run(); }) {}

Watcher::~Watcher() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void Watcher::watch(std::shared_ptr<WorkerProcess> process, std::uint64_t memory_limit) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    watched_.push_back({std::move(process), memory_limit});
  }
  changed_.notify_all();
}

void Watcher::kill_all() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const Watched& watched : watched_) watched.process->kill(KillReason::kUnwanted);
}

bool Watcher::look_at(const Watched& watched) {
  if (watched.process->poll_exit()) return true;
  if (watched.memory_limit > 0 &&
      watched.process->resident_bytes().value_or(0) > watched.memory_limit) {
    watched.process->kill(KillReason::kMemoryLimit);
  }
  return false;
}

void Watcher::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!ending_) {
    watched_.erase(std::remove_if(watched_.begin(), watched_.end(), look_at), watched_.end());
    const bool has_limit = std::any_of(watched_.begin(), watched_.end(),
                                       [](const Watched& w) { return w.memory_limit > 0; });
    if (watched_.empty()) {
      changed_.wait(lock);
    } else {
      changed_.wait_for(lock, has_limit ? kMemoryPeriod : kReapPeriod);
    }
  }
}

}  // namespace dx
