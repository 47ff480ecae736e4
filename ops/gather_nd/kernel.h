// Slices of the data, one for each tuple of indices along the last axis; the first `batch_dims`
// axes are those of both. Negative indices count from the end.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>

#include "operators/operator.h"
#include "operators/scatter.h"

namespace dx::op::gather_nd {

class Kernel {
 public:
  explicit Kernel(const Attributes& attributes) : batch_(attributes.integer("batch_dims")) {}

  const char* run(Call& call) const {
    const Tensor& data = call.input(0);
    const Tensor& indices = call.input(1);
    const std::size_t rank = indices.shape.size();
    if (rank < 1 || batch_ < 0 || batch_ >= static_cast<std::int64_t>(rank)) {
      return "its indices have too few axes";
    }
    const auto batch = static_cast<std::size_t>(batch_);
    const auto depth = static_cast<std::size_t>(indices.shape[rank - 1]);
    if (depth < 1 || batch + depth > data.shape.size()) {
      return "its indices have more members than its data has axes";
    }
    const auto batches = indices.shape.begin() + static_cast<std::ptrdiff_t>(batch_);
    if (!std::equal(indices.shape.begin(), batches, data.shape.begin())) {
      return "the first axes of its inputs do not fit";
    }
    Shape shape(indices.shape.begin(), indices.shape.end() - 1);
    for (std::size_t i = batch + depth; i < data.shape.size(); ++i) shape.push_back(data.shape[i]);
    float* const output = call.output(0, shape);
    if (output == nullptr) return kNoMemory;

    const std::int64_t inner = elements(data.shape, batch + depth, data.shape.size());
    const std::int64_t image = elements(data.shape, batch, batch + depth);
    const std::int64_t tuples = elements(indices.shape, batch, rank - 1);
    std::atomic<bool> beyond{false};
    call.parallel(elements(indices.shape, 0, rank - 1), [&](std::int64_t row, int) {
      const float* const tuple = indices.data + row * static_cast<std::int64_t>(depth);
      std::int64_t place = 0;
      for (std::size_t i = 0; i < depth; ++i) {
        const std::int64_t size = data.shape[batch + i];
        const std::int64_t index = index_of(tuple[i], size);
        if (index < 0) {
          beyond = true;
          return;
        }
        place = place * size + index;
      }
      std::memcpy(output + row * inner, data.data + (row / tuples * image + place) * inner,
                  static_cast<std::size_t>(inner) * sizeof(float));
    });
    return beyond ? "one of its indices is beyond its axis" : nullptr;
  }

 private:
  std::int64_t batch_;
};

}  // namespace dx::op::gather_nd
