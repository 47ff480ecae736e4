#include "agent/receive/outbox.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace dx {
namespace {

// POSIX: a pipe that polls as writable takes this much without blocking.
constexpr std::size_t kPieceBytes = 512;
constexpr int kFlushTimeoutMs = 10000;

}  // namespace

bool Outbox::write_piece(int timeout_ms) {
  pollfd entry{fd_, POLLOUT, 0};
  const int ready = ::poll(&entry, 1, timeout_ms);
  if (ready < 0 && errno == EINTR) return true;
  if (ready <= 0) return false;
  const ssize_t written = ::write(fd_, pending_.data(), std::min(pending_.size(), kPieceBytes));
  if (written < 0 && errno == EINTR) return true;
  if (written < 0) {
    broken_ = true;
    pending_.clear();
    return false;
  }
  pending_.erase(0, static_cast<std::size_t>(written));
  return true;
}

void Outbox::put(std::string_view line) {
  if (broken_) return;
  pending_ += line;
  pending_ += '\n';
  while (!pending_.empty() && write_piece(0)) {
  }
}

bool Outbox::flush() {
  while (!pending_.empty() && write_piece(kFlushTimeoutMs)) {
  }
  return !broken_ && pending_.empty();
}

}  // namespace dx
