// Whether this process runs under a processor emulator such as qemu-user.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/device/cpuinfo.h"

namespace dx {

// The format of /proc/cpuinfo on a board that runs this build natively.
CpuInfoFormat native_cpuinfo_format();

// The reason to believe in an emulator; empty where there is none. A user-mode emulator translates
// programs but shows the host's /proc: a kernel of the build's own kind would write it differently.
std::optional<std::string> detect_emulation(CpuInfoFormat native, const CpuInfo& info);

// What the processor that this process sees can do, by the kernel's auxiliary vector, in the words
// of /proc/cpuinfo. Right under an emulator too. Empty where this build knows no such names.
std::vector<std::string> auxiliary_vector_features();

}  // namespace dx
