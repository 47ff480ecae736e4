// Boxes that are turned by an angle, for kernels on GPUs.
#pragma once

#include "operators/device.h"

namespace dx::op::turned_boxes {

struct Box {
  float x, y, width, height, angle;
};

struct Point {
  float x, y;
};

// A convex polygon; cutting it along a line adds at most one corner.
struct Polygon {
  static constexpr int kMost = 8;

  Point corners[kMost];
  int count;
};

// Keeps what lies within `reach` of the origin along a direction.
DX_DEVICE inline void cut(Polygon& polygon, Point direction, float reach) {
  Polygon left = {};
  for (int i = 0; i < polygon.count; ++i) {
    const Point a = polygon.corners[i];
    const Point b = polygon.corners[i + 1 < polygon.count ? i + 1 : 0];
    const float beyond_a = a.x * direction.x + a.y * direction.y - reach;
    const float beyond_b = b.x * direction.x + b.y * direction.y - reach;
    if (beyond_a <= 0 && left.count < Polygon::kMost) left.corners[left.count++] = a;
    if ((beyond_a < 0 && beyond_b > 0) || (beyond_a > 0 && beyond_b < 0)) {
      const float share = beyond_a / (beyond_a - beyond_b);
      if (left.count < Polygon::kMost) {
        left.corners[left.count++] = {a.x + share * (b.x - a.x), a.y + share * (b.y - a.y)};
      }
    }
  }
  polygon = left;
}

DX_DEVICE inline float area(const Polygon& polygon) {
  float twice = 0;
  for (int i = 0; i < polygon.count; ++i) {
    const Point a = polygon.corners[i];
    const Point b = polygon.corners[i + 1 < polygon.count ? i + 1 : 0];
    twice += a.x * b.y - b.x * a.y;
  }
  return __builtin_fabsf(twice) / 2;
}

// What two boxes share of what both cover: the polygon that is left of one when it is cut along the
// other's sides.
DX_DEVICE inline float shared_part(const Box& a, const Box& b) {
  const float x = b.x - a.x;
  const float y = b.y - a.y;
  const float reach = (__builtin_sqrtf(a.width * a.width + a.height * a.height) +
                       __builtin_sqrtf(b.width * b.width + b.height * b.height)) /
                      2;
  if (!(x * x + y * y < reach * reach)) return 0;
  const Turn along = turn_of(a.angle);
  const Turn theirs = turn_of(b.angle);
  Polygon common = {};
  for (int i = 0; i < 4; ++i) {
    const float right = (i == 0 || i == 3 ? -0.5F : 0.5F) * b.width;
    const float up = (i < 2 ? -0.5F : 0.5F) * b.height;
    common.corners[common.count++] = {x + right * theirs.cosine - up * theirs.sine,
                                      y + right * theirs.sine + up * theirs.cosine};
  }
  cut(common, {along.cosine, along.sine}, a.width / 2);
  cut(common, {-along.cosine, -along.sine}, a.width / 2);
  cut(common, {-along.sine, along.cosine}, a.height / 2);
  cut(common, {along.sine, -along.cosine}, a.height / 2);
  const float both = area(common);
  return both / (a.width * a.height + b.width * b.height - both);
}

}  // namespace dx::op::turned_boxes
