// Which box took out which: rows of image, class, a kept box, and one that shares at least so much
// with it and is no better. Only boxes above a score are told, all of them take others out.
#pragma once

#include <algorithm>
#include <cstdint>

#include "operators/best_first.h"
#include "operators/operator.h"

namespace dx::op::nms_match {

class Kernel {
 public:
  explicit Kernel(const Attributes&) {}

  const char* run(Call& call) const {
    Scored s = {};
    const Tensor& boxes = call.input(0);
    const Tensor& scores = call.input(1);
    if (const char* complaint = s.measure(boxes.shape, scores.shape, kNumbers)) return complaint;
    if (elements(call.input(2).shape) != 1 || elements(call.input(3).shape) != 1) {
      return "its thresholds are not one number each";
    }
    // For each box its place in the order, and which took it out: itself where none did.
    const std::int64_t size = s.pairs() * s.count;
    float* const memory = call.scratch(static_cast<std::size_t>(2 * size + 1));
    if (memory == nullptr) return kNoMemory;
    auto* const orders = reinterpret_cast<std::int32_t*>(memory);
    std::int32_t* const takers = orders + size;
    call.parallel(s.pairs(), [&](std::int64_t pair, int) {
      std::int32_t* const order = orders + pair * s.count;
      order_by_score(scores.data + pair * s.count, s.count, order);
      take_out(boxes.data + pair / s.classes * s.count * kNumbers, s.count, call.input(2).data[0],
               order, takers + pair * s.count);
    });
    return write(call, s, orders, takers);
  }

 private:
  static constexpr std::int64_t kNumbers = 4;

  static void take_out(const float* boxes, std::int64_t count, float least,
                       const std::int32_t* order, std::int32_t* takers) {
    for (std::int64_t i = 0; i < count; ++i) takers[i] = static_cast<std::int32_t>(i);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int32_t box = order[i];
      if (takers[box] != box) continue;
      for (std::int64_t j = i + 1; j < count; ++j) {
        const std::int32_t other = order[j];
        if (takers[other] != other) continue;
        if (shared(boxes + box * kNumbers, boxes + other * kNumbers) >= least) takers[other] = box;
      }
    }
  }

  static float shared(const float* a, const float* b) {
    constexpr float kLeast = 1e-10F;  // where neither has an area
    const float width = std::max(std::min(a[2], b[2]) - std::max(a[0], b[0]), 0.0F);
    const float height = std::max(std::min(a[3], b[3]) - std::max(a[1], b[1]), 0.0F);
    const float common = width * height;
    const float all = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common;
    return common / (all + kLeast);
  }

  static const char* write(Call& call, const Scored& s, const std::int32_t* orders,
                           const std::int32_t* takers) {
    const float* const scores = call.input(1).data;
    const float least = call.input(3).data[0];
    std::int64_t rows = 0;
    for (std::int64_t i = 0; i < s.pairs() * s.count; ++i) {
      const std::int64_t first = i / s.count * s.count;
      if (takers[i] != i - first && scores[first + takers[i]] > least) ++rows;
    }
    float* to = call.output(0, {rows, 4});
    if (to == nullptr) return kNoMemory;
    for (std::int64_t pair = 0; pair < s.pairs(); ++pair) {
      const std::int32_t* const order = orders + pair * s.count;
      const std::int32_t* const taker = takers + pair * s.count;
      for (std::int64_t i = 0; i < s.count; ++i) {
        if (!(scores[pair * s.count + order[i]] > least)) continue;
        for (std::int64_t j = i + 1; j < s.count; ++j) {
          if (taker[order[j]] != order[i]) continue;
          *to++ = static_cast<float>(pair / s.classes);
          *to++ = static_cast<float>(pair % s.classes);
          *to++ = static_cast<float>(order[i]);
          *to++ = static_cast<float>(order[j]);
        }
      }
    }
    return nullptr;
  }
};

}  // namespace dx::op::nms_match
