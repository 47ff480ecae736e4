// Whether this board has a Qualcomm NPU that may be used.
#pragma once

#include <string>

#include "common/result.h"

namespace dx {

// Fails with what is missing, in one sentence: the device, the right to open it, or the system's
// library that leads there. `root` is put before every path; `opens_library` says whether the
// library can be loaded.
Status check_npu(const std::string& root, bool (*opens_library)(const char* name));

}  // namespace dx
