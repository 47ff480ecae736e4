#include "workers/tensorrt/weak_types.h"

#include <cstddef>
#include <cstdint>
#include <utility>

// From version 10 on TensorRT calls all of this obsolete; its last version with the accelerator has
// nothing else for ranges.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace dx {
namespace {

using nvinfer1::BuilderFlag;

constexpr std::size_t kHexDigits = 8;

bool is_entry(std::string_view line) {
  const std::size_t end = line.rfind(": ");
  if (end == std::string_view::npos || end == 0) return false;
  const std::string_view digits = line.substr(end + 2);
  return digits.size() == kHexDigits &&
         digits.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

class KnownRanges::Calibrator : public nvinfer1::IInt8EntropyCalibrator2 {
 public:
  explicit Calibrator(std::string content) : content_(std::move(content)) {}

  std::int32_t getBatchSize() const noexcept override { return 1; }
  bool getBatch(void**, const char**, std::int32_t) noexcept override { return false; }
  const void* readCalibrationCache(std::size_t& length) noexcept override {
    length = content_.size();
    return content_.data();
  }
  void writeCalibrationCache(const void*, std::size_t) noexcept override {}

 private:
  const std::string content_;
};

void KnownRanges::Deleter::operator()(Calibrator* calibrator) const { delete calibrator; }

void allow_precisions(nvinfer1::IBuilderConfig& config, std::string_view words) {
  if (words.find("fp16") != std::string_view::npos) config.setFlag(BuilderFlag::kFP16);
  if (words.find("int8") != std::string_view::npos) config.setFlag(BuilderFlag::kINT8);
#if NV_TENSORRT_MAJOR >= 9
  if (words.find("bf16") != std::string_view::npos) config.setFlag(BuilderFlag::kBF16);
#endif
}

Result<std::unique_ptr<KnownRanges>> KnownRanges::read(std::string_view content,
                                                       std::int32_t version) {
  const std::size_t head = content.find('\n');
  std::string_view rest = head == std::string_view::npos ? "" : content.substr(head + 1);
  bool is_sound = !rest.empty();
  // TensorRT takes what was found by its own version alone.
  std::string made = "TRT-" + std::to_string(version) + "-EntropyCalibration2\n";
  made += rest;
  while (is_sound && !rest.empty()) {
    const std::size_t end = rest.find('\n');
    is_sound = end != std::string_view::npos && is_entry(rest.substr(0, end));
    rest.remove_prefix(is_sound ? end + 1 : rest.size());
  }
  if (!is_sound) {
    return Failure{FailureCode::kRuntimeRefused,
                   "the model's ranges for the deep learning accelerator cannot be read: quantize "
                   "it again",
                   Phase::kPrepare};
  }
  auto ranges = std::make_unique<KnownRanges>();
  ranges->calibrator_.reset(new Calibrator(std::move(made)));
  return ranges;
}

void KnownRanges::give_to(nvinfer1::IBuilderConfig& config) {
  config.setInt8Calibrator(calibrator_.get());
}

}  // namespace dx
