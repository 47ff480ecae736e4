// The sizes for which an engine is built, as the converter writes them into the ONNX file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace dx {

// An input with open axes: its dims at their minimum, their opt and their maximum.
struct InputProfile {
  std::string name;
  std::vector<std::int64_t> minimum;
  std::vector<std::int64_t> opt;
  std::vector<std::int64_t> maximum;
};

// A line for each: "1x3x32x32 1x3x64x64 1x3x96x96 images". Fails where one does not say that.
Result<std::vector<InputProfile>> read_profiles(std::string_view text);

}  // namespace dx
