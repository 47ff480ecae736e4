// Boxes of several images and classes, looked at from the highest score down.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "operators/operator.h"

namespace dx::op {

// boxes (images, count, numbers), scores (images, classes, count).
struct Scored {
  std::int64_t images, classes, count;

  static constexpr std::int64_t kMostBoxes = std::int64_t{1} << 24;  // that floats count

  // What keeps the tensors from being that; nullptr if nothing does.
  const char* measure(const Shape& boxes, const Shape& scores, std::int64_t numbers) {
    if (boxes.size() != 3 || scores.size() != 3) return "its inputs have other numbers of axes";
    *this = {boxes[0], scores[1], boxes[1]};
    if (boxes[2] != numbers || scores != Shape{images, classes, count}) {
      return "the shapes of its inputs do not fit";
    }
    if (std::max({images, classes, count}) > kMostBoxes) return "it has too many boxes";
    return nullptr;
  }

  // How many image-and-class pairs there are.
  std::int64_t pairs() const { return images * classes; }
};

// The numbers 0 to count - 1 by falling score, of equal ones the lower first; what is no number
// comes last.
inline void order_by_score(const float* scores, std::int64_t count, std::int32_t* order) {
  for (std::int64_t i = 0; i < count; ++i) order[i] = static_cast<std::int32_t>(i);
  std::sort(order, order + count, [scores](std::int32_t a, std::int32_t b) {
    const bool has_a = !std::isnan(scores[a]);
    const bool has_b = !std::isnan(scores[b]);
    if (has_a != has_b) return has_a;
    return has_a && scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  });
}

}  // namespace dx::op
