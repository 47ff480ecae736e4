#include "workers/rknn/library.h"

#include <dlfcn.h>

#include <cstring>
#include <memory>
#include <string_view>

#include "common/text.h"
#include "workers/core/mapped_file.h"

namespace dx {
namespace {

constexpr const char* kName = "librknnrt.so";
constexpr std::string_view kSaysVersion = "librknnrt version: ";
constexpr std::size_t kLongestText = 300;
constexpr std::size_t kLongestVersion = 32;

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

template <class Function>
bool find(void* library, const char* name, Function*& function) {
  void* const found = dlsym(library, name);
  std::memcpy(&function, &found, sizeof function);
  return found != nullptr;
}

const char* missing_function(void* library, RknnApi& api) {
  (void)find(library, "rknn_set_core_mask", api.set_core_mask);
  if (!find(library, "rknn_init", api.init)) return "rknn_init";
  if (!find(library, "rknn_destroy", api.destroy)) return "rknn_destroy";
  if (!find(library, "rknn_query", api.query)) return "rknn_query";
  if (!find(library, "rknn_inputs_set", api.set_inputs)) return "rknn_inputs_set";
  if (!find(library, "rknn_run", api.run)) return "rknn_run";
  if (!find(library, "rknn_outputs_get", api.get_outputs)) return "rknn_outputs_get";
  if (!find(library, "rknn_outputs_release", api.release_outputs)) return "rknn_outputs_release";
  if (!find(library, "rknn_create_mem", api.create_memory)) return "rknn_create_mem";
  if (!find(library, "rknn_destroy_mem", api.destroy_memory)) return "rknn_destroy_mem";
  if (!find(library, "rknn_set_io_mem", api.set_memory)) return "rknn_set_io_mem";
  return nullptr;
}

std::string path_of(const RknnApi& api) {
  void* address = nullptr;
  std::memcpy(&address, &api.init, sizeof address);
  Dl_info info{};
  return dladdr(address, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
}

std::string version_of_file(const std::string& path) {
  Result<std::unique_ptr<MappedFile>> file = MappedFile::open(path);
  return file ? version_in(file.value()->content()) : "";
}

}  // namespace

std::vector<std::string> library_places() {
  return {kName,
          "/usr/lib/librknnrt.so",
          "/usr/lib64/librknnrt.so",
          "/usr/lib/aarch64-linux-gnu/librknnrt.so",
          "/usr/local/lib/librknnrt.so",
          "/oem/usr/lib/librknnrt.so",
          "/vendor/lib64/librknnrt.so"};
}

std::string version_in(std::string_view content) {
  const std::size_t found = content.find(kSaysVersion);
  if (found == std::string_view::npos) return "";
  const std::string_view rest = content.substr(found + kSaysVersion.size(), kLongestVersion);
  return std::string(rest.substr(0, rest.find_first_not_of("0123456789.")));
}

Result<Library> open_library(const std::vector<std::string>& places) {
  void* opened = nullptr;
  std::string reason;
  for (std::size_t i = 0; i < places.size() && opened == nullptr; ++i) {
    opened = dlopen(places[i].c_str(), RTLD_NOW | RTLD_LOCAL);
    const char* const text = opened == nullptr ? dlerror() : nullptr;
    // One that is there and does not load says more than those that are not there.
    const bool is_absent = text == nullptr || std::strstr(text, "No such file") != nullptr;
    if (!is_absent && reason.empty()) reason = printable(text, kLongestText);
  }
  if (opened == nullptr) {
    return refuse(std::string("Rockchip's ") + kName +
                  " is not on this board: install its package (rknpu2) or copy the file of the "
                  "toolkit's version to /usr/lib; looked for: " +
                  list_text(places) + (reason.empty() ? "" : "; " + reason));
  }
  Library library;
  if (const char* const missing = missing_function(opened, library.api_)) {
    return refuse(std::string(kName) + " has no function " + missing +
                  ": it is older than what this worker is written for (1.6); update it");
  }
  library.path_ = path_of(library.api_);
  library.version_ = version_of_file(library.path_);
  return library;
}

Result<const Library*> Library::open() {
  static const Result<Library> opened = open_library(library_places());
  if (!opened) return opened.failure();
  return &opened.value();
}

std::string error_text(int code) {
  const char* text = "it gives no reason";
  switch (code) {
    case rknn::kTimeout:
      text = "the NPU did not answer in time";
      break;
    case rknn::kDeviceUnavailable:
      text = "there is no NPU to use";
      break;
    case rknn::kNoMemory:
      text = "out of memory for the NPU";
      break;
    case rknn::kModelInvalid:
      text = "it does not take this model's file";
      break;
    case rknn::kDeviceUnmatched:
      text = "library and driver do not fit each other";
      break;
    case rknn::kPrecompiledElsewhere:
    case rknn::kOtherOptimization:
      text = "the driver does not take what the toolkit compiled";
      break;
    case rknn::kOtherPlatform:
      text = "the model is for another chip";
      break;
    default:
      break;
  }
  return std::string(text) + " (" + std::to_string(code) + ")";
}

}  // namespace dx
