// Temperatures, clocks and governors at this moment.
#pragma once

#include "agent/device/board.h"
#include "agent/device/sysfiles.h"

namespace dx {

// Reads every sensor that can be read; what cannot is left out.
Conditions read_conditions(const SysFiles& files);

}  // namespace dx
