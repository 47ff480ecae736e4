#include "workers/tensorrt/elements.h"

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace dx {
namespace {

struct Format {
  std::string_view word;
  std::string_view precision;
};

// BFloat16 holds Float, so it comes first.
constexpr Format kFormats[] = {{"BF16", "bf16"},  {"BFloat16", "bf16"}, {"FP32", "fp32"},
                               {"Float", "fp32"}, {"FP16", "fp16"},     {"Half", "fp16"},
                               {"Int8", "int8"},  {"INT8", "int8"}};

}  // namespace

std::string element_name(nvinfer1::DataType type) {
  using nvinfer1::DataType;
  switch (type) {
    case DataType::kFLOAT:
      return "float32";
    case DataType::kHALF:
      return "float16";
    case DataType::kINT8:
      return "int8";
    case DataType::kINT32:
      return "int32";
    case DataType::kBOOL:
      return "bool";
    case DataType::kUINT8:
      return "uint8";
#if NV_TENSORRT_MAJOR >= 10
    case DataType::kINT64:
      return "int64";
    case DataType::kBF16:
      return "bfloat16";
#endif
    default:
      return "";
  }
}

std::string precision_of_format(std::string_view words) {
  for (const Format& format : kFormats) {
    if (words.find(format.word) != std::string_view::npos) return std::string(format.precision);
  }
  return "";
}

std::vector<std::int64_t> dims_of(const nvinfer1::Dims& dims) {
  return {dims.d, dims.d + dims.nbDims};
}

nvinfer1::Dims to_dims(const std::vector<std::int64_t>& dims) {
  nvinfer1::Dims made{};
  made.nbDims = static_cast<std::int32_t>(dims.size());
  for (std::size_t i = 0; i < dims.size(); ++i) {
    made.d[i] = static_cast<std::remove_reference_t<decltype(made.d[i])>>(dims[i]);
  }
  return made;
}

}  // namespace dx
