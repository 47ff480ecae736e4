// A deformable convolution on a GPU, image by image.
#pragma once

#include <cstdint>
#include <utility>

#include "deform_conv/kernel.cu"
#include "deform_conv/sizes.h"
#include "operators/device_call.h"

namespace dx::op::deform_conv {

class DeviceKernel {
 public:
  explicit DeviceKernel(const Attributes& attributes) : DeviceKernel(settings_of(attributes)) {}
  explicit DeviceKernel(Settings settings) : set_(std::move(settings)) {}

  template <class Shapes>
  void shapes(Shapes& s) const {
    s.output(0, {s.input(0, 0), s.input(set_.weights, 0), s.input(set_.offset, 2),
                 s.input(set_.offset, 3)});
  }

  const char* run(DeviceCall& call) const {
    Sizes s;
    if (const char* const complaint = measure(set_, call, s)) return complaint;
    const std::int64_t rows = s.channels * s.window;
    float* const columns = call.scratch(static_cast<std::size_t>(rows * s.places));
    if (columns == nullptr) return kNoMemory;
    Columns read = columns_of(s, columns);
    Product product = product_of(call, s, columns);
    const std::int64_t taps = set_.offset_groups * s.window * s.places;
    const std::int64_t tiles = (product.outputs + kOutputsAtOnce - 1) / kOutputsAtOnce;
    for (std::int64_t image = 0; image < s.images; ++image) {
      read.pixels = call.input(0).data + image * s.channels * s.height * s.width;
      read.offsets = call.input(set_.offset).data + image * 2 * taps;
      read.mask = call.has(set_.mask) ? call.input(set_.mask).data + image * taps : nullptr;
      call.launch(deform_conv_columns_kernel{}, read, s.channels * s.places);
      product.result = call.output(0) + image * s.outputs * s.places;
      call.launch(deform_conv_product_kernel{}, product, set_.groups * tiles * s.places);
    }
    return nullptr;
  }

 private:
  // Sizes that measure() and the launches' counts have found to be small enough.
  static int number(std::int64_t size) { return static_cast<int>(size); }

  Columns columns_of(const Sizes& s, float* to) const {
    Columns p = {};
    p.columns = to;
    p.group_channels = number(s.channels / set_.offset_groups);
    p.height = number(s.height);
    p.width = number(s.width);
    p.kernel_h = number(s.kernel_h);
    p.kernel_w = number(s.kernel_w);
    p.out_h = number(s.out_h);
    p.out_w = number(s.out_w);
    p.stride_h = number(set_.strides[0]);
    p.stride_w = number(set_.strides[1]);
    p.pad_h = number(set_.pads[0]);
    p.pad_w = number(set_.pads[1]);
    p.dilation_h = number(set_.dilations[0]);
    p.dilation_w = number(set_.dilations[1]);
    return p;
  }

  Product product_of(const DeviceCall& call, const Sizes& s, const float* columns) const {
    Product p = {};
    p.weights = call.input(set_.weights).data;
    p.columns = columns;
    p.bias = call.has(set_.bias) ? call.input(set_.bias).data : nullptr;
    p.outputs = number(s.outputs / set_.groups);
    p.rows = number(s.channels / set_.groups * s.window);
    p.places = number(s.places);
    return p;
  }

  Settings set_;
};

}  // namespace dx::op::deform_conv
