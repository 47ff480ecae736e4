#include "workers/openvino/properties.h"

#include "common/processors.h"
#include "workers/core/options.h"

namespace dx {
namespace {

// Floats are fp32 unless something else is asked for: by itself OpenVINO takes half floats or
// bfloat16 where the processor has them. It has one precision for all of a model.
std::string precision_of(const RunOptions& request, bool keeps_float) {
  if (const auto named = text_of(request, "inference_precision")) return *named;
  if (request.precision == "bf16") return "bf16";
  return request.precision == "fp16" && !keeps_float ? "f16" : "f32";
}

}  // namespace

Properties properties_of(const RunOptions& request, bool keeps_float) {
  Properties properties;
  properties["INFERENCE_PRECISION_HINT"] = precision_of(request, keeps_float);
  const bool latency = text_of(request, "performance_hint").value_or("latency") == "latency";
  properties["PERFORMANCE_HINT"] = latency ? "LATENCY" : "THROUGHPUT";
  // The cores asked for are those of this thread's affinity by now.
  const std::uint32_t threads =
      request.threads > 0 ? request.threads : static_cast<std::uint32_t>(free_cores());
  properties["INFERENCE_NUM_THREADS"] = std::to_string(threads);
  if (const auto streams = number_of(request, "streams")) {
    properties["NUM_STREAMS"] = std::to_string(*streams);
  }
  if (const auto pinning = switch_of(request, "pinning")) {
    properties["ENABLE_CPU_PINNING"] = *pinning ? "YES" : "NO";
  }
  return properties;
}

std::vector<ov_property_t> listed(const Properties& properties) {
  std::vector<ov_property_t> list;
  for (const auto& [key, value] : properties) list.push_back({key.c_str(), value.c_str()});
  return list;
}

}  // namespace dx
