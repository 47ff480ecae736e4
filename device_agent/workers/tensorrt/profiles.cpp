#include "workers/tensorrt/profiles.h"

#include <charconv>
#include <cstddef>
#include <optional>

#include "common/text.h"

namespace dx {
namespace {

using Dims = std::vector<std::int64_t>;

constexpr std::size_t kMostDims = 8;

// What stands before the next `separator`, which is taken away with it.
std::string_view cut(std::string_view& rest, char separator) {
  const std::size_t end = rest.find(separator);
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
  return part;
}

std::optional<Dims> read_dims(std::string_view word) {
  Dims dims;
  while (!word.empty()) {
    const std::string_view digits = cut(word, 'x');
    std::int64_t dim = 0;
    const char* const end = digits.data() + digits.size();
    const auto parsed = std::from_chars(digits.data(), end, dim);
    if (parsed.ec != std::errc() || parsed.ptr != end || dim < 1) return std::nullopt;
    dims.push_back(dim);
  }
  if (dims.empty() || dims.size() > kMostDims) return std::nullopt;
  return dims;
}

}  // namespace

Result<std::vector<InputProfile>> read_profiles(std::string_view text) {
  std::vector<InputProfile> profiles;
  while (!text.empty()) {
    std::string_view line = cut(text, '\n');
    const std::string whole(line);
    const auto minimum = read_dims(cut(line, ' '));
    const auto opt = read_dims(cut(line, ' '));
    const auto maximum = read_dims(cut(line, ' '));
    const bool is_sound = minimum && opt && maximum && !line.empty() &&
                          minimum->size() == opt->size() && opt->size() == maximum->size();
    if (!is_sound) {
      return Failure{FailureCode::kRuntimeRefused,
                     "the model's sizes of open axes cannot be read: '" + printable(whole, 100) +
                         "'; convert it again",
                     Phase::kPrepare};
    }
    profiles.push_back({std::string(line), *minimum, *opt, *maximum});
  }
  return profiles;
}

}  // namespace dx
