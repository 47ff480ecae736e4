// Attention to a few places of several maps (see kernel.h).
#pragma once

#include "operators/device.h"

namespace dx::op::multi_scale_deformable_attention {

struct Attend {
  const float* values;   // batch, pixels, heads, dims
  const float* sizes;    // maps, 2: height and width
  const float* starts;   // maps
  const float* places;   // batch, queries, heads, maps, points, 2
  const float* weights;  // batch, queries, heads, maps, points
  float* output;         // batch, queries, heads, dims
  int pixels, heads, dims, queries, maps, points;
};

// A map's pixels, of one dim of one head.
struct Map {
  const float* pixels;
  int height, width, step;
};

DX_DEVICE inline float corner(const Map& map, int row, int column) {
  const bool inside = row >= 0 && row < map.height && column >= 0 && column < map.width;
  if (!inside) return 0.0F;
  return map.pixels[(static_cast<long long>(row) * map.width + column) * map.step];
}

DX_DEVICE inline float read_between(const Map& map, float x, float y) {
  const float rows = static_cast<float>(map.height);
  const float columns = static_cast<float>(map.width);
  const float h = y * rows - 0.5F;
  const float w = x * columns - 0.5F;
  if (!(h > -1.0F && h < rows && w > -1.0F && w < columns)) return 0.0F;
  const float floor_h = __builtin_floorf(h);
  const float floor_w = __builtin_floorf(w);
  const int top = static_cast<int>(floor_h);
  const int left = static_cast<int>(floor_w);
  const float down = h - floor_h;
  const float right = w - floor_w;
  return (1 - down) * ((1 - right) * corner(map, top, left) + right * corner(map, top, left + 1)) +
         down * ((1 - right) * corner(map, top + 1, left) + right * corner(map, top + 1, left + 1));
}

// For each dim of each head of each query.
DX_KERNEL(multi_scale_deformable_attention_attend, Attend) {
  const int width = p.heads * p.dims;
  const int own = index % width;
  const int query = index / width;
  const long long first =
      (static_cast<long long>(query) * p.heads + own / p.dims) * p.maps * p.points;
  const float* place = p.places + first * 2;
  const float* weight = p.weights + first;
  const float* const values =
      p.values + static_cast<long long>(query / p.queries) * p.pixels * width + own;
  float sum = 0.0F;
  for (int map = 0; map < p.maps; ++map) {
    const float height = p.sizes[2 * map];
    const float columns = p.sizes[2 * map + 1];
    const float start = p.starts[map];
    // One that is not within the values is nothing.
    const bool fits = height >= 1 && columns >= 1 && start >= 0 &&
                      start + height * columns <= static_cast<float>(p.pixels);
    const Map from = {values + (fits ? static_cast<long long>(start) * width : 0),
                      fits ? static_cast<int>(height) : 0, fits ? static_cast<int>(columns) : 0,
                      width};
    for (int point = 0; point < p.points; ++point, place += 2, ++weight) {
      sum += *weight * read_between(from, place[0], place[1]);
    }
  }
  p.output[index] = sum;
}

}  // namespace dx::op::multi_scale_deformable_attention
