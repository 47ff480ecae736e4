// Which toolkit, runtime library and driver go together.
#pragma once

#include <string>

#include "common/result.h"

namespace dx {

struct RknnVersions {
  std::string toolkit;  // that made the file
  std::string library;
  std::string driver;

  // "toolkit 2.5.0 made the model, the board has runtime library 2.3.2 and driver 0.9.8".
  std::string text() const;
};

// Fails, with all three named, where the library is older than the toolkit: by its first two
// numbers, as files of one minor version are alike. What is not told is not held against anybody.
Status check_versions(const RknnVersions& versions);

}  // namespace dx
