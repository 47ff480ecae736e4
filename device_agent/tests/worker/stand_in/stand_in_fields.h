// Reads and rewrites what tests know to be a sound protobuf message, field by field.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

namespace dx::stand_in {

inline void write_varint(std::string& to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) to += static_cast<char>((value & 0x7F) | 0x80);
  to += static_cast<char>(value);
}

// A field of text, bytes or a message.
inline std::string field_of(std::uint64_t number, std::string_view content) {
  std::string made;
  write_varint(made, number << 3 | 2);
  write_varint(made, content.size());
  return made.append(content);
}

class Fields {
 public:
  explicit Fields(std::string_view message) : rest_(message) {}

  // Goes on to the next field; false behind the last.
  bool next() {
    if (rest_.empty()) return false;
    const std::string_view from = rest_;
    const std::uint64_t tag = varint();
    number = tag >> 3;
    has_content = (tag & 7) != 0;
    if (has_content) {
      content = rest_.substr(0, (tag & 7) == 2 ? varint() : (tag & 7) == 1 ? 8 : 4);
      rest_.remove_prefix(content.size());
    } else {
      value = varint();
    }
    raw = from.substr(0, from.size() - rest_.size());
    return true;
  }

  std::uint64_t varint() {
    std::uint64_t made = 0;
    for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      made |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) break;
    }
    return made;
  }
  bool at_end() const { return rest_.empty(); }

  std::uint64_t number = 0;
  bool has_content = false;
  std::string_view content;  // of a field with a length, or the bytes of a number of fixed size
  std::uint64_t value = 0;   // of any other
  std::string_view raw;      // all of the field

 private:
  std::string_view rest_;
};

// The message with each field of that number as `change` writes it.
inline std::string with_field(std::string_view message, std::uint64_t number,
                              const std::function<std::string(std::string_view)>& change) {
  std::string made;
  for (Fields fields(message); fields.next();) {
    if (fields.number == number && fields.has_content) {
      made += field_of(number, change(fields.content));
    } else {
      made.append(fields.raw);
    }
  }
  return made;
}

}  // namespace dx::stand_in
