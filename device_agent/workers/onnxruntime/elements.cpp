#include "workers/onnxruntime/elements.h"

#include <array>

namespace dx {
namespace {

struct Element {
  ONNXTensorElementDataType type;
  std::string_view name;
  std::string_view profile;
  std::string_view precision;
};

constexpr std::array<Element, 13> kElements{
    {{ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL, "bool", "bool", ""},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, "int8", "int8", "int8"},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, "uint8", "uint8", "int8"},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16, "int16", "int16", "int16"},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16, "uint16", "uint16", "int16"},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, "int32", "int32", ""},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32, "uint32", "uint32", ""},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, "int64", "int64", ""},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64, "uint64", "uint64", ""},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, "float16", "float16", "fp16"},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16, "bfloat16", "bfloat16", "bf16"},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, "float32", "float", "fp32"},
     {ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, "float64", "double", "fp64"}}};

}  // namespace

std::string element_name(ONNXTensorElementDataType type) {
  for (const Element& element : kElements) {
    if (element.type == type) return std::string(element.name);
  }
  return "";
}

std::optional<ONNXTensorElementDataType> element_type(std::string_view name) {
  for (const Element& element : kElements) {
    if (element.name == name) return element.type;
  }
  return std::nullopt;
}

std::string element_of_profile(std::string_view word) {
  for (const Element& element : kElements) {
    if (element.profile == word) return std::string(element.name);
  }
  return "";
}

std::string precision_name(std::string_view element) {
  for (const Element& known : kElements) {
    if (known.name == element) return std::string(known.precision);
  }
  return "";
}

}  // namespace dx
