// Layers of an engine: what they are, by its inspector, and their times, by its profiler.
#pragma once

#include <NvInferRuntime.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "workers/core/runtime.h"

namespace dx {

// Layers of one run by name, with their milliseconds, in their order.
using LayerTimings = std::vector<std::pair<std::string, float>>;

// Notes the times that TensorRT tells of one run.
class LayerProfiler : public nvinfer1::IProfiler {
 public:
  void reportLayerTime(const char* name, float ms) noexcept override;

  LayerTimings take();

 private:
  LayerTimings times_;
};

// What the inspector tells of a layer in JSON: name, type, dims and precision of its first output.
// What it does not tell stays empty; where the text is no JSON, it is the layer's name.
// `wants_dla`: the engine is for the deep learning accelerator, which leaves what it cannot compute
// to the GPU.
LayerRun described_layer(std::string_view told, bool wants_dla);

// The layers of a run: those that the profiler told, with what the inspector says of each.
std::vector<LayerRun> layers_of(const std::vector<LayerRun>& described, const LayerTimings& times);

}  // namespace dx
