// The libraries of Qualcomm's that come along with the worker, for systems that do not look for
// them there.
#pragma once

#include "common/messages.h"

namespace dx {

// Opens them by their paths, for as long as the process lives: what is open is found by its name.
// Those for other chips may not open, which is theirs to tell who needs one.
void open_beside(const Load& request);

}  // namespace dx
