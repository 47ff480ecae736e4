#include "workers/tensorrt/device_module.h"

#include <dlfcn.h>

#include <cstring>
#include <map>
#include <mutex>
#include <utility>

#include "common/result.h"
#include "common/text.h"
#include "workers/tensorrt/library.h"

namespace dx {
namespace {

constexpr const char* kDriver = "libcuda.so.1";
constexpr std::size_t kLongestText = 300;
constexpr unsigned kThreads = 256;  // of a block

// What is called of the driver; its header is not needed for that.
using DriverStatus = int;
using Module = void*;
using Function = void*;
struct Driver {
  DriverStatus (*load)(Module* module, const void* image) = nullptr;
  DriverStatus (*find)(Function* function, Module module, const char* name) = nullptr;
  DriverStatus (*launch)(Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                         unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                         cudaStream_t stream, void** arguments, void** extra) = nullptr;
  DriverStatus (*explain)(DriverStatus status, const char** text) = nullptr;
};

template <class Pointer>
bool find_function(void* library, const char* name, Pointer& function) {
  void* const found = dlsym(library, name);
  std::memcpy(&function, &found, sizeof function);
  return found != nullptr;
}

// Stays open until the process ends. Without `launch` where there is none.
Driver open_driver() {
  Driver driver;
  void* const library = dlopen(kDriver, RTLD_NOW | RTLD_GLOBAL);
  const bool whole = library != nullptr &&
                     find_function(library, "cuModuleLoadData", driver.load) &&
                     find_function(library, "cuModuleGetFunction", driver.find) &&
                     find_function(library, "cuGetErrorString", driver.explain) &&
                     find_function(library, "cuLaunchKernel", driver.launch);
  return whole ? driver : Driver();
}

const Driver& driver() {
  static const Driver opened = open_driver();
  return opened;
}

std::string explained(const std::string& what, DriverStatus status) {
  const char* text = nullptr;
  if (driver().explain(status, &text) != 0 || text == nullptr) text = "no reason is given";
  return what + ": " + printable(text, kLongestText);
}

// Those of the GPU first, then PTX, which the driver translates when it is loaded.
std::string load_code(const op::DeviceCode& code, const std::string& gpu, Module& module) {
  std::string complaint = "this build has no kernels for the GPU " + gpu;
  for (const std::string& wanted : {gpu, std::string()}) {
    for (std::size_t i = 0; i < code.count; ++i) {
      if (wanted != code.images[i].gpu) continue;
      const DriverStatus status = driver().load(&module, code.images[i].content);
      if (status == 0) return "";
      complaint = explained("CUDA does not load its kernels for the GPU " + gpu, status);
    }
  }
  return complaint;
}

std::string find_kernel(const op::DeviceCode& code, const char* kernel, Function& function) {
  static std::mutex mutex;
  static std::map<const op::DeviceCode*, Module> modules;
  static std::map<std::pair<const op::DeviceCode*, std::string>, Function> functions;
  const std::lock_guard<std::mutex> lock(mutex);
  Function& known = functions[{&code, kernel}];
  if (known == nullptr) {
    const Result<const Library*> library = Library::open();
    if (!library) return library.failure().message;
    Module& module = modules[&code];
    if (module == nullptr) {
      const std::string complaint = load_code(code, library.value()->gpu(), module);
      if (!complaint.empty()) return complaint;
    }
    const DriverStatus status = driver().find(&known, module, kernel);
    if (status != 0) return explained("its kernels have no " + std::string(kernel), status);
  }
  function = known;
  return "";
}

}  // namespace

std::string launch_kernel(const op::DeviceCode& code, const char* kernel, const void* arguments,
                          int count, cudaStream_t stream) {
  if (driver().launch == nullptr) return std::string("CUDA's driver ") + kDriver + " is not there";
  Function function = nullptr;
  const std::string complaint = find_kernel(code, kernel, function);
  if (!complaint.empty()) return complaint;
  const unsigned blocks = (static_cast<unsigned>(count) + kThreads - 1) / kThreads;
  void* places[] = {const_cast<void*>(arguments), &count};
  const DriverStatus status =
      driver().launch(function, blocks, 1, 1, kThreads, 1, 1, 0, stream, places, nullptr);
  return status == 0 ? ""
                     : explained("CUDA does not start its kernel " + std::string(kernel), status);
}

}  // namespace dx
