// The bytes between agent and worker: little-endian fields without padding, read with every bound
// checked, and frames (u32 length, u16 kind, body) on a stream socket.
//
// `Writer` and `Reader` are the two visitors of a message's fields: a message lists its fields once
// in `visit` (see messages.h), and cannot be written and read in different orders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "common/result.h"

namespace dx {

// The length field counts the kind and the body. What announces more is refused unread.
constexpr std::size_t kMaxFrameBytes = std::size_t{1} << 30;
constexpr std::size_t kFrameHeaderBytes = 6;

struct Frame {
  std::uint16_t kind = 0;
  std::string body;
};

// Appends fields to a frame.
class Writer {
 public:
  explicit Writer(std::uint16_t kind);

  void operator()(std::uint8_t value) { put(value, 1); }
  void operator()(std::uint32_t value) { put(value, 4); }
  void operator()(std::uint64_t value) { put(value, 8); }
  void operator()(std::int64_t value) { put(static_cast<std::uint64_t>(value), 8); }
  void operator()(bool value) { put(value ? 1 : 0, 1); }
  void operator()(double value);
  void operator()(std::string_view value);
  void operator()(const std::string& value) { (*this)(std::string_view(value)); }

  template <class E, std::enable_if_t<std::is_enum_v<E>, int> = 0>
  void operator()(E value) {
    put(static_cast<std::uint64_t>(value), 2);
  }

  template <class T>
  void operator()(const std::optional<T>& value) {
    (*this)(value.has_value());
    if (value) (*this)(*value);
  }

  template <class T>
  void operator()(const std::vector<T>& values) {
    put(values.size(), 4);
    for (const T& value : values) (*this)(value);
  }

  template <class K, class V>
  void operator()(const std::map<K, V>& entries) {
    put(entries.size(), 4);
    for (const auto& [key, value] : entries) {
      (*this)(key);
      (*this)(value);
    }
  }

  template <class T, class = decltype(&T::template visit<const T, Writer>)>
  void operator()(const T& value) {
    T::visit(value, *this);
  }

  // The whole frame with its header. Fails where kind and fields are longer than `limit`.
  Result<std::string> finish(std::size_t limit = kMaxFrameBytes) &&;

 private:
  void put(std::uint64_t value, std::size_t bytes);

  std::string bytes_;
};

// Takes fields from a frame's body. The first field that does not fit makes it fail; all later
// ones are then left as they are. REQUIRES: the bytes outlive the reader.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  void operator()(std::uint8_t& value) { value = static_cast<std::uint8_t>(take(1)); }
  void operator()(std::uint32_t& value) { value = static_cast<std::uint32_t>(take(4)); }
  void operator()(std::uint64_t& value) { value = take(8); }
  void operator()(std::int64_t& value) { value = static_cast<std::int64_t>(take(8)); }
  void operator()(bool& value);
  void operator()(double& value);
  void operator()(std::string& value);

  // `last_of` (found by argument-dependent look-up) names the highest value of an enumeration.
  template <class E, std::enable_if_t<std::is_enum_v<E>, int> = 0>
  void operator()(E& value) {
    const std::uint64_t number = take(2);
    if (number > static_cast<std::uint64_t>(last_of(value))) fail("an unknown enumeration value");
    if (ok()) value = static_cast<E>(number);
  }

  template <class T>
  void operator()(std::optional<T>& value) {
    bool present = false;
    (*this)(present);
    value.reset();
    if (ok() && present) (*this)(value.emplace());
  }

  // Grows element by element: a count that lies runs out of bytes before it costs memory.
  template <class T>
  void operator()(std::vector<T>& values) {
    std::uint32_t count = 0;
    (*this)(count);
    values.clear();
    if (count > rest_.size()) fail("a list longer than the message");
    for (std::uint32_t i = 0; ok() && i < count; ++i) (*this)(values.emplace_back());
  }

  template <class K, class V>
  void operator()(std::map<K, V>& entries) {
    std::uint32_t count = 0;
    (*this)(count);
    entries.clear();
    for (std::uint32_t i = 0; ok() && i < count; ++i) {
      K key{};
      (*this)(key);
      V value{};
      (*this)(value);
      const bool grows = entries.empty() || entries.rbegin()->first < key;
      if (ok() && !grows) fail("keys that are not in order");
      if (ok()) entries.emplace_hint(entries.end(), std::move(key), std::move(value));
    }
  }

  template <class T, class = decltype(&T::template visit<T, Reader>)>
  void operator()(T& value) {
    T::visit(value, *this);
  }

  bool ok() const { return problem_ == nullptr; }

  // Success where every field fitted and no byte is left over.
  Status finish() const;

 private:
  std::uint64_t take(std::size_t bytes);
  void fail(const char* problem);

  std::string_view rest_;
  const char* problem_ = nullptr;
};

inline FailureCode last_of(FailureCode) { return FailureCode::kInternal; }
inline Phase last_of(Phase) { return Phase::kPrepare; }

// Reads the next frame. Empty where the stream ended between two frames. Blocks until a whole
// frame is there. One reader at a time.
Result<std::optional<Frame>> read_frame(int socket);

// Writes all bytes, over interruptions and short writes; never raises SIGPIPE. One writer at a
// time. REQUIRES: `socket` is a blocking stream socket.
Status write_all(int socket, std::string_view bytes);

}  // namespace dx
