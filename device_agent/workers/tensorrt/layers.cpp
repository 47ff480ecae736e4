#include "workers/tensorrt/layers.h"

#include <charconv>
#include <cstddef>
#include <exception>
#include <map>
#include <optional>
#include <utility>

#include "workers/core/json.h"
#include "workers/tensorrt/elements.h"

namespace dx {
namespace {

constexpr double kNsInMs = 1e6;

std::uint32_t bits_of(const std::string& precision) {
  if (precision == "fp32") return 32;
  if (precision == "fp16" || precision == "bf16") return 16;
  return precision == "int8" ? 8 : 0;
}

std::string text_of(const Json* value) {
  return value != nullptr && value->kind == Json::Kind::kText ? value->text : "";
}

std::vector<std::int64_t> dims_in(const Json* value) {
  std::vector<std::int64_t> dims;
  if (value == nullptr || value->kind != Json::Kind::kArray) return dims;
  for (const Json& item : value->items) {
    std::int64_t dim = 0;
    const char* const end = item.text.data() + item.text.size();
    if (std::from_chars(item.text.data(), end, dim).ptr != end) return {};
    dims.push_back(dim);
  }
  return dims;
}

// The accelerator's layers are of a type of their own; older versions give them a name in braces
// only, in which several nodes are joined.
bool is_of_dla(const LayerRun& layer) {
  if (layer.type.find("DLA") != std::string::npos) return true;
  return layer.type.empty() && !layer.name.empty() && layer.name.front() == '{';
}

void tell_unit(LayerRun& layer, bool wants_dla) {
  const bool is_dla = wants_dla && is_of_dla(layer);
  layer.unit = is_dla ? "DLA" : "GPU";
  layer.fell_back = wants_dla && !is_dla && layer.computes;
}

bool only_moves(const std::string& type) {
  return type.find("Reformat") != std::string::npos || type.find("NoOp") != std::string::npos;
}

}  // namespace

void LayerProfiler::reportLayerTime(const char* name, float ms) noexcept {
  try {
    times_.emplace_back(name == nullptr ? "" : name, ms);
  } catch (const std::exception&) {
    return;  // without memory for it a layer's time is lost
  }
}

LayerTimings LayerProfiler::take() { return std::exchange(times_, {}); }

LayerRun described_layer(std::string_view told, bool wants_dla) {
  LayerRun layer;
  const std::optional<Json> json = parse_json(told);
  if (!json || json->kind != Json::Kind::kObject) {
    layer.name = std::string(told);
    tell_unit(layer, wants_dla);
    return layer;
  }
  layer.name = text_of(json->member("Name"));
  layer.type = text_of(json->member("LayerType"));
  const Json* const outputs = json->member("Outputs");
  if (outputs != nullptr && !outputs->items.empty()) {
    const Json& first = outputs->items.front();
    layer.dims = dims_in(first.member("Dimensions"));
    const Json* format = first.member("Format/Datatype");
    if (format == nullptr) format = first.member("Datatype");
    layer.precision = precision_of_format(text_of(format));
    layer.element_bits = bits_of(layer.precision);
    layer.computes = !only_moves(layer.type);
  }
  tell_unit(layer, wants_dla);
  return layer;
}

std::vector<LayerRun> layers_of(const std::vector<LayerRun>& described, const LayerTimings& times) {
  std::map<std::string, const LayerRun*> known;
  for (const LayerRun& layer : described) known.emplace(layer.name, &layer);
  std::vector<LayerRun> layers;
  for (const auto& [name, ms] : times) {
    const auto found = known.find(name);
    LayerRun layer = found == known.end() ? LayerRun{} : *found->second;
    layer.name = name;
    layer.index = static_cast<std::uint32_t>(layers.size());
    layer.ns = static_cast<std::int64_t>(static_cast<double>(ms) * kNsInMs);
    layers.push_back(std::move(layer));
  }
  return layers;
}

}  // namespace dx
