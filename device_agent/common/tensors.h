// What tensors weigh: element types by numpy's names, sizes without overflow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/messages.h"
#include "common/result.h"

namespace dx {

// Of one sample; the axis of a batch comes on top.
constexpr std::size_t kMaxDims = 8;

// "bool, int8, ...", for messages.
std::string element_types();

// The bytes of one element; empty for a type that has no name here.
std::optional<std::size_t> element_bytes(std::string_view dtype);

// The bytes of a dense tensor; empty where the type is unknown, a dim is negative or the product
// passes kMaxFrameBytes.
std::optional<std::size_t> tensor_bytes(std::string_view dtype,
                                        const std::vector<std::int64_t>& dims);

// Fails where type, dims and bytes of an input do not belong together, or there are too many dims.
Status check_tensor(const Tensor& tensor);

}  // namespace dx
