// Attention to a few places of several maps (see kernel.h).
#pragma once

#include "operators/between_pixels.cu"
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
    const float* const pixels = values + (fits ? static_cast<long long>(start) * width : 0);
    const int rows = fits ? static_cast<int>(height) : 0;
    const int across = fits ? static_cast<int>(columns) : 0;
    for (int point = 0; point < p.points; ++point, place += 2, ++weight) {
      const float h = place[1] * static_cast<float>(rows) - 0.5F;
      const float w = place[0] * static_cast<float>(across) - 0.5F;
      sum += *weight * read_between(pixels, rows, across, width, h, w);
    }
  }
  p.output[index] = sum;
}

}  // namespace dx::op::multi_scale_deformable_attention
