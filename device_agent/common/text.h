// Small pieces of the one-line messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace dx {

// "[3, 64, 64]"
std::string dims_text(const std::vector<std::int64_t>& dims);

// "a, b, c", cut off with ", ... (N in all)" after 20 names.
std::string list_text(const std::vector<std::string>& names);

// At most `limit` bytes of the text, with everything but printable ASCII replaced by '?': what
// comes from a file may not break a message (protobuf wants UTF-8) or a terminal.
std::string printable(const std::string& text, std::size_t limit);

}  // namespace dx
