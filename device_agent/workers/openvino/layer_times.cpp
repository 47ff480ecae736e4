#include "workers/openvino/layer_times.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace dx {
namespace {

constexpr std::int64_t kNsPerTick = 1000;

// Layers that only hand on, move or convert what others have computed.
constexpr std::array<std::string_view, 27> kMoving = {"Broadcast",
                                                      "Concatenation",
                                                      "Convert",
                                                      "DepthToSpace",
                                                      "Gather",
                                                      "GatherElements",
                                                      "GatherND",
                                                      "If",
                                                      "Loop",
                                                      "MemoryInput",
                                                      "MemoryOutput",
                                                      "Pad",
                                                      "Parameter",
                                                      "Reorder",
                                                      "Reshape",
                                                      "Result",
                                                      "ReverseSequence",
                                                      "ScatterUpdate",
                                                      "ShapeOf",
                                                      "SpaceToDepth",
                                                      "Split",
                                                      "StridedSlice",
                                                      "TensorIterator",
                                                      "Tile",
                                                      "Transpose",
                                                      "Unsqueeze",
                                                      "Squeeze"};

std::string text_of(const char* text) { return text == nullptr ? "" : text; }

}  // namespace

std::string precision_of_implementation(const std::string& name) {
  const std::string end = name.substr(name.rfind('_') + 1);
  if (end == "f32") return "fp32";
  if (end == "f16") return "fp16";
  if (end == "bf16") return "bf16";
  if (end == "I8" || end == "i8" || end == "u8") return "int8";
  return "";
}

std::vector<LayerRun> layers_of(const ov_profiling_info_list_t& noted) {
  std::vector<LayerRun> layers;
  for (std::size_t i = 0; i < noted.size; ++i) {
    const ov_profiling_info_t& info = noted.profiling_infos[i];
    if (info.status != ov_profiling_info_t::EXECUTED) continue;
    LayerRun layer;
    layer.index = static_cast<std::uint32_t>(i);
    layer.name = text_of(info.node_name);
    layer.type = text_of(info.node_type);
    layer.precision = precision_of_implementation(text_of(info.exec_type));
    const bool moves = std::find(kMoving.begin(), kMoving.end(), layer.type) != kMoving.end();
    layer.computes = !moves && !layer.precision.empty();
    layer.ns = info.real_time * kNsPerTick;
    layers.push_back(std::move(layer));
  }
  return layers;
}

void add_times(std::vector<LayerRun>& whole, const std::vector<LayerRun>& sample) {
  for (const LayerRun& layer : sample) {
    const auto known = std::find_if(whole.begin(), whole.end(), [&layer](const LayerRun& one) {
      return one.index == layer.index;
    });
    if (known == whole.end()) {
      whole.push_back(layer);
    } else {
      known->ns += layer.ns;
    }
  }
}

}  // namespace dx
