#include "workers/tensorrt/library.h"

#include <dlfcn.h>

#include <cstring>
#include <iterator>
#include <utility>

#include "common/text.h"
#include "workers/core/closed_node.h"
#include "workers/tensorrt/operator.h"

namespace dx {
namespace {

constexpr std::size_t kLongestText = 300;
constexpr std::size_t kBytesInMib = std::size_t{1} << 20;
// What a GPU is opened by: of a Jetson (JetPack 5, then 6), then of a card.
constexpr const char* kNodes[] = {"/dev/nvmap", "/dev/nvhost-gpu", "/dev/nvgpu/igpu0/ctrl",
                                  "/dev/nvidiactl", "/dev/nvidia0"};

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kLoad};
}

std::string infer_name(int major) { return "libnvinfer.so." + std::to_string(major); }

std::string parser_name() { return "libnvonnxparser.so." + std::to_string(NV_TENSORRT_MAJOR); }

// CUDA 11 has its minor version in the name, later ones do not.
std::string cuda_name() {
  constexpr int major = CUDART_VERSION / 1000;
  return "libcudart.so." + std::to_string(major) + (major < 12 ? ".0" : "");
}

template <class Function>
bool find(void* library, const char* name, Function& function) {
  void* const found = dlsym(library, name);
  std::memcpy(&function, &found, sizeof function);
  return found != nullptr;
}

// Where CUDA lies on boards that do not name its folder to their linker.
void* open_cuda() {
  const std::string name = cuda_name();
  void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    library = dlopen(("/usr/local/cuda/lib64/" + name).c_str(), RTLD_NOW | RTLD_GLOBAL);
  }
  return library;
}

std::string reason() {
  const char* const text = dlerror();
  return printable(text == nullptr ? "no reason is given" : text, kLongestText);
}

// The major version of TensorRT that the board has instead; 0 for none.
int other_major() {
  for (const int major : {8, 9, 10, 11, 12, 7}) {
    if (major == NV_TENSORRT_MAJOR) continue;
    if (void* const found = dlopen(infer_name(major).c_str(), RTLD_LAZY | RTLD_LOCAL)) {
      (void)dlclose(found);
      return major;
    }
  }
  return 0;
}

Failure no_tensorrt(const std::string& why) {
  const std::string compiled = version_text(compiled_version());
  if (const int major = other_major(); major != 0) {
    return refuse("this worker was compiled for TensorRT " + compiled + ", and the board has " +
                  infer_name(major) +
                  ": build it with a sysroot of this board (deployx-edge sysroot pull)");
  }
  return refuse("TensorRT " + std::to_string(NV_TENSORRT_MAJOR) +
                " is not on this board: install it there (on a Jetson: sudo apt install "
                "tensorrt); " +
                why);
}

}  // namespace

std::string version_text(std::int32_t version) {
  // 8503 is 8.5.3; from 10 on versions have a digit more for the minor: 100300 is 10.3.0.
  const std::int32_t wide = version >= 10000 ? 10000 : 1000;
  return std::to_string(version / wide) + "." + std::to_string(version % wide / 100) + "." +
         std::to_string(version % 100);
}

std::int32_t compiled_version() { return NV_TENSORRT_VERSION; }

Result<Library> open_libraries() {
  Library library;
  void* const cuda = open_cuda();
  if (cuda == nullptr) {
    return refuse("CUDA's " + cuda_name() +
                  " is not on this board: install it there (on a Jetson: sudo apt install "
                  "nvidia-cuda); " +
                  reason());
  }
  const char* missing = nullptr;
#define DX_FIND(name) \
  if (!find(cuda, #name, library.cuda_.name)) missing = #name;
  DX_CUDA_FUNCTIONS(DX_FIND)
#undef DX_FIND
  if (missing != nullptr) return refuse(cuda_name() + " has no function " + missing);
  void* const infer = dlopen(infer_name(NV_TENSORRT_MAJOR).c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (infer == nullptr) return no_tensorrt(reason());
  void* const parser = dlopen(parser_name().c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (parser == nullptr) return no_tensorrt(reason());
  TensorrtApi& api = library.tensorrt_;
  if (!find(infer, "createInferBuilder_INTERNAL", api.create_builder) ||
      !find(infer, "createInferRuntime_INTERNAL", api.create_runtime) ||
      !find(infer, "getInferLibVersion", api.version) ||
      !find(parser, "createNvOnnxParser_INTERNAL", api.create_parser)) {
    return refuse("the board's TensorRT lacks a function that this worker calls");
  }
  // Objects of an older library end before what newer headers call.
  if (api.version() < compiled_version()) {
    return refuse("this worker was compiled for TensorRT " + version_text(compiled_version()) +
                  " or newer, and the board has " + library.version() +
                  ": build it with a sysroot of this board (deployx-edge sysroot pull)");
  }
  if (Status status = library.find_gpu(); !status) return status.failure();
  register_operators(infer);
  return library;
}

Status Library::find_gpu() {
  int count = 0;
  const cudaError_t status = cuda_.cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    const std::string node = closed_node({std::begin(kNodes), std::end(kNodes)});
    if (!node.empty()) {
      return refuse("this user may not open " + node +
                    ": add it to the group video on the board (sudo usermod -aG video USER), and "
                    "connect again");
    }
    return refuse(std::string("there is no GPU for CUDA on this board: ") +
                  (status == cudaSuccess ? "none was found" : cuda_.cudaGetErrorString(status)));
  }
  int device = 0;
  int major = 0;
  int minor = 0;
  const std::string what = "CUDA does not tell what the GPU is";
  if (Status told = check(cuda_.cudaGetDevice(&device), what); !told) return told;
  for (const auto& [value, attribute] : {std::pair{&major, cudaDevAttrComputeCapabilityMajor},
                                         std::pair{&minor, cudaDevAttrComputeCapabilityMinor}}) {
    const cudaError_t told = cuda_.cudaDeviceGetAttribute(value, attribute, device);
    if (Status checked = check(told, what); !checked) return checked;
  }
  capability_ = 10 * major + minor;
  gpu_ = "sm_" + std::to_string(capability_);
  return {};
}

Result<const Library*> Library::open() {
  static const Result<Library> opened = open_libraries();
  if (!opened) return opened.failure();
  return &opened.value();
}

std::string board_version() {
  void* const infer = dlopen(infer_name(NV_TENSORRT_MAJOR).c_str(), RTLD_NOW | RTLD_GLOBAL);
  decltype(&::getInferLibVersion) version = nullptr;
  if (infer == nullptr || !find(infer, "getInferLibVersion", version)) return "";
  return version_text(version());
}

Status Library::check(cudaError_t status, const std::string& what) const {
  if (status == cudaSuccess) return {};
  const std::string memory = status == cudaErrorMemoryAllocation ? free_memory_text() : "";
  return refuse(what + ": " + printable(cuda_.cudaGetErrorString(status), kLongestText) + memory);
}

std::string Library::free_memory_text() const {
  std::size_t free = 0;
  std::size_t total = 0;
  if (cuda_.cudaMemGetInfo(&free, &total) != cudaSuccess) return "";
  return " (" + std::to_string(free / kBytesInMib) + " of " + std::to_string(total / kBytesInMib) +
         " MiB of the GPU's memory are free)";
}

}  // namespace dx
