// A stand-in for TensorRT's registry of plugins: found by name, version and namespace.
#include <map>
#include <string>
#include <tuple>

#include "NvInferRuntime.h"

namespace {

class Registry : public nvinfer1::IPluginRegistry {
 public:
  bool registerCreator(nvinfer1::IPluginCreatorInterface& creator,
                       const char* space) noexcept override {
    auto* const made = dynamic_cast<nvinfer1::IPluginCreatorV3One*>(&creator);
    if (made == nullptr) return false;
    return creators_
        .emplace(std::make_tuple(made->getPluginName(), made->getPluginVersion(), space), &creator)
        .second;
  }
  nvinfer1::IPluginCreatorInterface* getCreator(const char* name, const char* version,
                                                const char* space) noexcept override {
    const auto found = creators_.find(std::make_tuple(name, version, space));
    return found == creators_.end() ? nullptr : found->second;
  }

 private:
  std::map<std::tuple<std::string, std::string, std::string>, nvinfer1::IPluginCreatorInterface*>
      creators_;
};

}  // namespace

nvinfer1::IPluginRegistry* getPluginRegistry() noexcept {
  static Registry registry;
  return &registry;
}
