// All operators of our own that TensorRT has in this build, and how it comes to know them.
#include <dlfcn.h>

#include <cstring>
#include <memory>
#include <vector>

#include "workers/tensorrt/operator.h"
#if NV_TENSORRT_MAJOR >= 10
#include "workers/tensorrt/plugin_v3.h"
#else
#include "workers/tensorrt/plugin_v2.h"
#endif

#define DX_OPERATOR(name)                   \
  namespace dx::op::name {                  \
  dx::TensorrtOperator tensorrt_operator(); \
  }
#include "tensorrt_operators.inc"
#undef DX_OPERATOR

namespace dx {
namespace {

#if NV_TENSORRT_MAJOR >= 10
using Creator = CreatorV3;
#else
using Creator = CreatorV2;
#endif

}  // namespace

const std::vector<TensorrtOperator>& tensorrt_operators() {
  static const std::vector<TensorrtOperator> all = {
#define DX_OPERATOR(name) dx::op::name::tensorrt_operator(),
#include "tensorrt_operators.inc"
#undef DX_OPERATOR
  };
  return all;
}

void register_operators(void* infer) {
  nvinfer1::IPluginRegistry* (*find)() = nullptr;
  void* const found = dlsym(infer, "getPluginRegistry");
  std::memcpy(&find, &found, sizeof find);
  nvinfer1::IPluginRegistry* const registry = find == nullptr ? nullptr : find();
  // TensorRT asks them for as long as the process lives, beyond the end of main().
  static auto* const creators = new std::vector<std::unique_ptr<Creator>>();
  if (registry == nullptr || !creators->empty()) return;
  for (const TensorrtOperator& row : tensorrt_operators()) {
    for (PluginName& name : plugin_names(row)) {
      creators->push_back(std::make_unique<Creator>(std::move(name)));
      // A model that has a plugin of that name from elsewhere gets that.
      (void)registry->registerCreator(*creators->back(), kPluginNamespace);
    }
  }
}

}  // namespace dx
