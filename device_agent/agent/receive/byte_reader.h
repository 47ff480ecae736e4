// Lines and raw bytes from one descriptor, buffered.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace dx {

class ByteReader {
 public:
  // REQUIRES: `fd` stays open as long as the reader lives.
  explicit ByteReader(int fd);

  enum class LineEnd { kLine, kEndOfStream, kTooLong, kError };

  // Reads up to the next line break, which is dropped. `line` is valid only for kLine.
  LineEnd read_line(std::size_t limit, std::string& line);

  // Some of the next bytes, at most `limit`; valid until the next call. Empty at the end of the
  // stream or on an error (see error()). REQUIRES: limit > 0.
  std::string_view read_some(std::size_t limit);

  // The errno of the read that failed; 0 where none did.
  int error() const { return error_; }

 private:
  // Reads more into the empty buffer; false at the end of the stream or on an error.
  bool fill();

  int fd_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  int error_ = 0;
};

}  // namespace dx
