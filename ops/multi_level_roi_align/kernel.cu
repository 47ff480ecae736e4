// Regions of images, each brought to one size: every output value is the mean, or the largest, of
// samples on a grid within its bin, read between pixels by bilinear interpolation. A region is read
// from the map whose scale fits its size, of several maps of the same images.
#pragma once

#include "operators/device.h"

namespace dx::op::multi_level_roi_align {

constexpr int kMostLevels = 9;
constexpr int kMostSamples = 256;  // along a side of a bin

struct Levels {
  const float* maps[kMostLevels];  // images, channels, height, width
  int heights[kMostLevels];
  int widths[kMostLevels];
  float scales[kMostLevels];
  int count;
};

struct Regions {
  Levels levels;
  const float* regions;  // an image's number and corners, or centre, width, height and angle
  float* to;             // regions, channels, out_h, out_w
  int images, channels, out_h, out_w;
  int sampling;  // samples along a side of a bin; 0 for one a pixel
  float finest;  // up to twice that size regions are read from the first map
  float grow;    // what regions are multiplied by, 0 for nothing
  bool aligned;  // pixels are counted by their middles
  bool takes_largest;
  bool turned;
  bool clockwise;
};

struct Region {
  float x, y, width, height;  // its middle
  float sine, cosine;
};

// Up to a pixel beyond the image its border is read, 0 further out.
DX_DEVICE inline float read_between(const float* pixels, int rows, int columns, float y, float x) {
  if (!(y >= -1.0F && y <= static_cast<float>(rows) && x >= -1.0F &&
        x <= static_cast<float>(columns)) ||
      rows < 1 || columns < 1) {
    return 0.0F;
  }
  const float down = least(most(y, 0.0F), static_cast<float>(rows - 1));
  const float along = least(most(x, 0.0F), static_cast<float>(columns - 1));
  const int top = static_cast<int>(down);
  const int left = static_cast<int>(along);
  const int right = least(left + 1, columns - 1);
  const float low = down - static_cast<float>(top);
  const float far = along - static_cast<float>(left);
  const float* const upper = pixels + static_cast<long long>(top) * columns;
  const float* const lower = pixels + static_cast<long long>(least(top + 1, rows - 1)) * columns;
  return (1 - low) * ((1 - far) * upper[left] + far * upper[right]) +
         low * ((1 - far) * lower[left] + far * lower[right]);
}

DX_DEVICE inline int samples_of(const Regions& p, float bin) {
  const float wanted = p.sampling > 0 ? static_cast<float>(p.sampling) : __builtin_ceilf(bin);
  if (!(wanted >= 0)) return 0;
  return static_cast<int>(least(wanted, static_cast<float>(kMostSamples)));
}

// The map for a region of that size: the next one for each doubling.
DX_DEVICE inline int level_of(const Regions& p, float size) {
  const float share = size / p.finest + 1e-6F;
  int level = 0;
  for (float border = 2; level + 1 < p.levels.count && share >= border; border *= 2) ++level;
  return level;
}

DX_DEVICE inline Region turned_region(const Regions& p, const float* numbers, float scale) {
  const float shift = p.aligned ? 0.5F : 0.0F;
  const float grow = p.grow > 0 ? p.grow : 1.0F;
  const float smallest = p.aligned ? 0.0F : 1.0F;
  const Turn turn = turn_of(p.clockwise ? -numbers[4] : numbers[4]);
  return {numbers[0] * scale - shift,
          numbers[1] * scale - shift,
          most(numbers[2] * grow * scale, smallest),
          most(numbers[3] * grow * scale, smallest),
          turn.sine,
          turn.cosine};
}

// One side: where it begins, and how long it is.
struct Side {
  float begin, length;
};

DX_DEVICE inline Side side_of(const Regions& p, float begin, float end, float scale) {
  if (p.grow > 0) {
    const float middle = (begin + end) / 2;
    const float half = (end - begin + 1) * p.grow / 2 - 0.5F;
    begin = middle - half;
    end = middle + half;
  }
  const float shift = p.aligned ? 0.5F : 0.0F;
  const float smallest = p.aligned ? 0.0F : 1.0F;
  return {begin * scale - shift, most((end - begin) * scale, smallest)};
}

DX_DEVICE inline Region upright_region(const Regions& p, const float* numbers, float scale) {
  const Side across = side_of(p, numbers[0], numbers[2], scale);
  const Side down = side_of(p, numbers[1], numbers[3], scale);
  return {across.begin + across.length / 2,
          down.begin + down.length / 2,
          across.length,
          down.length,
          0.0F,
          1.0F};
}

// For each value of each region.
DX_KERNEL(multi_level_roi_align_pool, Regions) {
  const int column = index % p.out_w;
  const int row = index / p.out_w % p.out_h;
  const int channel = index / p.out_w / p.out_h % p.channels;
  const int number = index / p.out_w / p.out_h / p.channels;
  const float* const numbers = p.regions + static_cast<long long>(number) * (p.turned ? 6 : 5);
  const float image = numbers[0];
  p.to[index] = 0.0F;
  if (!(image >= 0.0F && image < static_cast<float>(p.images))) return;
  const float area =
      p.turned ? numbers[3] * numbers[4] : (numbers[3] - numbers[1]) * (numbers[4] - numbers[2]);
  const int level = level_of(p, __builtin_sqrtf(area));
  const float scale = p.levels.scales[level];
  const Region region =
      p.turned ? turned_region(p, numbers + 1, scale) : upright_region(p, numbers + 1, scale);
  const float bin_h = region.height / static_cast<float>(p.out_h);
  const float bin_w = region.width / static_cast<float>(p.out_w);
  const int down = samples_of(p, bin_h);
  const int across = samples_of(p, bin_w);
  const int height = p.levels.heights[level];
  const int width = p.levels.widths[level];
  const float* const pixels =
      p.levels.maps[level] +
      (static_cast<long long>(image) * p.channels + channel) * height * width;
  float sum = 0.0F;
  float largest = -3.402823466e38F;
  for (int h = 0; h < down; ++h) {
    const float share_h = (static_cast<float>(h) + 0.5F) / static_cast<float>(down);
    const float up = (static_cast<float>(row) + share_h) * bin_h - region.height / 2;
    for (int w = 0; w < across; ++w) {
      const float share_w = (static_cast<float>(w) + 0.5F) / static_cast<float>(across);
      const float along = (static_cast<float>(column) + share_w) * bin_w - region.width / 2;
      const float value =
          read_between(pixels, height, width, up * region.cosine - along * region.sine + region.y,
                       up * region.sine + along * region.cosine + region.x);
      sum += value;
      largest = most(largest, value);
    }
  }
  p.to[index] = p.takes_largest ? largest : sum / static_cast<float>(most(down * across, 1));
}

}  // namespace dx::op::multi_level_roi_align
