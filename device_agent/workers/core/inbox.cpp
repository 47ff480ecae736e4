#include "workers/core/inbox.h"

#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace dx {
namespace {

// What the agent may send ahead. Beyond it the socket's own buffers hold the agent back.
constexpr std::size_t kMaxQueuedJobs = 64;
constexpr std::size_t kMaxQueuedBytes = std::size_t{64} << 20;
constexpr std::chrono::milliseconds kLookAtSocket{100};
constexpr int kExitProtocol = 3;

bool agent_is_gone(int socket) {
  pollfd state{socket, POLLRDHUP, 0};
  return poll(&state, 1, 0) > 0 && (state.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

}  // namespace

void Inbox::start() { std::thread(&Inbox::read_forever, this).detach(); }

void Inbox::read_forever() {
  for (;;) {
    Result<std::optional<Frame>> frame = read_frame(socket_);
    if (!frame) {
      std::fprintf(stderr, "dx-worker: %s\n", frame.failure().message.c_str());
      // An agent that ends while it sends is no agent of another build.
      _exit(agent_is_gone(socket_) ? 0 : kExitProtocol);
    }
    if (!frame.value()) _exit(0);
    take(*frame.value());
  }
}

void Inbox::take(const Frame& frame) {
  switch (static_cast<MessageKind>(frame.kind)) {
    case MessageKind::kLoad:
      return push<Load>(frame);
    case MessageKind::kRun:
      return push<Run>(frame);
    case MessageKind::kBench:
      return push<Bench>(frame);
    case MessageKind::kProfile:
      return push<Profile>(frame);
    case MessageKind::kQuit:
      _exit(0);
    case MessageKind::kCancel: {
      const std::lock_guard<std::mutex> lock(mutex_);
      cancelled_up_to_ = last_number_;
      return;
    }
    default:
      std::fprintf(stderr, "dx-worker: the agent sent a message of unknown kind %u\n",
                   static_cast<unsigned>(frame.kind));
      _exit(kExitProtocol);
  }
}

template <class T>
void Inbox::push(const Frame& frame) {
  Queued queued;
  queued.bytes = frame.body.size();
  Result<T> request = decode<T>(frame);
  if (request) {
    queued.job.request = std::move(request).value();
  } else {
    queued.job.request = request.failure();
  }

  std::unique_lock<std::mutex> lock(mutex_);
  wait_for_room(lock, queued.bytes);
  queued.job.number = ++last_number_;
  queued_bytes_ += queued.bytes;
  queue_.push_back(std::move(queued));
  changed_.notify_all();
}

void Inbox::wait_for_room(std::unique_lock<std::mutex>& lock, std::size_t bytes) {
  // While it waits nobody reads the socket, so its end must be looked for.
  while (!queue_.empty() &&
         (queue_.size() >= kMaxQueuedJobs || queued_bytes_ + bytes > kMaxQueuedBytes)) {
    changed_.wait_for(lock, kLookAtSocket);
    if (agent_is_gone(socket_)) _exit(0);
  }
}

Job Inbox::next() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return !queue_.empty(); });
  return take_first();
}

std::optional<Job> Inbox::next_if_there() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (queue_.empty()) return std::nullopt;
  return take_first();
}

// REQUIRES: the lock is held, and one is there.
Job Inbox::take_first() {
  Queued queued = std::move(queue_.front());
  queue_.pop_front();
  queued_bytes_ -= queued.bytes;
  changed_.notify_all();
  return std::move(queued.job);
}

bool Inbox::cancelled(std::uint64_t number) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return number <= cancelled_up_to_;
}

}  // namespace dx
