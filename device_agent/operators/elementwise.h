// Kernels that compute element by element of inputs that broadcast to each other as NumPy's do.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "operators/operator.h"

namespace dx::op {

// A float as the truth value that it stands for, 0 or 1. The bits of whole numbers compile to
// vectors; && and ||, and products of floats, become branches that no processor foresees.
inline std::int32_t truth_of(float value) { return value != 0.0F ? 1 : 0; }

// `Function::of` gives an element of the output of one element of each of the kCount inputs. It is
// to compile to vectors; what it cannot know so is not a number, and found by `Function::exact`,
// where there is such.
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
    const Walk walk(call, shape);
    const std::int64_t count = elements(shape);
    call.parallel((count + kPart - 1) / kPart, [&](std::int64_t part, int) {
      walk.fill(part * kPart, std::min((part + 1) * kPart, count), output);
    });
    return nullptr;
  }

 private:
  static constexpr std::size_t kMostAxes = 16;
  static constexpr std::int64_t kPart = 16384;  // elements that a round computes

  using From = std::array<const float*, kCount>;

  template <class F, class = void>
  struct HasExact : std::false_type {};
  template <class F>
  struct HasExact<F, std::void_t<decltype(&F::exact)>> : std::true_type {};

  // A stretch of the output. Bit i of kMoving says whether input i moves along, or is one number.
  template <std::size_t kMoving>
  static void stretch(const From& inputs, std::int64_t count, float* __restrict to) {
    const From from = inputs;
    const auto values = [&from](std::int64_t x) {
      std::array<float, kCount> each;
      for (std::size_t i = 0; i < kCount; ++i) each[i] = from[i][(kMoving >> i & 1U) != 0 ? x : 0];
      return each;
    };
    for (std::int64_t x = 0; x < count; ++x) to[x] = Function::of(values(x));
    if constexpr (HasExact<Function>::value) {
      std::int32_t unknown = 0;
      for (std::int64_t x = 0; x < count; ++x) unknown += to[x] != to[x] ? 1 : 0;
      if (unknown == 0) return;
      for (std::int64_t x = 0; x < count; ++x) {
        if (to[x] != to[x]) to[x] = Function::exact(values(x));
      }
    }
  }

  using Stretch = void (*)(const From&, std::int64_t, float*);

  template <std::size_t... kMasks>
  static Stretch stretch_of(std::size_t moving, std::index_sequence<kMasks...>) {
    static constexpr std::array<Stretch, sizeof...(kMasks)> all = {stretch<kMasks>...};
    return all[moving];
  }

  // How the inputs move through the output's elements: axes along which all go on evenly are one.
  class Walk {
   public:
    Walk(const Call& call, const Shape& shape) {
      for (std::size_t axis = 0; axis < shape.size(); ++axis) {
        if (shape[axis] != 1) sizes_[axes_++] = shape[axis];
      }
      for (std::size_t i = 0; i < kCount; ++i) {
        data_[i] = call.input(i).data;
        measure(call.input(i).shape, shape, steps_[i]);
      }
      for (std::size_t axis = axes_; axis-- > 1;) {
        if (goes_on(axis)) join(axis);
      }
      std::size_t moving = 0;
      for (std::size_t i = 0; i < kCount; ++i) {
        if (axes_ > 0 && steps_[i][axes_ - 1] != 0) moving |= std::size_t{1} << i;
      }
      stretch_ = stretch_of(moving, std::make_index_sequence<std::size_t{1} << kCount>());
      moving_ = moving;
    }

    // Elements first to before last of the output.
    void fill(std::int64_t first, std::int64_t last, float* output) const {
      const std::int64_t width = axes_ > 0 ? sizes_[axes_ - 1] : 1;
      std::array<std::int64_t, kMostAxes> index{};
      From row = data_;
      std::int64_t rest = first / width;
      for (std::size_t axis = axes_ > 0 ? axes_ - 1 : 0; axis-- > 0;) {
        index[axis] = rest % sizes_[axis];
        rest /= sizes_[axis];
        for (std::size_t i = 0; i < kCount; ++i) row[i] += index[axis] * steps_[i][axis];
      }
      std::int64_t x = first % width;
      while (first < last) {
        const std::int64_t count = std::min(width - x, last - first);
        From from = row;
        for (std::size_t i = 0; i < kCount; ++i) from[i] += (moving_ >> i & 1U) != 0 ? x : 0;
        stretch_(from, count, output + first);
        first += count;
        x = 0;
        next_row(index, row);
      }
    }

   private:
    // How far an input moves along each axis: not at all where it has one element.
    void measure(const Shape& input, const Shape& output,
                 std::array<std::int64_t, kMostAxes>& steps) const {
      const std::size_t ahead = output.size() - input.size();
      std::int64_t stride = 1;
      std::size_t place = axes_;
      for (std::size_t axis = output.size(); axis-- > 0;) {
        const std::int64_t size = axis < ahead ? 1 : input[axis - ahead];
        if (output[axis] != 1) steps[--place] = size == 1 ? 0 : stride;
        stride *= size;
      }
    }

    // Whether all inputs move from the end of that axis on to the next of the one before.
    bool goes_on(std::size_t axis) const {
      for (const auto& steps : steps_) {
        if (steps[axis - 1] != steps[axis] * sizes_[axis]) return false;
      }
      return true;
    }

    // Makes the axis and the one before it one.
    void join(std::size_t axis) {
      sizes_[axis - 1] *= sizes_[axis];
      for (auto& steps : steps_) {
        steps[axis - 1] = steps[axis];
        std::copy(steps.begin() + axis + 1, steps.begin() + axes_, steps.begin() + axis);
      }
      std::copy(sizes_.begin() + axis + 1, sizes_.begin() + axes_, sizes_.begin() + axis);
      --axes_;
    }

    void next_row(std::array<std::int64_t, kMostAxes>& index, From& row) const {
      for (std::size_t axis = axes_ > 0 ? axes_ - 1 : 0; axis-- > 0;) {
        const bool is_last = ++index[axis] == sizes_[axis];
        const std::int64_t turns = is_last ? 1 - sizes_[axis] : 1;
        for (std::size_t i = 0; i < kCount; ++i) row[i] += turns * steps_[i][axis];
        if (!is_last) return;
        index[axis] = 0;
      }
    }

    std::size_t axes_ = 0;
    std::size_t moving_ = 0;
    Stretch stretch_ = nullptr;
    From data_{};
    std::array<std::int64_t, kMostAxes> sizes_{};
    std::array<std::array<std::int64_t, kMostAxes>, kCount> steps_{};
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
