// The end of a worker's log, fit for an error message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace dx {

// The last whole lines, at most 2400 bytes: an error travels in HTTP/2 headers of 8 KiB.
std::string log_tail(const std::string& path);

// At most `limit` bytes of the text, as UTF-8: what is not, and every control character but line
// breaks and tabs, becomes '?'. Protobuf refuses to send other text.
std::string clean_utf8(std::string_view text, std::size_t limit);

}  // namespace dx
