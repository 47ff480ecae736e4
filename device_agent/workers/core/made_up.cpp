#include "workers/core/made_up.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "common/tensors.h"

namespace dx {
namespace {

// The half of a float in [-1, 1), rounded towards 0; below the smallest normal half it is 0.
std::uint16_t to_half(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  const std::uint32_t sign = bits >> 31;
  const std::int32_t exponent = static_cast<std::int32_t>((bits >> 23) & 0xFF) - 127 + 15;
  if (exponent < 1) return static_cast<std::uint16_t>(sign << 15);
  return static_cast<std::uint16_t>((sign << 15) | (static_cast<std::uint32_t>(exponent) << 10) |
                                    ((bits >> 13) & 0x3FF));
}

std::uint16_t to_bfloat16(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<std::uint16_t>(bits >> 16);
}

template <class T>
void put(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
}

}  // namespace

void fill_with_noise(Tensor& tensor) {
  // Zeros would be faster than data.
  tensor.data.assign(tensor_bytes(tensor.dtype, tensor.dims).value_or(0), '\0');
  const std::size_t step = element_bytes(tensor.dtype).value_or(1);
  std::uint32_t state = 1;
  for (std::size_t i = 0; i < tensor.data.size(); i += step) {
    state = state * 1664525U + 1013904223U;  // Numerical Recipes' generator
    const float value = static_cast<float>(state >> 8) / 8388608.0F - 1.0F;
    char* at = &tensor.data[i];
    if (tensor.dtype == "float32") {
      put(at, value);
    } else if (tensor.dtype == "float64") {
      put(at, static_cast<double>(value));
    } else if (tensor.dtype == "float16") {
      put(at, to_half(value));
    } else if (tensor.dtype == "bfloat16") {
      put(at, to_bfloat16(value));
    } else {
      *at = value < 0 ? 0 : 1;
    }
  }
}

}  // namespace dx
