// Attention to a few places of several maps: each query's head sums up the
// values at its places, read between pixels by bilinear interpolation (0 beyond
// a map), by the weights that it is given.
//
//   value (batch, all maps' pixels, heads, dims), places (batch, queries,
//   heads, maps, points, 2) as shares of a map's width and height, weights
//   (batch, queries, heads, maps, points)
//   -> (batch, queries, heads * dims)
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "operators/operator.h"

namespace dx::op::multi_scale_deformable_attention {

class Kernel {
 public:
  explicit Kernel(const Attributes&) {}

  const char* run(Call& call) const {
    Sizes s;
    if (const char* complaint = measure(call, s)) return complaint;
    float* const output = call.output(0, {s.batch, s.queries, s.heads * s.dims});
    if (output == nullptr) return kNoMemory;
    call.parallel(s.batch * s.queries, [&](std::int64_t query, int) {
      for (std::int64_t head = 0; head < s.heads; ++head) {
        const std::int64_t place = query * s.heads + head;
        attend(call, s, query / s.queries, head, place, output + place * s.dims);
      }
    });
    return nullptr;
  }

 private:
  struct Sizes {
    std::int64_t batch, pixels, heads, dims, queries, maps, points;
  };

  // A map's pixels, of one head.
  struct Map {
    const float* pixels;
    std::int64_t height, width, step;
  };

  static const char* measure(const Call& call, Sizes& s) {
    const Shape& value = call.input(0).shape;
    const Tensor& sizes = call.input(1);
    const Tensor& starts = call.input(2);
    const Shape& places = call.input(3).shape;
    if (value.size() != 4 || places.size() != 6) return "its inputs have other numbers of axes";
    s = {value[0], value[1], value[2], value[3], places[1], places[3], places[4]};
    const Shape weights = {s.batch, s.queries, s.heads, s.maps, s.points};
    if (places != Shape{s.batch, s.queries, s.heads, s.maps, s.points, 2} ||
        call.input(4).shape != weights || sizes.shape != Shape{s.maps, 2} ||
        starts.shape != Shape{s.maps}) {
      return "the shapes of its inputs do not fit";
    }
    for (std::int64_t map = 0; map < s.maps; ++map) {
      const float height = sizes.data[2 * map];
      const float width = sizes.data[2 * map + 1];
      const float start = starts.data[map];
      const auto pixels = static_cast<float>(s.pixels);
      if (!(height >= 1.0F && width >= 1.0F && start >= 0.0F && start + height * width <= pixels)) {
        return "its maps are not within its values";
      }
    }
    return nullptr;
  }

  static void attend(const Call& call, const Sizes& s, std::int64_t image, std::int64_t head,
                     std::int64_t place, float* to) {
    const float* where = call.input(3).data + place * s.maps * s.points * 2;
    const float* weight = call.input(4).data + place * s.maps * s.points;
    const std::int64_t step = s.heads * s.dims;
    const float* const values = call.input(0).data + image * s.pixels * step + head * s.dims;
    std::fill(to, to + s.dims, 0.0F);
    for (std::int64_t map = 0; map < s.maps; ++map) {
      const auto start = static_cast<std::int64_t>(call.input(2).data[map]);
      const auto height = static_cast<std::int64_t>(call.input(1).data[2 * map]);
      const auto width = static_cast<std::int64_t>(call.input(1).data[2 * map + 1]);
      const Map from = {values + start * step, height, width, step};
      for (std::int64_t point = 0; point < s.points; ++point, where += 2, ++weight) {
        add(from, where[0], where[1], *weight, s.dims, to);
      }
    }
  }

  static void add(const Map& map, float x, float y, float weight, std::int64_t dims, float* to) {
    const auto rows = static_cast<float>(map.height);
    const auto columns = static_cast<float>(map.width);
    const float h = y * rows - 0.5F;
    const float w = x * columns - 0.5F;
    if (!(h > -1.0F && h < rows && w > -1.0F && w < columns)) return;
    const float floor_h = std::floor(h);
    const float floor_w = std::floor(w);
    const auto top = static_cast<std::int64_t>(floor_h);
    const auto left = static_cast<std::int64_t>(floor_w);
    const float down = h - floor_h;
    const float right = w - floor_w;
    const auto corner = [&](std::int64_t row, std::int64_t column, float share) {
      if (row < 0 || row >= map.height || column < 0 || column >= map.width) return;
      const float* const from = map.pixels + (row * map.width + column) * map.step;
      const float by = weight * share;
      for (std::int64_t i = 0; i < dims; ++i) to[i] += by * from[i];
    };
    corner(top, left, (1 - down) * (1 - right));
    corner(top, left + 1, (1 - down) * right);
    corner(top + 1, left, down * (1 - right));
    corner(top + 1, left + 1, down * right);
  }
};

}  // namespace dx::op::multi_scale_deformable_attention
