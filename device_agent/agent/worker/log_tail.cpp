#include "agent/worker/log_tail.h"

#include "agent/files/files.h"

namespace dx {
namespace {

constexpr std::size_t kTailBytes = 2400;

// The length of the UTF-8 sequence at the start of the text; 0 where there is none (RFC 3629).
std::size_t sequence_length(std::string_view text) {
  const auto byte = [text](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto continues = [&byte](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool overlong = first == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = first == 0xED && byte(1) > 0x9F;
    return continues(1) && continues(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool overlong = first == 0xF0 && byte(1) < 0x90;
    const bool beyond = first == 0xF4 && byte(1) > 0x8F;
    return continues(1) && continues(2) && continues(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

bool is_harmless(char c) { return c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7f); }

}  // namespace

std::string clean_utf8(std::string_view text, std::size_t limit) {
  std::string clean;
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    const std::size_t taken = length == 0 ? 1 : length;
    if (clean.size() + taken > limit) break;
    const bool keep = length > 1 || (length == 1 && is_harmless(text[0]));
    clean += keep ? text.substr(0, taken) : std::string_view("?");
    text.remove_prefix(taken);
  }
  return clean;
}

std::string log_tail(const std::string& path) {
  const std::string bytes = read_file_end(path, kTailBytes).value_or("");
  std::string_view tail = bytes;
  if (tail.size() == kTailBytes) {
    // The first line is a piece of one.
    const std::size_t stop = tail.find('\n');
    if (stop != std::string_view::npos) tail.remove_prefix(stop + 1);
  }
  return clean_utf8(tail, kTailBytes);
}

}  // namespace dx
