// How the scattering operators put an update onto what is there, and where indices lead.
#pragma once

#include <cstdint>

#include "operators/operator.h"

namespace dx::op {

// The places of op.toml's values of the attribute "reduction".
enum class Reduction : std::int64_t { kNone, kAdd, kMul, kMin, kMax };

inline void put(float& there, float update, Reduction reduction) {
  switch (reduction) {
    case Reduction::kAdd:
      there += update;
      break;
    case Reduction::kMul:
      there *= update;
      break;
    case Reduction::kMin:
      there = there < update ? there : update;  // of what is no number the later, as in max
      break;
    case Reduction::kMax:
      there = there > update ? there : update;
      break;
    default:
      there = update;
  }
}

// A float as an index below size, counted from the end where it is negative; -1 beyond the axis.
inline std::int64_t index_of(float value, std::int64_t size) {
  const auto limit = static_cast<float>(size);
  if (value < 0) value += limit;
  return value >= 0 && value < limit ? static_cast<std::int64_t>(value) : -1;
}

// Where in the data that row of the indices begins, with index 0 along the axis.
inline std::int64_t row_begin(const Shape& data, const Shape& indices, std::size_t axis,
                              std::int64_t row) {
  std::int64_t begin = 0;
  std::int64_t stride = data[data.size() - 1];
  for (std::size_t i = data.size() - 1; i-- > 0;) {
    if (i != axis) begin += row % indices[i] * stride;
    row /= indices[i];
    stride *= data[i];
  }
  return begin;
}

}  // namespace dx::op
