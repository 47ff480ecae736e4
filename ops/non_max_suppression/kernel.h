// The best boxes of each image and class that share too little with a better one: rows of image,
// class and box, as many as the model fills them up to; those beyond the last are -1.
#pragma once

#include <algorithm>
#include <cstdint>

#include "operators/best_first.h"
#include "operators/operator.h"

namespace dx::op::non_max_suppression {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes)
      : is_centered_(attributes.integer("center_point_box") != 0),
        rows_(attributes.integer("rows")) {}

  const char* run(Call& call) const {
    Scored s = {};
    if (const char* complaint = s.measure(call.input(0).shape, call.input(1).shape, kNumbers)) {
      return complaint;
    }
    if (rows_ < 1 || rows_ > Scored::kMostBoxes) return "how many rows it gives is not fixed";
    Limits limits;
    if (const char* complaint = limits.read(call, s.count, rows_)) return complaint;
    float* const output = call.output(0, {rows_, kColumns});
    float* const memory = call.scratch(static_cast<std::size_t>(s.pairs() * (s.count + 1)));
    if (output == nullptr || memory == nullptr) return kNoMemory;
    auto* const orders = reinterpret_cast<std::int32_t*>(memory);
    std::int32_t* const found = orders + s.pairs() * s.count;
    call.parallel(s.pairs(), [&](std::int64_t pair, int) {
      found[pair] =
          select(call.input(0).data + pair / s.classes * s.count * kNumbers,
                 call.input(1).data + pair * s.count, s.count, limits, orders + pair * s.count);
    });
    write(s, orders, found, output);
    return nullptr;
  }

 private:
  static constexpr std::int64_t kNumbers = 4;
  static constexpr std::int64_t kColumns = 3;

  struct Limits {
    std::int64_t most = 0;  // boxes of an image and class
    float shared = 0.0F;
    bool has_score = false;
    float score = 0.0F;

    const char* read(const Call& call, std::int64_t count, std::int64_t rows) {
      for (std::size_t i = 2; i < 5; ++i) {
        if (call.has(i) && elements(call.input(i).shape) != 1) {
          return "its limits are not one number each";
        }
      }
      const float wanted = call.has(2) ? call.input(2).data[0] : 0.0F;
      const auto largest = static_cast<float>(std::min(count, rows));
      most = wanted > 0.0F ? static_cast<std::int64_t>(std::min(wanted, largest)) : 0;
      if (call.has(3)) shared = call.input(3).data[0];
      if (!(shared >= 0.0F && shared <= 1.0F)) return "its iou_threshold is not between 0 and 1";
      has_score = call.has(4);
      if (has_score) score = call.input(4).data[0];
      return nullptr;
    }
  };

  struct Corners {
    float left, top, right, bottom;

    float area() const { return (right - left) * (bottom - top); }
  };

  // Writes the kept boxes' numbers to the front of `order`; gives how many they are.
  std::int32_t select(const float* boxes, const float* scores, std::int64_t count,
                      const Limits& limits, std::int32_t* order) const {
    std::int64_t candidates = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      if (limits.has_score && !(scores[i] > limits.score)) continue;
      order[candidates++] = static_cast<std::int32_t>(i);
    }
    sort_by_score(scores, candidates, order);
    std::int64_t kept = 0;
    for (std::int64_t i = 0; i < candidates && kept < limits.most; ++i) {
      const Corners box = corners(boxes + order[i] * kNumbers);
      const bool is_taken = std::any_of(order, order + kept, [&](std::int32_t better) {
        return share(box, corners(boxes + better * kNumbers)) > limits.shared;
      });
      if (!is_taken) order[kept++] = order[i];
    }
    return static_cast<std::int32_t>(kept);
  }

  Corners corners(const float* box) const {
    if (is_centered_) {
      const float width = box[2] / 2;
      const float height = box[3] / 2;
      return {box[0] - width, box[1] - height, box[0] + width, box[1] + height};
    }
    // Any two corners that are opposite, each as y and x.
    return {std::min(box[1], box[3]), std::min(box[0], box[2]), std::max(box[1], box[3]),
            std::max(box[0], box[2])};
  }

  // What two boxes have in common as a share of what they cover; 0 where one covers nothing.
  static float share(const Corners& a, const Corners& b) {
    const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
    const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
    if (!(width > 0.0F && height > 0.0F)) return 0.0F;
    const float common = width * height;
    const float all = a.area() + b.area() - common;
    if (!(a.area() > 0.0F && b.area() > 0.0F && all > 0.0F)) return 0.0F;
    return common / all;
  }

  void write(const Scored& s, const std::int32_t* orders, const std::int32_t* found,
             float* output) const {
    std::int64_t row = 0;
    for (std::int64_t pair = 0; pair < s.pairs(); ++pair) {
      for (std::int64_t i = 0; i < found[pair] && row < rows_; ++i, ++row) {
        output[row * kColumns] = static_cast<float>(pair / s.classes);
        output[row * kColumns + 1] = static_cast<float>(pair % s.classes);
        output[row * kColumns + 2] = static_cast<float>(orders[pair * s.count + i]);
      }
    }
    std::fill(output + row * kColumns, output + rows_ * kColumns, -1.0F);
  }

  bool is_centered_;
  std::int64_t rows_;
};

}  // namespace dx::op::non_max_suppression
