#include "agent/receive/byte_reader.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace dx {
namespace {

// A host that is silent for so long is gone, even where its link never said so.
constexpr int kPatienceMs = 5 * 60 * 1000;
constexpr std::size_t kBufferBytes = std::size_t{1} << 18;

}  // namespace

ByteReader::ByteReader(int fd) : fd_(fd), buffer_(kBufferBytes) {}

bool ByteReader::fill() {
  while (true) {
    pollfd entry{fd_, POLLIN, 0};
    if (::poll(&entry, 1, kPatienceMs) == 0) {
      error_ = ETIMEDOUT;
      return false;
    }
    const ssize_t got = ::read(fd_, buffer_.data(), buffer_.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) error_ = errno;
    begin_ = 0;
    end_ = got > 0 ? static_cast<std::size_t>(got) : 0;
    return got > 0;
  }
}

ByteReader::LineEnd ByteReader::read_line(std::size_t limit, std::string& line) {
  line.clear();
  while (true) {
    if (begin_ == end_ && !fill()) {
      return error_ != 0 ? LineEnd::kError : LineEnd::kEndOfStream;
    }
    const std::string_view rest(buffer_.data() + begin_, end_ - begin_);
    const std::size_t stop = rest.find('\n');
    const std::string_view piece = rest.substr(0, stop);
    if (line.size() + piece.size() > limit) return LineEnd::kTooLong;
    line += piece;
    begin_ += piece.size();
    if (stop != std::string_view::npos) {
      ++begin_;
      return LineEnd::kLine;
    }
  }
}

std::string_view ByteReader::read_some(std::size_t limit) {
  if (begin_ == end_ && !fill()) return {};
  const std::size_t size = std::min(limit, end_ - begin_);
  const std::string_view bytes(buffer_.data() + begin_, size);
  begin_ += size;
  return bytes;
}

}  // namespace dx
