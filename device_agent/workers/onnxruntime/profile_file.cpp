#include "workers/onnxruntime/profile_file.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "common/tensors.h"
#include "workers/core/json.h"
#include "workers/onnxruntime/elements.h"

namespace dx {
namespace {

constexpr std::int64_t kNsPerTick = 1000;  // The file counts microseconds.
constexpr std::string_view kNodeEnd = "_kernel_time";
constexpr std::string_view kProcessor = "CPUExecutionProvider";

// They hand on, move or convert numbers.
constexpr std::array<std::string_view, 27> kMoving{"Cast",
                                                   "Concat",
                                                   "ConstantOfShape",
                                                   "DepthToSpace",
                                                   "DequantizeLinear",
                                                   "Expand",
                                                   "Flatten",
                                                   "Gather",
                                                   "GatherElements",
                                                   "GatherND",
                                                   "Identity",
                                                   "If",
                                                   "Loop",
                                                   "Pad",
                                                   "QuantizeLinear",
                                                   "ReorderInput",
                                                   "ReorderOutput",
                                                   "Reshape",
                                                   "Scan",
                                                   "Shape",
                                                   "Slice",
                                                   "SpaceToDepth",
                                                   "Split",
                                                   "Squeeze",
                                                   "Tile",
                                                   "Transpose",
                                                   "Unsqueeze"};

struct Event {
  bool is_node = false;
  std::string name;
  std::string thread;
  std::int64_t start = 0;  // ticks
  std::int64_t ticks = 0;
  Json arguments;

