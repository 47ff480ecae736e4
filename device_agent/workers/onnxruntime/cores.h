// Which cores compute.
#pragma once

#include "common/messages.h"
#include "common/result.h"

namespace dx {

// Binds the calling thread, and with it the threads that it starts, to the board's little or big
// cores: those below or above the middle between the lowest and the highest clock. Fails where the
// system does not tell the clocks, or all cores are alike.
Status bind_to_cores(CoreSelection cores);

}  // namespace dx
