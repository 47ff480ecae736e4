// The file that is kept on a board: an engine, behind what it was built by and for.
#pragma once

#include <string>
#include <string_view>

#include "common/result.h"

namespace dx {

// What an engine belongs to. It runs nowhere else.
struct EngineOrigin {
  std::string tensorrt;  // "10.3.0"
  std::string gpu;       // "sm_87"
};

// Writes the file whole, or fails and leaves none.
Status write_engine(const std::string& path, const EngineOrigin& origin, std::string_view engine);

// The engine in the content of a file; it points into that. Fails where the file is cut short, or
// is of another TensorRT or GPU than `here`, with both named.
Result<std::string_view> read_engine(std::string_view content, const EngineOrigin& here);

}  // namespace dx
