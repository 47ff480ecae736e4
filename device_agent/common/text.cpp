#include "common/text.h"

namespace dx {

std::string dims_text(const std::vector<std::int64_t>& dims) {
  std::string text = "[";
  for (const std::int64_t dim : dims) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(dim);
  }
  return text + "]";
}

std::string list_text(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 20;
  constexpr std::size_t kNameLimit = 80;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kShown; ++i) {
    if (i > 0) text += ", ";
    text += printable(names[i], kNameLimit);
  }
  if (names.size() > kShown) text += ", ... (" + std::to_string(names.size()) + " in all)";
  return text;
}

std::string printable(const std::string& text, std::size_t limit) {
  std::string result = text.substr(0, limit);
  for (char& letter : result) {
    if (letter < ' ' || letter > '~') letter = '?';
  }
  return result;
}

}  // namespace dx
