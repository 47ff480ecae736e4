// GridSample under the name that torch's own operator has, with numbers for its modes.
#pragma once

#include <cstdint>

#include "grid_sample/kernel.h"
#include "operators/operator.h"

namespace dx::op::grid_sampler {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes)
      : mode_(attributes.integer("interpolation_mode")),
        padding_(attributes.integer("padding_mode")),
        sample_(static_cast<grid_sample::Mode>(mode_), static_cast<grid_sample::Padding>(padding_),
                attributes.integer("align_corners") != 0) {}

  const char* run(Call& call) const {
    if (mode_ < 0 || mode_ > 2) return "its interpolation_mode is none of 0, 1, 2";
    if (padding_ < 0 || padding_ > 2) return "its padding_mode is none of 0, 1, 2";
    return sample_.run(call);
  }

 private:
  std::int64_t mode_;
  std::int64_t padding_;
  grid_sample::Kernel sample_;
};

}  // namespace dx::op::grid_sampler
