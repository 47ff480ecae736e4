// Element types: numpy's names, and what TensorRT calls them.
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dx {

// numpy's name; empty for types that no tensor can have here (4 and 8 bit floats).
std::string element_name(nvinfer1::DataType type);

// What a layer computes in, by the words in which the engine's inspector tells the format of what
// it gives ("Row major linear FP16 format", "Half"): "fp32", "fp16", "bf16", "int8"; "" for others.
std::string precision_of_format(std::string_view words);

std::vector<std::int64_t> dims_of(const nvinfer1::Dims& dims);

// REQUIRES: at most eight.
nvinfer1::Dims to_dims(const std::vector<std::int64_t>& dims);

}  // namespace dx
