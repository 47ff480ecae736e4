#include "workers/onnxruntime/library.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

#include "common/text.h"

namespace dx {
namespace {

constexpr std::size_t kLongestText = 600;

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

// What the library logs, by whatever thread: it goes to standard error, and the first error is
// kept.
class Log {
 public:
  void add(OrtLoggingLevel severity, const char* message) {
    const std::string text = printable(message == nullptr ? "" : message, kLongestText);
    std::fprintf(stderr, "ONNX Runtime: %s\n", text.c_str());
    const std::lock_guard<std::mutex> lock(mutex_);
    if (severity >= ORT_LOGGING_LEVEL_ERROR && error_.empty()) error_ = text;
  }

  std::string take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(error_, "");
  }

 private:
  std::mutex mutex_;
  std::string error_;
};

// Lives as long as the process, as what writes to it does.
Log& log() {
  static Log& log = *new Log;
  return log;
}

void ORT_API_CALL write_log(void*, OrtLoggingLevel severity, const char*, const char*, const char*,
                            const char* message) {
  log().add(severity, message);
}

using GetApiBase = const OrtApiBase*(ORT_API_CALL*)();

Result<const OrtApiBase*> load(const std::string& path) {
  // Before its first line runs: it would write a device id below the home folder and phone home.
  if (setenv("ORT_DISABLE_TELEMETRY", "1", 1) != 0) {
    return refuse("the environment takes no ORT_DISABLE_TELEMETRY");
  }
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const reason = dlerror();
    return refuse("ONNX Runtime's library cannot be loaded on this board: " +
                  printable(reason == nullptr ? path : reason, kLongestText));
  }
  void* const found = dlsym(library, "OrtGetApiBase");
  if (found == nullptr) return refuse(path + " is not ONNX Runtime: it has no OrtGetApiBase");
  GetApiBase base = nullptr;
  std::memcpy(&base, &found, sizeof base);
  return base();
}

}  // namespace

std::string pinned_version() { return DX_ONNXRUNTIME_VERSION; }

std::string library_name() { return DX_ONNXRUNTIME_FILE; }

Result<const Library*> Library::open(const std::string& path) {
  Result<const OrtApiBase*> base = load(path);
  if (!base) return base.failure();
  const std::string version = base.value()->GetVersionString();
  if (version != pinned_version()) {
    return refuse("the worker was built for ONNX Runtime " + pinned_version() + ", the library " +
                  path + " is version " + printable(version, 40) +
                  ": push the library of this build");
  }
  // Lives as long as the process, as what it loaded does.
  static Library library;
  library.api_ = base.value()->GetApi(ORT_API_VERSION);
  if (library.api_ == nullptr) {
    return refuse("ONNX Runtime " + version + " does not speak API " +
                  std::to_string(ORT_API_VERSION));
  }
  if (Status status = library.start(); !status) return status.failure();
  return &library;
}

Status Library::start() {
  if (environment_ != nullptr) return {};
  const std::string what = "ONNX Runtime does not start";
  if (Status status =
          check(api_->CreateEnvWithCustomLogger(write_log, nullptr, ORT_LOGGING_LEVEL_WARNING,
                                                "dx-worker", &environment_),
                what);
      !status) {
    return status;
  }
  if (Status status = check(api_->DisableTelemetryEvents(environment_), what); !status) {
    return status;
  }
  if (Status status = check(api_->GetAllocatorWithDefaultOptions(&allocator_), what); !status) {
    return status;
  }
  return check(api_->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory_), what);
}

std::string Library::take_error() { return log().take(); }

Status Library::check(OrtStatus* status, const std::string& what) const {
  if (status == nullptr) return {};
  const std::string text = printable(api_->GetErrorMessage(status), kLongestText);
  api_->ReleaseStatus(status);
  return refuse(what + ": " + text);
}

}  // namespace dx
