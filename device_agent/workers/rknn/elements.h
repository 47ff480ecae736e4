// Floats as a model's own elements, and images with their channels last: what the library does with
// inputs that it is given as floats, for those that are written into the NPU's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "workers/rknn/rknn_api.h"

namespace dx {

// The nearest half float; of two the even one.
std::uint16_t to_half(float value);

// value / scale + zero_point, rounded to the nearest and held within int8.
std::int8_t to_int8(float value, float scale, std::int32_t zero_point);

// Whether inputs of these attributes can be written as the model's own elements.
bool can_write(const rknn::Attributes& attributes);

// The dims of a tensor in ONNX's order, channels before height and width.
std::vector<std::int64_t> onnx_dims(const rknn::Attributes& attributes);

// Dense floats in the order that the attributes name, from ONNX's. REQUIRES: they hold as many.
std::vector<float> in_order(std::string_view data, const rknn::Attributes& attributes);

// Dense floats in ONNX's order, from that which the attributes name.
std::string in_onnx_order(const std::string& data, const rknn::Attributes& attributes);

// Writes floats in that order as the model's elements, with the gaps after rows that the NPU wants.
// REQUIRES: can_write(), and room for bytes_with_stride.
void write_elements(const std::vector<float>& values, const rknn::Attributes& attributes,
                    void* place);

}  // namespace dx
