// What TensorRT says: errors are kept for whoever asks why something failed, the rest that matters
// goes to the worker's log.
#pragma once

#include <NvInferRuntime.h>

#include <mutex>
#include <string>

namespace dx {

class Logger : public nvinfer1::ILogger {
 public:
  void log(Severity severity, const nvinfer1::AsciiChar* message) noexcept override;

  // What was said of errors since this was asked last, on one line; "" for nothing.
  std::string take_errors();

 private:
  std::mutex mutex_;  // it is called from TensorRT's own threads, too
  std::string errors_;
};

}  // namespace dx
