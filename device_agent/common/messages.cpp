#include "common/messages.h"

namespace dx {

std::optional<std::size_t> float_bytes(const std::vector<std::int64_t>& dims) {
  constexpr std::size_t kMaxElements = kMaxFrameBytes / sizeof(float);
  std::size_t elements = 1;
  for (const std::int64_t dim : dims) {
    if (dim < 1 || static_cast<std::uint64_t>(dim) > kMaxElements / elements) return std::nullopt;
    elements *= static_cast<std::size_t>(dim);
  }
  return elements * sizeof(float);
}

}  // namespace dx
