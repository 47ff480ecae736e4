// How far TensorRT's builder is, where it tells that.
#pragma once

#include <NvInfer.h>

#include "workers/core/runtime.h"

#define DX_TENSORRT_TELLS_PROGRESS (NV_TENSORRT_MAJOR >= 10)

#if DX_TENSORRT_TELLS_PROGRESS

#include <chrono>
#include <mutex>
#include <string>

namespace dx {

// Hands on the phases of a build, ten times a second at most. The fraction is that of the outermost
// phase; the text names the one within.
class ProgressTeller : public nvinfer1::IProgressMonitor {
 public:
  explicit ProgressTeller(LoadListener& listener) : listener_(listener) {}

  void phaseStart(const char* name, const char* parent, std::int32_t steps) noexcept override;
  bool stepComplete(const char* name, std::int32_t step) noexcept override;
  void phaseFinish(const char* name) noexcept override;

 private:
  void tell(const char* name) noexcept;

  LoadListener& listener_;
  std::mutex mutex_;  // it is called from TensorRT's own threads, too
  std::string outermost_;
  std::int32_t steps_ = 0;
  double fraction_ = -1;
  std::chrono::steady_clock::time_point told_;
};

}  // namespace dx

#endif
