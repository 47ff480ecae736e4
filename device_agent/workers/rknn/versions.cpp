#include "workers/rknn/versions.h"

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

namespace dx {
namespace {

using Numbers = std::pair<int, int>;

std::string told(const std::string& version) { return version.empty() ? "not told" : version; }

// The first two numbers of "2.3.2".
std::optional<Numbers> numbers_of(std::string_view version) {
  Numbers numbers;
  const char* const end = version.data() + version.size();
  const auto major = std::from_chars(version.data(), end, numbers.first);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return std::nullopt;
  const auto minor = std::from_chars(major.ptr + 1, end, numbers.second);
  if (minor.ec != std::errc()) return std::nullopt;
  return numbers;
}

}  // namespace

std::string RknnVersions::text() const {
  return "toolkit " + told(toolkit) + " made the model, the board has runtime library " +
         told(library) + " and driver " + told(driver);
}

Status check_versions(const RknnVersions& versions) {
  const std::optional<Numbers> made = numbers_of(versions.toolkit);
  const std::optional<Numbers> there = numbers_of(versions.library);
  if (!made || !there || *made <= *there) return {};
  return Failure{FailureCode::kRuntimeRefused,
                 "the board's runtime library is older than the toolkit: " + versions.text() +
                     "; copy librknnrt.so of " + versions.toolkit +
                     " to the board's /usr/lib, or try it as it is with the option "
                     "check_versions=off",
                 Phase::kLoad};
}

}  // namespace dx
