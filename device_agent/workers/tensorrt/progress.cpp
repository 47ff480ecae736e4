#include "workers/tensorrt/progress.h"

#if DX_TENSORRT_TELLS_PROGRESS

#include <algorithm>
#include <exception>

#include "common/text.h"

namespace dx {
namespace {

constexpr std::chrono::milliseconds kPeriod{100};
constexpr std::size_t kLongestName = 120;

}  // namespace

void ProgressTeller::phaseStart(const char* name, const char* parent, std::int32_t steps) noexcept {
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (parent == nullptr) {
      outermost_ = name;
      steps_ = steps;
      fraction_ = 0;
    }
    tell(name);
  } catch (const std::exception&) {
    return;  // without memory for its name a phase goes untold
  }
}

bool ProgressTeller::stepComplete(const char* name, std::int32_t step) noexcept {
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (outermost_ == name && steps_ > 0) {
      fraction_ = std::clamp(static_cast<double>(step + 1) / steps_, 0.0, 1.0);
    }
    tell(name);
  } catch (const std::exception&) {
    return true;
  }
  return true;  // a build is cancelled by ending the worker
}

void ProgressTeller::phaseFinish(const char*) noexcept {}

void ProgressTeller::tell(const char* name) noexcept {
  const auto now = std::chrono::steady_clock::now();
  if (now - told_ < kPeriod) return;
  told_ = now;
  try {
    listener_.on_progress(fraction_, "building the engine: " + printable(name, kLongestName));
  } catch (const std::exception&) {
    return;
  }
}

}  // namespace dx

#endif