  std::int64_t end() const { return start + ticks; }
};

// The number behind `"key" :`.
std::string number_after(std::string_view text, std::string_view key) {
  const std::size_t at = text.find("\"" + std::string(key) + "\" :");
  if (at == std::string_view::npos) return "";
  const std::size_t first = text.find_first_of("-0123456789", at + key.size() + 3);
  if (first == std::string_view::npos) return "";
  return std::string(text.substr(first, text.find_first_not_of("-0123456789", first) - first));
}

// The library does not escape a node's name, so the line is cut around it.
std::optional<Event> read_event(std::string_view line) {
  constexpr std::string_view kName = "\"name\" :\"";
  constexpr std::string_view kArguments = "\",\"args\" : ";
  const std::size_t name = line.find(kName);
  const std::size_t arguments = line.rfind(kArguments);
  const std::size_t last = line.rfind('}');
  if (name == std::string_view::npos || arguments == std::string_view::npos ||
      arguments < name + kName.size() || last == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view head = line.substr(0, name);
  const std::size_t start = arguments + kArguments.size();
  std::optional<Json> values =
      last < start ? std::nullopt : parse_json(line.substr(start, last - start));
  if (!values) return std::nullopt;
  Event event;
  event.is_node = head.find("\"cat\" : \"Node\"") != std::string_view::npos;
  event.name = line.substr(name + kName.size(), arguments - name - kName.size());
  event.thread = number_after(head, "tid");
  event.start = std::atoll(number_after(head, "ts").c_str());
  event.ticks = std::atoll(number_after(head, "dur").c_str());
  event.arguments = std::move(*values);
  return event;
}

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

std::string text_of(const Json& object, std::string_view name) {
  const Json* const value = object.member(name);
  return value == nullptr ? "" : value->text;
}

// The first of `[{"float":[1,16,8,8]}, ...]`, of the outputs or the inputs.
void read_shape(const Json* shapes, LayerRun& layer, std::string& element) {
  if (shapes == nullptr || shapes->items.empty() || shapes->items.front().members.empty()) return;
  const auto& [word, dims] = shapes->items.front().members.front();
  element = element_of_profile(word);
  for (const Json& dim : dims.items) layer.dims.push_back(std::atoll(dim.text.c_str()));
  if (const auto bytes = element_bytes(element)) {
    layer.element_bits = static_cast<std::uint32_t>(8 * *bytes);
  }
}

bool is_moving(const std::string& type) {
  return std::find(kMoving.begin(), kMoving.end(), type) != kMoving.end();
}

// Kernels that compute with 8 bit integers, whatever type their result has.
bool computes_int8(const std::string& type) {
  return type.rfind("QLinear", 0) == 0 || type.find("Integer") != std::string::npos ||
         type == "QGemm" || type == "QAttention" || type == "DynamicQuantizeMatMul" ||
         type == "DynamicQuantizeLSTM";
}

LayerRun layer_of(const Event& event) {
  LayerRun layer;
  layer.name = event.name.substr(0, event.name.size() - kNodeEnd.size());
  layer.type = text_of(event.arguments, "op_name");
  std::string element;
  read_shape(event.arguments.member("output_type_shape"), layer, element);
  // What another device computes in is not told by what it hands on.
  const std::string provider = text_of(event.arguments, "provider");
  layer.unit = provider;
  if (provider.empty() || provider == kProcessor) {
    layer.precision = computes_int8(layer.type) ? "int8" : precision_name(element);
  }
  layer.computes = !is_moving(layer.type) && !layer.precision.empty();
  layer.ns = event.ticks * kNsPerTick;
  return layer;
}

// Ticks of the nodes directly inside of each event's graph, by the event's index. REQUIRES: sorted
// by start, the longer first.
std::vector<std::int64_t> ticks_inside(const std::vector<Event>& events) {
  std::vector<std::int64_t> inside(events.size());
  std::map<std::string, std::vector<std::size_t>> open;  // by thread, the innermost last
  for (std::size_t i = 0; i < events.size(); ++i) {
    std::vector<std::size_t>& around = open[events[i].thread];
    while (!around.empty() && events[around.back()].end() <= events[i].start) around.pop_back();
    if (!around.empty()) inside[around.back()] += events[i].ticks;
    const std::string type = text_of(events[i].arguments, "op_name");
    if (type == "If" || type == "Loop" || type == "Scan") around.push_back(i);
  }
  return inside;
}

// Numbers layers across the runs of a file.
class Numbers {
 public:
  std::uint32_t of(const Event& event) {
    const std::string key = event.name + "\n" + text_of(event.arguments, "op_name") + "\n" +
                            text_of(event.arguments, "node_index");
    return known_.try_emplace(key, static_cast<std::uint32_t>(known_.size())).first->second;
  }

 private:
  std::map<std::string, std::uint32_t> known_;
};

std::vector<LayerRun> layers_of(std::vector<Event> events, Numbers& numbers) {
  std::stable_sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return a.start != b.start ? a.start < b.start : a.ticks > b.ticks;
  });
  const std::vector<std::int64_t> inside = ticks_inside(events);
  std::vector<LayerRun> layers;
  for (std::size_t i = 0; i < events.size(); ++i) {
    LayerRun layer = layer_of(events[i]);
    layer.index = numbers.of(events[i]);
    layer.ns = std::max<std::int64_t>(0, layer.ns - inside[i] * kNsPerTick);
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace

std::vector<std::vector<LayerRun>> read_profile(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::vector<LayerRun>> runs;
  std::vector<Event> nodes;
  Numbers numbers;
  std::string line;
  for (std::string next; std::getline(file, next);) {
    if (next == "[" || next == "]") continue;
    // A name may hold the end of a line.
    line = line.empty() ? next : line + "\n" + next;
    if (!ends_with(line, "}},") && !ends_with(line, "}}")) continue;
    std::optional<Event> event = read_event(line);
    if (!event) return {};
    line.clear();
    // A run is noted when it has ended, after its nodes.
    if (!event->is_node && event->name == "model_run") {
      runs.push_back(layers_of(std::move(nodes), numbers));
      nodes.clear();
    } else if (event->is_node && ends_with(event->name, kNodeEnd)) {
      nodes.push_back(std::move(*event));
    }
  }
  return line.empty() ? runs : std::vector<std::vector<LayerRun>>();
}

std::vector<std::vector<LayerRun>> join_samples(std::vector<std::vector<LayerRun>> runs,
                                                std::size_t samples) {
  if (samples < 2) return runs;
  std::vector<std::vector<LayerRun>> joined;
  for (std::size_t i = 0; i + samples <= runs.size(); i += samples) {
    std::vector<LayerRun> whole;
    for (std::size_t j = i; j < i + samples; ++j) {
      for (LayerRun& layer : runs[j]) {
        const auto known = std::find_if(whole.begin(), whole.end(), [&layer](const LayerRun& it) {
          return it.index == layer.index;
        });
        if (known == whole.end()) {
          whole.push_back(std::move(layer));
        } else {
          known->ns += layer.ns;
          if (layer.cycles) known->cycles = known->cycles.value_or(0) + *layer.cycles;
        }
      }
    }
    joined.push_back(std::move(whole));
  }
  return joined;
}

std::vector<std::vector<LayerRun>> without_first(std::vector<std::vector<LayerRun>> runs) {
  if (!runs.empty()) runs.erase(runs.begin());
  return runs;
}

}  // namespace dx
