#include "agent/worker/channel.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

namespace dx {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTick{100};
// A length that lies is found out by the bytes that do not come, before it costs memory.
constexpr std::size_t kFirstReadBytes = std::size_t{1} << 20;

std::size_t little_endian(const char* bytes, std::size_t count) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    value |= std::size_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return value;
}

// Waits a tick at most.
void wait_for(int socket, short events, std::chrono::milliseconds limit) {
  pollfd entry{socket, events, 0};
  const auto wait = std::clamp(limit, std::chrono::milliseconds(1), kTick);
  // An interruption only makes the next look come earlier.
  static_cast<void>(::poll(&entry, 1, static_cast<int>(wait.count())));
}

bool would_wait() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Channel::Channel(UniqueFd socket) : socket_(std::move(socket)) {}

Channel::Sent Channel::send(std::string_view frame, std::chrono::milliseconds patience,
                            const StopCheck& stop) {
  Clock::time_point deadline = Clock::now() + patience;
  while (!frame.empty()) {
    const ssize_t sent =
        ::send(socket_.get(), frame.data(), frame.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      frame.remove_prefix(static_cast<std::size_t>(sent));
      deadline = Clock::now() + patience;
      continue;
    }
    if (!would_wait()) return Sent::kClosed;
    if (stop()) return Sent::kStopped;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return Sent::kTimeout;
    wait_for(socket_.get(), POLLOUT, left);
  }
  return Sent::kDone;
}

Channel::Step Channel::read_header() {
  const ssize_t got = ::recv(socket_.get(), header_ + have_, sizeof header_ - have_, MSG_DONTWAIT);
  if (got == 0) return Step::kClosed;
  if (got < 0) return would_wait() ? Step::kWait : Step::kClosed;
  have_ += static_cast<std::size_t>(got);
  if (have_ < sizeof header_) return Step::kMore;
  const std::size_t length = little_endian(header_, 4);
  if (length < 2 || length > kMaxFrameBytes) return Step::kGarbage;
  frame_.kind = static_cast<std::uint16_t>(little_endian(header_ + 4, 2));
  frame_.body.clear();
  body_size_ = length - 2;
  have_ = 0;
  in_body_ = body_size_ > 0;
  return in_body_ ? Step::kMore : Step::kWhole;
}

bool Channel::make_room() {
  if (have_ < frame_.body.size()) return true;
  try {
    frame_.body.resize(have_ + std::min(body_size_ - have_, std::max(kFirstReadBytes, have_)));
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

Channel::Step Channel::read_body() {
  if (!make_room()) return Step::kNoMemory;
  const ssize_t got =
      ::recv(socket_.get(), &frame_.body[have_], frame_.body.size() - have_, MSG_DONTWAIT);
  if (got == 0) return Step::kClosed;
  if (got < 0) return would_wait() ? Step::kWait : Step::kClosed;
  have_ += static_cast<std::size_t>(got);
  if (have_ < body_size_) return Step::kMore;
  have_ = 0;
  in_body_ = false;
  return Step::kWhole;
}

Channel::Received Channel::receive(Frame& frame, std::chrono::milliseconds patience,
                                   const StopCheck& stop) {
  const Clock::time_point deadline = Clock::now() + patience;
  while (true) {
    switch (in_body_ ? read_body() : read_header()) {
      case Step::kWhole:
        frame = std::exchange(frame_, Frame{});
        return Received::kFrame;
      case Step::kMore:
        continue;
      case Step::kClosed:
        return Received::kClosed;
      case Step::kGarbage:
        return Received::kGarbage;
      case Step::kNoMemory:
        return Received::kNoMemory;
      case Step::kWait:
        break;
    }
    if (stop()) return Received::kStopped;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return Received::kTimeout;
    wait_for(socket_.get(), POLLIN, left);
  }
}

}  // namespace dx
