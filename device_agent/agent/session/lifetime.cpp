#include "agent/session/lifetime.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "agent/files/files.h"

namespace dx {
namespace {

using Clock = std::chrono::steady_clock;

// The writing end of the pipe, for the signal handler. Set once, before any signal can come.
std::atomic<int> signal_pipe{-1};

void on_signal(int) {
  const int error = errno;
  const char byte = 's';
  // A full pipe has woken the reader already.
  if (::write(signal_pipe.load(), &byte, 1) < 0) errno = error;
  errno = error;
}

void catch_signals(int pipe) {
  signal_pipe = pipe;
  struct sigaction action{};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaction(signal, &action, nullptr);
}

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
      .count();
}

// Throws away what the host writes after the token; true when it is gone.
bool input_ended(int input) {
  char bytes[512];
  const ssize_t got = ::read(input, bytes, sizeof bytes);
  return got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
}

}  // namespace

Lifetime::Lifetime(std::chrono::seconds patience, UniqueFd read_end, UniqueFd write_end)
    : patience_(patience),
      read_end_(std::move(read_end)),
      write_end_(std::move(write_end)),
      last_beat_ns_(now_ns()) {}

Result<std::unique_ptr<Lifetime>> Lifetime::create(std::chrono::seconds patience) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
    return Failure{FailureCode::kInternal, "cannot make a pipe: " + errno_text(errno),
                   Phase::kUnspecified};
  }
  catch_signals(ends[1]);
  return std::unique_ptr<Lifetime>(new Lifetime(patience, UniqueFd(ends[0]), UniqueFd(ends[1])));
}

void Lifetime::beat() { last_beat_ns_ = now_ns(); }

void Lifetime::stop() {
  stopping_ = true;
  const char byte = 'e';
  // A full pipe has woken the reader already.
  static_cast<void>(::write(write_end_.get(), &byte, 1) == 1);
}

std::chrono::milliseconds Lifetime::time_left() const {
  const std::chrono::nanoseconds silent(now_ns() - last_beat_ns_.load());
  return std::chrono::ceil<std::chrono::milliseconds>(patience_ - silent);
}

std::string Lifetime::wait(int input) {
  std::string reason;
  pollfd entries[2] = {{input, POLLIN, 0}, {read_end_.get(), POLLIN, 0}};
  while (reason.empty()) {
    const std::chrono::milliseconds left = time_left();
    if (left.count() <= 0) {
      reason = "no heartbeat for " + std::to_string(patience_.count()) + " s";
      break;
    }
    const int ready =
        ::poll(entries, 2, static_cast<int>(std::min<std::int64_t>(left.count(), 60000)));
    if (ready < 0 && errno != EINTR) reason = "poll failed: " + errno_text(errno);
    if (ready <= 0) continue;
    if (entries[1].revents != 0) {
      reason = stopping() ? "the host asked for it" : "a signal asked for it";
    } else if (entries[0].revents != 0 && input_ended(input)) {
      reason = "the host closed the session";
    }
  }
  stopping_ = true;
  return reason;
}

}  // namespace dx
