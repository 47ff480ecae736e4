// Turned boxes that no better one of their image and class overlaps by more than a share: rows of
// image, class and box, the best box of each class first. A box is its centre, width, height, and
// an angle in radians.
//
// Two boxes overlap in the polygon that is left of one when it is cut along the other's sides.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "operators/best_first.h"
#include "operators/operator.h"

namespace dx::op::nms_rotated {

struct Point {
  double x, y;
};

struct Box {
  Point centre;
  double width, height;
  Point along;  // the direction of its width, 1 long

  explicit Box(const float* numbers)
      : centre{numbers[0], numbers[1]},
        width(numbers[2]),
        height(numbers[3]),
        along{std::cos(static_cast<double>(numbers[4])),
              std::sin(static_cast<double>(numbers[4]))} {}

  double area() const { return width * height; }
};

// A convex polygon; cutting it along a line adds at most one corner.
class Polygon {
 public:
  // The corners of a box, from the other's centre on.
  Polygon(const Box& box, Point origin) {
    for (const auto& [h, v] : {std::array{-0.5, -0.5}, {0.5, -0.5}, {0.5, 0.5}, {-0.5, 0.5}}) {
      const double right = h * box.width;
      const double up = v * box.height;
      corners_[count_++] = {
          box.centre.x - origin.x + right * box.along.x - up * box.along.y,
          box.centre.y - origin.y + right * box.along.y + up * box.along.x,
      };
    }
  }

  // Keeps what lies within `reach` of the origin along a direction.
  void cut(Point direction, double reach) {
    std::array<Point, kMost> left;
    std::size_t count = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const Point a = corners_[i];
      const Point b = corners_[(i + 1) % count_];
      const double beyond_a = a.x * direction.x + a.y * direction.y - reach;
      const double beyond_b = b.x * direction.x + b.y * direction.y - reach;
      if (beyond_a <= 0 && count < kMost) left[count++] = a;
      if ((beyond_a < 0 && beyond_b > 0) || (beyond_a > 0 && beyond_b < 0)) {
        const double share = beyond_a / (beyond_a - beyond_b);
        if (count < kMost) left[count++] = {a.x + share * (b.x - a.x), a.y + share * (b.y - a.y)};
      }
    }
    corners_ = left;
    count_ = count;
  }

  double area() const {
    double twice = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      const Point& a = corners_[i];
      const Point& b = corners_[(i + 1) % count_];
      twice += a.x * b.y - b.x * a.y;
    }
    return std::fabs(twice) / 2;
  }

 private:
  static constexpr std::size_t kMost = 8;

  std::array<Point, kMost> corners_ = {};
  std::size_t count_ = 0;
};

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes)
      : most_shared_(attributes.number("iou_threshold")),
        least_score_(attributes.number("score_threshold")) {}

  const char* run(Call& call) const {
    Scored s = {};
    const Tensor& boxes = call.input(0);
    const Tensor& scores = call.input(1);
    if (const char* complaint = s.measure(boxes.shape, scores.shape, kNumbers)) return complaint;
    const auto room = static_cast<std::size_t>(s.pairs() * s.count + 1);
    float* const memory = call.scratch(room);
    float* const counts = call.scratch(static_cast<std::size_t>(s.pairs() + 1));
    if (memory == nullptr || counts == nullptr) return kNoMemory;
    auto* const orders = reinterpret_cast<std::int32_t*>(memory);
    call.parallel(s.pairs(), [&](std::int64_t pair, int) {
      std::int32_t* const order = orders + pair * s.count;
      const float* const own = scores.data + pair * s.count;
      order_by_score(own, s.count, order);
      std::int64_t count = 0;
      while (count < s.count && own[order[count]] > least_score_) ++count;
      const float* const of_image = boxes.data + pair / s.classes * s.count * kNumbers;
      counts[pair] = static_cast<float>(choose(of_image, count, order));
    });
    return write(call, s, orders, counts);
  }

 private:
  static constexpr std::int64_t kNumbers = 5;

  // Moves the chosen ones to the front; gives their number.
  std::int64_t choose(const float* boxes, std::int64_t count, std::int32_t* order) const {
    std::int64_t chosen = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      const Box box(boxes + order[i] * kNumbers);
      bool is_free = true;
      for (std::int64_t better = 0; better < chosen && is_free; ++better) {
        const Box other(boxes + order[better] * kNumbers);
        is_free = !(shared(other, box) > static_cast<double>(most_shared_));
      }
      if (is_free) order[chosen++] = order[i];
    }
    return chosen;
  }

  // What two boxes share of what both cover.
  static double shared(const Box& a, const Box& b) {
    const double x = b.centre.x - a.centre.x;
    const double y = b.centre.y - a.centre.y;
    const double reach = (std::hypot(a.width, a.height) + std::hypot(b.width, b.height)) / 2;
    if (std::hypot(x, y) >= reach) return 0;
    Polygon common(b, a.centre);
    const Point across = {-a.along.y, a.along.x};
    common.cut(a.along, a.width / 2);
    common.cut({-a.along.x, -a.along.y}, a.width / 2);
    common.cut(across, a.height / 2);
    common.cut({-across.x, -across.y}, a.height / 2);
    const double area = common.area();
    return area / (a.area() + b.area() - area);
  }

  static const char* write(Call& call, const Scored& s, const std::int32_t* orders,
                           const float* counts) {
    std::int64_t rows = 0;
    for (std::int64_t pair = 0; pair < s.pairs(); ++pair) {
      rows += static_cast<std::int64_t>(counts[pair]);
    }
    float* to = call.output(0, {rows, 3});
    if (to == nullptr) return kNoMemory;
    for (std::int64_t pair = 0; pair < s.pairs(); ++pair) {
      const auto count = static_cast<std::int64_t>(counts[pair]);
      for (std::int64_t i = 0; i < count; ++i) {
        *to++ = static_cast<float>(pair / s.classes);
        *to++ = static_cast<float>(pair % s.classes);
        *to++ = static_cast<float>(orders[pair * s.count + i]);
      }
    }
    return nullptr;
  }

  float most_shared_;
  float least_score_;
};

}  // namespace dx::op::nms_rotated
