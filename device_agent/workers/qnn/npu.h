// Whether this board has a Qualcomm NPU that may be used.
#pragma once

#include <string>

#include "common/result.h"

namespace dx {

// The kind of system that a board has.
enum class NpuSystem { kLinux, kAndroid };

// Fails with what is missing, in one sentence: the device, the right to open it, or the system's
// library that leads there. `root` is put before every path; `opens_library` says whether the
// library can be loaded.
//
// On Android the right to open the device is not asked for: the library has it opened by a service
// of the system where the user may not.
Status check_npu(NpuSystem system, const std::string& root,
                 bool (*opens_library)(const char* name));

}  // namespace dx
