#include "workers/rknn/elements.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace dx {
namespace {

constexpr std::size_t kImageDims = 4;

bool is_image_with_channels_last(const rknn::Attributes& attributes) {
  return attributes.format == rknn::kNhwc && attributes.dim_count == kImageDims;
}

// How many elements stand in a row without a gap, and where the next row begins.
struct Rows {
  std::size_t length;
  std::size_t stride;
};

Rows rows_of(const rknn::Attributes& attributes) {
  const std::size_t all = attributes.elements;
  if (!is_image_with_channels_last(attributes)) return {all, all};
  const std::size_t width = attributes.dims[2];
  const std::size_t channels = attributes.dims[3];
  const std::size_t stride = attributes.width_stride == 0 ? width : attributes.width_stride;
  return {width * channels, stride * channels};
}

template <class Element, class Function>
void write_rows(const std::vector<float>& values, const Rows& rows, void* place,
                Function&& convert) {
  auto* const elements = static_cast<unsigned char*>(place);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const Element element = convert(values[i]);
    const std::size_t at = i / rows.length * rows.stride + i % rows.length;
    std::memcpy(elements + at * sizeof element, &element, sizeof element);
  }
}

}  // namespace

std::uint16_t to_half(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000U);
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  if (magnitude > 0x7f800000U) return static_cast<std::uint16_t>(sign | 0x7e00U);  // NaN
  if (magnitude >= 0x477ff000U) return static_cast<std::uint16_t>(sign | 0x7c00U);
  if (magnitude < 0x38800000U) {
    // Below the smallest normal half all steps are 2^-24; the sum rounds to the nearest.
    float small = 0;
    std::memcpy(&small, &magnitude, sizeof small);
    return static_cast<std::uint16_t>(sign |
                                      static_cast<std::uint32_t>(std::nearbyint(small * 0x1p24F)));
  }
  const std::uint32_t odd = magnitude >> 13 & 1U;
  return static_cast<std::uint16_t>(sign | (magnitude - 0x38000000U + 0xfffU + odd) >> 13);
}

std::int8_t to_int8(float value, float scale, std::int32_t zero_point) {
  const float found = std::nearbyint(value / scale) + static_cast<float>(zero_point);
  if (!(found > -128)) return -128;  // NaN, too
  return static_cast<std::int8_t>(std::min(found, 127.0F));
}

bool can_write(const rknn::Attributes& attributes) {
  const bool is_affine = attributes.type == rknn::kInt8 &&
                         attributes.quantization == rknn::kAffine && attributes.scale > 0;
  if (!is_affine && attributes.type != rknn::kFloat16) return false;
  const std::size_t size = is_affine ? 1 : 2;
  const Rows rows = rows_of(attributes);
  return rows.length > 0 && attributes.format != rknn::kNc1hwc2 &&
         attributes.elements / rows.length * rows.stride * size <= attributes.bytes_with_stride;
}

std::vector<std::int64_t> onnx_dims(const rknn::Attributes& attributes) {
  const std::uint32_t* const dims = attributes.dims;
  if (is_image_with_channels_last(attributes)) return {dims[0], dims[3], dims[1], dims[2]};
  return {dims, dims + std::min(attributes.dim_count, rknn::kMostDims)};
}

std::vector<float> in_order(std::string_view data, const rknn::Attributes& attributes) {
  std::vector<float> values(data.size() / sizeof(float));
  std::memcpy(values.data(), data.data(), values.size() * sizeof(float));
  if (!is_image_with_channels_last(attributes)) return values;
  const std::size_t area = std::size_t{attributes.dims[1]} * attributes.dims[2];
  const std::size_t channels = attributes.dims[3];
  std::vector<float> moved(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t image = i / (area * channels);
    const std::size_t channel = i / area % channels;
    moved[(image * area + i % area) * channels + channel] = values[i];
  }
  return moved;
}

std::string in_onnx_order(const std::string& data, const rknn::Attributes& attributes) {
  if (!is_image_with_channels_last(attributes)) return data;
  const std::size_t area = std::size_t{attributes.dims[1]} * attributes.dims[2];
  const std::size_t channels = attributes.dims[3];
  std::string moved(data.size(), '\0');
  for (std::size_t i = 0; i < data.size() / sizeof(float); ++i) {
    const std::size_t image = i / (area * channels);
    const std::size_t channel = i / area % channels;
    const std::size_t from = (image * area + i % area) * channels + channel;
    std::memcpy(&moved[i * sizeof(float)], &data[from * sizeof(float)], sizeof(float));
  }
  return moved;
}

void write_elements(const std::vector<float>& values, const rknn::Attributes& attributes,
                    void* place) {
  const Rows rows = rows_of(attributes);
  if (attributes.type == rknn::kInt8) {
    write_rows<std::int8_t>(values, rows, place, [&attributes](float value) {
      return to_int8(value, attributes.scale, attributes.zero_point);
    });
    return;
  }
  write_rows<std::uint16_t>(values, rows, place, to_half);
}

}  // namespace dx
