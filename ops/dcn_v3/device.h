// InternImage's deformable convolution on a GPU.
#pragma once

#include <cstdint>

#include "dcn_v3/kernel.cu"
#include "operators/device_call.h"

namespace dx::op::dcn_v3 {

class DeviceKernel {
 public:
  explicit DeviceKernel(const Attributes& attributes) {
    const auto number = [&](const char* name) {
      return static_cast<int>(attributes.integer(name));
    };
    settings_.groups = number("group");
    settings_.group_channels = number("group_channels");
    settings_.kernel_h = number("kernel_h");
    settings_.kernel_w = number("kernel_w");
    settings_.stride_h = number("stride_h");
    settings_.stride_w = number("stride_w");
    settings_.pad_h = number("pad_h");
    settings_.pad_w = number("pad_w");
    settings_.dilation_h = number("dilation_h");
    settings_.dilation_w = number("dilation_w");
    settings_.offset_scale = attributes.number("offset_scale");
  }

  template <class Shapes>
  void shapes(Shapes& s) const {
    s.output(0, {s.input(0, 0), s.input(1, 1), s.input(1, 2), s.input(0, 3)});
  }

  const char* run(DeviceCall& call) const {
    Windows p = settings_;
    if (const char* const complaint = measure(call, p)) return complaint;
    p.input = call.input(0).data;
    p.offset = call.input(1).data;
    p.mask = call.input(2).data;
    p.output = call.output(0);
    const std::int64_t channels = call.input(0).shape[3];
    call.launch(dcn_v3_sum_kernel{}, p, call.input(0).shape[0] * p.out_h * p.out_w * channels);
    return nullptr;
  }

 private:
  static std::int64_t size_of(int size, int pad, int dilation, int kernel, int stride) {
    return (std::int64_t{size} + 2 * pad - (std::int64_t{dilation} * (kernel - 1) + 1)) / stride +
           1;
  }

  static const char* measure(const DeviceCall& call, Windows& p) {
    const Shape& x = call.input(0).shape;
    const Shape& offset = call.input(1).shape;
    const Shape& mask = call.input(2).shape;
    if (x.size() != 4 || offset.size() != 4 || mask.size() != 4) return "it is not of images";
    const bool whole = p.groups > 0 && p.group_channels > 0 && p.kernel_h > 0 && p.kernel_w > 0 &&
                       p.stride_h > 0 && p.stride_w > 0 && p.dilation_h > 0 && p.dilation_w > 0;
    if (!whole) return "its groups, kernel, strides or dilations are not positive";
    if (x[1] > kMostIndices || x[2] > kMostIndices || offset[1] > kMostIndices ||
        offset[2] > kMostIndices) {
      return kTooManyIndices;
    }
    p.height = static_cast<int>(x[1]);
    p.width = static_cast<int>(x[2]);
    p.out_h = static_cast<int>(offset[1]);
    p.out_w = static_cast<int>(offset[2]);
    const std::int64_t window = std::int64_t{p.groups} * p.kernel_h * p.kernel_w;
    const Shape of_mask = {x[0], offset[1], offset[2], window};
    const bool fits = x[3] == std::int64_t{p.groups} * p.group_channels && offset[0] == x[0] &&
                      offset[3] == 2 * window && mask == of_mask &&
                      p.out_h == size_of(p.height, p.pad_h, p.dilation_h, p.kernel_h, p.stride_h) &&
                      p.out_w == size_of(p.width, p.pad_w, p.dilation_w, p.kernel_w, p.stride_w);
    return fits ? nullptr : "the shapes of its inputs do not fit";
  }

  Windows settings_ = {};
};

}  // namespace dx::op::dcn_v3
