#include "workers/tensorrt/logger.h"

#include <cstddef>
#include <cstdio>
#include <exception>
#include <utility>

#include "common/text.h"

namespace dx {
namespace {

constexpr std::size_t kLongestText = 600;
constexpr std::size_t kMostKept = 4096;

}  // namespace

void Logger::log(Severity severity, const nvinfer1::AsciiChar* message) noexcept {
  if (severity > Severity::kWARNING || message == nullptr) return;
  try {
    (void)std::fprintf(stderr, "%s\n", printable(message, kLongestText).c_str());
    if (severity > Severity::kERROR) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (errors_.size() < kMostKept) errors_ += (errors_.empty() ? "" : "; ") + std::string(message);
  } catch (const std::exception&) {
    // Without memory for it the message is lost; what failed says so itself.
    return;
  }
}

std::string Logger::take_errors() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return printable(std::exchange(errors_, ""), kLongestText);
}

}  // namespace dx
