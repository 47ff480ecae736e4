// A stand-in for TensorRT's registry of plugins: found by name, version and namespace.
#include <algorithm>
#include <map>
#include <string>
#include <tuple>

#include "NvInferRuntime.h"

namespace {

using nvinfer1::IPluginCreatorInterface;

class Registry : public nvinfer1::IPluginRegistry {
 public:
  bool registerCreator(IPluginCreatorInterface& creator, const char* space) noexcept override {
    if (const auto* const newer = dynamic_cast<nvinfer1::IPluginCreatorV3One*>(&creator)) {
      return add(newer->getPluginName(), newer->getPluginVersion(), space, creator);
    }
    const auto* const older = dynamic_cast<nvinfer1::IPluginCreator*>(&creator);
    return older != nullptr &&
           add(older->getPluginName(), older->getPluginVersion(), space, creator);
  }
  bool deregisterCreator(const IPluginCreatorInterface& creator) noexcept override {
    const auto found = std::find_if(creators_.begin(), creators_.end(),
                                    [&](const auto& one) { return one.second == &creator; });
    if (found == creators_.end()) return false;
    creators_.erase(found);
    return true;
  }
  IPluginCreatorInterface* getCreator(const char* name, const char* version,
                                      const char* space) noexcept override {
    const auto found = creators_.find(std::make_tuple(name, version, space));
    return found == creators_.end() ? nullptr : found->second;
  }

 private:
  bool add(const char* name, const char* version, const char* space,
           IPluginCreatorInterface& creator) {
    return creators_.emplace(std::make_tuple(name, version, space), &creator).second;
  }

  std::map<std::tuple<std::string, std::string, std::string>, IPluginCreatorInterface*> creators_;
};

}  // namespace

nvinfer1::IPluginRegistry* getPluginRegistry() noexcept {
  static Registry registry;
  return &registry;
}
