// What an .rknn file says of itself, before a library has read it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace dx {

struct ModelFileFacts {
  std::string toolkit;             // the version that made it, "2.3.2"; "" where it is not told
  std::vector<std::string> chips;  // that it is for, "rk3588"; none where they are not told
};

// Fails for what is not an .rknn file, or not whole.
Result<ModelFileFacts> read_model_file(std::string_view content);

}  // namespace dx
