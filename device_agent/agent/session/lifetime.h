// When a session ends: its heartbeat, its host, or a wish.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "agent/files/unique_fd.h"
#include "common/result.h"

namespace dx {

// beat() and stop() may be called from any thread; wait() from one.
class Lifetime {
 public:
  static Result<std::unique_ptr<Lifetime>> create(std::chrono::seconds patience);

  // The host is alive.
  void beat();

  // Ends the session as soon as possible.
  void stop();

  // True from the moment that the session is to end: long work gives up then.
  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }

  // Blocks until `input` ends, the heartbeat fails, stop() or a signal to end; says which in words.
  // SIGTERM, SIGINT and SIGHUP end a session in order. REQUIRES: called once.
  std::string wait(int input);

 private:
  Lifetime(std::chrono::seconds patience, UniqueFd read_end, UniqueFd write_end);
  std::chrono::milliseconds time_left() const;

  const std::chrono::seconds patience_;
  UniqueFd read_end_;
  UniqueFd write_end_;
  std::atomic<std::int64_t> last_beat_ns_;
  std::atomic<bool> stopping_{false};
};

}  // namespace dx
