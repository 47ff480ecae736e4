// The times that OpenVINO notes, layer by layer.
#pragma once

#include <openvino/c/ov_infer_request.h>

#include <string>
#include <vector>

#include "workers/core/runtime.h"

namespace dx {

// The layers that were executed, in their order. Shapes are not told.
std::vector<LayerRun> layers_of(const ov_profiling_info_list_t& noted);

// What an implementation computes in, by the end of its name ("jit_avx512_f32", "gemm_acl_f16"):
// "fp32", "fp16", "bf16", "int8"; "" where it tells none of these.
std::string precision_of_implementation(const std::string& name);

// Adds the times of another sample to those of the same layers.
void add_times(std::vector<LayerRun>& whole, const std::vector<LayerRun>& sample);

}  // namespace dx
