// A stand-in for CUDA's driver: it knows the kernels of our own operators, compiled for the
// processor, and runs them block by block and thread by thread.
//   no-kernels      it loads none
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>

#include "cuda_runtime_api.h"
#include "stand_in.h"

namespace dx::stand_in {

struct Kernel {
  void (*run)(const void* arguments, int count);
  std::size_t bytes;  // of its arguments
};

std::map<std::string, Kernel>& kernels() {
  static std::map<std::string, Kernel> known;
  return known;
}

// Two kernels of one name would be one here: a test would run the wrong one.
bool add_kernel(const char* name, const Kernel& kernel) {
  if (!kernels().emplace(name, kernel).second) std::abort();
  return true;
}

}  // namespace dx::stand_in

#define DX_KERNEL_ADDED(name)      \
  inline const bool name##_added = \
      ::dx::stand_in::add_kernel(#name, {&name##_kernel::run, sizeof(name##_kernel::Given)});
#include "device_kernels.inc"
#include "operators/whole_numbers.cu"

namespace {

constexpr int kInvalidImage = 200;
constexpr int kNotFound = 500;

void run_all(const dx::stand_in::Kernel& kernel, const std::string& arguments, int count,
             unsigned blocks, unsigned threads) {
  for (unsigned block = 0; block < blocks; ++block) {
    for (unsigned thread = 0; thread < threads; ++thread) {
      dx::op::device_place = {static_cast<int>(block), static_cast<int>(blocks),
                              static_cast<int>(thread), static_cast<int>(threads)};
      kernel.run(arguments.data(), count);
    }
  }
}

}  // namespace

extern "C" {

int cuModuleLoadData(void** module, const void* image) {
  const std::string wanted = "stand-in sm_" + std::to_string(dx::stand_in::number("gpu", 87));
  const char* const content = static_cast<const char*>(image);
  const bool fits = content == wanted || content == std::string("stand-in ");
  if (!fits || dx::stand_in::word("no-kernels")) return kInvalidImage;
  *module = const_cast<void*>(image);
  return 0;
}

int cuModuleGetFunction(void** function, void*, const char* name) {
  const auto found = dx::stand_in::kernels().find(name);
  if (found == dx::stand_in::kernels().end()) return kNotFound;
  *function = &found->second;
  return 0;
}

int cuGetErrorString(int error, const char** text) {
  *text = error == kNotFound ? "named symbol not found" : "device kernel image is invalid";
  return 0;
}

int cuLaunchKernel(void* function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned,
                   cudaStream_t stream, void** arguments, void**) {
  if (grid_y != 1 || grid_z != 1 || block_y != 1 || block_z != 1) return kInvalidImage;
  const auto& kernel = *static_cast<const dx::stand_in::Kernel*>(function);
  // They are the caller's again once this returns.
  const std::string given(static_cast<const char*>(arguments[0]), kernel.bytes);
  const int count = *static_cast<const int*>(arguments[1]);
  const auto work = [=] { run_all(kernel, given, count, grid_x, block_x); };
  if (stream != nullptr && stream->recording) {
    stream->recording->work.emplace_back(work);
  } else {
    work();
  }
  return 0;
}
}
