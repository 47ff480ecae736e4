#include "common/tensors.h"

#include <algorithm>
#include <array>

#include "common/text.h"

namespace dx {
namespace {

struct ElementType {
  std::string_view name;
  std::size_t bytes;
};

constexpr std::array<ElementType, 13> kElementTypes{{{"bool", 1},
                                                     {"int8", 1},
                                                     {"uint8", 1},
                                                     {"int16", 2},
                                                     {"uint16", 2},
                                                     {"int32", 4},
                                                     {"uint32", 4},
                                                     {"int64", 8},
                                                     {"uint64", 8},
                                                     {"float16", 2},
                                                     {"bfloat16", 2},
                                                     {"float32", 4},
                                                     {"float64", 8}}};

Failure refuse(const std::string& message) {
  return {FailureCode::kRuntimeRefused, message, Phase::kUnspecified};
}

}  // namespace

std::string element_types() {
  std::vector<std::string> names;
  for (const ElementType& type : kElementTypes) names.emplace_back(type.name);
  return list_text(names);
}

std::optional<std::size_t> element_bytes(std::string_view dtype) {
  for (const ElementType& type : kElementTypes) {
    if (type.name == dtype) return type.bytes;
  }
  return std::nullopt;
}

std::optional<std::size_t> tensor_bytes(std::string_view dtype,
                                        const std::vector<std::int64_t>& dims) {
  const std::optional<std::size_t> size = element_bytes(dtype);
  if (!size || std::any_of(dims.begin(), dims.end(), [](std::int64_t dim) { return dim < 0; })) {
    return std::nullopt;
  }
  // A dim of 0 makes every product 0, whatever the others are.
  if (std::find(dims.begin(), dims.end(), 0) != dims.end()) return std::size_t{0};
  std::size_t bytes = *size;
  for (const std::int64_t dim : dims) {
    if (static_cast<std::uint64_t>(dim) > kMaxFrameBytes / bytes) return std::nullopt;
    bytes *= static_cast<std::size_t>(dim);
  }
  return bytes;
}

Status check_tensor(const Tensor& tensor) {
  const std::string what = "input '" + printable(tensor.name, 80) + "': ";
  if (!element_bytes(tensor.dtype)) {
    return refuse(what + "expected an element type of " + element_types() + ", got '" +
                  printable(tensor.dtype, 40) + "'");
  }
  const std::size_t axes = tensor.dims.size() - (tensor.batched && !tensor.dims.empty() ? 1 : 0);
  if (axes > kMaxDims) {
    return refuse(what + "expected at most 8 dims, got " + std::to_string(axes));
  }
  const std::optional<std::size_t> bytes = tensor_bytes(tensor.dtype, tensor.dims);
  if (!bytes) {
    return refuse(what + "expected dims of at least 0 and at most 1 GiB in all, got " +
                  dims_text(tensor.dims));
  }
  if (tensor.data.size() != *bytes) {
    return refuse(what + "dims " + dims_text(tensor.dims) + " of " + tensor.dtype + " are " +
                  std::to_string(*bytes) + " bytes, got " + std::to_string(tensor.data.size()));
  }
  return {};
}

}  // namespace dx
