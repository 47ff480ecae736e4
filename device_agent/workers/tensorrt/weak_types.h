// Types that TensorRT chooses itself, layer by layer, among those that it is allowed: what it knew
// before version 10, and what the deep learning accelerator wants until that left TensorRT.
#pragma once

#include <NvInfer.h>

#include <memory>
#include <string>
#include <string_view>

#include "common/result.h"

namespace dx {

// Lets the layers compute in these precisions, words as in the model's metadata ("fp16 int8").
void allow_precisions(nvinfer1::IBuilderConfig& config, std::string_view words);

// Ranges of a quantized model's tensors, in TensorRT's own form for what a calibration found, so
// that it calibrates nothing itself. Must outlive the build.
class KnownRanges {
 public:
  // `content` is a line of a head, and one for each tensor: its name, and its scale's bits in hex.
  // Fails where it is not.
  static Result<std::unique_ptr<KnownRanges>> read(std::string_view content, std::int32_t version);

  void give_to(nvinfer1::IBuilderConfig& config);

 private:
  class Calibrator;
  struct Deleter {
    void operator()(Calibrator* calibrator) const;
  };

  std::unique_ptr<Calibrator, Deleter> calibrator_;
};

}  // namespace dx
