// The Lp norm of the values in each window: (sum of |x|^p)^(1/p). What lies in
// the padding adds nothing. Of signals, images and volumes: fewer axes are
// windows of one.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "operators/operator.h"

namespace dx::op::lp_pool {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes)
      : auto_pad_(static_cast<AutoPad>(attributes.integer("auto_pad"))),
        rounds_up_(attributes.integer("ceil_mode") != 0),
        dilations_(attributes.integers("dilations")),
        kernel_(attributes.integers("kernel_shape")),
        p_(attributes.integer("p")),
        pads_(attributes.integers("pads")),
        strides_(attributes.integers("strides")) {}

  const char* run(Call& call) const {
    const Tensor& x = call.input(0);
    if (x.shape.size() < 3 || x.shape.size() > 2 + kAxes) return "it is not of images";
    const std::size_t rank = x.shape.size() - 2;
    if (p_ < 1) return "its p is not positive";
    std::array<Axis, kAxes> axes{};
    Shape shape = {x.shape[0], x.shape[1]};
    for (std::size_t i = 0; i < rank; ++i) {
      Axis& axis = axes[kAxes - rank + i];
      axis.size = x.shape[2 + i];
      if (const char* complaint = measure(i, rank, axis)) return complaint;
      shape.push_back(axis.places);
    }
    float* const y = call.output(0, shape);
    if (y == nullptr) return kNoMemory;
    const std::int64_t size = axes[0].size * axes[1].size * axes[2].size;
    const std::int64_t places = axes[0].places * axes[1].places * axes[2].places;
    call.parallel(x.shape[0] * x.shape[1], [&](std::int64_t plane, int) {
      pool(axes, x.data + plane * size, y + plane * places);
    });
    return nullptr;
  }

 private:
  static constexpr std::size_t kAxes = 3;
  enum class AutoPad { kNotSet, kValid, kSameUpper, kSameLower };

  struct Axis {
    std::int64_t size = 1, kernel = 1, stride = 1, dilation = 1, pad = 0, places = 1;

    // Of a window's values those from `first` to before `last` lie within the
    // axis.
    std::int64_t begin(std::int64_t place) const { return place * stride - pad; }
    std::int64_t first(std::int64_t place) const {
      const std::int64_t at = begin(place);
      return at >= 0 ? 0 : (dilation - 1 - at) / dilation;
    }
    std::int64_t last(std::int64_t place) const {
      const std::int64_t left = size - begin(place);
      return left <= 0 ? 0 : std::min(kernel, (left + dilation - 1) / dilation);
    }
  };

  const char* measure(std::size_t i, std::size_t rank, Axis& axis) const {
    const auto value = [i, rank](const std::vector<std::int64_t>& list, std::int64_t otherwise) {
      return list.size() == rank ? list[i] : otherwise;
    };
    if (kernel_.size() != rank) return "its kernel has another number of axes than its input";
    for (const auto* list : {&dilations_, &strides_}) {
      if (!list->empty() && list->size() != rank) return "its attributes do not fit its kernel";
    }
    if (!pads_.empty() && pads_.size() != 2 * rank) return "its padding does not fit its kernel";
    axis.kernel = kernel_[i];
    axis.stride = value(strides_, 1);
    axis.dilation = value(dilations_, 1);
    const std::int64_t most = INT32_MAX;
    if (axis.kernel < 1 || axis.stride < 1 || axis.dilation < 1 || axis.kernel > most ||
        axis.stride > most || axis.dilation > most) {
      return "its kernel, strides or dilations are not positive";
    }
    const std::int64_t reach = axis.dilation * (axis.kernel - 1) + 1;
    std::int64_t end = 0;
    if (auto_pad_ == AutoPad::kSameUpper || auto_pad_ == AutoPad::kSameLower) {
      axis.places = (axis.size + axis.stride - 1) / axis.stride;
      // Less than nothing where strides leave a rest: then what is left out is shared likewise.
      const std::int64_t total = (axis.places - 1) * axis.stride + reach - axis.size;
      axis.pad = auto_pad_ == AutoPad::kSameUpper ? total / 2 : (total + 1) / 2;
      return nullptr;
    }
    if (auto_pad_ == AutoPad::kNotSet && !pads_.empty()) {
      axis.pad = pads_[i];
      end = pads_[i + rank];
    }
    if (axis.pad < 0 || end < 0 || axis.pad > most || end > most) return "its padding is negative";
    const std::int64_t free = axis.size + axis.pad + end - reach;
    if (free < 0) return "its kernel is larger than its input";
    axis.places = free / axis.stride + 1;
    // A further window must begin within the input or the padding before it.
    if (rounds_up_ && free % axis.stride != 0 && axis.begin(axis.places) < axis.size) ++axis.places;
    return nullptr;
  }

  void pool(const std::array<Axis, kAxes>& axes, const float* from, float* to) const {
    for (std::int64_t d = 0; d < axes[0].places; ++d) {
      for (std::int64_t h = 0; h < axes[1].places; ++h) {
        for (std::int64_t w = 0; w < axes[2].places; ++w) *to++ = norm(axes, {d, h, w}, from);
      }
    }
  }

  float norm(const std::array<Axis, kAxes>& axes, const std::array<std::int64_t, kAxes>& place,
             const float* from) const {
    const auto at = [&](std::size_t i, std::int64_t k) {
      return axes[i].begin(place[i]) + k * axes[i].dilation;
    };
    float sum = 0.0F;
    for (std::int64_t d = axes[0].first(place[0]); d < axes[0].last(place[0]); ++d) {
      for (std::int64_t h = axes[1].first(place[1]); h < axes[1].last(place[1]); ++h) {
        const float* const row = from + (at(0, d) * axes[1].size + at(1, h)) * axes[2].size;
        for (std::int64_t w = axes[2].first(place[2]); w < axes[2].last(place[2]); ++w) {
          sum += power(row[at(2, w)]);
        }
      }
    }
    if (p_ == 1) return sum;
    return p_ == 2 ? std::sqrt(sum) : std::pow(sum, 1.0F / static_cast<float>(p_));
  }

  float power(float value) const {
    if (p_ == 1) return std::fabs(value);
    return p_ == 2 ? value * value : std::pow(std::fabs(value), static_cast<float>(p_));
  }

  AutoPad auto_pad_;
  bool rounds_up_;
  std::vector<std::int64_t> dilations_;
  std::vector<std::int64_t> kernel_;
  std::int64_t p_;
  std::vector<std::int64_t> pads_;
  std::vector<std::int64_t> strides_;
};

}  // namespace dx::op::lp_pool
