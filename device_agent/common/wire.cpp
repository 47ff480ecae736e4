#include "common/wire.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace dx {
namespace {

// A length that lies is found out by the bytes that do not come, before it costs memory.
constexpr std::size_t kFirstReadBytes = std::size_t{1} << 20;

Failure broken(const std::string& message) {
  return {FailureCode::kInternal, "the line between agent and worker broke: " + message, {}};
}

std::uint64_t from_little_endian(const char* bytes, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    value |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return value;
}

// How many of `count` bytes came before the end of the stream.
Result<std::size_t> read_up_to(int socket, char* bytes, std::size_t count) {
  std::size_t have = 0;
  while (have < count) {
    const ssize_t got = recv(socket, bytes + have, count - have, 0);
    if (got == 0) break;
    if (got < 0 && errno == EINTR) continue;
    // A peer that died with unread bytes in its socket shows as a reset: an end like any other.
    if (got < 0 && errno == ECONNRESET) break;
    if (got < 0) return broken(std::strerror(errno));
    have += static_cast<std::size_t>(got);
  }
  return have;
}

}  // namespace

Writer::Writer(std::uint16_t kind) {
  put(0, 4);
  put(kind, 2);
}

void Writer::put(std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) {
    bytes_.push_back(static_cast<char>((value >> (8 * i)) & 0xFF));
  }
}

void Writer::operator()(double value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  put(bits, 8);
}

void Writer::operator()(std::string_view value) {
  put(value.size(), 4);
  bytes_.append(value);
}

Result<std::string> Writer::finish(std::size_t limit) && {
  const std::size_t length = bytes_.size() - 4;
  if (length > limit) {
    return Failure{FailureCode::kInvalidRequest,
                   "a message between agent and worker may have " + std::to_string(limit) +
                       " bytes, this one has " + std::to_string(length) + ": send smaller tensors",
                   {}};
  }
  for (std::size_t i = 0; i < 4; ++i) bytes_[i] = static_cast<char>((length >> (8 * i)) & 0xFF);
  return std::move(bytes_);
}

void Reader::fail(const char* problem) {
  if (ok()) problem_ = problem;
  rest_ = {};
}

std::uint64_t Reader::take(std::size_t bytes) {
  if (rest_.size() < bytes) {
    fail("it ends inside a field");
    return 0;
  }
  const std::uint64_t value = from_little_endian(rest_.data(), bytes);
  rest_.remove_prefix(bytes);
  return value;
}

void Reader::operator()(bool& value) {
  const std::uint64_t number = take(1);
  if (number > 1) fail("a yes or no that is neither");
  value = number == 1;
}

void Reader::operator()(double& value) {
  const std::uint64_t bits = take(8);
  std::memcpy(&value, &bits, sizeof value);
}

void Reader::operator()(std::string& value) {
  const auto size = static_cast<std::size_t>(take(4));
  if (size > rest_.size()) fail("it ends inside a text");
  if (!ok()) return;
  value.assign(rest_.data(), size);
  rest_.remove_prefix(size);
}

Status Reader::finish() const {
  const char* problem = ok() && !rest_.empty() ? "bytes are left over" : problem_;
  if (problem == nullptr) return {};
  return Failure{FailureCode::kInternal,
                 std::string("a message between agent and worker cannot be read: ") + problem +
                     "; agent and worker must come from the same build",
                 {}};
}

Result<std::optional<Frame>> read_frame(int socket) {
  char header[kFrameHeaderBytes];
  auto got = read_up_to(socket, header, sizeof header);
  if (!got) return got.failure();
  if (got.value() == 0) return std::optional<Frame>();
  if (got.value() < sizeof header) return broken("it ended inside a message's header");

  const auto length = static_cast<std::size_t>(from_little_endian(header, 4));
  if (length < 2 || length > kMaxFrameBytes) {
    return broken("a message announces " + std::to_string(length) + " bytes");
  }
  Frame frame;
  frame.kind = static_cast<std::uint16_t>(from_little_endian(header + 4, 2));
  const std::size_t size = length - 2;
  while (frame.body.size() < size) {
    const std::size_t have = frame.body.size();
    const std::size_t step = std::min(size - have, std::max(kFirstReadBytes, have));
    frame.body.resize(have + step);
    got = read_up_to(socket, &frame.body[have], step);
    if (!got) return got.failure();
    if (got.value() < step) return broken("it ended inside a message");
  }
  return std::optional<Frame>(std::move(frame));
}

Status write_all(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return broken(std::strerror(errno));
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

}  // namespace dx
