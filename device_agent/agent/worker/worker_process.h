// One child process: started, watched, killed with a reason, always reaped.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "agent/files/unique_fd.h"
#include "common/result.h"

namespace dx {

enum class KillReason {
  kNone,         // nobody killed it
  kWatchdog,     // it was silent for too long
  kMemoryLimit,  // it grew too large
  kCancelled,    // it did not obey a Cancel
  kGarbage,      // it did not keep to the protocol
  kNoMemory,     // the agent cannot hold what it sends
  kUnwanted,     // unload, or the end of the session
};

struct WorkerExit {
  bool signalled = false;
  int code = 0;  // the signal, or the exit code
  KillReason reason = KillReason::kNone;
};

// Marks every descriptor that this program was started with, but for the standard ones, as not for
// its children: what leaked into us must not keep somebody's pipe open in a worker.
void keep_inherited_descriptors();

// Thread-safe.
class WorkerProcess {
 public:
  struct Started {
    std::shared_ptr<WorkerProcess> process;
    UniqueFd socket;
  };

  // Starts `command_line` followed by `--control-fd 3`, with one end of a new socket pair on
  // descriptor 3, both outputs appended to `log_path`, and no other descriptor of ours.
  static Result<Started> start(std::vector<std::string> command_line, const std::string& log_path);

  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;
  // Kills and reaps it where it still lives.
  ~WorkerProcess();

  pid_t pid() const { return pid_; }

  // Ends it at once. The first reason is kept.
  void kill(KillReason reason);

  // Reaps it where it has ended; empty where it lives.
  std::optional<WorkerExit> poll_exit();

  // Waits for its end for that time, then kills it.
  WorkerExit wait_exit(std::chrono::milliseconds patience, KillReason reason);

  // Bytes of its memory now and at most so far, by the kernel; empty where it does not tell.
  std::optional<std::uint64_t> resident_bytes() const;
  std::optional<std::uint64_t> peak_bytes() const;

 private:
  explicit WorkerProcess(pid_t pid) : pid_(pid) {}

  const pid_t pid_;
  std::mutex mutex_;
  std::optional<WorkerExit> exit_;
  KillReason reason_ = KillReason::kNone;
};

}  // namespace dx
