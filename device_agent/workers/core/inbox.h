// The thread that reads the control socket, so that the worker notices the agent's end, a Cancel
// and a Quit also while the main thread computes.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <variant>

#include "common/messages.h"
#include "common/result.h"

namespace dx {

// A request for the main thread; a Failure stands for one that could not be decoded.
struct Job {
  std::uint64_t number = 0;
  std::variant<Load, Run, Bench, Profile, Failure> request;
};

// One a process: it ends the process, with `_exit`, where the socket closes or Quit comes, because
// the main thread may be inside a run that never returns.
class Inbox {
 public:
  explicit Inbox(int socket) : socket_(socket) {}

  // Starts the reading thread, which lives as long as the process. REQUIRES: called once, and the
  // inbox is never destroyed.
  void start();

  // Waits for the next job.
  Job next();

  // The next job, where one lies there.
  std::optional<Job> next_if_there();

  // Whether a Cancel came after the job of this number was sent.
  bool cancelled(std::uint64_t number);

 private:
  void read_forever();
  void take(const Frame& frame);
  Job take_first();
  template <class T>
  void push(const Frame& frame);
  void wait_for_room(std::unique_lock<std::mutex>& lock, std::size_t bytes);

  const int socket_;
  std::mutex mutex_;
  std::condition_variable changed_;
  struct Queued {
    Job job;
    std::size_t bytes = 0;
  };
  std::deque<Queued> queue_;
  std::size_t queued_bytes_ = 0;
  std::uint64_t last_number_ = 0;
  std::uint64_t cancelled_up_to_ = 0;
};

}  // namespace dx
