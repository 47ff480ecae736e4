// Kernels that compute element by element of inputs that broadcast to each other as NumPy's do.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "operators/operator.h"

namespace dx::op {

// A float as the truth value that it stands for. Sums and products of these compile to vectors;
// && and || are branches that no processor foresees.
inline float truth_of(float value) { return value != 0 ? 1.0F : 0.0F; }

// `Function` gives an element of the output of one element of each of the kCount inputs.
template <std::size_t kCount, class Function>
class Elementwise {
 public:
  explicit Elementwise(const Attributes&) {}

  const char* run(Call& call) const {
    Shape shape;
    for (std::size_t i = 0; i < kCount; ++i) {
      if (!broadcast(call.input(i).shape, shape)) return "its inputs do not broadcast";
    }
    float* const output = call.output(0, shape);
    if (output == nullptr) return kNoMemory;
    if (shape.empty()) shape = {1};
    std::array<Steps, kCount> steps;
    for (std::size_t i = 0; i < kCount; ++i) steps[i] = Steps(call.input(i).shape, shape);
    const std::int64_t width = shape.back();
    call.parallel(elements(shape) / width, [&](std::int64_t row, int) {
      std::array<const float*, kCount> from;
      for (std::size_t i = 0; i < kCount; ++i) {
        from[i] = call.input(i).data + steps[i].begin(row, shape);
      }
      float* const to = output + row * width;
      for (std::int64_t x = 0; x < width; ++x) {
        std::array<float, kCount> values;
        for (std::size_t i = 0; i < kCount; ++i) values[i] = from[i][x * steps[i].last];
        to[x] = Function::of(values);
      }
    });
    return nullptr;
  }

 private:
  static constexpr std::size_t kMostAxes = 16;

  // How far an input moves along each axis of the output: not at all where it has one element.
  struct Steps {
    Steps() = default;
    Steps(const Shape& input, const Shape& output) {
      std::int64_t stride = 1;
      const std::size_t ahead = output.size() - input.size();
      for (std::size_t axis = output.size(); axis-- > ahead;) {
        const std::int64_t size = input[axis - ahead];
        by_axis[axis] = size == 1 ? 0 : stride;
        stride *= size;
      }
      last = by_axis[output.size() - 1];
    }

    std::int64_t begin(std::int64_t row, const Shape& output) const {
      std::int64_t place = 0;
      for (std::size_t axis = output.size() - 1; axis-- > 0;) {
        place += row % output[axis] * by_axis[axis];
        row /= output[axis];
      }
      return place;
    }

    std::array<std::int64_t, kMostAxes> by_axis{};
    std::int64_t last = 0;
  };

  // Makes `shape` what it and the input broadcast to; false where they do not.
  static bool broadcast(const Shape& input, Shape& shape) {
    if (input.size() > kMostAxes) return false;
    if (shape.size() < input.size()) shape.insert(shape.begin(), input.size() - shape.size(), 1);
    const std::size_t ahead = shape.size() - input.size();
    for (std::size_t axis = 0; axis < input.size(); ++axis) {
      std::int64_t& size = shape[axis + ahead];
      if (size != input[axis] && size != 1 && input[axis] != 1) return false;
      size = std::max(size, input[axis]);
    }
    return true;
  }
};

}  // namespace dx::op
