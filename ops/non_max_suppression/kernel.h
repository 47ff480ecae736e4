// The best boxes of each image and class that share too little with a better one: rows of image,
// class and box, as many as the model fills them up to; those beyond the last are -1.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

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
    const std::int64_t room = s.count * kFloats<Candidate> + limits.most * kFloats<Box>;
    const std::int64_t chosen = s.pairs() * (limits.most + 1);
    float* const memory = call.scratch(static_cast<std::size_t>(chosen + room * call.threads()));
    if (output == nullptr || memory == nullptr) return kNoMemory;
    auto* const orders = reinterpret_cast<std::int32_t*>(memory);
    std::int32_t* const found = orders + s.pairs() * limits.most;
    call.parallel(s.pairs(), [&](std::int64_t pair, int thread) {
      auto* const candidates = reinterpret_cast<Candidate*>(memory + chosen + room * thread);
      const std::int64_t count =
          gather(call.input(1).data + pair * s.count, s.count, limits, candidates);
      found[pair] =
          select(call.input(0).data + pair / s.classes * s.count * kNumbers, candidates, count,
                 limits, reinterpret_cast<Box*>(candidates + s.count), orders + pair * limits.most);
    });
    write(s, limits, orders, found, output);
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

  struct Candidate {
    float score;
    std::int32_t index;

    // A heap has the highest score at its top, and of equal ones the lowest index.
    bool operator<(const Candidate& other) const {
      return score != other.score ? score < other.score : index > other.index;
    }
  };

  struct Box {
    float left, top, right, bottom, area;
  };

  template <class T>
  static constexpr std::int64_t kFloats = static_cast<std::int64_t>(sizeof(T) / sizeof(float));

  // Those whose score is high enough; one that is no number counts as the lowest. Gives how many
  // they are.
  static std::int64_t gather(const float* scores, std::int64_t count, const Limits& limits,
                             Candidate* candidates) {
    std::int64_t found = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const float score = scores[i];
      const float lowest = -std::numeric_limits<float>::infinity();
      candidates[found] = {std::isnan(score) ? lowest : score, static_cast<std::int32_t>(i)};
      // Which way a branch would go here, no processor could foresee.
      found += !limits.has_score || score > limits.score ? 1 : 0;
    }
    return found;
  }

  // Writes the kept boxes' numbers to `order`; gives how many they are. As a rule they are few
  // among many, so that only those that are looked at are put in order.
  std::int32_t select(const float* boxes, Candidate* candidates, std::int64_t count,
                      const Limits& limits, Box* kept, std::int32_t* order) const {
    std::int64_t found = 0;
    std::make_heap(candidates, candidates + count);
    for (; count > 0 && found < limits.most; --count) {
      std::pop_heap(candidates, candidates + count);
      const std::int32_t index = candidates[count - 1].index;
      const Box box = box_of(boxes + index * kNumbers);
      const bool is_taken = std::any_of(kept, kept + found, [&](const Box& better) {
        return share(box, better) > limits.shared;
      });
      if (is_taken) continue;
      kept[found] = box;
      order[found++] = index;
    }
    return static_cast<std::int32_t>(found);
  }

  Box box_of(const float* numbers) const {
    if (is_centered_) {
      const float width = numbers[2] / 2;
      const float height = numbers[3] / 2;
      return between(numbers[0] - width, numbers[1] - height, numbers[0] + width,
                     numbers[1] + height);
    }
    // Any two corners that are opposite, each as y and x.
    return between(std::min(numbers[1], numbers[3]), std::min(numbers[0], numbers[2]),
                   std::max(numbers[1], numbers[3]), std::max(numbers[0], numbers[2]));
  }

  static Box between(float left, float top, float right, float bottom) {
    return {left, top, right, bottom, (right - left) * (bottom - top)};
  }

  // What two boxes have in common as a share of what they cover; 0 where one covers nothing.
  static float share(const Box& a, const Box& b) {
    const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
    const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
    if (!(width > 0.0F && height > 0.0F)) return 0.0F;
    const float common = width * height;
    const float all = a.area + b.area - common;
    if (!(a.area > 0.0F && b.area > 0.0F && all > 0.0F)) return 0.0F;
    return common / all;
  }

  void write(const Scored& s, const Limits& limits, const std::int32_t* orders,
             const std::int32_t* found, float* output) const {
    std::int64_t row = 0;
    for (std::int64_t pair = 0; pair < s.pairs(); ++pair) {
      for (std::int64_t i = 0; i < found[pair] && row < rows_; ++i, ++row) {
        output[row * kColumns] = static_cast<float>(pair / s.classes);
        output[row * kColumns + 1] = static_cast<float>(pair % s.classes);
        output[row * kColumns + 2] = static_cast<float>(orders[pair * limits.most + i]);
      }
    }
    std::fill(output + row * kColumns, output + rows_ * kColumns, -1.0F);
  }

  bool is_centered_;
  std::int64_t rows_;
};

}  // namespace dx::op::non_max_suppression
