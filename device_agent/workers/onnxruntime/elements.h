// Element types: numpy's names, and what ONNX Runtime calls them.
#pragma once

#include <onnxruntime_c_api.h>

#include <optional>
#include <string>
#include <string_view>

namespace dx {

// numpy's name; empty for types that no tensor can have here (text, 4 and 8 bit floats, complex).
std::string element_name(ONNXTensorElementDataType type);

std::optional<ONNXTensorElementDataType> element_type(std::string_view name);

// By ONNX Runtime's own word in a profile, e.g. "float" for float32; "" for an unknown one.
std::string element_of_profile(std::string_view word);

// "fp32", "int8"; "" for types that no precision is called after (int64, bool).
std::string precision_name(std::string_view element);

}  // namespace dx
