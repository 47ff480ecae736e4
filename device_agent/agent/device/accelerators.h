// What boards tell of their accelerators and their power at this moment.
#pragma once

#include "agent/device/board.h"
#include "agent/device/sysfiles.h"

namespace dx {

// Loads and clocks of GPUs, NPUs and deep learning accelerators, the power of rails, and what was
// chosen for them (a Jetson's power mode, clocks that are locked). What is not there is left out.
void read_accelerators(const SysFiles& files, Conditions& conditions);

}  // namespace dx
