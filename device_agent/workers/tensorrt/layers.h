// Layers of an engine: what they are, by its inspector, and their times, by its profiler.
#pragma once

#include <NvInferRuntime.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "workers/core/runtime.h"

namespace dx {

// Notes the times that TensorRT tells of one run, in their order.
class LayerProfiler : public nvinfer1::IProfiler {
 public:
  void reportLayerTime(const char* name, float ms) noexcept override;

  std::vector<std::pair<std::string, float>> take();

 private:
  std::vector<std::pair<std::string, float>> times_;
};

// What the inspector tells of a layer in JSON: name, type, dims and precision of its first output.
// What it does not tell stays empty; where the text is no JSON, it is the layer's name.
LayerRun described_layer(std::string_view told);

// The layers of a run: those that the profiler told, with what the inspector says of each.
std::vector<LayerRun> layers_of(const std::vector<LayerRun>& described,
                                const std::vector<std::pair<std::string, float>>& times);

}  // namespace dx
